"""KerasTuner oracles whose state is on disk whole, at every moment.

KerasTuner writes a trial's file and then the oracle's, each by emptying it first: a kill leaves
broken JSON, or two files that disagree. Here the oracle's file holds everything, trials included,
and changes in one step. The trials' own files are still written, for KerasTuner's own readers.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator
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
        records: What KerasTuner does not keep of a trial: id -> history, seconds, ...
    """

    records: dict[str, dict[str, Any]]
    ongoing_trials: dict[str, Trial]
    _held = 0

    def __init__(self, *args: Any, **kwargs: Any):
        self.records = {}
        super().__init__(*args, **kwargs)
        self.verbose = 0

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

    def end_trial(self, trial: Trial) -> None:
        """Ends a trial; it is on disk as ended."""
        with self.one_step():
            super().end_trial(trial)

    def save(self) -> None:
        """Writes the state, whole or not at all.

        Raises:
            OutputError: The place cannot be written.
        """
        if not self._held:
            files.write_json(self._get_oracle_fname(), self.get_state())

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
        state["trials"] = {name: trial.get_state() for name, trial in self.trials.items()}
        state["records"] = self.records
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over what `get_state` returned."""
        self.trials = {name: Trial.from_state(value) for name, value in state["trials"].items()}
        self.records = state["records"]
        super().set_state(state)

    def reload(self) -> None:
        """Reads the state; trials that were running are to be run again, from their start.

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
        for trial in self.ongoing_trials.values():
            trial.metrics = type(trial.metrics)()
            trial.score, trial.best_step, trial.message = None, 0, None
            self._retry_queue.append(trial.trial_id)
        self.ongoing_trials = {}
        for directory in path.parent.glob("trial_*"):
            if directory.name.removeprefix("trial_") not in self.trials:
                shutil.rmtree(directory, ignore_errors=True)


@functools.lru_cache
def durable(oracle: type[keras_tuner.Oracle]) -> Any:
    """Returns a subclass of a KerasTuner oracle's class that loses nothing."""
    return type(f"Durable{oracle.__name__}", (DurableOracle, oracle), {})
