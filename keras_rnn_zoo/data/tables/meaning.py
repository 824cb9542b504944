"""What the columns of a table mean: texts and labels, a series in each row, or a row a time step.

| what the user says, or the table shows | a row is | inputs |
| --- | --- | --- |
| `window` | a time step | windows of numbers: see `windows` |
| a text column | a text | texts, or lists of words where each has a tag |
| neither, but columns of numbers | a sequence | series of numbers |
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.data.dataset import Dataset, Split
from keras_rnn_zoo.data.reader import Reader
from keras_rnn_zoo.data.tables.table import Several, Table
from keras_rnn_zoo.data.tables.times import is_time
from keras_rnn_zoo.data.tables.windows import sequences_of, windows_of
from keras_rnn_zoo.errors import DataError, listed, nearest
from keras_rnn_zoo.preprocessing.reading import ReadOptions

SAY_WHICH = (
    "Say which with text_column (--text-column), value_columns (--value-columns) and label_column "
    "(--label-column)."
)


class TableReader(Reader):
    """Base of the readers of tables: a format says how a file is opened, and no more."""

    @abstractmethod
    def open(self, path: Path, options: ReadOptions, wanted: Sequence[str]) -> Table:
        """Opens a table.

        Args:
            path: The file.
            options: How it is written, where the user says so.
            wanted: Names of columns that it should have.

        Raises:
            DataError: It cannot be read as a table.
        """

    def load(self, path: Path | None, options: ReadOptions) -> Dataset:
        """Reads a table; see `load_data`."""
        assert path is not None
        table = self.open(path, options, wanted(options))
        dataset = dataset_of(table, options)
        columns = {"columns": table.columns[:1000]}
        return replace(
            dataset,
            name=path.name,
            description={**columns, **dataset.description},
            notes=(*table.notes, *dataset.notes),
        )

    def load_several(self, paths: Sequence[Path], options: ReadOptions) -> Dataset:
        """Reads several tables: their rows, one file after the other, each a recording."""
        tables = [self.open(path, options, wanted(options)) for path in paths]
        several = Several(tables)
        dataset = dataset_of(several, options)
        notes = dict.fromkeys(note for table in tables for note in table.notes)
        return replace(
            dataset,
            name=f"{paths[0].name} and {len(paths) - 1} more",
            description={"columns": several.columns[:1000], **dataset.description},
            notes=(*notes, *dataset.notes),
        )

    def load_inputs(self, path: Path, options: ReadOptions) -> Sequence[Any]:
        """Reads inputs without labels; see `load_inputs`."""
        table = self.open(path, options, wanted(options))
        if options.window is not None:
            return sequences_of(table, options)
        if _holds_texts(table, options):
            return [_text(table, cell) for _, (cell,) in table.rows([options.text_column])]
        names = _values(table, options, labels=())
        return list(_series(table, names)[0])


def wanted(options: ReadOptions) -> list[str]:
    """Returns the names of columns that a user says, or that have names by default."""
    said = [options.text_column, *options.label_column, options.time_column]
    said += [options.id_column, options.group_column]
    return [name for name in (*said, *(options.value_columns or ())) if name]


def dataset_of(table: Table, options: ReadOptions) -> Dataset:
    """Returns what a table means.

    Raises:
        DataError: A column is missing, or a cell holds what its column cannot.
    """
    if options.window is not None:
        return windows_of(table, options)
    for name in ("horizon", "stride", "label_at", "group_column"):
        if getattr(options, name) is not None:
            raise DataError(
                f"{name} (--{name.replace('_', '-')}) is for tables with a row for each time step. "
                "Say how many steps a sequence has, too: window (--window)."
            )
    if _holds_texts(table, options):
        return _texts(table, options)
    return _wide(table, options)


def _holds_texts(table: Table, options: ReadOptions) -> bool:
    if options.kind == "features" or options.value_columns is not None:
        return False
    return options.text_column in table.columns or options.text_column != "text"


# ------------------------------------------------------------------------------- texts


def _text(table: Table, cell: Any) -> Any:
    """Returns a text, or a list of words."""
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, list) and all(isinstance(word, str) for word in cell):
        return cell
    return "" if cell is None else cell if isinstance(cell, str) else str(cell)


def _texts(table: Table, options: ReadOptions) -> Dataset:
    names = [options.text_column, *options.label_column]
    table.check(names, SAY_WHICH)
    if options.text_column in options.label_column:
        raise DataError(
            f"The text column and the label column are both {options.text_column!r}. "
            "Name two different columns."
        )
    _question_numbers(table, options)
    texts: list[Any] = []
    labels: list[Any] = []
    known: dict[Any, Any] = {}
    several = len(options.label_column) > 1
    for where, (text, *cells) in table.rows(names):
        texts.append(_text(table, text))
        found = [_label(table, where, cell) for cell in cells]
        # One string object per label, not one per row.
        found = [known.setdefault(one, one) if isinstance(one, str) else one for one in found]
        labels.append(found if several else found[0])
    if not texts:
        raise DataError(f"{table.name} has a header and no rows. Give a file with data.")
    columns = {"text_column": options.text_column, "label_column": _said(options.label_column)}
    return Dataset(table.name, "text", Split(texts, labels), description=columns)


def _said(names: Sequence[str]) -> Any:
    return names[0] if len(names) == 1 else list(names)


def _label(table: Table, where: int, cell: Any) -> Any:
    """Returns a label: a text, or a list of them."""
    if isinstance(cell, (list, np.ndarray)):
        return [str(one) for one in cell]
    text = "" if cell is None else str(cell).strip()
    if isinstance(cell, float) and np.isnan(cell):
        text = ""
    if not text or text.lower() == "nan" or "\n" in text:
        what = "has a line break" if "\n" in text else "is missing"
        raise DataError(
            f"{table.name}, line {where}: the label {what} ({text!r}). Give every row a label of "
            "one line, or drop the row."
        )
    return text


def _question_numbers(table: Table, options: ReadOptions) -> None:
    """Refuses a text column that holds numbers, unless the user says that they are texts."""
    if options.kind == "text" or not table.is_numeric(options.text_column):
        return
    raise DataError(
        f"The column {options.text_column!r} of {table.name} holds numbers and no texts. Name the "
        "column with the texts (--text-column), or say that the numbers are values "
        f"(--value-columns {options.text_column}) or indeed texts (--kind text)."
    )


# ------------------------------------------------------------------------------- wide tables


def _values(table: Table, options: ReadOptions, labels: Sequence[str]) -> list[str]:
    """Returns the columns with the numbers of a row."""
    if options.value_columns is not None:
        table.check(options.value_columns, SAY_WHICH)
        return list(options.value_columns)
    others = [name for name in table.columns if name not in labels and name != options.id_column]
    found = [name for name in others if table.is_numeric(name)]
    if not found:
        raise DataError(
            f"{table.name} has no column {options.text_column!r}."
            f"{nearest(options.text_column, table.columns)} It has: {listed(table.columns[:40])}, "
            f"and numbers in none of them. {SAY_WHICH} The first line must be the header."
        )
    strange = [name for name in others if name not in found]
    if strange:
        log = next((name for name in strange if _looks_like_time(table, name)), None)
        what = f"The column {log!r} looks like a time" if log else f"{strange[0]!r} holds no number"
        raise DataError(
            f"{table.name} has no column {options.text_column!r} with texts. {what}: if the table "
            "has a row for each time step, say how many make a sequence, as in --window 60"
            f"{f' --time-column {log}' if log else ''}, and what to answer: --label-column or "
            "--horizon. If a row is a sequence, name its columns: --value-columns."
        )
    return found


def _looks_like_time(table: Table, name: str) -> bool:
    return is_time([row[0] for row in table.sample([name], 20)])


def _series(
    table: Table, names: Sequence[str], beside: Sequence[str] = ()
) -> tuple[np.ndarray, list[Any]]:
    """Returns float32 `[n, timesteps, 1]`, a series in each row; NaN where it ended before.

    Args:
        table: To read.
        names: Columns of the series.
        beside: Columns of labels, which are returned, too: one for each row, or several.
    """
    table.settle_decimal(names)
    rows: list[np.ndarray] = []
    labels: list[Any] = []
    for where, cells in table.rows([*names, *beside]):
        values = []
        for name, cell in zip(names, cells, strict=False):
            try:
                values.append(table.number(cell))
            except ValueError:
                raise table.bad_number(where, name, cell) from None
        rows.append(np.asarray(values, dtype=np.float32))
        found = [_label(table, where, cell) for cell in cells[len(names) :]]
        labels.append(found[0] if len(found) == 1 else found)
    if not rows:
        raise DataError(f"{table.name} has a header and no rows. Give a file with data.")
    return np.stack(rows)[:, :, np.newaxis], labels


def _wide(table: Table, options: ReadOptions) -> Dataset:
    absent = [name for name in options.label_column if name not in table.columns]
    if absent and options.label_column == ("label",):
        _values(table, options, labels=())  # what is wrong with these is told first
        raise DataError(
            f"{table.name} has no column {options.text_column!r} with texts and no column 'label'. "
            f"It has: {listed(table.columns[:40])}. If a row is a sequence, say which column is "
            "its label: --label-column. If the table has a row for each time step, say how many "
            "make a sequence, and what to answer, as in --window 60 --horizon 1."
        )
    table.check(options.label_column, SAY_WHICH)
    names = _values(table, options, labels=options.label_column)
    x, labels = _series(table, names, options.label_column)
    notes = [
        f"A row is a series of {len(names)} time steps, {names[0]} to {names[-1]}; if it were one "
        "time step, --window would say how many make a sequence."
    ]
    columns = {"value_columns": names, "label_column": _said(options.label_column)}
    return Dataset(
        table.name, "features", Split(x, labels), description=columns, notes=tuple(notes)
    )
