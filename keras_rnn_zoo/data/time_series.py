"""`.ts` files of the UCR and UEA archives: a series in each line, its dimensions between colons.

The format is that of sktime and aeon (Bagnall et al., "The UEA multivariate time series
classification archive", 2018): lines that begin with `@` describe the data, and after `@data` each
line holds the dimensions of a series, separated by `:`, their values by `,`, and last the label.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.data.dataset import Dataset, Split
from keras_rnn_zoo.data.reader import DATASETS, Reader
from keras_rnn_zoo.data.tables.text_files import reading
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.reading import ReadOptions

_STAMPED = re.compile(r"\([^()]*,\s*([^(),]*)\)")


class TimeSeries(Reader):
    """Reads `.ts` files; series may be of different lengths."""

    name = "ts"
    description = "Series of the UCR and UEA archives: a .ts file, a series and label in a line."
    suffixes = (".ts",)

    def load(self, path: Path | None, options: ReadOptions) -> Dataset:
        """Reads series and labels; see `load_data`."""
        assert path is not None
        x: list[np.ndarray] = []
        y: list[str] = []
        targets = False
        for head, number, line in _lines(path, options):
            targets = head.get("targetlabel") == "true"
            if not targets and head.get("classlabel", "true") != "true":
                raise DataError(
                    f"{path} has no labels: its header says @classLabel false. Give a file with "
                    "labels, such as the _TRAIN file of an archive."
                )
            *dimensions, label = line.split(":")
            x.append(_series(path, number, dimensions))
            y.append(label.strip())
        if not x:
            raise DataError(f"{path} holds no series after @data. Take a complete copy.")
        labels: Any = y
        if targets:
            try:
                labels = np.asarray([float(label) for label in y])
            except ValueError as error:
                raise DataError(f"{path} has a target that is no number: {error}.") from error
        return Dataset(
            path.name, "features", Split(x, labels), task="regression" if targets else None
        )

    def load_inputs(self, path: Path, options: ReadOptions) -> Sequence[Any]:
        """Reads series, with or without labels; see `load_inputs`."""
        found = []
        for head, number, line in _lines(path, options):
            labelled = "true" in (head.get("classlabel", "true"), head.get("targetlabel"))
            dimensions = line.split(":")
            found.append(_series(path, number, dimensions[:-1] if labelled else dimensions))
        return found


def _lines(path: Path, options: ReadOptions) -> Iterator[tuple[dict[str, str], int, str]]:
    """Yields what the header says, and each line of data with its number."""
    head: dict[str, str] = {}
    data = False
    with reading(path, options.encoding) as stream:
        for number, line in enumerate(stream, 1):
            text = line.strip()
            if not text or text.startswith(("#", "%")):
                continue
            if data:
                if head.get("timestamps") == "true":  # (2007-01-01 00:00:00,1.5),(...
                    text = _STAMPED.sub(r"\1", text)
                yield head, number, text
            elif text.lower() == "@data":
                data = True
            elif text.startswith("@"):
                name, *rest = text[1:].split()
                head[name.lower()] = rest[0].lower() if rest else ""
    if not data:
        raise DataError(f"{path} is no .ts file: it has no line @data. Take a complete copy.")


def _series(path: Path, number: int, dimensions: Sequence[str]) -> np.ndarray:
    """Returns float32 `[timesteps, dimensions]`; NaN where a value is missing."""
    try:
        rows = [
            [math.nan if value.strip() == "?" else float(value) for value in one.split(",")]
            for one in dimensions
        ]
    except ValueError as error:
        raise DataError(f"{path}, line {number}: {error}. Take a complete copy.") from error
    if not rows:
        raise DataError(f"{path}, line {number} has no series before its label.")
    found = np.full((max(map(len, rows)), len(rows)), math.nan, dtype=np.float32)
    for place, values in enumerate(rows):
        found[: len(values), place] = values
    return found


DATASETS.register(TimeSeries.name, TimeSeries())
