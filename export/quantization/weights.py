"""What is common to the modes: which constants of a file are weights, and smaller forms of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_rnn_zoo.export.quantization.fitting import LEVELS, fitted
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import WEIGHT_INPUTS

# Fewer save nothing: what a file says of a tensor takes more bytes.
FEWEST = 64
# Rows of fewer have no scale of their own, which would make the table more than 6 % larger.
FEWEST_COLUMNS = 64


class Graph:
    """One subgraph of a file while its ops are replaced.

    Args:
        model: The file.
        number: Of the subgraph.
        stored: Buffers that were made already, and what weights were rounded to, by what they were
            made of; shared by all subgraphs.
    """

    def __init__(self, model: fb.Model, number: int, stored: dict[object, Any]):
        self.model = model
        self.number = number
        self.graph = model.subgraphs[number]
        self._stored = stored
        self._constants: dict[object, int] = {}

    def weights(self, operator: fb.Operator) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the places among an op's inputs of its float32 weights, and what they hold."""
        name = fb.op_name(self.model, operator)
        for place in WEIGHT_INPUTS.get(name, ()):
            if place < len(operator.inputs) and operator.inputs[place] >= 0:
                tensor = self.graph.tensors[operator.inputs[place]]
                values = fb.constant(self.model, tensor)
                if values is not None and values.dtype == np.float32:
                    yield place, values

    def constant(
        self,
        key: object,
        values: np.ndarray,
        quantization: object = None,
    ) -> int:
        """Returns the tensor of a constant, one for all that ask with the same key."""
        if key not in self._constants:
            if key not in self._stored:
                self._stored[key] = fb.add_buffer(self.model, values)
            index = fb.add_tensor(self.graph, values.shape, values.dtype, quantization)
            self.graph.tensors[index].buffer = self._stored[key]
            self._constants[key] = index
        return self._constants[key]

    def rounded(
        self,
        key: object,
        values: np.ndarray,
        axis: int | None = None,
        moments: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Does what `rounded` does, once for all that ask with the same key."""
        if ("rounded", key) not in self._stored:
            self._stored["rounded", key] = rounded(values, axis, moments)
        whole, scale = self._stored["rounded", key]
        return whole, scale

    def tensor(self, of: int, dtype: object, quantization: object = None) -> int:
        """Adds a tensor of the shape of another one."""
        return fb.add_tensor(self.graph, fb.shape_of(self.graph.tensors[of]), dtype, quantization)


def rounded(
    values: np.ndarray, axis: int | None = None, moments: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rounds weights to int8, symmetrically: zero is zero.

    Args:
        values: float32 of any shape.
        axis: The axis whose slices have a scale each; None for one scale.
        moments: Of what a dense kernel multiplies, see `_fitting.fitted`; None where they are not
            known, and where there is more than one scale.

    Returns:
        int8 of the same shape, and the scales, float32.
    """
    if moments is not None and (found := fitted(values, moments)) is not None:
        return found
    others = tuple(i for i in range(values.ndim) if i != axis) if axis is not None else None
    largest = np.abs(values).max(axis=others, keepdims=True, initial=0)
    scale = np.where(largest > 0, largest / LEVELS, 1).astype(np.float32)
    stored = np.clip(np.rint(values / scale), -LEVELS, LEVELS).astype(np.int8)
    return stored, scale.ravel()


def through_dequantize(
    graph: Graph,
    operator: fb.Operator,
    place: int,
    values: np.ndarray,
    half: bool = False,
    key: object = None,
    moments: np.ndarray | None = None,
) -> fb.Operator:
    """Stores a weight smaller; what computes with it sees float32.

    Args:
        graph: Where the op is.
        operator: What takes the weight.
        place: Among its inputs.
        values: The weight.
        half: As float16 instead of int8.
        key: Of what was done to the weight before; None where nothing was.
        moments: Of what it multiplies, see `rounded`.

    Returns:
        The DEQUANTIZE to put in front of the op.
    """
    index = int(operator.inputs[place])
    buffer = graph.graph.tensors[index].buffer
    if half:
        stored = graph.constant((buffer, "float16"), values.astype(np.float16))
    else:
        whole, scale = graph.rounded((buffer, key), values, moments=moments)
        stored = graph.constant((buffer, "int8", key), whole, fb.quantization(scale))
    operator.inputs[place] = graph.tensor(index, np.float32)
    version = 3 if half else 2
    return fb.op(
        graph.model,
        "DEQUANTIZE",
        [stored],
        [operator.inputs[place]],
        version=version,
        options=fb.schema.DequantizeOptionsT(),
    )


def spread_of(values: np.ndarray) -> np.ndarray:
    """Returns the largest of each column (the last axis), or 1 where all are 0."""
    largest = np.abs(values).max(axis=tuple(range(values.ndim - 1)), initial=0)
    return np.where(largest > 0, largest, 1).astype(np.float32)


def evenness(sizes: np.ndarray) -> float:
    """Returns how coarse a scale for each of some parts is, as a share of one scale for all."""
    return float(np.sqrt(np.mean(sizes**2)) / sizes.max())


def pays(columns: np.ndarray) -> bool:
    """Whether a scale for each column rounds so much finer than one for all."""
    return evenness(columns) < 0.9


def scaled(graph: Graph, operator: fb.Operator, columns: np.ndarray) -> fb.Operator:
    """Has an op answer its columns divided by numbers; returns the MUL that takes that back.

    It takes over an activation of the op.
    """
    result = int(operator.outputs[0])
    operator.outputs[0] = graph.tensor(result, np.float32)
    options = fb.schema.MulOptionsT()
    if hasattr(operator.builtinOptions, "fusedActivationFunction"):
        options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
        operator.builtinOptions.fusedActivationFunction = fb.schema.ActivationFunctionType.NONE
    factors = graph.constant(("columns", columns.tobytes()), columns)
    inputs = [int(operator.outputs[0]), factors]
    return fb.op(graph.model, "MUL", inputs, [result], options=options)


def quantize_lookup(graph: Graph, operator: fb.Operator, values: np.ndarray) -> list[fb.Operator]:
    """Has a GATHER take rows of an int8 table; returns what makes float32 of them.

    Words that training met often have larger rows than others. Where that makes a difference, a
    scale is looked up for each row; else each column has one, where that does.
    """
    ids = int(operator.inputs[1])
    rows, result = _largest_of_rows(operator, values), int(operator.outputs[0])
    if rows is None:
        _, columns = store_table(graph, operator, values)
    else:
        _, columns = store_table(graph, operator, values / rows, columns=False)
    dequantized = result if rows is None and columns is None else graph.tensor(result, np.float32)
    options = fb.schema.DequantizeOptionsT()
    given = [int(operator.outputs[0])]
    after = [fb.op(graph.model, "DEQUANTIZE", given, [dequantized], version=2, options=options)]
    if rows is not None:
        factors = graph.constant(("rows", rows.tobytes()), rows)
        shape = [*fb.shape_of(graph.graph.tensors[result])[:-1], 1]
        looked_up = fb.add_tensor(graph.graph, shape, np.float32)
        options = operator.builtinOptions
        after.append(
            fb.op(graph.model, "GATHER", [factors, ids], [looked_up], version=2, options=options)
        )
    elif columns is not None:
        looked_up = graph.constant(("columns", columns.tobytes()), columns)
    else:
        return after
    options = fb.schema.MulOptionsT()
    after.append(fb.op(graph.model, "MUL", [dequantized, looked_up], [result], options=options))
    return after


def store_table(
    graph: Graph, operator: fb.Operator, values: np.ndarray, *, columns: bool = True
) -> tuple[float, np.ndarray | None]:
    """Has a GATHER take and answer int8.

    Returns:
        The scale of all, and what each column is to be multiplied by; None for nothing.
    """
    factors = spread_of(values) if columns and values.ndim > 1 else None
    if factors is not None and pays(factors):
        values = values / factors
    else:
        factors = None
    whole, scale = rounded(values)
    parameters = fb.quantization(scale)
    buffer = graph.graph.tensors[operator.inputs[0]].buffer
    operator.inputs[0] = graph.constant((buffer, "int8", columns), whole, parameters)
    operator.outputs[0] = graph.tensor(int(operator.outputs[0]), np.int8, parameters)
    fb.set_op(graph.model, operator, "GATHER", 2)
    return float(scale[0]), factors


def _largest_of_rows(operator: fb.Operator, values: np.ndarray) -> np.ndarray | None:
    """Returns the largest of each row, `[rows, 1]`, where scales of rows pay and columns' do not.

    A scale takes as much as four weights, and an op more than a scale of each column.
    """
    options = operator.builtinOptions
    if values.ndim != 2 or values.shape[1] < FEWEST_COLUMNS or options.axis or options.batchDims:
        return None
    rows = spread_of(values.T)
    return rows[:, np.newaxis] if evenness(rows) < 0.7 * evenness(spread_of(values)) else None


# Ops that hand values on as they are.
LAYOUT = frozenset(
    [
        "RESHAPE",
        "SQUEEZE",
        "EXPAND_DIMS",
        "TRANSPOSE",
        "GATHER",
        "STRIDED_SLICE",
        "SLICE",
        "SPLIT",
        "CONCATENATION",
        "PAD",
        "PACK",
        "UNPACK",
        "REVERSE_V2",
        "SELECT_V2",
        "GATHER_ND",
        "PADV2",
        "TILE",
        "BROADCAST_TO",
    ]
)

# Ops that an answer may still pass behind the product that makes it.
LAST = LAYOUT | {"LOGISTIC", "SOFTMAX", "TANH", "RELU", "ADD", "MUL", "SUB", "DIV"}


def answers_of(model: fb.Model) -> set[int]:
    """Returns the tensors of the main subgraph that the file answers, but for what comes last.

    Between the product that makes one and the answer lies no other product, so its result would
    be rounded for nothing: to 1/256 of the range of all answers. Of a sum, that is true of each
    part. The states after a step are no answers.
    """
    graph = model.subgraphs[0]
    makers = {int(out): operator for operator in graph.operators for out in operator.outputs}
    states = {after for _, after in fb.states_of(model).values()}
    named = {
        int(entry.tensorIndex)
        for signature in model.signatureDefs or ()
        for entry in signature.outputs
        if entry.name not in {given.name for given in signature.inputs}
    }
    pending = [int(index) for index in graph.outputs if index in named or index not in states]
    found = set()
    while pending:
        index = pending.pop()
        found.add(index)
        name = fb.op_name(model, makers[index]) if index in makers else None
        if name in LAST:
            computed = [
                int(source)
                for source in makers[index].inputs
                if source >= 0 and fb.constant(model, graph.tensors[source]) is None
            ]
            pending += computed if len(computed) == 1 or name == "ADD" else []
    return found


class Sources:
    """A file before any of its ops is replaced: what its tensors come from, and how often.

    What a user feeds may be cut and ordered otherwise. A state that a client brings from step to
    step is what the step before made it.
    """

    def __init__(self, model: fb.Model):
        self.model = model
        self._makers = [
            {int(out): operator for operator in graph.operators for out in operator.outputs}
            for graph in model.subgraphs
        ]
        # Subgraph of a loop's body -> the subgraph and the op that run it.
        self._loops: dict[int, tuple[int, fb.Operator]] = {}
        for number, graph in enumerate(model.subgraphs):
            for operator in graph.operators:
                if fb.op_name(model, operator) == "WHILE":
                    self._loops[operator.builtinOptions.bodySubgraphIndex] = number, operator
        self._states = dict(fb.states_of(model).values())
        self._uses = Counter(
            (number > 0, graph.tensors[index].buffer)
            for number, graph in enumerate(model.subgraphs)
            for operator in graph.operators
            for index in map(int, operator.inputs)
            if index >= 0
        )

    def repeats(self, buffer: int) -> bool:
        """Whether steps that are spelled out, in a loop or not, take a constant one by one.

        A loop's body and what lies in front of it may each take it, and so may what is computed for
        some steps in front of a loop and for the others.
        """
        return self._uses[True, buffer] > 1 or self._uses[False, buffer] > 2

    def is_fed(self, number: int, tensor: int) -> bool:
        """Whether some of the values of a float32 tensor come straight from a model input."""
        pending, seen = [(number, tensor)], set()
        while pending:
            number, tensor = pending.pop()
            graph = self.model.subgraphs[number]
            if (number, tensor) in seen or tensor < 0 or graph.tensors[tensor].type != fb.FLOAT32:
                continue
            seen.add((number, tensor))
            maker = self._makers[number].get(tensor)
            if maker is not None:
                if fb.op_name(self.model, maker) in LAYOUT:
                    pending += [(number, int(index)) for index in maker.inputs]
            elif number == 0 and tensor in self._states:
                pending.append((0, self._states[tensor]))
            elif tensor in (inputs := [int(index) for index in graph.inputs]):
                if number == 0:
                    return True
                if number in self._loops:
                    above, loop = self._loops[number]
                    pending.append((above, int(loop.inputs[inputs.index(tensor)])))
        return False
