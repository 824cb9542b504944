"""int8 weights and activations, calibrated on representative data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_rnn_zoo.errors import ExportError
from keras_rnn_zoo.export.lowering import INTEGER, Products
from keras_rnn_zoo.export.quantization.modes.dynamic import (
    SLICES,
    Dynamic,
    moments_of_kernels,
    quantize_weights,
    stays_float,
)
from keras_rnn_zoo.export.quantization.quantization import register_quantization
from keras_rnn_zoo.export.quantization.ranges import Place, Range, observe
from keras_rnn_zoo.export.quantization.weights import (
    LAYOUT,
    Graph,
    Sources,
    answers_of,
    store_table,
)
from keras_rnn_zoo.export.quantization.whole import INT8, better_whole, in_integers
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TFLiteModel
from keras_rnn_zoo.export.verify.tolerance import Tolerance

PRODUCTS = {"FULLY_CONNECTED": 5, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3}
# Room beyond what a few hundred inputs showed.
HEADROOM = 1.1
# How much wider a range weights may need where that makes results of products finer. What weights
# are rounded by is made up for, see `_fitting`; that a result was seen too seldom is not.
WIDER = 1.5
# The bias of a product is an int32.
LARGEST_BIAS = 2.0**30
# Where the values lie that an integer LOGISTIC or SOFTMAX answers.
PROBABILITIES = (0.0, 255 / 256)


@register_quantization("int8")
class Int8(Dynamic):
    """Matrix products and convolutions in int8, each between a QUANTIZE and a DEQUANTIZE.

    What lies between the products, such as gates and the LSTM's cell, stays in float32: rounded to
    8 bits, the cell would lose what small updates add over a long sequence. So no range reaches
    from one product into another, whatever lies between them. Weights are symmetric, activations
    asymmetric, as in Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", 2018; ranges are those of `export.ranges`.

    Kernels of dense layers and of recurrences are rounded so that their products on the
    representative data are right, see `_fitting`. Rows of a table go into a product as they are
    stored.

    The last product, whose result is the answer, is computed in float32 with int8 weights, and so
    is one of readings far from zero with float32 weights.

    Columns of an input or an output that differ in size, or that lie far from zero, are brought to
    a common range in float32 on the way in and out, and the weights are changed to match (for the
    inputs as in Xiao et al., "SmoothQuant", 2023).
    """

    file_name = "model_int8.tflite"
    description = "int8 weights and matrix products, calibrated on representative data"
    tolerance = Tolerance(
        average=0.25,
        high=1.0,
        changed=0.05,
        lost=1.5,
        increase=0.2,
        times=3,
        least=2.5e-2,
        reason="weights, inputs and results of each product are rounded to 256 levels of the "
        "range seen in calibration. Measured: 0.03 to 1.5 times what the Keras model makes of "
        "products rounded like that (one model of 51: 5.6)",
    )
    needs_representative_data = True
    integer_io = True
    integer_products = True
    products: ClassVar[Products] = INTEGER

    def apply(
        self, model: fb.Model, content: bytes, calibration: Sequence[Arrays], integer_io: bool
    ) -> None:
        """Calibrates the file, and has every product computed in int8.

        With the LSTM op, and in a time step, everything is: see `whole`.
        """
        if better_whole(model):
            in_integers(model, content, calibration, integer_io, INT8)
            return
        kernels = _kernels(model)
        ranges = _ranges(model, kernels, calibration)
        moments = moments_of_kernels(model, calibration)
        looped = {kernel for (number, _), kernel in kernels.values() if number}
        sources = Sources(model)
        answers = answers_of(model)
        stored: dict[object, Any] = {}
        for number, plain in enumerate(model.subgraphs):
            graph = Graph(model, number, stored)
            inputs: dict[object, int] = {}
            operators: list[fb.Operator] = []
            products: dict[int, tuple[Range, Range]] = {}
            for operator in plain.operators:
                output = int(operator.outputs[0])
                seen = ranges.get((number, output))
                exact = number == 0 and output in answers
                if seen is not None and not exact and not stays_float(graph, operator, sources):
                    products[output] = seen
            tables = _tables(graph, products)
            looked_up: dict[int, _LookedUp] = {}
            for operator in plain.operators:
                output = int(operator.outputs[0])
                if output in tables:
                    scale, columns = store_table(graph, operator, tables[output])
                    if columns is None:
                        columns = np.ones(tables[output].shape[1], np.float32)
                    looked_up[output] = _LookedUp(
                        int(operator.outputs[0]), scale, columns, tables[output]
                    )
                    operators.append(operator)
                elif output in products:
                    product = _Product(
                        graph, operator, *products[output], inputs, moments, looked_up, looped
                    )
                    operators += product.operators
                else:
                    before, after = quantize_weights(
                        graph, operator, sources, moments, hybrid=False
                    )
                    operators += [*before, operator, *after]
            plain.operators = operators
        if integer_io:
            _integer_ends(model, content, calibration)

    def disturbed_input(self, values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Rounds to 255 steps of the range of each column, without whole numbers.

        They may be padding, a mask value say, which the ranges of a file leave out.
        """
        axes = tuple(range(values.ndim - 1)) if values.ndim > 1 else (0,)
        read = values != np.rint(values)
        high = np.max(values, axis=axes, initial=-np.inf, where=read)
        low = np.min(values, axis=axes, initial=np.inf, where=read)
        step = np.where(high > low, (high - low) / 255, 1.0)
        return np.asarray(np.rint(values / step) * step, values.dtype)


@dataclass(frozen=True)
class _LookedUp:
    """Rows of an int8 table: real value = scale * columns * value of the int8 tensor.

    Attributes:
        index: That tensor.
        scale: Of all.
        columns: Of each column.
        table: The real values of all rows.
    """

    index: int
    scale: float
    columns: np.ndarray
    table: np.ndarray


def _tables(graph: Graph, products: Collection[int]) -> dict[int, np.ndarray]:
    """Returns what a GATHER makes -> its table, where none but dense layers in int8 take it.

    They take the rows as they are stored: no rounding but that of the table, whatever words the
    representative data lack.
    """
    makers: dict[int, np.ndarray] = {}
    takers: dict[int, list[fb.Operator]] = defaultdict(list)
    for operator in graph.graph.operators:
        for index in operator.inputs:
            takers[int(index)].append(operator)
        if fb.op_name(graph.model, operator) == "GATHER":
            for _, table in graph.weights(operator):
                if table.ndim == 2 and not operator.builtinOptions.axis:
                    makers[int(operator.outputs[0])] = table
    ends = {int(index) for index in graph.graph.outputs}

    def takes(operator: fb.Operator, table: np.ndarray) -> bool:
        dense = fb.op_name(graph.model, operator) == "FULLY_CONNECTED"
        if not dense or int(operator.outputs[0]) not in products:
            return False
        columns = fb.shape_of(graph.graph.tensors[operator.inputs[1]])[-1]
        return bool(columns == table.shape[1])

    return {
        output: table
        for output, table in makers.items()
        if output not in ends and all(takes(operator, table) for operator in takers[output])
    }


def _kernels(model: fb.Model) -> dict[Place, tuple[Place, int]]:
    """Returns output of each product -> its input, and the buffer of its kernel."""
    found: dict[Place, tuple[Place, int]] = {}
    for number, plain in enumerate(model.subgraphs):
        graph = Graph(model, number, {})
        for operator in plain.operators:
            if fb.op_name(model, operator) in PRODUCTS and any(
                place == 1 for place, _ in graph.weights(operator)
            ):
                x, kernel, *_ = (int(index) for index in operator.inputs)
                output = number, int(operator.outputs[0])
                found[output] = (number, x), plain.tensors[kernel].buffer
    return found


def _ranges(
    model: fb.Model, products: Mapping[Place, tuple[Place, int]], calibration: Sequence[Arrays]
) -> dict[Place, tuple[Range, Range]]:
    """Returns output of each product -> the ranges of its input and its output."""
    inputs = {output: place for output, (place, _) in products.items()}
    seen = observe(model, {*inputs, *inputs.values()}, *calibration)
    # Steps of one recurrence multiply with the same kernel, and one saw what another will meet.
    alike: dict[int, list[Place]] = defaultdict(list)
    rows = {output: _rows(model, output) for output in products}
    most: dict[int, float] = defaultdict(float)
    for output, (_, kernel) in products.items():
        alike[kernel].append(output)
        most[kernel] = max(most[kernel], rows[output])
    ranges = {}
    for output, (place, kernel) in products.items():
        others = [other for other in alike[kernel] if other in seen]
        # Steps in front of a loop may have been void ones in all of the calibration.
        few = rows[output] < most[kernel]
        if others:
            ranges[output] = (
                _together(None if few else seen.get(place), [seen[inputs[one]] for one in others]),
                _together(None if few else seen.get(output), [seen[one] for one in others]),
            )
    return ranges


def _rows(model: fb.Model, output: Place) -> float:
    """How many rows a product takes in a call; in a loop, which is called again, without end."""
    number, index = output
    shape = fb.shape_of(model.subgraphs[number].tensors[index])
    return np.inf if number else float(np.prod(shape[:-1]))


def _together(own: Range | None, others: list[Range]) -> Range:
    """The range of all; the own one where all the others together are of another size."""
    low = np.min([other.low for other in others], axis=0)
    high = np.max([other.high for other in others], axis=0)
    everything = Range(low, high)
    if own is not None and _size(own) > 0 and _size(everything) > 4 * _size(own):
        return own
    return everything


def _size(values: Range) -> float:
    return float(max(values.high.max(), -values.low.min()))


@dataclass(frozen=True)
class _Affine:
    """Real value = scale * int8 tensor's value + shift, column by column."""

    scale: np.ndarray
    shift: np.ndarray
    low: float
    high: float


def _columns(
    values: Range,
    main: bool,
    shifts: bool,
    weights: np.ndarray | None = None,
    kernel: np.ndarray | None = None,
    exact: bool = False,
) -> _Affine:
    """Says how columns are brought to a common range; to none where that gains too little.

    Args:
        values: What passed.
        main: Once a call; what is inside a loop costs something at every step.
        shifts: The columns may be moved.
        weights: The largest weight of each column, which is divided by its scale: no column is
            scaled so far that its weights need a much wider range than those of all columns
            together. None where weights do not matter.
        kernel: What multiplies the columns, `[outputs, columns]`: none gets a range so narrow that
            it adds less than the others to any output. A column that was zero in calibration may
            not stay so. None where every column counts by its own size.
        exact: Nothing can pass but what did.
    """
    low, high = values.low.astype(np.float64), values.high.astype(np.float64)
    headroom = 1.0 if exact else HEADROOM
    middle, half = (low + high) / 2, headroom * (high - low) / 2
    low, high = middle - half, middle + half
    ones, zeros = np.ones(len(low)), np.zeros(len(low))
    whole = max(high.max(), 0.0) - min(low.min(), 0.0)
    shift = zeros
    if shifts and whole > (1.4 if main else 3) * 2 * half.max():
        shift = middle
        low, high = -half, half
    largest = np.maximum(np.abs(low), np.abs(high))
    scale = ones
    if weights is not None and weights.max(initial=0) > 0:
        most = 1.0 if main and not exact else WIDER
        largest = np.maximum(largest, largest.max() * weights / (most * weights.max()))
    if kernel is not None:
        norms = np.sqrt(np.sum((kernel * largest) ** 2, axis=1, keepdims=True))
        most = np.max(np.abs(kernel) / np.where(norms > 0, norms, np.inf), axis=0)
        usual = np.sqrt(np.mean((most * largest) ** 2))
        wide = usual / np.where(most > 0, most, np.inf)
        largest = np.maximum(largest, np.minimum(wide, largest.max()))
    if len(low) > 1 and largest.max() > 0:
        # What a column adds to the error, as a share of what it adds with a range of its own.
        shares = np.maximum(largest / largest.max(), 1e-3)
        if shares.min() < (0.5 if main or kernel is None else 0.125):
            scale = np.maximum(largest, 1e-3 * largest.max())
            low, high = low / scale, high / scale
    return _Affine(scale, shift, min(float(low.min()), 0.0), max(float(high.max()), 0.0))


def _asymmetric(low: float, high: float) -> tuple[float, int]:
    """Returns the scale and the zero point of a range that holds zero."""
    if low == high:  # only zeros passed; any scale represents them
        high = 1.0
    scale = (high - low) / 255
    return scale, int(np.clip(np.rint(-128 - low / scale), -128, 127))


class _Product:
    """The ops that take the place of one float32 product.

    Args:
        graph: Where it is.
        operator: A product with a constant kernel.
        given: The range of its input.
        made: The range of its output.
        inputs: What was quantized in this subgraph already; shared by its products.
        moments: See `moments_of_kernels`.
        looked_up: The inputs that are rows of an int8 table.
        looped: Kernels that loops multiply by: outside of these they are stored as inside.

    Attributes:
        operators: What computes the same in int8.
    """

    def __init__(
        self,
        graph: Graph,
        operator: fb.Operator,
        given: Range,
        made: Range,
        inputs: dict[object, int],
        moments: Mapping[int, np.ndarray],
        looked_up: Mapping[int, _LookedUp],
        looped: Collection[int],
    ):
        self.graph = graph
        self.operators: list[fb.Operator] = []
        model, name = graph.model, fb.op_name(graph.model, operator)
        dense = name == "FULLY_CONNECTED"
        x, kernel_index, *rest = (int(index) for index in operator.inputs)
        output = int(operator.outputs[0])
        tensors = graph.graph.tensors
        main = graph.number == 0 and tensors[kernel_index].buffer not in looped
        kernel = fb.constant(model, tensors[kernel_index])
        assert kernel is not None
        # [outputs, ..., inputs], but a depthwise one is [1, ..., outputs].
        axis = SLICES.get(name, 0)
        bias = np.zeros(kernel.shape[axis])
        if rest and rest[0] >= 0:
            added = fb.constant(model, tensors[rest[0]])
            assert added is not None
            bias = added.astype(np.float64)
        if name != "DEPTHWISE_CONV_2D" and len(given.low) != kernel.shape[-1]:
            # Several axes, or groups of columns, are multiplied as one.
            columns = kernel.shape[-1]
            given = Range(np.full(columns, given.low.min()), np.full(columns, given.high.max()))
        if name == "DEPTHWISE_CONV_2D":
            given = Range(given.low.min(keepdims=True), given.high.max(keepdims=True))
        weights = kernel.astype(np.float64)
        # Where a convolution pads, it pads with the input's zero, which has to stay zero.
        over = None
        if name != "DEPTHWISE_CONV_2D":
            over = np.sqrt(np.sum(weights**2, axis=tuple(range(1, weights.ndim - 1))))
        rows = looked_up.get(x)
        if rows is None:
            enters = _columns(given, main, shifts=dense, kernel=over)
            in_scale, in_zero = _asymmetric(enters.low, enters.high)
        else:
            enters = _Affine(rows.columns, np.zeros_like(rows.columns), 0.0, 0.0)
            in_scale, in_zero = rows.scale, 0
        if dense:
            bias = bias + weights @ enters.shift
        weights = weights * enters.scale
        others = tuple(i for i in range(weights.ndim) if i != axis)
        # Scales of their own, which a convolution's columns have, hide how large weights are.
        exact = rows is not None and not operator.builtinOptions.fusedActivationFunction
        if rows is not None and exact:
            # What any word makes.
            every = rows.table.astype(np.float64) @ kernel.T.astype(np.float64) + bias
            made = Range(every.min(axis=0), every.max(axis=0))
        leaves = _columns(
            made,
            main,
            True,
            np.abs(weights).max(axis=others) if dense else None,
            exact=exact,
        )
        around = [1] * weights.ndim
        around[axis] = -1
        weights = weights / leaves.scale.reshape(around)
        inside = (bias - leaves.shift) / leaves.scale
        outside = leaves.shift

        out_scale, out_zero = _asymmetric(leaves.low, leaves.high)
        key = (
            graph.graph.tensors[kernel_index].buffer,
            enters.scale.tobytes(),
            leaves.scale.tobytes(),
            name,
        )
        seen = moments.get(graph.graph.tensors[kernel_index].buffer) if dense else None
        if seen is not None and not enters.shift.any():
            seen = seen / enters.scale[:, np.newaxis] / enters.scale
        elif seen is not None:
            seen = None  # of inputs that are moved, it says nothing
        whole, scales = graph.rounded(
            (*key, "whole"), weights.astype(np.float32), None if dense else axis, seen
        )
        steps = in_scale * scales.astype(np.float64)
        if np.abs(inside / steps).max(initial=0) > LARGEST_BIAS:
            # What an int32 cannot hold is added in float32, and the product answers without.
            inside, outside = np.zeros_like(inside), bias
            free = _columns(
                Range((made.low - bias).astype(np.float32), (made.high - bias).astype(np.float32)),
                main=False,
                shifts=False,
            )
            weights = kernel * enters.scale
            whole, scales = graph.rounded(
                (*key, "apart"), weights.astype(np.float32), None if dense else axis, seen
            )
            steps = in_scale * scales.astype(np.float64)
            leaves = _Affine(np.ones_like(bias), bias, free.low, free.high)
            out_scale, out_zero = _asymmetric(leaves.low, leaves.high)
        # Kernels multiply by the ratio of these, which has to be one that they can express.
        out_scale = max(out_scale, float(steps.max()) / 128)

        if rows is None:
            x = self._quantized(self._moved(x, enters, inputs), in_scale, in_zero, inputs)
        else:
            x = rows.index
        options = operator.builtinOptions
        activation = options.fusedActivationFunction
        scaled, moved = bool((leaves.scale != 1).any()), bool(outside.any())
        operator.inputs = np.array(
            [x, graph.constant((key, "kernel"), whole, fb.quantization(scales, dimension=axis))],
            np.int32,
        )
        if inside.any() or not dense:
            stored = np.rint(inside / steps).astype(np.int32)
            parameters = fb.quantization(steps.astype(np.float32), dimension=0)
            bias_key = (key, steps.tobytes(), inside.tobytes())
            operator.inputs = np.append(
                operator.inputs, np.int32(graph.constant(bias_key, stored, parameters))
            )
        result = graph.tensor(output, np.int8, fb.quantization(out_scale, out_zero))
        operator.outputs = np.array([result], np.int32)
        fb.set_op(model, operator, name, PRODUCTS[name])
        if scaled or moved:
            options.fusedActivationFunction = fb.schema.ActivationFunctionType.NONE
        last = output if not scaled and not moved else graph.tensor(output, np.float32)
        self.operators += [operator, self._op("DEQUANTIZE", [result], last, 2)]
        if scaled:
            target = output if not moved else graph.tensor(output, np.float32)
            factors = leaves.scale.astype(np.float32)
            self._arithmetic("MUL", last, factors, target, activation if not moved else 0)
            last = target
        if moved:
            self._arithmetic("ADD", last, outside.astype(np.float32), output, activation)

    def _moved(self, x: int, affine: _Affine, inputs: dict[object, int]) -> int:
        """Brings the columns of an input to a common range."""
        key = (x, affine.scale.tobytes(), affine.shift.tobytes())
        if key not in inputs:
            result = x
            for op, values, trivial in (
                ("ADD", -affine.shift, 0.0),
                ("MUL", 1 / affine.scale, 1.0),
            ):
                if (values != trivial).any():
                    target = self.graph.tensor(x, np.float32)
                    self._arithmetic(op, result, values.astype(np.float32), target)
                    result = target
            inputs[key] = result
        return inputs[key]

    def _quantized(self, x: int, scale: float, zero: int, inputs: dict[object, int]) -> int:
        key = (x, scale, zero)
        if key not in inputs:
            inputs[key] = self.graph.tensor(x, np.int8, fb.quantization(scale, zero))
            self.operators.append(self._op("QUANTIZE", [x], inputs[key], 1))
        return inputs[key]

    def _arithmetic(
        self, name: str, x: int, values: np.ndarray, output: int, activation: int = 0
    ) -> None:
        other = self.graph.constant((name, values.tobytes()), values)
        options: Any = {"ADD": fb.schema.AddOptionsT, "MUL": fb.schema.MulOptionsT}[name]()
        options.fusedActivationFunction = activation
        self.operators.append(fb.op(self.graph.model, name, [x, other], [output], options=options))

    def _op(self, name: str, inputs: list[int], output: int, version: int) -> fb.Operator:
        options = {
            "QUANTIZE": fb.schema.QuantizeOptionsT,
            "DEQUANTIZE": fb.schema.DequantizeOptionsT,
        }[name]()
        return fb.op(self.graph.model, name, inputs, [output], version=version, options=options)


def _integer_ends(model: fb.Model, content: bytes, calibration: Sequence[Arrays]) -> None:
    """Gives the file int8 inputs and outputs; token ids stay as they are.

    Raises:
        ExportError: Readings that count would be taken for the padding that the model masks.
    """
    graph = model.subgraphs[0]
    file = TFLiteModel(content)
    answers = [answer for x in calibration for answer in file.answer(x)]
    made = Graph(model, 0, {})
    first, last = [], []
    # States of a time step stay as they are: what comes out has to go in again.
    states = {index for pair in fb.states_of(model).values() for index in pair}
    for signature in model.signatureDefs:
        for entry in signature.inputs:
            index = entry.tensorIndex
            if graph.tensors[index].type != fb.FLOAT32 or index in states:
                continue
            name = fb.text(entry.name)
            padding = _paddings(model, graph, index)
            steps = [x[name].reshape(-1, *x[name].shape[-1:]) for x in calibration]
            scale, zero = _input_range(name, np.concatenate(steps), set(padding))
            for value, comparisons in padding.items():
                # Padding comes as the nearest that int8 has.
                nearest = np.clip(np.rint(value / scale) + zero, -128, 127)
                stored = np.asarray(np.float32(nearest - zero) * np.float32(scale), np.float32)
                for operator, place in comparisons:
                    operator.inputs[place] = fb.add_constant(model, graph, stored)
            end = made.tensor(index, np.int8, fb.quantization(scale, zero))
            options = fb.schema.DequantizeOptionsT()
            first.append(fb.op(model, "DEQUANTIZE", [end], [index], version=2, options=options))
            graph.inputs = np.where(graph.inputs == index, end, graph.inputs)
            _like(graph, end, index)
            entry.tensorIndex = end
        for entry in signature.outputs:
            index = entry.tensorIndex
            if graph.tensors[index].type != fb.FLOAT32 or index in states:
                continue
            values = [each[fb.text(entry.name)] for each in answers]
            low = HEADROOM * min(0.0, *(each.min() for each in values))
            high = HEADROOM * max(0.0, *(each.max() for each in values))
            if _makes_probabilities(model, graph, index):
                low, high = PROBABILITIES
            end = made.tensor(index, np.int8, fb.quantization(*_asymmetric(low, high)))
            options = fb.schema.QuantizeOptionsT()
            last.append(fb.op(model, "QUANTIZE", [index], [end], options=options))
            graph.outputs = np.where(graph.outputs == index, end, graph.outputs)
            _like(graph, end, index)
            entry.tensorIndex = end
    graph.operators = [*first, *graph.operators, *last]


def _like(graph: fb.Graph, end: int, index: int) -> None:
    """Calls a tensor what another one is called, with the sizes that it leaves open."""
    graph.tensors[end].name = graph.tensors[index].name
    graph.tensors[end].shapeSignature = graph.tensors[index].shapeSignature


def _paddings(
    model: fb.Model, graph: fb.Graph, index: int
) -> dict[float, list[tuple[fb.Operator, int]]]:
    """Returns each value that an input is compared with -> the ops, and where they take it."""
    makers = {int(out): operator for operator in graph.operators for out in operator.outputs}
    found: dict[float, list[tuple[fb.Operator, int]]] = defaultdict(list)
    for operator in graph.operators:
        if fb.op_name(model, operator) in ("EQUAL", "NOT_EQUAL"):
            for given, place in ((0, 1), (1, 0)):
                value = fb.constant(model, graph.tensors[operator.inputs[place]])
                source = int(operator.inputs[given])
                while source in makers and fb.op_name(model, makers[source]) in LAYOUT:
                    source = int(makers[source].inputs[0])
                if source == index and value is not None and value.size == 1:
                    found[float(value.ravel()[0])].append((operator, place))
    return found


def _input_range(name: str, values: np.ndarray, padding: set[float]) -> tuple[float, int]:
    """Returns scale and zero point of an input, with a level of its own for its padding.

    Raises:
        ExportError: Readings that count share that level.
    """
    masked = np.zeros(values.shape[:-1], bool)
    for value in padding:
        masked |= (values == value).all(axis=-1)
    real = values[~masked]
    low, high = min(0.0, float(real.min(initial=0))), max(0.0, float(real.max(initial=0)))
    scale = (high - low or 1.0) / 255
    # Padding beyond the readings is cut to the last level: one that no reading has.
    low -= scale if any(value < low for value in padding) else 0
    high += scale if any(value > high for value in padding) else 0
    scale, zero = _asymmetric(low, high)
    stored = np.clip(np.rint(real / scale) + zero, -128, 127)
    for value in padding:
        level = np.clip(np.rint(value / scale) + zero, -128, 127)
        alike = int((stored == level).all(axis=-1).sum()) if real.ndim > 1 else 0
        if alike:
            raise ExportError(
                f"The model masks time steps of input '{name}' whose readings are all {value:g}, "
                f"and {alike} of {len(real)} time steps of the representative data that are not "
                f"would become the same int8 numbers (one step is {scale:.2g}). Leave "
                "inference_type at 'float32', or train with a mask_value beyond the readings."
            )
    return scale, zero


def _makes_probabilities(model: fb.Model, graph: fb.Graph, index: int) -> bool:
    makers = {int(out): operator for operator in graph.operators for out in operator.outputs}
    while index in makers:
        name = fb.op_name(model, makers[index])
        if name not in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE"):
            return name in ("LOGISTIC", "SOFTMAX")
        index = int(makers[index].inputs[0])
    return False
