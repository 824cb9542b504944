"""Files whose call takes a few time steps: what they say of themselves, and where their state is.

Their signature `step` takes a chunk of time steps. Inputs and outputs of the same names are the
states before and after it, and a second signature, `initial_state`, has them as they are before the
first step. Or the file keeps them itself, in resource variables, and its second signature is
`reset`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.file import INITIAL_STATE, RESET_STATE

# What the metadata of a file are called that say what a chunk is.
NAME = b"keras_rnn_zoo_streaming"


@dataclass(frozen=True)
class Streaming:
    """What a file says of its steps.

    Attributes:
        steps: Time steps that a call takes.
        every_step: Names of the outputs that answer each of them, `[batch, steps, ...]`; the
            others answer the sequence so far.
    """

    steps: int
    every_step: tuple[str, ...]


def streaming_of(content: bytes) -> Streaming | None:
    """Returns what a file says of its steps; None where it says nothing, or is damaged."""
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.Model.GetRootAs(content, 0)
        for number in range(model.MetadataLength()):
            entry = model.Metadata(number)
            if entry.Name() == NAME:
                known = json.loads(bytes(model.Buffers(entry.Buffer()).DataAsNumpy()))
                return Streaming(int(known["steps"]), tuple(map(str, known["every_step"])))
    except Exception:  # whatever the bytes of a damaged file say
        return None
    return None


def initial_states(content: bytes) -> dict[str, np.ndarray]:
    """Returns the states before the first step, by name and in the order of names, as stored.

    Args:
        content: A file.

    Returns:
        Those of its signature `initial_state`; none where there is no such signature.
    """
    model = fb.unpack(content)
    found: dict[str, np.ndarray] = {}
    for signature in model.signatureDefs or ():
        if fb.text(signature.signatureKey) == INITIAL_STATE:
            tensors = model.subgraphs[signature.subgraphIndex].tensors
            for entry in signature.outputs:
                values = fb.constant(model, tensors[entry.tensorIndex])
                assert values is not None, "`finished` makes them constants"
                found[fb.text(entry.name)] = values
    return dict(sorted(found.items()))


def signatures_of(content: bytes) -> list[str]:
    """Returns the signatures of a file, in order; none of one that is damaged."""
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.Model.GetRootAs(content, 0)
        keys = (model.SignatureDefs(n).SignatureKey() for n in range(model.SignatureDefsLength()))
        return [(key or b"").decode("utf-8", "replace") for key in keys]
    except Exception:  # of a damaged file, which the interpreter refuses
        return []


@dataclass(frozen=True)
class _State:
    """A state, and the tensors that hold it before and after a call."""

    name: str
    before: int
    after: int


def finished(
    content: bytes, start: Mapping[str, np.ndarray], streaming: Streaming, *, inside: bool
) -> bytes:
    """Returns a file whose one signature is `step` with the second one that it needs.

    Args:
        content: The file, as quantized as it will be.
        start: Name of each state -> its real values before the first step.
        streaming: What it is to say of itself.
        inside: The file keeps its states.
    """
    model = fb.unpack(content)
    (signature,) = model.signatureDefs
    graph = model.subgraphs[signature.subgraphIndex]
    states = [_State(name, *ends) for name, ends in fb.states_of(model).items()]
    values = {one.name: _stored(graph.tensors[one.before], start[one.name]) for one in states}
    if inside:
        _keep_inside(model, signature, graph, states, values)
    else:
        _add_start(model, graph, states, values)
    entry = fb.schema.MetadataT()
    entry.name = NAME
    data = json.dumps(asdict(streaming)).encode()
    entry.buffer = fb.add_buffer(model, np.frombuffer(data, np.uint8))
    model.metadata = [*(model.metadata or ()), entry]
    return fb.pack(model)


def _stored(tensor: Any, values: np.ndarray) -> np.ndarray:
    """Returns real values as a tensor stores them."""
    dtype = fb.dtype_of(tensor)
    if dtype.kind == "f":
        return values.astype(dtype)
    scale, zero = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(values / scale) + zero, limits.min, limits.max), dtype)


def _add_start(
    model: fb.Model,
    graph: fb.Graph,
    states: list[_State],
    values: Mapping[str, np.ndarray],
) -> None:
    """Adds the signature `initial_state`: a subgraph of constants."""
    new, number = _subgraph(model, INITIAL_STATE)
    entries = []
    for one in states:
        parameters = graph.tensors[one.before].quantization
        index = fb.add_constant(model, new, values[one.name], parameters)
        new.tensors[index].name = one.name
        entry = fb.schema.TensorMapT()
        entry.name, entry.tensorIndex = one.name, index
        entries.append(entry)
    new.outputs = np.array([entry.tensorIndex for entry in entries], np.int32)
    _add_signature(model, INITIAL_STATE, number, entries)


def _keep_inside(
    model: fb.Model,
    signature: Any,
    graph: fb.Graph,
    states: list[_State],
    values: Mapping[str, np.ndarray],
) -> None:
    """Makes the states resource variables, which are set before the first call and by `reset`."""
    setting = []
    for name in ("set_once", RESET_STATE):
        new, number = _subgraph(model, name)
        for one in states:
            handle = _handle(model, new, one.name)
            parameters = graph.tensors[one.before].quantization
            start = fb.add_constant(model, new, values[one.name], parameters)
            new.operators.append(_assign(model, handle, start))
        setting.append(number)
    once = fb.schema.CallOnceOptionsT()
    once.initSubgraphIndex = setting[0]
    operators, graph.operators = graph.operators, []
    graph.operators.append(fb.op(model, "CALL_ONCE", [], [], options=once))
    last = []
    for one in states:
        handle = _handle(model, graph, one.name)
        options = fb.schema.ReadVariableOptionsT()
        read = fb.op(model, "READ_VARIABLE", [handle], [one.before], options=options)
        graph.operators.append(read)
        last.append(_assign(model, handle, one.after))
    graph.operators += [*operators, *last]
    gone_in, gone_out = {one.before for one in states}, {one.after for one in states}
    known = {one.name for one in states}
    answers = {one.tensorIndex for one in signature.outputs if fb.text(one.name) not in known}
    graph.inputs = np.array([i for i in graph.inputs if i not in gone_in], np.int32)
    graph.outputs = np.array([i for i in graph.outputs if i not in gone_out - answers], np.int32)
    signature.inputs = [one for one in signature.inputs if one.tensorIndex not in gone_in]
    signature.outputs = [one for one in signature.outputs if fb.text(one.name) not in known]
    _add_signature(model, RESET_STATE, setting[1], [])


def _subgraph(model: fb.Model, name: str) -> tuple[fb.Graph, int]:
    new = fb.schema.SubGraphT()
    new.name, new.tensors, new.operators = name.encode(), [], []
    new.inputs = new.outputs = np.array([], np.int32)
    model.subgraphs.append(new)
    return new, len(model.subgraphs) - 1


def _add_signature(model: fb.Model, key: str, number: int, outputs: list[Any]) -> None:
    signature = fb.schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = key.encode(), number
    signature.inputs, signature.outputs = [], outputs
    model.signatureDefs.append(signature)


def _handle(model: fb.Model, graph: fb.Graph, name: str) -> int:
    """Adds the op that finds a variable; returns its result."""
    tensor = fb.schema.TensorT()
    tensor.type, tensor.buffer, tensor.hasRank = fb.schema.TensorType.RESOURCE, 0, True
    tensor.shape = np.array([], np.int32)
    graph.tensors.append(tensor)
    options = fb.schema.VarHandleOptionsT()
    options.container, options.sharedName = b"", name
    index = len(graph.tensors) - 1
    graph.operators.append(fb.op(model, "VAR_HANDLE", [], [index], options=options))
    return index


def _assign(model: fb.Model, handle: int, value: int) -> fb.Operator:
    options = fb.schema.AssignVariableOptionsT()
    return fb.op(model, "ASSIGN_VARIABLE", [handle, value], [], options=options)
