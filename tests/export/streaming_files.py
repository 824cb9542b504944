"""Small streaming files for the tests of what runs them, made of files of one step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_rnn_zoo.export.tflite import flatbuffer as fb

STEPS, FEATURES = 10, 5


def recurrent():
    """A stack whose answer depends on all steps."""
    import keras

    keras.utils.set_random_seed(0)
    x = keras.Input((STEPS, FEATURES), name="sensor")
    y = keras.layers.LSTM(8, return_sequences=True, name="low")(x)
    y = keras.layers.GRU(6, name="high")(y)
    wide = keras.initializers.RandomNormal(stddev=2.0, seed=1)
    head = keras.layers.Dense(3, activation="softmax", kernel_initializer=wide, name="label")
    return keras.Model(x, head(y), name="recurrent")


def rows(count: int = 32) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, STEPS, FEATURES)).astype("float32")


def _states(model) -> list[tuple[str, int, int]]:
    """Name, tensor before and tensor after of each state of the file's step."""
    (signature,) = model.signatureDefs
    after = {one.name: int(one.tensorIndex) for one in signature.outputs}
    return [
        (one.name, int(one.tensorIndex), after[one.name])
        for one in signature.inputs
        if one.name in after
    ]


def _graph(model, name: bytes):
    graph = fb.schema.SubGraphT()
    graph.tensors, graph.operators, graph.name = [], [], name
    graph.inputs = graph.outputs = np.array([], np.int32)
    model.subgraphs.append(graph)
    return graph, len(model.subgraphs) - 1


def _signature(model, key: str, graph: int, outputs) -> None:
    entry = fb.schema.SignatureDefT()
    entry.signatureKey, entry.subgraphIndex, entry.inputs, entry.outputs = key, graph, [], []
    for name, index in outputs:
        one = fb.schema.TensorMapT()
        one.name, one.tensorIndex = name, index
        entry.outputs.append(one)
    model.signatureDefs.append(entry)


def with_initial(content: bytes, value: float = 0.0, *, without: int = 0) -> bytes:
    """Adds the signature `initial_state`.

    Args:
        content: A file of one step.
        value: Of all states at the start.
        without: States that it does not make.
    """
    model = fb.unpack(content)
    graph, number = _graph(model, b"initial_state")
    outputs = []
    for name, before, _ in _states(model)[without:]:
        tensor = model.subgraphs[0].tensors[before]
        values = np.full(fb.shape_of(tensor), value, fb.dtype_of(tensor))
        index = fb.add_constant(model, graph, values, tensor.quantization)
        graph.tensors[index].name = b"initial_" + name
        outputs.append((name, index))
    graph.outputs = np.array([index for _, index in outputs], np.int32)
    _signature(model, "initial_state", number, outputs)
    return fb.pack(model)


def internal(content: bytes) -> bytes:
    """Keeps the states of a file of one step in variables, which the signature `reset` sets."""
    model, s = fb.unpack(content), fb.schema
    main, states = model.subgraphs[0], _states(model)

    def variable(graph, name):
        options, tensor = s.VarHandleOptionsT(), s.TensorT()
        options.container, options.sharedName = b"", name
        tensor.type, tensor.shape, tensor.hasRank = s.TensorType.RESOURCE, np.array([], "i4"), True
        tensor.buffer = 0
        graph.tensors.append(tensor)
        place = len(graph.tensors) - 1
        return place, fb.op(model, "VAR_HANDLE", [], [place], options=options)

    def assign(place, value):
        options = s.AssignVariableOptionsT()
        return fb.op(model, "ASSIGN_VARIABLE", [place, value], [], options=options)

    numbers = []
    for kind in (b"init", b"reset"):
        graph, number = _graph(model, kind)
        numbers.append(number)
        for name, before, _ in states:
            tensor = main.tensors[before]
            zeros = np.zeros(fb.shape_of(tensor), fb.dtype_of(tensor))
            place, handle = variable(graph, name)
            value = fb.add_constant(model, graph, zeros, tensor.quantization)
            graph.operators += [handle, assign(place, value)]
    once = s.CallOnceOptionsT()
    once.initSubgraphIndex = numbers[0]
    head, tail = [fb.op(model, "CALL_ONCE", [], [], options=once)], []
    for name, before, after in states:
        place, handle = variable(main, name)
        read = fb.op(model, "READ_VARIABLE", [place], [before], options=s.ReadVariableOptionsT())
        head += [handle, read]
        tail.append(assign(place, after))
    main.operators = head + main.operators + tail
    ends = {"inputs": {before for _, before, _ in states}, "outputs": {a for *_, a in states}}
    for kind, own in ends.items():
        setattr(main, kind, np.array([i for i in getattr(main, kind) if i not in own]))
        (entry, *_) = model.signatureDefs
        setattr(entry, kind, [one for one in getattr(entry, kind) if one.tensorIndex not in own])
    _signature(model, "reset", numbers[1], [])
    return fb.pack(model)


def sums(path: Path, chunk: int = 4, batch: int = 1) -> Path:
    """A file that adds up what it is given: inputs `left` and `right`, of `chunk` steps a call.

    Its outputs: `each`, the sum so far after every second step, and `all`, the sum after the chunk.
    """
    import tensorflow as tf
    from tflite_files import convert

    def step(left, right, before):
        summed = tf.cumsum(left + tf.cast(right, tf.float32)[..., tf.newaxis], axis=1)
        summed += before[:, tf.newaxis]
        total = summed[:, -1]
        return {"each": summed[:, 1::2] if chunk > 1 else summed, "all": 2 * total, "after": total}

    convert(
        path,
        step,
        [
            tf.TensorSpec((batch, chunk, 2), tf.float32, name="left"),
            tf.TensorSpec((batch, chunk), tf.int32, name="right"),
            tf.TensorSpec((batch, 2), tf.float32, name="before"),
        ],
    )
    names = {"before": "total/h", "after": "total/h"}
    path.write_bytes(fb.renamed(path.read_bytes(), "step", names))
    return path


def peaks(path: Path, *, tied: bool = True) -> Path:
    """A file in int8, whose state is the highest of what it was given; zero is stored as -64.

    Args:
        path: The file.
        tied: The state comes out in the numbers in which it goes in, as it has to.
    """
    import tensorflow as tf
    from tflite_files import convert

    def step(x, before):
        highest = tf.maximum(tf.reshape(x, (1, 2)), before)
        return {"peak": tf.concat([highest, highest], 1), "after": highest if tied else highest * 2}

    def configure(converter):
        values = np.linspace(-1, 3, 8, dtype="float32")
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            {"x": np.full((1, 1, 2), one, "float32"), "before": np.full((1, 2), one, "float32")}
            for one in values
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8

    specs = [
        tf.TensorSpec((1, 1, 2), tf.float32, name="x"),
        tf.TensorSpec((1, 2), tf.float32, name="before"),
    ]
    convert(path, step, specs, configure=configure)
    names = {"before": "peak/h", "after": "peak/h"}
    path.write_bytes(fb.renamed(path.read_bytes(), "step", names))
    return path
