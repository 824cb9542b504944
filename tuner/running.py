"""A KerasTuner tuner that runs the trials of a search, each on the data made for its model."""

from __future__ import annotations

import contextlib
import io
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import OutputError, SearchError, ZooError
from keras_rnn_zoo.interrupts import between_batches
from keras_rnn_zoo.training import Prepared
from keras_rnn_zoo.tuner.hypermodel import ZooHyperModel

CHECKPOINT = "checkpoint.weights.h5"  # as KerasTuner calls it


class _BestWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the best epoch; the file is whole at any moment."""

    def __init__(self, objective: Any, path: Path):
        super().__init__()
        self.objective = objective
        self.path = path
        self.best = -math.inf if objective.direction == "max" else math.inf

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        value = self.objective.get_value(logs)
        if self.objective.better_than(value, self.best):
            self.best = value
            # Not through atomic_file: Keras looks at the name's end.
            partial = self.path.with_name(f"partial.{self.path.name}")
            with files.explained(self.path):
                self.model.save_weights(partial, overwrite=True)
                partial.replace(self.path)


class _Live(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows on a terminal how far a trial is; the line is wiped when it ends."""

    def __init__(self, title: str):
        super().__init__()
        self.title = title
        self.epoch = 0
        self.shown = 0.0

    def _show(self, text: str) -> None:
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.perf_counter()
        if now - self.shown > 0.5:
            self.shown = now
            epochs, steps = self.params.get("epochs"), self.params.get("steps")
            self._show(f"{self.title}: epoch {self.epoch + 1}/{epochs}, batch {batch + 1}/{steps}")

    def on_train_end(self, logs: Any = None) -> None:
        self._show("")


class ZooTuner(keras_tuner.Tuner):  # type: ignore[misc]
    """Runs the trials that a durable oracle proposes.

    Args:
        oracle: See `durable.durable`.
        hypermodel: The search space.
        data: Encoded data for each model.
        directory: Where the search is; KerasTuner's state goes to `tuner/` in it, and is taken up
            again if there is one.
        epochs: The most epochs of a trial.
        batch_size: Rows per step.
        patience: Epochs without a better validation loss before a trial stops; None never.
        seed: Of initial weights, shuffling and dropout, together with the trial's number.
        callbacks: Further Keras callbacks, used in every trial.
        title: Returns what to call a trial while it runs, or None for no progress.
        on_end: Called after every trial that ended.
        needed: Returns the ids of trials whose checkpoints to keep.
    """

    def __init__(
        self,
        oracle: Any,
        hypermodel: ZooHyperModel,
        *,
        data: Mapping[str, Prepared],
        directory: Path,
        epochs: int,
        batch_size: int,
        patience: int | None,
        seed: int,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        title: Callable[[Any], str] | None = None,
        on_end: Callable[[], None] = lambda: None,
        needed: Callable[[], set[str]] = set,
    ):
        self.hypermodel: Any
        self.data = data
        self.epochs = epochs
        self.batch_size = batch_size
        self.patience = patience
        self.seed = seed
        self.callbacks = callbacks
        self.title = title
        self.on_end = on_end
        self.needed = needed
        # KerasTuner says on stdout that it reloads; stdout belongs to the result.
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(
                oracle, hypermodel, directory=str(directory.absolute()), project_name="tuner"
            )
        self.save()

    def _populate_initial_space(self) -> None:
        # KerasTuner would build a model of every kind only to see its hyperparameters.
        self.oracle.update_space(self.hypermodel.space())

    def save(self) -> None:
        """Writes the state, whole or not at all."""
        self.oracle.save()
        # Its presence is what makes KerasTuner reload, so it comes last.
        files.write_json(self._get_tuner_fname(), self.get_state())

    def get_trial_dir(self, trial_id: str) -> str:
        """Returns the directory of a trial, which exists."""
        return str(self.oracle._get_trial_dir(trial_id))

    def checkpoint(self, trial_id: str) -> Path:
        """Returns where the weights of a trial's best epoch are."""
        return Path(self.get_trial_dir(trial_id)) / CHECKPOINT

    def search(self) -> None:
        """Runs trials until the oracle has no more.

        A trial that fails is recorded with the reason.

        Raises:
            OutputError: The place cannot be written. The search can be resumed.
        """
        self.on_search_begin()
        while True:
            self.pre_create_trial()
            trial = self.oracle.create_trial(self.tuner_id)
            if trial.status == "STOPPED":
                break
            self.on_trial_begin(trial)
            results = self._attempt(trial)
            with self.oracle.one_step():
                if results is not None:
                    self.oracle.update_trial(trial.trial_id, *results)
                self.on_trial_end(trial)
            self._prune()
            self.on_end()
        self.on_search_end()

    def on_trial_end(self, trial: Any) -> None:
        """Tells the oracle."""
        self.oracle.end_trial(trial)

    def _attempt(self, trial: Any) -> tuple[dict[str, float], int] | None:
        record: dict[str, Any] = {"started": time.time()}
        self.oracle.records[trial.trial_id] = record
        start = time.perf_counter()
        try:
            metrics, best_step = self.run_trial(trial)
            trial.status = "COMPLETED"
            return metrics, best_step
        except OutputError:
            raise  # no other trial would fare better
        except Exception as error:
            trial.status, trial.message = "FAILED", _reason(error)
            return None
        finally:
            record.setdefault("seconds", round(time.perf_counter() - start, 3))

    def seed_of(self, trial_id: str) -> int:
        """Returns the seed of a trial: the same whenever, and after whatever, it runs."""
        number = self.oracle.start_order.index(trial_id)
        return int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])

    def run_trial(self, trial: Any) -> tuple[dict[str, float], int]:
        """Trains the model that a trial describes.

        Returns:
            The metrics of the best epoch, and its index.

        Raises:
            Exception: Whatever building and training raise.
        """
        values = trial.hyperparameters.values
        record = self.oracle.records[trial.trial_id]
        keras.backend.clear_session()  # frees the last trial's model, too
        keras.utils.set_random_seed(self.seed_of(trial.trial_id))
        model = self.hypermodel.build(trial.hyperparameters)
        record["parameters"] = int(model.count_params())
        if "tuner/trial_id" in values:
            _load(model, self.checkpoint(values["tuner/trial_id"]))
        callbacks = [
            *self.callbacks,
            _BestWeights(self.oracle.objective, self.checkpoint(trial.trial_id)),
        ]
        if self.patience is not None:
            callbacks.append(
                keras.callbacks.EarlyStopping(monitor="val_loss", patience=self.patience)
            )
        if self.title is not None and sys.stderr.isatty():
            callbacks.append(_Live(self.title(trial)))
        prepared = self.data[values["model"]]
        start = time.perf_counter()
        with between_batches() as interrupts:
            history = self.hypermodel.fit(
                trial.hyperparameters,
                model,
                prepared.x_train,
                prepared.y_train,
                validation_data=prepared.validation,
                epochs=values.get("tuner/epochs", self.epochs),
                initial_epoch=values.get("tuner/initial_epoch", 0),
                batch_size=self.batch_size,
                callbacks=[*callbacks, interrupts],
                verbose=0,
            ).history
        record["seconds"] = round(time.perf_counter() - start, 3)
        history = {name: [float(value) for value in column] for name, column in history.items()}
        scores = history[self.oracle.objective.name]
        if not np.isfinite(scores).all():
            raise SearchError(f"{self.oracle.objective.name} became NaN or infinite.")
        best = int(
            np.argmax(scores) if self.oracle.objective.direction == "max" else np.argmin(scores)
        )
        record["history"] = history
        record["epochs"] = len(scores)
        record["metrics"] = {name: column[best] for name, column in history.items()}
        return record["metrics"], best

    def load_model(self, trial: Any) -> keras.Model:
        """Returns the model of a trial with the weights of its best epoch.

        Raises:
            SearchError: Its weights are missing or damaged.
        """
        path = self.checkpoint(trial.trial_id)
        keras.backend.clear_session()
        model = self.hypermodel.build(trial.hyperparameters)
        try:
            _load(model, path)
        except Exception as error:  # whatever h5py and Keras raise
            raise SearchError(
                f"Cannot restore trial {trial.trial_id}: {path} is missing or damaged "
                f"({error.__class__.__name__}). Search again in a new directory."
            ) from error
        return model

    def _prune(self) -> None:
        """Removes the checkpoints that nothing will be restored from."""
        from keras_rnn_zoo.tuner import records

        best = records.best(records.ended(self.oracle), self.oracle.objective.direction)
        kept = self.needed() | ({best["trial_id"]} if best else set())
        for name, trial in self.oracle.trials.items():
            if name not in kept and trial.status != "RUNNING":
                for pattern in (CHECKPOINT, f"partial.{CHECKPOINT}"):
                    (Path(self.get_trial_dir(name)) / pattern).unlink(missing_ok=True)


def _load(model: keras.Model, path: Path) -> None:
    """Loads weights, and the state of the optimizer with them."""
    model.optimizer.build(model.trainable_variables)
    model.load_weights(path)


def _reason(error: Exception) -> str:
    """Returns why a trial failed, in one line."""
    text = " ".join(str(error).split())
    if not isinstance(error, ZooError | keras_tuner.errors.FailedTrialError):
        text = f"{error.__class__.__name__}: {text}" if text else error.__class__.__name__
    return text if len(text) <= 500 else text[:497] + "..."
