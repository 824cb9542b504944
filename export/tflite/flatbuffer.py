"""A .tflite file as objects that can be changed, and back.

`contents` reads files of any origin, defensively; this is for files that were just written here.
The layout is the flatbuffer schema of TensorFlow Lite (`schema.fbs`, version 3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from keras_rnn_zoo.export.tflite.builder import Builder
from keras_rnn_zoo.export.tflite.file import STEP
from keras_rnn_zoo.export.tflite.runtimes import oldest_runtime, runtime_text


class _Schema:
    """The classes of the schema, imported when one is asked for."""

    def __getattr__(self, name: str) -> Any:
        from ai_edge_litert import schema_py_generated

        return getattr(schema_py_generated, name)


schema: Any = _Schema()

# `ModelT`, `SubGraphT`, `TensorT`, `OperatorT` of the schema, which has no types of its own.
Model = Any
Graph = Any
Tensor = Any
Operator = Any

# Of the schema's TensorType.
FLOAT32, FLOAT16, INT32, INT64, BOOL, INT16, INT8 = 0, 1, 2, 4, 6, 7, 9
_NUMPY: dict[int, Any] = {
    FLOAT32: np.dtype("float32"),
    FLOAT16: np.dtype("float16"),
    INT32: np.dtype("int32"),
    INT64: np.dtype("int64"),
    BOOL: np.dtype("bool"),
    INT16: np.dtype("int16"),
    INT8: np.dtype("int8"),
}
_DTYPES: dict[Any, int] = {dtype: value for value, dtype in _NUMPY.items()}


def unpack(content: bytes) -> Model:
    """Returns the objects of a whole .tflite file."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for graph in model.subgraphs:  # lists of NumPy views that cannot be written to
        graph.inputs, graph.outputs = np.array(graph.inputs), np.array(graph.outputs)
        for operator in graph.operators:
            operator.inputs, operator.outputs = operator.inputs.copy(), operator.outputs.copy()
    return model


def copied(model: Model) -> Model:
    """Returns a copy that can be changed for itself, but for the data of its buffers.

    To read the file again takes ten times as long.
    """
    new = _copied(model)
    for graph in new.subgraphs:
        for operator in graph.operators:
            operator.inputs, operator.outputs = operator.inputs.copy(), operator.outputs.copy()
    return new


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(one) for one in value]
    if type(value).__module__ != schema.ModelT.__module__:
        return value
    new = object.__new__(type(value))
    vars(new).update((name, _copied(one)) for name, one in vars(value).items())
    return new


def pack(model: Model) -> bytes:
    """Returns the file; tensors, constants and op codes that nothing uses are left out."""
    _prune(model)
    _state_runtime(model)
    builder = Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def renamed(content: bytes, signature: str, names: Mapping[str, str]) -> bytes:
    """Returns a file whose one signature, and some of its inputs and outputs, are called anew.

    Args:
        content: A file with one signature.
        signature: What it is to be called.
        names: Of an input or output -> what it is to be called.
    """
    model = unpack(content)
    (entry,) = model.signatureDefs
    entry.signatureKey = signature
    for one in (*entry.inputs, *entry.outputs):
        name = one.name.decode() if isinstance(one.name, bytes) else one.name
        one.name = names.get(name, name)
    return pack(model)


def text(name: Any) -> str:
    """Returns a name of the schema, which reads bytes and takes texts."""
    return name.decode() if isinstance(name, bytes) else str(name)


def states_of(model: Model) -> dict[str, tuple[int, int]]:
    """Returns the states of a file whose call takes some time steps; none of other files.

    They are the inputs and outputs of one name of the signature `step`: in others an output may be
    called as an input is.

    Returns:
        Name -> the tensor before a call, and the one after it.
    """
    found: dict[str, tuple[int, int]] = {}
    for signature in model.signatureDefs or ():
        if text(signature.signatureKey) == STEP:
            after = {text(entry.name): int(entry.tensorIndex) for entry in signature.outputs}
            for entry in signature.inputs:
                if (name := text(entry.name)) in after:
                    found[name] = int(entry.tensorIndex), after[name]
    return found


def outputs_apart(content: bytes) -> bytes:
    """Returns a file whose outputs are tensors of their own.

    A model may answer a state, too: one tensor with two names in the signature. Clients that
    find outputs by their tensors (CompiledModel, LiteRT.js) know the last of these names alone.
    """
    known = schema.Model.GetRootAs(content, 0).SignatureDefs(0)
    indices = [known.Outputs(number).TensorIndex() for number in range(known.OutputsLength())]
    if len(set(indices)) == len(indices):
        return content
    model = unpack(content)
    (signature,) = model.signatureDefs
    graph = model.subgraphs[signature.subgraphIndex]
    seen: set[int] = set()
    outputs = []
    for entry in signature.outputs:
        index = int(entry.tensorIndex)
        if index in seen:
            shape = shape_of(graph.tensors[index])
            copy = add_tensor(graph, shape, dtype_of(graph.tensors[index]))
            size = add_constant(model, graph, np.array(shape, np.int32))
            options = schema.ReshapeOptionsT()
            options.newShape = np.array(shape, np.int32)
            graph.operators.append(op(model, "RESHAPE", [index, size], [copy], options=options))
            entry.tensorIndex = index = copy
        seen.add(index)
        outputs.append(index)
    graph.outputs = np.array(outputs, np.int32)
    return pack(model)


def described(content: bytes, text: str) -> bytes:
    """Returns a file that says something else of itself."""
    model = unpack(content)
    model.description = text
    return pack(model)


def sized(content: bytes, shapes: Mapping[str, Sequence[int | None]]) -> bytes:
    """Returns a file whose open inputs have the sizes given, as long as nobody resizes them.

    The converter writes 1 for every size that is open, which convolutions may not take.

    Args:
        content: A file with one signature.
        shapes: Name of each input in the signature -> its shape.
    """
    model = unpack(content)
    (signature,) = model.signatureDefs
    tensors = model.subgraphs[signature.subgraphIndex].tensors
    for entry in signature.inputs:
        name = entry.name.decode() if isinstance(entry.name, bytes) else entry.name
        tensors[entry.tensorIndex].shape = np.array(shapes[name], np.int32)
    return pack(model)


@cache
def _op_names() -> dict[int, str]:
    values = vars(schema.BuiltinOperator)
    return {value: name for name, value in values.items() if isinstance(value, int)}


def op_name(model: Model, operator: Operator) -> str:
    """Returns the name of an op: `"FULLY_CONNECTED"`."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Op codes above 127 do not fit the first field, which older writers fill alone.
    return _op_names()[max(code.deprecatedBuiltinCode, code.builtinCode)]


def op(
    model: Model,
    name: str,
    inputs: Sequence[int],
    outputs: Sequence[int],
    *,
    version: int = 1,
    options: Any = None,
) -> Operator:
    """Returns a new operator.

    Args:
        model: The file that it is for.
        name: `"QUANTIZE"`.
        inputs: Tensor indices.
        outputs: Tensor indices.
        version: The version of the op that has these types and options.
        options: Of the schema: `schema.MulOptionsT()`; None where the op has none.
    """
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    if options is not None:
        operator.builtinOptions = options
        kind = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
    set_op(model, operator, name, version)
    return operator


def set_op(model: Model, operator: Operator, name: str, version: int) -> None:
    """Makes an operator one of that name and version."""
    number_of_op = getattr(schema.BuiltinOperator, name)
    for number, code in enumerate(model.operatorCodes):
        same = max(code.deprecatedBuiltinCode, code.builtinCode) == number_of_op
        if same and code.version == version:
            operator.opcodeIndex = number
            return
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = number_of_op, version
    code.deprecatedBuiltinCode = min(number_of_op, 127)
    model.operatorCodes.append(code)
    operator.opcodeIndex = len(model.operatorCodes) - 1


def version_of(model: Model, operator: Operator) -> int:
    """Returns the version of an operator."""
    return int(model.operatorCodes[operator.opcodeIndex].version)


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Returns the shape of a `TensorT`."""
    return tuple(int(size) for size in tensor.shape) if tensor.shape is not None else ()


def dtype_of(tensor: Any) -> np.dtype[Any]:
    """Returns the dtype of a `TensorT`, of a type known here."""
    found: np.dtype[Any] = _NUMPY[tensor.type]
    return found


def add_tensor(graph: Graph, shape: Iterable[int], dtype: Any, quantization: Any = None) -> int:
    """Adds a tensor that an op computes, without a name; returns its index."""
    tensor = schema.TensorT()
    tensor.type = _DTYPES[np.dtype(dtype)]
    tensor.shape = np.array(list(shape), np.int32)
    tensor.hasRank = True
    tensor.buffer = 0
    tensor.quantization = quantization
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def add_buffer(model: Model, values: np.ndarray) -> int:
    """Adds what a constant holds; returns the index of the buffer."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def add_constant(model: Model, graph: Graph, values: np.ndarray, quantization: Any = None) -> int:
    """Adds a constant; returns the index of the tensor."""
    index = add_tensor(graph, values.shape, values.dtype, quantization)
    graph.tensors[index].buffer = add_buffer(model, values)
    return index


def constant(model: Model, tensor: Any) -> np.ndarray | None:
    """Returns what a tensor holds, where that is a constant of a type known here."""
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type not in _NUMPY or tensor.isVariable:
        return None
    return np.frombuffer(bytes(data), _NUMPY[tensor.type]).reshape(shape_of(tensor))


def quantization(scale: float | np.ndarray, zero_point: int = 0, dimension: int = 0) -> Any:
    """Returns the `QuantizationParametersT` of a tensor: per tensor, or a scale per slice."""
    parameters = schema.QuantizationParametersT()
    parameters.scale = np.atleast_1d(np.asarray(scale, np.float32))
    parameters.zeroPoint = np.full(len(parameters.scale), zero_point, np.int64)
    parameters.quantizedDimension = dimension
    return parameters


def _state_runtime(model: Model) -> None:
    """Has the file say which runtime runs it, where it says so: ops may be others by now."""
    ops: dict[str, int] = {}
    for code in model.operatorCodes:
        name = _op_names()[max(code.deprecatedBuiltinCode, code.builtinCode)]
        ops[name] = max(code.version, ops.get(name, 1))
    runtime = oldest_runtime(ops)
    for entry in model.metadata or ():
        if entry.name == b"min_runtime_version" and runtime is not None:
            text = f"{runtime_text(runtime)}.0".encode()
            data = np.frombuffer(text.ljust(16, b"\0"), np.uint8)
            model.buffers[entry.buffer] = schema.BufferT()
            model.buffers[entry.buffer].data = data


def _moved(indices: Iterable[int], place: dict[int, int]) -> np.ndarray:
    return np.array([place[int(index)] for index in indices], np.int32)


def _prune(model: Model) -> None:
    # The number 0 takes no bytes: it is that of the op that is used most.
    counted = Counter(one.opcodeIndex for graph in model.subgraphs for one in graph.operators)
    codes = {old: new for new, (old, _) in enumerate(counted.most_common())}
    for graph in model.subgraphs:
        used = {*map(int, graph.inputs), *map(int, graph.outputs)}
        for operator in graph.operators:
            operator.opcodeIndex = codes[operator.opcodeIndex]
            used.update(map(int, operator.inputs))
            used.update(map(int, operator.outputs))
            if operator.intermediates is not None:
                used.update(map(int, operator.intermediates))
        used.discard(-1)
        place = {old: new for new, old in enumerate(sorted(used))}
        place[-1] = -1
        graph.tensors = [graph.tensors[index] for index in sorted(used)]
        graph.inputs, graph.outputs = _moved(graph.inputs, place), _moved(graph.outputs, place)
        for operator in graph.operators:
            operator.inputs = _moved(operator.inputs, place)
            operator.outputs = _moved(operator.outputs, place)
            if operator.intermediates is not None:
                operator.intermediates = _moved(operator.intermediates, place)
        for signature in model.signatureDefs or ():
            if model.subgraphs[signature.subgraphIndex] is graph:
                for entry in (*(signature.inputs or ()), *(signature.outputs or ())):
                    entry.tensorIndex = place[entry.tensorIndex]
    model.operatorCodes = [model.operatorCodes[old] for old in codes]

    # The first buffer is the empty one, by convention.
    kept = {0: 0}
    stored: dict[bytes, int] = {}
    buffers = [model.buffers[0]]
    users = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    for user in (*users, *(model.metadata or ())):
        if user.buffer not in kept:
            buffer = model.buffers[user.buffer]
            data = b"" if buffer.data is None else bytes(buffer.data)
            number = stored.get(data) if data else None
            if number is None:
                number = len(buffers)
                buffers.append(buffer)
                if data:
                    stored[data] = number
            kept[user.buffer] = number
        user.buffer = kept[user.buffer]
    model.buffers = buffers
    # An older list of the same buffers, which readers no longer look at.
    model.metadataBuffer = None
