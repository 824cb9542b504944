"""What every data set, and every reader of a kind of file, has to do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.data import DATASETS, Dataset, Reader, ReadOptions, Split, check_reader
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.preprocessing.labels import infer_task
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.testing.claims import claim, claim_json, refused, working

KINDS = ("text", "tokens", "features")


def check_dataset(dataset: str | Reader, path: PathLike | None = None) -> None:
    """Checks a data set or a reader of files: what it loads can be learnt from, the same each time.

    Args:
        dataset: Its registered name, or an instance.
        path: For a reader of files: one with data to learn from; tables have the columns `text`
            and `label`.

    Raises:
        AssertionError: The sentence says what is wrong.
    """
    name = dataset if isinstance(dataset, str) else getattr(dataset, "name", "?")
    who = f"The data set '{name}'"
    with working(f"Registering the data set '{name}'"):
        reader = DATASETS.get(dataset) if isinstance(dataset, str) else dataset
        check_reader(reader)
    place = None if path is None else Path(path)
    if reader.suffixes:
        claim(place is not None, f"{who} reads files ({', '.join(reader.suffixes)}): give one.")
        _check_garbage(reader, who)
    if not reader.is_named:
        claim(place is None or reader.matches(place), f"{who} does not match {place}.")
    with working(f"{who}: load"):
        loaded, again = (reader.load(place, ReadOptions()) for _ in range(2))
    claim(isinstance(loaded, Dataset), f"{who} loads a Dataset. Received: {loaded!r:.80}")
    claim(loaded.kind in KINDS, f"{who} has the kind {loaded.kind!r}. Allowed: {KINDS}")
    claim_json(loaded.description, f"the description of the data set '{name}'")
    for part in ("train", "test"):
        _check_same(getattr(loaded, part), getattr(again, part), f"{who}: its {part} rows")
    with working(f"{who}: encoding what it loads"):
        preprocessor = Preprocessor.fit(loaded, task=infer_task(loaded), timesteps=4)
        for split in filter(None, (loaded.train, loaded.test)):
            rows = split.take(np.arange(min(len(split), 64)))
            preprocessor.encode_inputs(rows.x, strict=False)
            preprocessor.encode_labels(rows.y, rows.x)


def _check_garbage(reader: Reader, who: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        broken = Path(directory) / f"broken{reader.suffixes[0]}"
        broken.write_bytes(bytes(range(256)) * 9)
        with refused(f"{who}: a file that holds anything"):
            reader.load(broken, ReadOptions())
        with refused(f"{who}: a file of inputs that holds anything"):
            reader.load_inputs(broken, ReadOptions())


def _check_same(one: Split | None, other: Split | None, what: str) -> None:
    if one is None or other is None:
        claim(one is other, f"{what} are there once, and once not.")
        return
    same = len(one) == len(other) and all(
        _equal(a, b) for a, b in ((one.x, other.x), (one.y, other.y))
    )
    claim(same, f"{what} are others the second time they are loaded.")


def _equal(one: Any, other: Any) -> bool:
    for a, b in zip(map(np.asarray, one), map(np.asarray, other), strict=True):
        # NaN is for the encoding to refuse.
        if not np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f"):
            return False
    return True
