"""A line a step for whoever waits."""

from __future__ import annotations

import sys
from collections.abc import Callable

Progress = Callable[[str], None]


def teller(progress: bool | Progress) -> Progress:
    """Returns what to call with each line.

    Args:
        progress: True prints to stderr, False says nothing; or what to call instead.
    """
    if callable(progress):
        return progress
    if progress:
        return lambda line: print(line, file=sys.stderr, flush=True)
    return lambda line: None
