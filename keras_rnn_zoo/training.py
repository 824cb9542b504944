"""Data and a model's name in, a run out."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.data import Dataset, Split, load_data, split_indices
from keras_rnn_zoo.data._splitting import sample_indices
from keras_rnn_zoo.errors import ConfigError, DataError
from keras_rnn_zoo.files import PathLike, check_new_directory, new_directory
from keras_rnn_zoo.interrupts import between_batches
from keras_rnn_zoo.preprocessing import Preprocessor
from keras_rnn_zoo.run import Run, run_info, write_run

if TYPE_CHECKING:
    import keras

    from keras_rnn_zoo.builder import ModelBuilder

TRAIN_SAMPLES, TEST_SAMPLES = 256, 2000


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
        data: JSON-able: where the data came from, and how many rows each part has.
    """

    preprocessor: Preprocessor
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray | None
    y_validation: np.ndarray | None
    x_test: np.ndarray | None
    y_test: np.ndarray | None
    data: dict[str, Any]

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

    def builder(self, model: str, config: Mapping[str, Any] | None = None) -> ModelBuilder:
        """Returns a model's builder, with the config that the data dictate.

        Raises:
            ConfigError: `config` is illegal, or contradicts the data.
        """
        from keras_rnn_zoo.builder import get_builder

        dictated = self.preprocessor.model_config()
        for key in ("features", "outputs"):
            if config and key in config and config[key] != dictated[key]:
                raise ConfigError(
                    f"{key}={config[key]!r} contradicts the data, which need {key}="
                    f"{dictated[key]!r}. Leave it out."
                )
        return get_builder(model, **{**(config or {}), **dictated})

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


def prepare(
    dataset: Dataset,
    config: Mapping[str, Any] | None = None,
    *,
    models: Sequence[str] = (),
    validation_split: float = 0.1,
    seed: int = 0,
    padding: str = "post",
    truncating: str = "pre",
    task: str | None = None,
) -> Prepared:
    """Splits and encodes a data set.

    Args:
        dataset: As `load_data` returns it.
        config: Of it, `timesteps`, `vocabulary_size` and `task` matter here.
        models: Names of the models to prepare for; their defaults fill in what `config` leaves
            out (the largest, where they differ).
        validation_split: The part of the training rows to hold out for validation, stratified by
            label.
        seed: Of the random choice of validation rows.
        padding: `"post"` or `"pre"`.
        truncating: `"pre"` or `"post"`.
        task: None infers it from the labels.

    Raises:
        ConfigError: An argument is out of range.
        DataError: The data cannot be learnt from; the message names the row.
    """
    config = config or {}
    if task and config.get("task") not in (None, task):
        raise ConfigError(
            f"The task is said twice and differently: {task!r} and {config['task']!r}. Say one."
        )
    task = task or config.get("task")
    # The defaults of a model are made for texts; arrays say themselves what they need.
    timesteps, _ = encoding_sizes(models if dataset.kind != "features" else (), config)
    _, size = encoding_sizes(models if dataset.kind == "text" else (), config)
    with _located("training data"):
        kept, held = split_indices(dataset.train.y, validation_split, seed)
        preprocessor = Preprocessor.fit(
            dataset,
            timesteps=timesteps,
            vocabulary_size=size,
            padding=padding,
            truncating=truncating,
            task=task,
            rows=kept,
        )
        x, y = _encode(preprocessor, dataset.train)
    x_test = y_test = None
    if dataset.test is not None:
        with _located("test data"):
            x_test, y_test = _encode(preprocessor, dataset.test)
    rows = {"train": len(kept), "validation": len(held), "test": len(dataset.test or ())}
    validates = len(held) > 0
    data = {
        **dataset.description,
        "name": dataset.name,
        "kind": dataset.kind,
        "rows": rows,
        "held_out": "test" if x_test is not None else "validation" if validates else None,
    }
    return Prepared(
        preprocessor=preprocessor,
        x_train=x[kept],
        y_train=y[kept],
        x_validation=x[held] if validates else None,
        y_validation=y[held] if validates else None,
        x_test=x_test,
        y_test=y_test,
        data=data,
    )


def _encode(preprocessor: Preprocessor, split: Split) -> tuple[np.ndarray, np.ndarray]:
    x = preprocessor.encode_inputs(split.x, strict=False)
    return x, preprocessor.encode_labels(split.y, split.x)


@dataclass(frozen=True)
class Fitted:
    """A trained model and how it went.

    Attributes:
        model: Trained, compiled.
        builder: That built it.
        history: A list of values per epoch for each measure.
        metrics: `{train,validation,test}_loss` and `_accuracy` (or `_mean_absolute_error`), None
            where there is no such split; `epochs` trained, the `best_epoch` among them (whose
            weights the model has), `seconds` of training, `parameters`.
        hyperparameters: Those of the training.
    """

    model: keras.Model
    builder: ModelBuilder
    history: dict[str, list[float]]
    metrics: dict[str, Any]
    hyperparameters: dict[str, Any]


def check_hyperparameters(
    epochs: int, batch_size: int, learning_rate: float, patience: int | None
) -> None:
    """Refuses what no training could use, before any data are read.

    Raises:
        ConfigError: An argument is out of range.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("patience", patience)):
        if value is None and name == "patience":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} is a whole number of at least 1. Received: {value!r}")
    if not 0 < learning_rate < math.inf:
        raise ConfigError(f"learning_rate is a number above 0. Received: {learning_rate!r}")


def fit_and_evaluate(
    prepared: Prepared,
    builder: ModelBuilder,
    *,
    epochs: int = 4,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    patience: int | None = None,
    seed: int | None = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
) -> Fitted:
    """Builds, trains and evaluates a model.

    With validation rows, the weights of the epoch with the lowest validation loss are kept: a
    small model is past its best within a few epochs. The test rows are used once, after training.

    Args:
        prepared: See `prepare`.
        builder: See `Prepared.builder`.
        epochs: The most passes over the training rows.
        batch_size: Rows per step.
        learning_rate: Of Adam.
        patience: Stop after this many epochs without a better validation loss; None trains all
            epochs.
        seed: Of initial weights, shuffling and dropout; None leaves the random state alone.
        callbacks: Further Keras callbacks.
        progress: Write a line per epoch to stderr.

    Raises:
        ConfigError: An argument is out of range, or the training diverged.
    """
    import keras

    from keras_rnn_zoo.tasks import get_task

    check_hyperparameters(epochs, batch_size, learning_rate, patience)
    if patience is not None and prepared.validation is None:
        raise ConfigError(
            "patience needs validation data. Set validation_split above 0, or leave it out."
        )
    hooks = list(callbacks)
    if prepared.validation is not None:
        hooks.append(
            keras.callbacks.EarlyStopping(
                monitor="val_loss", patience=patience or epochs, restore_best_weights=True
            )
        )
    if progress:
        hooks.append(_progress(builder.name, epochs))
    if seed is not None:
        keras.utils.set_random_seed(seed)
    task = get_task(prepared.preprocessor.task)
    model = builder.build()
    task.compile(model, learning_rate)
    start = time.perf_counter()
    with between_batches() as interrupts:
        history = model.fit(
            prepared.x_train,
            prepared.y_train,
            validation_data=prepared.validation,
            epochs=epochs,
            batch_size=batch_size,
            callbacks=[*hooks, keras.callbacks.TerminateOnNaN(), interrupts],
            verbose=0,
        ).history
    seconds = time.perf_counter() - start
    if not np.isfinite(history["loss"]).all():
        raise ConfigError(
            f"Training diverged: the loss became NaN or infinite in epoch {len(history['loss'])}. "
            f"Set learning_rate below {learning_rate}, or scale the targets of a regression."
        )
    metrics = evaluate(prepared, model)
    metrics["epochs"] = len(history["loss"])
    losses = np.nan_to_num(history.get("val_loss", []), nan=np.inf)
    metrics["best_epoch"] = 1 + int(losses.argmin()) if len(losses) else metrics["epochs"]
    metrics["seconds"] = round(seconds, 3)
    metrics["parameters"] = int(model.count_params())
    hyperparameters = {
        "learning_rate": learning_rate,
        "epochs": epochs,
        "batch_size": batch_size,
        "patience": patience,
    }
    return Fitted(model, builder, history, metrics, hyperparameters)


def evaluate(prepared: Prepared, model: keras.Model) -> dict[str, Any]:
    """Returns `{train,validation,test}_loss` and `_accuracy` (or `_mean_absolute_error`).

    Args:
        prepared: A split that it does not have gives None.
        model: Compiled as `tasks.Task.compile` does.
    """
    from keras_rnn_zoo.tasks import get_task

    metrics: dict[str, Any] = {}
    train = (prepared.x_train, prepared.y_train)
    parts = {"train": train, "validation": prepared.validation, "test": prepared.test}
    for name, pair in parts.items():
        for measure in ("loss", get_task(prepared.preprocessor.task).metric):
            metrics[f"{name}_{measure}"] = None
        if pair is not None:
            values = model.evaluate(*pair, batch_size=256, verbose=0, return_dict=True)
            metrics.update({f"{name}_{key}": float(value) for key, value in values.items()})
    return metrics


def _progress(name: str, epochs: int) -> keras.callbacks.Callback:
    """Returns a callback that writes to stderr, because stdout belongs to the result."""
    import keras

    live = sys.stderr.isatty()

    class Progress(keras.callbacks.Callback):  # type: ignore[misc]
        started = shown = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            now = time.perf_counter()
            if live and now - self.shown > 0.5:
                self.shown = now
                steps = self.params.get("steps")
                print(f"\r{name}: batch {batch + 1}/{steps} ", end="", file=sys.stderr, flush=True)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            values = "  ".join(f"{key} {value:.4f}" for key, value in (logs or {}).items())
            seconds = time.perf_counter() - self.started
            print(
                f"{chr(13) if live else ''}{name}: epoch {epoch + 1}/{epochs}  {values}  "
                f"{seconds:.1f} s",
                file=sys.stderr,
                flush=True,
            )

    return Progress()


def train(
    model: str,
    data: Dataset | PathLike,
    *,
    config: Mapping[str, Any] | None = None,
    epochs: int = 4,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    patience: int | None = None,
    validation_split: float = 0.1,
    seed: int = 0,
    output: PathLike | None = None,
    command: str | None = None,
    test_data: PathLike | None = None,
    text_column: str = "text",
    label_column: str = "label",
    task: str | None = None,
    padding: str = "post",
    truncating: str = "pre",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
) -> Run:
    """Trains a model and leaves it as a run.

    Args:
        model: A name of `list_models()`.
        data: A `Dataset`, a data set's name or a file; see `load_data`.
        config: Config keys of the model, such as `{"units": 32}`.
        epochs: The most passes over the training rows.
        batch_size: Rows per step.
        learning_rate: Of Adam.
        patience: Stop after this many epochs without a better validation loss; None never.
        validation_split: The part of the training rows to hold out for validation.
        seed: Of every random choice.
        output: The run directory to write: new, or empty. None keeps the run in memory.
        command: The command line, for the record.
        test_data: See `load_data`.
        text_column: See `load_data`.
        label_column: See `load_data`.
        task: See `load_data`.
        padding: `"post"` fills short inputs on the right, `"pre"` on the left.
        truncating: `"pre"` cuts the beginning of long inputs, `"post"` the end.
        callbacks: Further Keras callbacks.
        progress: Write a line per epoch to stderr.

    Raises:
        ZooError: Of the type that says what is wrong: name, config, data or output.
    """
    if output is not None:
        check_new_directory(output)
    check_hyperparameters(epochs, batch_size, learning_rate, patience)
    check_config([model], config or {})
    dataset = as_dataset(data, test_data, text_column, label_column, task)
    prepared = prepare(
        dataset,
        config,
        models=[model],
        validation_split=validation_split,
        seed=seed,
        padding=padding,
        truncating=truncating,
        task=task,
    )
    fitted = fit_and_evaluate(
        prepared,
        prepared.builder(model, config),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        seed=seed,
        callbacks=callbacks,
        progress=progress,
    )
    if output is None:
        info = run_info(**_contents(prepared, fitted, seed, command))
        return Run(info, prepared.preprocessor, model=fitted.model)
    with new_directory(output) as directory:
        info = save_run(directory, prepared, fitted, seed=seed, command=command)
    return Run(info, prepared.preprocessor, Path(output), fitted.model)


def as_dataset(
    data: Dataset | PathLike,
    test_data: PathLike | None = None,
    text_column: str = "text",
    label_column: str = "label",
    task: str | None = None,
) -> Dataset:
    """Returns `data` if it is a `Dataset`, else what `load_data` reads."""
    if isinstance(data, Dataset):
        if test_data is not None:
            raise ConfigError("A Dataset brings its own test split. Leave out test_data.")
        return data
    return load_data(
        data, test_data=test_data, text_column=text_column, label_column=label_column, task=task
    )


def _contents(
    prepared: Prepared, fitted: Fitted, seed: int | None, command: str | None
) -> dict[str, Any]:
    """Returns the arguments of `run.run_info`."""
    from keras_rnn_zoo.provenance import provenance

    return {
        "builder": fitted.builder,
        "preprocessor": prepared.preprocessor,
        "metrics": fitted.metrics,
        "hyperparameters": fitted.hyperparameters,
        "data": prepared.data,
        "provenance": provenance(seed=seed, command=command),
    }


def save_run(
    directory: PathLike,
    prepared: Prepared,
    fitted: Fitted,
    *,
    seed: int | None = 0,
    command: str | None = None,
) -> dict[str, Any]:
    """Writes a trained model as a run into a directory that exists; returns its `run.json`.

    Raises:
        OSError: The place cannot be written; `files.new_directory` makes it an `OutputError`.
    """
    return write_run(
        directory,
        model=fitted.model,
        history=fitted.history,
        samples=prepared.samples(seed or 0),
        **_contents(prepared, fitted, seed, command),
    )
