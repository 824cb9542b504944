"""int8 weights; activations are quantized as they come."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from keras_rnn_zoo.export import flatbuffer as fb
from keras_rnn_zoo.export.gate import Weight
from keras_rnn_zoo.export.lowering import HYBRID, Products
from keras_rnn_zoo.export.quantization._base import Quantization, register_quantization
from keras_rnn_zoo.export.quantization._weights import (
    FEWEST,
    Graph,
    Sources,
    quantize_lookup,
    rounded,
    through_dequantize,
)
from keras_rnn_zoo.export.running import Arrays
from keras_rnn_zoo.export.verification import Tolerance


@register_quantization("dynamic")
class Dynamic(Quantization):
    """Weights are int8; matrix products quantize their input on the fly and answer in float32.

    What a user feeds is not rounded: its columns may be of different sizes, which one scale for
    all would take for zero. There, and where an op has no kernel of int8 weights that can be
    relied on (BATCH_MATMUL), the weights are stored as int8 and computed with as float32.
    """

    file_name = "model_dynamic.tflite"
    description = "int8 weights, activations quantized on the fly: a quarter of the size"
    tolerance = Tolerance(
        average=0.15,
        high=0.75,
        changed=0.03,
        lost=1.0,
        increase=0.1,
        times=4,
        least=1.5e-2,
        reason="weights and each product's inputs are rounded to 1/127 of their largest value. "
        "Measured: 0.8 to 1.4 times what the Keras model makes of such weights",
    )
    products: ClassVar[Products] = HYBRID

    def apply(
        self, model: fb.Model, content: bytes, calibration: Arrays | None, integer_io: bool
    ) -> None:
        """Stores every weight as int8."""
        sources = Sources(model)
        stored: dict[object, int] = {}
        for number, plain in enumerate(model.subgraphs):
            graph = Graph(model, number, stored)
            operators = []
            for operator in plain.operators:
                before, after = quantize_weights(graph, operator, sources)
                operators += [*before, operator, *after]
            plain.operators = operators

    def disturbed(self, weight: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Rounds what is multiplied or looked up to int8."""
        if weight.ndim < 2 or weight.size < FEWEST:
            return weight
        stored, scale = rounded(weight)
        return np.asarray((stored * scale).astype(weight.dtype))

    def why_float32(self, weight: Weight) -> str | None:
        """Says so where a weight is too small."""
        if np.prod(weight.shape) < FEWEST:
            return f"fewer than {FEWEST} elements: a smaller type would save nothing"
        return super().why_float32(weight)


def quantize_weights(
    graph: Graph, operator: fb.Operator, sources: Sources
) -> tuple[list[fb.Operator], list[fb.Operator]]:
    """Stores the weights of one op as int8; its inputs and outputs stay float32.

    Returns:
        The ops to put in front of it and behind it.
    """
    name = fb.op_name(graph.model, operator)
    before, after = [], []
    for place, values in graph.weights(operator):
        if values.size < FEWEST:
            continue
        index = int(operator.inputs[place])
        buffer = graph.graph.tensors[index].buffer
        if name == "GATHER":
            after.append(quantize_lookup(graph, operator, values))
        elif name in HYBRID_VERSIONS and not sources.is_fed(graph.number, int(operator.inputs[0])):
            axis = SLICES.get(name)
            whole, scale = rounded(values, axis)
            operator.inputs[place] = graph.constant(
                (buffer, "int8", axis),
                whole,
                fb.quantization(scale, dimension=axis or 0),
            )
            if hasattr(operator.builtinOptions, "asymmetricQuantizeInputs"):
                operator.builtinOptions.asymmetricQuantizeInputs = True
            fb.set_op(graph.model, operator, name, HYBRID_VERSIONS[name])
        else:
            before.append(through_dequantize(graph, operator, place, values))
    return before, after


# Versions of the ops with int8 weights, float32 inputs and outputs.
HYBRID_VERSIONS = {
    "FULLY_CONNECTED": 9,
    "CONV_2D": 5,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 3,
}
# The axis whose slices have a scale each. FULLY_CONNECTED has one scale: more are for runtimes
# since 2.17, and those before 2.10 ignore them without a word.
SLICES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
