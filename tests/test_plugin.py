"""The example plug-in, installed beside the product: what it announces is there, and works."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent.parent / "examples" / "plugin"
ANNOUNCED = """
from keras_rnn_zoo import list_models
from keras_rnn_zoo.cli._group import cli
from keras_rnn_zoo.data import DATASETS
from keras_rnn_zoo.export import CLIENTS, FORMATS, LOWERINGS, QUANTIZATIONS, TARGETS
from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS
from keras_rnn_zoo.tuner import ENGINES, TUNERS

assert "causal_conv_gru" in list_models()
assert "sqlite" in DATASETS and "graphemes" in TOKENIZERS
assert "stepwise" in LOWERINGS and "compressible" in QUANTIZATIONS
assert "my_app" in TARGETS and "reference_kernels" in CLIENTS
assert "keras_archive" in FORMATS
assert "defaults" in TUNERS and "inline" in ENGINES
assert "layers" in cli.list_commands(None)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Runs a command of Python where the plug-in is installed."""
    # Not imported: setuptools does not bear it where distutils is loaded already.
    for tool in ("pip", "setuptools"):
        if importlib.util.find_spec(tool) is None:
            pytest.skip(f"{tool} is not installed")
    place = tmp_path_factory.mktemp("plugin")
    # Building leaves traces beside the sources.
    shutil.copytree(PLUGIN, place / "source")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", place / "installed"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, place / "source"], check=True)
    environment = os.environ | {"PYTHONPATH": str(place / "installed")}

    def run(*command):
        return subprocess.run(
            [sys.executable, *command],
            env=environment,
            cwd=place,
            capture_output=True,
            text=True,
        )

    return run


def conformance(run, *options):
    return run("-m", "pytest", "-q", "-p", "no:cacheprovider", *options, PLUGIN / "tests")


def test_all_that_it_announces_is_found(installed):
    result = installed("-c", ANNOUNCED)
    assert result.returncode == 0, result.stderr


def test_what_takes_no_conversion_passes_its_conformance_suite(installed):
    result = conformance(installed, "-k", "command or tokenizer or dataset")
    assert result.returncode == 0 and "3 passed" in result.stdout, result.stdout


@pytest.mark.slow
def test_everything_passes_its_conformance_suite(installed):
    result = conformance(installed)
    assert result.returncode == 0 and "11 passed" in result.stdout, result.stdout
