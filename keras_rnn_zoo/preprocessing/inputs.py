"""Raw inputs, checked: texts, rows of token ids, sequences of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import DataError


def short(value: Any) -> str:
    """Returns a value in one line for a message, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else text[:40] + "..."


def as_float32(array: np.ndarray) -> np.ndarray:
    """Returns numbers as float32; those beyond its range as infinity."""
    with np.errstate(over="ignore"):  # becomes inf, which is refused by row
        return array.astype(np.float32, copy=False)


def is_words(value: Any) -> bool:
    """Whether a value is a text that is already cut into words."""
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def check_texts(x: Sequence[Any]) -> None:
    """Refuses rows that are neither texts nor lists of words.

    Raises:
        DataError: The message names the first.
    """
    for row, text in enumerate(x):
        if not isinstance(text, str) and not is_words(text):
            raise DataError(f"Row {row + 1} is not a text. Received: {short(text)}")


def token_row(value: Any, row: int) -> np.ndarray:
    """Returns a row of token ids as an integer array.

    Raises:
        DataError: It is none, or empty.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.ndim == 1 and len(array) == 0 and array.dtype.kind != "O":
        raise DataError(f"Row {row + 1} is empty. Give at least one token id per row.")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"Row {row + 1} is not a row of token ids (whole numbers). Received: {short(value)}"
        )
    return array


def token_rows(x: Sequence[Any]) -> list[np.ndarray]:
    """Returns rows of token ids as integer arrays.

    Raises:
        DataError: A row is none, or all are padding.
    """
    rows = [token_row(value, row) for row, value in enumerate(x)]
    if not any(row.any() for row in rows):
        raise DataError("Every row of token ids is padding (0). Give ids of at least 1.")
    return rows


def strip_padding(ids: np.ndarray) -> np.ndarray:
    """Cuts the padding that the data bring along, at both ends: 0 is never a word."""
    real = np.flatnonzero(ids)
    return ids[real[0] : real[-1] + 1] if len(real) else ids[:0]


def feature_span(
    sequence: np.ndarray, padding: str, padding_value: float | None
) -> tuple[int, int]:
    """Returns where the steps of a sequence of features start and stop.

    Steps of NaN at either end are none. Those that hold the padding value alone are none at the
    padded side; a sequence of nothing else is no padding.

    Args:
        sequence: float `[timesteps, features]`.
        padding: `"post"` or `"pre"`.
        padding_value: None if every number is a value.
    """
    real = np.flatnonzero(~np.isnan(sequence).all(axis=1))
    if not len(real):
        return 0, len(sequence)
    first, stop = int(real[0]), int(real[-1]) + 1
    if padding_value is None:
        return first, stop
    inside = (sequence[first:stop] != np.float32(padding_value)).any(axis=1)
    start, end = real_span(np.asarray(inside), padding)
    return first + start, first + end


def real_span(real: np.ndarray, padding: str) -> tuple[int, int]:
    """Returns where the steps that are not padding start and stop.

    Args:
        real: bool `[timesteps]`: steps that are not padding. A sequence of padding only is none.
        padding: `"post"` or `"pre"`.
    """
    steps = np.flatnonzero(real)
    if not len(steps):
        return 0, len(real)
    return (0, int(steps[-1]) + 1) if padding == "post" else (int(steps[0]), len(real))


def feature_rows(
    x: Any, features: int | None, padding: str = "post", padding_value: float | None = None
) -> Sequence[np.ndarray]:
    """Returns float32 `[timesteps, features]` per row, checked, without padding: `feature_span`."""
    rows: Any
    if isinstance(x, np.ndarray) and x.dtype.kind in "fiub" and x.ndim == 3:
        rows = as_float32(x)
    else:
        rows = [feature_row(value, row) for row, value in enumerate(x)]
    expected = features if features is not None else (rows[0].shape[1] if len(rows) else 0)
    checked: list[np.ndarray] = []
    for row, sequence in enumerate(rows):
        start, stop = feature_span(sequence, padding, padding_value)
        sequence = sequence[start:stop]
        if sequence.shape[1] != expected:
            source = "the training data" if features is not None else "row 1"
            raise DataError(
                f"Row {row + 1} has {sequence.shape[1]} features per time step and {source} "
                f"had {expected}. Give as many."
            )
        if not np.isfinite(sequence).all():
            step = int(np.argmin(np.isfinite(sequence).all(axis=1)))
            raise DataError(
                f"Row {row + 1}, time step {start + step + 1} holds NaN, infinity or a number "
                "beyond float32. Replace or drop such values; NaN may fill up a short row."
            )
        if sequence.size == 0:
            raise DataError(f"Row {row + 1} is empty. Give at least one time step per row.")
        checked.append(sequence)
    return checked


def feature_row(value: Any, row: int) -> np.ndarray:
    """Returns a row of features as float32 `[timesteps, features]`.

    Raises:
        DataError: It is none.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" and array.size:
            raise ValueError
        array = array.astype(np.float32) if array.size == 0 else array
    except ValueError:
        raise DataError(
            f"Row {row + 1} is ragged or holds something that is no number. Give numbers of shape "
            f"[timesteps, features]. Received: {short(value)}"
        ) from None
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2:
        raise DataError(
            f"Row {row + 1} has shape {list(array.shape)}. Give numbers of shape "
            "[timesteps, features]."
        )
    return as_float32(array)
