"""Apache Parquet (https://parquet.apache.org), read by pyarrow: the extra `parquet`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo.data.reader import DATASETS
from keras_rnn_zoo.data.tables.meaning import TableReader
from keras_rnn_zoo.data.tables.table import Table
from keras_rnn_zoo.errors import DataError, MissingExtraError
from keras_rnn_zoo.preprocessing.reading import ReadOptions

_BATCH = 10_000


class ParquetTable(Table):
    """The columns of a Parquet file, read in batches.

    Raises:
        DataError: It is damaged or no Parquet.
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, path: Path):
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtraError("pyarrow", "parquet", "Reading Parquet") from error
        self.path = path
        self._wrong = pyarrow.ArrowException
        try:
            self._file = pyarrow.parquet.ParquetFile(path)
        except (self._wrong, OSError) as error:
            raise self._damaged(error) from error
        super().__init__(str(path), list(self._file.schema_arrow.names), ".")

    def _damaged(self, error: Exception) -> DataError:
        reason = str(error).splitlines()[0]
        return DataError(f"{self.path} is damaged or no Parquet: {reason}. Take a complete copy.")

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, list[Any]]]:
        """Yields the rows; see `Table.rows`."""
        names = list(dict.fromkeys(columns))
        number = 0
        try:
            for batch in self._file.iter_batches(_BATCH, columns=names):
                cells = {name: batch.column(name).to_pylist() for name in names}
                for row in zip(*(cells[name] for name in columns), strict=True):
                    number += 1
                    yield number, list(row)
        except (self._wrong, OSError) as error:
            raise self._damaged(error) from error


class Parquet(TableReader):
    """Reads Parquet."""

    name = "parquet"
    description = "Your tables as Parquet: a .parquet file; needs the extra 'parquet'."
    suffixes = (".parquet",)

    def open(self, path: Path, options: ReadOptions, wanted: Sequence[str]) -> Table:
        """Opens a file; see `TableReader.open`."""
        return ParquetTable(path)


DATASETS.register(Parquet.name, Parquet())
