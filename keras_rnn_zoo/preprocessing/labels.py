"""Labels and targets, checked; and what they say of the task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import DataError, listed
from keras_rnn_zoo.preprocessing.inputs import as_float32, feature_span, is_words, short
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
    if task is not None and get_task(task).several:
        label_sets(y)
        return task
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


def to_split_by(y: Any, task: str) -> Any:
    """Returns what rows are told apart by when some are held out: labels, or targets as numbers.

    Raises:
        DataError: A target of a regression is no number.
    """
    if task == "regression":
        return as_targets(y)
    if not get_task(task).several:
        return y
    # The rarest label of a row is the one that must not go to one side alone.
    sets = label_sets(y)
    counts = Counter(name for names in sets for name in names)
    return [min(names, key=lambda name: (counts[name], name)) if names else "" for names in sets]


SEPARATOR = ";"
"""Between the labels of a row, where a row may have several and they are one text."""


def label_sets(y: Any) -> list[list[str]]:
    """Returns the labels of each row, where any number may apply.

    Args:
        y: Texts such as `"dog;cat"` (`";"` is none), lists of names, or an array `[rows, labels]`
            of 0 and 1, whose labels are called `0`, `1`, ...

    Raises:
        DataError: A row is none of these; the message names it.
    """
    sets = []
    for row, value in enumerate(y):
        if isinstance(value, str):
            names = [name.strip() for name in value.split(SEPARATOR)]
            sets.append([name for name in names if name])
            continue
        values = value.tolist() if isinstance(value, np.ndarray) else value
        if isinstance(values, list | tuple | set | frozenset):
            if all(isinstance(name, str) for name in values):
                sets.append(sorted(values) if isinstance(values, set | frozenset) else list(values))
                continue
            if len(values) == len(y[0]) and all(one in (0, 1) for one in values):
                sets.append([str(i) for i, one in enumerate(values) if one])
                continue
        raise DataError(
            f"Row {row + 1} has the labels {short(value)}. For the task 'multilabel' give names "
            f"with {SEPARATOR!r} between them, a list of names, or 0 and 1 for each label."
        )
    return sets


def some(names: Sequence[str]) -> str:
    """Returns names for a message: the first 20, and how many more there are."""
    return listed(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def label_name(value: Any, row: int) -> str:
    """Returns a label as a text: whole numbers as such.

    Raises:
        DataError: It is neither a name nor a whole number.
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    raise DataError(
        f"Row {row + 1} has the label {short(value)}, which is neither a name nor a whole number. "
        "Give labels, or choose the task 'regression'."
    )


def label_names(y: Any) -> list[str]:
    """Returns the label of each row; see `label_name`."""
    return [label_name(value, row) for row, value in enumerate(y)]


def step_labels(
    y: Any, x: Any, padding: str, padding_value: float | None = None
) -> list[list[str]]:
    """Returns, for each row, the labels of the steps that are not padding."""
    if x is None:
        raise DataError("Labels per time step need their inputs, which say what is padding.")
    result = []
    for row, (labels, value) in enumerate(zip(y, x, strict=True)):
        steps = np.ones(len(value), bool) if is_words(value) else np.asarray(value)
        if len(labels) != len(steps):
            raise DataError(
                f"Row {row + 1} has {len(labels)} labels and {len(steps)} time steps. Give a label "
                "per time step, or one label per row (a number, not one-hot)."
            )
        if steps.ndim == 1 and steps.dtype.kind in "iub":
            real = np.flatnonzero(steps)
            start, stop = (real[0], real[-1] + 1) if len(real) else (0, 0)
        else:
            numbers = steps.astype(np.float32).reshape(len(steps), -1)
            start, stop = feature_span(numbers, padding, padding_value)
        result.append([label_name(label, row) for label in labels[start:stop]])
    return result


def fit_labels(
    y: Any, x: Any, task: str, padding: str, padding_value: float | None = None
) -> tuple[str, ...]:
    """Returns the labels that there are, in the order of a model's outputs.

    Raises:
        DataError: They cannot be learnt from.
    """
    if get_task(task).several:
        found = sorted({name for names in label_sets(y) for name in names})
        if isinstance(y, np.ndarray) and y.ndim == 2 and y.dtype.kind in "biuf":
            found = [str(i) for i in range(y.shape[1])]
        if len(found) < 2:
            raise DataError(
                f"The rows have the labels {listed(found) or 'none'}, and the task 'multilabel' "
                f"takes at least two. Write {SEPARATOR!r} between the labels of a row, or choose "
                "another task."
            )
        return tuple(found)
    if task == "sequence_labelling":
        names = {name for labels in step_labels(y, x, padding, padding_value) for name in labels}
    else:
        names = set(label_names(y))
    if any(not name.strip() or "\n" in name for name in names):
        raise DataError("A label is empty or holds a line break. Give every label a name.")
    if len(names) < 2:
        raise DataError(
            f"Every row has the same label ({listed(names)}), so there is nothing to learn. Give "
            "data with at least two labels, and check that the label column is the right one."
        )
    if task == "binary" and len(names) > 2:
        raise DataError(
            f"The task 'binary' takes two labels and the data have {len(names)}: "
            f"{some(sorted(names))}. Leave out the task, or choose 'multiclass'."
        )
    if task != "sequence_labelling" and len(names) > max(20, len(y) // 2):
        raise DataError(
            f"The {len(y)} rows have {len(names)} different labels. Check that the label column is "
            "the right one; for numbers to predict, choose the task 'regression'."
        )
    if all(name.lstrip("-").isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def as_targets(y: Any) -> np.ndarray:
    """Returns regression targets as float32 `[n, outputs]`, checked."""
    try:
        targets = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError):
        for row, value in enumerate(y):
            try:
                np.asarray(value, dtype=np.float64)
            except (TypeError, ValueError):
                raise DataError(
                    f"Row {row + 1} has the target {short(value)}, which is no number. Write "
                    "numbers with a decimal point, or choose another task for labels."
                ) from None
        raise DataError(
            "The targets have different numbers of values per row. Give every row as many."
        ) from None
    targets = as_float32(targets.reshape(-1, 1) if targets.ndim == 1 else targets)
    if targets.ndim != 2:
        raise DataError(
            f"The targets have shape {list(targets.shape)}. Give [rows] or [rows, outputs]."
        )
    bad = np.flatnonzero(~np.isfinite(targets).all(axis=1))
    if len(bad):
        raise DataError(
            f"Row {bad[0] + 1} has a target that is NaN, infinite or beyond float32. "
            "Replace or drop such rows."
        )
    return targets
