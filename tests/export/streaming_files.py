"""Streaming files for the tests of what runs them: files of one step a call, rewritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.streams import Streaming, finished

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


def _finished(content: bytes, starts: Mapping[str, float] | None, inside: bool) -> bytes:
    model = fb.unpack(content)
    tensors = model.subgraphs[0].tensors
    shapes = {name: fb.shape_of(tensors[index]) for name, (index, _) in states_of(model).items()}
    start = {n: np.full(shape, (starts or {}).get(n, 0), np.float32) for n, shape in shapes.items()}
    (signature,) = model.signatureDefs
    fed = next(one for one in signature.inputs if _text(one.name) not in shapes)
    steps = fb.shape_of(tensors[fed.tensorIndex])[1]
    every = [
        _text(one.name)
        for one in signature.outputs
        if _text(one.name) not in shapes and len(fb.shape_of(tensors[one.tensorIndex])) > 2
    ]
    return finished(content, start, Streaming(steps, tuple(every)), inside=inside)


def external(content: bytes, starts: Mapping[str, float] | None = None) -> bytes:
    """Adds the signature `initial_state`.

    Args:
        content: A file whose one signature is `step`.
        starts: State -> what it starts from; zero for others.
    """
    return _finished(content, starts, False)


def internal(content: bytes, starts: Mapping[str, float] | None = None) -> bytes:
    """Puts the states into resource variables, and adds the signature `reset`; see `external`."""
    return _finished(content, starts, True)


def lacking(content: bytes) -> bytes:
    """Takes the first state out of the signature `initial_state`."""
    model = fb.unpack(external(content))
    entry = model.signatureDefs[1]
    entry.outputs = entry.outputs[1:]
    graph = model.subgraphs[entry.subgraphIndex]
    graph.outputs = graph.outputs[1:]
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
