"""What is registered for exports keeps what `keras_rnn_zoo.testing` asks of any plug-in."""

from __future__ import annotations

import numpy as np
import pytest

from keras_rnn_zoo.export import LOWERINGS, QUANTIZATIONS, TARGETS
from keras_rnn_zoo.export.formats import FORMATS
from keras_rnn_zoo.export.lowering import Lowering, register_lowering
from keras_rnn_zoo.testing.export import (
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
    check_quantization(name)


@pytest.mark.parametrize("name", TARGETS.names())
def test_target(name):
    check_target(name)


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
