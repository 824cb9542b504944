"""`keras-rnn-zoo train`: one model, trained and kept as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import (
    config,
    json_option,
    options_of,
    output_option,
    training_options,
)
from keras_rnn_zoo.training.options import RunOptions


@click.command("train", short_help="Train one model.")
@click.argument("model")
@training_options
@options_of(RunOptions, only=("resume",))
@json_option
@output_option("RUN", "Directory to write the run to: a new or an empty one.")
@click.pass_obj
def command(
    line: str | None,
    /,
    model: str,
    settings: tuple[str, ...],
    output: str,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Train MODEL and leave it as a run: the model, its vocabulary and labels, its metrics.

    \b
    keras-rnn-zoo train bilstm --data reviews.csv -o runs/bilstm
    keras-rnn-zoo train gru --data digits --set units=32 --epochs 20 -o runs/digits
    keras-rnn-zoo train gru --data digits --set units=32 --folds 5 -o runs/digits-in-folds
    keras-rnn-zoo train gru --data digits --set units=32 --epochs 40 --resume -o runs/digits
    """
    values = config([model], settings)
    with out.working():
        from keras_rnn_zoo.training.baseline import HELD_OUT
        from keras_rnn_zoo.training.cross_validation import sentence
        from keras_rnn_zoo.training.page import PAGE_FILE
        from keras_rnn_zoo.training.train import train

        run = train(model, config=values, output=output, command=line, **arguments)
    if as_json:
        out.emit({"path": output, **run.info})
        return
    metrics, data, folds = run.metrics, run.info["data"], run.folds
    out.verdict(run.info["verdict"])
    out.facts(
        [
            *([("Folds", sentence(folds))] if folds else []),
            ("Model", f"{run.model_name}, {metrics['parameters']:,} parameters"),
            ("Data", out.rows_of(data)),
            ("Training", f"{_epochs(metrics['epochs'])} in {out.seconds(metrics['seconds'])}"),
        ]
    )
    click.echo()
    out.metrics_table(metrics, data["baselines"])
    out.labels_table({HELD_OUT: folds["evaluation"], **run.evaluation} if folds else run.evaluation)
    out.errors_table(run.evaluation, data.get("targets"))
    click.echo()
    out.facts([("Report:", str(Path(output) / PAGE_FILE)), ("Run:", output)])
    client = ["--target", arguments["target"]] if arguments["target"] else []
    out.next_command("export", output, *client, "-o", "BUNDLE")


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count != 1 else ''}"
