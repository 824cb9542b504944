"""Which rows are held out: at random, later ones, or other recordings.

Windows of one recording that lie close together are nearly the same row twice. A model that is
validated on neighbours of what it was trained on looks better than it is, so windows that share a
row of the table never stand on both sides. Of a forecast, what is held out is what comes after the
windows: no training row reads it or is asked it, while a held-out window may read, as it would on
the day, what was known before.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from keras_rnn_zoo.data.alike import alike
from keras_rnn_zoo.data.dataset import Dataset, Spans, Split
from keras_rnn_zoo.errors import ConfigError, DataError
from keras_rnn_zoo.preprocessing.labels import infer_task, to_split_by
from keras_rnn_zoo.preprocessing.reading import WAYS
from keras_rnn_zoo.preprocessing.splitting import split_indices, strata

# Of a recording that is cut at random: into so many blocks, if each takes a few windows.
_BLOCKS = 40


def hold_out(
    dataset: Dataset, fraction: float = 0.2, seed: int = 0, split: str | None = None
) -> Dataset:
    """Returns the data set with a test split, carved from its training rows if it has none.

    Args:
        dataset: What was read.
        fraction: The part of the training rows to hold out.
        seed: Of the random choice.
        split: See `rows_held_out`; None for what suits the data.

    Raises:
        DataError: There are too few rows.
    """
    if dataset.test is not None:
        return dataset
    way = split or dataset.split
    task = infer_task(dataset)
    kept, held = rows_held_out(dataset.train, fraction, seed, way, task)
    return replace(
        dataset,
        train=dataset.train.take(kept),
        test=dataset.train.take(held),
        description={
            **dataset.description,
            "held_out": {"fraction": fraction, "seed": seed, "split": way},
        },
    )


def rows_held_out(
    rows: Split, fraction: float, seed: int = 0, split: str = "random", task: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows to keep and the rows to hold out, each sorted.

    Args:
        rows: To choose from.
        fraction: The part to hold out, 0 <= fraction < 1.
        seed: Of the random choice.
        split: `"random"`: labels in proportion, and rows that repeat each other on one side; of
            windows, blocks of time. `"time"`: the last part of each recording. `"group"`: other
            recordings, or other groups of them. Windows that touch what is held out are in
            neither.
        task: What is asked: targets of a regression are held out over their whole range.

    Raises:
        ConfigError: `fraction` or `split` cannot be used with these rows.
        DataError: There are too few rows.
    """
    check_way(split, rows.spans)
    if fraction == 0 or (rows.spans is None and split == "random"):
        return _at_random(rows, fraction, seed, task)
    if not 0 <= fraction < 1:
        raise ConfigError(f"The part to hold out is at least 0 and below 1. Received: {fraction}")
    if rows.spans is None:
        count = max(1, round(fraction * len(rows)))
        if count >= len(rows):
            raise _too_few(len(rows))
        return np.arange(len(rows) - count), np.arange(len(rows) - count, len(rows))
    ways: dict[str, Any] = {"random": _blocks, "time": _last, "group": _recordings}
    held = ways[split](rows.spans, fraction, seed)
    kept = apart(rows.spans, held)
    if not len(held) or not len(kept):
        raise _too_few(len(rows))
    return kept, held


def check_way(split: str, spans: Spans | None) -> None:
    """Refuses a way to hold rows out that does not exist, or that these rows do not have.

    Raises:
        ConfigError: The message says what to take instead.
    """
    if split not in WAYS:
        raise ConfigError(f"split is one of {', '.join(WAYS)}. Received: {split!r}")
    if split == "group" and spans is None:
        raise ConfigError(
            "split='group' holds out other recordings, and these data have none. Name the "
            "column that tells them apart (id_column, --id-column) of a table with a row for "
            "each time step, or take split='random'."
        )


def _too_few(count: int) -> DataError:
    return DataError(
        f"There are too few windows ({count}) to hold some out without an overlap. Give a longer "
        "table, or choose a shorter window or a smaller part; or set validation_split to 0."
    )


def _at_random(
    rows: Split, fraction: float, seed: int, task: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels in proportion. What was trained on is not asked again: copies stand on one side."""
    y = to_split_by(rows.y, task) if task else rows.y
    same = alike(rows.x)
    first = np.unique(same)
    some = [y[row] for row in first] if isinstance(y, list) else y[first]
    # Of a label with one row and its copies, one side would know nothing.
    counts = np.bincount(strata(some))
    if len(first) == len(rows) or counts[counts > 0].min() < 2:
        return split_indices(y, fraction, seed)
    held = np.isin(same, first[split_indices(some, fraction, seed)[1]])
    return np.flatnonzero(~held), np.flatnonzero(held)


def _last(spans: Spans, fraction: float, seed: int) -> np.ndarray:
    """The last windows of each recording; of all recordings together, where these are short."""
    held = []
    for number in np.unique(spans.recording):
        mine = np.flatnonzero(spans.recording == number)
        count = round(fraction * len(mine))
        if count:
            held.append(mine[-count:])
    if not held:
        return np.arange(len(spans) - max(1, round(fraction * len(spans))), len(spans))
    return np.concatenate(held)


def _recordings(spans: Spans, fraction: float, seed: int) -> np.ndarray:
    """All windows of some recordings (or groups), about so many windows as are wanted."""
    numbers, counts = np.unique(spans.group, return_counts=True)
    if len(numbers) < 2:
        raise DataError(
            "There is one recording only, so that none can be held out. Name the column "
            "that tells recordings apart (id_column, --id-column), or take split='time'."
        )
    order = np.random.default_rng(seed).permutation(len(numbers))
    wanted = fraction * len(spans)
    chosen: list[int] = []
    total = 0
    for place in order:
        better = abs(total + counts[place] - wanted) < abs(total - wanted)
        if (better or not chosen) and len(chosen) < len(numbers) - 1:
            chosen.append(int(numbers[place]))
            total += int(counts[place])
    return np.flatnonzero(np.isin(spans.group, chosen))


def _blocks(spans: Spans, fraction: float, seed: int) -> np.ndarray:
    """Windows that begin within blocks of time that are chosen at random."""
    generator = np.random.default_rng(seed)
    held: list[np.ndarray] = []
    others: list[np.ndarray] = []
    for number in np.unique(spans.recording):
        blocks = blocks_of(spans, np.flatnonzero(spans.recording == number))
        wanted = fraction * len(blocks)
        some = max(round(wanted), int(generator.random() < wanted))
        order = generator.permutation(len(blocks))
        held += [blocks[block] for block in order[:some]]
        others += [blocks[block] for block in order[some:] if len(blocks[block])]
    if others and not any(map(len, held)):  # all in a gap, such as the rows of a fold leave
        held = others[:1]
    return np.sort(np.concatenate(held)) if held else np.arange(0)


def blocks_of(spans: Spans, mine: np.ndarray, least: int = 1) -> list[np.ndarray]:
    """Returns the windows that begin within each of some blocks of time.

    Args:
        spans: Of all windows.
        mine: Those of one recording.
        least: How many blocks there are, even if each takes few windows.
    """
    starts = spans.start[mine]
    first, last = int(starts.min()), int(spans.stop[mine].max())
    width = int((spans.stop - spans.start)[mine].max())
    count = max(least, min(_BLOCKS, (last - first) // (4 * width)))
    edges = np.linspace(first, last, count + 1)
    return [mine[(after <= starts) & (starts < before)] for after, before in pairwise(edges)]


def apart(spans: Spans, held: np.ndarray) -> np.ndarray:
    """Returns the windows that do not touch what is held out."""
    mask = np.ones(len(spans), bool)
    mask[held] = False
    for number in np.unique(spans.recording[held]):
        theirs = held[spans.recording[held] == number]
        last = int(spans.stop[spans.recording == number].max())
        # How many held windows cover each row, as a running sum.
        cover = np.zeros(last + 1, np.int64)
        np.add.at(cover, spans.asked[theirs], 1)
        np.add.at(cover, spans.stop[theirs], -1)
        covered = np.concatenate([[0], np.cumsum(np.cumsum(cover) > 0)])
        mine = np.flatnonzero((spans.recording == number) & mask)
        touched = covered[spans.stop[mine]] - covered[spans.start[mine]]
        mask[mine[touched > 0]] = False
    return np.flatnonzero(mask)
