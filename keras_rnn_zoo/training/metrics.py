"""How good answers are: figures of a task, per label and over all of them.

Accuracy alone praises a model that always gives the most frequent answer. Beside it stand figures
in which every label counts alike: F1 and recall averaged over the labels (macro F1, balanced
accuracy), and the area under the ROC curve, which needs no threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.tasks import METRICS, get_task

if TYPE_CHECKING:
    import keras

DIRECTIONS: Mapping[str, str] = {"loss": "min", **METRICS}
"""Measure of validation rows -> whether more of it (`"max"`) or less is better."""

OF_LABELS = ("f1", "balanced_accuracy", "auc")
"""What Keras does not compute of all rows at once: see `scores` and `validation_scores`."""

SHARES = ("accuracy", "balanced_accuracy", "f1")
"""Measures that people read in percent."""


def metrics_of(task: str) -> tuple[str, ...]:
    """Returns the figures that a model of a task can be judged by; the first is the usual one."""
    usual = get_task(task).metric
    return (usual,) if task == "regression" else (usual, *OF_LABELS)


def better(measure: str, value: float, other: float) -> bool:
    """Whether a value of a measure is better than another one."""
    return value > other if DIRECTIONS[measure] == "max" else value < other


def real_answers(x: np.ndarray, y: np.ndarray, task: str) -> np.ndarray | None:
    """Returns which answers count: those of time steps that are no padding; None for all.

    Args:
        x: Encoded inputs, int `[n, timesteps]` or float `[n, timesteps, features]`.
        y: Encoded labels.
        task: Name of the task.
    """
    if not get_task(task).per_timestep or y.ndim == 1:
        return None
    return np.asarray(x != 0 if x.ndim == 2 else (x != 0).any(axis=2))


def as_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Returns the outputs of a classifier as a probability for each label, float64 `[..., labels]`.

    Args:
        outputs: `[..., labels]`, or `[..., 1]`, the probability of the second of two labels.
    """
    outputs = np.asarray(outputs, dtype=np.float64)
    return np.concatenate([1.0 - outputs, outputs], axis=-1) if outputs.shape[-1] == 1 else outputs


def confusion(decided: np.ndarray, y: np.ndarray, labels: int) -> np.ndarray:
    """Returns how often each label (rows) was answered as each label (columns), int64.

    Args:
        decided: Numbers of the labels that were answered, `[n]`.
        y: Numbers of the right labels, `[n]`.
        labels: How many there are.
    """
    cells = np.bincount(y.astype(np.int64) * labels + decided, minlength=labels * labels)
    return np.asarray(cells.reshape(labels, labels))


def _precision_recall_f1(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each label; 0 where nothing was answered so, or nothing was to be."""
    hits = np.diag(matrix).astype(np.float64)
    answered, wanted = matrix.sum(axis=0), matrix.sum(axis=1)
    precision, recall = hits / np.maximum(answered, 1), hits / np.maximum(wanted, 1)
    return precision, recall, 2 * hits / np.maximum(answered + wanted, 1)


def _areas(probabilities: np.ndarray, y: np.ndarray) -> float | None:
    """Returns the area under the ROC curve, each label against the rest, averaged over them.

    Of two labels that is the usual one. None where no label has rows of both kinds.
    """
    from sklearn.metrics import roc_auc_score

    if not np.isfinite(probabilities).all():
        return None
    present = np.unique(y)
    if len(present) < 2:
        return None
    areas = [roc_auc_score(y == label, probabilities[:, label]) for label in present]
    return float(np.mean(areas))


def scores(
    outputs: np.ndarray, y: np.ndarray, task: str, real: np.ndarray | None = None
) -> dict[str, float | None]:
    """Returns the figures of answers to a set of rows.

    Args:
        outputs: Of a model, `[n, ...]`, as the task has them.
        y: Encoded labels `[n]` or `[n, timesteps]`, or targets `[n, outputs]`.
        task: Name of the task.
        real: See `real_answers`.

    Returns:
        For a regression `mean_absolute_error`, in the units of the targets; otherwise `accuracy`,
        `f1` and `balanced_accuracy`, both averaged over the labels that these rows have, and
        `auc`, None where it is not defined. Where any number of labels may apply, each is a
        question of its own: `accuracy` is the share of right answers to all of them.
    """
    if task == "regression":
        wrong = np.asarray(outputs, np.float64) - np.asarray(y, np.float64).reshape(outputs.shape)
        return {"mean_absolute_error": float(np.abs(wrong).mean())}
    if get_task(task).several:
        return _scores_of_several(np.asarray(outputs, np.float64), np.asarray(y) > 0)
    probabilities, right = _flat(outputs, y, real)
    matrix = confusion(probabilities.argmax(axis=1), right, probabilities.shape[1])
    wanted = matrix.sum(axis=1) > 0
    _, recall, f1 = _precision_recall_f1(matrix)
    return {
        "accuracy": float(np.diag(matrix).sum() / max(1, matrix.sum())),
        "f1": float(f1[wanted].mean()) if wanted.any() else None,
        "balanced_accuracy": float(recall[wanted].mean()) if wanted.any() else None,
        "auc": _areas(probabilities, right),
    }


def _scores_of_several(outputs: np.ndarray, applies: np.ndarray) -> dict[str, float | None]:
    decided = outputs > 0.5
    hits, answered, wanted = (
        np.asarray(each.sum(axis=0), np.float64) for each in (decided & applies, decided, applies)
    )
    rest = len(applies) - wanted
    known, both = wanted > 0, (wanted > 0) & (rest > 0)
    recall = hits / np.maximum(wanted, 1)
    specificity = (rest - (answered - hits)) / np.maximum(rest, 1)
    f1 = 2 * hits / np.maximum(answered + wanted, 1)
    areas = [
        _areas(as_probabilities(outputs[:, i : i + 1]), applies[:, i].astype(np.int64))
        for i in np.flatnonzero(both)
    ]
    defined = [area for area in areas if area is not None]
    return {
        "accuracy": float((decided == applies).mean()),
        "f1": float(f1[known].mean()) if known.any() else None,
        "balanced_accuracy": float((recall + specificity)[both].mean() / 2) if both.any() else None,
        "auc": float(np.mean(defined)) if defined else None,
    }


def _flat(
    outputs: np.ndarray, y: np.ndarray, real: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The answers that count, one a row: probabilities `[n, labels]` and labels `[n]`."""
    probabilities = as_probabilities(outputs)
    right = np.asarray(y).reshape(probabilities.shape[:-1])
    if real is not None:
        return probabilities[real], right[real]
    return probabilities.reshape(-1, probabilities.shape[-1]), right.reshape(-1)


def by_label(
    outputs: np.ndarray,
    y: np.ndarray,
    labels: tuple[str, ...],
    real: np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns what becomes of each label, JSON-able.

    Args:
        outputs: See `scores`.
        y: See `scores`.
        labels: In the order of the outputs.
        real: See `real_answers`.

    Returns:
        `labels`: name -> `rows` (answers that should be it), `precision`, `recall`, `f1`; and
        `confusion`: a list for each right label of how often each label was the answer.
    """
    probabilities, right = _flat(outputs, y, real)
    matrix = confusion(probabilities.argmax(axis=1), right, len(labels))
    rows = matrix.sum(axis=1)
    columns = (rows, *_precision_recall_f1(matrix))
    names = ("rows", "precision", "recall", "f1")
    return {
        "labels": {
            label: {name: column[i].item() for name, column in zip(names, columns, strict=True)}
            for i, label in enumerate(labels)
        },
        "confusion": matrix.tolist(),
    }


def by_label_of_several(
    outputs: np.ndarray, y: np.ndarray, labels: tuple[str, ...]
) -> dict[str, Any]:
    """Returns what becomes of each label where any number may apply; see `by_label`.

    Args:
        outputs: A probability for each label, `[n, labels]`.
        y: 1 where a label applies, `[n, labels]`.
        labels: In the order of the outputs.

    Returns:
        `labels` alone; `rows` are those to which a label applies, `answered` those in which it was
        the answer.
    """
    found = {}
    for i, label in enumerate(labels):
        matrix = confusion((outputs[:, i] > 0.5).astype(np.int64), y[:, i], 2)
        precision, recall, f1 = (float(each[1]) for each in _precision_recall_f1(matrix))
        rows, answered = int(matrix[1].sum()), int(matrix[:, 1].sum())
        found[label] = {
            "rows": rows,
            "answered": answered,
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }
    return {"labels": found}


def validation_scores(x: np.ndarray, y: np.ndarray, task: str) -> keras.callbacks.Callback:
    """Returns a callback for `keras.Model.fit` that adds `val_f1` and the others of `OF_LABELS`.

    It computes them at the end of each epoch on all validation rows at once: an average over
    batches, which Keras' own metrics of that name are for some, is another number. Put it before
    whatever looks at them.

    Args:
        x: Encoded validation inputs.
        y: Their encoded labels.
        task: Name of the task; not a regression.
    """
    import keras

    real = real_answers(x, y, task)

    class ValidationScores(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            if logs is None:
                return
            found = scores(self.model.predict(x, batch_size=256, verbose=0), y, task, real)
            for name in OF_LABELS:
                # Without rows of two labels there is no such figure, and no epoch is the best.
                value = found[name]
                logs[f"val_{name}"] = 0.0 if value is None else value

    return ValidationScores()
