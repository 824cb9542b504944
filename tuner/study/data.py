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
from keras_rnn_zoo.data.folds import folds_of, units_of
from keras_rnn_zoo.errors import ConfigError, DataError
from keras_rnn_zoo.preprocessing.labels import infer_task
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.training.options import DataOptions
from keras_rnn_zoo.training.prepare import (
    Parts,
    Prepared,
    dictated_config,
    encoding_sizes,
    prepare,
)
from keras_rnn_zoo.tuner.options import SearchOptions
from keras_rnn_zoo.tuner.space import several
from keras_rnn_zoo.tuner.study.request import Request
from keras_rnn_zoo.tuner.trials.job import ARRAYS, Arrays, fold_key

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
        self._folds = _folds(self._rows, request.options)
        self._tokens = dataset.kind != "features"
        self._sizes: dict[str, dict[str, Any]] = {}
        self._made: dict[str, Prepared] = {}
        self._preprocessors: dict[str, Preprocessor] = {}
        self._encoded = functools.lru_cache(KEPT)(self._encode)
        self._in_folds = functools.lru_cache(KEPT)(self._encode_in_folds)
        self._dictated: dict[tuple[str, str], list[dict[str, Any]]] = {}
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
            first = self._folds[0] if self._folds else None
            prepared = prepare(
                self._rows, config, models=[model], parts=first, **self._options.keywords()
            )
            if self._folds:
                prepared.data["folds"] = self._about_folds()
            return prepared
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

    def configs_in_folds(
        self, asked: ModelBuilder, fitted: ModelBuilder
    ) -> tuple[dict[str, Any], ...]:
        """Returns the configs of a model in the folds beside the first; none without folds.

        Args:
            asked: Builder of the model as the search has it.
            fitted: The same for the data of the first fold: see `fitted`.
        """
        if not self._folds:
            return ()
        key = self.key(asked.config), asked.name
        if key not in self._dictated:
            self._dictated[key] = [
                dictated_config(one.preprocessor, asked.name) for one in self._in_folds(key[0])
            ]
        return tuple({**fitted.config, **dictated} for dictated in self._dictated[key])

    def _at(self, key: str) -> Prepared:
        return self._made[key] if key in self._made else self._encoded(key)

    def _encode(self, key: str) -> Prepared:
        config = {**self._settled, **self._sizes[key]}
        first = self._folds[0] if self._folds else None
        return prepare(self._rows, config, parts=first, **self._options.keywords())

    def _encode_in_folds(self, key: str) -> list[Prepared]:
        """Encodes the data for the folds beside the first, whose baselines are enough."""
        config = {**self._settled, **self._sizes[key]}
        options = self._options.replace(baseline=False).keywords()
        return [prepare(self._rows, config, parts=parts, **options) for parts in self._folds[1:]]

    def __getitem__(self, key: str) -> Arrays:
        arrays = _arrays(self._at(key))
        if self._folds:
            for number, prepared in enumerate(self._in_folds(key), start=2):
                named = _arrays(prepared).items()
                arrays |= {fold_key(number, name): values for name, values in named}
        return arrays

    def _about_folds(self) -> dict[str, int]:
        """Returns how many rows trials are compared on, and how many of them share little."""
        rows = np.concatenate([parts.validation for parts in self._folds])
        units = units_of(self._rows.train.spans, rows)
        return {"count": len(self._folds), "rows": len(rows), "units": len(np.unique(units))}

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)


def _arrays(data: Prepared) -> dict[str, np.ndarray]:
    arrays = {name: getattr(data, name) for name in ARRAYS}
    return arrays if data.scaling is None else {**arrays, "scaling": data.scaling}


def _folds(dataset: Dataset, options: SearchOptions) -> list[Parts]:
    """Returns which rows each fold learns from and validates on; none without folds."""
    if options.folds is None:
        return []
    way, task = options.split or dataset.split, str(dataset.task)
    folds = folds_of(dataset.train, options.folds, options.seed, way, task)
    return [Parts(train=fold.kept, validation=fold.held) for fold in folds]


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
