"""A search directory, opened: the winner, the trials, the Pareto front, the options."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from keras_rnn_zoo.artifacts import RUN_FILE
from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.training.run import Run
from keras_rnn_zoo.tuner.options import SearchOptions
from keras_rnn_zoo.tuner.results import cautions
from keras_rnn_zoo.tuner.results.records import TABLE_FILE, TrialRecord, ranked
from keras_rnn_zoo.tuner.trials.budget import DeviceBudget

FORMAT = 2
SEARCH_FILE, BEST, FRONT = "search.json", "best", "front"


@dataclass(frozen=True)
class Search:
    """A search as far as it is: finished, stopped, or still running in another process.

    ```python
    found = Search.load("searches/reviews")
    print(found.info["status"], found.trials[0].score)
    found.best.predict(["a wonderful, moving film"])
    ```

    Attributes:
        path: The search directory.
        info: What `search.json` says; `info["status"]` is `"unfinished"`, `"finished"` or
            `"failed"`.
        trials: Those that ended, the best first, failed ones last.
    """

    path: Path
    info: dict[str, Any]
    trials: list[TrialRecord]

    @classmethod
    def load(cls, path: PathLike) -> Search:
        """Opens a search directory without TensorFlow.

        Args:
            path: What `search` wrote to, of this version or an older one.

        Raises:
            RunError: There is no search, or it is damaged, or a newer version wrote it.
        """
        path = Path(path)
        if not (path / SEARCH_FILE).is_file():
            raise RunError(
                f"{path} is not a search: it has no {SEARCH_FILE}. Give a directory that `search` "
                "wrote to."
            )
        try:
            info = read_info(path)
            table = path / TABLE_FILE
            written = json.loads(table.read_text(encoding="utf-8")) if table.is_file() else []
            trials = [TrialRecord.from_dict(values) for values in written]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"The search {path} is damaged ({error.__class__.__name__}: {error}). Take a "
                "complete copy, or search again."
            ) from error
        if info["format"] != FORMAT:
            raise RunError(f"{path} {wrong_format(info['format'])}")
        return cls(path, info, trials).in_order()

    def in_order(self) -> Search:
        """Returns the same search with its trials in the order that the attribute promises."""
        winner = (self.info.get("best") or {}).get("trial_id")
        found = ranked(self.trials, self.info["objective"]["direction"])
        found.sort(key=lambda trial: trial.trial_id != winner)
        rest = [trial for trial in self.trials if trial.score is None]
        return Search(self.path, self.info, [*found, *rest])

    @cached_property
    def best(self) -> Run:
        """The winner, with its accuracy on rows that the search never saw.

        While a search that had finished goes on, it is the winner that it had.

        Raises:
            RunError: There is none yet, or it is damaged.
        """
        if not (self.path / BEST / RUN_FILE).is_file():
            raise RunError(
                f"The search {self.path} has no winner yet. Run the same search again to go on."
            )
        return Run.load(self.path / BEST)

    @property
    def front(self) -> list[str]:
        """Ids of the trials that no other one beats in quality, size and latency together.

        Each is a run in `front/<id>`, or the winner. Empty until the search is finished.
        """
        return list(self.info.get("front") or [])

    @property
    def interval(self) -> cautions.Interval | None:
        """How sure the winner's score is; None without a winner, and of what is no accuracy."""
        winner = self.trials[0] if self.info.get("best") and self.trials else None
        return cautions.interval(self.info, self.trials, winner)

    @property
    def baseline(self) -> cautions.Baseline | None:
        """The winner beside an answer without a model; None without a winner."""
        return cautions.baseline(self.info)

    @property
    def options(self) -> SearchOptions:
        """How the search was done; those options that only say how trials run are the default."""
        settings = self.info["settings"]
        known = {"schema", *SearchOptions.about()}
        return SearchOptions.from_dict({k: v for k, v in settings.items() if k in known})

    @property
    def budget(self) -> DeviceBudget:
        """The limits that the models had to keep, and which file had to keep them."""
        return DeviceBudget.from_dict(self.info["settings"].get("device") or {})


def read_info(path: Path) -> dict[str, Any]:
    """Returns what `search.json` of a search says, in today's words.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not JSON.
        KeyError: It lacks something; likewise `TypeError` and `AttributeError`.
    """
    info: dict[str, Any] = json.loads((path / SEARCH_FILE).read_text(encoding="utf-8"))
    if info["format"] == FORMAT:
        for key in ("status", "objective"):
            info[key]
        settings = info["settings"]
        # Older ones could not choose, and the old way is the default.
        settings.setdefault("tokenizer", "words")
        settings.setdefault("padding_value", 0.0)
        if "device" in settings:
            settings["device"] = DeviceBudget.from_dict(settings["device"]).to_dict()
    return info


def wrong_format(found: Any) -> str:
    """Returns why a search of another format cannot be used, to come after its path."""
    other = "a newer" if found > FORMAT else "an older"
    return (
        f"holds a search of {other} keras-rnn-zoo (format {found}; this one reads {FORMAT}). Go on "
        "with that one, or name a new directory."
    )


SearchResult = Search
"""The name that `Search` had."""
