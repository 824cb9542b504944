"""What is registered for exports keeps what `keras_rnn_zoo.testing` asks of any plug-in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keras_rnn_zoo.errors import ConfigError, ZooError
from keras_rnn_zoo.export import LOWERINGS, QUANTIZATIONS, TARGETS
from keras_rnn_zoo.export.clients import CLIENTS
from keras_rnn_zoo.export.clients.client import installed
from keras_rnn_zoo.export.formats import FORMATS
from keras_rnn_zoo.export.lowering import Lowering, register_lowering
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.testing.export import (
    check_client,
    check_format,
    check_lowering,
    check_quantization,
    check_target,
)


@pytest.mark.parametrize("name", LOWERINGS.names())
def test_lowering(name):
    check_lowering(name)


@pytest.mark.parametrize("name", QUANTIZATIONS.names())
def test_quantization(name):
    try:
        QUANTIZATIONS.get(name).check_available()
    except ZooError as error:
        pytest.skip(str(error))
    check_quantization(name)


@pytest.mark.parametrize("name", TARGETS.names())
def test_target(name):
    check_target(name)


@pytest.mark.parametrize("name", CLIENTS.names())
def test_client(name):
    if not installed(CLIENTS.get(name)):
        check_client(name)
        pytest.skip(f"{name} is not installed: {CLIENTS.get(name).install_line()}")
    check_client(name)


@pytest.mark.parametrize("name", FORMATS.names())
def test_format(name):
    check_format(name)


def test_a_lowering_that_computes_something_else_is_noticed():
    loop = LOWERINGS.get("loop")

    @register_lowering("a_little_off")
    class ALittleOff(Lowering):
        description = "as the loop, and one in ten thousand more"

        def run(self, cell, sequence):
            result = loop.run(cell, sequence)
            return type(result)(result.output * np.float32(1.0001), result.states)

    try:
        with pytest.raises(AssertionError, match="computes something else than Keras of an LSTM"):
            check_lowering("a_little_off")
    finally:
        LOWERINGS.unregister("a_little_off")


def test_a_quantization_that_rounds_more_than_it_says_is_noticed():
    from keras_rnn_zoo.export import register_quantization

    float16 = type(QUANTIZATIONS.get("float16"))

    @register_quantization("too_coarse")
    class TooCoarse(float16):
        file_name = "model_too_coarse.tflite"

        def apply(self, model, content, calibration, integer_io):
            super().apply(model, content, calibration, integer_io)
            halves = {
                tensor.buffer
                for graph in model.subgraphs
                for tensor in graph.tensors
                if tensor.type == fb.schema.TensorType.FLOAT16
            }
            for number in halves:
                data = np.frombuffer(bytes(model.buffers[number].data), np.float16)
                data = (data * np.float16(0.9)).tobytes()
                model.buffers[number].data = np.frombuffer(data, np.uint8)

    try:
        with pytest.raises(AssertionError, match="Quantization 'too_coarse' of an LSTM fails"):
            check_quantization("too_coarse")
    finally:
        QUANTIZATIONS.unregister("too_coarse")


def test_a_target_that_takes_what_it_says_it_does_not_is_noticed():
    from keras_rnn_zoo.export.targets import Target, register_target

    @register_target("takes_all")
    class TakesAll(Target):
        description = "says that it takes one subgraph, and takes any number"
        accepted = ("unrolled",)
        one_subgraph = True

        def refuses(self, info):
            return None

    try:
        with pytest.raises(AssertionError, match="'takes_all' takes it, and has to refuse"):
            check_target("takes_all")
    finally:
        TARGETS.unregister("takes_all")


def test_a_format_that_compares_nothing_is_noticed():
    from keras_rnn_zoo.export.formats import register_format

    saved_model = type(FORMATS.get("saved_model"))

    @register_format("trusting")
    class Trusting(saved_model):
        def compare(self, path, reference):
            # Held against itself, whatever it answers.
            answers = self.serve(path)(reference.x)
            return super().compare(path, replace(reference, answers=answers, logits={}))

    try:
        with pytest.raises(AssertionError, match="'trusting' takes wrong answers"):
            check_format("trusting")
    finally:
        FORMATS.unregister("trusting")


@pytest.mark.parametrize(
    ("body", "lacks"),
    [
        ({"description": "d"}, "lacks the method run"),
        ({"run": lambda *_: None}, "lacks a description of one line"),
        ({"run": lambda *_: None, "description": "two\nlines"}, "lacks a description of one line"),
    ],
    ids=["no method", "no description", "two lines"],
)
def test_what_a_lowering_lacks_is_said_when_it_is_registered(body, lacks):
    with pytest.raises(ConfigError, match=f"What you registered as a lowering {lacks}"):
        register_lowering("unfinished")(type("Unfinished", (Lowering,), body))
    assert "unfinished" not in LOWERINGS
