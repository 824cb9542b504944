"""The progress of a search on stderr: a line per trial and, on a terminal, one that is renewed."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from keras_rnn_zoo.quantities import duration, size
from keras_rnn_zoo.tuner.results.charts import format_measure
from keras_rnn_zoo.tuner.results.importance import common_names
from keras_rnn_zoo.tuner.results.records import FAILED, INFEASIBLE, TrialRecord


class ProgressDisplay:
    """Writes to stderr, because stdout belongs to the result.

    Args:
        enabled: False writes nothing.
        total: How many trials there will be at most; None where a time ends them.
        objective: Name of the score.
        deadline: When the time for new trials is over, by `time.monotonic`.
    """

    def __init__(
        self, enabled: bool, total: int | None, objective: str, deadline: float = math.inf
    ) -> None:
        self.enabled = enabled
        self.total = total
        self.objective = objective
        self.deadline = deadline
        self.live = enabled and sys.stderr.isatty()
        self._started = time.monotonic()
        self._trained = 0

    @property
    def _of(self) -> str:
        return "" if self.total is None else f"/{self.total}"

    def say(self, line: str) -> None:
        """Writes a line."""
        if self.enabled:
            wipe = "\r\x1b[K" if self.live else ""
            print(f"{wipe}{line}", file=sys.stderr, flush=True)

    def trial_ended(self, trial: TrialRecord, number: int, best: TrialRecord | None) -> None:
        """Writes the line of a trial that ended.

        Args:
            trial: Which.
            number: Its place in the order in which trials started, from 1.
            best: The best trial so far, or None.
        """
        # One over budget takes a moment, and says nothing of how long the others take.
        self._trained += trial.status != INFEASIBLE
        values = "  ".join(
            f"{name}={_short(value)}"
            for name, value in common_names(trial).items()
            if name != "model"
        )
        line = f"trial {number}{self._of}  {trial.model}  {values}  "
        if trial.status == INFEASIBLE:
            line += str(trial.message)
        elif trial.score is None:
            line += f"failed: {trial.message}"
        else:
            line += f"{self.objective} {format_measure(self.objective, trial.score)}"
            if trial.bytes is not None:
                line += f"  {size(trial.bytes)}"
            if trial.arena is not None:
                line += f"  arena {size(trial.arena)}"
            if trial.latency_ms is not None:
                line += f"  {trial.latency_ms:.3g} ms"
        if best is not None:
            line += f"  best {format_measure(self.objective, best.score)} ({best.model})"
        if trial.seconds is not None:
            line += f"  {trial.seconds:.1f} s"
        self.say(line)

    def update(
        self,
        trials: Sequence[TrialRecord],
        best: TrialRecord | None,
        running: Mapping[str, str],
        models: Mapping[str, str],
    ) -> None:
        """Renews the line that says how the search stands; for a terminal, see `live`.

        Args:
            trials: Those that ended.
            best: The best of them, or None.
            running: Id of a running trial -> what it is doing.
            models: Id of a running trial -> its model.
        """
        counts = Counter(trial.status for trial in trials)
        parts = [f"{len(trials)}{self._of} done"]
        if counts[INFEASIBLE]:
            parts.append(f"{counts[INFEASIBLE]} over budget")
        if counts[FAILED]:
            parts.append(f"{counts[FAILED]} failed")
        if best is not None:
            parts.append(f"best {format_measure(self.objective, best.score)} ({best.model})")
        now = time.monotonic()
        left = max(0.0, self.deadline - now)
        if self._trained and self.total is not None:
            each = (now - self._started) / self._trained
            left = min(left, each * (self.total - len(trials)))
        if left < math.inf:
            parts.append(f"about {duration(left)} left")
        parts += [f"{name} {models[name]}: {text}" for name, text in running.items()]
        line = "; ".join(parts)
        print(f"\r\x1b[K{_fitted(line)}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Wipes the line that is renewed."""
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _fitted(line: str) -> str:
    width = shutil.get_terminal_size().columns - 1
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
