"""A kind of data file: the first table of an SQLite database."""

import sqlite3

from keras_rnn_zoo.data import DATASETS
from keras_rnn_zoo.data.tables.meaning import TableReader
from keras_rnn_zoo.data.tables.table import Table
from keras_rnn_zoo.errors import DataError


class SqliteTable(Table):
    """A table of a database; what its columns mean is the same for all tables."""

    def __init__(self, path):
        self.path = path
        (names,) = zip(*self._ask("SELECT name FROM sqlite_master WHERE type = 'table'")) or ((),)
        self._table = f'"{names[0]}"'
        columns = [column[1] for column in self._ask(f"PRAGMA table_info({self._table})")]
        super().__init__(str(path), columns, decimal=".")

    def _ask(self, question):
        try:
            with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as database:
                found = database.execute(question).fetchall()
        except sqlite3.Error as error:
            raise DataError(f"{self.path} is no SQLite database: {error}.") from error
        if not found:
            raise DataError(f"{self.path} holds nothing. Give a database with a table.")
        return found

    def rows(self, columns):
        """Yields the rows; see `Table.rows`."""
        names = ", ".join(f'"{name}"' for name in columns)
        for number, row in enumerate(self._ask(f"SELECT {names} FROM {self._table}"), start=1):
            yield number, list(row)


class Sqlite(TableReader):
    """Reads SQLite databases."""

    name = "sqlite"
    description = "Your tables: an .sqlite file, whose first table is read."
    suffixes = (".sqlite",)

    def open(self, path, options, wanted):
        """Opens a database; see `TableReader.open`."""
        return SqliteTable(path)


DATASETS.register(Sqlite.name, Sqlite())
