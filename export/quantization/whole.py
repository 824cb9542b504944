"""Whole files in integers: nothing between two ops is float32 where there is another way.

The LSTM op is computed as TensorFlow Lite Micro and LiteRT define it for int8: symmetric weights of
8 bits, a cell of 16 bits whose scale is a power of two, a state of the type of the activations. For
16 bits of activations ("16x8") weights stay at 8, biases have 64. Ranges are the least and the
greatest value of each tensor over the representative data; those of the cell, which the op keeps to
itself, are those of the same recurrence in NumPy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ExportError
from keras_rnn_zoo.export.quantization.weights import Graph
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import LSTM_OP
from keras_rnn_zoo.export.tflite.file import MICRO, RESET
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TFLiteModel

# Room beyond what a few hundred inputs showed.
HEADROOM = 1.1
# The kernels hold cells with scales of these powers of two, from 1 to 64 in size.
LEAST_POWER, LARGEST_POWER = -15, -9
LARGEST_CELL = 64.0
# Ops that hand values on as they are -> which of their inputs they are.
LAYOUT = {
    "RESHAPE": 0,
    "SQUEEZE": 0,
    "EXPAND_DIMS": 0,
    "TRANSPOSE": 0,
    "STRIDED_SLICE": 0,
    "SLICE": 0,
    "SPLIT": 1,
    "UNPACK": 0,
    "MAX_POOL_2D": 0,
}
# Convolutions -> the axis of their kernels that has a scale for each slice.
CONVOLUTIONS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
# What a file may answer in float32 without rounding it first.
ENDS = ("SOFTMAX", "LOGISTIC", "TANH", "ADD")
# What is computed in integers whatever its input is there in.
PRODUCTS = {LSTM_OP, "FULLY_CONNECTED", "GATHER", *CONVOLUTIONS}


@dataclass(frozen=True)
class Numbers:
    """What a file computes with.

    Attributes:
        activation: dtype of what passes between ops.
        bias: dtype of the biases.
        symmetric: Zero is stored as 0.
        versions: Op -> its version with these types; 1 where there is none.
    """

    activation: type
    bias: type
    symmetric: bool
    versions: dict[str, int]

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest stored number that is used."""
        info = np.iinfo(self.activation)
        return (-info.max if self.symmetric else info.min), info.max

    def affine(self, low: float, high: float) -> tuple[float, int]:
        """Returns the scale and the zero point of a range that holds zero."""
        low, high = min(low, 0.0), max(high, 0.0)
        if low == high:  # only zeros passed; any scale represents them
            high = 1.0
        least, most = self.limits
        if self.symmetric:
            return max(high, -low) / most, 0
        scale = (high - low) / (most - least)
        return scale, int(np.clip(np.rint(least - low / scale), least, most))


INT8 = Numbers(
    np.int8,
    np.int32,
    False,
    {
        "FULLY_CONNECTED": 4,
        "CONV_2D": 3,
        "DEPTHWISE_CONV_2D": 3,
        "MAX_POOL_2D": 2,
        "GATHER": 2,
        "SOFTMAX": 2,
        "LOGISTIC": 2,
        "TANH": 2,
        "ADD": 2,
        "SUB": 2,
        "MUL": 2,
        "STRIDED_SLICE": 2,
        "SLICE": 2,
        "TRANSPOSE": 2,
        "SPLIT": 2,
        "UNPACK": 2,
        "CONCATENATION": 2,
        "DEQUANTIZE": 2,
    },
)
INT16X8 = Numbers(
    np.int16,
    np.int64,
    True,
    {
        "FULLY_CONNECTED": 7,
        "CONV_2D": 4,
        "DEPTHWISE_CONV_2D": 5,
        "MAX_POOL_2D": 3,
        "GATHER": 2,
        "SOFTMAX": 3,
        "LOGISTIC": 3,
        "TANH": 3,
        "ADD": 4,
        "SUB": 5,
        "MUL": 4,
        "STRIDED_SLICE": 4,
        "SLICE": 4,
        "TRANSPOSE": 4,
        "SPLIT": 4,
        "UNPACK": 3,
        "CONCATENATION": 3,
        "QUANTIZE": 2,
        "DEQUANTIZE": 3,
    },
)


def better_whole(model: fb.Model) -> bool:
    """Whether int8 is better throughout than in products alone.

    So it is for the LSTM op, whose inside has no float form, and for a time step on a
    microcontroller: what lies between its products is most of its RAM. But of the cell of an LSTM 8
    bits would lose what small updates add.
    """
    states = fb.states_of(model)
    cells = any(name.endswith("/c") for name in states)
    small = fb.text(model.description or "").startswith(MICRO)
    return holds_lstm_op(model) or (small and bool(states) and not cells)


def holds_lstm_op(model: fb.Model) -> bool:
    """Whether a file computes in the LSTM op, whose inside only whole integers can express."""
    return any(fb.op_name(model, one) == LSTM_OP for g in model.subgraphs for one in g.operators)


def in_integers(
    model: fb.Model,
    content: bytes,
    calibration: Sequence[Arrays],
    integer_io: bool,
    numbers: Numbers,
) -> None:
    """Has a float32 file of one subgraph compute in integers; see `Quantization.apply`.

    Ops that have no integer form here stay in float32, between a DEQUANTIZE and a QUANTIZE.

    Raises:
        ExportError: A cell or a bias is too large for the op.
    """
    seen = _Seen(model, content, calibration)
    _Whole(model, seen, numbers, integer_io).run()


class _Seen:
    """What a float32 file made of the representative data.

    Attributes:
        ranges: Tensor -> its least and greatest value.
        moments: Tensor -> the second moments of its rows, `[columns, columns]`.
        cells: Output of each LSTM op -> the size of its largest cell.
    """

    def __init__(self, model: fb.Model, content: bytes, calibration: Sequence[Arrays]):
        model.description = RESET
        graph = model.subgraphs[0]
        file = TFLiteModel(fb.pack(fb.copied(model)), keep_tensors=True)
        self.ranges: dict[int, tuple[float, float]] = {}
        self.moments: dict[int, np.ndarray] = {}
        self.cells: dict[int, float] = {}
        # `pack` leaves tensors out; what is computed or fed is not among them.
        place = _places(model)
        # What nobody reads, such as a part of a SPLIT, has no memory.
        read = {*map(int, graph.outputs), *(int(i) for one in graph.operators for i in one.inputs)}
        wanted = [
            index
            for index, tensor in enumerate(graph.tensors)
            if index in read and tensor.type == fb.FLOAT32 and not _constant(model, tensor)
        ]
        multiplied = {
            int(one.inputs[0])
            for one in graph.operators
            if fb.op_name(model, one) in (LSTM_OP, "FULLY_CONNECTED")
        }
        hidden = {
            int(one.outputs[0]) for one in graph.operators if fb.op_name(model, one) == LSTM_OP
        }
        sequences: dict[int, list[np.ndarray]] = {}
        for x in calibration:
            for _, batch in file.batches(x):
                file.set_inputs(batch)
                file.invoke()
                for index in wanted:
                    values = file.interpreter.get_tensor(place[index])
                    self._note(index, values, index in multiplied | hidden)
                    if index in multiplied and values.ndim == 3:
                        sequences.setdefault(index, []).append(values.copy())
        for one in graph.operators:
            if fb.op_name(model, one) == LSTM_OP:
                given = np.concatenate(sequences[int(one.inputs[0])])
                self.cells[int(one.outputs[0])] = _largest_cell(model, graph, one, given)

    def _note(self, index: int, values: np.ndarray, multiplied: bool) -> None:
        low, high = self.ranges.get(index, (np.inf, -np.inf))
        self.ranges[index] = min(low, float(values.min())), max(high, float(values.max()))
        if multiplied:
            rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
            self.moments[index] = self.moments.get(index, 0) + rows.T @ rows


def _places(model: fb.Model) -> dict[int, int]:
    """Returns tensor -> its place in the packed file."""
    graph = model.subgraphs[0]
    used = {*map(int, graph.inputs), *map(int, graph.outputs)}
    for one in graph.operators:
        for indices in (one.inputs, one.outputs, one.intermediates):
            used.update(map(int, () if indices is None else indices))
    return {old: new for new, old in enumerate(sorted(used - {-1}))}


def _constant(model: fb.Model, tensor: Any) -> bool:
    return tensor.isVariable or fb.constant(model, tensor) is not None


def _lstm_weights(model: fb.Model, graph: fb.Graph, operator: fb.Operator) -> list[np.ndarray]:
    """Returns the kernels, the recurrent kernels and the biases of i, f, g and o."""
    found = []
    for place in (*range(1, 9), *range(12, 16)):
        values = fb.constant(model, graph.tensors[operator.inputs[place]])
        assert values is not None
        found.append(values)
    return found


def _largest_cell(model: fb.Model, graph: fb.Graph, operator: fb.Operator, x: np.ndarray) -> float:
    """Returns the size of the largest cell of an LSTM op over inputs `[samples, steps, ...]`."""
    parts = _lstm_weights(model, graph, operator)
    kernel, recurrent = (np.concatenate(parts[at : at + 4]).T for at in (0, 4))
    bias = np.concatenate(parts[8:])
    h = c = np.zeros((len(x), len(recurrent)), np.float32)
    largest = 0.0
    for step in range(x.shape[1]):
        i, f, g, o = np.split(x[:, step] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        largest = max(largest, float(np.abs(c).max()))
    return largest


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * np.tanh(0.5 * values) + 0.5)


class _Whole:
    """Replaces one op after the other; see `in_integers`.

    Args:
        model: The file, which is changed.
        seen: What it made of the representative data.
        numbers: What it is to compute with.
        integer_io: Its inputs and outputs are integers, too.
    """

    def __init__(self, model: fb.Model, seen: _Seen, numbers: Numbers, integer_io: bool):
        self.model, self.seen, self.numbers = model, seen, numbers
        self.integer_io = integer_io
        self.graph = model.subgraphs[0]
        self.operators: list[fb.Operator] = []
        self._states = self._state_parameters()
        # Tensor of the float32 file -> the same in integers, and those that are there in float32.
        self._twins: dict[int, int] = {}
        self._floats = {int(index) for index in self.graph.inputs}
        self._stored = Graph(model, 0, {})
        self._number: Counter[str] = Counter()
        self._forms: dict[str, Callable[[fb.Operator], None]] = {
            LSTM_OP: self._lstm,
            "FULLY_CONNECTED": self._dense,
            "GATHER": self._lookup,
            **dict.fromkeys(CONVOLUTIONS, self._convolution),
            "SOFTMAX": self._activation,
            "LOGISTIC": self._activation,
            "TANH": self._activation,
            "ADD": self._arithmetic,
            "SUB": self._arithmetic,
            "MUL": self._arithmetic,
            "CONCATENATION": self._join,
            **dict.fromkeys(LAYOUT, self._layout),
        }

    def run(self) -> None:
        """Replaces all ops."""
        self._inputs()
        for operator in list(self.graph.operators):
            form = self._forms.get(fb.op_name(self.model, operator))
            if form is None or not self._takes(operator):
                self._in_float(operator)
            else:
                form(operator)
        self._outputs()
        self.graph.operators = self.operators

    # ------------------------------------------------------------------ the ends

    def _inputs(self) -> None:
        for position, index in enumerate(map(int, self.graph.inputs)):
            if self._is_float(index) and (self.integer_io or index in self._states):
                self._floats.discard(index)
                twin = self._twin(index)
                self.graph.inputs[position] = twin
                self._renamed(index, twin)

    def _outputs(self) -> None:
        for position, index in enumerate(map(int, self.graph.outputs)):
            if not self._is_float(index):
                continue
            if self.integer_io or index in self._states:
                twin = self._integer(index)
                self.graph.outputs[position] = twin
                self._renamed(index, twin)
            else:
                self._in_floats(index)

    def _state_parameters(self) -> dict[int, tuple[float, int]]:
        """Returns the input and the output of each state -> scale and zero point: one for both.

        A client hands on what came out as it is, so states are integers in any case.
        """
        makers = {
            int(out): fb.op_name(self.model, one)
            for one in self.graph.operators
            for out in one.outputs
        }
        found: dict[int, tuple[float, int]] = {}
        for before, after in fb.states_of(self.model).values():
            parameters = self._fixed(makers.get(after, ""))
            if parameters is None:
                ends = [*self.seen.ranges[before], *self.seen.ranges[after]]
                # Zero, which they start from, is stored as zero.
                largest = max(map(abs, ends)) or 1.0
                parameters = HEADROOM * largest / self.numbers.limits[1], 0
            found |= {before: parameters, after: parameters}
        return found

    def _fixed(self, name: str) -> tuple[float, int] | None:
        """Returns the parameters that the kernel of an op answers in; None where any will do."""
        if name not in ("SOFTMAX", "LOGISTIC", "TANH"):
            return None
        if self.numbers.symmetric:
            return 1 / 32768, 0
        return (1 / 128, 0) if name == "TANH" else (1 / 256, -128)

    def _renamed(self, index: int, twin: int) -> None:
        """Calls an input or output in integers what it was called in float32."""
        self.graph.tensors[twin].name = self.graph.tensors[index].name
        for signature in self.model.signatureDefs or ():
            for entry in (*signature.inputs, *signature.outputs):
                if entry.tensorIndex == index:
                    entry.tensorIndex = twin

    # ------------------------------------------------------------------ tensors

    def _is_float(self, index: int) -> bool:
        return index >= 0 and self.graph.tensors[index].type == fb.FLOAT32

    def _twin(self, index: int, parameters: tuple[float, int] | None = None) -> int:
        """Returns the integer tensor of a float32 one, which is to be computed."""
        if index not in self._twins:
            parameters = parameters or self._states.get(index)
            if parameters is None:
                low, high = self.seen.ranges[index]
                fed = index in map(int, self.graph.inputs)
                room = 1.0 if fed and not self.numbers.symmetric else HEADROOM
                parameters = self.numbers.affine(low * room, high * room)
            self._twins[index] = self._stored.tensor(
                index, self.numbers.activation, fb.quantization(*parameters)
            )
        return self._twins[index]

    def _integer(self, index: int) -> int:
        """Returns a tensor in integers, quantized where it is there in float32 alone."""
        if index in self._twins:
            return self._twins[index]
        values = fb.constant(self.model, self.graph.tensors[index])
        if values is not None:
            low, high = float(values.min(initial=0)), float(values.max(initial=0))
            scale, zero = self.numbers.affine(low, high)
            stored = np.clip(np.rint(values / scale) + zero, *self.numbers.limits)
            self._twins[index] = fb.add_constant(
                self.model,
                self.graph,
                stored.astype(self.numbers.activation),
                fb.quantization(scale, zero),
            )
            return self._twins[index]
        twin = self._twin(index)
        self._add("QUANTIZE", [index], [twin], fb.schema.QuantizeOptionsT())
        return twin

    def _in_floats(self, index: int) -> int:
        """Returns a tensor in float32, dequantized where it is there in integers alone."""
        if index in self._twins and index not in self._floats:
            options = fb.schema.DequantizeOptionsT()
            self._add("DEQUANTIZE", [self._twins[index]], [index], options)
            self._floats.add(index)
        return index

    def _parameters(self, index: int) -> tuple[float, int]:
        quantization = self.graph.tensors[index].quantization
        return float(quantization.scale[0]), int(quantization.zeroPoint[0])

    # ------------------------------------------------------------------ ops

    def _add(self, name: str, inputs: list[int], outputs: list[int], options: Any) -> None:
        version = self.numbers.versions.get(name, 1)
        self.operators.append(
            fb.op(self.model, name, inputs, outputs, version=version, options=options)
        )

    def _again(self, operator: fb.Operator, inputs: list[int], outputs: list[int]) -> None:
        """Adds an op of the same name, in integers."""
        name = fb.op_name(self.model, operator)
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        fb.set_op(self.model, operator, name, self.numbers.versions.get(name, 1))
        self.operators.append(operator)

    def _takes(self, operator: fb.Operator) -> bool:
        """Whether an op that has an integer form is to be computed in integers."""
        name, outputs = fb.op_name(self.model, operator), list(map(int, operator.outputs))
        # Parts of what is there have its range.
        ranged = name in LAYOUT or all(index in self.seen.ranges for index in outputs)
        if not self._is_float(outputs[0]) or not ranged:
            return False
        inputs = [int(index) for index in operator.inputs if self._is_float(int(index))]
        if name not in PRODUCTS and not any(index in self._twins for index in inputs):
            return False  # all of it is there in float32
        if name == "GATHER":
            table = fb.constant(self.model, self.graph.tensors[operator.inputs[0]])
            return table is not None
        if name == "FULLY_CONNECTED" or name in CONVOLUTIONS:
            weights = [self.graph.tensors[index] for index in operator.inputs[1:] if index >= 0]
            return all(fb.constant(self.model, one) is not None for one in weights)
        last = set(outputs) & set(map(int, self.graph.outputs)) - set(self._states)
        # What a file answers in float32 anyway need not be rounded first. A sum may go beyond what
        # was seen in calibration: a forecast does, where a series grows.
        return not (last and not self.integer_io and name in ENDS)

    def _in_float(self, operator: fb.Operator) -> None:
        for index in map(int, operator.inputs):
            if self._is_float(index):
                self._in_floats(index)
        self.operators.append(operator)
        self._floats.update(map(int, operator.outputs))

    def _kernel(self, index: int, moments: np.ndarray | None) -> tuple[int, float]:
        """Returns a kernel in int8, and its scale."""
        tensor = self.graph.tensors[index]
        values = fb.constant(self.model, tensor)
        assert values is not None
        whole, scale = self._stored.rounded((tensor.buffer, "whole"), values, None, moments)
        key = (tensor.buffer, "int8")
        return self._stored.constant(key, whole, fb.quantization(scale)), float(scale[0])

    def _bias(self, index: int, step: float | np.ndarray, what: str) -> int:
        """Returns a bias in steps of a product."""
        values = fb.constant(self.model, self.graph.tensors[index])
        assert values is not None
        stored = np.rint(values.astype(np.float64) / step)
        if np.abs(stored).max(initial=0) > np.iinfo(self.numbers.bias).max / 2:
            raise ExportError(
                f"A bias of {what} ({np.abs(values).max():.3g}) is too large beside its weights "
                "for integers. Train with smaller ones, or choose quantization 'none'."
            )
        return fb.add_constant(
            self.model, self.graph, stored.astype(self.numbers.bias), fb.quantization(step)
        )

    def _lstm(self, operator: fb.Operator) -> None:
        self._number[LSTM_OP] += 1
        what = f"LSTM number {self._number[LSTM_OP]}"
        x, output = int(operator.inputs[0]), int(operator.outputs[0])
        given = self._integer(x)
        inputs = [given, *map(int, operator.inputs[1:])]
        step, _ = self._parameters(given)
        # Its state is the output of a step: what is cut off lies between this and -1 or 1.
        state = self.numbers.affine(*self.seen.ranges[output])
        if self.numbers.symmetric:
            state = 1 / 32768, 0
        for gate in range(4):
            inputs[1 + gate], scale = self._kernel(inputs[1 + gate], self.seen.moments[x])
            recurrent = self.seen.moments[output]
            inputs[5 + gate], _ = self._kernel(inputs[5 + gate], recurrent)
            inputs[12 + gate] = self._bias(inputs[12 + gate], step * scale, what)
        hidden, cell = self.graph.tensors[inputs[18]], self.graph.tensors[inputs[19]]
        hidden.type, hidden.quantization = _type(self.numbers.activation), fb.quantization(*state)
        cell.type, cell.quantization = fb.INT16, fb.quantization(self._cell_scale(output, what))
        result = self._twin(output, state)
        none = [fb.add_tensor(self.graph, [0], np.float32) for _ in range(4)]
        effective = fb.add_tensor(self.graph, [0], self.numbers.activation, fb.quantization(*state))
        operator.intermediates = np.array([*none, effective], np.int32)
        self._again(operator, inputs, [result])

    def _cell_scale(self, output: int, what: str) -> float:
        largest = HEADROOM * self.seen.cells[output]
        power = int(np.ceil(np.log2(max(largest, 1e-9)))) - 15
        if power > LARGEST_POWER:
            raise ExportError(
                f"The cell of {what} reaches {self.seen.cells[output]:.3g} on the representative "
                f"data, and the op holds up to {LARGEST_CELL:g} in integers. Choose the lowering "
                "'unrolled' or the quantization 'none'."
            )
        return float(2.0 ** max(power, LEAST_POWER))

    def _dense(self, operator: fb.Operator) -> None:
        x, output = int(operator.inputs[0]), int(operator.outputs[0])
        given = self._integer(x)
        kernel, scale = self._kernel(int(operator.inputs[1]), self._rows(x, operator))
        inputs = [given, kernel]
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            step = self._parameters(given)[0] * scale
            inputs.append(self._bias(int(operator.inputs[2]), step, "a dense layer"))
        self._again(operator, inputs, [self._twin(output)])

    def _convolution(self, operator: fb.Operator) -> None:
        axis = CONVOLUTIONS[fb.op_name(self.model, operator)]
        given = self._integer(int(operator.inputs[0]))
        kernel = self.graph.tensors[operator.inputs[1]]
        values = fb.constant(self.model, kernel)
        assert values is not None
        whole, scales = self._stored.rounded((kernel.buffer, "whole"), values, axis)
        parameters = fb.quantization(scales, dimension=axis)
        inputs = [given, self._stored.constant((kernel.buffer, "int8"), whole, parameters)]
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            step = self._parameters(given)[0] * scales.astype(np.float64)
            inputs.append(self._bias(int(operator.inputs[2]), step, "a convolution"))
        self._again(operator, inputs, [self._twin(int(operator.outputs[0]))])

    def _lookup(self, operator: fb.Operator) -> None:
        """Looks rows of an int8 table up, which is what the kernels have beside float32."""
        table, output = int(operator.inputs[0]), int(operator.outputs[0])
        rows, scale = self._kernel(table, None)
        if self.numbers.activation is np.int8:
            result = self._twin(output, (scale, 0))
        else:
            result = self._stored.tensor(output, np.int8, fb.quantization(scale))
        self._again(operator, [rows, *map(int, operator.inputs[1:])], [result])
        if result not in self._twins.values():
            self._add("DEQUANTIZE", [result], [output], fb.schema.DequantizeOptionsT())
            self._floats.add(output)

    def _rows(self, x: int, operator: fb.Operator) -> np.ndarray | None:
        moments = self.seen.moments.get(x)
        columns = fb.shape_of(self.graph.tensors[operator.inputs[1]])[-1]
        return moments if moments is not None and len(moments) == columns else None

    def _activation(self, operator: fb.Operator) -> None:
        fixed = self._fixed(fb.op_name(self.model, operator))
        given = self._integer(int(operator.inputs[0]))
        self._again(operator, [given], [self._twin(int(operator.outputs[0]), fixed)])

    def _arithmetic(self, operator: fb.Operator) -> None:
        inputs = [self._integer(int(index)) for index in operator.inputs]
        self._again(operator, inputs, [self._twin(int(operator.outputs[0]))])

    def _join(self, operator: fb.Operator) -> None:
        """Puts tensors side by side, which the kernels do in one scale.

        That of a state, where it holds all of them: the last steps of an input beside the next.
        """
        inputs, output = list(map(int, operator.inputs)), int(operator.outputs[0])
        largest = max(map(abs, self.seen.ranges[output]))
        states = [
            (scale, zero)
            for scale, zero in (self._states[one] for one in inputs if one in self._states)
            if scale * (self.numbers.limits[1] - zero) >= largest
        ]
        result = self._twin(output, states[0] if states else None)
        parameters = self._parameters(result)
        taken = []
        for index in inputs:
            given = self._integer(index)
            if self._parameters(given) != parameters:
                same = self._stored.tensor(
                    index, self.numbers.activation, fb.quantization(*parameters)
                )
                self._add("QUANTIZE", [given], [same], fb.schema.QuantizeOptionsT())
                given = same
            taken.append(given)
        self._again(operator, taken, [result])

    def _layout(self, operator: fb.Operator) -> None:
        place = LAYOUT[fb.op_name(self.model, operator)]
        inputs = list(map(int, operator.inputs))
        inputs[place] = self._integer(inputs[place])
        parameters = self._parameters(inputs[place])
        outputs = [self._twin(int(index), parameters) for index in operator.outputs]
        self._again(operator, inputs, outputs)


def _type(dtype: type) -> int:
    return fb.INT8 if dtype is np.int8 else fb.INT16
