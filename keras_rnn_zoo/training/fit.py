"""Fits a model and evaluates it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.training.interrupts import between_batches

if TYPE_CHECKING:
    import keras

    from keras_rnn_zoo.builder import ModelBuilder
from keras_rnn_zoo.training.prepare import Prepared


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
