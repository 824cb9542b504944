"""What a person who waits for a search sees: a line per trial, and one that moves on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from keras_rnn_zoo.quantities import duration


class Watcher:
    """Writes to stderr, because stdout belongs to the result.

    Args:
        enabled: False writes nothing.
        total: How many trials there will be at most.
        objective: Name of the score.
    """

    def __init__(self, enabled: bool, total: int, objective: str) -> None:
        self.enabled = enabled
        self.total = total
        self.objective = objective
        self.live = enabled and sys.stderr.isatty()
        self._started = time.monotonic()
        self._trained = 0

    def say(self, line: str) -> None:
        """Writes a line."""
        if self.enabled:
            wipe = "\r\x1b[K" if self.live else ""
            print(f"{wipe}{line}", file=sys.stderr, flush=True)

    def ended(
        self,
        trial: Mapping[str, Any],
        number: int,
        best: Mapping[str, Any] | None,
    ) -> None:
        """Writes the line of a trial that ended.

        Args:
            trial: See `records.describe`.
            number: The how manyth it was to start.
            best: The best trial so far, or None.
        """
        # One over budget takes a moment, and says nothing of how long the others take.
        self._trained += trial["status"] != "infeasible"
        values = "  ".join(
            f"{name.removeprefix(trial['model'] + '.')}={_short(value)}"
            for name, value in trial["hyperparameters"].items()
            if name != "model"
        )
        line = f"trial {number}/{self.total}  {trial['model']}  {values}  "
        if trial["status"] == "infeasible":
            line += str(trial["message"])
        elif trial["score"] is None:
            line += f"failed: {trial['message']}"
        else:
            line += f"{self.objective} {trial['score']:.4f}"
            if trial["bytes"] is not None:
                line += f"  {trial['bytes'] / 1000:,.0f} kB"
            if trial["latency_ms"] is not None:
                line += f"  {trial['latency_ms']:.3g} ms"
        if best is not None:
            line += f"  best {best['score']:.4f} ({best['model']})"
        if trial["seconds"] is not None:
            line += f"  {trial['seconds']:.1f} s"
        self.say(line)

    def tick(
        self,
        trials: Sequence[Mapping[str, Any]],
        best: Mapping[str, Any] | None,
        doing: Mapping[str, str],
        models: Mapping[str, str],
    ) -> None:
        """Renews the line that says how the search stands; for a terminal, see `live`.

        Args:
            trials: Those that ended; see `records.describe`.
            best: The best of them, or None.
            doing: Id of a running trial -> what it does.
            models: Id of a running trial -> its model.
        """
        infeasible = sum(trial["status"] == "infeasible" for trial in trials)
        failed = sum(trial["status"] == "failed" for trial in trials)
        parts = [f"{len(trials)}/{self.total} done"]
        if infeasible:
            parts.append(f"{infeasible} over budget")
        if failed:
            parts.append(f"{failed} failed")
        if best is not None:
            parts.append(f"best {best['score']:.4f} ({best['model']})")
        if self._trained:
            rest = self.total - len(trials)
            each = (time.monotonic() - self._started) / self._trained
            parts.append(f"about {duration(each * rest)} left")
        parts += [f"{name} {models[name]}: {text}" for name, text in doing.items()]
        line = "; ".join(parts)
        print(f"\r\x1b[K{_fitted(line)}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Wipes the line that moves."""
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _fitted(line: str) -> str:
    width = shutil.get_terminal_size().columns - 1
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
