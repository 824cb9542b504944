"""Rows that repeat each other: a review that was copied, a recording that is in two files.

A model that has learnt a row by heart answers its copy. On held-out rows that says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np


def alike(x: Sequence[Any]) -> np.ndarray:
    """Returns for each row the first one with the same input.

    Args:
        x: Inputs as a `Split` holds them.

    Returns:
        int `[n]`: its own number for a row that is the first, or the only one.
    """
    first: dict[Any, int] = {}
    return np.fromiter(
        (first.setdefault(_key(row), i) for i, row in enumerate(x)), np.int64, len(x)
    )


def repeated(x: Sequence[Any], others: Sequence[Any]) -> int:
    """Returns how many rows of `x` are among `others`."""
    known = {_key(row) for row in others}
    return sum(_key(row) in known for row in x)


def repeats_told(
    train: Sequence[Any],
    kept: np.ndarray,
    held: np.ndarray,
    test: Sequence[Any] | None,
) -> list[str]:
    """Returns what there is to say of rows that repeat each other, a sentence each.

    Args:
        train: Inputs to train and to validate on.
        kept: int `[n]`: which of them are trained on.
        held: int `[m]`: which are held out.
        test: Inputs to test on.
    """
    same = alike(train)
    copies = len(same) - len(np.unique(same))
    parts = {
        "validate": (int(np.isin(same[held], same[kept]).sum()), len(held)),
        "test": (0, 0) if test is None else (repeated(test, train), len(test)),
    }
    told = [
        f"{count:,} of the {total:,} rows to {part} are also among those to train on: figures on "
        f"{'them say' if count == total else 'these rows say'} nothing of new rows."
        for part, (count, total) in parts.items()
        if count
    ]
    if copies and len(held) and not parts["validate"][0]:
        verb = "rows repeat" if copies > 1 else "row repeats"
        told.append(f"{copies:,} {verb} another one; copies are trained on or held out together.")
    return told


def _key(row: Any) -> Any:
    if isinstance(row, str):
        return row.strip()
    array = np.asarray(row)
    if array.dtype.kind not in "biuf":  # words
        return tuple(row)
    return blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).digest(), array.shape
