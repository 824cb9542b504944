"""One trial, from a job to its outcome, in a process of its own.

What comes first costs least: a model over budget is known before it is trained, since the values
of its weights change neither its size nor its speed.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.builder import get_builder
from keras_rnn_zoo.errors import OutputError, ZooError
from keras_rnn_zoo.training.divergence import LIMIT, check_converged, has_diverged
from keras_rnn_zoo.training.feed import Feed
from keras_rnn_zoo.training.metrics import OF_LABELS, validation_scores
from keras_rnn_zoo.training.scaling import LastValues
from keras_rnn_zoo.training.schedules import scheduled, steps_of
from keras_rnn_zoo.training.word_vectors import start_from_words
from keras_rnn_zoo.tuner.trials.budget import DeviceBudget
from keras_rnn_zoo.tuner.trials.job import (
    ABORTED,
    CHECKPOINT,
    COMPLETED,
    FAILED,
    INFEASIBLE,
    Arrays,
    Job,
    Outcome,
    Report,
    fold_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras

# Rows to measure the latency on; a file may answer short sequences sooner.
LATENCY_ROWS = 64
CALIBRATION_ROWS = 256


class Trial:
    """Runs one job.

    With folds, what is measured and kept is the model of the first; the others are trained and
    scored, and their figures are averaged.

    Args:
        job: What to do.
        arrays: To train and validate on; not written to. Targets are in the user's units, and so
            is all that is told of the trial; its checkpoint has the weights that scaled targets
            made, so that its training can go on.
        directory: Where the checkpoint goes; it exists.
        parent: The checkpoint to start from, or None.
        report: Called with lines about its progress.
    """

    def __init__(
        self, job: Job, arrays: Arrays, directory: Path, parent: Path | None, report: Report
    ) -> None:
        self.job = job
        self.arrays = arrays
        self.directory = directory
        self.parent = parent
        self.report = report
        self.budget = DeviceBudget.from_dict(job.device)
        self.found: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}

    @cached_property
    def feed(self) -> Feed:
        """The rows as training gets them."""
        arrays, config = self.arrays, self.job.config
        return Feed.of(
            config["task"],
            config["outputs"],
            (arrays["x_train"], arrays["y_train"]),
            (arrays["x_validation"], arrays["y_validation"]),
            self.job.class_weight,
            LastValues.of(config, arrays.get("scaling")),
            get_builder(self.job.model, **config).trims,
        )

    def run(self) -> Outcome:
        """Builds, measures, trains and scores the model.

        Returns:
            The outcome; whatever goes wrong is a failure with the reason.
        """
        try:
            return self._run()
        except OutputError as error:
            return self._ended(ABORTED, str(error))  # no other trial would fare better
        except Exception as error:
            return self._ended(FAILED, reason(error))

    def _run(self) -> Outcome:
        import keras

        keras.utils.set_random_seed(self.job.seed)
        factory = self.job.callbacks
        callbacks = list(pkgutil.resolve_name(factory)()) if factory else []
        with self._timed("build"):
            model = self._build()
        self.found["parameters"] = int(model.count_params())
        with self._timed("measure"):
            self._measure(model)
        excess = self._excess()
        if excess:
            return self._over_budget(excess)
        with self._timed("train"):
            history = self._train(model, callbacks)
        best = self._best(history)
        self.found.update(
            history=history,
            best_epoch=best,
            metrics={name: column[best] for name, column in history.items()},
        )
        with self._timed("score"):
            self._score(model)
        # The trained file is a few bytes larger or smaller.
        excess = self._excess()
        if excess:
            return self._over_budget(excess)
        return self._in_folds() if self.job.folds else self._ended(COMPLETED)

    def _in_folds(self) -> Outcome:
        """Does the same in the further folds, and averages over the rows of all."""
        found: list[dict[str, float]] = [self.found["metrics"]]
        rows = [len(self.arrays["x_validation"])]
        count = 1 + len(self.job.folds)
        limits = {name: None for name in self.job.device if name.startswith("max_")}
        for number, config in enumerate(self.job.folds, start=2):
            name = f"fold {number}/{count}"
            job = replace(self.job, config=config, folds=(), device={**self.job.device, **limits})
            prefix = fold_key(number, "")
            arrays = {
                each.removeprefix(prefix): values
                for each, values in self.arrays.items()
                if each.startswith(prefix)
            }
            # Named as what is swept away after a kill.
            with tempfile.TemporaryDirectory(".part", ".fold.", self.directory) as scratch:
                fold = Trial(job, arrays, Path(scratch), None, _within(self.report, name)).run()
            if fold.status != COMPLETED:
                return self._ended(fold.status, f"In {name}: {fold.message}")
            found.append(fold.metrics)
            rows.append(len(arrays["x_validation"]))
            for step, seconds in fold.seconds.items():
                self.seconds[step] = round(self.seconds.get(step, 0.0) + seconds, 3)
        self.found["metrics"] = {
            name: float(np.average([one[name] for one in found], weights=rows)) for name in found[0]
        }
        return self._ended(COMPLETED, folds=found)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)

    def _ended(self, status: str, message: str | None = None, **more: Any) -> Outcome:
        return Outcome(status, message, seconds=self.seconds, **{**self.found, **more})

    # ------------------------------------------------------------------ the steps

    def _build(self) -> keras.Model:
        for module in self.job.modules:
            importlib.import_module(module)
        job = self.job
        model = get_builder(job.model, **job.config).build()
        rows, epochs = len(self.arrays["x_train"]), job.schedule_epochs or job.epochs
        steps = steps_of(rows, job.batch_size, epochs)
        self.feed.compile(model, scheduled(job.schedule, job.learning_rate, steps))
        return model

    def _measure(self, model: keras.Model) -> None:
        """Measures what is limited, unless the number of parameters is too large already."""
        budget = self.budget
        limits = (budget.max_size, budget.max_latency, budget.max_arena)
        if all(limit is None for limit in limits) or self._excess():
            return
        from keras_rnn_zoo.export.formats.measure import measure

        self.report("measuring")
        measured = measure(
            model,
            quantization=budget.quantization,
            target=budget.target,
            samples=self.arrays["x_train"][:LATENCY_ROWS],
            limit_ms=budget.max_latency,
            core=budget.latency_core,
        )
        size = measured.bytes + self.job.attached
        self.found.update(bytes=size, latency_ms=measured.latency_ms, arena=measured.arena)

    def _figures(self) -> dict[str, Any]:
        return {
            "size": self.found.get("bytes"),
            "latency": self.found.get("latency_ms"),
            "parameters": self.found.get("parameters"),
            "arena": self.found.get("arena"),
        }

    def _excess(self) -> dict[str, float]:
        return self.budget.excess(**self._figures())

    def _over_budget(self, excess: dict[str, float]) -> Outcome:
        message = self.budget.explain(self._figures(), excess)
        return self._ended(INFEASIBLE, message, excess=excess)

    def _train(self, model: keras.Model, callbacks: Sequence[Any]) -> dict[str, list[float]]:
        import keras

        if self.parent is not None:
            load_weights(model, self.parent)
        else:
            job = self.job
            unknown, x = job.config.get("unknown_id", 0), self.arrays["x_train"]
            start_from_words(model, x, job.word_vectors, unknown, job.seed)
        patience = self.job.patience
        if patience is not None:
            callbacks = [
                *callbacks,
                keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience),
            ]
        monitor, task = self.job.objective[0], self.job.config["task"]
        first = []
        if monitor.removeprefix("val_") in OF_LABELS:
            x, y = self.arrays["x_validation"], self.arrays["y_validation"]
            first.append(validation_scores(x, y, task))
        history = self.feed.fit(
            model,
            epochs=self.job.epochs,
            initial_epoch=self.job.initial_epoch,
            batch_size=self.job.batch_size,
            callbacks=[
                *first,
                *callbacks,
                _best_weights(self.job.objective, self.directory / CHECKPOINT),
                _progress(self.report, self.feed.loss_unit),
                keras.callbacks.TerminateOnNaN(),
            ],
            seed=self.job.seed,
        ).history
        history = {name: [float(value) for value in column] for name, column in history.items()}
        unit = self.feed.loss_unit
        check_converged(history, self.job.learning_rate, limit=LIMIT, unit=unit)
        return history

    def _best(self, history: dict[str, list[float]]) -> int:
        """Returns the index of the epoch whose weights the checkpoint has."""
        rows = zip(*history.values(), strict=True)
        places = [_place(self.job.objective, dict(zip(history, row, strict=True))) for row in rows]
        return places.index(min(places))

    def _score(self, model: keras.Model) -> None:
        """Writes the file of the best epoch's weights, and has it answer the validation rows."""
        from keras_rnn_zoo.export.formats.measure import latency_of, score
        from keras_rnn_zoo.export.keras_model.samples import as_samples
        from keras_rnn_zoo.export.targets import TARGETS

        self.report("scoring the file")
        load_weights(model, self.directory / CHECKPOINT)
        model = self.feed.finished(model)
        path = self.directory / "model.tflite"
        try:
            write_file(model, path, self.budget, self.arrays["x_train"])
            figures = score(
                path,
                self.arrays["x_validation"],
                self.arrays["y_validation"],
                self.job.config["task"],
            )
            self.found["metrics"] |= {f"quantized_{name}": v for name, v in figures.items()}
            self.found["bytes"] = path.stat().st_size + self.job.attached
            self.found["arena"] = TARGETS.get(self.budget.target).arena_of(path)
            if "latency_ms" not in self.found:
                samples = as_samples(model, self.arrays["x_train"][:LATENCY_ROWS])
                self.found["latency_ms"] = latency_of(
                    path, samples, core=self.budget.latency_core, seconds=0.2
                )
        finally:
            path.unlink(missing_ok=True)


def _within(report: Report, name: str) -> Report:
    """Returns a report of a part of a trial."""
    return lambda text: report(f"{name}, {text}")


def run_job(
    job: Job, arrays: Arrays, directory: Path, parent: Path | None, report: Report
) -> Outcome:
    """Runs a job; see `Trial`."""
    return Trial(job, arrays, directory, parent, report).run()


def write_file(model: keras.Model, path: Path, budget: DeviceBudget, x: np.ndarray) -> None:
    """Writes the .tflite file of a trained model that a budget is about.

    Args:
        model: Trained.
        path: File to write.
        budget: Says which file.
        x: Encoded training inputs `[n, ...]`, to calibrate on.
    """
    from keras_rnn_zoo.export.formats.measure import write_trained

    write_trained(
        model,
        path,
        quantization=budget.quantization,
        target=budget.target,
        representative_data=x[:CALIBRATION_ROWS],
    )


def load_weights(model: keras.Model, path: Path) -> None:
    """Loads weights, and the state of the optimizer with them."""
    model.optimizer.build(model.trainable_variables)
    model.load_weights(path)


def reason(error: BaseException) -> str:
    """Returns why a trial failed, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        text = f"not enough memory: {text}" if text else "not enough memory"
    elif not isinstance(error, ZooError):
        text = f"{error.__class__.__name__}: {text}" if text else error.__class__.__name__
    return text if len(text) <= 500 else text[:497] + "..."


def _place(objective: tuple[str, str], logs: Mapping[str, float]) -> tuple[float, float]:
    """Returns what epochs are compared by, the least is the best.

    Few rows have few accuracies: of epochs that have the same, the one with the lower loss is
    surer of its answers.
    """
    name, direction = objective
    return -logs[name] if direction == "max" else logs[name], logs["val_loss"]


def _best_weights(objective: tuple[str, str], path: Path) -> Any:
    """Returns a callback that keeps the weights of the best epoch; the file is always whole."""
    import keras

    class BestWeights(keras.callbacks.Callback):  # type: ignore[misc]
        best = math.inf, math.inf

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            place = _place(objective, logs or {})
            if place < self.best:
                self.best = place
                # Not through atomic_file: Keras looks at the name's end.
                partial = path.with_name(f"partial.{path.name}")
                with files.explained(path):
                    self.model.save_weights(partial, overwrite=True)
                    partial.replace(path)

    return BestWeights()


def _progress(report: Report, unit: float = 1.0) -> Any:
    """Returns a callback that says how far training is, and ends one that diverges.

    Args:
        report: Takes the lines.
        unit: See `divergence.has_diverged`.
    """
    import keras

    class ReportProgress(keras.callbacks.Callback):  # type: ignore[misc]
        epoch = 0
        reported = 0.0
        first = math.nan

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            now = time.perf_counter()
            if now - self.reported > 0.5:
                self.reported = now
                epochs, steps = self.params.get("epochs"), self.params.get("steps")
                report(f"epoch {self.epoch + 1}/{epochs}, batch {batch + 1}/{steps}")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            loss = (logs or {}).get("val_loss", math.nan)
            if math.isnan(self.first):
                self.first = loss
            if has_diverged(loss, self.first, unit=unit):
                self.model.stop_training = True

    return ReportProgress()
