"""What a model is asked: the head it needs, the loss it learns by, the figure it is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_rnn_zoo.errors import ConfigError, listed, nearest

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Task:
    """One kind of question.

    Attributes:
        name: Of the task.
        activation: Of the head.
        loss: Keras' name of the loss.
        metric: Keras' name of the figure that people read.
        least_outputs: The smallest number of units that the head can have.
        most_outputs: The largest, or None.
        per_timestep: The model answers every time step, not the sequence as a whole.
        several: Any number of labels may apply, each with a probability of its own.
    """

    name: str
    activation: str
    loss: str
    metric: str
    least_outputs: int = 1
    most_outputs: int | None = None
    per_timestep: bool = False
    several: bool = False

    def check_outputs(self, outputs: int) -> None:
        """Refuses a number of output units that the task cannot have.

        Raises:
            ConfigError: The message says what is allowed.
        """
        if self.least_outputs <= outputs and outputs <= (self.most_outputs or outputs):
            return
        if self.most_outputs is not None:
            allowed = f"exactly {self.most_outputs} (one probability)"
        else:
            allowed = f"at least {self.least_outputs}, one for each label"
        raise ConfigError(
            f"The task '{self.name}' takes outputs of {allowed}. Received: outputs={outputs}"
        )

    def compile(
        self,
        model: keras.Model,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
        metric: keras.metrics.Metric | None = None,
        optimizer: keras.optimizers.Optimizer | None = None,
    ) -> None:
        """Compiles a model with Adam, the loss and the metric of the task.

        Where the model passes a mask on (per-timestep answers to padded sequences), Keras leaves
        the padded steps out of both.

        Args:
            model: Fresh, or trained.
            learning_rate: Of Adam.
            metric: Called as the task's, in place of Keras' own.
            optimizer: One that has trained the model already, in place of a new one.
        """
        import keras

        if metric is None and self.several:
            # What Keras takes "accuracy" for is that of the likeliest label.
            metric = keras.metrics.BinaryAccuracy(name=self.metric)
        model.compile(
            optimizer=optimizer or keras.optimizers.Adam(learning_rate),
            loss=self.loss,
            metrics=[metric or self.metric],
        )


METRICS = {
    "accuracy": "max",
    "f1": "max",
    "balanced_accuracy": "max",
    "auc": "max",
    "mean_absolute_error": "min",
}
"""Figure that a model is judged by -> whether more of it is better, `"max"`, or less, `"min"`."""

TASKS = {
    task.name: task
    for task in (
        Task("binary", "sigmoid", "binary_crossentropy", "accuracy", most_outputs=1),
        Task(
            "multiclass", "softmax", "sparse_categorical_crossentropy", "accuracy", least_outputs=2
        ),
        Task(
            "multilabel",
            "sigmoid",
            "binary_crossentropy",
            "accuracy",
            least_outputs=2,
            several=True,
        ),
        Task(
            "sequence_labelling",
            "softmax",
            "sparse_categorical_crossentropy",
            "accuracy",
            least_outputs=2,
            per_timestep=True,
        ),
        Task("regression", "linear", "mean_squared_error", "mean_absolute_error"),
    )
}


def get_task(name: str) -> Task:
    """Returns the task called `name`.

    Raises:
        ConfigError: There is none; the message lists all and the nearest.
    """
    try:
        return TASKS[name]
    except (KeyError, TypeError):
        raise ConfigError(
            f"Unknown task: {name!r}.{nearest(name, TASKS)} Known: {listed(TASKS)}."
        ) from None
