"""What the commands print: tables for people, one JSON document for scripts."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from keras_rnn_zoo import quantities

NOTHING = "-"


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Keeps stdout free for the result: whatever libraries print goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def emit(value: Any) -> None:
    """Prints a JSON document."""
    click.echo(json.dumps(_strict(value), indent=2, ensure_ascii=False, allow_nan=False))


def _strict(value: Any) -> Any:
    """JSON has neither NaN nor tuples nor paths."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value.item() if hasattr(value, "item") else str(value)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Prints an aligned table.

    Args:
        head: Names of the columns.
        rows: Cells.
        left: How many columns, from the first, are aligned on the left; the others hold numbers.
    """
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Prints names and values, aligned."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name:<{width}}  {value}")


def next_command(*words: str) -> None:
    """Prints the command that most people type next."""
    import shlex

    command = " ".join(word if word.isupper() else shlex.quote(word) for word in words)
    click.echo(f"Next: keras-rnn-zoo {command}")


def or_nothing(text: Callable[[float], str]) -> Callable[[float | None], str]:
    """Returns a function that also takes None, of which a table shows no more than a dash."""
    return lambda value: NOTHING if value is None else text(value)


size = or_nothing(quantities.size)
milliseconds = or_nothing(quantities.milliseconds)
seconds = or_nothing(quantities.duration)


def figure(measure: str, value: float | None) -> str:
    """Returns a loss or error as a number, an accuracy in percent."""
    if value is None:
        return NOTHING
    return quantities.score(value, percent=measure == "accuracy")


def small(value: float | None) -> str:
    """Returns a difference, in two digits."""
    return NOTHING if value is None else f"{value:.1e}" if value else "0"


def measure_of(metrics: Mapping[str, Any]) -> str:
    """Returns what metrics judge by: `"accuracy"` or `"mean_absolute_error"`."""
    return next(
        key.removeprefix("train_")
        for key in metrics
        if key.startswith("train_") and key != "train_loss"
    )


def metrics_table(metrics: Mapping[str, Any]) -> None:
    """Prints loss and accuracy (or error) of each part of the data."""
    measure = measure_of(metrics)
    rows = [
        [
            part,
            figure("loss", metrics[f"{part}_loss"]),
            figure(measure, metrics[f"{part}_{measure}"]),
        ]
        for part in ("train", "validation", "test")
        if metrics.get(f"{part}_loss") is not None
    ]
    table(["", "loss", measure.replace("_", " ")], rows)


def rows_of(data: Mapping[str, Any]) -> str:
    """Returns what a run learnt from, in words."""
    return f"{data['name']}: {quantities.rows_in_words(data['rows'])}"
