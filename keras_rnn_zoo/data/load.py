"""From what a user names to a data set: names, files, folders, patterns, standard input."""

from __future__ import annotations

import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_rnn_zoo.data.dataset import Dataset
from keras_rnn_zoo.data.parts import of_part
from keras_rnn_zoo.data.reader import DATASETS, Reader
from keras_rnn_zoo.data.recognition import recognised
from keras_rnn_zoo.data.tables.table import Columns
from keras_rnn_zoo.data.tables.text_files import reading
from keras_rnn_zoo.data.tables.windows import windows_of
from keras_rnn_zoo.errors import ConfigError, DataError, listed, nearest
from keras_rnn_zoo.files import PathLike, sha256
from keras_rnn_zoo.options import takes
from keras_rnn_zoo.preprocessing.reading import ReadOptions

Data = PathLike | Sequence[PathLike]
STDIN = "-"


@takes(ReadOptions)
def load_data(data: Data, *, test_data: Data | None = None, **options: Any) -> Dataset:
    """Reads a data set by its name, or from files.

    Args:
        data: `"digits"`, `"imdb"`, a file, a folder, a pattern such as `"recordings/*.csv"`, `"-"`
            for standard input, or several of them. A folder or a pattern with `X_TRAIN.ts` and
            `X_TEST.ts` (or `train.csv` and `test.csv`) is trained and tested on these.
        test_data: The same for test rows; they replace the test split that `data` may have.

    Returns:
        A `Dataset` with its `task` set.

    Raises:
        DataError: Nothing of that name, or it cannot be read or learnt from.
    """
    chosen = ReadOptions.of(options)
    dataset = recognised(_read(data, chosen), chosen)
    if test_data is None and (beside := _tests_beside(data)):
        names = listed(one.name for one in beside)
        note = f"Tests are those of {names}, as its name says (--test-data takes others)."
        dataset = replace(dataset, notes=(*dataset.notes, note))
        test_data = beside
    if test_data is not None:
        test = recognised(_read(test_data, chosen, "test"), chosen.replace(task=dataset.task))
        if test.kind != dataset.kind:
            raise DataError(
                f"The test data {test_data} hold {test.kind} and the training data {data} hold "
                f"{dataset.kind}. Give test data of the same kind."
            )
        description = {**dataset.description, "test": test.description}
        dataset = replace(dataset, test=test.test or test.train, description=description)
    return _remembered(dataset, chosen)


def _remembered(dataset: Dataset, options: ReadOptions) -> Dataset:
    """Returns the data set with all that is needed to read other files alike."""
    found = {name: dataset.description.get(name) for name in ("value_columns", "time_column")}
    reading = {**options.chosen(), **{name: value for name, value in found.items() if value}}
    return replace(dataset, description={**dataset.description, "reading": reading})


@takes(ReadOptions)
def windows(table: Any, **options: Any) -> Dataset:
    """Cuts a table with a row for each time step into windows to learn from.

    ```python
    windows(frame, value_columns=["x", "y", "z"], id_column="person", label_column="activity",
            window=128, stride=64)
    windows({"passengers": counts}, window=24, horizon=12)
    ```

    Args:
        table: A data frame of pandas or polars, a dict of columns, or what `load_data` takes.

    Returns:
        A `Dataset` of features, float32 `[windows, window, values]`.

    Raises:
        DataError: A column is missing or holds what it cannot, or there are too few rows.
        ConfigError: No window is said.
    """
    chosen = ReadOptions.of(options)
    if chosen.window is None:
        raise ConfigError("Say how many time steps a sequence has: window=128.")
    if isinstance(table, Mapping) or hasattr(table, "columns"):
        names = list(table) if isinstance(table, Mapping) else list(table.columns)
        columns = Columns({name: table[name] for name in names})
        return _remembered(recognised(windows_of(columns, chosen), chosen), chosen)
    return load_data(table, **chosen.keywords())


@takes(ReadOptions)
def load_inputs(path: PathLike, **options: Any) -> Sequence[Any]:
    """Reads inputs without labels, to predict from.

    Args:
        path: A table, an NPZ file with `x`, or a `.txt` file with a text per line (blank ones
            count); `"-"` for standard input.

    Returns:
        A list of texts, or an array (or list) of token ids or features.

    Raises:
        DataError: The file cannot be read.
    """
    chosen = ReadOptions.of(options)
    with _whole(path) as given:
        try:
            if given.is_file() and given.suffix.lower() == ".txt":
                with reading(given, chosen.encoding) as stream:
                    inputs: Sequence[Any] = stream.read().splitlines()
            else:
                reader, found = _find(given)
                assert found is not None  # a Path is never a data set's name
                inputs = reader.load_inputs(found, chosen)
        except OSError as error:
            raise _unreadable(given, error) from error
    if len(inputs) == 0:
        raise DataError(f"{path} holds no inputs. Give a file with at least one.")
    return inputs


# ------------------------------------------------------------------------------- what is named


def _readers() -> list[Reader]:
    return [DATASETS.get(name) for name in DATASETS.names()]


def _legal() -> str:
    named = [reader.name for reader in _readers() if reader.is_named]
    suffixes = [suffix for reader in _readers() for suffix in reader.suffixes]
    return f"Give a name ({listed(named)}) or a file ({', '.join(dict.fromkeys(suffixes))})."


def _unreadable(path: object, error: OSError) -> DataError:
    return DataError(f"Cannot read {path}: {error.strerror or error}.")


def _given(data: Data) -> list[PathLike]:
    return [data] if isinstance(data, (str, os.PathLike)) else list(data)


def _tests_beside(data: Data) -> list[Path]:
    """Returns the files to test on that lie beside those to train on; see `of_part`."""
    given = [one for one in _given(data) if one != STDIN]
    found = [path for one in given for _, path in _expanded(one, "test") if path is not None]
    return [path for path in found if path not in map(Path, given)]


def _read(data: Data, options: ReadOptions, part: str = "train") -> Dataset:
    """Reads all that is named, as one data set."""
    given = _given(data)
    if not given:
        raise DataError(f"No data are named. {_legal()}")
    found: list[tuple[Reader, Path | None]] = []
    with _all_whole(given) as whole:
        for one in whole:
            found += _expanded(one, part) or _expanded(one, "train")
        readers = {reader.name: reader for reader, _ in found}
        if len(readers) > 1 or (len(found) > 1 and found[0][1] is None):
            raise DataError(
                f"Data of one kind go together. Received: {listed(map(str, given))}, which "
                f"{listed(readers)} read. Give files of one kind."
            )
        reader = found[0][0]
        paths = [path for _, path in found if path is not None]
        if not paths:
            return reader.load(None, options)
        return _load(reader, paths, options)


def _load(reader: Reader, paths: list[Path], options: ReadOptions) -> Dataset:
    try:
        for path in paths:
            if path.is_file() and path.stat().st_size == 0:
                raise DataError(f"{path} is empty (0 bytes). Give a file with data.")
        dataset = reader.load(paths[0], options) if len(paths) == 1 else None
        if dataset is None:
            dataset = reader.load_several(paths, options)
        files = [
            {"file": str(path.absolute()), "sha256": sha256(path)}
            for path in paths
            if path.is_file()
        ]
    except OSError as error:
        raise _unreadable(paths[0], error) from error
    source: dict[str, Any] = files[0] if len(files) == 1 else {"files": files} if files else {}
    return replace(dataset, description={**source, **dataset.description})


def _expanded(data: PathLike, part: str) -> list[tuple[Reader, Path | None]]:
    """Returns the files that a name, a folder or a pattern stands for, with their readers.

    Args:
        data: What is named.
        part: Of a folder or a pattern, which files: see `of_part`.
    """
    path = Path(data)
    if isinstance(data, str) and (not data or any(data == r.name for r in _readers())):
        return [_find(data)]  # a data set's name wins over a directory of that name
    if isinstance(data, str) and not path.exists() and glob.has_magic(data):
        names = sorted(glob.glob(data, recursive=True))  # noqa: PTH207  (takes whole patterns)
        if not names:
            raise DataError(f"No file is called like {data!r}. {_legal()}")
        return [_find(path) for path in of_part([Path(name) for name in names], part)]
    folders = [reader for reader in _readers() if reader.folders]
    if path.is_dir() and not any(reader.matches(path) for reader in folders):
        inside = sorted(one for one in path.iterdir() if one.is_file() and one.name[0] != ".")
        known = [one for one in inside if any(reader.matches(one) for reader in _readers())]
        if not known:
            held = listed(one.name for one in sorted(path.iterdir())[:10]) or "nothing"
            raise DataError(
                f"{data} is a directory without files that can be read: it holds {held}. "
                f"{_legal()} Texts go into a folder for each label, a .txt file for each text."
            )
        return [_find(one) for one in of_part(known, part)]
    return [_find(data)]


def _find(data: PathLike) -> tuple[Reader, Path | None]:
    """Returns the reader of a data set's name or a file, and the file."""
    named = {reader.name: reader for reader in _readers() if reader.is_named}
    path = Path(data)
    # No ambiguity: a file without an end could not be read, and a Path is always a file.
    if isinstance(data, str) and data in named:
        return named[data], None
    if not str(data) or not path.exists():
        looks_like_file = path.suffix or len(path.parts) > 1
        names = [str(p) for p in path.parent.glob("*")] if path.parent.is_dir() else []
        known = names if looks_like_file else [*named, *names]
        what = "No such file" if looks_like_file else "Unknown data"
        raise DataError(f"{what}: {str(data)!r}.{nearest(data, known)} {_legal()}")
    for reader in _readers():
        if reader.folders == path.is_dir() and reader.matches(path):
            return reader, path
    if path.is_dir():
        raise DataError(f"{data} is a directory. Name a file in it. {_legal()}")
    raise DataError(f"Cannot tell what kind of data {data} holds from its name. {_legal()}")


# ------------------------------------------------------------------------------- standard input


@contextmanager
def _all_whole(given: Sequence[PathLike]) -> Iterator[list[PathLike]]:
    """Yields the names, with a file in the place of standard input."""
    if STDIN not in given:
        yield list(given)
        return
    with _whole(STDIN) as path:
        yield [path if one == STDIN else one for one in given]


@contextmanager
def _whole(path: PathLike) -> Iterator[Path]:
    """Yields a file to read; standard input is copied to one, which is read more than once."""
    if path != STDIN:
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as directory:
        plain = Path(directory) / "stdin"
        with plain.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        with plain.open("rb") as stream:
            start = stream.read(64)
        kinds = {b"PK": ".npz", b"PAR1": ".parquet", b"\x1f\x8b": ".csv.gz", b"{": ".jsonl"}
        begins = (end for mark, end in kinds.items() if start.lstrip().startswith(mark))
        named = plain.rename(plain.with_name("stdin" + next(begins, ".csv")))
        try:
            yield named
        except DataError as error:
            raise DataError(str(error).replace(str(named), "Standard input")) from error.__cause__
