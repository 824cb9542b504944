"""Rounds a kernel for its products: what they answer is right, rather than each weight.

As in Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", 2023: columns are rounded one after the other, and those that are still to come make
up for what each rounding moved. The states of a recurrence hardly ever differ in all directions at
once, so most of it can be made up for.
"""

from __future__ import annotations

import numpy as np

LEVELS = 127
# What inputs that were not seen may differ from those that were, as a share of each column's size.
UNSEEN = 0.05
# Columns rounded before the others learn of it.
BLOCK = 64


def fitted(kernel: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Rounds a kernel to int8 with one scale, so that its products are as right as can be.

    Args:
        kernel: `[outputs, columns]`.
        moments: The sum of `x[:, None] * x` over inputs `x` like those that it will multiply, or
            any multiple of it, `[columns, columns]`.

    Returns:
        int8 of the same shape, and the scale, float32 `[1]`; None where nothing is to be made up
        for: no input but zeros, no weight but zeros.
    """
    kernel, moments = kernel.astype(np.float64), moments.astype(np.float64)
    largest, usual = np.abs(kernel).max(initial=0), np.diag(moments).mean()
    if not np.isfinite(moments).all() or largest == 0 or usual <= 0:
        return None
    moments = moments / usual
    # A column that was never seen makes up for no other, and is not moved for one.
    moments[np.diag_indices_from(moments)] += UNSEEN * np.diag(moments) + 1e-4
    # Those that add most go first, as long as there are others to make up for them.
    order = np.argsort(-np.diag(moments), kind="stable")
    try:
        inverse = np.linalg.inv(moments[np.ix_(order, order)])
        upper = np.linalg.cholesky((inverse + inverse.T) / 2).T
    except np.linalg.LinAlgError:
        return None
    scale = np.float32(largest / LEVELS)
    stored = np.empty(kernel.shape, np.int8)
    stored[:, order] = _one_by_one(kernel[:, order], upper, float(scale))
    return stored, np.array([scale], np.float32)


def _one_by_one(kernel: np.ndarray, upper: np.ndarray, scale: float) -> np.ndarray:
    left = kernel.copy()
    stored = np.empty(kernel.shape, np.int8)
    for start in range(0, kernel.shape[1], BLOCK):
        end = min(start + BLOCK, kernel.shape[1])
        errors = np.empty((len(kernel), end - start))
        for column in range(start, end):
            whole = np.clip(np.rint(left[:, column] / scale), -LEVELS, LEVELS)
            stored[:, column] = whole
            error = (left[:, column] - whole * scale) / upper[column, column]
            left[:, column:end] -= np.outer(error, upper[column, column:end])
            errors[:, column - start] = error
        left[:, end:] -= errors @ upper[start:end, end:]
    return stored
