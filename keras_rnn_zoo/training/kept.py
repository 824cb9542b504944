"""Held-out rows that are kept with a run, the truth beside the answer, for people to look at.

A mean error says how large errors are, and not where: a model that misses every peak and one that
is off by the same amount everywhere have the same. So a run keeps some rows of a regression, and of
a forecast some windows: what came before, what came, and what was answered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rnn_zoo.data.dataset import Split

ROWS, OUTPUTS = 200, 12
"""The most rows of a regression that are kept, and the most of its outputs."""

WINDOWS, HISTORY = 6, 120
"""The most windows of a forecast, and the most steps before what they are asked."""


@dataclass(frozen=True)
class Windows:
    """Some windows of a part of the data, as they were read.

    Attributes:
        rows: int `[n]`: which rows of the part they are.
        columns: Names of what is forecast.
        history: What came before, in the user's units, float `[n, steps, columns]`; None where the
            model does not read the columns that it forecasts.
        naive: Forecasts that need no model, by name, float `[n, steps * columns]`.
        times: Of each step of history and forecast, as text `[n, steps]`; None where not known.
    """

    rows: np.ndarray
    columns: tuple[str, ...]
    history: np.ndarray | None
    naive: Mapping[str, np.ndarray]
    times: list[list[str]] | None

    @classmethod
    def of(cls, part: Split, description: Mapping[str, Any]) -> Windows | None:
        """Returns windows that lie evenly over a part of the data; None of what is no forecast.

        Args:
            part: Of the data, as it was read.
            description: What the data set says of itself.
        """
        ahead, asked = description.get("horizon"), description.get("label_column")
        if not ahead or not asked:
            return None
        rows = np.unique(np.linspace(0, len(part) - 1, WINDOWS).round().astype(np.int64))
        names, some = list(description.get("value_columns") or ()), part.take(rows)
        history = None
        if all(name in names for name in asked):
            places = [names.index(name) for name in asked]
            history = np.stack([np.asarray(window)[-HISTORY:, places] for window in some.x])
        return cls(rows, tuple(asked), history, some.naive, _times(some, ahead, history))


def _times(part: Split, ahead: int, history: np.ndarray | None) -> list[list[str]] | None:
    spans = part.spans
    if spans is None or spans.times is None:
        return None
    steps = ahead + (0 if history is None else history.shape[1])
    times = np.stack([spans.times[stop - steps : stop] for stop in spans.stop])
    if times.dtype.kind != "M":
        return [[f"{time:g}" for time in row] for row in times.tolist()]
    # No finer than they differ: months have no days.
    units = ("Y", "M", "D", "m", "s")
    unit = next(unit for unit in units if (times.astype(f"M8[{unit}]") == times).all())
    texts: list[list[str]] = np.datetime_as_string(times.astype(f"M8[{unit}]")).tolist()
    return [[text.replace("T", " ") for text in row] for row in texts]


def kept(
    y: np.ndarray, outputs: np.ndarray, windows: Windows | None, *, apart: bool, seed: int = 0
) -> dict[str, Any]:
    """Returns what is kept of a regression's held-out rows, JSON-able.

    Args:
        y: Targets in the user's units, `[n, outputs]`.
        outputs: Answers in the user's units, likewise.
        windows: Of a forecast, those to keep.
        apart: No two rows share a part of a series.
        seed: Of the choice of rows.

    Returns:
        Of a forecast `windows`: for each `true` and `predicted` (`[steps][columns]`), `naive` (the
        same by name), `history` and `times`, where these are known. Otherwise `values`: `true` and
        `predicted` of some rows (`[rows][outputs]`), and `standard_error`, that of the mean
        absolute error, where rows are `apart`.
    """
    y, outputs = np.asarray(y, np.float64), np.asarray(outputs, np.float64)
    if windows is not None:
        return {"windows": _windows(y, outputs, windows), "columns": list(windows.columns)}
    found: dict[str, Any] = {}
    errors = np.abs(outputs - y).mean(axis=1)
    if apart and len(errors) > 1:
        found["standard_error"] = float(errors.std(ddof=1) / math.sqrt(len(errors)))
    chosen = np.arange(len(y))
    if len(y) > ROWS:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(y))[:ROWS])
    some = {"true": y[chosen, :OUTPUTS], "predicted": outputs[chosen, :OUTPUTS]}
    return {**found, "values": {name: _short(values) for name, values in some.items()}}


def _windows(y: np.ndarray, outputs: np.ndarray, windows: Windows) -> list[dict[str, Any]]:
    def steps(values: np.ndarray) -> Any:
        return _short(values.reshape(-1, len(windows.columns)))

    found = []
    for place, row in enumerate(windows.rows.tolist()):
        one: dict[str, Any] = {"true": steps(y[row]), "predicted": steps(outputs[row])}
        one["naive"] = {name: steps(values[place]) for name, values in windows.naive.items()}
        if windows.history is not None:
            one["history"] = _short(windows.history[place])
        if windows.times is not None:
            one["times"] = windows.times[place]
        found.append(one)
    return found


def _short(values: np.ndarray) -> Any:
    """Numbers for a picture: six digits are more than it shows."""
    return [[float(f"{value:.6g}") for value in row] for row in np.asarray(values, float).tolist()]
