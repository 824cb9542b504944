"""How far a search goes: so many trials, so much time, and how much further than before."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_rnn_zoo.errors import OutputError
from keras_rnn_zoo.tuner.options import SearchOptions

UNLIMITED = 9999
"""The most trials of a search that a time ends: its tuner has to be told a number."""


@dataclass(frozen=True)
class Extent:
    """How far a search goes.

    Attributes:
        max_trials: The most trials, those of earlier calls among them; None where time alone ends
            the search.
        max_time: Seconds after which no trial is started; None sets no limit.
        began: When this call began, by `time.monotonic`.
    """

    max_trials: int | None
    max_time: float | None
    began: float

    @classmethod
    def of(cls, options: SearchOptions, path: Path, info: Mapping[str, Any]) -> Extent:
        """Returns how far a search goes from now on.

        Args:
            options: What is asked for.
            path: The search directory, for the message.
            info: What its `search.json` says; empty where there is none yet.

        Raises:
            OutputError: Fewer trials are asked for than before.
        """
        asked, before = options.max_trials, info.get("settings", {}).get("max_trials")
        if asked is not None and before is not None and asked < before:
            raise OutputError(
                f"{path} holds a search with other settings: max_trials is {before} there and "
                f"{asked} here. Give as many or more to go on with it, or name a new directory."
            )
        if asked is None and options.max_time is None:
            asked = before or SearchOptions.TRIALS
        return cls(asked, options.max_time, time.monotonic())

    @property
    def most(self) -> int:
        """The most trials, as a number in any case."""
        return UNLIMITED if self.max_trials is None else self.max_trials

    @property
    def deadline(self) -> float:
        """When the time is over, by `time.monotonic`."""
        return math.inf if self.max_time is None else self.began + self.max_time

    def goes_beyond(self, info: Mapping[str, Any], ended: int) -> bool:
        """Returns whether there are trials to come after those that ended.

        Args:
            info: What `search.json` says.
            ended: How many have ended.
        """
        before, over = info["settings"].get("max_trials"), info["status"] != "unfinished"
        # Once, a search that ended before its last trial had tried out its space.
        exhausted = info.get("exhausted", over and before is not None and ended < before)
        return not exhausted and ended < self.most
