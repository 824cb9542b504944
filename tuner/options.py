"""The options of a search: names, defaults, limits and help, checked without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.options import number, one_of, option, optional, text, whole
from keras_rnn_zoo.quantities import parse_seconds
from keras_rnn_zoo.training.options import (
    DataOptions,
    LearningOptions,
    folds_option,
)
from keras_rnn_zoo.tuner.engines import ENGINES
from keras_rnn_zoo.tuner.space import (
    BatchSize,
    LearningRate,
    Space,
    check_batch_size,
    check_learning_rate,
)
from keras_rnn_zoo.tuner.tuners import TUNERS


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"{name} is a dict. Received: {value!r}")
    return dict(value or {})


def _validation_split(name: str, value: Any) -> float:
    try:
        return float(number(above=0, below=1)(name, value))
    except ConfigError:
        raise ConfigError(
            f"A search compares trials on validation rows: {name} is above 0 and below 1. "
            f"Received: {value!r}"
        ) from None


def _seconds(name: str, value: Any) -> float:
    try:
        return float(number(above=0)(name, value))
    except ConfigError:
        raise ConfigError(f"{name} is a number of seconds. Received: {value!r}") from None


def _time(name: str, value: Any) -> float:
    if not isinstance(value, str):
        return float(number(above=0)(name, value))
    try:
        return parse_seconds(value)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _rates(written: str) -> Any:
    """Returns one rate or several; whether they can be used is for the check to say."""
    try:
        rates = [float(part) for part in written.split(",")]
    except ValueError:
        return written
    return rates[0] if len(rates) == 1 else tuple(rates)


def _sizes(written: str) -> Any:
    """Returns one number or several; whether they can be used is for the check to say."""
    try:
        sizes = [int(part) for part in written.split(",")]
    except ValueError:
        return written
    return sizes[0] if len(sizes) == 1 else tuple(sizes)


@dataclass(frozen=True, kw_only=True)
class SearchOptions(LearningOptions, DataOptions):
    """How a search is done; what is searched over, the data and the budget are said beside it.

    Attributes:
        RUNNING: Options that change how trials are run and not what they find: a search may be
            continued with others.
        TRIALS: The most trials where neither they nor a time are asked for.
    """

    RUNNING: ClassVar[tuple[str, ...]] = (
        "workers",
        "engine",
        "engine_options",
        "trial_timeout",
        "keep",
        "baseline",
        "max_time",
    )
    TRIALS: ClassVar[int] = 10

    tuner: str = option("random", "How the next trial is chosen.", one_of(TUNERS), metavar="NAME")
    max_trials: int | None = option(
        None,
        "The most trials; more than a finished search has go on with it. A model that Hyperband "
        "trains further counts as another trial.",
        optional(whole(least=1)),
        metavar="N",
        shown_default=f"{TRIALS}, or no limit with --max-time",
    )
    max_time: float | None = option(
        None,
        "Start no trial later than this, such as 30m: s, m or h. Those that are running then are "
        "finished, and a finished search goes on for as long again.",
        optional(_time),
        metavar="TIME",
        parse=parse_seconds,
        shown_default="no limit",
    )
    config: Mapping[str, Any] = option(
        None,
        "Config values of all models, which are not searched; a list holds those to search among.",
        _mapping,
        flag="",
    )
    spaces: Mapping[str, Space] | None = option(
        None, "Search spaces to use instead of the models' own; see `ZooHyperModel`.", flag=""
    )
    learning_rate: LearningRate | None = option(
        None,
        "The least and the greatest rate of Adam to search between, or one to fix it.",
        optional(lambda _, value: check_learning_rate(value)),
        metavar="RATES",
        parse=_rates,
        shown_default="a tenth to ten times that of `train`",
    )
    epochs: int | None = option(
        None,
        "The most epochs of a trial.",
        optional(whole(least=1)),
        metavar="N",
        shown_default="as `train`: what makes 2,000 steps, 4 to 500",
    )
    batch_size: BatchSize | None = option(
        None,
        "Rows per step; several, such as 32,64,128, are searched among.",
        optional(check_batch_size),
        metavar="N",
        parse=_sizes,
        shown_default="as `train`: 32 of fewer than 5,000 rows, or 64",
    )
    patience: int | None = option(
        None,
        "Stop a trial after this many epochs without a better validation loss; 0 never.",
        optional(whole(least=0)),
        metavar="N",
        shown_default="as `train`: a sixth of the epochs, or never if --epochs is given",
    )
    folds: int | None = folds_option(
        "Train each trial K times, each time without one of K parts of the rows, and score it by "
        "its mean on these; its file is that of the first. Takes the place of --validation-split."
    )
    validation_split: float = option(
        0.1, "Part of the training rows to validate on.", _validation_split, metavar="PART"
    )
    objective: str | None = option(
        None,
        "What to optimize: accuracy, quantized_accuracy, loss, size, latency, arena, parameters, "
        "seconds, or a weighted sum such as 'quantized_accuracy - 0.02*latency'. Which way is "
        "better follows from the parts; where they disagree, 'max: ' or 'min: ' before it says so.",
        optional(text),
        metavar="TEXT",
        shown_default="accuracy, or the mean absolute error of a regression",
    )
    workers: int = option(1, "Trials that run at once.", whole(least=1), metavar="N")
    engine: str = option("local", "Where trials run.", one_of(ENGINES), metavar="NAME")
    engine_options: Mapping[str, Any] = option(
        None, "Options of the engine: `address` for `ray`.", _mapping, flag=""
    )
    trial_timeout: float | None = option(
        None,
        "Stop a trial that takes longer than this many seconds.",
        optional(_seconds),
        metavar="SECONDS",
        shown_default="no limit",
    )
    keep: int = option(5, "Checkpoints to keep, of the best trials.", whole(least=1), metavar="K")

    def __post_init__(self) -> None:
        super().__post_init__()
        split = type(self).validation_split
        if self.folds is not None and self.validation_split != split:
            raise ConfigError(
                f"{self.folds} folds validate on a part of the rows each, one after the other, and "
                f"leave nothing to validation_split. Leave one out. Received: folds={self.folds}, "
                f"validation_split={self.validation_split}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as a JSON object; `spaces`, which are code, are left out."""
        values = {**super().to_dict()}
        del values["spaces"]
        return values

    def identity(self) -> dict[str, Any]:
        """Returns what decides which trials a search makes and how they are compared."""
        # The target is one of the budget, which is kept beside these.
        others = (*self.RUNNING, "schema", "target")
        found = {name: value for name, value in self.to_dict().items() if name not in others}
        # Once, None was to be said for no patience.
        return {**found, "patience": self.patience or None}
