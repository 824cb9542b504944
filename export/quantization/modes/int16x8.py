"""int8 weights with activations of 16 bits, for microcontrollers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from keras_rnn_zoo.export.quantization.modes.int8 import Int8
from keras_rnn_zoo.export.quantization.quantization import one_place, register_quantization
from keras_rnn_zoo.export.quantization.whole import INT16X8, in_integers
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite import micro
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.verify.tolerance import Tolerance


@register_quantization("int16x8")
class Int16x8(Int8):
    """Weights of 8 bits, everything that passes between ops of 16, biases of 64.

    The size of int8 and nearly the answers of float32, for twice the RAM. TensorFlow's converter
    refuses the LSTM op in these types and LiteRT does not run it, so such a file is proven in
    tflite-micro itself, and not written where that is not installed.
    """

    file_name = "model_int16x8.tflite"
    description = "int8 weights, int16 activations: nearly as exact as dynamic, in integers"
    tolerance = Tolerance(
        average=0.15,
        high=0.75,
        changed=0.03,
        lost=1.0,
        increase=0.1,
        times=3,
        least=1e-2,
        reason="weights are rounded to 1/127 of their largest value, activations to 1/32767. "
        "Measured: 0.2 to 1.4 times what the Keras model makes of such weights",
    )
    integer_type = "int16"
    integer_products = False
    targets: ClassVar[tuple[str, ...]] = ("micro",)

    def check_available(self) -> None:
        """Refuses to write what cannot be proven here."""
        micro.needed("Quantization 'int16x8'")

    def apply(
        self, model: fb.Model, content: bytes, calibration: Sequence[Arrays], integer_io: bool
    ) -> None:
        """Calibrates the file, and has it compute in integers throughout."""
        in_integers(model, content, calibration, integer_io, INT16X8)

    def disturbed_input(self, values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Moves floats by one unit in the last place: 16 bits are fine enough."""
        return one_place(values, generator)
