"""`keras-rnn-zoo search`: several models, many settings, one winner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import (
    config,
    json_option,
    options_of,
    output_option,
    set_option_of,
    source_options,
)
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.training.options import DataOptions
from keras_rnn_zoo.tuner import DeviceBudget, Search, SearchOptions
from keras_rnn_zoo.tuner.objectives import described
from keras_rnn_zoo.tuner.results.records import FAILED, INFEASIBLE, TrialRecord

SHOWN = 10


@click.command("search", short_help="Search models and hyperparameters with KerasTuner.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@source_options
@options_of(DataOptions, without=("target", "seed", "validation_split"))
@options_of(SearchOptions, only=("validation_split", "folds", "tuner", "max_trials", "max_time"))
@set_option_of(" Several values, such as timesteps=100,200,400, are searched among.")
@options_of(
    SearchOptions,
    only=(
        "epochs",
        "batch_size",
        "patience",
        "learning_rate",
        "schedule",
        "word_vectors",
        "class_weight",
        "objective",
    ),
)
@options_of(DeviceBudget)
@options_of(SearchOptions, only=("workers", "engine"))
@click.option(
    "--engine-option",
    "engine_settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the engine; may be repeated.",
)
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="Run the trials on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT; local starts one.",
)
@options_of(SearchOptions, only=("trial_timeout", "keep", "seed"))
@json_option
@output_option("DIR", "Directory to write to; the same search there goes on.")
@click.pass_obj
def command(
    line: str | None,
    /,
    models: tuple[str, ...],
    data: str,
    test_data: str | None,
    output: str,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Search over every MODEL and its hyperparameters; leave the winner as the run DIR/best.

    A model over the limits is not trained. Every trial is measured as the .tflite file that
    --quantization names, and those that no other beats in accuracy, size and latency together are
    kept: `keras-rnn-zoo export DIR --trial ID` exports any of them.

    Without MODEL: all but the cell loops. What --set says is fixed, and not searched; several
    values, such as --set timesteps=100,200,400 --set vocabulary_size=5000,10000, are searched
    among. After a stop, the same command goes on where it was; a finished search goes on with
    more --max-trials, or for a --max-time.

    \b
    keras-rnn-zoo search lstm gru bilstm --data reviews.csv --max-trials 20 -o searches/reviews
    keras-rnn-zoo search lstm gru --data reviews.csv --tuner bayesian --quantization int8 \\
        --max-size 400KB --max-latency 1ms --workers 2 -o searches/small
    keras-rnn-zoo search lstm gru bilstm --data reviews.csv --max-time 30m -o searches/reviews
    keras-rnn-zoo export searches/reviews -o bundle
    """
    arguments["config"] = config(models, arguments.pop("settings"), several=True)
    limits = {name: arguments.pop(name) for name in DeviceBudget.about() if name in arguments}
    arguments |= _engine(arguments)
    given = {name: value for name, value in arguments.items() if value is not None}
    with out.working():
        from keras_rnn_zoo.tuner import search

        result = search(
            list(models) or None,
            data,
            output=output,
            budget=DeviceBudget(**limits),
            command=line,
            test_data=test_data,
            **given,
        )
    if as_json:
        out.emit(
            {
                "path": str(result.path),
                "objective": result.info["objective"],
                "best": result.best.info,
                "interval": result.interval and result.interval.to_dict(),
                "baseline": result.baseline and result.baseline.to_dict(),
                "front": result.front,
                "trials": [trial.to_dict() for trial in result.trials],
            }
        )
        return
    show(result)
    click.echo(f"\nRun:    {result.best.path}")
    click.echo(f"Trials: {Path(result.path) / 'trials.csv'}")
    if (report := Path(result.path) / "report.html").is_file():
        click.echo(f"Report: {report}")
    click.echo(f"Curves: tensorboard --logdir {Path(result.path) / 'logs'}")
    client = ["--target", limits["target"]] if limits["target"] != "litert" else []
    out.next_command("export", output, *client, "-o", "BUNDLE")


def _engine(arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Takes what is said of the engine out of the arguments; returns it as `search` takes it.

    Raises:
        ConfigError: An option that is no `KEY=VALUE`.
    """
    written, address = arguments.pop("engine_settings"), arguments.pop("ray_address")
    options: dict[str, Any] = {}
    for setting in written:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ConfigError(
                f"--engine-option takes KEY=VALUE, such as address=auto. Received: {setting!r}"
            )
        options[key.strip().replace("-", "_")] = value.strip()
    if not address:
        return {"engine_options": options}
    # Without an address, the engine starts a Ray of this machine.
    options["address"] = None if address == "local" else address
    return {"engine": "ray", "engine_options": options}


def show(result: Search) -> None:
    """Prints what to know of a winner first, the best trials, and the figures of the winner."""
    trials, best = result.trials, result.best
    if result.baseline is not None and not result.baseline.beaten:
        click.secho(str(result.baseline), fg="red")
    if result.interval is not None and result.interval.matters:
        click.echo(str(result.interval))
    name, direction = (result.info["objective"][key] for key in ("name", "direction"))
    click.echo(f"Objective: {described(name, direction)}.\n")
    # One figure has a column; a sum of several has its own.
    sums = not name.isidentifier()
    measure = out.measure_of(best.metrics)
    done = [trial for trial in trials if trial.score is not None]
    arenas = any(trial.arena for trial in done)
    out.table(
        [
            "trial",
            "model",
            "hyperparameters",
            f"validation {measure.replace('_', ' ')}",
            "of the file",
            *(["score"] if sums else []),
            "size",
            *(["arena"] if arenas else []),
            "latency",
            "training",
            "",
        ],
        [
            [
                trial.trial_id,
                trial.model,
                _hyperparameters(trial),
                out.figure(measure, trial.metrics.get(f"val_{measure}")),
                out.figure(measure, trial.metrics.get(f"quantized_{measure}")),
                *([f"{trial.score:.4g}"] if sums else []),
                out.size(trial.bytes) if trial.bytes is not None else out.NOTHING,
                *([out.size(trial.arena) if trial.arena else out.NOTHING] if arenas else []),
                out.milliseconds(trial.latency_ms),
                out.seconds(trial.seconds),
                "front" if trial.trial_id in result.front else "",
            ]
            for trial in done[:SHOWN]
        ],
        left=3,
    )
    if len(done) > SHOWN:
        click.echo(f"and {len(done) - SHOWN} more")
    infeasible = [trial for trial in trials if trial.status == INFEASIBLE]
    if infeasible:
        click.echo(f"{len(infeasible)} over budget, for example: {infeasible[0].message}")
    for trial in trials:
        if trial.status == FAILED:
            click.echo(f"Trial {trial.trial_id} failed: {trial.message}")
    click.echo(f"\nWinner: {best.model_name}, {best.metrics['parameters']:,} parameters\n")
    out.metrics_table(best.metrics, best.info["data"].get("baselines", ()))
    out.labels_table(best.evaluation)


def _hyperparameters(trial: TrialRecord) -> str:
    prefix = f"{trial.model}."
    return ", ".join(
        f"{name.removeprefix(prefix)} {value:.3g}"
        if isinstance(value, float)
        else f"{name.removeprefix(prefix)} {value}"
        for name, value in trial.hyperparameters.items()
        if name != "model"
    )
