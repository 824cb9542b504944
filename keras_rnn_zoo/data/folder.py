"""A folder of texts: a folder for each label, in it a `.txt` file for each text."""

from __future__ import annotations

from pathlib import Path

from keras_rnn_zoo.data.dataset import Dataset, Split
from keras_rnn_zoo.data.reader import DATASETS, Reader
from keras_rnn_zoo.data.tables.text_files import reading
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.reading import ReadOptions

_SUFFIX = ".txt"


def _labels(path: Path) -> list[Path]:
    """Returns the folders in a folder that hold texts."""
    folders = sorted(one for one in path.iterdir() if one.is_dir() and one.name[0] != ".")
    return [one for one in folders if any(file.suffix == _SUFFIX for file in one.iterdir())]


class Folder(Reader):
    """Reads a folder of texts, or one with the folders `train` and `test`."""

    name = "folder"
    description = "Your texts: a folder with a folder for each label, a .txt file for each text."
    folders = True

    def matches(self, path: Path) -> bool:
        """Whether there are folders of texts in a folder."""
        return path.is_dir() and (bool(_labels(path)) or bool(_parts(path)))

    def load(self, path: Path | None, options: ReadOptions) -> Dataset:
        """Reads texts and labels; see `load_data`."""
        assert path is not None
        parts = _parts(path)
        train = _read(parts.get("train", path), options)
        test = _read(parts["test"], options) if "test" in parts else None
        where = {"folder": str(path.absolute())}
        return Dataset(path.name or "texts", "text", train, test, description=where)


def _parts(path: Path) -> dict[str, Path]:
    """Returns the folders `train` and `test`, where the texts lie in such."""
    if not path.is_dir():
        return {}
    parts = {one: path / one for one in ("train", "test") if (path / one).is_dir()}
    found = {one: place for one, place in parts.items() if _labels(place)}
    return found if "train" in found else {}


def _read(path: Path, options: ReadOptions) -> Split:
    if not path.is_dir() or not _labels(path):
        raise DataError(f"{path} holds no folders with {_SUFFIX} files. Make one for each label.")
    texts: list[str] = []
    labels: list[str] = []
    for folder in _labels(path):
        for file in sorted(folder.glob(f"*{_SUFFIX}")):
            with reading(file, options.encoding) as stream:
                texts.append(stream.read())
            labels.append(folder.name)
    return Split(texts, labels)


DATASETS.register(Folder.name, Folder())
