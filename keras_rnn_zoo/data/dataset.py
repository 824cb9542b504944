"""What a model learns from, as it was read: rows to train on, rows to test on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.vocabulary import Vocabulary


@dataclass(frozen=True)
class Spans:
    """Where windows were cut: rows that may not stand on both sides of a split.

    Args:
        recording: int `[n]`: number of the recording.
        start: int `[n]`: first row of the table that a window reads.
        asked: int `[n]`: first row of what it is asked: of a forecast, behind what it reads.
        stop: int `[n]`: the row behind the last.
        names: Of the recordings.
        times: Of every row of the table, datetime64, or float where it has numbers; None without.
        groups: int `[n]`: number of what is held out together, such as a person with several
            recordings; None where each recording is one.
    """

    recording: np.ndarray
    start: np.ndarray
    asked: np.ndarray
    stop: np.ndarray
    names: tuple[str, ...]
    times: np.ndarray | None = None
    groups: np.ndarray | None = None

    @property
    def group(self) -> np.ndarray:
        """int `[n]`: number of what is held out together."""
        return self.recording if self.groups is None else self.groups

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: np.ndarray) -> Spans:
        """Returns the spans of these rows."""
        return replace(
            self,
            recording=self.recording[rows],
            start=self.start[rows],
            asked=self.asked[rows],
            stop=self.stop[rows],
            groups=None if self.groups is None else self.groups[rows],
        )


@dataclass(frozen=True)
class Split:
    """Inputs and targets of the same length.

    Args:
        x: Texts (list of str, or of lists of words), token ids (list or array of int rows) or
            features (float array `[n, timesteps, features]`, or a list of
            `[timesteps, features]`).
        y: Labels (list of str, or int array `[n]`), labels per time step (`[n, timesteps]`) or
            regression targets (float array `[n]` or `[n, outputs]`).
        spans: Where windows of a longer series were cut.
        naive: Of a forecast: answers that need no model, like `y`: `"last value"`, the last one
            known, and `"seasonal"`, the one a period before, where there is a period.

    Raises:
        DataError: The lengths differ, or there are no rows.
    """

    x: Any
    y: Any
    spans: Spans | None = None
    naive: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise DataError(
                f"Inputs and labels must pair up. Received {len(self.x)} inputs and "
                f"{len(self.y)} labels."
            )
        if len(self.x) == 0:
            raise DataError("There are no rows. Give data with at least one row per label.")

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> Split:
        """Returns the split of these rows."""
        spans = None if self.spans is None else self.spans.take(rows)
        naive = {name: values[rows] for name, values in self.naive.items()}
        return Split(_take(self.x, rows), _take(self.y, rows), spans, naive)


def _take(values: Any, rows: np.ndarray) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]


@dataclass(frozen=True)
class Dataset:
    """What a model learns from, as it was read.

    Args:
        name: A short name for tables and messages.
        kind: `"text"`, `"tokens"` or `"features"`: what `x` holds (see `Split`).
        train: The rows to train (and validate) on.
        test: Rows that training never sees, or None.
        task: A name of `keras_rnn_zoo.tasks.TASKS`, or None for what the labels look like.
        description: JSON-able: where the data came from (file, sha256, columns, ...).
        vocabulary: The vocabulary that the token ids belong to, where they have one.
        split: How rows are held out where the user does not say: see `holding_out`.
        padding_value: What fills up short sequences of features, beside NaN; None for nothing.
        notes: What was found out about the data, a sentence each, for the user to see.
    """

    name: str
    kind: str
    train: Split
    test: Split | None = None
    task: str | None = None
    description: dict[str, Any] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None
    split: str = "random"
    padding_value: float | None = None
    notes: tuple[str, ...] = ()


def joined(datasets: Sequence[Dataset]) -> Dataset:
    """Returns the rows of several data sets as one.

    Raises:
        DataError: They hold different kinds of data.
    """
    first = datasets[0]
    for other in datasets[1:]:
        if other.kind != first.kind:
            raise DataError(
                f"{first.name} holds {first.kind} and {other.name} holds {other.kind}. Give files "
                "that hold the same."
            )
    tests = [one.test for one in datasets if one.test is not None]
    return replace(
        first,
        name=f"{first.name} and {len(datasets) - 1} more",
        train=_joined([one.train for one in datasets]),
        test=_joined(tests) if tests else None,
        notes=tuple(dict.fromkeys(note for one in datasets for note in one.notes)),
    )


def _joined(splits: Sequence[Split]) -> Split:
    return Split(_chained([one.x for one in splits]), _chained([one.y for one in splits]))


def _chained(parts: Sequence[Any]) -> Any:
    arrays = all(isinstance(part, np.ndarray) for part in parts)
    if arrays and len({(part.dtype.kind, part.shape[1:]) for part in parts}) == 1:
        return np.concatenate(parts)
    return [row for part in parts for row in part]
