"""What a search found, as its page and its charts need it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from keras_rnn_zoo.tuner.results import cautions, records
from keras_rnn_zoo.tuner.results.front import front, quality
from keras_rnn_zoo.tuner.results.importance import common_names
from keras_rnn_zoo.tuner.results.records import TrialRecord
from keras_rnn_zoo.tuner.trials.budget import DeviceBudget


class Findings:
    """A search, finished or not.

    Args:
        info: What `search.json` says.
        trials: Those that ended, in the order in which they started.

    Attributes:
        settings: What the search was asked.
        budget: Of the search; None where it does not say.
        score: Name of the objective.
        direction: Of it: `"max"` or `"min"`.
    """

    def __init__(self, info: Mapping[str, Any], trials: Sequence[TrialRecord]):
        self.info = info
        self.trials = trials
        self.settings: Mapping[str, Any] = info["settings"]
        device = self.settings.get("device")
        self.budget = DeviceBudget.from_dict(device) if device else None
        self.score: str = info["objective"]["name"]
        self.direction: str = info["objective"]["direction"]

    @property
    def status(self) -> str:
        """`"unfinished"`, `"finished"` or `"failed"`."""
        return str(self.info["status"])

    @cached_property
    def counts(self) -> Counter[str]:
        """Status -> number of trials."""
        return Counter(trial.status for trial in self.trials)

    @cached_property
    def winner(self) -> TrialRecord | None:
        """The trial that the search named, or the best so far."""
        named = (self.info.get("best") or {}).get("trial_id")
        for trial in self.trials:
            if trial.trial_id == named:
                return trial
        return records.best(self.trials, self.direction)

    @cached_property
    def front(self) -> list[str]:
        """Ids of the trials on the Pareto front."""
        return front(self.trials, self.direction)

    @cached_property
    def quality(self) -> tuple[str, str, dict[str, float]]:
        """See `front.quality`; the measure has its own name."""
        measure, better, values = quality(self.trials, self.direction)
        return self.score if measure == "score" else measure, better, values

    @cached_property
    def interval(self) -> cautions.Interval | None:
        """How sure the score of the winner, or of the best so far, is."""
        return cautions.interval(self.info, self.trials, self.winner)

    @cached_property
    def baseline(self) -> cautions.Baseline | None:
        """The winner beside an answer without a model."""
        return cautions.baseline(self.info)

    @cached_property
    def models(self) -> list[str]:
        """The models that trials are of, in the order of their colours."""
        return sorted({trial.model for trial in self.trials})

    @cached_property
    def searched(self) -> list[str]:
        """Names of the hyperparameters beside the model, as models share them."""
        names = dict.fromkeys(name for trial in self.trials for name in common_names(trial))
        return [name for name in names if name != "model"]

    @cached_property
    def quantized(self) -> list[str]:
        """Measures of the .tflite files, without the objective."""
        names = {name for trial in self.trials for name in trial.metrics}
        return sorted({name for name in names if name.startswith("quantized_")} - {self.score})

    def is_kept(self, trial: TrialRecord) -> bool:
        """Returns whether a trial is left as a run that can be exported."""
        return trial is self.winner or trial.trial_id in self.front
