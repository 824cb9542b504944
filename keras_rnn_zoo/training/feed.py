"""What a model is fed in training, whoever trains it: scaled targets, weighted labels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.training import xla
from keras_rnn_zoo.training.batches import LEAST_SAVED, Batches, any_length
from keras_rnn_zoo.training.metrics import real_answers
from keras_rnn_zoo.training.scaling import LastValues, TargetScaling
from keras_rnn_zoo.training.schedules import steps_of

if TYPE_CHECKING:
    import keras

Pair = tuple[np.ndarray, np.ndarray]

BATCH_SIZE = 256
"""Rows at once where nothing is learnt."""


@dataclass(frozen=True)
class Feed:
    """Encoded rows as `keras.Model.fit` gets them.

    Attributes:
        task: Name of the task.
        train: Inputs and labels, or targets in the user's units.
        validation: The same, or None.
        scaling: Of the targets of a regression.
        weights: Of each label, float64 `[labels]`; None where all count alike.
        trims: The model's padding may be left out: see `ModelBuilder.trims`.
    """

    task: str
    train: Pair
    validation: Pair | None = None
    scaling: TargetScaling | None = None
    weights: np.ndarray | None = None
    trims: bool = False

    @classmethod
    def of(
        cls,
        task: str,
        outputs: int,
        train: Pair,
        validation: Pair | None = None,
        class_weight: str | None = None,
        last: LastValues | None = None,
        trims: bool = False,
    ) -> Feed:
        """Returns what rows are fed as.

        Args:
            task: Name of the task.
            outputs: Units of the model's head.
            train: Inputs and labels, or targets in the user's units.
            validation: The same, or None.
            class_weight: `"balanced"` gives each label the same weight in all, whatever its
                number of rows; None each row.
            last: What a forecast goes on from.
            trims: See `ModelBuilder.trims`.

        Raises:
            ConfigError: The task has no labels to balance.
        """
        x, y = train
        scaling = TargetScaling.fit(y, x, last) if task == "regression" else None
        weights = None
        if class_weight is not None:
            if get_task(task).activation not in ("sigmoid", "softmax"):
                raise ConfigError(
                    f"class_weight weighs labels, and the task {task!r} has none. Leave it out."
                )
            if get_task(task).several:
                raise ConfigError(
                    "class_weight weighs rows by their only label, and those of the task "
                    f"{task!r} may have several. Leave it out."
                )
            weights = _balanced(*train, task, max(outputs, 2))
        return cls(task, train, validation, scaling, weights, trims)

    def compile(
        self,
        model: keras.Model,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        optimizer: keras.optimizers.Optimizer | None = None,
    ) -> None:
        """Compiles a model to be trained: its losses are of scaled targets, its error in units."""
        task = get_task(self.task)
        metric = None
        if self.scaling is not None:
            self.scaling.begun(model)
            metric = self.scaling.metric(task.metric)
        task.compile(model, learning_rate, metric, optimizer)

    def fit(
        self,
        model: keras.Model,
        *,
        epochs: int,
        initial_epoch: int = 0,
        batch_size: int,
        callbacks: Sequence[keras.callbacks.Callback],
        seed: int,
    ) -> keras.callbacks.History:
        """Trains a model as `keras.Model.fit` does, in the way that takes the least time.

        Rows that differ in length are trained on in batches of like length, without padding; or a
        long training is compiled, where that saves more.

        Args:
            model: As `compile` leaves it.
            epochs: See `keras.Model.fit`.
            initial_epoch: See `keras.Model.fit`.
            batch_size: Rows per step.
            callbacks: See `keras.Model.fit`.
            seed: Of the order of rows in batches of like length; that of others is Keras' own.
        """
        arguments: dict[str, Any] = {
            "epochs": epochs,
            "initial_epoch": initial_epoch,
            "callbacks": [*self.callbacks(), *callbacks],
            "verbose": 0,
        }
        rows, timesteps = self.train[0].shape[:2]
        compiles = xla.pays(model, timesteps, steps_of(rows, batch_size, epochs - initial_epoch))
        batches = self._batches(self.train[0], batch_size)
        if batches is not None and batches.saved >= (xla.SAVED if compiles else LEAST_SAVED):
            with any_length(model):
                return model.fit(**self._trimmed(batches, seed), **arguments)
        arguments |= self.arrays()
        arguments |= {"batch_size": batch_size, "validation_batch_size": self._unlearnt(batch_size)}
        with xla.compiled(model) if compiles else nullcontext():
            return model.fit(**arguments)

    def _trimmed(self, batches: Batches, seed: int) -> dict[str, Any]:
        """Returns what `arrays` does, in batches without padding."""
        _, *answers = self._fed(self.train)
        found = {"x": batches.to_learn_from(*answers, seed=seed), "shuffle": False}  # they are
        if self.validation is not None:
            x, *answers = self._fed(self.validation)
            held = replace(batches, x=x, batch_size=self._unlearnt(batches.batch_size))
            found["validation_data"] = held.to_answer(*answers)
        return found

    def _unlearnt(self, batch_size: int) -> int:
        """Returns the rows at once to validate on."""
        # A loss of answers per time step is an average over those of a batch.
        return batch_size if get_task(self.task).per_timestep else BATCH_SIZE

    def evaluate(self, model: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """Returns the loss and the metrics of rows, each of which counts alike.

        Args:
            model: Trained and compiled.
            x: Encoded inputs.
            y: Labels, or targets in the units of the model's answers.
        """
        weights, batches = self.row_weights(y), self._batches(x, BATCH_SIZE)
        if batches is None or get_task(self.task).per_timestep:
            rows = {"x": x, "y": y, "sample_weight": weights, "batch_size": BATCH_SIZE}
            found = model.evaluate(**rows, verbose=0, return_dict=True)
        else:
            with any_length(model):
                rows = batches.to_answer(y, weights)
                found = model.evaluate(rows, verbose=0, return_dict=True)
        return {name: float(value) for name, value in found.items()}

    def answers(self, model: keras.Model, x: np.ndarray) -> np.ndarray:
        """Returns what a model answers each row, float32.

        Args:
            model: Trained.
            x: Encoded inputs.
        """
        batches = self._batches(x, BATCH_SIZE)
        if batches is None or get_task(self.task).per_timestep:
            return np.asarray(model.predict(x, batch_size=BATCH_SIZE, verbose=0))
        with any_length(model):
            return batches.answers(model)

    def _batches(self, x: np.ndarray, batch_size: int) -> Batches | None:
        """Returns rows whose padding may be left out; None where it may not."""
        if not self.trims:
            return None
        return Batches(x, batch_size, get_task(self.task).per_timestep)

    def arrays(self) -> dict[str, Any]:
        """Returns the arguments of `keras.Model.fit` that hold rows."""
        x, y, weights = self._fed(self.train)
        validation = None if self.validation is None else self._fed(self.validation)
        if validation is not None and validation[2] is None:
            validation = validation[:2]
        return {"x": x, "y": y, "sample_weight": weights, "validation_data": validation}

    def _fed(self, pair: Pair) -> tuple[Any, ...]:
        x, y = pair
        return x, y if self.scaling is None else self.scaling.scaled(y), self.row_weights(y)

    def row_weights(self, y: np.ndarray) -> np.ndarray | None:
        """Returns the weight of each label of rows, float32 in the shape of `y`; None without."""
        return None if self.weights is None else self.weights[y].astype(np.float32)

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns the callbacks to come before all others."""
        return [] if self.scaling is None else [self.scaling.losses_in_units()]

    def finished(self, model: keras.Model) -> keras.Model:
        """Returns a trained model as the one to keep: it answers in the user's units."""
        return model if self.scaling is None else self.scaling.folded(model)

    @property
    def loss_unit(self) -> float:
        """What a loss of 1 is in the units of the losses that are told."""
        return 1.0 if self.scaling is None else self.scaling.variance


def _balanced(x: np.ndarray, y: np.ndarray, task: str, labels: int) -> np.ndarray:
    """Returns weights in inverse proportion to the labels' numbers of rows, 1 on average."""
    real = real_answers(x, y, task)
    counts = np.bincount((y if real is None else y[real]).ravel(), minlength=labels)
    # A label that the training rows lack has nothing to weigh.
    present = counts > 0
    weights = np.zeros(labels)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights
