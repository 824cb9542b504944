"""`keras-rnn-zoo compare`: several models on the same data, side by side."""

from __future__ import annotations

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
from keras_rnn_zoo.training.page import PAGE_FILE


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
    """
    values = config(models, settings)
    with out.working():
        from keras_rnn_zoo.training.compare import compare

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
    for row in rows:
        if row["beats_baseline"] is False:
            text = f"✗ {row['model']} is no better than the best answers without a model."
            click.secho(text, fg="red")
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
                out.figure(judged_by, row["baseline"]),
                out.seconds(row["seconds"]),
                f"{row['parameters']:,}",
                out.size(row["bytes"]),
            ]
            for row in rows
        ],
    )
    click.echo()
    plot = Path(output) / "compare.png"
    written = [Path(output) / "compare.csv"] + [plot] * plot.is_file()
    click.echo(f"Report: {Path(output) / PAGE_FILE}")
    click.echo(f"Written: {', '.join(map(str, written))}, and a run for each model")
    key = f"{parts[-1]}_{measure}"
    ranked = sorted(
        rows, key=lambda row: row[key] if measure == "mean_absolute_error" else -row[key]
    )
    client = ["--target", arguments["target"]] if arguments["target"] else []
    out.next_command("export", str(Path(output) / ranked[0]["model"]), *client, "-o", "BUNDLE")
