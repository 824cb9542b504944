"""How files are read: what a user says of their columns, their form and their meaning."""

from __future__ import annotations

import codecs
import csv
from dataclasses import dataclass, fields
from typing import Any

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.options import Options, choice, number, option, optional, text, whole
from keras_rnn_zoo.preprocessing.options import task_option

WAYS = ("random", "time", "group")
KINDS = ("text", "tokens", "features")
DELIMITERS = {"comma": ",", "semicolon": ";", "pipe": "|", "tab": "\t", "space": " "}


def _columns(name: str, value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not names or not all(isinstance(one, str) and one for one in names):
        raise ConfigError(f"{name} is one or several names of columns. Received: {value!r}")
    if len(set(names)) != len(names):
        raise ConfigError(f"{name} names a column once. Received: {value!r}")
    return names


def _written_columns(written: str) -> tuple[str, ...]:
    """Returns the names in `A,B`; one that holds a comma is written in quotes."""
    return tuple(name.strip() for name in next(csv.reader([written], skipinitialspace=True), []))


def _delimiter(name: str, value: Any) -> str:
    found = DELIMITERS.get(value, value) if isinstance(value, str) else value
    found = "\t" if found == "\\t" else found
    if not isinstance(found, str) or len(found) != 1 or found in '"\r\n' or found.isalnum():
        names = ", ".join(DELIMITERS)
        raise ConfigError(
            f"{name} is one character, such as ';', or its name ({names}). Received: {value!r}"
        )
    return found


def _encoding(name: str, value: Any) -> str:
    try:
        return codecs.lookup(value).name
    except (LookupError, TypeError):
        raise ConfigError(
            f"{name} is an encoding that Python knows, such as utf-8, cp1252 or utf-16. "
            f"Received: {value!r}"
        ) from None


@dataclass(frozen=True, kw_only=True)
class ColumnOptions(Options):
    """Which columns of a table are read."""

    text_column: str = option("text", "Column of a table with the texts.", text, metavar="NAME")
    label_column: tuple[str, ...] = option(
        ("label",),
        "Column of a table with the labels; of a forecast, those to forecast.",
        _columns,
        metavar="NAME",
        parse=_written_columns,
        shown_default="label; of a forecast the values",
    )

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as a JSON object; one column as its name alone."""
        values = super().to_dict()
        names = values["label_column"]
        return {**values, "label_column": names[0] if len(names) == 1 else names}


@dataclass(frozen=True, kw_only=True)
class ReadOptions(ColumnOptions):
    """How files are read."""

    value_columns: tuple[str, ...] | None = option(
        None,
        "Columns of a table with numbers: the series of a row, or, with --window, the values of a "
        "time step.",
        optional(_columns),
        metavar="NAMES",
        parse=_written_columns,
        shown_default="all that hold numbers, where there are no texts",
    )
    time_column: str | None = option(
        None,
        "Of a table with a row for each time step: the column with its time, by which rows are put "
        "in order, and gaps are seen.",
        optional(text),
        metavar="NAME",
        shown_default="none: rows are in order",
    )
    id_column: str | None = option(
        None,
        "Of a table with a row for each time step: the column that tells recordings apart, such as "
        "a person or a device.",
        optional(text),
        metavar="NAME",
        shown_default="a file is a recording",
    )
    group_column: str | None = option(
        None,
        "Of a table with a row for each time step: the column with what --split group holds out "
        "together, such as a person with several recordings.",
        optional(text),
        metavar="NAME",
        shown_default="each recording alone",
    )
    window: int | None = option(
        None,
        "The table has a row for each time step: cut it into sequences of so many.",
        optional(whole(least=1)),
        metavar="STEPS",
        shown_default="a row is a sequence",
    )
    stride: int | None = option(
        None,
        "Steps from one window to the next.",
        optional(whole(least=1)),
        metavar="STEPS",
        shown_default="half a window; 1 for a forecast",
    )
    horizon: int | None = option(
        None,
        "Forecast so many steps after the window.",
        optional(whole(least=1)),
        metavar="STEPS",
        shown_default="no forecast: answer with a label",
    )
    label_at: str | None = option(
        None,
        "Which label of its steps a window has: the most frequent, the last, or each step its own.",
        optional(choice("majority", "last", "step")),
        shown_default="majority; last for numbers",
    )
    padding_value: float | None = option(
        None,
        "Number that fills up short sequences of features; steps that hold nothing else, at the "
        "padded side, are none. NaN always is such a number.",
        optional(number()),
        metavar="NUMBER",
        shown_default="none: a zero is a value",
    )
    period: int | None = option(
        None,
        "Of a forecast: steps after which values come again, such as 12 months or 24 hours; the "
        "forecast is compared with the values a period before.",
        optional(whole(least=1)),
        metavar="STEPS",
        shown_default="none",
    )
    time_format: str | None = option(
        None,
        "How the time column is written, as strptime takes it, such as '%d/%m/%Y %H:%M'.",
        optional(text),
        metavar="FORMAT",
        shown_default="ISO 8601, or one of the usual forms",
    )
    task: str | None = task_option()
    kind: str | None = option(
        None,
        "What the inputs are.",
        optional(choice(*KINDS)),
        shown_default="what they look like",
    )
    delimiter: str | None = option(
        None,
        "What separates the fields of a table: a character, or comma, semicolon, pipe, tab.",
        optional(_delimiter),
        metavar="CHAR",
        shown_default="what the header shows",
    )
    decimal: str | None = option(
        None,
        "Decimal mark of the numbers in a table.",
        optional(choice(".", ",")),
        shown_default="what the numbers show",
    )
    encoding: str | None = option(
        None,
        "Encoding of text files.",
        optional(_encoding),
        metavar="NAME",
        shown_default="UTF-8, or what a byte order mark says",
    )
    quoting: str | None = option(
        None,
        'Whether a field may stand in quotes ("standard") or a quote is a character ("none").',
        optional(choice("standard", "none")),
        shown_default="standard; none where only that can be read",
    )

    def chosen(self) -> dict[str, Any]:
        """Returns those that are not at their defaults: what has to be said to read alike."""
        said = {
            one.name
            for one in fields(ReadOptions)
            if one.name != "task" and getattr(self, one.name) != one.default
        }
        values = ReadOptions.part_of(self).to_dict()
        return {name: value for name, value in values.items() if name in said}
