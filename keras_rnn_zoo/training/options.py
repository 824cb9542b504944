"""What a training is asked, checked without TensorFlow before any data are read."""

from __future__ import annotations

from dataclasses import dataclass

from keras_rnn_zoo.options import Options, choice, number, option, optional, whole
from keras_rnn_zoo.preprocessing.options import ColumnOptions, EncodingOptions
from keras_rnn_zoo.training.schedules import SCHEDULES


@dataclass(frozen=True, kw_only=True)
class DataOptions(EncodingOptions, ColumnOptions):
    """How data are read, split and encoded: for training, searching and exporting alike."""

    validation_split: float = option(
        0.1,
        "Part of the training rows to hold out for validation.",
        number(least=0, below=1),
        metavar="PART",
    )
    seed: int = option(0, "Of every random choice.", whole(most=2**32 - 2), metavar="N")


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions(Options):
    """How the learning rate goes on while a model is trained."""

    schedule: str = option(
        "constant",
        "How the learning rate goes on: it stays (constant), falls to 0 until the last of the "
        "epochs (linear, cosine), or rises for a tenth of the steps before (warmup_cosine).",
        choice(*SCHEDULES),
    )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ScheduleOptions, DataOptions):
    """How one model is trained."""

    epochs: int = option(4, "Passes over the training rows, at most.", whole(least=1), metavar="N")
    batch_size: int = option(64, "Rows per step.", whole(least=1), metavar="N")
    learning_rate: float = option(1e-3, "Of Adam.", number(above=0), metavar="RATE")
    patience: int | None = option(
        None,
        "Stop after N epochs without a better validation loss, and take the best weights.",
        optional(whole(least=1)),
        metavar="N",
        shown_default="never",
    )
