"""What data mean where nobody says it: which numbers are classes, values, token ids, padding.

What is recognized is noted, for the user to see, and what they say themselves overrules it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_rnn_zoo.data.dataset import Dataset, Split
from keras_rnn_zoo.errors import DataError, listed
from keras_rnn_zoo.preprocessing.labels import infer_task
from keras_rnn_zoo.preprocessing.reading import ReadOptions

# Numbers of more kinds than this are values to predict, and no classes.
MOST_CLASSES = 20
# Where so many of the sequences end in steps of zeros, the user is asked whether these are padding.
_PADDED = 0.05


def recognised(dataset: Dataset, options: ReadOptions) -> Dataset:
    """Returns a data set with its meaning settled: its kind, its labels, its task.

    Raises:
        DataError: The labels are of no use, or what the user says contradicts the data.
    """
    notes = list(dataset.notes)
    dataset = _kind(dataset, options.kind, notes)
    form = _form(dataset, options.task, notes)
    train = form(dataset.train)
    test = None if dataset.test is None else form(dataset.test)
    dataset = replace(dataset, train=train, test=test, padding_value=options.padding_value)
    _question_zeros(dataset, notes)
    task = form.task or options.task
    return replace(dataset, task=infer_task(dataset, task), notes=tuple(notes))


# ------------------------------------------------------------------------------- kinds


def _kind(dataset: Dataset, said: str | None, notes: list[str]) -> Dataset:
    """Settles whether whole numbers are token ids or readings."""
    if dataset.kind == "tokens" and said in (None, "features") and dataset.vocabulary is None:
        parts = [part for part in (dataset.train, dataset.test) if part is not None]
        negative = any(int(np.min(row, initial=0)) < 0 for part in parts for row in part.x)
        if said == "features" or negative:
            if said is None:
                notes.append(
                    "Whole numbers below 0 are no token ids: they are taken for readings, one each "
                    "time step (--kind features says so)."
                )
            return _mapped(dataset, "features", lambda row: np.asarray(row)[:, np.newaxis])
        if said is None and _look_like_readings(dataset.train.x):
            notes.append(
                "Whole numbers are taken for token ids (words by number), in which 0 is padding. "
                "If they are readings, say --kind features."
            )
        return dataset
    if said is not None and said != dataset.kind:
        raise DataError(
            f"{dataset.name} holds {dataset.kind}, and kind={said!r} (--kind) asks for {said}. "
            "Whole numbers of shape [rows, timesteps] can be 'tokens' or 'features'; a column of a "
            "table is 'text', or 'features' with --value-columns."
        )
    return dataset


def _mapped(dataset: Dataset, kind: str, change: Any) -> Dataset:
    def changed(split: Split | None) -> Split | None:
        if split is None:
            return None
        x = split.x[:, :, np.newaxis] if isinstance(split.x, np.ndarray) else None
        return replace(split, x=[change(row) for row in split.x] if x is None else x)

    train = changed(dataset.train)
    assert train is not None
    return replace(dataset, kind=kind, train=train, test=changed(dataset.test))


def _look_like_readings(x: Any) -> bool:
    """Whether zeros lie between other numbers in many rows: padding lies at an end."""
    some = x[:: max(1, len(x) // 500)]
    inside = 0
    for row in some:
        real = np.flatnonzero(row)
        inside += len(real) > 0 and len(real) < real[-1] - real[0] + 1
    return inside > 0.05 * len(some)


def _question_zeros(dataset: Dataset, notes: list[str]) -> None:
    windows = dataset.train.spans is not None  # which are never padded
    if dataset.kind != "features" or dataset.padding_value is not None or windows:
        return
    x = dataset.train.x
    some = x[:: max(1, len(x) // 500)]
    ends = []
    for row in some:
        steps = np.asarray(row)
        if steps.dtype.kind not in "fiub" or not len(steps) or not np.any(steps):
            continue
        real = np.flatnonzero(steps.reshape(len(steps), -1).any(axis=1))
        ends.append(len(steps) - 1 - real[-1])
    # One zero at the end may be a reading; ends of different lengths look like padding.
    padded = [end for end in ends if end > 1]
    if len(padded) > _PADDED * max(1, len(ends)) and len(set(padded)) > 1:
        notes.append(
            f"{100 * len(padded) / len(ends):.0f} % of the sequences end in time steps of zeros. "
            "They are taken for values; if they are padding, say --padding-value 0."
        )


# ------------------------------------------------------------------------------- labels


class _Form:
    """How labels are written, found in the training rows and read alike in the test rows.

    Attributes:
        task: What it makes of the task; None leaves that to the labels.
    """

    def __init__(self, change: Any = None, task: str | None = None):
        self._change = change
        self.task = task

    def __call__(self, split: Split) -> Split:
        return split if self._change is None else self._change(split)


def _of_labels(change: Any, task: str | None = None) -> _Form:
    return _Form(lambda split: replace(split, y=change(split.y)), task)


def _form(dataset: Dataset, task: str | None, notes: list[str]) -> _Form:
    task = task or dataset.task
    y = dataset.train.y
    _refuse_missing(y)
    if isinstance(y, np.ndarray) and y.dtype.kind in "fiub":
        return _of_numbers(dataset, y, task, notes)
    first = y[0]
    if dataset.kind == "text" and task in (None, "sequence_labelling"):
        tags = _tags(dataset, task, notes)
        if tags is not None:
            return tags
    if isinstance(first, str):
        return _of_names(y, task, notes)
    return _Form()


def _refuse_missing(y: Any) -> None:
    for row, label in enumerate(y):
        if isinstance(label, str) and label.strip().lower() in ("", "nan"):
            raise DataError(
                f"Row {row + 1} has no label ({label!r}). Give every row a label, or drop the row."
            )


def _of_names(y: Sequence[str], task: str | None, notes: list[str]) -> _Form:
    """Labels that are written as texts; numbers among them are one label however written."""
    numbers = [_number(label) for label in y]
    if any(number is None for number in numbers):
        return _Form()  # a target that is no number is for the encoding to refuse, by its row
    if task is None:
        kinds = {number for number in numbers if number is not None}
        fractions = any(number != round(number) for number in kinds if number is not None)
        if fractions and len(kinds) > MOST_CLASSES:
            notes.append(
                f"The labels are {len(kinds):,} different numbers, so they are predicted as "
                "numbers (--task regression says so, --task multiclass that they are classes)."
            )
            task = "regression"
    if task == "regression":
        return _of_labels(lambda some: np.asarray([_number(label) for label in some]), task)
    if task in (None, "binary", "multiclass"):
        return _of_labels(lambda some: [_canonical(label) for label in some], None)
    return _Form()


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        pass
    try:
        return float(label.replace(",", "."))
    except ValueError:
        return None


def _canonical(label: str) -> str:
    number = _number(label)
    if number is None or not np.isfinite(number):
        return label
    return str(int(number)) if number == round(number) and abs(number) < 1e15 else label


def _of_numbers(dataset: Dataset, y: np.ndarray, task: str | None, notes: list[str]) -> _Form:
    """Labels in an array of numbers."""
    if task == "regression":
        return _Form()
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    whole = y.dtype.kind != "f" or bool((np.isfinite(y) & (y == np.round(y))).all())
    if not whole:
        missing = np.flatnonzero(np.isnan(y.reshape(len(y), -1)).any(axis=1))
        if len(missing) and task is not None:
            raise DataError(
                f"Row {missing[0] + 1} has no label (NaN). Give every row a label, or drop the row."
            )
        return _Form()
    if y.ndim == 1:
        return _of_whole_numbers(y, task, notes)
    per_step = task == "sequence_labelling" or (
        task is None and y.dtype.kind != "f" and _steps(dataset.train.x) == y.shape[1]
    )
    if per_step:
        return _of_labels(lambda some: some.astype(np.int64))
    if np.isin(y, (0, 1)).all():
        if (y.sum(axis=1) == 1).all():
            notes.append(
                f"The labels are one-hot: {y.shape[1]} classes, called 0 to {y.shape[1] - 1}."
            )
            return _of_labels(_positions)
        return _multilabel(y, task, notes)
    alike = task is None and _steps(dataset.train.x) == y.shape[1]
    if alike and len(np.unique(y)) <= MOST_CLASSES and y.min() >= 0:
        notes.append(
            "The labels are a class for each time step (--task regression takes them as numbers)."
        )
        return _of_labels(lambda some: some.astype(np.int64))
    return _Form()


def _multilabel(y: np.ndarray, task: str | None, notes: list[str]) -> _Form:
    from keras_rnn_zoo.tasks import TASKS

    if "multilabel" not in TASKS or task not in (None, "multilabel"):
        return _Form()
    notes.append(
        f"The labels are multi-hot: each row has any number of {y.shape[1]} labels, called 0 to "
        f"{y.shape[1] - 1}."
    )
    return _of_labels(lambda some: some.astype(np.int64), "multilabel")


def _positions(y: np.ndarray) -> np.ndarray:
    if not (np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()):
        bad = int(np.argmax(~(np.isin(y, (0, 1)).all(axis=1) & (y.sum(axis=1) == 1))))
        raise DataError(
            f"Row {bad + 1} has labels that are not one-hot, and those of the training rows are: "
            f"{y[bad].tolist()}. Write them alike."
        )
    return np.asarray(y.argmax(axis=1))


def _of_whole_numbers(y: np.ndarray, task: str | None, notes: list[str]) -> _Form:
    if y.dtype.kind != "f":
        return _Form()
    classes = np.unique(y)
    if task is None and (len(classes) > MOST_CLASSES or len(classes) > len(y) // 2):
        return _Form()  # values, which happen to be whole
    if task is None:
        notes.append(
            f"Labels such as {classes[0]:g} and {classes[-1]:g} are taken for {len(classes)} "
            "classes (--task regression predicts them as numbers)."
        )
    return _of_labels(lambda some: _whole(some.reshape(len(some))))


def _whole(y: np.ndarray) -> np.ndarray:
    bad = np.flatnonzero(y != np.round(y))
    if len(bad):
        raise DataError(
            f"Row {bad[0] + 1} has the label {y[bad[0]]:g}, and the classes of the training rows "
            "are whole numbers. Write them alike."
        )
    return y.astype(np.int64)


def _steps(x: Any) -> int | None:
    """Returns how many time steps each input has; None where that differs."""
    if isinstance(x, np.ndarray):
        return int(x.shape[1])
    sizes = {len(row) for row in x} if not isinstance(x[0], str) else set()
    return sizes.pop() if len(sizes) == 1 else None


# ------------------------------------------------------------------------------- tags


def _tags(dataset: Dataset, task: str | None, notes: list[str]) -> _Form | None:
    """Returns the form of texts with a tag for each word; None where they are none."""
    y, x = dataset.train.y, dataset.train.x
    listed_tags = not isinstance(y[0], str)
    if task is None and not listed_tags and not _look_like_tags(x, y):
        return None
    if task is None and listed_tags and not _fit_words(x, y):
        return None
    if task is None and not listed_tags:
        notes.append(
            "Each text has as many labels as words, so that each word has one (--task "
            "sequence_labelling says so, --task multiclass that a label is the whole cell)."
        )

    # An array has as many columns as the longest row has words; whatever fills up the others.
    array = not isinstance(y, list) or (
        not isinstance(y[0], str)
        and len({len(row) for row in y}) == 1
        and any(len(_words(text)) == len(y[0]) for text in x)
    )

    def change(split: Split) -> Split:
        texts, tags = [], []
        for row, (text, labels) in enumerate(zip(split.x, split.y, strict=True)):
            words = _words(text)
            found = labels.split() if isinstance(labels, str) else [str(one) for one in labels]
            if array:
                found = found[: len(words)]
            if len(words) != len(found):
                raise DataError(
                    f"Row {row + 1} has {len(words)} words and {len(found)} labels: "
                    f"{listed(words[:6])}. Give a label for each word, words and labels separated "
                    "by spaces."
                )
            if not words:
                raise DataError(f"Row {row + 1} has no word. Give at least one, or drop the row.")
            texts.append(words)
            tags.append(found)
        return replace(split, x=texts, y=tags)

    return _Form(change, "sequence_labelling")


def _words(text: Any) -> list[str]:
    return text.split() if isinstance(text, str) else list(text)


def _fit_words(x: Sequence[Any], y: Sequence[Any]) -> bool:
    """Whether lists of labels are as long as their texts have words."""
    pairs = zip(x, y, strict=True)
    return any(len(row) == len(_words(text)) for text, row in pairs)


def _look_like_tags(x: Sequence[Any], y: Sequence[str]) -> bool:
    """Whether every label has as many parts as its text has words, and the parts come again."""
    several, total = 0, 0
    kinds: set[str] = set()
    for text, label in zip(x, y, strict=True):
        words, tags = _words(text), label.split()
        if len(words) != len(tags):
            return False
        several += len(words) > 1
        total += len(words)
        kinds.update(tags)
    return several * 2 > len(y) and len(kinds) <= max(2, total // 4)
