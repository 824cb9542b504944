"""The data of a search: held out, encoded for each model, and told apart from other data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_rnn_zoo.data import Dataset, Split, hold_out
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.labels import infer_task
from keras_rnn_zoo.training.options import DataOptions
from keras_rnn_zoo.training.prepare import Prepared, encoding_sizes, prepare
from keras_rnn_zoo.tuner.study.request import Request

TEST_FRACTION = 0.2
"""The part of the rows that is held out from the search where the data have no test split."""


def prepare_models(dataset: Dataset, request: Request) -> dict[str, Prepared]:
    """Returns model -> its encoded data; models of the same sizes share them.

    Args:
        dataset: All of it; test rows are held out here where it has none.
        request: Says the models, and how to encode.

    Raises:
        DataError: The data cannot be learnt from.
        ConfigError: The config contradicts the data.
    """
    options = request.options
    encoding = DataOptions.part_of(options)
    asked = options.task or options.config.get("task")
    dataset = replace(dataset, task=infer_task(dataset, asked))
    part = TEST_FRACTION if options.test_split is None else options.test_split
    searched = hold_out(dataset, part, options.seed, options.split) if part else dataset
    by_size: dict[Any, Prepared] = {}
    found: dict[str, Prepared] = {}
    for name in request.models:
        size = encoding_sizes([name], options.config)
        if size not in by_size:
            try:
                by_size[size] = prepare(
                    searched, options.config, models=[name], **encoding.keywords()
                )
            except DataError:
                if dataset.test is None:
                    # It counted the rows that are left; say the row's number in the data as given.
                    whole = encoding.replace(validation_split=0.0)
                    prepare(dataset, options.config, models=[name], **whole.keywords())
                raise
        found[name] = by_size[size]
        found[name].builder(name, options.config)
    return found


def arrays_of(prepared: Mapping[str, Prepared]) -> tuple[dict[str, str], dict[str, Any]]:
    """Returns a key for each model, and the arrays under each key; models may share them."""
    keys: dict[str, str] = {}
    arrays: dict[str, Any] = {}
    owners: dict[int, str] = {}
    for model, data in prepared.items():
        owner = owners.setdefault(id(data), model)
        keys[model] = owner
        if owner == model:
            assert data.x_validation is not None and data.y_validation is not None
            arrays[model] = {
                "x_train": data.x_train,
                "y_train": data.y_train,
                "x_validation": data.x_validation,
                "y_validation": data.y_validation,
            }
    return keys, arrays


def fingerprint(dataset: Dataset) -> str:
    """Returns a SHA-256 of all rows, the same for equal data wherever they came from."""
    digest = hashlib.sha256(f"{dataset.kind} {dataset.task}".encode())

    def add(values: Any) -> None:
        if isinstance(values, Sequence) and len(values) and isinstance(values[0], int | float):
            values = np.asarray(values)
        if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
            digest.update(f"{values.dtype} {values.shape}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        elif isinstance(values, str):
            encoded = values.encode("utf-8", "surrogatepass")
            digest.update(f"{len(encoded)}:".encode() + encoded)
        elif isinstance(values, Sequence | np.ndarray):
            digest.update(f"[{len(values)}]".encode())
            for value in values:
                add(value)
        else:
            digest.update(f"{values!r},".encode())

    for split in (dataset.train, dataset.test):
        if isinstance(split, Split):
            add(split.x)
            add(split.y)
    return digest.hexdigest()
