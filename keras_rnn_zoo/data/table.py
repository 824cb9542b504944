"""Tables in text files: CSV, TSV and their kin (RFC 4180), plain or gzipped, a header first."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_rnn_zoo.data.reader import DATASETS
from keras_rnn_zoo.data.tables.meaning import TableReader
from keras_rnn_zoo.data.tables.table import Table
from keras_rnn_zoo.data.tables.text_files import holds, reading
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.reading import DELIMITERS, ReadOptions

# One field may hold a book; the default limit is 128 KiB, and the module's is an int of C's long.
_LARGEST_FIELD = 2**31 - 1
# Where the header leaves a choice, the first wins.
_CANDIDATES = (",", "\t", ";", "|")
# Lines that are looked at to tell what separates the fields.
_LINES = 50


@dataclass(frozen=True)
class _Form:
    """How a text file writes a table."""

    delimiter: str
    quoted: bool

    def read(self, lines: Any) -> Any:
        """Returns a reader of rows."""
        quoting: Any = csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=quoting,
            strict=True,
            skipinitialspace=self.delimiter == " ",
        )


class TextTable(Table):
    """A table in a text file.

    Args:
        path: The file.
        options: How it is written, where the user says so.
        wanted: Names of columns that it should have, which help to tell what separates fields.

    Raises:
        DataError: It cannot be read as a table.
    """

    def __init__(self, path: Path, options: ReadOptions, wanted: Sequence[str] = ()):
        self.path = path
        self._encoding = options.encoding
        self._quoting_is_said = options.quoting is not None
        self._form = self._find_form(options, wanted)
        with reading(path, self._encoding) as stream:
            try:
                header = [name.strip() for name in next(self._form.read(stream), [])]
            except csv.Error as error:
                raise self._ill_formed(1, error) from error
        if not any(header):
            raise DataError(f"{path} has no header: its first line is empty. Name the columns.")
        self._headed = not all(_is_number(name) for name in header)
        if not self._headed:
            header = [str(number) for number in range(1, len(header) + 1)]
        super().__init__(str(path), header, options.decimal)
        if not self._headed:
            self.notes.append(
                f"The first line holds numbers and no names: columns are called 1 to {len(header)}."
            )
        if options.quoting is None and holds(path, b'"') and not self._reads():
            plain = _Form(self._form.delimiter, quoted=False)
            form, self._form = self._form, plain
            if self._reads():
                self.notes.append(
                    "Quotes are taken as characters: as marks around fields they are not closed "
                    "(--quoting none says so)."
                )
            else:
                self._form = form  # whose message is the better one

    def _find_form(self, options: ReadOptions, wanted: Sequence[str]) -> _Form:
        quoted = options.quoting != "none"
        if options.delimiter is not None:
            return _Form(options.delimiter, quoted)
        if ".tsv" in [suffix.lower() for suffix in self.path.suffixes]:
            return _Form("\t", quoted)
        with reading(self.path, self._encoding) as stream:
            lines = list(itertools.islice(stream, _LINES))
        found = [_Form(delimiter, quoted) for delimiter in _CANDIDATES]
        return max(found, key=lambda form: _fit(form, lines, wanted))

    def _ill_formed(self, line: int, error: csv.Error) -> DataError:
        # Where nobody says how quotes are meant, both ways were tried.
        advice = "if quotes are characters like any other, say --quoting none (quoting='none')"
        if not self._quoting_is_said:
            advice = "as characters like any other, they leave lines of different lengths"
        return DataError(
            f"{self.path} is not a well-formed table after line {line}: {error}. Quotes inside a "
            f"quoted text are written twice; {advice}."
        )

    def _reads(self) -> bool:
        """Whether the whole file can be read in the form that was found."""
        try:
            for _ in self.rows(self.columns[:1]):
                pass
        except DataError as error:
            if isinstance(error.__cause__, csv.Error) or "fields where" in str(error):
                return False
            raise
        return True

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, list[Any]]]:
        """Yields the rows; see `Table.rows`."""
        places = [self.columns.index(name) for name in columns]
        width = len(self.columns)
        line = int(self._headed)
        previous_limit = csv.field_size_limit(_LARGEST_FIELD)
        try:
            with reading(self.path, self._encoding) as stream:
                reader = self._form.read(stream)
                if self._headed:
                    next(reader, None)
                for row in reader:
                    line = reader.line_num
                    if not row:
                        continue
                    # A delimiter at the end of each line makes a field that the header may lack.
                    if len(row) == width + 1 and not row[-1]:
                        row = row[:-1]
                    if len(row) != width:
                        raise DataError(
                            f"{self.path}, line {line}: {len(row)} fields where the header has "
                            f"{width}. Put quotes around texts that hold the separator or a line "
                            f"break, or name the separator: --delimiter (it was taken to be "
                            f"{_named(self._form.delimiter)})."
                        )
                    yield line, [row[place] for place in places]
        except csv.Error as error:
            raise self._ill_formed(line, error) from error
        finally:
            csv.field_size_limit(previous_limit)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _named(delimiter: str) -> str:
    names = {character: name for name, character in DELIMITERS.items()}
    return names.get(delimiter, repr(delimiter))


def _fit(form: _Form, lines: Sequence[str], wanted: Sequence[str]) -> tuple[int, bool, int]:
    """Returns how well a form fits the first lines of a file; the larger the better."""
    rows = []
    # A quoted field may go on behind the lines that were taken.
    try:
        rows = [row for row in form.read(io.StringIO("".join(lines), newline="")) if row]
    except csv.Error:
        rows = [next(csv.reader(lines[:1], delimiter=form.delimiter), [])]
    if not rows:
        return 0, False, 0
    header = [name.strip() for name in rows[0]]
    known = len(set(wanted) & set(header))
    even = len(header) > 1 and all(len(row) - len(header) in (0, 1) for row in rows[:-1])
    return known, even, len(header) if even else 0


class TextTables(TableReader):
    """Reads tables in text files."""

    name = "table"
    description = (
        "Your tables: a .csv or .tsv file, plain or .gz; texts and labels, a series in each row, "
        "or a row for each time step."
    )
    suffixes = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".tab")

    def open(self, path: Path, options: ReadOptions, wanted: Sequence[str]) -> Table:
        """Opens a table; see `TableReader.open`."""
        return TextTable(path, options, wanted)


DATASETS.register(TextTables.name, TextTables())
