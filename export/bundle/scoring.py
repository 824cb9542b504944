"""Rows with labels: how well the Keras model and its files do on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.export.keras_model.sequences import real_steps, sequence_mask
from keras_rnn_zoo.export.verify.reference import keras_answers
from keras_rnn_zoo.export.verify.scores import changed_rows, losses, score

if TYPE_CHECKING:
    pass
from keras_rnn_zoo.export.bundle.rows import Rows
from keras_rnn_zoo.tasks import get_task


@dataclass(frozen=True)
class Labelled:
    """Rows with labels, and how well the Keras model does on them."""

    x: np.ndarray
    y: np.ndarray
    task: str
    origin: str
    outputs: np.ndarray
    before: float

    @property
    def measure(self) -> str:
        """What `before` is: `"accuracy"` or `"mean_absolute_error"`."""
        return "mean_absolute_error" if self.task == "regression" else "accuracy"

    @property
    def answers(self) -> int:
        """How many answers are scored: one a row, or one a real time step."""
        if self.task == "sequence_labelling":
            return max(1, int(real_steps(self.x).sum()))
        return len(self.x)

    def compare(self, outputs: np.ndarray) -> dict[str, Any]:
        """Returns how well a file does on the rows, and how many it answers otherwise."""
        changed = None
        if self.task != "regression":
            several = get_task(self.task).several
            changed = changed_rows(self.outputs, outputs, sequence_mask(self.x), several=several)
        return {
            "measure": self.measure,
            "before": self.before,
            "after": score(outputs, self.x, self.y, self.task),
            "rows": len(self.x),
            "changed_answers": changed,
            "losses": [
                asdict(loss) for loss in losses(self.outputs, outputs, self.x, self.y, self.task)
            ],
        }


def label_rows(model: Any, check: Rows, task: str | None) -> Labelled | None:
    """Scores the Keras model on labelled rows; None where there are no labels that fit it."""
    if check.y is None or task is None or isinstance(check.x, Mapping) or callable(check.x):
        return None

    (spec,) = model.inputs
    x = np.asarray(check.x, dtype=spec.dtype)
    (outputs,) = keras_answers(model, {spec.name: x}).values()
    each = task == "regression" or get_task(task).several
    steps = outputs.shape if each else outputs.shape[:-1]
    if np.size(check.y) != math.prod(steps):
        return None
    before = score(outputs, x, check.y, task)
    return Labelled(x, check.y, task, check.origin, outputs, before)
