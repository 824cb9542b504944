"""The group of commands: found by file name or entry point, imported when needed, forgiving."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any, NoReturn

import click

from keras_rnn_zoo import commands
from keras_rnn_zoo.cli._program import PROGRAM
from keras_rnn_zoo.errors import listed, nearest

# The way that a model goes; a command that is not listed comes last.
_ORDER = (
    "models",
    "train",
    "compare",
    "search",
    "export",
    "verify",
    "clients",
    "benchmark",
    "predict",
    "stream",
    "demo",
    "quickstart",
)


def _short_help(name: str) -> str | None:
    """Returns what a command of ours says of itself: read in its file, of which nothing is run.

    To list commands takes the import of none, and with them of most of the package.
    """
    source = Path(__file__).with_name(f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "short_help":
            text = ast.literal_eval(node.value)
            return str(text)
    return None


def _own() -> list[str]:
    """Returns the names of the commands that are modules beside this one."""
    return [
        module.name.replace("_", "-")
        for module in pkgutil.iter_modules([str(Path(__file__).parent)])
        if not module.name.startswith("_")
    ]


class Commands(click.Group):
    """A group whose commands are the modules of `keras_rnn_zoo.cli`, and those of plug-ins."""

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        """Returns the names of the commands, in the order in which they are used."""
        place = {name: i for i, name in enumerate(_ORDER)}
        names = {*_own(), *commands.announced()}
        return sorted(names, key=lambda name: (place.get(name, len(place)), name))

    def get_command(self, ctx: click.Context | None, name: str) -> click.Command | None:
        """Imports and returns a command, or None if there is none of that name."""
        if name not in _own():
            return commands.load_or_explain(name) if name in commands.announced() else None
        module = importlib.import_module(f"keras_rnn_zoo.cli.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands, and the plug-ins whose name is taken."""
        names = self.list_commands(ctx)
        limit = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._said_of(ctx, name, limit)) for name in names])
        taken = sorted(set(_own()) & set(commands.announced()))
        for name in taken:
            formatter.write_paragraph()
            formatter.write_text(
                f"The plug-in {commands.announced()[name].value} is left out: the command "
                f"'{name}' is {PROGRAM}'s own. Rename it."
            )

    def _said_of(self, ctx: click.Context, name: str, limit: int) -> str:
        """Returns the line about a command in the list of them."""
        text = _short_help(name) if name in _own() else None
        if text is not None:
            return text
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(limit)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command that the first argument names; names the nearest if there is none."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            known = self.list_commands(ctx)
            raise click.UsageError(
                f"Unknown command: {name!r}.{nearest(name, known)} Known: {listed(known)}.", ctx
            )
        return super().resolve_command(ctx, args)


def usage_message(error: click.UsageError) -> str:
    """Returns one line: what is wrong, what was probably meant, where to read more."""
    ctx = error.ctx
    message = error.format_message()
    if isinstance(error, click.NoSuchOption) and ctx is not None:
        options = [name for p in ctx.command.get_params(ctx) for name in p.opts if "--" in name]
        message = f"No such option: {error.option_name}.{nearest(error.option_name, options)}"
    elif isinstance(error, click.MissingParameter) and error.param is not None:
        message = _missing(error.param)
    elif isinstance(error, click.BadParameter) and isinstance(
        getattr(error.param, "type", None), click.Choice
    ):
        message = message.rstrip(".") + "."
        received = re.search(r": '([^']*)' is not", message)
        if received and error.param is not None:
            message += nearest(received[1], getattr(error.param.type, "choices", ()))
    if not message.endswith((".", "?")):
        message += "."
    path = ctx.command_path if ctx is not None else PROGRAM
    return f"{message} See: {path} --help"


def _missing(param: click.Parameter) -> str:
    if isinstance(param, click.Argument):
        return f"{param.make_metavar(_context())} is missing."
    names = " or ".join(sorted(param.opts, key=len, reverse=True))
    return f"{names} is missing: {getattr(param, 'help', None) or 'give a value'}"


def _context() -> click.Context:
    return click.Context(cli)


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"{PROGRAM} {version('keras-rnn-zoo')}")
        ctx.exit()


def fail(message: str) -> NoReturn:
    """Refuses a combination of arguments.

    Raises:
        click.UsageError: Always; with the current command's name.
    """
    raise click.UsageError(message, click.get_current_context())


_SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "show_default": True,
}


@click.group(
    cls=Commands,
    context_settings=_SETTINGS,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Small recurrent models for a phone or a microcontroller, the whole way: train or search them
    with Keras and KerasTuner, export them to TFLite and SavedModel, and verify the files.

    \b
    A first look, in about a minute:
      keras-rnn-zoo quickstart
    On your own reviews:
      keras-rnn-zoo train bilstm --data reviews.csv -o runs/bilstm
      keras-rnn-zoo export runs/bilstm -o bundle
      keras-rnn-zoo predict bundle "a wonderful, moving film"
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
