"""What answers are worth: accuracy, error, and what a file loses of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rnn_zoo.export.keras_model.sequences import (
    real_steps,
    sequence_mask,
)
from keras_rnn_zoo.export.tflite.interpreter import TFLiteModel as TFLiteModel
from keras_rnn_zoo.export.tflite.opened import open_model
from keras_rnn_zoo.export.verify.problems import ValuesError
from keras_rnn_zoo.export.verify.reference import Reference, Spec
from keras_rnn_zoo.export.verify.tolerance import Tolerance
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.tasks import get_task

# Labels whose probabilities are this close are a tie to whoever reads them: two of 256 levels.
TIE = 2 / 256
# Draws of rows, and of how many: enough for a quantile of 5 %.
DRAWS, MOST_ROWS = 200, 20_000


def changed_rows(
    before: np.ndarray, after: np.ndarray, real: np.ndarray | None = None, *, several: bool = False
) -> int:
    """Counts the rows that get another label.

    Args:
        before: Probabilities `[samples, outputs]` or `[samples, timesteps, outputs]`.
        after: The same, from something else.
        real: bool `[samples, timesteps]`: the time steps to look at; None for all.
        several: Any number of labels may apply.
    """
    if several:
        return int(((before > 0.5) != (after > 0.5)).any(axis=-1).sum())
    different = _decide(before) != _decide(after)
    if real is not None and different.shape == real.shape:
        different &= real
    return int(different.reshape(len(different), -1).any(axis=1).sum())


def _decide(outputs: np.ndarray) -> np.ndarray:
    """Returns the label of each probability vector; a single one is a probability of label 1."""
    if outputs.shape[-1] == 1:
        return (outputs[..., 0] > 0.5).astype(np.int64)
    return np.asarray(outputs.argmax(axis=-1))


def _margin(outputs: np.ndarray) -> np.ndarray:
    """How much likelier the most likely label is than the next one."""
    if outputs.shape[-1] == 1:
        return np.asarray(np.abs(2 * outputs[..., 0] - 1))
    first, second = np.moveaxis(np.sort(outputs, axis=-1)[..., :-3:-1], -1, 0)
    return np.asarray(first - second)


def _changed(
    spec: Spec, reference: Reference, answers: list[np.ndarray]
) -> tuple[int | None, int | None]:
    """Returns how many decisions on real samples are others, and how many there are."""
    given = slice(reference.given)
    expected = reference.answers[spec.name][given]
    if expected.dtype.kind not in "f":  # labels already
        different = np.max([values[given] != expected for values in answers], axis=0)
    elif spec.activation == "softmax" or (spec.activation == "sigmoid" and spec.shape[-1] == 1):
        before = _decide(expected)
        different = np.max([_decide(values[given]) != before for values in answers], axis=0)
        different = different & (_margin(expected) > TIE)
    elif spec.activation == "sigmoid":  # several labels, each for itself
        before = expected > 0.5
        different = np.max([(values[given] > 0.5) != before for values in answers], axis=0)
        different = different & (np.abs(2 * expected - 1) > TIE)
    else:
        return None, None
    real = sequence_mask(*(values[given] for values in reference.x.values()))
    if real is not None and different.shape[:2] == real.shape:
        return int(different[real].sum()), int(different[real].size)
    return int(different.sum()), int(different.size)


def score(outputs: np.ndarray, x: np.ndarray, y: np.ndarray, task: str) -> float:
    """Returns the accuracy of outputs, or their mean absolute error for regression.

    Args:
        outputs: What a model or file answered, `[samples, ...]`.
        x: The encoded inputs; time steps of zeros do not count in sequence labelling.
        y: The encoded labels, or the targets.
        task: Name of a task: see `keras_rnn_zoo.tasks.TASKS`.
    """
    if task == "regression":
        return float(np.abs(outputs.astype(np.float64) - np.reshape(y, outputs.shape)).mean())
    if get_task(task).several:
        return float(((outputs > 0.5) == np.reshape(y, outputs.shape)).mean())
    right = _decide(outputs) == np.reshape(y, outputs.shape[:-1])
    if task == "sequence_labelling":
        right = right[real_steps(x)]
    return float(right.mean())


def evaluate_tflite(path: PathLike, x: np.ndarray, y: np.ndarray, task: str) -> float:
    """Returns the accuracy of a .tflite file, or its mean absolute error for regression.

    Args:
        path: A file with one input and one output.
        x: Encoded inputs `[samples, ...]`.
        y: Encoded labels `[samples]`, `[samples, timesteps]`, or targets `[samples, outputs]`.
        task: Name of a task: see `keras_rnn_zoo.tasks.TASKS`.

    Raises:
        RunError: The file is missing or damaged, or does not take such inputs.
    """
    return score(open_model(path).predict(x), x, y, task)


@dataclass(frozen=True)
class Loss:
    """What a file loses on rows with labels.

    Attributes:
        measure: `"accuracy"`, `"f1"` (averaged over the labels) or `"mean_absolute_error"`.
        before: Of the Keras model.
        after: Of the file.
        lost: Points of accuracy or F1, or the share by which an error grew; a gain is negative.
        surely: What is lost at least, with 95 % confidence: of few rows, what was lost may be
            chance. A bootstrap over the rows (Efron, "Bootstrap methods", 1979).
    """

    measure: str
    before: float
    after: float
    lost: float
    surely: float


def losses(
    before: np.ndarray, after: np.ndarray, x: np.ndarray, y: np.ndarray, task: str
) -> list[Loss]:
    """Compares how well a model and its file do on rows with labels.

    Args:
        before: What the Keras model answered.
        after: What the file answered.
        x: See `score`.
        y: See `score`.
        task: See `score`.
    """
    generator = np.random.default_rng(0)
    if task == "regression":
        wanted = np.reshape(y, before.shape)
        errors = [
            np.abs(outputs.astype(np.float64) - wanted).reshape(len(wanted), -1).mean(axis=1)
            for outputs in (before, after)
        ]
        rows, weights = _draws(generator, len(wanted))
        first, second = (weights @ error[rows] for error in errors)
        means = [float(error.mean()) for error in errors]
        growth = means[1] / means[0] - 1 if means[0] else float(means[1] > 0)
        surely = np.quantile(second / np.maximum(first, 1e-30) - 1, 0.05)
        return [Loss("mean_absolute_error", means[0], means[1], growth, float(surely))]
    if get_task(task).several:
        return _losses_of_several(generator, before, after, np.reshape(y, before.shape) > 0.5)
    labels = np.reshape(y, before.shape[:-1]).astype(np.int64)
    decided = [_decide(outputs) for outputs in (before, after)]
    if task == "sequence_labelling":
        real = real_steps(x)
        labels, decided = labels[real], [each[real] for each in decided]
    else:
        labels, decided = labels.ravel(), [each.ravel() for each in decided]
    found = []
    rows, weights = _draws(generator, len(labels))
    for measure, of in (("accuracy", _accuracies), ("f1", _f1)):
        once = np.ones((1, len(labels)))
        scores = [float(of(each, labels, once)[0]) for each in decided]
        drawn = [of(each[rows], labels[rows], weights) for each in decided]
        found.append(
            Loss(
                measure,
                scores[0],
                scores[1],
                100 * (scores[0] - scores[1]),
                float(100 * np.quantile(drawn[0] - drawn[1], 0.05)),
            )
        )
    return found


def _losses_of_several(
    generator: np.random.Generator, before: np.ndarray, after: np.ndarray, applies: np.ndarray
) -> list[Loss]:
    """Where each label applies or not: the share of right ones, and F1 averaged over labels."""
    decided = [outputs > 0.5 for outputs in (before, after)]
    rows, weights = _draws(generator, len(applies))
    once = np.ones((1, len(applies)))
    found = []
    for measure, of in (("accuracy", _right_of_several), ("f1", _f1_of_several)):
        scores = [float(of(each, applies, once)[0]) for each in decided]
        drawn = [of(each[rows], applies[rows], weights) for each in decided]
        surely = float(100 * np.quantile(drawn[0] - drawn[1], 0.05))
        lost = 100 * (scores[0] - scores[1])
        found.append(Loss(measure, scores[0], scores[1], lost, surely))
    return found


def _right_of_several(decided: np.ndarray, applies: np.ndarray, weights: np.ndarray) -> np.ndarray:
    right = (decided == applies).mean(axis=1)
    return np.asarray(weights @ right / np.maximum(weights.sum(axis=1), 1))


def _f1_of_several(decided: np.ndarray, applies: np.ndarray, weights: np.ndarray) -> np.ndarray:
    known = applies.any(axis=0)
    hits = weights @ (decided & applies)[:, known]
    every = weights @ (decided.astype(np.float64) + applies)[:, known]
    return np.asarray(
        (2 * hits / np.maximum(every, 1)).mean(axis=1) if known.any() else hits.sum(1)
    )


def check_losses(name: str, found: Sequence[Mapping[str, Any]], tolerance: Tolerance) -> None:
    """Refuses a file that surely loses more on rows with labels than its mode may.

    Raises:
        ValuesError: It does.
    """
    for loss in found:
        error = loss["measure"] == "mean_absolute_error"
        allowed = tolerance.increase if error else tolerance.lost
        if loss["surely"] > allowed:
            if error:
                text = (
                    f"its mean absolute error is {loss['after']:.4g}, that of the Keras model "
                    f"{loss['before']:.4g}: {loss['lost']:.0%} more (allowed {allowed:.0%})"
                )
            else:
                measure = "F1" if loss["measure"] == "f1" else "accuracy"
                text = (
                    f"it loses {loss['lost']:.2f} points of {measure} ({loss['before']:.2%} "
                    f"before, {loss['after']:.2%} after; allowed {allowed:g})"
                )
            raise ValuesError(
                f"{name} answers too roughly: {text}. Another quantization loses less: 'none' does "
                "not round, 'float16' least."
            )


def _draws(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows to draw from, and how often each is drawn, float64 `[draws, rows]`."""
    rows = np.arange(count)
    if count > MOST_ROWS:
        rows = generator.choice(count, MOST_ROWS, replace=False)
    # Poisson counts stand for the multinomial ones, and need no sorting.
    return rows, generator.poisson(1.0, (DRAWS, len(rows))).astype(np.float64)


def _accuracies(decided: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(weights @ (decided == labels) / np.maximum(weights.sum(axis=1), 1))


def _f1(decided: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    scores = []
    for label in np.unique(labels):
        hit = weights @ ((decided == label) & (labels == label))
        every = weights @ ((decided == label).astype(np.float64) + (labels == label))
        scores.append(2 * hit / np.maximum(every, 1))
    return np.asarray(np.mean(scores, axis=0))
