"""Commands of other packages: found, listed, used; a broken one costs itself only."""

from __future__ import annotations

import sys
import textwrap

import pytest

from keras_rnn_zoo import commands
from keras_rnn_zoo.errors import UnknownNameError
from keras_rnn_zoo.testing import check_command

CODE = """
import click

@click.command("parameters", short_help="Count the parameters of a model.")
@click.argument("model")
@click.option("--twice", is_flag=True, help="Say it twice.")
def command(model, twice):
    "Count the parameters of MODEL."
    click.echo(f"{model} {twice}")

@click.command()
def mute():
    pass

boom = 3
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs another package that announces commands, for the time of a test."""

    def package(points, code=CODE):
        (tmp_path / "other_commands.py").write_text(textwrap.dedent(code))
        metadata = tmp_path / "other_commands-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Name: other-commands\nVersion: 1.0\n")
        lines = "\n".join(f"{name} = {value}" for name, value in points.items())
        (metadata / "entry_points.txt").write_text(f"[{commands.GROUP}]\n{lines}\n")
        monkeypatch.syspath_prepend(tmp_path)
        commands.announced.cache_clear()

    yield package
    sys.modules.pop("other_commands", None)
    commands.announced.cache_clear()


def test_another_package_brings_a_command(zoo, install):
    install({"parameters": "other_commands:command"})
    assert zoo("parameters lstm --twice").out == "lstm True\n"
    lines = zoo("--help").out.splitlines()
    (line,) = (line for line in lines if line.strip().startswith("parameters"))
    assert "Count the parameters of a model." in line
    assert "Did you mean 'parameters'?" in zoo("paramters lstm").error
    assert "Did you mean '--twice'?" in zoo("parameters lstm --twise").error
    check_command(commands.load("parameters"))


def test_a_broken_plug_in_is_one_line_and_breaks_no_other_command(zoo, install):
    install(
        {
            "gone": "other_commands:nothing",
            "three": "other_commands:boom",
            "mute": "other_commands:mute",
            "parameters": "other_commands:command",
        }
    )
    for command, says in {
        "gone": "command plug-in 'gone' of other-commands (other_commands:nothing) cannot be loade",
        "three --with anything": "registered as a command lacks the type click.Command",
        "mute": "lacks a short_help or a docstring",
    }.items():
        answer = zoo(command)
        assert answer.code == 1
        assert says in answer.error
    assert zoo("parameters gru").out == "gru False\n"
    answer = zoo("--help")
    assert answer.code == 0
    assert "train " in answer.out and "Cannot be used: The command plug-in" in answer.out
    with pytest.raises(AssertionError, match=r"cannot be loaded"):
        check_command("gone")


def test_a_package_that_cannot_be_imported_is_named_with_the_reason(zoo, install):
    install({"broken": "other_commands:command"}, code="1 / 0")
    answer = zoo("broken x --y 3")
    assert answer.code == 1
    assert "ZeroDivisionError: division by zero. Repair or uninstall other-commands" in answer.error


def test_our_own_commands_keep_their_names(zoo, install):
    install({"models": "other_commands:command"})
    assert zoo("models lstm").out.splitlines()[1].startswith("lstm")
    listed = " ".join(zoo("--help").out.split())
    assert "The plug-in other_commands:command is left out: the command 'models' is" in listed


def test_a_command_is_found_by_name_or_not_at_all():
    from keras_rnn_zoo.cli import find_command

    assert find_command("train").name == "train"
    with pytest.raises(UnknownNameError, match=r"Did you mean 'train'\? Known: 'models'"):
        find_command("trian")
