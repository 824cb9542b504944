"""The command line: a file per command, each a thin shell over a public function.

A new module of this package whose name does not start with an underscore is a new command; it
holds a `click.Command` called `command`. Other packages announce theirs in the entry-point group
`keras_rnn_zoo.commands`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def find_command(name: str) -> click.Command:
    """Returns a command by its name, a plug-in's as well.

    Raises:
        UnknownNameError: There is none.
    """
    from keras_rnn_zoo.cli._group import cli
    from keras_rnn_zoo.errors import UnknownNameError, listed, nearest

    command = cli.get_command(None, name)
    if command is None:
        known = cli.list_commands(None)
        raise UnknownNameError(
            f"Unknown command: {name!r}.{nearest(name, known)} Known: {listed(known)}."
        )
    return command


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        args: What follows `keras-rnn-zoo`. None takes the process' own arguments, and sets the
            process up: signals, the environment of TensorFlow, and what reaches stderr.

    Returns:
        The exit code: 0, 1 for what the data or files are to blame for, 2 for wrong usage, 130
        after Ctrl-C.
    """
    # Imported here, so that Ctrl-C during an import is handled like at any other moment.
    try:
        from keras_rnn_zoo.cli import _process

        return _process.run(args)
    except KeyboardInterrupt:
        return 130
