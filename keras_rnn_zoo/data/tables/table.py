"""Tables: named columns, read row by row, whatever kind of file they are in.

A format gives a `Table`; what its columns mean (texts and labels, a series in each row, a row for
each time step) is the same question for all of them: see `meaning`.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import DataError, listed, nearest

# What stands in a cell that holds nothing; in any case.
_MISSING = frozenset(("", "nan", "na", "n/a", "null", "none", "?", "-", "nil", "missing"))
_DECIMAL_COMMA = re.compile(r"\s*[+-]?(?:\d*|\d{1,3}(?:\.\d{3})+),\d+(?:[eE][+-]?\d+)?\s*")
# Rows that are looked at to tell what a column holds.
SAMPLE = 200


class Table(ABC):
    """Named columns.

    Attributes:
        name: Of the file, for messages.
        columns: Names of the columns, in order.
        notes: What was found out about the file, a sentence each, for the user to see.
        decimal: Decimal mark of numbers; None for what they show.
    """

    def __init__(self, name: str, columns: Sequence[str], decimal: str | None = None):
        self.name = name
        self.columns = list(columns)
        self.notes: list[str] = []
        self.decimal = decimal

    @abstractmethod
    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, list[Any]]]:
        """Yields, for each row, where it is (a line, or its number) and its cells.

        Args:
            columns: Names of those to read; there are such.

        Raises:
            DataError: The file is damaged.
        """

    def sources(self) -> list[Table]:
        """Returns the tables that this one is made of: recordings of their own."""
        return [self]

    def check(self, columns: Sequence[str], advice: str) -> None:
        """Refuses names that no column has.

        Raises:
            DataError: The message lists the columns.
        """
        for name in columns:
            if name not in self.columns:
                raise DataError(
                    f"{self.name} has no column {name!r}.{nearest(name, self.columns)} It has: "
                    f"{listed(self.columns[:40])}. {advice}"
                )
            if self.columns.count(name) > 1:
                raise DataError(
                    f"{self.name} has {self.columns.count(name)} columns that are called {name!r}. "
                    "Give each a name of its own."
                )

    def sample(self, columns: Sequence[str], most: int = SAMPLE) -> list[list[Any]]:
        """Returns the cells of the first rows."""
        places = [self.columns.index(name) for name in columns]
        return [[cells[place] for place in places] for cells in self._head[:most]]

    @cached_property
    def _head(self) -> list[list[Any]]:
        """The first rows, all columns: a wide table is not opened anew for each of them."""
        return [cells for _, cells in islice(self.rows(self.columns), SAMPLE)]

    def number(self, cell: Any) -> float:
        """Returns the number in a cell; NaN where it holds nothing.

        Raises:
            ValueError: It holds something else.
        """
        if isinstance(cell, str):
            if cell.strip().lower() in _MISSING:
                return math.nan
            if self.decimal == ",":
                cell = cell.replace(".", "").replace(",", ".") if "," in cell else cell
            if "_" in cell:  # Python reads 1_000, and nothing else does
                raise ValueError
            return float(cell)
        if cell is None:
            return math.nan
        if isinstance(cell, (bool, int, float, np.number, np.bool_)):
            return float(cell)
        raise ValueError

    def settle_decimal(self, columns: Sequence[str]) -> None:
        """Finds out whether numbers have a decimal comma, and notes it."""
        if self.decimal is not None:
            return
        cells = [cell for row in self.sample(columns) for cell in row if isinstance(cell, str)]
        commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
        if commas and not any(_plain_fraction(cell) for cell in cells):
            self.decimal = ","
            self.notes.append(
                f"Numbers such as {commas[0].strip()} have a decimal comma (--decimal , says so)."
            )
        else:
            self.decimal = "."

    def is_numeric(self, column: str) -> bool:
        """Whether the first cells of a column are numbers, at least one of them."""
        cells = [row[0] for row in self.sample([column])]
        decimal = self.decimal
        try:
            self.settle_decimal([column])
            numbers = [self.number(cell) for cell in cells]
        except ValueError:
            return False
        finally:
            self.decimal = decimal
        return bool(numbers) and not all(map(math.isnan, numbers))

    def bad_number(self, where: int, column: str, cell: Any) -> DataError:
        """Returns the error for a cell that should hold a number."""
        mark = ""
        if isinstance(cell, str) and _DECIMAL_COMMA.fullmatch(cell) and self.decimal != ",":
            mark = " If it has a decimal comma, say --decimal , (decimal=',')."
        return DataError(
            f"{self.name}, line {where}: {str(cell)[:40]!r} in column {column!r} is no number."
            f"{mark} Leave a cell empty where a value is missing, or leave the column out with "
            "--value-columns (value_columns)."
        )


def _plain_fraction(cell: str) -> bool:
    """Whether a cell is a number with a decimal point."""
    if "." not in cell:
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


class Columns(Table):
    """A table that is in memory: a dict of arrays, or a data frame.

    Args:
        name: For messages.
        values: Name -> cells, all of the same length.
    """

    def __init__(self, values: Mapping[str, Any], name: str = "The table"):
        self._values = {str(key): np.asarray(value) for key, value in values.items()}
        sizes = {len(value) for value in self._values.values()}
        if len(sizes) > 1:
            raise DataError(
                f"The columns of a table are of one length. Received: {listed(map(str, sizes))}"
            )
        super().__init__(name, list(self._values), ".")

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, list[Any]]]:
        """Yields the rows; see `Table.rows`."""
        arrays = [self._values[name] for name in columns]
        for number, cells in enumerate(zip(*arrays, strict=True), 1):
            yield number, list(cells)


class Several(Table):
    """Tables with the same columns, one after the other.

    Raises:
        DataError: One lacks a column that the first one has.
    """

    def __init__(self, tables: Sequence[Table]):
        first = tables[0]
        super().__init__(first.name, first.columns, first.decimal)
        self.tables = list(tables)
        for table in tables[1:]:
            table.check(first.columns, f"{first.name} has it: give files with the same columns.")

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, list[Any]]]:
        """Yields the rows of all; see `Table.rows`."""
        for table in self.tables:
            self.name = table.name  # what messages are about
            yield from table.rows(columns)

    def sources(self) -> list[Table]:
        """Returns the tables."""
        return self.tables
