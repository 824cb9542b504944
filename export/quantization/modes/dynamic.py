"""int8 weights; activations are quantized as they come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from keras_rnn_zoo.export.lowering import HYBRID, Products
from keras_rnn_zoo.export.quantization.quantization import Quantization, register_quantization
from keras_rnn_zoo.export.quantization.ranges import Place, moments_of
from keras_rnn_zoo.export.quantization.weights import (
    FEWEST,
    Graph,
    Sources,
    answers_of,
    pays,
    quantize_lookup,
    rounded,
    scaled,
    spread_of,
    through_dequantize,
)
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import Weight
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.verify.tolerance import Tolerance


@register_quantization("dynamic")
class Dynamic(Quantization):
    """Weights are int8; matrix products quantize their input on the fly and answer in float32.

    Where it costs no op at each step, each column of a kernel has a scale of its own, and each row
    or column of a table.
    What a user feeds is not rounded: its columns may be of different sizes, which one scale for
    all would take for zero. There, and where an op has no kernel of int8 weights that can be
    relied on (BATCH_MATMUL), the weights are stored as int8 and computed with as float32.

    With representative data, kernels of dense layers and of recurrences are rounded so that their
    products on these are right, see `_fitting`. What makes the answer has 16 bits, if it is small.
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
    takes_representative_data = True
    products: ClassVar[Products] = HYBRID

    def apply(
        self, model: fb.Model, content: bytes, calibration: Sequence[Arrays], integer_io: bool
    ) -> None:
        """Stores every weight as int8."""
        sources = Sources(model)
        moments = moments_of_kernels(model, calibration)
        last = _small_last(model)
        stored: dict[object, Any] = {}
        for number, plain in enumerate(model.subgraphs):
            graph = Graph(model, number, stored)
            operators: list[fb.Operator] = []
            for operator in plain.operators:
                if number == 0 and int(operator.outputs[0]) in last:
                    before = _halved(graph, operator)
                    after: list[fb.Operator] = []
                else:
                    before, after = quantize_weights(graph, operator, sources, moments)
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
        if weight.op == "GATHER" and weight.shape[1:] == (1,) and len(weight.shape) == 2:
            return None  # scales of the rows of an int8 table
        if np.prod(weight.shape) < FEWEST:
            return f"fewer than {FEWEST} elements: a smaller type would save nothing"
        return "it multiplies inputs far from zero, and rounding it would move all they add"


def _small_last(model: fb.Model) -> set[int]:
    """Returns what dense layers make that is the answer, where few of the weights are theirs.

    Of these roundings nothing is evened out by what comes behind, and they are most of the error.
    """
    sizes: dict[int, int] = {}
    products: dict[int, int] = {}
    answers = answers_of(model)
    for number, plain in enumerate(model.subgraphs):
        graph = Graph(model, number, {})
        for operator in plain.operators:
            for place, values in graph.weights(operator):
                buffer = plain.tensors[operator.inputs[place]].buffer
                dense = fb.op_name(model, operator) == "FULLY_CONNECTED"
                sizes[buffer] = values.size
                if dense and number == 0 and int(operator.outputs[0]) in answers:
                    products[int(operator.outputs[0])] = buffer
    few = SMALL * sum(sizes.values())
    together = sum(sizes[buffer] for buffer in set(products.values()))
    return set(products) if together <= few else set()


def _halved(graph: Graph, operator: fb.Operator) -> list[fb.Operator]:
    return [
        through_dequantize(graph, operator, place, values, half=True)
        for place, values in graph.weights(operator)
        if values.size >= FEWEST
    ]


def moments_of_kernels(model: fb.Model, calibration: Sequence[Arrays]) -> dict[int, np.ndarray]:
    """Returns the buffer of each dense kernel -> the second moments of what it multiplies.

    Args:
        model: A float32 file, which is not changed.
        calibration: As for `Quantization.apply`.
    """
    places: dict[int, list[Place]] = defaultdict(list)
    columns: dict[int, int] = {}
    for number, plain in enumerate(model.subgraphs):
        graph = Graph(model, number, {})
        for operator in plain.operators:
            if fb.op_name(model, operator) == "FULLY_CONNECTED":
                for _, kernel in graph.weights(operator):
                    if kernel.shape[-1] <= MOST_COLUMNS:
                        buffer = plain.tensors[operator.inputs[1]].buffer
                        places[buffer].append((number, int(operator.inputs[0])))
                        columns[buffer] = kernel.shape[-1]
    if not calibration or not places:
        return {}
    wanted = {buffer: (columns[buffer], every) for buffer, every in places.items()}
    return moments_of(model, wanted, *calibration)


def quantize_weights(
    graph: Graph,
    operator: fb.Operator,
    sources: Sources,
    moments: Mapping[int, np.ndarray],
    *,
    hybrid: bool = True,
) -> tuple[list[fb.Operator], list[fb.Operator]]:
    """Stores the weights of one op as int8; its inputs and outputs stay float32.

    Args:
        graph: Where it is.
        operator: It is changed.
        sources: Of the file.
        moments: See `moments_of_kernels`.
        hybrid: Compute with int8 weights where the op can; microcontrollers cannot.

    Returns:
        The ops to put in front of it and behind it.
    """
    name = fb.op_name(graph.model, operator)
    before: list[fb.Operator] = []
    after: list[fb.Operator] = []
    for place, values in graph.weights(operator):
        if values.size < FEWEST and hybrid:
            continue
        if name == "GATHER":
            after += quantize_lookup(graph, operator, values)
            continue
        if stays_float(graph, operator, sources):
            continue
        fed = sources.is_fed(graph.number, int(operator.inputs[0]))
        int8 = hybrid and name in HYBRID_VERSIONS and not fed
        axis = SLICES.get(name) if int8 else None
        buffer = graph.graph.tensors[operator.inputs[place]].buffer
        parts: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
        if name in COLUMNS and axis is None:
            once = not sources.repeats(buffer)
            parts = _columns_of(graph, operator, values, fed, once)
            values = _in_columns(graph, operator, values, *parts, before, after)
        key = tuple(None if part is None else part.tobytes() for part in parts)
        seen = moments.get(buffer) if name == "FULLY_CONNECTED" else None
        if seen is not None and parts[0] is not None:
            seen = parts[0][:, np.newaxis] * seen * parts[0]
        if int8:
            whole, scale = graph.rounded((buffer, axis, key), values, axis, seen)
            operator.inputs[place] = graph.constant(
                (buffer, "int8", axis, key), whole, fb.quantization(scale, dimension=axis or 0)
            )
            if hasattr(operator.builtinOptions, "asymmetricQuantizeInputs"):
                operator.builtinOptions.asymmetricQuantizeInputs = True
            fb.set_op(graph.model, operator, name, HYBRID_VERSIONS[name])
        else:
            before.append(through_dequantize(graph, operator, place, values, key=key, moments=seen))
    return before, after


def stays_float(graph: Graph, operator: fb.Operator, sources: Sources) -> bool:
    """Whether a product takes readings far from zero, as its bias tells, which undoes them.

    Its weights are not rounded, nor are the readings (kelvins, pascals): either would move all that
    lies between zero and them. A bias beyond what inputs up to 1 can add is for larger ones.
    """
    inputs = [int(index) for index in operator.inputs]
    if fb.op_name(graph.model, operator) != "FULLY_CONNECTED" or len(inputs) < 3 or inputs[2] < 0:
        return False
    kernel, bias = (fb.constant(graph.model, graph.graph.tensors[i]) for i in inputs[1:])
    if kernel is None or bias is None or not sources.is_fed(graph.number, inputs[0]):
        return False
    return bool(np.median(np.abs(bias) - np.abs(kernel).sum(axis=1)) > 0)


def _columns_of(
    graph: Graph, operator: fb.Operator, values: np.ndarray, fed: bool, once: bool
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Returns what the weights of each input and each output of a product are divided by.

    None where one scale for all is as good, or costs less: steps that repeat a product, which is
    not taken `once` then, would pay for an op each.
    """
    given = made = None
    bias = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
    known = bias < 0 or fb.constant(graph.model, graph.graph.tensors[bias]) is not None
    if known and once:
        made = spread_of(values.swapaxes(0, -1))
        made = made if pays(made) else None
    if fed and values.ndim == 2:
        given = spread_of(values if made is None else values / made[:, np.newaxis])
        # Readings of different sizes.
        given = given if given.min() < given.max() / 4 else None
    return given, made


def _in_columns(
    graph: Graph,
    operator: fb.Operator,
    values: np.ndarray,
    given: np.ndarray | None,
    made: np.ndarray | None,
    before: list[fb.Operator],
    after: list[fb.Operator],
) -> np.ndarray:
    """Divides weights as `_columns_of` says; a MUL in front and one behind take that back.

    So columns have scales of their own with ops of which every runtime has the kernels.
    """
    if made is not None:
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            tensor = graph.graph.tensors[operator.inputs[2]]
            bias = fb.constant(graph.model, tensor)
            assert bias is not None
            key = (tensor.buffer, made.tobytes())
            operator.inputs[2] = graph.constant(key, bias / made)
        values = values / made.reshape(-1, *[1] * (values.ndim - 1))
        after.append(scaled(graph, operator, made))
    if given is not None:
        values = values / given
        x = int(operator.inputs[0])
        operator.inputs[0] = graph.tensor(x, np.float32)
        factors = graph.constant(("columns", given.tobytes()), given)
        options = fb.schema.MulOptionsT()
        before.append(
            fb.op(graph.model, "MUL", [x, factors], [int(operator.inputs[0])], options=options)
        )
    return values


# Share of the weights that the last products may have to be stored in 16 bits.
SMALL = 0.05
# Of more columns, moments would take minutes: they are carried through every step.
MOST_COLUMNS = 1024
# Products whose columns can be scaled: the first axis of the weights is the last of the output.
COLUMNS = ("FULLY_CONNECTED", "CONV_2D")
# Versions of the ops with int8 weights, float32 inputs and outputs.
HYBRID_VERSIONS = {
    "FULLY_CONNECTED": 9,
    "CONV_2D": 5,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 3,
}
# The axis whose slices have a scale each. FULLY_CONNECTED has one scale: more are for runtimes
# since 2.17, and those before 2.10 ignore them without a word.
SLICES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
