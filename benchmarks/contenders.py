"""The contenders of `latency.py` on whole sequences, and how they are timed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx_models import Graph

UNITS = 64
ROUNDS_OF_A_LOAD = 50


def architecture(
    kind: str,
    count: int,
    both: bool,
    shape: dict[str, int],
    outputs: int = 1,
    each_step: bool = False,
) -> Any:
    """Returns a model of `MODELS` as Keras initializes it; it answers logits.

    Args:
        kind: `"LSTM"` or `"GRU"`.
        count: Layers.
        both: Both directions.
        shape: See `latency.MODELS`.
        outputs: Logits.
        each_step: Answers after each step, of the same weights.
    """
    import keras
    from keras import layers

    if "vocabulary" in shape:
        inputs = keras.Input((shape["timesteps"],), dtype="int32")
        x = layers.Embedding(shape["vocabulary"], shape["embedding"])(inputs)
    else:
        inputs = x = keras.Input((shape["timesteps"], shape["features"]))
    for number in range(count):
        layer = getattr(layers, kind)(UNITS, return_sequences=each_step or number < count - 1)
        x = layers.Bidirectional(layer)(x) if both else layer(x)
    return keras.Model(inputs, layers.Dense(outputs)(x))


def keras_model(
    kind: str, count: int, both: bool, shape: dict[str, int], each_step: bool = False
) -> Any:
    model = architecture(kind, count, both, shape, each_step=each_step)
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(scale=0.15, size=w.shape) for w in model.get_weights()])
    return model


def onnx_model(model: Any, kind: str, shape: dict[str, int]) -> bytes:
    """The same weights in onnxruntime's own LSTM and GRU nodes, one node a layer.

    Time comes first in the input, so nothing has to be transposed on the way.
    """
    graph = Graph()
    weights = list(model.get_weights())
    steps = shape["timesteps"]
    if "vocabulary" in shape:
        current = graph.node("Gather", graph.constant("table", weights.pop(0)), "x")
        given: tuple[str, list[int]] = "int32", [steps, 1]
    else:
        current, given = "x", ("float32", [steps, 1, shape["features"]])
    *recurrent, kernel, bias = weights
    both = len(recurrent) == 6 and any("Bidirectional" in type(la).__name__ for la in model.layers)
    directions = 2 if both else 1
    layers = [recurrent[i : i + 3 * directions] for i in range(0, len(recurrent), 3 * directions)]
    last = ""
    for number, parts in enumerate(layers):
        trios = [parts[i : i + 3] for i in range(0, len(parts), 3)]
        every, last = graph.recurrent(kind, current, trios)
        if number < len(layers) - 1:
            current = graph.node("Squeeze", every, graph.constant("axis", [1]))
    batch_first = graph.node("Transpose", last, perm=[1, 0, 2])
    features = graph.node("Reshape", batch_first, graph.constant("flat", [1, -1]))
    ends = graph.constant("kernel", kernel), graph.constant("bias", bias)
    return graph.model({"x": given}, graph.node("Gemm", features, *ends), 2)


def quantized_onnx(content: bytes) -> bytes:
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as scratch:
        before, after = Path(scratch) / "model.onnx", Path(scratch) / "quantized.onnx"
        before.write_bytes(content)
        quantize_dynamic(before, after)
        return after.read_bytes()


def onnx_runner(content: bytes, x: np.ndarray, quantized: bool) -> Any:
    import onnxruntime

    if quantized:
        content = quantized_onnx(content)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("x", np.ascontiguousarray(np.swapaxes(x, 0, 1)))
    binding.bind_output("y")

    def run() -> Any:
        session.run_with_iobinding(binding)
        return binding.get_outputs()[0].numpy()

    return run


def tflite_runner(path: Path, x: np.ndarray) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run() -> Any:
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(answer["index"])

    return run


def stock(model: Any, path: Path, dynamic: bool) -> None:
    """What TensorFlow's converter makes of the model at batch 1, frozen, in builtin ops."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    (tensor,) = model.inputs
    spec = tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype)
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
    frozen = convert_variables_to_constants_v2(traced)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if dynamic:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path.write_bytes(converter.convert())


def seconds(run: Any) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(
    load: dict[str, Callable[[], Any]], rounds: int, warm: int = 0
) -> dict[str, np.ndarray]:
    """Returns the seconds of each contender in each round.

    Args:
        load: Name -> what opens a contender and returns what is timed.
        rounds: In each of them every contender has its turn.
        warm: Runs in front of the one that is timed, for what the turns of others pushed out.
    """
    times: dict[str, list[float]] = {name: [] for name in load}
    runners: dict[str, Any] = {}
    for number in range(rounds):
        if number % ROUNDS_OF_A_LOAD == 0:
            # The old ones live until the new ones have memory of their own, so it is another.
            runners = {name: make() for name, make in load.items()}
            for run in runners.values():
                for _ in range(5):
                    run()
        for name, run in runners.items():
            for _ in range(warm):
                run()
            times[name].append(seconds(run))
    return {name: np.array(values) for name, values in times.items()}
