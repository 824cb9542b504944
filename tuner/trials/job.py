"""What a trial has to do, and its outcome: plain values, for a process anywhere.

The search decides; a job says all that a trial needs to know, so that another process, or another
machine, can run it without the search's objects. Nothing here imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

COMPLETED, INFEASIBLE, FAILED, ABORTED = "completed", "infeasible", "failed", "aborted"

CHECKPOINT = "checkpoint.weights.h5"
"""The weights of a trial's best epoch, in its directory, as KerasTuner calls them."""

ARRAYS = ("x_train", "y_train", "x_validation", "y_validation")

Arrays = Mapping[str, np.ndarray]
"""Those of `ARRAYS`, of features `scaling`: see `training.Prepared`. Of folds, see `fold_key`."""


def fold_key(number: int, name: str) -> str:
    """Returns what an array of a further fold is called: they are numbered from 2."""
    return f"fold{number}_{name}"


@dataclass(frozen=True)
class Job:
    """A trial to run.

    Attributes:
        trial_id: Of KerasTuner's oracle.
        model: Name of the builder.
        config: Complete config of the builder, JSON-able.
        learning_rate: Of Adam, the greatest.
        seed: Of initial weights, shuffling and dropout.
        epochs: Epoch to train up to.
        initial_epoch: Epoch to start from.
        batch_size: Rows per step.
        patience: Epochs without a better validation loss before it stops; None never.
        objective: The measure of Keras that says which epoch is best, and `"max"` or `"min"`.
        data: Key of the arrays to train and validate on.
        parent: Id of the trial whose checkpoint it starts from, or None.
        device: What to measure, and the limits: see `budget.DeviceBudget.to_dict`.
        attached: Bytes that the target adds to the file, such as the vocabulary.
        modules: Modules whose import registers the model, where the zoo does not.
        callbacks: `"module:function"` that returns further Keras callbacks, or None.
        class_weight: How much each label counts: see `feed.Feed.of`.
        schedule: How the learning rate goes on; see `training.schedules`.
        word_vectors: What the embedding starts from; see `training.word_vectors`.
        schedule_epochs: Epochs until its end, from the first of a trial that goes on from another
            on; None for `epochs`.
        folds: The configs of the model in further folds, each to be trained on arrays of its own
            (see `fold_key`): words, and so their number, are of the training rows. Empty without
            folds.
    """

    trial_id: str
    model: str
    config: dict[str, Any]
    learning_rate: float
    seed: int
    epochs: int
    initial_epoch: int
    batch_size: int
    patience: int | None
    objective: tuple[str, str]
    data: str
    parent: str | None = None
    device: dict[str, Any] = field(default_factory=dict)
    attached: int = 0
    modules: tuple[str, ...] = ()
    callbacks: str | None = None
    class_weight: str | None = None
    schedule: str = "constant"
    word_vectors: str = "random"
    schedule_epochs: int | None = None
    folds: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the content as a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """Returns what `to_dict` returned, also after a trip through JSON."""
        lists = ("objective", "modules", "folds")
        return cls(**{**values, **{key: tuple(values[key]) for key in lists if key in values}})


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        status: `"completed"`; `"infeasible"`: over budget, so it was not trained; `"failed"`;
            `"aborted"`: the place could not be written, so that no trial can go on.
        message: Why it ended so, or which limits it exceeds and by how much.
        metrics: Of the best epoch, as Keras names them, and the figures of the quantized file.
        best_epoch: Index of the best among the epochs trained here.
        history: A value per epoch for each measure of Keras.
        parameters: Of the model.
        bytes: Size of the .tflite file; None where it was not measured.
        latency_ms: Median of a call of it, batch 1, one thread.
        arena: Bytes of the least tensor arena of it; None where it was not measured.
        excess: Limit -> by what factor the model exceeds it, for those that it exceeds.
        seconds: What took how long: `"build"`, `"measure"`, `"train"`, `"score"`.
        folds: The metrics of each fold, of which `metrics` are the averages over all rows, and of
            whose first all else is; empty without folds.
    """

    status: str
    message: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    parameters: int | None = None
    bytes: int | None = None
    latency_ms: float | None = None
    arena: int | None = None
    excess: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    folds: list[dict[str, float]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Returns the content as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Progress:
    """How far a running trial is.

    Attributes:
        trial_id: Which.
        text: `"epoch 2/4, batch 10/352"`, or what else it is doing.
    """

    trial_id: str
    text: str


@dataclass(frozen=True)
class Ended:
    """A trial that ended; if it completed, its checkpoint is in its directory.

    Attributes:
        trial_id: Which.
        outcome: See `Outcome`. A process that died, hung or was lost is a failure.
    """

    trial_id: str
    outcome: Outcome


Report = Callable[[str], None]
"""Takes a line about the progress of a trial."""

TrialDirectory = Callable[[str], Path]
"""Returns the directory of a trial, which exists."""
