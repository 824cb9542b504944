"""What every command has to do."""

from __future__ import annotations

import subprocess
import sys

import click

from keras_rnn_zoo.cli import find_command
from keras_rnn_zoo.commands import announced, check, load
from keras_rnn_zoo.testing.claims import claim, working

HEAVY = ("tensorflow", "keras", "keras_tuner", "sklearn")

# The command line as it is installed; says which large packages a help text took.
_PROGRAM = f"""
import sys
from keras_rnn_zoo.cli import main
code = main([sys.argv[1], "--help"])
print("heavy:", *[name for name in {HEAVY!r} if name in sys.modules])
sys.exit(code)
"""


def check_command(command: str | click.Command) -> None:
    """Checks a command: it explains itself at once, and refuses wrong options in its own words.

    Args:
        command: Its name on the command line, or the `click.Command`.

    Raises:
        AssertionError: The sentence says what is wrong.
    """
    name = command if isinstance(command, str) else getattr(command, "name", None) or "?"
    who = f"The command '{name}'"
    with working(f"Registering the command '{name}'"):
        if not isinstance(command, str):
            found = command
        else:
            found = load(command) if command in announced() else find_command(command)
        check(name, found)
    context = click.Context(found, info_name=name)
    with working(f"{who}: its help"):
        text = found.get_help(context)
    claim(text.startswith("Usage:"), f"{who} has a help text of its own that says no usage.")
    try:
        found.make_context(name, ["--no-such-option-anywhere"])
    except click.UsageError:
        pass
    except BaseException as error:
        raise AssertionError(
            f"{who} answers an option that it does not have with {type(error).__name__}. It has to "
            "raise a click.UsageError, as click does by itself."
        ) from error
    else:
        raise AssertionError(f"{who} accepts an option that it does not have.")
    if isinstance(command, str):
        _check_start(name, who)


def _check_start(name: str, who: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, name], capture_output=True, text=True, timeout=120
    )
    claim(done.returncode == 0, f"{who} --help fails: {done.stderr.strip()[-200:]}")
    *lines, heavy = done.stdout.splitlines()
    claim(bool(lines) and lines[0].startswith("Usage:"), f"{who} --help prints no usage.")
    claim(
        heavy == "heavy:",
        f"{who} imports {heavy.removeprefix('heavy: ')} to say its help. Import that in the "
        "function.",
    )
