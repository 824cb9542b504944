"""What the commands print: tables for people, one JSON document for scripts."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

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


def size(count: float | None) -> str:
    """Returns bytes as kB (1,000 bytes), one decimal below 100 kB."""
    if count is None:
        return NOTHING
    return f"{count / 1000:,.{1 if count < 1e5 else 0}f} kB"


def milliseconds(value: float | None) -> str:
    """Returns a time in ms with three digits."""
    if value is None:
        return NOTHING
    return (
        f"{value:.3f} ms" if value < 1 else f"{value:.2f} ms" if value < 100 else f"{value:.0f} ms"
    )


def seconds(value: float | None) -> str:
    """Returns a time in seconds, or minutes where that reads better."""
    if value is None:
        return NOTHING
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def figure(measure: str, value: float | None) -> str:
    """Returns a loss or error as a number, an accuracy in percent."""
    if value is None:
        return NOTHING
    return f"{100 * value:.2f} %" if measure == "accuracy" else f"{value:.4g}"


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
    rows = data["rows"]
    words = {"train": "to train on", "validation": "to validate", "test": "to test"}
    parts = [f"{rows[part]:,} rows {word}" for part, word in words.items() if rows.get(part)]
    return f"{data['name']}: {', '.join(parts)}"
