"""Fits a model and evaluates it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.training.divergence import check_converged
from keras_rnn_zoo.training.interrupts import between_batches
from keras_rnn_zoo.training.options import TrainOptions
from keras_rnn_zoo.training.prepare import Prepared
from keras_rnn_zoo.training.schedules import scheduled, steps_of

if TYPE_CHECKING:
    import keras

    from keras_rnn_zoo.builder import ModelBuilder


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


def fit_and_evaluate(
    prepared: Prepared,
    builder: ModelBuilder,
    options: TrainOptions,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
) -> Fitted:
    """Builds, trains and evaluates a model.

    With validation rows, the weights of the epoch with the lowest validation loss are kept: a
    small model is past its best within a few epochs. The test rows are used once, after training.

    Args:
        prepared: See `prepare`.
        builder: See `Prepared.builder`.
        options: How to train; the seed is that of initial weights, shuffling and dropout.
        callbacks: Further Keras callbacks.
        progress: Write a line per epoch to stderr.

    Raises:
        ConfigError: Options contradict the data, or the training diverged.
    """
    import keras

    from keras_rnn_zoo.tasks import get_task

    epochs, patience = options.epochs, options.patience
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
    keras.utils.set_random_seed(options.seed)
    task = get_task(prepared.preprocessor.task)
    model = builder.build()
    steps = steps_of(len(prepared.x_train), options.batch_size, epochs)
    task.compile(model, scheduled(options.schedule, options.learning_rate, steps))
    start = time.perf_counter()
    with between_batches() as interrupts:
        history = model.fit(
            prepared.x_train,
            prepared.y_train,
            validation_data=prepared.validation,
            epochs=epochs,
            batch_size=options.batch_size,
            callbacks=[*hooks, keras.callbacks.TerminateOnNaN(), interrupts],
            verbose=0,
        ).history
    seconds = time.perf_counter() - start
    check_converged(history, options.learning_rate)
    metrics = evaluate(prepared, model)
    metrics["epochs"] = len(history["loss"])
    losses = history.get("val_loss")
    metrics["best_epoch"] = 1 + int(np.argmin(losses)) if losses else metrics["epochs"]
    metrics["seconds"] = round(seconds, 3)
    metrics["parameters"] = int(model.count_params())
    hyperparameters = {
        name: getattr(options, name)
        for name in ("learning_rate", "schedule", "epochs", "batch_size", "patience")
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
