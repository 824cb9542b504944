"""JSON lines (https://jsonlines.org): an object in each line, whose keys are columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo.data.reader import DATASETS
from keras_rnn_zoo.data.tables.meaning import TableReader
from keras_rnn_zoo.data.tables.table import Table
from keras_rnn_zoo.data.tables.text_files import reading
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.reading import ReadOptions


class JsonTable(Table):
    """Objects in the lines of a file; keys that an object lacks are empty cells.

    Raises:
        DataError: The first line is no object.
    """

    def __init__(self, path: Path, options: ReadOptions):
        self.path = path
        self._encoding = options.encoding
        first = next(self._objects(), None)
        if first is None:
            raise DataError(f"{path} holds no JSON object. Give one in each line.")
        super().__init__(str(path), list(first[1]), options.decimal or ".")

    def _objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        with reading(self.path, self._encoding) as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(
                        f"{self.path}, line {number} is no JSON: {error}. Give an object in each "
                        "line."
                    ) from error
                if not isinstance(value, dict):
                    raise DataError(
                        f"{self.path}, line {number} holds no object, but {str(value)[:40]!r}. "
                        'Write {"text": ..., "label": ...} in each line.'
                    )
                yield number, value

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, list[Any]]]:
        """Yields the rows; see `Table.rows`."""
        for number, value in self._objects():
            yield number, [value.get(name) for name in columns]


class JsonLines(TableReader):
    """Reads JSON lines."""

    name = "json_lines"
    description = "Your tables as JSON lines: a .jsonl file, plain or .gz, an object in each line."
    suffixes = (".jsonl", ".jsonl.gz", ".ndjson")

    def open(self, path: Path, options: ReadOptions, wanted: Sequence[str]) -> Table:
        """Opens a file; see `TableReader.open`."""
        return JsonTable(path, options)


DATASETS.register(JsonLines.name, JsonLines())
