"""The data of a search: held out, encoded for each model, and told apart from other data."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_rnn_zoo.builder import ModelBuilder, get_builder
from keras_rnn_zoo.data import Dataset, Split, hold_out
from keras_rnn_zoo.errors import ConfigError, DataError
from keras_rnn_zoo.preprocessing.labels import infer_task
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.training.options import DataOptions
from keras_rnn_zoo.training.prepare import Prepared, dictated_config, encoding_sizes, prepare
from keras_rnn_zoo.tuner.space import several
from keras_rnn_zoo.tuner.study.request import Request
from keras_rnn_zoo.tuner.trials.job import Arrays

TEST_FRACTION = 0.2
"""The part of the rows that is held out from the search where the data have no test split."""

KEPT = 3
"""Encodings in memory, beside the one of each model that a search starts with."""

# Config keys that say how data are encoded.
_SIZES = ("timesteps", "vocabulary_size")


class Encodings(Mapping[str, Arrays]):
    """The data of a search as its trials see them: key -> arrays, encoded when first asked for.

    Models of the same numbers of timesteps and of ids share an encoding. Where these are searched
    over, one that no trial chooses is never made, and only the last few are kept in memory.

    Args:
        dataset: All of it; test rows are held out here where it has none.
        request: Says the models, and how to encode.
        autoregression: Models of a forecast go on from the last values.

    Attributes:
        first: Model -> the data as its first trials may see them; rows, labels and task are the
            same in all.
        config: Model -> its config as far as request and data settle it; lists hold what is
            searched among.

    Raises:
        DataError: The data cannot be learnt from.
        ConfigError: The config contradicts the data.
    """

    def __init__(self, dataset: Dataset, request: Request, autoregression: bool = True):
        given = request.options.config
        choices = {key: value for key, value in given.items() if several(value)}
        self._settled = {key: value for key, value in given.items() if key not in choices}
        self._options = DataOptions.part_of(request.options)
        asked = self._options.task or self._settled.get("task")
        dataset = replace(dataset, task=infer_task(dataset, asked))
        self._rows = _held_out(dataset, self._options)
        self._tokens = dataset.kind != "features"
        self._sizes: dict[str, dict[str, Any]] = {}
        self._made: dict[str, Prepared] = {}
        self._preprocessors: dict[str, Preprocessor] = {}
        self._encoded = functools.lru_cache(KEPT)(self._encode)
        if "vocabulary_size" in choices and not self._tokens:
            raise ConfigError(
                "vocabulary_size is of texts and token ids, and these data are features. Leave it "
                f"out. Received: {choices['vocabulary_size']!r}"
            )
        # With the fewest ids: data that these suffice for do not fail later.
        config = {**self._settled, **{key: min(choices[key]) for key in _SIZES if key in choices}}
        by_size: dict[Any, Prepared] = {}
        self.first: dict[str, Prepared] = {}
        self.config: dict[str, dict[str, Any]] = {}
        for name in request.models:
            size = encoding_sizes([name] if self._tokens else [], config)
            if size not in by_size:
                by_size[size] = self._prepare(dataset, config, name)
            prepared = self.first[name] = by_size[size]
            prepared.builder(name, config)
            off = {} if autoregression else {"autoregression": None}
            dictated = prepared.dictated(name, {**config, **off})
            # Texts may have fewer words than ids were asked for.
            for sizes in (dictated, {**dictated, **config}):
                self._made[self.key(sizes)] = prepared
            self.config[name] = {**self._settled, **dictated, **choices}

    def _prepare(self, dataset: Dataset, config: Mapping[str, Any], model: str) -> Prepared:
        try:
            return prepare(self._rows, config, models=[model], **self._options.keywords())
        except DataError:
            if dataset.test is None:
                # It counted the rows that are left; say the row's number in the data as given.
                whole = self._options.replace(validation_split=0.0)
                prepare(dataset, config, models=[model], **whole.keywords())
            raise

    def key(self, config: Mapping[str, Any]) -> str:
        """Returns the key of the arrays for a model of such a config."""
        names = _SIZES if self._tokens else _SIZES[:1]
        sizes = {name: config.get(name) for name in names}
        key = ", ".join(f"{name} {value}" for name, value in sizes.items())
        self._sizes[key] = sizes
        return key

    def prepared(self, config: Mapping[str, Any]) -> Prepared:
        """Returns the data for a model of such a config, in all their parts."""
        return self._at(self.key(config))

    def preprocessor(self, config: Mapping[str, Any]) -> Preprocessor:
        """Returns what encodes the data for a model of such a config."""
        key = self.key(config)
        if key not in self._preprocessors:
            self._preprocessors[key] = self._at(key).preprocessor
        return self._preprocessors[key]

    def fitted(self, builder: ModelBuilder) -> ModelBuilder:
        """Returns a builder whose config is what the data dictate for the sizes that it asks."""
        dictated = dictated_config(self.preprocessor(builder.config), builder.name)
        return get_builder(builder.name, **{**builder.config, **dictated})

    def _at(self, key: str) -> Prepared:
        return self._made[key] if key in self._made else self._encoded(key)

    def _encode(self, key: str) -> Prepared:
        config = {**self._settled, **self._sizes[key]}
        return prepare(self._rows, config, **self._options.keywords())

    def __getitem__(self, key: str) -> Arrays:
        data = self._at(key)
        assert data.x_validation is not None and data.y_validation is not None
        arrays = {
            "x_train": data.x_train,
            "y_train": data.y_train,
            "x_validation": data.x_validation,
            "y_validation": data.y_validation,
        }
        return arrays if data.scaling is None else {**arrays, "scaling": data.scaling}

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)


def _held_out(dataset: Dataset, options: DataOptions) -> Dataset:
    part = TEST_FRACTION if options.test_split is None else options.test_split
    return hold_out(dataset, part, options.seed, options.split) if part else dataset


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
