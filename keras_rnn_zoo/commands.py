"""Commands of other packages: announced in the entry-point group `keras_rnn_zoo.commands`."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from keras_rnn_zoo.errors import ZooError
from keras_rnn_zoo.registry import demand, load_plugin

GROUP = "keras_rnn_zoo.commands"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@cache
def announced() -> dict[str, EntryPoint]:
    """Returns command name -> where it is, of all installed packages; nothing is imported."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load(name: str) -> click.Command:
    """Returns a command that another package announces.

    Raises:
        PluginError: It cannot be loaded.
        ConfigError: It lacks something.
    """
    command: click.Command = load_plugin("command", announced()[name])
    check(name, command)
    return command


def load_or_explain(name: str) -> click.Command:
    """Returns the command; one that is broken as a command that says so, beside all others."""
    try:
        return load(name)
    except ZooError as error:
        return _broken(name, error)


def check(name: str, command: object) -> None:
    """Refuses what is no command.

    Raises:
        ConfigError: The message says what it lacks.
    """
    is_command = isinstance(command, click.Command)
    options = [one for one in getattr(command, "params", ()) if isinstance(one, click.Option)]
    silent = [one.opts[-1] for one in options if not getattr(one, "help", None)]
    demand(
        "command",
        command,
        {
            "the type click.Command": is_command,
            "a name of lower-case letters, digits and dashes, such as 'my-command'": bool(
                NAME.fullmatch(name)
            ),
            "a short_help or a docstring": not is_command
            or bool(getattr(command, "short_help", None) or getattr(command, "help", None)),
            f"the help of {', '.join(silent)}": not silent,
        },
    )


def _broken(name: str, error: ZooError) -> click.Command:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return click.Command(
        name,
        callback=fail,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        short_help=f"Cannot be used: {error}",
        help=str(error),
        context_settings={"ignore_unknown_options": True},
    )
