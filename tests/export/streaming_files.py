"""Streaming files for the tests of what runs them: files of one step a call, rewritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_rnn_zoo.export.tflite import flatbuffer as fb

S = fb.schema
Change = Callable[[Any, Any], None]


def states_of(model: Any) -> dict[str, tuple[int, int]]:
    """Name of each state of the signature -> its tensors before and after a call."""
    signature = model.signatureDefs[0]
    after = {_text(one.name): int(one.tensorIndex) for one in signature.outputs}
    before = {_text(one.name): int(one.tensorIndex) for one in signature.inputs}
    return {name: (index, after[name]) for name, index in before.items() if name in after}


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _start(model: Any, graph: Any, like: Any, value: float) -> int:
    """Adds a constant that a state starts from, as it is stored; returns its tensor."""
    parameters = like.quantization
    if parameters is not None and parameters.scale is not None and len(parameters.scale):
        value = round(value / parameters.scale[0]) + parameters.zeroPoint[0]
    values = np.full(fb.shape_of(like), value, fb.dtype_of(like))
    return fb.add_constant(model, graph, values, parameters)


def _graph(model: Any, name: str, outputs: list[int] | None = None) -> Any:
    graph = S.SubGraphT()
    graph.tensors, graph.operators, graph.name = [], [], name
    graph.inputs, graph.outputs = np.array([], np.int32), np.array(outputs or [], np.int32)
    model.subgraphs.append(graph)
    return graph


def _signature(model: Any, key: str, outputs: Mapping[str, int]) -> None:
    signature = S.SignatureDefT()
    signature.signatureKey, signature.inputs, signature.outputs = key, [], []
    signature.subgraphIndex = len(model.subgraphs) - 1
    for name, index in outputs.items():
        entry = S.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        signature.outputs.append(entry)
    model.signatureDefs.append(signature)


def external(content: bytes, starts: Mapping[str, float] | None = None) -> bytes:
    """Adds the signature `initial_state`.

    Args:
        content: A file whose one signature is `step`.
        starts: State -> what it starts from; zero for others.
    """
    model = fb.unpack(content)
    graph = _graph(model, "initial_state")
    made = {
        name: _start(model, graph, model.subgraphs[0].tensors[index], (starts or {}).get(name, 0))
        for name, (index, _) in states_of(model).items()
    }
    graph.outputs = np.array(list(made.values()), np.int32)
    _signature(model, "initial_state", made)
    return fb.pack(model)


def internal(content: bytes, starts: Mapping[str, float] | None = None) -> bytes:
    """Puts the states into resource variables, and adds the signature `reset`; see `external`."""
    model = fb.unpack(content)
    states, (signature,) = states_of(model), model.signatureDefs
    step = model.subgraphs[0]

    def handle(graph: Any, name: str) -> int:
        tensor = S.TensorT()
        tensor.type, tensor.shape, tensor.buffer = (
            S.TensorType.RESOURCE,
            np.array([], np.int32),
            0,
        )
        tensor.hasRank = True
        graph.tensors.append(tensor)
        options = S.VarHandleOptionsT()
        options.container, options.sharedName = "", name
        index = len(graph.tensors) - 1
        graph.operators.append(fb.op(model, "VAR_HANDLE", [], [index], options=options))
        return index

    def assign(graph: Any, name: str, source: int) -> None:
        options = S.AssignVariableOptionsT()
        place = handle(graph, name)
        graph.operators.append(
            fb.op(model, "ASSIGN_VARIABLE", [place, source], [], options=options)
        )

    for key in ("init", "reset"):
        graph = _graph(model, key)
        for name, (before, _) in states.items():
            like = step.tensors[before]
            assign(graph, name, _start(model, graph, like, (starts or {}).get(name, 0)))
    _signature(model, "reset", {})
    own, step.operators = step.operators, []
    once = S.CallOnceOptionsT()
    once.initSubgraphIndex = 1
    step.operators.append(fb.op(model, "CALL_ONCE", [], [], options=once))
    for name, (before, _) in states.items():
        place = handle(step, name)
        read = fb.op(model, "READ_VARIABLE", [place], [before], options=S.ReadVariableOptionsT())
        step.operators.append(read)
    step.operators += own
    for name, (_, after) in states.items():
        assign(step, name, after)
    for kind, side in (("inputs", 0), ("outputs", 1)):
        gone = {pair[side] for pair in states.values()}
        left = [index for index in getattr(step, kind) if index not in gone]
        setattr(step, kind, np.array(left, np.int32))
        entries = [one for one in getattr(signature, kind) if one.tensorIndex not in gone]
        setattr(signature, kind, entries)
    return fb.pack(model)


def crossed(content: bytes, one: str, other: str) -> bytes:
    """Gives two states that come out of a call each other's names."""
    model = fb.unpack(content)
    names = {one: other, other: one}
    for entry in model.signatureDefs[0].outputs:
        entry.name = names.get(_text(entry.name), _text(entry.name))
    return fb.pack(model)


def rescaled(content: bytes, name: str, factor: float) -> bytes:
    """Has a state come in by another scale than that by which it goes out."""
    model = fb.unpack(content)
    before, _ = states_of(model)[name]
    parameters = model.subgraphs[0].tensors[before].quantization
    model.subgraphs[0].tensors[before].quantization = fb.quantization(
        parameters.scale * factor, int(parameters.zeroPoint[0])
    )
    return fb.pack(model)


STEPS, FEATURES = 10, 5
STATES = {"low/h": 8, "low/c": 8, "high/h": 6}


def _layers() -> list[Any]:
    from keras import layers

    return [
        layers.LSTM(8, return_sequences=True, return_state=True, name="low"),
        layers.GRU(6, return_state=True, name="high"),
        layers.Dense(3, activation="softmax", name="label"),
        layers.Dense(2, name="each"),
        layers.Dense(6, name="six"),
        layers.Reshape((2, 3), name="ahead"),
    ]


def _answers(own: list[Any], inputs: Any, states: list[Any] | None) -> tuple[dict[str, Any], ...]:
    low, high, label, each, six, ahead = own
    h, c, g = states or (None, None, None)
    y, *lows = low(inputs, initial_state=None if h is None else [h, c])
    z, after = high(y, initial_state=g)
    outputs = {"label": label(z), "each": each(y), "ahead": ahead(six(z))}
    return outputs, dict(zip(STATES, [*lows, after], strict=True))


def sensor_model(steps: int = STEPS) -> Any:
    """Returns a seeded model: `label` and `ahead` at the end, `each` at every step."""
    import keras

    own, inputs = _layers(), keras.Input((steps, FEATURES), name="sensor")
    outputs, _ = _answers(own, inputs, None)
    model = keras.Model(inputs, outputs)
    generator = np.random.default_rng(5)
    for weight in model.weights:  # as wide as those of a trained model
        scale = 0.5 if len(weight.shape) > 1 else 0.2
        weight.assign(generator.normal(scale=scale, size=weight.shape))
    return model


def streaming_file(place: Any, *, size: int, batch: int) -> bytes:
    """Returns `sensor_model` as a file with the signature `step`, of `size` time steps a call."""
    import keras

    from keras_rnn_zoo.export import export_tflite

    inputs = keras.Input((size, FEATURES), name="sensor")
    # Names of tensors in Keras have no slashes.
    before = [keras.Input((n,), name=f"{name.replace('/', '_')}") for name, n in STATES.items()]
    own = _layers()
    outputs, after = _answers(own, inputs, before)
    renamed = {f"{name.replace('/', '_')}": name for name in STATES}
    outputs.update({f"{name.replace('/', '_')}_after": one for name, one in after.items()})
    model = keras.Model([inputs, *before], outputs)
    trained = sensor_model()
    for layer in own:
        layer.set_weights(trained.get_layer(layer.name).get_weights())
    generator = np.random.default_rng(0)
    samples = {one.name: generator.normal(size=(8, *one.shape[1:])) for one in model.inputs}
    export_tflite(
        model,
        place / "chunk.tflite",
        samples={name: values.astype("float32") for name, values in samples.items()},
        lowering="unrolled",
        batch_size=batch,
        verify=False,
    )
    renamed.update({f"{name}_after": renamed[name] for name in list(renamed)})
    return fb.renamed((place / "chunk.tflite").read_bytes(), "step", renamed)


def sensors(count: int = 24) -> np.ndarray:
    """Returns inputs of `sensor_model`, float32 `[count, STEPS, FEATURES]`."""
    return np.random.default_rng(3).normal(size=(count, STEPS, FEATURES)).astype("float32")
