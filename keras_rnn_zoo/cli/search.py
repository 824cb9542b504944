"""`keras-rnn-zoo search`: several models, many settings, one winner."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import (
    Quantity,
    config,
    data_options,
    json_option,
    output_option,
    set_option,
)
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.options import Options
from keras_rnn_zoo.registry import Registry
from keras_rnn_zoo.tuner import DeviceBudget, Search, SearchOptions
from keras_rnn_zoo.tuner.results.records import FAILED, INFEASIBLE, TrialRecord

SHOWN = 10


class NameOption(click.Option):
    """An option that takes a name of a registry; the help lists the names.

    Args:
        registry: Returns the registry, which is asked when the help is shown.
    """

    def __init__(self, *args: Any, registry: Callable[[], Registry[Any]], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._registry = registry

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Returns the option and its help with the names; see `click.Option`."""
        registry, record = self._registry(), super().get_help_record(ctx)
        if record is None:
            return None
        names = "; ".join(
            f"{name}: {registry.get(name).description.rstrip('.')}" for name in registry.names()
        )
        return record[0], f"{record[1]}  {names}."


def _tuners() -> Registry[Any]:
    from keras_rnn_zoo.tuner import TUNERS

    return TUNERS


def _engines() -> Registry[Any]:
    from keras_rnn_zoo.tuner import ENGINES

    return ENGINES


def _quantizations() -> Registry[Any]:
    from keras_rnn_zoo.export.quantization import QUANTIZATIONS

    return QUANTIZATIONS


def _targets() -> Registry[Any]:
    from keras_rnn_zoo.export.targets import TARGETS

    return TARGETS


_TYPES = {"int": int, "float": float}
REGISTRIES = {
    "tuner": _tuners,
    "engine": _engines,
    "quantization": _quantizations,
    "target": _targets,
}


def options_of(options: type[Options], *names: str) -> Callable[[Any], Any]:
    """Returns a decorator that adds the flags of options, in this order.

    Args:
        options: Says their types, defaults and help.
        names: Which of them.
    """

    fields = {field.name: field for field in dataclasses.fields(options)}  # type: ignore[arg-type]

    def decorate(function: Any) -> Any:
        for name in reversed(names):
            about, field = options.about()[name], fields[name]
            settings: dict[str, Any] = {"metavar": about.metavar, "help": about.help}
            if name in REGISTRIES:
                settings |= {"cls": NameOption, "registry": REGISTRIES[name]}
            elif about.parse is not None:
                settings["type"] = Quantity(name, about.parse)
            else:
                settings["type"] = _TYPES.get(str(field.type).removesuffix(" | None"), str)
            if about.shown_default is None:
                settings["default"] = field.default
            else:
                settings["help"] += f"  [default: {about.shown_default}]"
            flag = about.flag or f"--{name.replace('_', '-')}"
            function = click.option(flag, name, **settings)(function)
        return function

    return decorate


@click.command("search", short_help="Search models and hyperparameters with KerasTuner.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@data_options
@options_of(SearchOptions, "tuner", "max_trials")
@set_option
@options_of(SearchOptions, "epochs", "batch_size", "patience", "learning_rate", "objective")
@options_of(DeviceBudget, "max_size", "max_latency", "max_parameters", "quantization", "target")
@click.option("--quantize", hidden=True, help="The old name of --quantization.")
@options_of(SearchOptions, "workers", "engine")
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
@options_of(SearchOptions, "trial_timeout", "keep", "seed")
@json_option
@output_option("DIR", "Directory to write to; an unfinished search there goes on.")
@click.pass_obj
def command(
    line: str | None,
    /,
    models: tuple[str, ...],
    data: str,
    test_data: str | None,
    output: str,
    as_json: bool,
    quantize: str | None,
    **arguments: Any,
) -> None:
    """Search over every MODEL and its hyperparameters; leave the winner as the run DIR/best.

    A model over the limits is not trained. Every trial is measured as the .tflite file that
    --quantization names, and those that no other beats in accuracy, size and latency together are
    kept: `keras-rnn-zoo export DIR --trial ID` exports any of them.

    Without MODEL: all but the cell loops. What --set says is fixed, and not searched. After a
    stop, the same command goes on where it was.

    \b
    keras-rnn-zoo search lstm gru bilstm --data reviews.csv --max-trials 20 -o searches/reviews
    keras-rnn-zoo search lstm gru --data reviews.csv --tuner bayesian --quantization int8 \\
        --max-size 400KB --max-latency 1ms --workers 2 -o searches/small
    keras-rnn-zoo export searches/reviews -o bundle
    """
    arguments["config"] = config(models, arguments.pop("settings"))
    limits = {name: arguments.pop(name) for name in DeviceBudget.about()}
    if quantize is not None:
        click.echo("--quantize is called --quantization now.", err=True)
        limits["quantization"] = quantize
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
                "best": result.best.info,
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
    """Prints the best trials of a search, and the figures of the winner."""
    trials, best = result.trials, result.best
    measure = out.measure_of(best.metrics)
    done = [trial for trial in trials if trial.score is not None]
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
                trial.trial_id,
                trial.model,
                _hyperparameters(trial),
                out.figure(measure, trial.metrics.get(f"val_{measure}")),
                out.figure(measure, trial.metrics.get(f"quantized_{measure}")),
                out.size(trial.bytes) if trial.bytes is not None else out.NOTHING,
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
    out.metrics_table(best.metrics)


def _hyperparameters(trial: TrialRecord) -> str:
    prefix = f"{trial.model}."
    return ", ".join(
        f"{name.removeprefix(prefix)} {value:.3g}"
        if isinstance(value, float)
        else f"{name.removeprefix(prefix)} {value}"
        for name, value in trial.hyperparameters.items()
        if name != "model"
    )
