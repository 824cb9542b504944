"""Time columns: read, put in order, looked through for gaps."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import DataError

# As people and spreadsheets write dates, where it is not ISO 8601.
_DATES = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%d.%m.%y", "%m/%d/%y")
_WORDS = ("%Y %b", "%b %Y", "%Y-%b", "%b-%Y", "%B %Y", "%d %b %Y", "%b %d, %Y", "%d-%b-%Y")
_QUARTER = re.compile(r"(\d{4})[ -]?[Qq]([1-4])")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M:%S %p", " %I:%M %p")
# Where so many of the intervals are alike, a longer one is a gap; otherwise steps are just uneven.
_REGULAR = 0.9


def seconds_of(cells: Sequence[Any], name: str, form: str | None = None) -> np.ndarray:
    """Returns the times of rows in seconds, float64 `[n]`.

    Args:
        cells: Numbers (taken as seconds, or whatever they count), dates and times in ISO 8601 or in
            the usual other forms, or datetime64.
        name: What to call the column in a message.
        form: How they are written, as `datetime.strptime` takes it.

    Raises:
        DataError: One cannot be read, or days and months cannot be told apart.
    """
    array = np.asarray(cells)
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]").astype(np.int64) / 1e6
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    texts = [str(cell).strip() for cell in cells]
    if form is not None:
        return _by_form(texts, form, name)
    try:
        return np.asarray([float(text) for text in texts])
    except ValueError:
        pass
    iso = _iso(texts)
    if iso is not None:
        return iso
    quarters = [_QUARTER.fullmatch(text) for text in texts]
    if all(quarters):
        starts = [f"{found[1]}-{3 * int(found[2]) - 2:02}" for found in quarters if found]
        return seconds_of(starts, name)
    fitting = [one for one in _forms() if _reads(texts[:200], one)]
    found = {}
    for one in fitting:
        try:
            found[one] = _by_form(texts, one, name)
        except DataError:
            continue
    if not found:
        bad = next((text for text in texts if not is_time([text])), texts[0] if texts else "")
        raise DataError(
            f"{bad!r} in {name} is no time that is known here. Write times as 2026-01-31 14:05:00, "
            "or as numbers, or say how they are written: --time-format '%d/%m/%Y %H:%M' "
            "(time_format)."
        )
    # Days and months are told apart by what is in order.
    best = min(found, key=lambda one: int((np.diff(found[one]) < 0).sum()))
    backwards = [int((np.diff(times) < 0).sum()) for times in found.values()]
    if len(found) > 1 and sorted(backwards)[:2] == [min(backwards)] * 2:
        raise DataError(
            f"Times such as {texts[0]!r} in {name} can be read as {' or as '.join(found)}. Say "
            f"which: --time-format '{best}' (time_format)."
        )
    return found[best]


def is_time(cells: Sequence[Any]) -> bool:
    """Whether cells look like dates or times; numbers do not."""
    array = np.asarray(cells)
    if array.dtype.kind == "M":
        return True
    texts = [str(cell).strip() for cell in cells if cell is not None and str(cell).strip()]
    if not texts:
        return False
    try:
        [float(text) for text in texts]
        return False
    except ValueError:
        pass
    if _iso(texts) is not None or all(map(_QUARTER.fullmatch, texts)):
        return True
    return any(_reads(texts, form) for form in _forms())


def _forms() -> list[str]:
    return [date + clock for clock in _CLOCKS for date in _DATES] + list(_WORDS)


def _iso(texts: Sequence[str]) -> np.ndarray | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy has no time zones, and warns
            return np.asarray(texts, "datetime64[us]").astype(np.int64) / 1e6
    except (ValueError, UserWarning, DeprecationWarning):
        pass
    try:
        times = [datetime.fromisoformat(text.replace("Z", "+00:00")) for text in texts]
    except ValueError:
        return None
    return np.asarray([_stamp(one) for one in times])


def _stamp(time: datetime) -> float:
    # Where no zone is said, clocks of this machine have no say either.
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()


def _reads(texts: Sequence[str], form: str) -> bool:
    try:
        for text in texts:
            datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _by_form(texts: Sequence[str], form: str, name: str) -> np.ndarray:
    found = np.empty(len(texts))
    for row, text in enumerate(texts):
        try:
            found[row] = _stamp(datetime.strptime(text, form))
        except ValueError as error:
            raise DataError(f"In {name}: {error}. Say how times are written.") from None
    return found


def usual_step(times: np.ndarray) -> float | None:
    """Returns the usual interval between times, in seconds; None where there is none.

    Args:
        times: float64 `[n]`, in order.
    """
    steps = np.diff(times)
    if len(steps) == 0:
        return None
    middle = float(np.median(steps))
    # Months are of 28 to 31 days.
    alike = np.abs(steps - middle) <= 0.11 * abs(middle)
    return middle if middle > 0 and alike.mean() >= _REGULAR else None


def breaks(times: np.ndarray) -> np.ndarray:
    """Returns the rows before which there is a gap, in a recording whose steps are even."""
    step = usual_step(times)
    if step is None:
        return np.arange(0)
    return np.flatnonzero(np.diff(times) > 1.5 * step) + 1


def duration(seconds: float) -> str:
    """Returns a duration in the unit that people would use."""
    for size, unit in ((86400 * 365.25, "years"), (86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and unit in ("h", "min", "days")):
            return f"{seconds / size:.3g} {unit if seconds != size else unit.rstrip('s')}"
    return f"{seconds:.3g} s"
