"""From a dataset to encoded splits and a builder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.data import Dataset, ReadOptions, Split, hold_out, load_data
from keras_rnn_zoo.data.alike import repeats_told
from keras_rnn_zoo.data.holding_out import rows_held_out
from keras_rnn_zoo.data.load import Data
from keras_rnn_zoo.errors import ConfigError, DataError
from keras_rnn_zoo.options import takes
from keras_rnn_zoo.preprocessing.labels import infer_task
from keras_rnn_zoo.preprocessing.options import EncodingOptions
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.preprocessing.splitting import sample_indices
from keras_rnn_zoo.preprocessing.text_needs import needed_tokenizer
from keras_rnn_zoo.training.baseline import Raw, baseline, baselines
from keras_rnn_zoo.training.feed import Feed
from keras_rnn_zoo.training.kept import Windows
from keras_rnn_zoo.training.options import DataOptions
from keras_rnn_zoo.training.scaling import LastValues, TargetScaling
from keras_rnn_zoo.training.understanding import told, understanding

if TYPE_CHECKING:
    from keras_rnn_zoo.builder import ModelBuilder

TRAIN_SAMPLES, TEST_SAMPLES = 256, 2000
# Of the windows of a table: what is said of the rows that were trained on means nothing.
TEST_SPLIT = 0.2


@dataclass(frozen=True)
class Parts:
    """Which of the training rows of a data set are for what.

    Attributes:
        train: int `[n]`: rows to learn from.
        validation: int `[n]`: rows that say when to stop; may be empty.
        test: int `[n]`: rows to test on instead of those of the data set; None for these.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray | None = None


@dataclass(frozen=True)
class Prepared:
    """Encoded data, split for training, and the preprocessor that encoded them.

    Attributes:
        preprocessor: Fitted on the training rows, without the validation rows.
        x_train: int32 `[n, timesteps]` or float32 `[n, timesteps, features]`.
        y_train: int32 `[n]` or `[n, timesteps]`, or float32 `[n, outputs]`.
        x_validation: Like `x_train`, or None without validation.
        y_validation: Like `y_train`, or None.
        x_test: Like `x_train`, or None without test data.
        y_test: Like `y_train`, or None.
        data: JSON-able: where the data came from, how many rows each part has, and what answers
            without a model are worth: see `baseline` and `baselines`.
        windows: `"train"`, `"validation"` and `"test"` -> those of a forecast to look at.
    """

    preprocessor: Preprocessor
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray | None
    y_validation: np.ndarray | None
    x_test: np.ndarray | None
    y_test: np.ndarray | None
    data: dict[str, Any]
    windows: Mapping[str, Windows | None] = field(default_factory=dict)

    @property
    def validation(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The validation pair, as `keras.Model.fit` takes it."""
        if self.x_validation is None or self.y_validation is None:
            return None
        return self.x_validation, self.y_validation

    @property
    def test(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The test pair."""
        if self.x_test is None or self.y_test is None:
            return None
        return self.x_test, self.y_test

    def feed(
        self, config: Mapping[str, Any], class_weight: str | None = None, trims: bool = False
    ) -> Feed:
        """Returns the rows as `keras.Model.fit` gets them; see `Feed.of`.

        Args:
            config: Of the model's builder.
            class_weight: How much each label counts.
            trims: That of the model's builder; see `ModelBuilder.trims`.
        """
        train = self.x_train, self.y_train
        about = self.preprocessor
        last = LastValues.of(config, self.scaling)
        return Feed.of(about.task, about.outputs, train, self.validation, class_weight, last, trims)

    @property
    def scaling(self) -> np.ndarray | None:
        """Mean and scale of each feature, float64 `[2, features]`; None of token ids."""
        found = self.preprocessor.scaling
        return None if found is None else np.asarray([found["mean"], found["scale"]], np.float64)

    def builder(self, model: str, config: Mapping[str, Any] | None = None) -> ModelBuilder:
        """Returns a model's builder, with the config that the data dictate.

        Raises:
            ConfigError: `config` is illegal, or contradicts the data.
        """
        from keras_rnn_zoo.builder import get_builder

        dictated, given = self.dictated(model, config), config or {}
        for key in ("features", "outputs", "autoregression"):
            if key in given and given[key] != dictated.get(key):
                raise ConfigError(
                    f"{key}={given[key]!r} contradicts the data, which need {key}="
                    f"{dictated.get(key)!r}. Leave it out."
                )
        return get_builder(model, **{**given, **dictated})

    def dictated(self, model: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns the config keys of a model that the data dictate.

        Args:
            model: Name of the model.
            config: What the user sets: `autoregression` may be switched off.
        """
        from keras_rnn_zoo.builder import MODELS

        dictated = dictated_config(self.preprocessor, model)
        columns = _forecast_columns(self.data)
        takes = any(field.name == "autoregression" for field in MODELS.get(model).fields)
        if columns and takes and (config or {}).get("autoregression", columns) is not None:
            dictated["autoregression"] = columns
        return dictated

    def samples(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Returns rows to keep with a run, each with the labels in proportion.

        Args:
            seed: Of the random choice.

        Returns:
            `x`, `y`: up to 256 training rows; `x_test`, `y_test`: up to 2,000 test rows, or
            validation rows without test data, or no rows. `data["held_out"]` says which.
        """
        held_out = self.test or self.validation or (self.x_train[:0], self.y_train[:0])
        chosen = sample_indices(self.y_train, TRAIN_SAMPLES, seed)
        result = {"x": self.x_train[chosen], "y": self.y_train[chosen]}
        x, y = held_out
        chosen = sample_indices(y, TEST_SAMPLES, seed)
        return {**result, "x_test": x[chosen], "y_test": y[chosen]}


def tell(prepared: Prepared, more: Sequence[tuple[str, str]] = ()) -> None:
    """Says on stderr what was understood of the data.

    Args:
        prepared: The data.
        more: Names and sentences that follow.
    """
    lines = [*told(prepared.data, prepared.preprocessor.truncating), *more]
    width = max(len(name) for name, _ in lines)
    for name, words in lines:
        print(f"{name:<{width}}  {words}", file=sys.stderr)
    sys.stderr.flush()


def dictated_config(preprocessor: Preprocessor, model: str) -> dict[str, Any]:
    """Returns the config keys of a model that the data dictate.

    Args:
        preprocessor: Of the data.
        model: Name of the model.
    """
    from keras_rnn_zoo.builder import MODELS

    config, vocabulary = preprocessor.model_config(), preprocessor.vocabulary
    if vocabulary is not None and any(
        field.name == "unknown_id" for field in MODELS.get(model).fields
    ):
        config["unknown_id"] = vocabulary.unknown_id
    return config


def _forecast_columns(data: Mapping[str, Any]) -> str | None:
    """Returns the features that windows of a table are asked the future of, as `0+2`.

    Args:
        data: Of `Prepared`.

    Returns:
        None where it is no forecast, and where one of what is forecast is not among the values.
    """
    values, asked = data.get("value_columns") or (), data.get("label_column") or ()
    if not data.get("horizon") or not all(name in values for name in asked):
        return None
    return "+".join(str(list(values).index(name)) for name in asked)


@contextmanager
def _located(place: str) -> Iterator[None]:
    """Says which data an error is about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"In the {place}: {error}") from error.__cause__


def check_config(models: Sequence[str], config: Mapping[str, Any]) -> None:
    """Refuses unknown models, unknown keys and wrong types, before any data are read.

    Raises:
        UnknownNameError: No such model.
        ConfigError: A key or value that a model does not take.
    """
    from keras_rnn_zoo.builder import MODELS, get_builder

    for model in models:
        fields = {field.name: field for field in MODELS.get(model).fields}
        for key, value in config.items():
            if key in fields:
                fields[key].check(value)
            else:
                get_builder(model, **{key: value})


def encoding_sizes(
    models: Sequence[str], config: Mapping[str, Any]
) -> tuple[int | None, int | None]:
    """Returns the timesteps and the vocabulary size of token ids to prepare for models.

    What `config` leaves out is the largest default among the models.
    """
    from keras_rnn_zoo.builder import MODELS

    def size(key: str) -> int | None:
        if config.get(key) is not None:
            value: int = config[key]
            return value
        fields = (field for model in models for field in MODELS.get(model).fields)
        defaults = [field.default for field in fields if field.name == key and field.default]
        return max(defaults, default=None)

    return size("timesteps"), size("vocabulary_size")


@takes(DataOptions)
def prepare(
    dataset: Dataset,
    config: Mapping[str, Any] | None = None,
    *,
    models: Sequence[str] = (),
    parts: Parts | None = None,
    **options: Any,
) -> Prepared:
    """Splits and encodes a data set.

    Args:
        dataset: As `load_data` returns it.
        config: Of it, `timesteps`, `vocabulary_size` and `task` matter here.
        models: Names of the models to prepare for; their defaults fill in what `config` leaves
            out (the largest, where they differ).
        parts: Which rows are for what; None has some held out for validation, as the options say.
            In either case labels, and the time steps of features, are those of all rows.

    Raises:
        ConfigError: An argument is out of range.
        DataError: The data cannot be learnt from; the message names the row.
    """
    config, chosen = config or {}, DataOptions.of(options)
    if chosen.task and config.get("task") not in (None, chosen.task):
        raise ConfigError(
            f"The task is said twice and differently: {chosen.task!r} and {config['task']!r}. "
            "Say one."
        )
    chosen = chosen.replace(task=chosen.task or config.get("task"))
    # The defaults of a model are made for texts; arrays say themselves what they need.
    timesteps, _ = encoding_sizes(models if dataset.kind != "features" else (), config)
    _, size = encoding_sizes(models if dataset.kind == "text" else (), config)
    with _located("training data"):
        task = infer_task(dataset, chosen.task)
        way = chosen.split or dataset.split
        if parts is None:
            parts = parts_of(dataset.train, chosen, way, task)
        kept, held = parts.train, parts.validation
        preprocessor = Preprocessor.fit(
            dataset,
            timesteps=timesteps,
            vocabulary_size=size,
            rows=kept,
            **EncodingOptions.part_of(chosen).keywords(),
        )
        x, y = _encode(preprocessor, dataset.train)
    x_test = y_test = None
    if parts.test is not None:
        x_test, y_test = x[parts.test], y[parts.test]
        dataset = replace(dataset, test=dataset.train.take(parts.test))
    elif dataset.test is not None:
        with _located("test data"):
            x_test, y_test = _encode(preprocessor, dataset.test)
    rows = {"train": len(kept), "validation": len(held), "test": len(dataset.test or ())}
    validates = len(held) > 0
    read = {
        "train": dataset.train.take(kept),
        "validation": dataset.train.take(held) if validates else None,
        "test": dataset.test,
    }
    data = {
        **dataset.description,
        "name": dataset.name,
        "kind": dataset.kind,
        "rows": rows,
        "held_out": "test" if x_test is not None else "validation" if validates else None,
    }
    prepared = Prepared(
        preprocessor=preprocessor,
        x_train=x[kept],
        y_train=y[kept],
        x_validation=x[held] if validates else None,
        y_validation=y[held] if validates else None,
        x_test=x_test,
        y_test=y_test,
        data=data,
        windows={
            name: None if part is None else Windows.of(part, dataset.description)
            for name, part in read.items()
        },
    )
    if dataset.kind == "text" and chosen.tokenizer is None:
        _, why = needed_tokenizer(dataset.train.x)
        dataset = replace(dataset, notes=(*dataset.notes, *([why] if why else ())))
    if dataset.train.spans is None:  # windows of a silent sensor are alike, and no copies
        test = None if dataset.test is None else dataset.test.x
        copies = repeats_told(dataset.train.x, kept, held, test)
        dataset = replace(dataset, notes=(*dataset.notes, *copies))
    data["understood"] = understanding(dataset, preprocessor, prepared.x_train, way)
    train = prepared.x_train, prepared.y_train
    pairs = {"train": train, "validation": prepared.validation, "test": prepared.test}
    data["baseline"] = baseline(preprocessor, pairs)
    raw = _raw(dataset.kind, read, chosen.seed)
    if preprocessor.task == "regression":
        data["targets"] = TargetScaling.fit(prepared.y_train).to_dict()
    data["baselines"] = baselines(preprocessor, pairs, raw, words=chosen.baseline)
    return prepared


def parts_of(
    rows: Split, options: DataOptions, way: str, task: str, among: np.ndarray | None = None
) -> Parts:
    """Returns parts with rows held out for validation, as the options say.

    Args:
        rows: The training rows of a data set.
        options: Say how many, and the seed.
        way: How rows are held out.
        task: What is asked.
        among: int `[n]`: rows to choose from; None for all.
    """
    some = rows if among is None else rows.take(among)
    kept, held = rows_held_out(some, options.validation_split, options.seed, way, task)
    return Parts(kept, held) if among is None else Parts(among[kept], among[held])


def _raw(kind: str, read: Mapping[str, Split | None], seed: int) -> Raw:
    """Returns the rows as they were read, where a baseline looks at them."""
    naive = {name: {} if part is None else part.naive for name, part in read.items()}
    features = kind == "features"
    x = {name: None if part is None or features else part.x for name, part in read.items()}
    return Raw(kind, x, naive, seed)


def _encode(preprocessor: Preprocessor, split: Split) -> tuple[np.ndarray, np.ndarray]:
    x = preprocessor.encode_inputs(split.x, strict=False)
    return x, preprocessor.encode_labels(split.y, split.x)


def as_dataset(data: Dataset | Data, test_data: Data | None, options: DataOptions) -> Dataset:
    """Returns `data` if it is a `Dataset`, else what `load_data` reads."""
    if isinstance(data, Dataset):
        if test_data is not None:
            raise ConfigError("A Dataset brings its own test split. Leave out test_data.")
        return data
    reading = ReadOptions.part_of(options).keywords()
    return load_data(data, test_data=test_data, **reading)


def with_tests(dataset: Dataset, options: DataOptions) -> Dataset:
    """Returns the data set with test rows held out, where it has none and the user wants some."""
    part = options.test_split
    if part is None:
        part = TEST_SPLIT if dataset.train.spans is not None else 0.0
    if dataset.test is not None or part == 0:
        return dataset
    return hold_out(dataset, part, options.seed, options.split)
