import inspect
import json
import subprocess
import sys
import warnings
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from keras_rnn_zoo.errors import ConfigError, UnknownNameError
from keras_rnn_zoo.options import (
    Options,
    choice,
    flag,
    number,
    one_of,
    option,
    optional,
    some_of,
    takes,
    text,
    whole,
)

NAMES = ["int8", "float16"]


@dataclass(frozen=True, kw_only=True)
class Base(Options):
    """Shared by several."""

    seed: int = option(0, "Of every random choice.", whole(most=9))


@dataclass(frozen=True, kw_only=True)
class Baking(Base):
    """One of each kind of check."""

    SCHEMA = 2
    RENAMED: ClassVar = {"quantize": "quantization"}

    size: int | None = option(None, "How large.", optional(whole(least=1)))
    rate: float = option(0.5, "How fast.", number(above=0, below=1))
    fresh: bool = option(False, "Whether it is.", flag)
    name: str = option("a", "What it is called.", text)
    side: str = option("post", "Where.", choice("post", "pre"))
    quantization: str = option("int8", "Which mode.", one_of(lambda: NAMES))
    modes: tuple[str, ...] = option(("int8",), "Which modes.", some_of(lambda: NAMES, "mode"))
    anything: object = option(None, "Not checked.")


def test_defaults_are_checked_and_options_cannot_be_changed():
    options = Baking()
    assert options.keywords() == {
        "seed": 0,
        "size": None,
        "rate": 0.5,
        "fresh": False,
        "name": "a",
        "side": "post",
        "quantization": "int8",
        "modes": ("int8",),
        "anything": None,
    }
    with pytest.raises(FrozenInstanceError):
        options.rate = 0.1
    assert options.replace(rate=0.25) == Baking(rate=0.25) != options
    with pytest.raises(ConfigError, match=r"rate"):
        options.replace(rate=2)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"size": np.int64(3)}, 3),
        ({"rate": np.float32(0.25)}, 0.25),
        ({"fresh": np.bool_(True)}, True),
        ({"modes": "float16"}, ("float16",)),
        ({"modes": ["float16", "int8", "float16"]}, ("float16", "int8")),
    ],
    ids=str,
)
def test_what_means_the_same_is_kept_as_one_plain_value(given, kept):
    (name,) = given
    value = getattr(Baking(**given), name)
    assert value == kept and type(value) is type(kept)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"size": 0}, ConfigError, "size is a whole number of at least 1. Received: 0"),
        ({"size": 2.5}, ConfigError, "whole number"),
        ({"size": True}, ConfigError, "Received: True"),
        ({"size": np.zeros(3)}, ConfigError, "Received: array"),
        ({"seed": 10}, ConfigError, "seed is a whole number from 0 to 9. Received: 10"),
        ({"rate": 1}, ConfigError, "rate is a number above 0 and below 1. Received: 1"),
        ({"rate": float("nan")}, ConfigError, "Received: nan"),
        ({"rate": True}, ConfigError, "Received: True"),
        ({"rate": 10**400}, ConfigError, "rate is a number"),
        ({"rate": "fast"}, ConfigError, "Received: 'fast'"),
        ({"fresh": 1}, ConfigError, "fresh is True or False. Received: 1"),
        ({"name": 3}, ConfigError, "name is a text. Received: 3"),
        ({"side": "psot"}, ConfigError, "side is 'post' or 'pre'.* Did you mean 'post'"),
        ({"side": ["post"]}, ConfigError, "side is 'post' or 'pre'"),
        (
            {"quantization": "int9"},
            UnknownNameError,
            r"Unknown quantization: 'int9'\. Did you mean 'int8'\? Known: 'int8', 'float16'",
        ),
        ({"modes": ["int8", "int9"]}, UnknownNameError, "Unknown mode: 'int9'"),
        ({"modes": []}, ConfigError, "Choose at least one mode: 'int8', 'float16'"),
        ({"modes": 5}, UnknownNameError, "Unknown mode: 5"),
        ({"modes": None}, UnknownNameError, "Unknown mode: None"),
        ({"sise": 3}, ConfigError, r"Unknown option: 'sise'\. Did you mean 'size'\? Known: 'seed'"),
    ],
    ids=str,
)
def test_a_value_that_is_not_allowed_is_one_line_that_says_what_is(given, error, message):
    with pytest.raises(error, match=message) as caught:
        Baking.of(given)
    assert "\n" not in str(caught.value)


def test_a_number_without_limits_is_still_finite():
    assert number()("x", -3) == -3.0
    with pytest.raises(ConfigError, match=r"x is a finite number\. Received: inf"):
        number()("x", float("inf"))


def test_an_old_name_answers_with_a_word_and_not_beside_the_new_one():
    with pytest.warns(FutureWarning, match=r"quantize is called quantization now"):
        assert Baking.of({"quantize": "float16"}).quantization == "float16"
    with pytest.raises(ConfigError, match=r"'quantization' is said twice, once as 'quantize'"):
        Baking.of({"quantization": "int8", "quantize": "int8"})


def test_options_go_to_json_and_back():
    options = Baking(size=3, modes=["float16"], anything={"place": Path("a") / "b"})
    written = json.loads(json.dumps(options.to_dict()))
    assert written["schema"] == 2
    assert written["modes"] == ["float16"] and written["anything"] == {"place": "a/b"}
    assert Baking.from_dict(written) == options.replace(anything={"place": "a/b"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nobody chose the old name today
        old = Baking.from_dict({"schema": 1, "quantize": "float16"})
    assert old == Baking(quantization="float16")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"schema": 3}, "version 3, and this keras-rnn-zoo reads up to 2. Install a newer"),
        ({"schema": "2"}, "version '2'"),
        ({"schema": True}, "version True"),
        ({"schema": 0}, "version 0"),
        ({"sise": 3}, "Unknown option"),
        ([3], "are a JSON object"),
    ],
    ids=str,
)
def test_options_of_a_newer_version_or_damaged_ones_are_refused(written, message):
    with pytest.raises(ConfigError, match=message):
        Baking.from_dict(written)


def test_options_of_a_base_class_are_a_part():
    assert Base.part_of(Baking(seed=7)) == Base(seed=7)


def test_a_field_that_is_no_option_is_the_authors_mistake():
    @dataclass(frozen=True, kw_only=True)
    class Bare(Options):
        size: int = 3

    with pytest.raises(TypeError, match=r"option\(\.\.\.\)`\. Received: 'size'"):
        Bare()


def test_the_names_of_a_registry_are_looked_up_when_they_are_asked_for(monkeypatch):
    about = Baking.about()
    assert about["quantization"].choices == ("int8", "float16")
    assert not about["quantization"].choices_are_fixed
    assert about["side"].choices_are_fixed and about["side"].choices == ("post", "pre")
    assert about["rate"].choices is None and not about["rate"].choices_are_fixed
    monkeypatch.setitem(globals(), "NAMES", ["new"])
    assert about["quantization"].choices == about["modes"].choices == ("new",)
    assert Baking.of({"quantization": "new", "modes": "new"}).quantization == "new"


@takes(Baking)
def bake(cake, *, oven=None, **options):
    """Bakes a cake.

    Args:
        cake: What to bake.
        oven: Where.

    Returns:
        The cake.
    """
    return Baking.of(options)


def test_a_function_shows_its_options_in_signature_and_documentation():
    parameters = inspect.signature(bake).parameters
    assert list(parameters)[:4] == ["cake", "oven", "seed", "size"]
    assert parameters["rate"].default == 0.5
    assert all(one.kind is one.KEYWORD_ONLY for one in list(parameters.values())[1:])
    documentation = inspect.getdoc(bake)
    assert "    rate: How fast.\n" in documentation
    assert documentation.index("oven: Where") < documentation.index("rate: ")
    assert documentation.index("rate: ") < documentation.index("Returns:\n")
    assert bake("plum", rate=0.25).rate == 0.25


def test_the_options_of_training_say_the_same_without_tensorflow_or_numpy():
    code = (
        "import sys, json\n"
        "from keras_rnn_zoo import TrainOptions\n"
        "options = TrainOptions(epochs=2, task='binary')\n"
        "assert TrainOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options\n"
        "heavy = {'tensorflow', 'keras', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
