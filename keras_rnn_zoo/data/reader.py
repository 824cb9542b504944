"""What reads data: a file in this package for each kind, registered in `DATASETS`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo.data.dataset import Dataset, joined
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.reading import ReadOptions
from keras_rnn_zoo.registry import Registry, demand


class Reader(ABC):
    """One kind of data: a named data set, or a kind of file. Subclass, then register an instance.

    Attributes:
        name: The registry name; for a data set, what the user writes.
        description: One line.
        suffixes: The ends of the file names that it reads; empty for a data set.
        folders: Whether it reads folders, as `matches` says, and no files.
    """

    name: str
    description: str
    suffixes: tuple[str, ...] = ()
    folders: bool = False

    @property
    def is_named(self) -> bool:
        """Whether it is a data set that has a name, and no kind of file."""
        return not self.suffixes and not self.folders

    def matches(self, path: Path) -> bool:
        """Whether this reader reads the file, or the folder."""
        return path.name.lower().endswith(self.suffixes) if self.suffixes else False

    @abstractmethod
    def load(self, path: Path | None, options: ReadOptions) -> Dataset:
        """Reads the data; `path` is None for a named data set.

        Raises:
            DataError: It cannot be read.
        """

    def load_several(self, paths: Sequence[Path], options: ReadOptions) -> Dataset:
        """Reads several files as one data set.

        Raises:
            DataError: One cannot be read, or they do not go together.
        """
        return joined([self.load(path, options) for path in paths])

    def load_inputs(self, path: Path, options: ReadOptions) -> Sequence[Any]:
        """Reads inputs without labels, to predict from; for files that can be without.

        Raises:
            DataError: It cannot be read.
        """
        raise DataError(
            f"{path} is data to learn from ({self.name}), and nothing to predict from. Give a "
            "table, an .npz file with x, or a .txt file."
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
