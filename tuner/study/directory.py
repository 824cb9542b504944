"""The search directory: `search.json`, who may write to it, and whose search it holds.

```
search.json   what was asked, and how the search stands
trials.csv    a line per trial, and the same as trials.json
report.html   the search as a page
best/         the winner, a run
front/        the other members of the Pareto front, a run each
logs/         for TensorBoard
tuner/        KerasTuner's state
```
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_rnn_zoo.errors import OutputError, SearchError
from keras_rnn_zoo.files import check_new_directory, new_directory, write_json
from keras_rnn_zoo.tuner.options import SearchOptions
from keras_rnn_zoo.tuner.results.search import (
    FORMAT,
    FRONT,
    SEARCH_FILE,
    read_info,
    wrong_format,
)

LOGS, STATE = "logs", "tuner"
# What is left to the data where nobody says it.
_OPEN = ("tokenizer", "padding_value", "epochs", "batch_size", "patience", "learning_rate")
# What it was where a search of an older version does not say.
_ONCE = {"epochs": 4, "batch_size": 64, "patience": 2, "learning_rate": [1e-4, 1e-2]}


class SearchDirectory:
    """A directory that a search writes to.

    Args:
        path: New, empty, or that of a search.

    Attributes:
        path: The directory.
        info: What `search.json` says; empty where there is none yet.

    Raises:
        OutputError: The place holds something else, or a search that cannot be continued.
    """

    def __init__(self, path: Path):
        self.path = path
        self.info: dict[str, Any] = {}
        if not (path / SEARCH_FILE).is_file():
            check_new_directory(path)
            return
        try:
            self.info = read_info(path)
            if self.info["format"] != FORMAT:
                raise OutputError(f"{path} {wrong_format(self.info['format'])}")
        except OutputError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputError(
                f"Cannot go on with the search in {path}: {SEARCH_FILE} is damaged "
                f"({error.__class__.__name__}: {error}). Name a new directory."
            ) from error

    @property
    def status(self) -> str:
        """`"unfinished"`, which a new one is, too, `"finished"` or `"failed"`."""
        return str(self.info.get("status", "unfinished"))

    def begun(self, options: SearchOptions) -> SearchOptions:
        """Returns the options with what the search that lies there was begun with, if nobody says.

        A search goes on as it began, whatever is the default by now: an older one has zeros for
        padding, the tokenizer of its day, and a few epochs.
        """
        if not self.info:
            return options
        there: Mapping[str, Any] = {**_ONCE, **self.info.get("settings", {})}
        there = {**there, "patience": there["patience"] or 0}
        return options.replace(
            **{
                name: there[name]
                for name in _OPEN
                if getattr(options, name) is None and there.get(name) is not None
            }
        )

    def check_same(self, settings: Mapping[str, Any]) -> None:
        """Refuses to mix two searches.

        The same rows are the same data, whatever their file is called and wherever it lies. How
        many trials there are to be may differ: see `extent.Extent`.

        Raises:
            OutputError: The search there has other settings; the message names them.
        """
        if not self.info:
            return
        # What an older version did not write had the value that is the default now.
        there = {**SearchOptions().identity(), **_ONCE, **self.info["settings"]}
        different = [
            _difference(key, there.get(key), value)
            for key, value in settings.items()
            if key not in ("schema", "max_trials") and not _same(key, there.get(key), value)
        ]
        if different:
            raise OutputError(
                f"{self.path} holds a search with other settings: {'; '.join(different)}. "
                "Repeat its settings to go on with it, or name a new directory."
            )

    def create(self, info: dict[str, Any]) -> None:
        """Makes the directory with its `search.json`."""
        self.info = {"format": FORMAT, "status": "unfinished", **info}
        with new_directory(self.path) as directory:
            write_json(directory / SEARCH_FILE, self.info)

    def go_on(self, max_trials: int | None, command: str | None) -> None:
        """Takes back that the search has ended, if it has: there are more trials to come.

        Args:
            max_trials: The most trials from now on; None where time alone ends the search.
            command: The command line that asks for them, for the record.
        """
        provenance = dict(self.info.get("provenance") or {})
        if command is not None and command != provenance.get("command"):
            further = [*provenance.get("continued_by", []), command]
            provenance["continued_by"] = list(dict.fromkeys(further))
        self.update(
            status="unfinished",
            settings={**self.info["settings"], "max_trials": max_trials},
            provenance=provenance,
            best=None,
            front=[],
            message=None,
            chosen=None,
        )

    def discard(self, place: Path) -> None:
        """Removes a directory inside of this one; what a kill leaves of it is swept away later."""
        rest = place.with_name(f".{place.name}.old.part")
        place.rename(rest)
        shutil.rmtree(rest, ignore_errors=True)

    def update(self, **changes: Any) -> None:
        """Writes `search.json` with changes."""
        self.info = {**self.info, **changes}
        write_json(self.path / SEARCH_FILE, self.info)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second process out; the lock ends with this process.

        Raises:
            SearchError: Another process is searching in the directory.
        """
        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SearchError(
                    f"Another process is searching in {self.path}. Wait for it, or name a new "
                    "directory."
                ) from error
            except OSError:
                pass  # a file system without locks
            yield
        finally:
            os.close(handle)

    def remove_partial_files(self) -> None:
        """Removes what a kill in the middle of writing left."""
        state = self.path / STATE
        places = (self.path, self.path / FRONT, self.path / LOGS, state, *state.glob("trial_*"))
        for place in places:
            for leftover in place.glob(".*.part"):
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)


def _same(key: str, there: Any, here: Any) -> bool:
    if key == "data" and there:
        return bool(there.get("sha256") == here["sha256"])
    return bool(there == here)


def _difference(key: str, there: Any, here: Any) -> str:
    if key == "space":
        return "the search spaces of the models differ"
    if key == "data":
        there, here = (there or {}).get("name"), here["name"]
        if there == here:
            return "the data hold other rows"
        return f"data is {there} there and {here} here"
    return f"{key} is {there!r} there and {here!r} here"
