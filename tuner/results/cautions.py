"""What to know before a winner is trusted: how sure its score is, and what a constant is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from keras_rnn_zoo.quantities import score as written
from keras_rnn_zoo.tasks import METRICS
from keras_rnn_zoo.training.intervals import wilson
from keras_rnn_zoo.training.metrics import SHARES
from keras_rnn_zoo.tuner.results.records import TrialRecord

# Objectives that are the share of the rows that are answered rightly.
_SHARES = ("val_accuracy", "quantized_accuracy")
# An interval that is wider says little of a score, even if no other trial is near.
_WIDE = 0.1


@dataclass(frozen=True)
class Interval:
    """How sure the score of the winner is.

    Attributes:
        rows: Validation rows that it was chosen on, those of all folds together.
        score: Of the winner.
        low: Below this the share of right answers is not likely to be.
        high: Above this it is not likely to be.
        within: How many trials of other hyperparameters have a score in between.
        folds: That the score is the average of; None without folds.
    """

    rows: int
    score: float
    low: float
    high: float
    within: int
    folds: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the content as a JSON object."""
        return asdict(self)

    @property
    def matters(self) -> bool:
        """Whether the rows are too few: another trial may be as good, or the score may mislead."""
        return self.within > 0 or self.high - self.low > _WIDE

    def __str__(self) -> str:
        digits = 0 if self.high - self.low > _WIDE / 10 else 2
        in_folds = f" in {self.folds} folds" if self.folds else ""
        text = (
            f"Chosen on {self.rows:,} validation rows{in_folds}: its accuracy of "
            f"{written(self.score, percent=True)} there means anything from "
            f"{100 * self.low:.{digits}f} to {100 * self.high:.{digits}f} % (95 % interval)"
        )
        if self.within:
            others = "other trial is" if self.within == 1 else "other trials are"
            text += f"; {self.within} {others} not distinguishable from it"
        return text + "."


def interval(
    info: Mapping[str, Any], trials: Sequence[TrialRecord], winner: TrialRecord | None
) -> Interval | None:
    """Returns how sure the score of a winner is; None where that is not known.

    It is known of accuracies: see `intervals.wilson`. The time steps of a row are not independent,
    so where each has a label the rows are counted, and not the steps. That the best of several
    trials is likely to have had luck is not in it.

    Args:
        info: What `search.json` says.
        trials: Those that ended.
        winner: One of them, or None.
    """
    objective = info["objective"]
    if winner is None or winner.score is None or objective["name"] not in _SHARES:
        return None
    if not 0 <= winner.score <= 1:  # a damaged file, and no reason to go without a page
        return None
    data = _data(info, winner.model)
    folds = data.get("folds") or {}
    rows = folds.get("rows") or data.get("rows", {}).get("validation")
    if not rows:
        return None
    low, high = wilson(winner.score, folds.get("units") or rows)
    within = sum(
        low <= trial.score <= high
        for trial in trials
        # Hyperband's winner is a trial that was trained on: what it was before is no other.
        if trial.score is not None and trial.hyperparameters != winner.hyperparameters
    )
    return Interval(rows, winner.score, low, high, within, folds.get("count"))


@dataclass(frozen=True)
class Baseline:
    """A winner beside an answer without a model, on the same rows.

    Attributes:
        measure: What both are judged by.
        rows: `"test"`, or `"validation"` where there are no test rows.
        winner: Of the model.
        baseline: Of the answer without one.
        answer: What that is, in words.
    """

    measure: str
    rows: str
    winner: float
    baseline: float
    answer: str

    @property
    def beaten(self) -> bool:
        """Whether the model is better than the answer without one."""
        more = self.winner > self.baseline
        return more if METRICS[self.measure] == "max" else self.winner < self.baseline

    def to_dict(self) -> dict[str, Any]:
        """Returns the content as a JSON object."""
        return {**asdict(self), "beaten": self.beaten}

    def __str__(self) -> str:
        percent = self.measure in SHARES
        winner, baseline = (
            written(value, percent=percent) for value in (self.winner, self.baseline)
        )
        words = self.measure.replace("_", " ")
        if self.beaten:
            return f"Without a model: {self.answer} has a {self.rows} {words} of {baseline}."
        return (
            f"The winner is no better than an answer without a model: on the {self.rows} rows its "
            f"{words} is {winner}, and that of {self.answer} is {baseline}."
        )


def baseline(info: Mapping[str, Any]) -> Baseline | None:
    """Returns the winner of a search beside an answer without a model; None where it is not known.

    Args:
        info: What `search.json` says.
    """
    best = info.get("best") or {}
    judged = best.get("verdict")
    if judged:
        return Baseline(
            judged["measure"],
            judged["part"],
            float(judged["model"]),
            float(judged["baseline"]),
            f"{judged['name']} ({judged['text']})",
        )
    known = _data(info, best.get("model")).get("baseline") or {}
    for rows in ("test", "validation"):
        for measure in METRICS:
            mine, least = best.get(f"{rows}_{measure}"), known.get(f"{rows}_{measure}")
            if isinstance(mine, int | float) and isinstance(least, int | float):
                return Baseline(measure, rows, float(mine), float(least), _answer(known))
    return None


def _answer(known: Mapping[str, Any]) -> str:
    if known.get("label") is not None:
        return f"always answering {known['label']!r}"
    if known.get("values") is not None:
        return "always answering the mean of the training targets"
    return "a constant answer"


def _data(info: Mapping[str, Any], model: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (info.get("data") or {}).get(model) or {}
    return found
