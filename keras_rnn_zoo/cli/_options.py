"""Command-line options: made from classes of options, and those that several commands share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import click

from keras_rnn_zoo.errors import ConfigError, UnknownNameError, listed, nearest
from keras_rnn_zoo.options import About, Options
from keras_rnn_zoo.training.options import DataOptions, TrainOptions

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:  # generic from click 8.3 on
    ParamType = click.ParamType

Command = TypeVar("Command", bound=Callable[..., Any])


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
        if not isinstance(value, str):  # a default
            return value
        try:
            return self._parse(value)
        except (ConfigError, UnknownNameError) as error:
            self.fail(str(error), param, ctx)


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Makes one decorator of several, which `--help` lists in this order."""

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def output_option(metavar: str, text: str, required: bool = True) -> Callable[[Command], Command]:
    """Returns `-o`: the new directory that a command writes."""
    return click.option("-o", "--output", required=required, metavar=metavar, help=text)


_TYPES = {int: (int, "N"), float: (float, "NUMBER"), str: (str, "TEXT")}
# Where a command keeps what was given under names that options had once.
_OLD_NAMES = "keras_rnn_zoo.old_names"


def _old_name(old: str, new: str) -> Callable[[Command], Command]:
    """Returns a hidden option that stands for one that was renamed, and says so on stderr."""

    def take(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            click.echo(f"--{old} is called --{new.replace('_', '-')} now.", err=True)
            ctx.meta.setdefault(_OLD_NAMES, {})[new] = value

    return click.option(
        f"--{old.replace('_', '-')}",
        f"old_{old}",
        hidden=True,
        help=f"The old name of --{new.replace('_', '-')}.",
        is_eager=True,
        expose_value=False,
        callback=take,
    )


class _Described(click.Option):
    """An option that looks up the names of a registry when its help is asked for, not before."""

    about: About

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Takes what was given under an old name; see `click.Parameter.handle_parse_result`."""
        given = ctx.meta.get(_OLD_NAMES, {})
        if self.name in given and self.name not in opts:
            opts = {**opts, self.name: given[self.name]}
        return super().handle_parse_result(ctx, opts, args)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Returns the option and its help; see `click.Option.get_help_record`."""
        self.help = _help(self.about, with_names=True)
        return super().get_help_record(ctx)


def options_of(
    options: type[Options], *, only: Sequence[str] = (), without: Sequence[str] = ()
) -> Callable[[Command], Command]:
    """Returns a decorator that makes click options of a class of options.

    The command gets them as keyword arguments, and hands them to the function that takes them.

    Args:
        options: Its annotations and `About`s say what there is.
        only: Names of those to make, in this order; none for all.
        without: Names of those to leave out.
    """
    annotations, abouts = get_type_hints(options), options.about()
    fields = {field.name: field for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    return _together(
        *(
            _option(name, about, annotations[name], fields[name].default)
            for name in only or abouts
            if (about := abouts[name]).flag != "" and name not in without
        ),
        *(
            _old_name(old, new)
            for old, new in options.RENAMED.items()
            if new not in without and (not only or new in only)
        ),
    )


def _option(name: str, about: About, annotation: Any, default: Any) -> Callable[[Command], Command]:
    flag = about.flag or "--" + name.replace("_", "-")
    kind = annotation
    if get_origin(annotation) in (Union, UnionType):  # int | None is written like int
        kind = next(part for part in get_args(annotation) if part is not type(None))
    more: dict[str, Any] = {"metavar": about.metavar}
    if kind is bool:
        flag, more = (f"{flag}/--no-{flag[2:]}" if default is not False else flag), {}
        more["is_flag"] = True
    elif about.parse is not None:
        more["type"] = Quantity(about.metavar or name, about.parse)
    elif about.choices_are_fixed:
        more["type"] = click.Choice(about.choices or ())
    elif kind in _TYPES:
        more["type"], metavar = _TYPES[kind]
        more["metavar"] = about.metavar or metavar
    else:
        more["type"] = Quantity(about.metavar or "NAMES", names)
        default = default and ",".join(default)
    if about.alone is not None:
        more |= {"is_flag": False, "flag_value": about.alone}

    def decorate(command: Command) -> Command:
        command = click.option(
            flag,
            name,
            cls=_Described,
            default=default,
            help=_help(about),
            show_default=about.shown_default is None,
            **more,
        )(command)
        made: _Described = command.__click_params__[-1]  # type: ignore[attr-defined]
        made.about = about
        return command

    return decorate


def quantization_option(metavar: str, text: str) -> Callable[[Command], Command]:
    """Returns `--quantization`: one or several files of a bundle."""
    about = About(text)

    def decorate(command: Command) -> Command:
        command = click.option("--quantization", cls=_Described, metavar=metavar, help=text)(
            command
        )
        made: _Described = command.__click_params__[-1]  # type: ignore[attr-defined]
        made.about = about
        return command

    return _together(decorate, _old_name("quantize", "quantization"))


def _help(about: About, *, with_names: bool = False) -> str:
    text = about.help
    if with_names and about.described:
        text += f"  {'; '.join(f'{name}: {line}' for name, line in about.described.items())}."
    elif with_names and about.choices is not None and not about.choices_are_fixed:
        text = f"{text.rstrip('.')}: {', '.join(about.choices)}."
    return text + (f"  [default: {about.shown_default}]" if about.shown_default else "")


def _all(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> Any:
    """Returns what an option that may be repeated was given: one alone as it is, or None."""
    return given[0] if len(given) == 1 else list(given) or None


source_options = _together(
    click.option(
        "--data",
        required=True,
        multiple=True,
        callback=_all,
        metavar="DATA",
        help="What to learn from: 'digits', 'imdb', a file (a table such as .csv or .jsonl, .npz, "
        ".ts, .conll), a folder, a pattern such as 'logs/*.csv', or - for standard input; may be "
        "repeated.",
    ),
    click.option(
        "--test-data",
        multiple=True,
        callback=_all,
        metavar="DATA",
        help="Rows to test on, which training never sees.  [default: those of DATA, if any]",
    ),
)


def set_option_of(more: str = "") -> Callable[[Command], Command]:
    """Returns `--set`: settings of the model.

    Args:
        more: What else its help says.
    """
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"A setting of the model, such as units=32; may be repeated.{more} `models --json` "
        "lists them.",
    )


set_option = set_option_of()

# All of `train` and `compare`.
training_options = _together(
    source_options,
    options_of(DataOptions, without=("seed",)),
    set_option,
    options_of(TrainOptions, without=tuple(DataOptions.about())),
    options_of(DataOptions, only=("seed",)),
)

seed_option = options_of(DataOptions, only=("seed",))

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


def config(
    models: Sequence[str], settings: Sequence[str], *, several: bool = False
) -> dict[str, Any]:
    """Turns `KEY=VALUE` settings into a config of the types that the models' fields have.

    Args:
        models: Names of the models; none for all.
        settings: As the user wrote them.
        several: `KEY=VALUE,VALUE` is a list of values.

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
        kind, check = fields[key].kind, fields[key].check
        if several and "," in text:
            values[key] = [check(_value(kind, one.strip())) for one in text.split(",")]
        else:
            values[key] = check(_value(kind, text))
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
