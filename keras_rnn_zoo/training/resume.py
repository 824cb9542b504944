"""A training that goes on where it was stopped: the same model, data and options."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.errors import ConfigError, RunError
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.training.course import Course
from keras_rnn_zoo.training.feed import Feed
from keras_rnn_zoo.training.options import TrainOptions
from keras_rnn_zoo.training.prepare import Prepared
from keras_rnn_zoo.training.run import HISTORY_FILE, MODEL_FILE, Run

if TYPE_CHECKING:
    import keras

    from keras_rnn_zoo.builder import ModelBuilder


@dataclass(frozen=True)
class Earlier:
    """What a run knows of its training, to go on from.

    Attributes:
        path: The run directory.
        history: A list of values per epoch that ended, for each measure.
        epochs: That ended.
        best_epoch: Whose weights the run has, counting from 1.
        seconds: That they took.
    """

    path: Path
    history: dict[str, list[float]]
    epochs: int
    best_epoch: int
    seconds: float

    def load(
        self, feed: Feed, learning_rate: float | keras.optimizers.schedules.LearningRateSchedule
    ) -> keras.Model:
        """Returns the model as training had it: weights of the best epoch, the optimizer's state.

        Args:
            feed: As it was trained with.
            learning_rate: As it was trained with.

        Raises:
            RunError: The model file is missing or damaged.
        """
        import keras

        import keras_rnn_zoo.layers  # noqa: F401  (registers the cell loop)

        place = self.path / MODEL_FILE
        try:
            model = keras.saving.load_model(place)
            optimizer = model.optimizer
        except Exception as error:  # whatever a damaged archive makes Keras, zipfile or h5py raise
            raise RunError(
                f"Cannot go on from {place}: {' '.join(str(error).split())[:200]}. Train again in "
                "a new directory."
            ) from error
        if feed.scaling is not None:
            model = feed.scaling.unfolded(model)
        if not isinstance(learning_rate, float):  # one that falls to the end of more epochs
            optimizer.learning_rate = learning_rate
        feed.compile(model, learning_rate, optimizer)
        return model


def earlier_of(
    path: PathLike,
    prepared: Prepared,
    builder: ModelBuilder,
    options: TrainOptions,
    course: Course,
) -> Earlier:
    """Returns what a run's training can go on from.

    Args:
        path: The run directory.
        prepared: The data, encoded anew.
        builder: Of the model.
        options: Of the training that is to go on.
        course: What follows from them.

    Raises:
        RunError: There is no run, or a damaged one.
        ConfigError: It was trained on other data or with other options, or to its end.
    """
    run = Run.load(path)
    different = _differences(run, prepared, builder, options, course)
    if different:
        raise ConfigError(
            f"{path} was trained otherwise: {'; '.join(different)}. Repeat its options to go on "
            "with it, or name a new directory without resume."
        )
    done = int(run.metrics["epochs"])
    if done >= course.epochs:
        raise ConfigError(
            f"{path} was trained for {done} of {course.epochs} epochs: there is nothing left. "
            f"Set epochs above {done} to train it further."
        )
    assert run.path is not None
    try:
        with (run.path / HISTORY_FILE).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        names = [name for name in rows[0] if name != "epoch"]
        history = {name: [float(row[name]) for row in rows] for name in names}
    except (OSError, ValueError, IndexError, TypeError, KeyError) as error:
        raise RunError(
            f"Cannot read {run.path / HISTORY_FILE}: {error}. Train again in a new directory."
        ) from error
    return Earlier(
        run.path, history, done, int(run.metrics["best_epoch"]), float(run.metrics["seconds"])
    )


def _differences(
    run: Run, prepared: Prepared, builder: ModelBuilder, options: TrainOptions, course: Course
) -> list[str]:
    """Returns how a run was trained otherwise; how long does not matter."""
    info: dict[str, Any] = run.info
    was, data = info["hyperparameters"], info.get("data") or {}
    pairs = {
        "model": (info["model"], builder.name),
        **{name: (info["config"].get(name), value) for name, value in builder.config.items()},
        "learning_rate": (was.get("learning_rate"), course.learning_rate),
        "batch_size": (was.get("batch_size"), course.batch_size),
        "schedule": (was.get("schedule", "constant"), options.schedule),
        "word_vectors": (was.get("word_vectors", "random"), options.word_vectors),
        "class_weight": (was.get("class_weight"), options.class_weight),
        "seed": ((info.get("provenance") or {}).get("seed"), options.seed),
        "rows": (data.get("rows"), prepared.data["rows"]),
        "sha256 of the data": (data.get("sha256"), prepared.data.get("sha256")),
    }
    found = [
        f"{name} was {before} and is {now}"
        for name, (before, now) in pairs.items()
        if before != json.loads(json.dumps(now))
    ]
    if not found and run.preprocessor != prepared.preprocessor:
        found.append("the data are encoded otherwise")
    return found
