"""float32 throughout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_rnn_zoo.export.quantization.quantization import (
    Quantization,
    one_place,
    register_quantization,
)
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import Weight
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.verify.tolerance import Tolerance


@register_quantization("none")
class NoQuantization(Quantization):
    """The weights and the arithmetic of the Keras model."""

    file_name = "model.tflite"
    description = "float32 weights and arithmetic"
    by_chance = True
    tolerance = Tolerance(
        average=0.1,
        high=0.5,
        changed=0.001,
        lost=0.1,
        increase=0.01,
        times=12,
        least=1e-5,
        reason="the same float32 arithmetic in another order, over hundreds of steps. Measured: "
        "0.6 to 5 times what one unit in the last place of the weights does",
    )

    def quantized(self, content: bytes, calibration: Sequence[Arrays], integer_io: bool) -> bytes:
        """Returns the file as it is."""
        return content

    def apply(
        self, model: fb.Model, content: bytes, calibration: Sequence[Arrays], integer_io: bool
    ) -> None:
        """Leaves the file as it is."""

    def disturbed(self, weight: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Moves each weight by one unit in its last place, up or down."""
        # Of a narrower type that place is no rounding of float32, which the file computes in.
        return one_place(weight, generator) if weight.dtype == np.float32 else weight

    def why_float32(self, weight: Weight) -> None:
        """Nothing to say: float32 is the mode."""
