"""The user's own texts: CSV or TSV (RFC 4180 quoting), plain or gzipped, a header line first."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from keras_rnn_zoo.data import DATASETS, Dataset, Reader, Split, not_utf8
from keras_rnn_zoo.errors import DataError, listed, nearest

# One field may hold a book; the default limit is 128 KiB, and the module's is an int of C's long.
_LARGEST_FIELD = 2**31 - 1


def _open(path: Path) -> TextIO:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open("r", encoding="utf-8-sig", newline="")


def _rows(path: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yields the named columns of each row, one row at a time."""
    tabs = ".tsv" in [suffix.lower() for suffix in path.suffixes]
    line = 0
    previous_limit = csv.field_size_limit(_LARGEST_FIELD)
    try:
        with _open(path) as stream:
            reader = csv.reader(stream, delimiter="\t" if tabs else ",", strict=True)
            header = [name.strip() for name in next(reader, [])]
            for name in columns:
                if name not in header:
                    raise DataError(
                        f"{path} has no column {name!r}.{nearest(name, header)} It has: "
                        f"{listed(header)}. Say which with text_column (--text-column) and "
                        "label_column (--label-column); the first line must be the header."
                    )
            places = [header.index(name) for name in columns]
            for row in reader:
                line = reader.line_num
                if not row:
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"{path}, line {line}: {len(row)} fields where the header has "
                        f"{len(header)}. Put quotes around texts that hold the separator or a "
                        "line break."
                    )
                yield [row[place] for place in places]
    except UnicodeDecodeError as error:
        raise not_utf8(path, error, line) from error
    except csv.Error as error:
        raise DataError(
            f"{path} is not a well-formed table after line {line}: {error}. Quotes inside a quoted "
            "text are written twice."
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is damaged or not gzip: {error}. Take a complete copy of it."
        ) from error
    finally:
        csv.field_size_limit(previous_limit)


class Table(Reader):
    """Reads texts and labels from two columns of a table."""

    name = "table"
    description = "Your texts: a .csv or .tsv file, plain or .gz, with a text and a label column."
    suffixes = (".csv", ".tsv", ".csv.gz", ".tsv.gz")

    def load(self, path: Path | None, *, text_column: str, label_column: str) -> Dataset:
        """Reads a table of texts and labels; see `load_data`."""
        assert path is not None
        if text_column == label_column:
            raise DataError(
                f"The text column and the label column are both {text_column!r}. "
                "Name two different columns."
            )
        texts: list[str] = []
        labels: list[str] = []
        known: dict[str, str] = {}
        for text, label in _rows(path, (text_column, label_column)):
            label = label.strip()
            if not label or "\n" in label:
                raise DataError(
                    f"{path}, row {len(texts) + 1}: the label {label!r} is empty or has a line "
                    "break. Give every row a label of one line, or drop the row."
                )
            texts.append(text)
            # One string object per label, not one per row.
            labels.append(known.setdefault(label, label))
        if not texts:
            raise DataError(f"{path} has a header and no rows. Give a file with data.")
        columns = {"text_column": text_column, "label_column": label_column}
        return Dataset(path.name, "text", Split(texts, labels), description=columns)

    def load_inputs(self, path: Path, *, text_column: str) -> Sequence[Any]:
        """Reads the text column of a table."""
        return [text for (text,) in _rows(path, (text_column,))]


DATASETS.register(Table.name, Table())
