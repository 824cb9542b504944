"""The rows in parts, each of which is held out once: the folds of a cross-validation.

What may not stand on both sides of a split may not stand on both sides of a fold: see
`holding_out`. In the order of time, a fold is held out from what came before it alone.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np

from keras_rnn_zoo.data.alike import alike
from keras_rnn_zoo.data.dataset import Spans, Split
from keras_rnn_zoo.data.holding_out import apart, blocks_of, check_way
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.labels import label_name, to_split_by
from keras_rnn_zoo.preprocessing.splitting import strata


@dataclass(frozen=True)
class Fold:
    """One part of the rows, and the others.

    Attributes:
        number: From 1.
        count: Of all folds.
        kept: int `[n]`: rows to learn from, sorted; none that overlaps a row held out.
        held: int `[m]`: rows to be asked, sorted.
    """

    number: int
    count: int
    kept: np.ndarray
    held: np.ndarray

    def __str__(self) -> str:
        return f"fold {self.number}/{self.count}"


def folds_of(
    rows: Split, count: int, seed: int = 0, split: str = "random", task: str = ""
) -> list[Fold]:
    """Returns the folds of rows; the same for the same seed.

    - `"random"`: labels, or ranges of targets, in proportion, and rows that repeat each other in
      one fold; of windows, blocks of time.
    - `"group"`: recordings, or groups of them, stay together, labels as nearly in proportion as
      these allow.
    - `"time"`: each recording is cut into `count + 1` parts. The first is trained on only, and each
      other one is held out from those before it.

    But for the first part in time, each row is held out in one fold.

    Args:
        rows: To cut.
        count: How many folds, at least 2.
        seed: Of the random choice.
        split: See above.
        task: What is asked.

    Raises:
        ConfigError: `split` cannot be used with these rows.
        DataError: There are too few rows, rows of a label, or recordings.
    """
    check_way(split, rows.spans)
    if split == "time":
        held = _in_time(rows, count)
    elif rows.spans is None:
        held = _of_rows(rows, count, seed, task)
    elif split == "group":
        held = _of_recordings(rows, rows.spans, count, seed, task)
    else:
        held = _of_blocks(rows.spans, count, seed)
    found = []
    for number, mine in enumerate(held, start=1):
        kept = np.setdiff1d(np.arange(len(rows)), mine)
        if rows.spans is not None:
            kept = apart(rows.spans, mine)
        if split == "time":
            later = np.concatenate(held[number - 1 :])
            kept = np.setdiff1d(kept, later)
        if not len(mine) or not len(kept):
            raise DataError(
                f"There are too few rows ({len(rows):,}) for {count} folds that share nothing. "
                "Choose fewer folds or a shorter window, or give more data."
            )
        found.append(Fold(number, count, kept, mine))
    return found


def units_of(spans: Spans | None, rows: np.ndarray) -> np.ndarray:
    """Returns which rows count as one: windows that overlap are nearly the same row twice.

    Args:
        spans: Of the data; None where rows are no windows.
        rows: int `[n]`: which of them.

    Returns:
        int `[n]`: the same number for windows of a recording that begin within the length of one.
    """
    if spans is None:
        return np.arange(len(rows))
    some = spans.take(rows)
    width = max(1, int((some.stop - some.start).max()))
    pairs = np.stack([some.recording, some.start // width], axis=1)
    return np.asarray(np.unique(pairs, axis=0, return_inverse=True)[1]).reshape(-1)


def _of_rows(rows: Split, count: int, seed: int, task: str) -> list[np.ndarray]:
    from sklearn.model_selection import StratifiedKFold

    if task in ("binary", "multiclass"):
        _check_labels(rows, count)
    if count > len(rows):
        raise DataError(
            f"{count} folds of {len(rows):,} rows are too many. {_fewer(len(rows) + 1)}."
        )
    classes = strata(to_split_by(rows.y, task))
    same = alike(rows.x)
    first = np.unique(same)
    if len(first) < len(rows) and np.unique(classes[first], return_counts=True)[1].min() >= count:
        held = _of_rows(rows.take(first), count, seed, task)
        return [np.flatnonzero(np.isin(same, first[mine])) for mine in held]
    if np.bincount(classes).max() < count:  # of targets, ranges of a few rows each
        classes = np.argsort(np.argsort(classes, kind="stable"), kind="stable") // count
    folds = StratifiedKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ranges, and sets of labels, with fewer rows than folds
        return [np.sort(held) for _, held in folds.split(np.zeros(len(rows)), classes)]


def _check_labels(rows: Split, count: int) -> None:
    """Refuses folds of which some would lack a label."""
    counts = Counter(label_name(label, row) for row, label in enumerate(rows.y))
    rarest, least = min(counts.items(), key=lambda item: (item[1], item[0]))
    if least == 1:
        raise DataError(
            f"The label {rarest!r} has 1 row, and folds need 2 of each label at least: one to "
            "learn from and one to ask. Give more rows of it, or leave it out."
        )
    if least < count:
        raise DataError(
            f"The rarest label, {rarest!r}, has {least} rows, and {count} folds need one in each. "
            f"{_fewer(least + 1)}, or give more rows of it."
        )


def _of_recordings(rows: Split, spans: Spans, count: int, seed: int, task: str) -> list[np.ndarray]:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    recordings = len(np.unique(spans.group))
    if count > recordings:
        raise DataError(
            f"There {'is' if recordings == 1 else 'are'} {recordings} "
            f"recording{'' if recordings == 1 else 's'}, and {count} folds hold out at least one "
            f"each. {_fewer(recordings + 1, 'take split time or random')}."
        )
    classes, where = strata(to_split_by(rows.y, task)), np.zeros(len(rows))
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labels with fewer windows than folds
        held = [mine for _, mine in folds.split(where, classes, spans.group)]
    if not all(map(len, held)):  # for the sake of the labels; of few recordings
        held = [mine for _, mine in GroupKFold(count).split(where, None, spans.group)]
    return [np.sort(mine) for mine in held]


def _of_blocks(spans: Spans, count: int, seed: int) -> list[np.ndarray]:
    """Windows that begin within blocks of time, which are dealt out at random."""
    generator = np.random.default_rng(seed)
    held: list[list[np.ndarray]] = [[] for _ in range(count)]
    numbers = np.unique(spans.recording)
    turn = 0
    for number in numbers:
        mine = np.flatnonzero(spans.recording == number)
        blocks = blocks_of(spans, mine, least=count if len(numbers) == 1 else 1)
        for block in generator.permutation(len(blocks)):
            held[turn % count].append(blocks[block])
            turn += 1
    return [np.sort(np.concatenate(parts)) if parts else np.arange(0) for parts in held]


def _in_time(rows: Split, count: int) -> list[np.ndarray]:
    """The last `count` of `count + 1` parts of each recording, or of all rows."""
    spans = rows.spans
    recording = np.zeros(len(rows), np.int64) if spans is None else spans.recording
    parts: list[list[np.ndarray]] = [[] for _ in range(count + 1)]
    for number in np.unique(recording):
        for place, mine in enumerate(
            np.array_split(np.flatnonzero(recording == number), count + 1)
        ):
            parts[place].append(mine)
    return [np.sort(np.concatenate(some)) for some in parts[1:]]


def _fewer(count: int, otherwise: str = "leave folds out") -> str:
    """Returns what to do where so many folds are too many."""
    most = count - 1
    if most < 2:
        return otherwise[0].upper() + otherwise[1:]
    return f"Set folds to {most}{' or fewer' if most > 2 else ''}"
