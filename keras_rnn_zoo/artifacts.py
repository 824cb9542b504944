"""What lies at a path: a run, a search, a bundle, ...; decided here, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_rnn_zoo.errors import RunError, nearest
from keras_rnn_zoo.files import PathLike

RUN, SEARCH, BUNDLE, COMPARISON = "run", "search", "bundle", "comparison"
SAVED_MODEL, KERAS, TFLITE = "SavedModel", "Keras file", ".tflite file"
MISSING, FILE, DIRECTORY = "nothing", "file", "directory"

FILES = (KERAS, TFLITE, FILE)

RUN_FILE, SEARCH_FILE, BUNDLE_FILE = "run.json", "search.json", "report.json"
WINNER = "best"

# The file by which a directory is told, in the order in which they are looked for.
_MARKS = {
    RUN: RUN_FILE,
    SEARCH: SEARCH_FILE,
    BUNDLE: BUNDLE_FILE,
    COMPARISON: "compare.json",
    SAVED_MODEL: "saved_model.pb",
}
_SUFFIXES = {".keras": KERAS, ".h5": KERAS, ".hdf5": KERAS, ".tflite": TFLITE}
_WRITERS = {RUN: "train", SEARCH: "search", BUNDLE: "export", COMPARISON: "compare"}


def kind_of(path: PathLike) -> str:
    """Returns what lies at a path: one of this module's words, such as `RUN` or `MISSING`."""
    path = Path(path)
    if path.is_file():
        return _SUFFIXES.get(path.suffix.lower(), FILE)
    if not path.is_dir():
        return MISSING
    for kind, mark in _MARKS.items():
        if (path / mark).is_file():
            return kind
    # A search that was copied without what it takes to go on.
    return SEARCH if (path / WINNER / RUN_FILE).is_file() else DIRECTORY


def winner_of(search: PathLike) -> Path:
    """Returns the run of a search's winner.

    Raises:
        RunError: The search has none yet.
    """
    winner = Path(search) / WINNER
    if kind_of(winner) != RUN:
        raise RunError(
            f"The search {search} has no winner yet. Run the same search again to go on."
        )
    return winner


def require(path: PathLike, *kinds: str) -> Path:
    """Returns the path if what lies there is of one of the kinds.

    Raises:
        RunError: It is not; the message says what was found instead, and names the nearest thing.
    """
    path = Path(path)
    found = kind_of(path)
    if found in kinds:
        return path
    wanted = _either([f"a {kind}" for kind in kinds])
    writers = _either([f"'{_WRITERS[kind]}'" for kind in kinds if kind in _WRITERS])
    gifts = [f"the directory that {writers} wrote"] if writers else []
    gifts += [f"a {kind}" for kind in kinds if kind not in _WRITERS]
    give = f" Give {', or '.join(gifts)}."
    if found == MISSING:
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        near = nearest(path, [str(other) for other in beside if kind_of(other) in kinds])
        raise RunError(f"There is no {_either(kinds)} at {path}.{near}{give}")
    if found == SEARCH and RUN in kinds:
        raise RunError(f"{path} is a search; its winner is the run {winner_of(path)}. Give that.")
    if found == FILE:
        raise RunError(f"{path} is a file, not {wanted}.{give}")
    marks = " and no ".join(_MARKS[kind] for kind in kinds if kind in _MARKS)
    what = f"it has no {marks}" if found == DIRECTORY else f"it is a {found}"
    inside = path.iterdir() if found in (DIRECTORY, COMPARISON) else ()
    if inner := sorted(other for other in inside if kind_of(other) in kinds):
        give = f" The {kind_of(inner[0])} {inner[0]} lies in it. Give that."
    raise RunError(f"{path} is not {wanted}: {what}.{give}")


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
