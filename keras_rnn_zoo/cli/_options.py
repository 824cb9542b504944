"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keras_rnn_zoo.errors import ConfigError, listed, nearest
from keras_rnn_zoo.quantities import parse_bytes, parse_milliseconds, parse_timesteps
from keras_rnn_zoo.tasks import TASKS

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:  # generic from click 8.3 on
    ParamType = click.ParamType

Command = TypeVar("Command", bound=Callable[..., Any])

# As in preprocessing, which needs NumPy.
SIDES = ("post", "pre")


class Quantity(ParamType):
    """A number with a unit: see `keras_rnn_zoo.quantities`.

    Args:
        name: What `--help` shows in its place.
        parse: Takes the text, returns a number, or raises `ConfigError`.
    """

    def __init__(self, name: str, parse: Callable[[Any], Any]):
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the number; see `click.ParamType.convert`."""
        try:
            return self._parse(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)


BYTES = Quantity("size", parse_bytes)
MILLISECONDS = Quantity("time", parse_milliseconds)
TIMESTEPS = Quantity("timesteps", parse_timesteps)


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Makes one decorator of several, which `--help` lists in this order."""

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def output_option(metavar: str, text: str) -> Callable[[Command], Command]:
    """Returns `-o`: the new directory that a command writes."""
    return click.option("-o", "--output", required=True, metavar=metavar, help=text)


columns_options = _together(
    click.option(
        "--text-column", default="text", metavar="NAME", help="Column of a table with the texts."
    ),
    click.option(
        "--label-column", default="label", metavar="NAME", help="Column of a table with the labels."
    ),
)

data_options = _together(
    click.option(
        "--data",
        required=True,
        metavar="DATA",
        help="What to learn from: 'digits', 'imdb', or a .csv, .tsv (plain or .gz) or .npz file.",
    ),
    click.option(
        "--test-data",
        metavar="DATA",
        help="Rows to test on, which training never sees.  [default: those of DATA, if any]",
    ),
    columns_options,
    click.option(
        "--task",
        type=click.Choice(tuple(TASKS)),
        metavar="TASK",
        help=f"What to answer: {', '.join(TASKS)}.  [default: what the labels look like]",
    ),
    click.option(
        "--padding",
        type=click.Choice(SIDES),
        default="post",
        help="Fill short inputs on the right (post) or on the left (pre).",
    ),
    click.option(
        "--truncating",
        type=click.Choice(SIDES),
        default="pre",
        help="Cut the beginning (pre) or the end (post) of long inputs.",
    ),
    click.option(
        "--validation-split",
        type=float,
        default=0.1,
        metavar="PART",
        help="Part of the training rows to validate on.",
    ),
)

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the model, such as units=32; may be repeated. `models --json` lists them.",
)

epochs_options = _together(
    click.option(
        "--epochs", type=int, default=4, metavar="N", help="Passes over the training rows, at most."
    ),
    click.option("--batch-size", type=int, default=64, metavar="N", help="Rows per step."),
)

training_options = _together(
    epochs_options,
    click.option("--learning-rate", type=float, default=1e-3, metavar="RATE", help="Of Adam."),
    click.option(
        "--patience",
        type=int,
        metavar="N",
        help="Stop after N epochs without a better validation loss, and take the best weights.  "
        "[default: never]",
    ),
)

seed_option = click.option(
    "--seed", type=int, default=0, metavar="N", help="Of every random choice."
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as one JSON document."
)


custom_objects_option = click.option(
    "--custom-objects",
    metavar="MODULES",
    help="Modules with layers, cells or functions of your own that the model uses, separated by "
    "commas: package.module, or package.module:Class. They are imported, so trust them.",
)


def names(text: str | None) -> list[str] | None:
    """Splits `a,b` into its names; None stays None."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def config(models: Sequence[str], settings: Sequence[str]) -> dict[str, Any]:
    """Turns `KEY=VALUE` settings into a config of the types that the models' fields have.

    Args:
        models: Names of the models; none for all.
        settings: As the user wrote them.

    Raises:
        UnknownNameError: No such model.
        ConfigError: A setting that is no `KEY=VALUE`, whose key no model has, or whose value is
            not of the key's type.
    """
    from keras_rnn_zoo.builder import MODELS, Field

    fields: dict[str, Field] = {}
    for model in models or MODELS.names():
        for field in MODELS.get(model).fields:
            fields.setdefault(field.name, field)
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key, text = key.strip(), text.strip()
        if not equals or not key:
            raise ConfigError(f"--set takes KEY=VALUE, such as units=32. Received: {setting!r}")
        if key not in fields:
            raise ConfigError(
                f"Unknown setting: {key!r}.{nearest(key, fields)} Known: {listed(fields)}."
            )
        if key in values:
            raise ConfigError(f"The setting {key!r} is said twice. Say it once.")
        values[key] = fields[key].check(_value(fields[key].kind, text))
    return values


def _value(kind: type, text: str) -> Any:
    """Returns what a text means to a field of a type; the text itself where it means nothing."""
    if text.lower() in ("none", "null"):
        return None
    if kind is bool:
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)
    if kind in (int, float):
        for number in (int, float):
            try:
                return number(text)
            except ValueError:
                continue
    return text
