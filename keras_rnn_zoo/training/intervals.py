"""How sure a figure of some rows is, and whether two models differ by more than chance."""

from __future__ import annotations

import math

import numpy as np

# Of the normal distribution: 95 % lie within so many deviations.
Z = 1.959963984540054
UNLIKELY = 0.05
"""What is less likely is usually said not to be chance."""
# Exchanges of a permutation test; so many at once, as memory is not endless.
_EXCHANGES, _AT_ONCE = 10_000, 100


def wilson(share: float, rows: int) -> tuple[float, float]:
    """Returns Wilson's 95 % interval of a share that was seen in so many rows.

    It holds for few rows and near 0 and 1 (Journal of the American Statistical Association 22,
    1927).
    """
    shrunk = 1 + Z**2 / rows
    middle = (share + Z**2 / (2 * rows)) / shrunk
    reach = Z / shrunk * math.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def of_mean(values: np.ndarray, units: np.ndarray) -> tuple[float, float] | None:
    """Returns the 95 % interval of a mean over rows.

    Args:
        values: float `[n]`: of each row.
        units: int `[n]`: rows of the same number count as one, as they resemble each other.

    Returns:
        None of one unit, which says nothing of others.
    """
    mean = float(values.mean())
    # The deviation of a ratio of sums: units have different numbers of rows.
    sums = np.bincount(units, values - mean)[np.bincount(units) > 0]
    if len(sums) < 2:
        return None
    reach = Z * math.sqrt(len(sums) / (len(sums) - 1) * float((sums**2).sum())) / len(values)
    return mean - reach, mean + reach


def chance_of_difference(
    values: np.ndarray, others: np.ndarray, units: np.ndarray, seed: int = 0
) -> float:
    """Returns how likely means of the same rows differ so much where two models are equally good.

    If they are, each row might as well have been answered by the one as by the other: a permutation
    test, which of right and wrong answers is McNemar's (Fisher, "The Design of Experiments", 1935).

    Args:
        values: float `[n]`: of each row, of one model.
        others: float `[n]`: of the same rows, of another.
        units: int `[n]`: rows of the same number are exchanged together.
        seed: Of the exchanges.

    Returns:
        The two-sided p-value: below `UNLIKELY` the models are usually said to differ.
    """
    sums = np.bincount(units, values - others)
    sums = sums[np.abs(sums) > 1e-12]
    if not len(sums):
        return 1.0
    generator = np.random.default_rng(seed)
    seen = abs(sums.sum()) * (1 - 1e-9)
    as_much = 0
    for _ in range(_EXCHANGES // _AT_ONCE):
        signs = generator.integers(0, 2, (_AT_ONCE, len(sums)), dtype=np.int8) * 2 - 1
        as_much += int((np.abs(signs @ sums) >= seen).sum())
    return (as_much + 1) / (_EXCHANGES + 1)
