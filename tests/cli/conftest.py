"""What the tests of the command line share: a way to run it, a tiny run and a tiny bundle."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

# `command_line` is a plain module beside the tests; importlib mode adds no directory by itself.
sys.path.insert(0, str(Path(__file__).parent))
from command_line import TINY, Answer, words, write_reviews

from keras_rnn_zoo.cli import main


@pytest.fixture
def zoo(capsys):
    """Runs the command line in this process."""

    def run(command) -> Answer:
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = main(words(command))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def reviews(tmp_path_factory) -> Path:
    """A table of 32 tiny reviews."""
    return write_reviews(tmp_path_factory.mktemp("data") / "reviews.csv")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, reviews) -> Path:
    """A run, as `train` leaves it."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    assert main(words(f"train lstm --data {reviews} {TINY} -o {directory}")) == 0
    return directory


@pytest.fixture(scope="session")
def exported(tmp_path_factory, trained) -> Path:
    """A bundle of a float32 and an int8 file, as `export` leaves it."""
    directory = tmp_path_factory.mktemp("exported") / "bundle"
    options = "--format tflite --quantization none,int8 --samples-count 8"
    command = f"export {trained} {options} -o {directory}"
    assert main(words(command)) == 0
    return directory
