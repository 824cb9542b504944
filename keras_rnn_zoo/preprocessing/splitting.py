"""Random, seeded, stratified choices of rows."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError, DataError

# A tenth of the rows for validation holds one of each tenth of the range out.
RANGES = 10


def _ranges(targets: np.ndarray) -> np.ndarray:
    """Returns which tenth of the rows, from the least targets to the greatest, a row is in."""
    columns = targets.reshape(len(targets), -1).astype(np.float64)
    spread = columns.std(axis=0)
    # Several outputs count alike, whatever their units.
    values = ((columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1)).sum(axis=1)
    if not np.isfinite(values).all():  # for the encoding to refuse, which names the row
        return np.zeros(len(values), dtype=np.int64)
    ranges = min(RANGES, len(values) // 2)  # each has a row to keep and one to hold out
    edges = np.quantile(values, np.arange(1, ranges) / max(ranges, 1))
    return np.asarray(np.searchsorted(edges, values, side="right"))


def strata(y: Any) -> np.ndarray:
    """Returns a class number per row: equal labels, equal numbers; targets by their range.

    Of a float array `[n]` or `[n, outputs]` it is the tenth of the rows, in the order of their
    targets; of labels per time step 0.
    """
    first = y[0]
    labels = np.asarray(y) if isinstance(first, str) or not isinstance(first, Sized) else None
    targets = y if labels is None else labels
    if isinstance(targets, np.ndarray) and targets.dtype.kind == "f" and targets.ndim <= 2:
        return _ranges(targets)
    if labels is None or labels.dtype.kind == "f":
        if isinstance(y, np.ndarray) and y.dtype.kind != "f" and y.shape[1:] == (1,):
            labels = y[:, 0]
        else:
            return np.zeros(len(y), dtype=np.int64)
    return np.asarray(np.unique(labels, return_inverse=True)[1]).reshape(-1)


def _shares(counts: np.ndarray, total: int, limits: np.ndarray) -> np.ndarray:
    """Returns how many of each class make up `total`, in proportion, none above its limit."""
    exact = counts * (total / counts.sum())
    shares: np.ndarray = np.minimum(np.floor(exact).astype(np.int64), limits)
    while (missing := total - int(shares.sum())) > 0:
        order = np.argsort(shares - exact, kind="stable")
        open_classes = [c for c in order if shares[c] < limits[c]][:missing]
        if not open_classes:
            break
        shares[open_classes] += 1
    return shares


def choose(classes: np.ndarray, total: int, limits: np.ndarray, seed: int) -> np.ndarray:
    """Returns `total` rows (sorted), with the classes in proportion."""
    shares = _shares(np.bincount(classes, minlength=len(limits)), total, limits)
    generator = np.random.default_rng(seed)
    chosen = [
        generator.permutation(np.flatnonzero(classes == c))[:share]
        for c, share in enumerate(shares)
    ]
    return np.sort(np.concatenate(chosen))


def split_indices(y: Any, fraction: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows to keep and the rows to hold out, each sorted.

    Every label keeps at least one row, and is held out in proportion to its frequency.

    Args:
        y: Labels or targets (see `Split`).
        fraction: The part to hold out, 0 <= fraction < 1; above 0, at least one row is held out.
        seed: Of the random choice.

    Raises:
        ConfigError: `fraction` is out of range.
        DataError: There are too few rows to hold any out.
    """
    if not 0 <= fraction < 1:
        raise ConfigError(f"The part to hold out is at least 0 and below 1. Received: {fraction}")
    classes = strata(y)
    if fraction == 0:
        return np.arange(len(classes)), np.arange(0)
    limits = np.maximum(np.bincount(classes) - 1, 0)
    total = max(1, round(fraction * len(classes)))
    if int(limits.sum()) < 1:
        raise DataError(
            f"There are too few rows ({len(classes)}) to hold some out for validation: no label "
            "has two. Give at least two rows per label, check that the label column is the right "
            "one, or set validation_split to 0."
        )
    held = choose(classes, total, limits, seed)
    return np.setdiff1d(np.arange(len(classes)), held), held


def sample_indices(y: Any, most: int, seed: int = 0) -> np.ndarray:
    """Returns at most `most` rows (sorted), with the labels in proportion."""
    if len(y) <= most:
        return np.arange(len(y))
    classes = strata(y)
    return choose(classes, most, np.bincount(classes), seed)
