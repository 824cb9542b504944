"""How sure a figure is that was seen in so many rows."""

from __future__ import annotations

import math

# Of the normal distribution: 95 % lie within so many deviations.
Z = 1.959963984540054


def wilson(share: float, rows: int) -> tuple[float, float]:
    """Returns Wilson's 95 % interval of a share that was seen in so many rows.

    It holds for few rows and near 0 and 1: Journal of the American Statistical Association 22
    (1927).
    """
    shrunk = 1 + Z**2 / rows
    middle = (share + Z**2 / (2 * rows)) / shrunk
    reach = Z / shrunk * math.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)
