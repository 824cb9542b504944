"""`keras-rnn-zoo compare`: several models on the same data, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import (
    config,
    json_option,
    output_option,
    training_options,
)


@click.command("compare", short_help="Train several models on the same data, side by side.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@training_options
@json_option
@output_option("DIR", "Directory to write to: a new or an empty one.")
@click.pass_obj
def command(
    line: str | None,
    /,
    models: tuple[str, ...],
    settings: tuple[str, ...],
    output: str,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Train each MODEL on the same rows and set their figures side by side, on a page.

    Without MODEL: all but the cell loops, which compute the same as their twins, slowly. The
    directory holds report.html, compare.csv, compare.json, compare.png and a run for each model.

    \b
    keras-rnn-zoo compare lstm gru bilstm --data reviews.csv -o comparison
    keras-rnn-zoo compare lstm gru --data digits --folds 5 -o comparison
    """
    values = config(models, settings)
    with out.working():
        from keras_rnn_zoo.training.compare import compare
        from keras_rnn_zoo.training.page import PAGE_FILE

        rows = compare(
            list(models) or None, config=values, output=output, command=line, **arguments
        )
    if as_json:
        out.emit({"path": output, "models": rows})
        return
    measure = out.measure_of(rows[0])
    # Without test data, the validation rows are what the models can be told apart by.
    held_out = "test" if rows[0]["test_loss"] is not None else "validation"
    parts = ["train"] + [held_out] * (rows[0][f"{held_out}_loss"] is not None)
    head = ["model"]
    head += [f"{part} {name}" for name in ("loss", measure.replace("_", " ")) for part in parts]
    judged_by = "balanced_accuracy" if arguments["class_weight"] else measure
    ranked = _ranked(rows, f"{parts[-1]}_{measure}")
    for row in rows:
        if row["beats_baseline"] is False:
            text = f"✗ {row['model']} is no better than the best answers without a model."
            click.secho(text, fg="red")
    folds = rows[0].get("folds")
    if folds:
        head.append(f"{folds['count']} folds, {folds['measure'].replace('_', ' ')}")
    out.table(
        [*head, "baseline", "training", "parameters", "size"],
        [
            [
                row["model"],
                *(
                    out.figure(name, row[f"{part}_{name}"])
                    for name in ("loss", measure)
                    for part in parts
                ),
                *([_in_folds(row["folds"])] if folds else []),
                out.figure(judged_by, row["baseline"]),
                out.seconds(row["seconds"]),
                f"{row['parameters']:,}",
                out.size(row["bytes"]),
            ]
            for row in rows
        ],
    )
    click.echo()
    if folds and len(rows) > 1:
        click.echo(_first_and_second(ranked))
    plot = Path(output) / "compare.png"
    written = [Path(output) / "compare.csv"] + [plot] * plot.is_file()
    click.echo(f"Report: {Path(output) / PAGE_FILE}")
    click.echo(f"Written: {', '.join(map(str, written))}, and a run for each model")
    client = ["--target", arguments["target"]] if arguments["target"] else []
    out.next_command("export", str(Path(output) / ranked[0]["model"]), *client, "-o", "BUNDLE")


def _ranked(rows: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """Returns the models, the best first: by their folds, or by a figure of rows held out."""
    measure = rows[0]["folds"]["measure"] if "folds" in rows[0] else name.partition("_")[2]
    sign = 1 if measure == "mean_absolute_error" else -1
    return sorted(
        rows, key=lambda row: sign * (row["folds"]["value"] if "folds" in row else row[name])
    )


def _in_folds(folds: Mapping[str, Any]) -> str:
    """Returns a figure and how far it varies between folds."""
    text, deviation = out.figure(folds["measure"], folds["value"]), folds["deviation"]
    return text if deviation is None else f"{text} ± {_difference(folds['measure'], deviation)}"


def _difference(measure: str, value: float) -> str:
    return f"{value:.4g}" if measure == "mean_absolute_error" else f"{100 * value:.2f}"


def _first_and_second(ranked: Sequence[Mapping[str, Any]]) -> str:
    """Returns whether the best model is better than the next one, or had luck."""
    from keras_rnn_zoo.training.intervals import UNLIKELY

    first, second = ranked[:2]
    folds, chance = first["folds"], second["chance"]
    apart = _difference(folds["measure"], abs(folds["value"] - second["folds"]["value"]))
    unit = "" if folds["measure"] == "mean_absolute_error" else " points"
    said = "is not chance" if chance < UNLIKELY else "cannot be told from chance"
    return (
        f"{first['model']} is ahead of {second['model']} by {apart}{unit}, which over "
        f"{folds['rows']:,} rows {said} (p = {chance:.2g})."
    )
