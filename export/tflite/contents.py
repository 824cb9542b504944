"""What a .tflite file really holds, read from the file itself: ops, weights, signatures.

The layout is the flatbuffer schema of TensorFlow Lite (`schema.fbs`, version 3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import OpGateError, TargetError, listed
from keras_rnn_zoo.export.tflite import tables
from keras_rnn_zoo.export.tflite.file import read
from keras_rnn_zoo.export.tflite.opened import open_model
from keras_rnn_zoo.export.tflite.runtimes import Runtime, newer_than, oldest_runtime, runtime_text
from keras_rnn_zoo.files import PathLike

CUSTOM = "CUSTOM"
LSTM_OP = "UNIDIRECTIONAL_SEQUENCE_LSTM"
QUANTIZED_DTYPES = frozenset({"INT2", "INT4", "UINT4", "INT8", "UINT8"})
FLOAT_DTYPES = frozenset({"FLOAT16", "BFLOAT16", "FLOAT32", "FLOAT64"})
# Op -> which of its inputs are weights, where they are constants. Biases are none: they are added.
WEIGHT_INPUTS: dict[str | None, tuple[int, ...]] = {
    "FULLY_CONNECTED": (1,),
    "BATCH_MATMUL": (0, 1),
    "CONV_2D": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "TRANSPOSE_CONV": (1,),
    "CONV_3D": (1,),
    "GATHER": (0,),
    LSTM_OP: tuple(range(1, 9)),
    "EMBEDDING_LOOKUP": (1,),
}


@dataclass(frozen=True)
class Weight:
    """A constant that a file multiplies by or looks rows up in.

    Attributes:
        name: Its name in the file, which `slim` leaves; of a file that was not written here, what
            its converter made of that.
        op: The op that takes it.
        shape: Its shape.
        bytes: What it takes in the file.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True)
class FileInfo:
    """What a .tflite file holds.

    Attributes:
        path: The file.
        bytes: Its size.
        ops: Op name -> how often it occurs, over all subgraphs; custom ops by their own name.
        versions: Op name -> the highest version of it.
        custom_ops: Names of ops that a client would have to bring.
        flex_ops: Names of those that run TensorFlow itself (`Flex...`).
        unknown_ops: Op codes that the schema of this version does not name.
        subgraphs: Number of subgraphs; loops and branches each add some.
        tensors: dtype -> number of tensors.
        weights: dtype -> bytes of constants that the file stores, shared ones counted once.
        signatures: Signature -> `{"inputs": [names], "outputs": [names]}`.
        variables: Number of tensors that keep state from one call to the next.
        uncomputed: Outputs of the main subgraph that no op computes.
        float32_weights: The weights that are stored in float32, shared ones once.
    """

    path: Path
    bytes: int
    ops: dict[str, int]
    versions: dict[str, int]
    custom_ops: tuple[str, ...]
    flex_ops: tuple[str, ...]
    unknown_ops: tuple[str, ...]
    subgraphs: int
    tensors: dict[str, int]
    weights: dict[str, int]
    signatures: dict[str, dict[str, list[str]]]
    variables: int
    uncomputed: tuple[str, ...]
    float32_weights: tuple[Weight, ...]

    @property
    def min_runtime(self) -> str | None:
        """The oldest runtime that knows all of its ops, `"2.9"`; None where that is not known."""
        if self.custom_ops or self.unknown_ops:
            return None
        # 16 bits of activations: biases of 64, which no other file has. LiteRT does not run those
        # of the LSTM op, and the versions of the ops do not say so.
        if self.tensors.get("INT16") and self.weights.get("INT64") and LSTM_OP in self.ops:
            return None
        found = oldest_runtime(self.versions)
        return None if found is None else runtime_text(found)

    @property
    def quantized_weight_bytes(self) -> int:
        """Bytes of constants of 8 bits or fewer."""
        return sum(size for dtype, size in self.weights.items() if dtype in QUANTIZED_DTYPES)

    @property
    def float_weight_bytes(self) -> int:
        """Bytes of floating-point constants."""
        return sum(size for dtype, size in self.weights.items() if dtype in FLOAT_DTYPES)

    def to_dict(self) -> dict[str, Any]:
        """Returns the content for a report, without the path."""
        values = asdict(self)
        del values["path"]
        return values


def inspect(path: PathLike) -> FileInfo:
    """Reads what a .tflite file holds, without running it.

    Args:
        path: The file.

    Raises:
        RunError: The file is missing, no .tflite file, or damaged.
    """
    path = Path(path)
    content = read(path)
    with tables.reading(path):
        return _inspect(path, content, tables.schema())


def check_builtin_only(path: PathLike) -> FileInfo:
    """Refuses a file that a plain interpreter could not run.

    Args:
        path: A .tflite file.

    Returns:
        What the file holds.

    Raises:
        RunError: The file is missing or damaged.
        OpGateError: It holds Flex, custom or unknown ops, ops of a version that the installed
            interpreter lacks, no op at all, or an output that no op computes.
    """
    info = inspect(path)
    name = info.path.name
    if info.custom_ops or info.unknown_ops:
        others = [op for op in info.custom_ops if op not in info.flex_ops]
        what = []
        if info.flex_ops:
            what.append(f"TensorFlow ops ({', '.join(info.flex_ops)})")
        if others:
            what.append(f"custom ops ({', '.join(others)})")
        if info.unknown_ops:
            what.append(f"ops newer than this version knows ({', '.join(info.unknown_ops)})")
        raise OpGateError(
            f"{name} needs {', '.join(what)}; only builtin TensorFlow Lite ops run on every "
            "client. Replace the layers that cause them.",
            (*info.custom_ops, *info.unknown_ops),
        )
    if not info.ops:
        raise OpGateError(
            f"{name} holds no ops at all, so it computes nothing. Check what the traced function "
            "returns.",
        )
    if info.uncomputed:
        raise OpGateError(
            f"{name} has outputs that no op computes: {listed(info.uncomputed)}. The converter "
            "dropped what should compute them; check what the traced function returns.",
            info.uncomputed,
        )
    open_model(info.path)
    return info


def check_runtime(info: FileInfo, runtime: Runtime, lowerings: Collection[str]) -> None:
    """Refuses a file that a runtime does not know the ops of.

    Args:
        info: What the file holds.
        runtime: The runtime.
        lowerings: Those that it was written with.

    Raises:
        TargetError: The message says which, and what to do.
    """
    unknown = newer_than(info.versions, runtime)
    if unknown:
        loops = "" if set(lowerings) <= {"unrolled"} else "Try lowering='unrolled', or "
        newer = (
            f"pass min_runtime='{info.min_runtime}'"
            if info.min_runtime
            else "leave min_runtime out"
        )
        advice = f"{loops}{newer}."
        raise TargetError(
            f"The file does not run on TensorFlow Lite {runtime_text(runtime)}: it holds "
            f"{', '.join(unknown)}. {advice[0].upper()}{advice[1:]}"
        )


def logit_source(path: PathLike, output: int) -> tuple[int, list[Callable[[Any], Any]]] | None:
    """Finds the tensor whose sigmoid or softmax is an output.

    Args:
        path: A .tflite file.
        output: Tensor index of an output of the main subgraph.

    Returns:
        The index of the tensor, and the changes of layout that lie between it and the output, to
        be applied in turn; None where the output is not made by a LOGISTIC or SOFTMAX.

    Raises:
        RunError: The file is missing, no .tflite file, or damaged.
    """
    path = Path(path)
    content = read(path)
    with tables.reading(path):
        return _logit_source(content, output)


def _logit_source(content: bytes, output: int) -> tuple[int, list[Callable[[Any], Any]]] | None:
    count = _Counter(content)
    model = tables.schema().Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    producers = {
        operator.Outputs(j): operator
        for operator in (graph.Operators(i) for i in range(count(graph.OperatorsLength())))
        for j in range(count(operator.OutputsLength()))
    }
    layout: list[Callable[[Any], Any]] = []
    index = output
    while index in producers:
        # An op that reads what comes of it is damage, and would be followed for ever.
        operator = producers.pop(index)
        name = _op_name(model.OperatorCodes(operator.OpcodeIndex()))
        source = operator.Inputs(0)
        if name in ("LOGISTIC", "SOFTMAX"):
            return source, layout[::-1]
        if name in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"):
            shape = tables.open_shape(graph.Tensors(index))
            if shape.count(-1) > 1:  # sizes of the moment
                return None
            layout.append(_reshape(shape))
        elif name == "TRANSPOSE":
            order = model.Buffers(graph.Tensors(operator.Inputs(1)).Buffer()).DataAsNumpy()
            if isinstance(order, int):  # computed, not a constant
                return None
            layout.append(_transpose(np.frombuffer(order.tobytes(), np.int32).tolist()))
        elif name not in ("QUANTIZE", "DEQUANTIZE"):
            return None
        index = source
    return None


class _Counter:
    """Ends the walk through a file that claims to hold more than it has bytes.

    Vectors of a damaged file may overlap, each as long as the file: to walk them all would take for
    ever, or all memory.
    """

    def __init__(self, content: bytes):
        self._left = len(content)

    def __call__(self, length: int) -> int:
        """Returns the length of a vector that is walked next."""
        if not 0 <= length <= self._left:
            raise ValueError("more items than bytes")
        self._left -= length
        return length

    def text(self, content: bytes | None) -> str:
        """Returns a string of the file."""
        content = content or b""
        self(len(content))
        return content.decode("utf-8")


def _op_name(code: Any) -> str | None:
    # Op codes above 127 do not fit the first field, which older writers fill alone.
    number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
    return tables.names("BuiltinOperator").get(number)


def _reshape(shape: tuple[int, ...]) -> Callable[[Any], Any]:
    return lambda array: np.reshape(array, shape)


def _transpose(order: list[int]) -> Callable[[Any], Any]:
    return lambda array: np.transpose(array, order)


def _inspect(path: Path, content: bytes, schema: Any) -> FileInfo:
    counted = _Counter(content)
    model = schema.Model.GetRootAs(content, 0)
    codes = []
    for i in range(counted(model.OperatorCodesLength())):
        code = model.OperatorCodes(i)
        name = _op_name(code)
        if name == CUSTOM:
            custom = code.CustomCode()
            codes.append((CUSTOM, counted.text(custom) or "(unnamed)"))
        elif name is None:
            number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
            codes.append(("", f"op code {number}"))
        else:
            codes.append((name, name))
    versions: dict[str, int] = {}

    ops: Counter[str] = Counter()
    custom_ops: set[str] = set()
    unknown_ops: set[str] = set()
    tensors: Counter[str] = Counter()
    weights: Counter[str] = Counter()
    stored: set[int] = set()
    variables = 0
    uncomputed: list[str] = []
    dtypes = tables.names("TensorType")
    for g in range(counted(model.SubgraphsLength())):
        graph = model.Subgraphs(g)
        computed: set[int] = set()
        for i in range(counted(graph.OperatorsLength())):
            operator = graph.Operators(i)
            kind, name = codes[operator.OpcodeIndex()]
            ops[name] += 1
            version = model.OperatorCodes(operator.OpcodeIndex()).Version()
            versions[name] = max(version, versions.get(name, 1))
            if kind == CUSTOM:
                custom_ops.add(name)
            elif not kind:
                unknown_ops.add(name)
            computed.update(operator.Outputs(j) for j in range(counted(operator.OutputsLength())))
        for i in range(counted(graph.TensorsLength())):
            tensor = graph.Tensors(i)
            dtype = dtypes.get(tensor.Type(), f"type {tensor.Type()}")
            tensors[dtype] += 1
            variables += bool(tensor.IsVariable())
            buffer = tensor.Buffer()
            size = _stored_bytes(model.Buffers(buffer)) if buffer else 0
            if size and buffer not in stored:
                stored.add(buffer)
                if size > len(content):
                    raise ValueError("a constant larger than the file")
                weights[dtype] += size
        if g == 0:
            outputs = [graph.Outputs(j) for j in range(counted(graph.OutputsLength()))]
            uncomputed = [
                counted.text(graph.Tensors(j).Name()) for j in outputs if j not in computed
            ]

    signatures = {}
    for i in range(counted(model.SignatureDefsLength())):
        signature = model.SignatureDefs(i)
        signatures[counted.text(signature.SignatureKey())] = {
            "inputs": [
                counted.text(signature.Inputs(j).Name())
                for j in range(counted(signature.InputsLength()))
            ],
            "outputs": [
                counted.text(signature.Outputs(j).Name())
                for j in range(counted(signature.OutputsLength()))
            ],
        }
    return FileInfo(
        path=path,
        bytes=len(content),
        ops=dict(sorted(ops.items())),
        versions=dict(sorted(versions.items())),
        custom_ops=tuple(sorted(custom_ops)),
        flex_ops=tuple(sorted(op for op in custom_ops if op.startswith("Flex"))),
        unknown_ops=tuple(sorted(unknown_ops)),
        subgraphs=model.SubgraphsLength(),
        tensors=dict(sorted(tensors.items())),
        weights=dict(sorted(weights.items())),
        signatures=signatures,
        variables=variables,
        uncomputed=tuple(uncomputed),
        float32_weights=_float32_weights(model, schema.TensorType.FLOAT32, counted),
    )


def _float32_weights(model: Any, float32: int, counted: _Counter) -> tuple[Weight, ...]:
    found: dict[int, Weight] = {}
    for graph in tables.every(model.SubgraphsLength, model.Subgraphs):
        for operator in tables.every(graph.OperatorsLength, graph.Operators):
            op = _op_name(model.OperatorCodes(operator.OpcodeIndex()))
            for place in WEIGHT_INPUTS.get(op, ()):
                tensor = graph.Tensors(operator.Inputs(place))
                size = _stored_bytes(model.Buffers(tensor.Buffer()))
                if not size or tensor.Type() != float32 or tensor.Buffer() in found:
                    continue
                name = counted.text(tensor.Name())
                found[tensor.Buffer()] = Weight(name, str(op), tables.shape(tensor), size)
    return tuple(found.values())


def _stored_bytes(buffer: Any) -> int:
    # Files above 2 GB keep their constants behind the flatbuffer, at an offset.
    return int(buffer.DataLength() or (buffer.Size() if buffer.Offset() > 1 else 0))
