"""What a training is asked, checked without TensorFlow before any data are read."""

from __future__ import annotations

from dataclasses import dataclass

from keras_rnn_zoo.options import choice, number, option, optional, whole
from keras_rnn_zoo.preprocessing.options import EncodingOptions
from keras_rnn_zoo.preprocessing.reading import WAYS, ReadOptions


@dataclass(frozen=True, kw_only=True)
class DataOptions(EncodingOptions, ReadOptions):
    """How data are read, split and encoded: for training, searching and exporting alike."""

    validation_split: float = option(
        0.1,
        "Part of the training rows to hold out for validation.",
        number(least=0, below=1),
        metavar="PART",
    )
    test_split: float | None = option(
        None,
        "Part of the rows to hold out for tests, where the data have no test rows.",
        optional(number(least=0, below=1)),
        metavar="PART",
        shown_default="0.2 of windows, else none",
    )
    split: str | None = option(
        None,
        "How rows are held out: at random, the last ones in time, or other recordings (group). "
        "Windows that overlap never stand on both sides.",
        optional(choice(*WAYS)),
        shown_default="group where there are five recordings with labels, time for other windows, "
        "else random",
    )
    seed: int = option(0, "Of every random choice.", whole(most=2**32 - 2), metavar="N")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(DataOptions):
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
