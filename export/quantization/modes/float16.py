"""float16 weights, float32 arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from keras_rnn_zoo.export.lowering import HALF, Products
from keras_rnn_zoo.export.quantization.quantization import Quantization, register_quantization
from keras_rnn_zoo.export.quantization.weights import FEWEST, Graph, through_dequantize
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import Weight
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.verify.tolerance import Tolerance

LARGEST = float(np.finfo(np.float16).max)


@register_quantization("float16")
class Float16(Quantization):
    """Weights are stored as float16, half the size, and computed with as float32.

    Biases stay in float32: XNNPACK of the runtimes 2.8 to 2.17 misreads one that is dequantized in
    front of an ADD, and one of 990 would lose half a unit.
    """

    file_name = "model_float16.tflite"
    products: ClassVar[Products] = HALF
    description = "float16 weights, float32 arithmetic: half the size"
    tolerance = Tolerance(
        average=0.1,
        high=0.5,
        changed=0.005,
        lost=0.25,
        increase=0.02,
        times=3,
        least=2e-4,
        reason="rounding a weight to float16 moves it by up to 2**-11 of itself. Measured: 0.3 to "
        "0.9 times what the Keras model makes of such weights",
    )

    def apply(
        self, model: fb.Model, content: bytes, calibration: Sequence[Arrays], integer_io: bool
    ) -> None:
        """Puts a DEQUANTIZE in front of each op that takes a weight."""
        stored: dict[object, int] = {}
        for number, plain in enumerate(model.subgraphs):
            graph = Graph(model, number, stored)
            made: dict[int, int] = {}
            operators = []
            for operator in plain.operators:
                for place, values in graph.weights(operator):
                    if values.size < FEWEST or np.abs(values).max() > LARGEST:
                        continue
                    index = int(operator.inputs[place])
                    if index in made:
                        operator.inputs[place] = made[index]
                    else:
                        operators.append(through_dequantize(graph, operator, place, values, True))
                        made[index] = int(operator.inputs[place])
                operators.append(operator)
            plain.operators = operators

    def disturbed(self, weight: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Rounds what is multiplied or looked up to float16."""
        if weight.ndim < 2 or weight.size < FEWEST:
            return weight
        return weight.clip(-LARGEST, LARGEST).astype(np.float16).astype(weight.dtype)

    def why_float32(self, weight: Weight) -> str | None:
        """Says so where a weight is too small, or too large for the type."""
        if np.prod(weight.shape) < FEWEST:
            return f"fewer than {FEWEST} elements: a smaller type would save nothing"
        return f"a weight beyond {LARGEST:,.0f}, which float16 does not have"
