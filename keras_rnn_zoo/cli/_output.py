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
    click.echo(json.dumps(strict(value), indent=2, ensure_ascii=False, allow_nan=False))


def strict(value: Any) -> Any:
    """JSON has neither NaN nor tuples nor paths."""
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
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
    from keras_rnn_zoo.training.metrics import SHARES

    return quantities.score(value, percent=measure in SHARES)


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


PARTS = ("train", "validation", "test")
MOST_LABELS = 10
"""A table of labels has no more lines: the worst ones."""


def metrics_table(metrics: Mapping[str, Any], baselines: Sequence[Mapping[str, Any]] = ()) -> None:
    """Prints loss and accuracy (or error) of each part of the data, beside the best baseline.

    Args:
        metrics: Of a run.
        baselines: See `keras_rnn_zoo.training.baseline.baselines`; a run of an older version has
            none.
    """
    from keras_rnn_zoo.training.baseline import best_of
    from keras_rnn_zoo.training.metrics import OF_LABELS

    measure = measure_of(metrics)
    parts = [part for part in PARTS if metrics.get(f"{part}_loss") is not None]
    further = [
        name for name in OF_LABELS if any(metrics.get(f"{p}_{name}") is not None for p in parts)
    ]
    rows = []
    for part in parts:
        row = [part, *(figure(name, metrics[f"{part}_{name}"]) for name in ("loss", measure))]
        if baselines:
            best = best_of(baselines, part, measure)
            row.append(NOTHING if best is None else f"{figure(measure, best[1])} {best[0]['name']}")
        row += [figure(name, metrics.get(f"{part}_{name}")) for name in further]
        rows.append(row)
    names = {"f1": "F1", "auc": "AUC"}
    head = ["", "loss", measure.replace("_", " ")] + ["best baseline"] * bool(baselines)
    table([*head, *(names.get(name, name.replace("_", " ")) for name in further)], rows)


def labels_table(evaluation: Mapping[str, Any]) -> None:
    """Prints what becomes of each label, where labels are few or some are rare.

    Args:
        evaluation: Of a run: see `keras_rnn_zoo.training.fit.Evaluation`; and of its folds.
    """
    from keras_rnn_zoo.training.baseline import HELD_OUT

    order = (HELD_OUT, "test", "validation")
    part = next((part for part in order if part in evaluation), None)
    found = evaluation[part].get("labels") if part else None
    if not found:
        return
    counts = [one["rows"] for one in found.values()]
    if len(found) > MOST_LABELS and min(counts) * 5 > max(counts):
        return
    shown = sorted(found.items(), key=lambda item: item[1]["f1"])
    if len(found) <= MOST_LABELS:
        shown = list(found.items())
    click.echo()
    table(
        [f"{part} rows", "rows", "precision", "recall", "F1"],
        [
            [
                label,
                f"{one['rows']:,}",
                *(quantities.score(one[k], percent=True) for k in ("precision", "recall", "f1")),
            ]
            for label, one in shown[:MOST_LABELS]
        ],
    )
    if len(found) > MOST_LABELS:
        click.echo(f"and {len(found) - MOST_LABELS} labels with a better F1")


def errors_table(evaluation: Mapping[str, Any], targets: Mapping[str, Any] | None) -> None:
    """Prints the error of each output, where a regression has several."""
    part = next((part for part in ("test", "validation") if part in evaluation), None)
    errors = evaluation[part].get("mean_absolute_errors") if part else None
    if not errors:
        return
    deviations = (targets or {}).get("scale") or [None] * len(errors)
    click.echo()
    table(
        [f"{part} rows", "mean absolute error", "deviation of the targets"],
        [
            [f"output {i}", figure("loss", error), figure("loss", deviation)]
            for i, (error, deviation) in enumerate(zip(errors, deviations, strict=True), 1)
        ],
    )


def verdict(judged: Mapping[str, Any] | None) -> None:
    """Prints, in red and before all else, that a model is no better than its baseline."""
    if judged is not None and not judged["beats_baseline"]:
        from keras_rnn_zoo.training.baseline import sentences

        click.secho(f"✗ {sentences(judged)}\n", fg="red")


def rows_of(data: Mapping[str, Any]) -> str:
    """Returns what a run learnt from, in words."""
    return f"{data['name']}: {quantities.rows_in_words(data['rows'])}"


def answer(answer: Mapping[str, Any], given: Any = None) -> str:
    """Returns an answer in one line: what, how sure, and the text that it is about.

    Args:
        answer: See `Preprocessor.decode`.
        given: The raw input.
    """
    if "error" in answer:
        return f"no answer: {answer['error']}"
    if "values" in answer:
        values = answer["values"]
        if isinstance(values, dict):
            return "  ".join(f"{name}: {_numbers(part)}" for name, part in values.items())
        return _numbers(values)
    if answer.get("tokens"):
        pairs = zip(answer["tokens"], answer["labels"], strict=True)
        return " ".join(f"{token}/{label}" for token, label in pairs)
    if isinstance(answer.get("scores"), list):
        return " ".join(answer["labels"])
    if "labels" in answer:
        scores = answer["scores"]
        return "  ".join(f"{x} {100 * scores[x]:.1f} %" for x in answer["labels"]) or "no label"
    line = f"{answer['label']}  {100 * answer['score']:.1f} %"
    if isinstance(given, str):
        text = " ".join(given.split())
        line += "  " + (text if len(text) <= 60 else text[:57] + "...")
    return line


def _numbers(values: Any) -> str:
    """Returns numbers in one line; those of each time step apart."""
    if not isinstance(values, list):
        return f"{values:.6g}"
    nested = any(isinstance(value, list) for value in values)
    return ("; " if nested else "  ").join(map(_numbers, values))
