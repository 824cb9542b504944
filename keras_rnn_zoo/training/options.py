"""What a training is asked, checked without TensorFlow before any data are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.options import Options, choice, flag, number, option, optional, whole
from keras_rnn_zoo.preprocessing.options import EncodingOptions
from keras_rnn_zoo.preprocessing.reading import WAYS, ReadOptions
from keras_rnn_zoo.training.schedules import SCHEDULES

CLASS_WEIGHTS = ("balanced",)
WORD_VECTORS = ("random", "cooccurrence")


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
    baseline: bool = option(
        True,
        "Fit a bag of words to texts, to compare the model with; simpler baselines cost nothing.",
        flag,
    )


def _folds(name: str, value: Any) -> int:
    try:
        return int(whole(least=2)(name, value))
    except ConfigError:
        raise ConfigError(
            f"{name} is how many parts the rows are cut into, each held out once: 2 or more, "
            f"usually 5. Received: {value!r}"
        ) from None


def folds_option(text: str) -> int | None:
    """Returns the option of whoever cross-validates.

    Args:
        text: What the help says of it.
    """
    count: int | None = option(None, text, optional(_folds), metavar="K", shown_default="no folds")
    return count


@dataclass(frozen=True, kw_only=True)
class LearningOptions(Options):
    """How a model learns, in `train` and in the trials of a search alike."""

    schedule: str = option(
        "constant",
        "How the learning rate goes on: it stays (constant), falls to 0 until the last of the "
        "epochs (linear, cosine), or rises for a tenth of the steps before (warmup_cosine).",
        choice(*SCHEDULES),
    )
    word_vectors: str = option(
        "random",
        "What the embedding of token ids starts from: random vectors, or those of words that stand "
        "beside the same words in the training texts (cooccurrence), which takes some seconds.",
        choice(*WORD_VECTORS),
    )
    class_weight: str | None = option(
        None,
        "How much each label counts in training: 'balanced' gives rare labels as much weight in "
        "all as frequent ones.",
        optional(choice(*CLASS_WEIGHTS)),
        shown_default="every row counts alike",
    )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(LearningOptions, DataOptions):
    """How one model is trained."""

    epochs: int | None = option(
        None,
        "Passes over the training rows, at most.",
        optional(whole(least=1)),
        metavar="N",
        shown_default="what makes 2,000 steps, 4 to 500",
    )
    batch_size: int | None = option(
        None,
        "Rows per step.",
        optional(whole(least=1)),
        metavar="N",
        shown_default="32 of fewer than 5,000 rows, or 64",
    )
    learning_rate: float | None = option(
        None,
        "Of Adam.",
        optional(number(above=0)),
        metavar="RATE",
        shown_default="0.003 of fewer than 5,000 rows, or 0.001",
    )
    patience: int | None = option(
        None,
        "Stop after N epochs without a better validation loss; 0 never. The best weights are kept "
        "in any case.",
        optional(whole(least=0)),
        metavar="N",
        shown_default="a sixth of the epochs, at least 2, or never if --epochs is given",
    )
    folds: int | None = folds_option(
        "Before the model is trained, train it K times, each time without one of K parts of the "
        "rows, which is asked then: a figure over all rows, with an interval. K + 1 trainings."
    )


@dataclass(frozen=True, kw_only=True)
class RunOptions(TrainOptions):
    """How one model is trained, and what becomes of a run that is there already."""

    resume: bool = option(
        False,
        "Go on with the training of the run at the output, which replaces it; its options are to "
        "be repeated, and epochs and patience may be others.",
        flag,
    )
