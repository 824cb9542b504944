"""Sizes and times as people write them, `300KB`, `2ms`, and as they read them, `1 min 20 s`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from keras_rnn_zoo.errors import ConfigError, listed

_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "KiB": 2**10, "MiB": 2**20}
_MILLISECONDS = {"us": Decimal("0.001"), "ms": Decimal(1), "s": Decimal(1000)}
_SECONDS = {"s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
# The micro sign and the Greek letter look alike.
_SAME = {"µs": "us", "\N{GREEK SMALL LETTER MU}s": "us", "min": "m"}
_NUMBER = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?|\.[0-9]+)\s*(\S*)\s*")


def parse_bytes(text: str | int) -> int:
    """Returns how many bytes a size is, rounded down.

    Args:
        text: `"300KB"`: a number above 0 and `B`, `kB` (1,000), `MB`, `KiB` (1,024) or `MiB`, in
            capitals or not. A whole number alone is bytes.

    Raises:
        ConfigError: It is none; the message says what is allowed.
    """
    what = "A size is a number above 0 and a unit, such as 300KB; a whole number alone is bytes."
    number, unit = _split(text, what, "B", _BYTES)
    size = number * _BYTES[unit]
    if size < 1 or (unit == "B" and size % 1):
        raise ConfigError(f"{what} Received: {text!r}")
    return int(size)


def parse_milliseconds(text: str | float) -> float:
    """Returns how many milliseconds a time is.

    Args:
        text: `"2ms"`: a number above 0 and `us` (or `µs`), `ms` or `s`. A number alone is
            milliseconds.

    Raises:
        ConfigError: It is none; the message says what is allowed.
    """
    what = "A time is a number above 0 and a unit, such as 2ms; a number alone is milliseconds."
    return _time(text, what, "ms", _MILLISECONDS)


def parse_seconds(text: str | float) -> float:
    """Returns how many seconds a time is.

    Args:
        text: `"30m"`: a number above 0 and `s`, `m` (or `min`) or `h`. A number alone is seconds.

    Raises:
        ConfigError: It is none; the message says what is allowed.
    """
    what = "A time is a number above 0 and a unit, such as 30m or 2h; a number alone is seconds."
    return _time(text, what, "s", _SECONDS)


def _time(text: str | float, what: str, default: str, units: Mapping[str, Decimal]) -> float:
    number, unit = _split(text, what, default, units)
    time = float(number * units[unit])
    if not 0 < time < math.inf:
        raise ConfigError(f"{what} Received: {text!r}")
    return time


def _split(
    text: str | float, what: str, default: str, units: Mapping[str, object]
) -> tuple[Decimal, str]:
    match = _NUMBER.fullmatch(str(text))
    if match is None or isinstance(text, bool):
        raise ConfigError(f"{what} Received: {text!r}")
    number, given = match.groups()
    known = {unit.lower(): unit for unit in units}
    unit = known.get(_SAME.get(given.lower(), given.lower()) or default.lower())
    if unit is None:
        raise ConfigError(
            f"Unknown unit: {given!r}. Known: {listed(units)}. {what} Received: {text!r}"
        )
    return Decimal(number.replace("_", "")), unit


def size(count: float) -> str:
    """Returns bytes as kB (1,000 bytes), one decimal below 100 kB."""
    if count < 1000:
        return f"{count:.0f} B"
    return f"{count / 1000:,.{1 if count < 1e5 else 0}f} kB"


def milliseconds(value: float) -> str:
    """Returns a time in ms with three digits."""
    return f"{value:.{3 if value < 1 else 2 if value < 100 else 0}f} ms"


def score(value: float, *, percent: bool) -> str:
    """Returns an accuracy in percent, a loss or an error as a number."""
    return f"{100 * value:.2f} %" if percent else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Returns a time in the unit that reads best."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02} s"
    return f"{round(seconds / 60) // 60} h {round(seconds / 60) % 60:02} min"


def rows_in_words(counts: Mapping[str, int]) -> str:
    """Returns what the rows of a data set are for: `90 rows to train on, 10 rows to validate`.

    Args:
        counts: `"train"`, `"validation"`, `"test"` -> how many rows there are.
    """
    words = {"train": "to train on", "validation": "to validate", "test": "to test"}
    parts = [f"{counts[part]:,} rows {word}" for part, word in words.items() if counts.get(part)]
    return ", ".join(parts)


def parse_timesteps(value: Any) -> int | dict[str, int | dict[int, int]]:
    """Returns the sizes in text such as 80, left=20,right=30 or line:2=40.

    Args:
        value: A number of time steps for every input, or one by input name, or a size by input
            name and axis.

    Raises:
        ConfigError: It is none of these.
    """
    text = str(value).strip()
    if "=" not in text:
        return _steps(text, text)
    sizes: dict[str, int | dict[int, int]] = {}
    for part in text.split(","):
        target, _, size = part.rpartition("=")
        name, colon, axis = target.strip().rpartition(":")
        if not (colon and axis.strip().isdigit()):
            sizes[target.strip()] = _steps(size, text)
            continue
        known = sizes.setdefault(name.strip(), {})
        if isinstance(known, dict):
            known[int(axis)] = _steps(size, text)
    return sizes


def _steps(number: str, text: str) -> int:
    try:
        return int(number)
    except ValueError:
        raise ConfigError(
            "timesteps is a whole number, such as 80, or one by input name, such as "
            f"left=20,right=30, or by name and axis, such as line:2=40. Received: {text!r}"
        ) from None
