"""`keras-rnn-zoo search`: several models, many settings, one winner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import (
    BYTES,
    MILLISECONDS,
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
@click.option(
    "--objective",
    metavar="TEXT",
    help="What to optimize: accuracy, quantized_accuracy, loss, size, latency, parameters, "
    "seconds, or a weighted sum such as 'quantized_accuracy - 0.02*latency'.  [default: accuracy]",
)
@click.option("--max-size", type=BYTES, metavar="SIZE", help="Of the .tflite file, such as 300KB.")
@click.option(
    "--max-latency",
    type=MILLISECONDS,
    metavar="TIME",
    help="Of a call of it on one thread of this machine, such as 2ms.",
)
@click.option("--max-parameters", type=int, metavar="N", help="Of the model.")
@click.option(
    "--quantize",
    default="dynamic",
    metavar="NAME",
    help="Which file is measured: none, float16, dynamic or int8.",
)
@click.option("--target", default="litert", metavar="NAME", help="The client that the file is for.")
@click.option("--workers", type=int, default=1, metavar="N", help="Trials that run at once.")
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="Run the trials on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT; local starts one.",
)
@click.option(
    "--trial-timeout", type=float, metavar="SECONDS", help="Stop a trial that takes longer."
)
@click.option(
    "--keep", type=int, default=5, metavar="K", help="Checkpoints to keep, of the best trials."
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
    max_size: int | None,
    max_latency: float | None,
    max_parameters: int | None,
    quantize: str,
    target: str,
    ray_address: str | None,
    **arguments: Any,
) -> None:
    """Search over every MODEL and its hyperparameters; leave the winner as the run DIR/best.

    A model over the limits is not trained. Every trial is measured as the .tflite file that
    --quantize names, and those that no other beats in accuracy, size and latency together are
    kept: `keras-rnn-zoo export DIR --trial ID` exports any of them.

    Without MODEL: all but the cell loops. What --set says is fixed, and not searched. After a
    stop, the same command goes on where it was.

    \b
    keras-rnn-zoo search lstm gru bilstm --data reviews.csv --max-trials 20 -o searches/reviews
    keras-rnn-zoo search lstm gru --data reviews.csv --tuner bayesian --quantize int8 \\
        --max-size 400KB --max-latency 1ms --workers 2 -o searches/small
    keras-rnn-zoo export searches/reviews -o bundle
    """
    values = config(models, settings)
    rates = _rates(learning_rate)
    with out.working():
        from keras_rnn_zoo.tuner import DeviceBudget, search

        result = search(
            list(models) or None,
            config=values,
            output=output,
            command=line,
            learning_rate=rates,
            budget=DeviceBudget(max_size, max_latency, max_parameters, quantize, target),
            engine="ray" if ray_address else "local",
            engine_options={"address": _address(ray_address)} if ray_address else {},
            **arguments,
        )
    if as_json:
        out.emit(
            {
                "path": str(result.path),
                "best": result.best.info,
                "front": result.front,
                "trials": result.trials,
            }
        )
        return
    show(result)
    click.echo(f"\nRun:    {result.best.path}")
    click.echo(f"Trials: {Path(result.path) / 'trials.csv'}")
    if (report := Path(result.path) / "report.html").is_file():
        click.echo(f"Report: {report}")
    click.echo(f"Curves: tensorboard --logdir {Path(result.path) / 'logs'}")
    client = ["--target", target] if target != "litert" else []
    out.next_command("export", output, *client, "-o", "BUNDLE")


def _address(text: str | None) -> str | None:
    """Returns the address of a cluster, None for one of this machine's own."""
    return None if text == "local" else text


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
    quantized = f"quantized_{measure}"
    out.table(
        [
            "trial",
            "model",
            "hyperparameters",
            f"validation {measure.replace('_', ' ')}",
            "of the file",
            "size",
            "latency",
            "training",
            "",
        ],
        [
            [
                trial["trial_id"],
                trial["model"],
                _hyperparameters(trial),
                out.figure(measure, trial["metrics"].get(f"val_{measure}")),
                out.figure(measure, trial["metrics"].get(quantized)),
                out.size(trial["bytes"]) if trial["bytes"] is not None else out.NOTHING,
                out.milliseconds(trial["latency_ms"]),
                out.seconds(trial["seconds"]),
                "front" if trial["trial_id"] in result.front else "",
            ]
            for trial in done[:SHOWN]
        ],
        left=3,
    )
    if len(done) > SHOWN:
        click.echo(f"and {len(done) - SHOWN} more")
    infeasible = [trial for trial in trials if trial["status"] == "infeasible"]
    if infeasible:
        click.echo(f"{len(infeasible)} over budget, for example: {infeasible[0]['message']}")
    for trial in trials:
        if trial["status"] == "failed":
            click.echo(f"Trial {trial['trial_id']} failed: {trial['message']}")
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
