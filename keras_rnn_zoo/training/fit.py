"""Fits a model and evaluates it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.quantities import score
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.training.course import Course, course_of
from keras_rnn_zoo.training.divergence import check_converged
from keras_rnn_zoo.training.feed import Feed
from keras_rnn_zoo.training.interrupts import between_batches
from keras_rnn_zoo.training.kept import kept
from keras_rnn_zoo.training.metrics import (
    OF_LABELS,
    SHARES,
    by_label,
    by_label_of_several,
    real_answers,
    scores,
)
from keras_rnn_zoo.training.options import TrainOptions
from keras_rnn_zoo.training.prepare import Prepared
from keras_rnn_zoo.training.schedules import scheduled, steps_of
from keras_rnn_zoo.training.word_vectors import start_from_words

if TYPE_CHECKING:
    import keras

    from keras_rnn_zoo.builder import ModelBuilder
    from keras_rnn_zoo.training.resume import Earlier


@dataclass(frozen=True)
class Fitted:
    """A trained model and how it went.

    Attributes:
        model: Trained, compiled.
        builder: That built it.
        history: A list of values per epoch for each measure.
        metrics: `{train,validation,test}_loss` and `_accuracy` (or `_mean_absolute_error`), None
            where there is no such split; of labels `{validation,test}_f1`, `_balanced_accuracy` and
            `_auc`; `epochs` trained, the `best_epoch` among them (whose weights the model has),
            `seconds` of training, `parameters`. Errors and losses of a regression are in the units
            of its targets.
        hyperparameters: Those of the training.
        evaluation: See `Evaluation`.
        interrupted: Ctrl-C came before its last epoch.
    """

    model: keras.Model
    builder: ModelBuilder
    history: dict[str, list[float]]
    metrics: dict[str, Any]
    hyperparameters: dict[str, Any]
    evaluation: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False


@dataclass(frozen=True)
class Evaluation:
    """How a trained model answers.

    Attributes:
        metrics: See `Fitted`.
        parts: `"validation"` and `"test"`, where there are such rows -> for labels what becomes of
            each (see `metrics.by_label`), and `always`, the one that every row is answered with,
            or None; for a regression rows to look at (see `kept.kept`), and for several outputs
            `mean_absolute_errors`, one for each.
    """

    metrics: dict[str, Any]
    parts: dict[str, Any]


def fit_and_evaluate(
    prepared: Prepared,
    builder: ModelBuilder,
    options: TrainOptions,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
    keep_interrupted: bool = False,
    earlier: Earlier | None = None,
    title: str | None = None,
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
        keep_interrupted: Ctrl-C ends training and not the work: what was learnt by then, in the
            best epoch, is evaluated and returned. In the first epoch it is raised in any case.
        earlier: A training to go on with, from its best weights.
        title: How the lines of progress begin; None for the model's name.

    Raises:
        ConfigError: Options contradict the data, or the training diverged.
    """
    import keras

    validates = prepared.validation is not None
    course = course_of(options, len(prepared.x_train), validates)
    hooks = list(callbacks)
    best = _best_weights(course, earlier)
    if validates:
        hooks.append(best)
    if progress:
        title = title or builder.name
        print(f"{title}: {course}", file=sys.stderr, flush=True)
        hooks.append(_progress(title, course.epochs))
    keras.utils.set_random_seed(options.seed)
    feed = prepared.feed(builder.config, options.class_weight, builder.trims)
    steps = steps_of(len(prepared.x_train), course.batch_size, course.epochs)
    rate = scheduled(options.schedule, course.learning_rate, steps)
    if earlier is None:
        model = builder.build()
        unknown = builder.config.get("unknown_id", 0)
        start_from_words(model, prepared.x_train, options.word_vectors, unknown, options.seed)
        feed.compile(model, rate)
    else:
        model = earlier.load(feed, rate)
    start = time.perf_counter()
    told = keras.callbacks.History()
    interrupted = False
    try:
        with between_batches() as interrupts:
            hooks += [keras.callbacks.TerminateOnNaN(), interrupts, told]
            feed.fit(
                model,
                epochs=course.epochs,
                initial_epoch=0 if earlier is None else earlier.epochs,
                batch_size=course.batch_size,
                callbacks=hooks,
                seed=options.seed,
            )
    except KeyboardInterrupt:
        if not (keep_interrupted and told.epoch):
            raise
        interrupted = True
        if best.best_weights is not None:
            model.set_weights(best.best_weights)
    history = told.history
    seconds = time.perf_counter() - start
    if earlier is not None:
        seconds += earlier.seconds
        history = {name: earlier.history.get(name, []) + history[name] for name in history}
    check_converged(history, course.learning_rate)
    model = feed.finished(model)
    evaluation = evaluate(prepared, model, feed)
    metrics = evaluation.metrics
    metrics["epochs"] = len(history["loss"])
    losses = history.get("val_loss")
    metrics["best_epoch"] = 1 + int(np.argmin(losses)) if losses else metrics["epochs"]
    metrics["seconds"] = round(seconds, 3)
    metrics["parameters"] = int(model.count_params())
    hyperparameters = {
        **asdict(course),
        "schedule": options.schedule,
        "word_vectors": options.word_vectors,
        "class_weight": options.class_weight,
    }
    return Fitted(model, builder, history, metrics, hyperparameters, evaluation.parts, interrupted)


def evaluate(prepared: Prepared, model: keras.Model, feed: Feed) -> Evaluation:
    """Returns how a model answers the rows of each part.

    Args:
        prepared: A split that it does not have gives None.
        model: Trained, as `Feed.finished` leaves it; it is compiled here.
        feed: That it was trained with: the loss weighs labels and outputs as training did.
    """
    task = get_task(prepared.preprocessor.task)
    if not model.compiled or feed.scaling is not None:
        # The optimizer's state stays: training can go on from the file.
        task.compile(model, optimizer=getattr(model, "optimizer", None))
    metrics: dict[str, Any] = {}
    found: dict[str, Any] = {}
    train = (prepared.x_train, prepared.y_train)
    parts = {"train": train, "validation": prepared.validation, "test": prepared.test}
    for name, pair in parts.items():
        metrics |= {f"{name}_{measure}": None for measure in ("loss", task.metric)}
        if pair is None:
            continue
        x, y = pair
        if feed.scaling is not None:
            outputs = feed.answers(model, x)
            errors = np.abs(outputs.astype(np.float64) - y).mean(axis=0)
            metrics[f"{name}_loss"] = feed.scaling.loss(outputs, y)
            metrics[f"{name}_{task.metric}"] = float(errors.mean())
            if name != "train":
                several = {"mean_absolute_errors": errors.tolist()} if len(errors) > 1 else {}
                windows, apart = prepared.windows.get(name), "window" not in prepared.data
                found[name] = several | kept(y, outputs, windows, apart=apart)
            continue
        values = feed.evaluate(model, x, y)
        metrics |= {f"{name}_{key}": value for key, value in values.items()}
    if feed.scaling is None:
        for name, pair in parts.items():
            if pair is not None and name != "train":
                outputs = feed.answers(model, pair[0])
                figures, found[name] = of_labels(prepared.preprocessor, pair, outputs)
                metrics |= {f"{name}_{measure}": value for measure, value in figures.items()}
    return Evaluation(metrics, found)


def of_labels(
    preprocessor: Preprocessor, pair: tuple[np.ndarray, np.ndarray], outputs: np.ndarray
) -> tuple[dict[str, float | None], dict[str, Any]]:
    """Returns the figures in which labels count alike, and what becomes of each label.

    Args:
        preprocessor: Of the rows.
        pair: Encoded inputs and labels.
        outputs: Of a model.
    """
    real = real_answers(*pair, preprocessor.task)
    figures = scores(outputs, pair[1], preprocessor.task, real)
    labels = preprocessor.labels or ()
    if get_task(preprocessor.task).several:
        found = by_label_of_several(outputs, pair[1], labels)
        first, *others = np.unique(outputs > 0.5, axis=0)
        names = ", ".join(label for label, applies in zip(labels, first, strict=True) if applies)
        found["always"] = None if others else names or "no label"
        return {name: figures[name] for name in OF_LABELS}, found
    found = by_label(outputs, pair[1], labels, real)
    answered = np.sum(found["confusion"], axis=0)
    found["always"] = labels[answered.argmax()] if (answered > 0).sum() == 1 else None
    return {name: figures[name] for name in OF_LABELS}, found


def _best_weights(course: Course, earlier: Earlier | None) -> keras.callbacks.EarlyStopping:
    """Returns a callback that keeps the weights of the best epoch, an earlier training's too."""
    import keras

    class BestWeights(keras.callbacks.EarlyStopping):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            super().on_train_begin(logs)
            if earlier is not None:
                self.best = earlier.history["val_loss"][earlier.best_epoch - 1]
                self.best_weights = self.model.get_weights()
                self.best_epoch = earlier.best_epoch - 1

    return BestWeights(
        monitor="val_loss", patience=course.patience or course.epochs, restore_best_weights=True
    )


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
            values = "  ".join(
                f"{key} {_figure(key, value)}" for key, value in (logs or {}).items()
            )
            seconds = time.perf_counter() - self.started
            print(
                f"{chr(13) if live else ''}{name}: epoch {epoch + 1}/{epochs}  {values}  "
                f"{seconds:.1f} s",
                file=sys.stderr,
                flush=True,
            )

    return Progress()


def _figure(name: str, value: float) -> str:
    share = name.removeprefix("val_") in SHARES
    return score(value, percent=True) if share else f"{value:.4f}"
