"""KerasTuner oracles whose state is on disk whole, at every moment.

KerasTuner writes a trial's file and then the oracle's, each by emptying it first: a kill leaves
broken JSON, or two files that disagree. Here the oracle's file holds everything, trials included,
and changes in one step. The trials' own files are still written, for KerasTuner's own readers.
"""

from __future__ import annotations

import copy
import functools
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import SearchError

if TYPE_CHECKING:
    from keras_tuner import Oracle
else:
    Oracle = object


class DurableOracle(Oracle):  # type: ignore[misc]
    """A mixin for a `keras_tuner.Oracle`, to come before it in the bases.

    Attributes:
        records: What KerasTuner does not keep of a trial: id -> history, seconds, and `"excess"`
            for one over budget, see `budget.DeviceBudget.excess`.
    """

    records: dict[str, dict[str, Any]]
    ongoing_trials: dict[str, Trial]
    _retry_queue: list[str]
    _held = 0

    def __init__(self, *args: Any, **kwargs: Any):
        self.records = {}
        super().__init__(*args, **kwargs)
        self.verbose = 0
        # KerasTuner takes a space for exhausted that 20 draws find nothing new in.
        self._max_collisions = 500

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Saves once, at the end, what the body changes; not at all if it fails."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        self.save()

    def create_trial(self, tuner_id: str) -> Trial:
        """Returns the next trial; it is on disk as running."""
        with self.one_step():
            return super().create_trial(tuner_id)

    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Trial:
        """Takes a trial's metrics; none if the objective is NaN or infinite."""
        numbers = {name: value for name, value in metrics.items() if math.isfinite(value)}
        if self.objective.has_value(metrics) and not self.objective.has_value(numbers):
            return self.trials[trial_id]
        return super().update_trial(trial_id, numbers, step=step)

    def end_trial(self, trial: Trial) -> None:
        """Ends a trial; it is on disk as ended.

        One that completed without a score failed. One over budget (see `records`) is scored worse
        than all that are within it, then and later.
        """
        with self.one_step():
            name = self.objective.name
            scored = self.trials[trial.trial_id].metrics.exists(name)
            over = self.records.get(trial.trial_id, {}).get("excess")
            if trial.status == "COMPLETED" and not scored and not over:
                trial.status, trial.message = "FAILED", f"{name} became NaN or infinite."
            super().end_trial(trial)
            self._keep_apart()

    def score_trial(self, trial: Trial) -> None:
        """Sets the score of a trial that completed."""
        excess = self.excess(trial.trial_id)
        if excess:
            trial.score, trial.best_step = self.penalty(excess), 0
        else:
            super().score_trial(trial)

    def excess(self, trial_id: str) -> dict[str, float]:
        """Returns limit -> the factor by which a trial that ended over budget exceeds it."""
        excess: dict[str, float] = self.records.get(trial_id, {}).get("excess") or {}
        return excess if self.trials[trial_id].status == "COMPLETED" else {}

    def maximized_scores(self) -> dict[str, float]:
        """Returns trial -> score, greater being better; of those that completed within budget."""
        sign = 1.0 if self.objective.direction == "max" else -1.0
        return {
            name: sign * float(trial.score)
            for name, trial in self.trials.items()
            if trial.status == "COMPLETED" and not self.excess(name)
        }

    def penalty(self, excess: Mapping[str, float]) -> float:
        """Returns a score for a trial over budget: worse than that of all within it, so far.

        It is the worse the further the trial is over budget, and of the order of the scores, so
        that what learns from it can still tell these apart.

        Args:
            excess: See `budget.DeviceBudget.excess`.
        """
        scores = self.maximized_scores().values()
        best, worst = max(scores, default=0.0), min(scores, default=0.0)
        spread = (best - worst) or abs(worst) or 1.0
        score = worst - spread * (1 + sum(math.log(times) for times in excess.values()))
        return score if self.objective.direction == "max" else -score

    def _keep_apart(self) -> None:
        """Scores all over budget anew, once a trial within it is as bad as one of them."""
        over = [trial for name, trial in self.trials.items() if self.excess(name)]
        scores = self.maximized_scores().values()
        sign = 1.0 if self.objective.direction == "max" else -1.0
        if over and scores and min(scores) <= max(sign * trial.score for trial in over):
            for trial in over:
                self.score_trial(trial)
                self._save_trial(trial)

    def save(self) -> None:
        """Writes the state, whole or not at all.

        Raises:
            OutputError: The place cannot be written.
        """
        if not self._held:
            # On one line: it is written at every step, and for nobody to read.
            state = json.dumps(self.get_state(), allow_nan=False, ensure_ascii=False)
            files.write_text(self._get_oracle_fname(), state)

    def _save_trial(self, trial: Trial) -> None:
        directory = Path(self._get_trial_dir(trial.trial_id))
        files.write_json(directory / "trial.json", trial.get_state())

    def _get_trial_dir(self, trial_id: str) -> str:
        directory = Path(self._project_dir) / f"trial_{trial_id}"
        with files.explained(directory):
            directory.mkdir(parents=True, exist_ok=True)
        return str(directory)

    def get_state(self) -> dict[str, Any]:
        """Returns KerasTuner's state and, with it, the trials and their records."""
        state: dict[str, Any] = super().get_state()
        # The space is the same for all, so a trial's values say what its hyperparameters are.
        state["trials"] = {
            name: {**trial.get_state(), "hyperparameters": trial.hyperparameters.values}
            for name, trial in self.trials.items()
        }
        state["records"] = self.records
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over what `get_state` returned."""
        # KerasTuner changes the config that it reads.
        config = copy.deepcopy(state["hyperparameters"])
        space = keras_tuner.HyperParameters.from_config(config)
        self.trials = {}
        for name, trial in state["trials"].items():
            config = {**space.get_config(), "values": trial["hyperparameters"]}
            self.trials[name] = Trial.from_state({**trial, "hyperparameters": config})
        self.records = state["records"]
        super().set_state(state)

    def reload(self) -> None:
        """Reads the state; trials that were running are to be run again.

        They come before any new trial, in the order in which they started.

        Raises:
            SearchError: The state is damaged.
        """
        path = Path(self._get_oracle_fname())
        try:
            self.set_state(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SearchError(
                f"Cannot go on with the search: {path} is damaged ({error.__class__.__name__}: "
                f"{error}). Move the directory away, and start again."
            ) from error
        again = set(self._retry_queue)
        for trial in self.trials.values():
            if trial.status == "RUNNING":
                trial.metrics = type(trial.metrics)()
                trial.score, trial.best_step, trial.message = None, 0, None
                again.add(trial.trial_id)
        # KerasTuner takes the last of the queue first.
        self._retry_queue = [name for name in reversed(self.start_order) if name in again]
        self.ongoing_trials = {}
        for directory in path.parent.glob("trial_*"):
            if directory.name.removeprefix("trial_") not in self.trials:
                shutil.rmtree(directory, ignore_errors=True)


@functools.lru_cache
def durable(oracle: type[keras_tuner.Oracle]) -> Any:
    """Returns a subclass of a KerasTuner oracle's class that loses nothing."""
    return type(f"Durable{oracle.__name__}", (DurableOracle, oracle), {})
