"""How long and how fast trials are trained where nobody says: as `train` would, by the rows."""

from __future__ import annotations

from typing import Any

from keras_rnn_zoo.training.course import Course, course_of
from keras_rnn_zoo.training.options import TrainOptions
from keras_rnn_zoo.tuner.options import SearchOptions

AROUND = 10.0
"""The learning rates to search between are the one of `train` by this, and times this."""

COURSE = ("epochs", "batch_size", "patience", "learning_rate")
"""What `with_course` fills in."""


def with_course(options: SearchOptions, rows: int) -> SearchOptions:
    """Returns the options with epochs, rows per step, patience and learning rates filled in.

    Args:
        options: What they say stays.
        rows: That a trial is trained on.
    """
    course, rate = _course(options, rows), options.learning_rate
    return options.replace(
        epochs=course.epochs,
        # 0 is never, as None is to be chosen.
        patience=course.patience or 0,
        batch_size=options.batch_size or course.batch_size,
        learning_rate=rate or (course.learning_rate / AROUND, course.learning_rate * AROUND),
    )


def _course(options: SearchOptions, rows: int) -> Course:
    sizes, rate = options.batch_size, options.learning_rate
    # Of several, the largest makes the fewest steps an epoch, and needs the most epochs.
    size = max(sizes) if isinstance(sizes, tuple) else sizes
    asked = TrainOptions(
        epochs=options.epochs,
        patience=options.patience,
        batch_size=size,
        learning_rate=rate if isinstance(rate, float) else None,
    )
    return course_of(asked, rows, validates=True)


def told(options: SearchOptions) -> str:
    """Returns how trials are trained, for a person.

    Args:
        options: As `with_course` returns them.
    """
    count = options.epochs
    text = f"up to {count} epoch{'' if count == 1 else 's'} of {_among(options.batch_size)} rows"
    text += f" a step, learning rate {_among(options.learning_rate, ' to ')}"
    if options.patience:
        text += f"; stops after {options.patience} without a better validation loss"
    if options.folds is not None:
        text += f"; in {options.folds} folds, so {options.folds} times"
    return text


def _among(values: Any, between: str = " or ") -> str:
    each = values if isinstance(values, tuple) else (values,)
    return between.join(f"{value:g}" for value in each)
