"""Data sets: a file per kind, each registering a reader in `DATASETS`.

A new file in this package, or an entry point in the group `keras_rnn_zoo.datasets`, is a new kind
of data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import DataError, listed, nearest
from keras_rnn_zoo.files import PathLike, sha256
from keras_rnn_zoo.preprocessing.labels import infer_task, to_split_by
from keras_rnn_zoo.preprocessing.splitting import split_indices
from keras_rnn_zoo.preprocessing.vocabulary import Vocabulary
from keras_rnn_zoo.registry import Registry, demand

__all__ = [
    "DATASETS",
    "Dataset",
    "Reader",
    "Split",
    "hold_out",
    "load_data",
    "load_inputs",
    "split_indices",
]


@dataclass(frozen=True)
class Split:
    """Inputs and targets of the same length.

    Args:
        x: Texts (list of str), token ids (list or array of int rows) or features
            (float array `[n, timesteps, features]`, or a list of `[timesteps, features]`).
        y: Labels (list of str, or int array `[n]`), labels per time step (`[n, timesteps]`) or
            regression targets (float array `[n]` or `[n, outputs]`).

    Raises:
        DataError: The lengths differ, or there are no rows.
    """

    x: Any
    y: Any

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise DataError(
                f"Inputs and labels must pair up. Received {len(self.x)} inputs and "
                f"{len(self.y)} labels."
            )
        if len(self.x) == 0:
            raise DataError("There are no rows. Give data with at least one row per label.")

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> Split:
        """Returns the split of these rows."""
        return Split(_take(self.x, rows), _take(self.y, rows))


def _take(values: Any, rows: np.ndarray) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]


@dataclass(frozen=True)
class Dataset:
    """What a model learns from, as it was read.

    Args:
        name: A short name for tables and messages.
        kind: `"text"`, `"tokens"` or `"features"`: what `x` holds (see `Split`).
        train: The rows to train (and validate) on.
        test: Rows that training never sees, or None.
        task: `"binary"`, `"multiclass"`, `"sequence_labelling"`, `"regression"`, or None for
            what the labels look like.
        description: JSON-able: where the data came from (file, sha256, columns, ...).
        vocabulary: The vocabulary that the token ids belong to, where they have one.
    """

    name: str
    kind: str
    train: Split
    test: Split | None = None
    task: str | None = None
    description: dict[str, Any] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None


class Reader(ABC):
    """One kind of data: a named data set, or a kind of file. Subclass, then register an instance.

    Attributes:
        name: The registry name; for a data set, what the user writes.
        description: One line.
        suffixes: The ends of the file names that it reads; empty for a data set.
    """

    name: str
    description: str
    suffixes: tuple[str, ...] = ()

    def matches(self, path: Path) -> bool:
        """Whether this reader reads the file."""
        return path.name.lower().endswith(self.suffixes) if self.suffixes else False

    @abstractmethod
    def load(self, path: Path | None, *, text_column: str, label_column: str) -> Dataset:
        """Reads the data; `path` is None for a named data set.

        Raises:
            DataError: It cannot be read.
        """

    def load_inputs(self, path: Path, *, text_column: str) -> Sequence[Any]:
        """Reads inputs without labels, to predict from; for files that can be without.

        Raises:
            DataError: It cannot be read.
        """
        raise DataError(
            f"{path} is data to learn from ({self.name}), and nothing to predict from. Give a "
            "table with a text column, an .npz file with x, or a .txt file."
        )


def check_reader(reader: Reader) -> None:
    """Refuses a reader that could not be found or listed.

    Raises:
        ConfigError: The message says all that it lacks.
    """
    suffixes: Any = getattr(reader, "suffixes", None)
    demand(
        "data set",
        reader,
        {
            "the base class Reader (register an instance)": isinstance(reader, Reader),
            "a name": isinstance(getattr(reader, "name", None), str),
            "a description": isinstance(getattr(reader, "description", None), str),
            "a tuple of suffixes such as ('.ext',)": isinstance(suffixes, tuple)
            and all(isinstance(end, str) and end.startswith(".") for end in suffixes),
        },
    )


DATASETS: Registry[Reader] = Registry(
    "data set", "keras_rnn_zoo.data", "keras_rnn_zoo.datasets", check_reader
)


def _readers() -> list[Reader]:
    return [DATASETS.get(name) for name in DATASETS.names()]


def _find(data: PathLike) -> tuple[Reader, Path | None]:
    """Returns the reader of a data set's name or a file, and the file."""
    named = {reader.name: reader for reader in _readers() if not reader.suffixes}
    suffixes = [suffix for reader in _readers() for suffix in reader.suffixes]
    legal = f"Give a name ({listed(named)}) or a file ({', '.join(suffixes)})."
    path = Path(data)
    # No ambiguity: a file without an end could not be read, and a Path is always a file.
    if isinstance(data, str) and data in named:
        return named[data], None
    if not str(data) or not path.exists():
        looks_like_file = path.suffix or len(path.parts) > 1
        names = [str(p) for p in path.parent.glob("*")] if path.parent.is_dir() else []
        known = names if looks_like_file else [*named, *names]
        what = "No such file" if looks_like_file else "Unknown data"
        raise DataError(f"{what}: {str(data)!r}.{nearest(data, known)} {legal}")
    if path.is_dir():
        raise DataError(f"{data} is a directory. Name a file in it. {legal}")
    for reader in _readers():
        if reader.matches(path):
            return reader, path
    raise DataError(f"Cannot tell what kind of data {data} holds from its name. {legal}")


def _load(data: PathLike, text_column: str, label_column: str) -> Dataset:
    reader, path = _find(data)
    if path is None:
        return reader.load(None, text_column=text_column, label_column=label_column)
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty (0 bytes). Give a file with data.")
        dataset = reader.load(path, text_column=text_column, label_column=label_column)
        source = {"file": str(path.absolute()), "sha256": sha256(path)}
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error
    return replace(dataset, description={**source, **dataset.description})


def load_data(
    data: PathLike,
    *,
    test_data: PathLike | None = None,
    text_column: str = "text",
    label_column: str = "label",
    task: str | None = None,
) -> Dataset:
    """Reads a data set by its name, or from a file.

    Args:
        data: `"digits"`, `"imdb"`, or a `.csv`, `.tsv` (plain or `.gz`) or `.npz` file.
        test_data: The same for test rows; they replace the test split that `data` may have.
        text_column: Column of a table that holds the texts.
        label_column: Column of a table that holds the labels.
        task: `"binary"`, `"multiclass"`, `"sequence_labelling"` or `"regression"`; None infers it
            from the labels.

    Returns:
        A `Dataset` with its `task` set.

    Raises:
        DataError: Nothing of that name, or it cannot be read or learnt from.
    """
    dataset = _load(data, text_column, label_column)
    if test_data is not None:
        test = _load(test_data, text_column, label_column)
        if test.kind != dataset.kind:
            raise DataError(
                f"The test data {test_data} hold {test.kind} and the training data {data} hold "
                f"{dataset.kind}. Give test data of the same kind."
            )
        description = {**dataset.description, "test": test.description}
        dataset = replace(dataset, test=test.test or test.train, description=description)
    return replace(dataset, task=infer_task(dataset, task))


def load_inputs(path: PathLike, *, text_column: str = "text") -> Sequence[Any]:
    """Reads inputs without labels, to predict from.

    Args:
        path: A table with a text column, an NPZ file with `x`, or a `.txt` file with a text per
            line.
        text_column: Column of a table that holds the texts.

    Returns:
        A list of texts, or an array of token ids or features.

    Raises:
        DataError: The file cannot be read.
    """
    path = Path(path)
    try:
        if path.is_file() and path.suffix.lower() == ".txt":
            texts = path.read_text(encoding="utf-8-sig").splitlines()
            inputs: Sequence[Any] = [text for text in texts if text.strip()]
        else:
            reader, found = _find(path)
            assert found is not None  # a Path is never a data set's name
            inputs = reader.load_inputs(found, text_column=text_column)
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error
    if len(inputs) == 0:
        raise DataError(f"{path} holds no inputs. Give a file with at least one.")
    return inputs


def not_utf8(path: Path, error: UnicodeDecodeError, line: int | None = None) -> DataError:
    """Returns the error for a file that is not UTF-8 text."""
    where = "" if line is None else f" after line {line}"
    return DataError(
        f"{path} is not UTF-8 text: byte 0x{error.object[error.start]:02x}{where}. "
        "Save it as UTF-8, for example with: iconv -f LATIN1 -t UTF-8."
    )


def hold_out(dataset: Dataset, fraction: float = 0.2, seed: int = 0) -> Dataset:
    """Returns the data set with a test split, carved from its training rows if it has none.

    Args:
        fraction: The part of the training rows to hold out, stratified by label or range.
        seed: Of the random choice.

    Raises:
        DataError: There are too few rows.
    """
    if dataset.test is not None:
        return dataset
    y = to_split_by(dataset.train.y, infer_task(dataset))
    kept, held = split_indices(y, fraction, seed)
    description = {**dataset.description, "held_out": {"fraction": fraction, "seed": seed}}
    return replace(
        dataset,
        train=dataset.train.take(kept),
        test=dataset.train.take(held),
        description=description,
    )
