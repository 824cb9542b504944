"""What labels say of the task."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING

import numpy as np

from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.tasks import get_task

if TYPE_CHECKING:
    from keras_rnn_zoo.data import Dataset


def infer_task(dataset: Dataset, task: str | None = None) -> str:
    """Returns the task that a data set's labels call for, or `task` if that is possible.

    Strings and whole numbers are labels: two make a binary task, more a multi-class one, a row of
    them for each input sequence labelling. Fractional numbers are regression targets.

    Raises:
        ConfigError: No such task.
        DataError: The labels are of no use for the task, or for any.
    """
    task = task or dataset.task
    if task is not None:
        task = get_task(task).name
    y = dataset.train.y
    first = y[0]
    per_step = not isinstance(first, str) and isinstance(first, Sized) and len(first) != 1
    if task is None:
        if np.asarray(first).dtype.kind == "f":
            return "regression"
        if per_step:
            return "sequence_labelling"
        return "binary" if len(set(np.asarray(y).ravel().tolist())) <= 2 else "multiclass"
    if per_step and task in ("binary", "multiclass"):
        raise DataError(
            f"The labels have {len(first)} values per row, and the task {task!r} takes one. "
            "Give one label per row (a number or a name, not one-hot), or leave out the task."
        )
    if task == "sequence_labelling" and (isinstance(first, str) or not isinstance(first, Sized)):
        raise DataError(
            "The task 'sequence_labelling' takes a label for every time step (y of shape "
            "[rows, timesteps]), and the data have one per row. Leave out the task, or give such y."
        )
    return task
