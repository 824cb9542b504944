"""`keras-rnn-zoo search`: several models, many settings, one winner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import (
    config,
    data_options,
    epochs_options,
    json_option,
    output_option,
    seed_option,
    set_option,
)

SHOWN = 10


@click.command("search", short_help="Search models and hyperparameters with KerasTuner.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@data_options
@click.option(
    "--tuner",
    default="random",
    metavar="NAME",
    help="How the next trial is chosen: random, hyperband, bayesian or grid.",
)
@click.option("--max-trials", type=int, default=10, metavar="N", help="Trials, at most.")
@set_option
@epochs_options
@click.option(
    "--patience",
    type=int,
    default=2,
    metavar="N",
    help="Stop a trial after N epochs without a better validation loss.",
)
@click.option(
    "--learning-rate",
    metavar="RATES",
    default="1e-4,1e-2",
    help="The least and the greatest rate of Adam to search between, or one to fix it.",
)
@seed_option
@json_option
@output_option("DIR", "Directory to write to; an unfinished search there goes on.")
@click.pass_obj
def command(
    line: str | None,
    /,
    models: tuple[str, ...],
    settings: tuple[str, ...],
    output: str,
    as_json: bool,
    learning_rate: str,
    **arguments: Any,
) -> None:
    """Search over every MODEL and its hyperparameters; leave the winner as the run DIR/best.

    Without MODEL: all but the cell loops. What --set says is fixed, and not searched. After a
    stop, the same command goes on where it was.

    \b
    keras-rnn-zoo search lstm gru bilstm --data reviews.csv --max-trials 20 -o searches/reviews
    keras-rnn-zoo export searches/reviews -o bundle
    """
    values = config(models, settings)
    rates = _rates(learning_rate)
    with out.working():
        from keras_rnn_zoo.tuner import search

        result = search(
            list(models) or None,
            config=values,
            output=output,
            command=line,
            learning_rate=rates,
            **arguments,
        )
    if as_json:
        out.emit({"path": str(result.path), "best": result.best.info, "trials": result.trials})
        return
    show(result)
    click.echo(f"\nRun:    {result.best.path}")
    click.echo(f"Trials: {Path(result.path) / 'trials.csv'}")
    click.echo(f"Curves: tensorboard --logdir {Path(result.path) / 'logs'}")
    out.next_command("export", output, "-o", "BUNDLE")


def _rates(text: str) -> Any:
    """Returns one rate or several; what they may be is for `search` to say."""
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        return text
    return rates[0] if len(rates) == 1 else tuple(rates)


def show(result: Any) -> None:
    """Prints the best trials of a `SearchResult`, and the figures of the winner."""
    trials, best = result.trials, result.best
    measure = out.measure_of(best.metrics)
    done = [trial for trial in trials if trial["score"] is not None]
    failed = [trial for trial in trials if trial["score"] is None]
    out.table(
        [
            "trial",
            "model",
            "hyperparameters",
            f"validation {measure.replace('_', ' ')}",
            "training",
            "parameters",
        ],
        [
            [
                trial["trial_id"],
                trial["model"],
                _hyperparameters(trial),
                out.figure(measure, trial["score"]),
                out.seconds(trial["seconds"]),
                f"{trial['parameters']:,}" if trial["parameters"] is not None else out.NOTHING,
            ]
            for trial in done[:SHOWN]
        ],
        left=3,
    )
    if len(done) > SHOWN:
        click.echo(f"and {len(done) - SHOWN} more")
    for trial in failed:
        click.echo(f"Trial {trial['trial_id']} failed: {trial['message'] or trial['status']}")
    click.echo(f"\nWinner: {best.model_name}, {best.metrics['parameters']:,} parameters\n")
    out.metrics_table(best.metrics)


def _hyperparameters(trial: dict[str, Any]) -> str:
    prefix = f"{trial['model']}."
    return ", ".join(
        f"{name.removeprefix(prefix)} {value:.3g}"
        if isinstance(value, float)
        else f"{name.removeprefix(prefix)} {value}"
        for name, value in trial["hyperparameters"].items()
        if name != "model"
    )
