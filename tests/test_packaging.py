"""What is installed is what the tree holds, and the documents say what is true."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import keras_rnn_zoo
from keras_rnn_zoo.cli._group import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_the_version_is_said_once_and_is_that_of_the_changelog(setup):
    declared = setup["metadata"]["version"]
    assert version("keras-rnn-zoo") == declared
    assert keras_rnn_zoo.__version__ == declared
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(declared)}\]", changelog, re.MULTILINE)


def test_the_console_script_is_installed():
    (script,) = entry_points(group="console_scripts", name="keras-rnn-zoo")
    assert script.load() is keras_rnn_zoo.cli.main


def test_pyproject_holds_the_build_backend_only():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r"^\[(.*)\]$", text, re.MULTILINE) == ["build-system"]


def test_every_template_is_packaged(setup):
    declared = setup["options.package_data"]
    for package in ("keras_rnn_zoo.export.app", "keras_rnn_zoo.export.bundle"):
        folder = ROOT / package.removeprefix("keras_rnn_zoo.").replace(".", "/")
        patterns = [pattern.strip() for pattern in declared[package].split(",")]
        packaged = {path for pattern in patterns for path in folder.glob(pattern)}
        templates = {path for path in (folder / "templates").rglob("*") if path.is_file()}
        assert templates - packaged == set() != templates


def test_every_folder_with_code_is_a_declared_package(setup):
    declared = set(setup["options"]["packages"].split())
    roots = {"keras_rnn_zoo": "keras_rnn_zoo"}
    roots |= {name: f"keras_rnn_zoo.{name}" for name in ("tuner", "export")}
    found = set()
    for folder, package in roots.items():
        for module in (ROOT / folder).rglob("*.py"):
            inner = module.parent.relative_to(ROOT / folder).parts
            found.add(".".join((package, *inner)))
    assert declared == found


def test_every_package_says_that_it_is_typed():
    assert (ROOT / "keras_rnn_zoo" / "py.typed").is_file()


def test_the_licence_is_the_unchanged_apache_licence():
    # Of https://www.apache.org/licenses/LICENSE-2.0.txt
    expected = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == expected


def test_importing_the_package_imports_neither_tensorflow_nor_keras():
    program = """
import sys
import keras_rnn_zoo, keras_rnn_zoo.tuner, keras_rnn_zoo.export
from keras_rnn_zoo import list_models
from keras_rnn_zoo.tuner import TUNERS
from keras_rnn_zoo.export import LOWERINGS, QUANTIZATIONS
from keras_rnn_zoo.data import DATASETS
assert all([list_models(), TUNERS.names(), LOWERINGS.names(), QUANTIZATIONS.names()])
assert DATASETS.names()
heavy = {"tensorflow", "keras", "keras_tuner", "ai_edge_litert", "sklearn", "matplotlib"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# ---------------------------------------------------------------------- documents


def commands(document: str) -> list[str]:
    """The `keras-rnn-zoo` lines of the shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("keras-rnn-zoo ")]


@pytest.mark.parametrize("line", commands(README))
def test_every_command_of_the_readme_parses(line):
    _, name, *args = shlex.split(line, comments=True)
    command = cli.get_command(None, name)
    assert command is not None, f"no command {name}"
    command.make_context(name, args)


def test_the_readme_uses_every_command_and_names_every_model():
    words = README.split()
    assert [name for name in cli.list_commands(None) if name not in words] == []
    assert [name for name in keras_rnn_zoo.list_models() if f"`{name}`" not in README] == []


def test_the_python_of_the_documents_compiles():
    for document in (README, CONTRIBUTING):
        for block in re.findall(r"```python\n(.*?)```", document, re.DOTALL):
            compile(block, "document", "exec")


def test_links_of_the_documents_lead_somewhere():
    for document in (README, CONTRIBUTING):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document):
            assert (ROOT / target).exists(), target


def marked(name: str) -> str:
    (block,) = re.findall(rf"<!-- {name} -->\n```sh\n(.*)\n```\n<!-- end -->", README)
    return block


def test_the_readme_sets_up_and_runs_in_one_line_each():
    ends_of = {"quickstart": "keras-rnn-zoo quickstart", "test": "pytest -n 2 --dist loadfile"}
    for name, ends in ends_of.items():
        assert marked(name).startswith("python3 -m venv .venv && ")
        assert marked(name).endswith(f".venv/bin/{ends}")


def test_ci_runs_the_test_command_of_the_readme():
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    (extract,) = re.findall(r"^command=\$\((.*)\)$", text, re.MULTILINE)
    found = subprocess.run(
        ["bash", "-c", extract], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == marked("test")
    assert 'bash -euo pipefail -c "$command"' in text


def test_no_document_holds_a_path_of_somebodys_machine():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "setup.cfg", ".ci/run"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"/(home|Users|root|tmp)/\w", text), name
