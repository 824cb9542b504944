"""How long one call takes: ours, the stock converter's file, onnxruntime, and the floor.

    pip install onnx onnxruntime matplotlib
    python benchmarks/latency.py -o latency.json --plot latency.png

One thread, batch 1, the same random weights everywhere, every step real. In each round every
contender answers once, in turn; a ratio is the median over the rounds of the ratio within a round,
so what slows the whole machine down for a while does not count. Where its memory happens to lie
makes a contender faster or slower too, so each is loaded anew every 50 rounds. Prints a table,
writes JSON and a plot.

`ours` is what `export_tflite` writes, `folded` the same with `fold_embedding=True`, where the model
has an embedding. A call is: set the input, run, get the output; onnxruntime has them bound.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from onnx_models import Graph

from keras_rnn_zoo import files
from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.tflite.latency import machine
from keras_rnn_zoo.provenance import provenance

TEXT = {"timesteps": 200, "vocabulary": 10_000, "embedding": 128}
SENSOR = {"timesteps": 128, "features": 9}
STEP = {"timesteps": 1, "features": 64}
# name -> layer, layers, both directions, what comes in
MODELS: dict[str, tuple[str, int, bool, dict[str, int]]] = {
    "BiLSTM": ("LSTM", 1, True, TEXT),
    "2 x LSTM": ("LSTM", 2, False, TEXT),
    "2 x GRU": ("GRU", 2, False, TEXT),
    "LSTM": ("LSTM", 1, False, TEXT),
    "GRU": ("GRU", 1, False, TEXT),
    "2 x LSTM, sensors": ("LSTM", 2, False, SENSOR),
    "2 x GRU, sensors": ("GRU", 2, False, SENSOR),
    "LSTM, one step": ("LSTM", 1, False, STEP),
    "GRU, one step": ("GRU", 1, False, STEP),
}
UNITS = 64
ROUNDS_OF_A_LOAD = 50


def architecture(kind: str, count: int, both: bool, shape: dict[str, int], outputs: int = 1) -> Any:
    """Returns a model of `MODELS` as Keras initializes it; it answers logits."""
    import keras
    from keras import layers

    if "vocabulary" in shape:
        inputs = keras.Input((shape["timesteps"],), dtype="int32")
        x = layers.Embedding(shape["vocabulary"], shape["embedding"])(inputs)
    else:
        inputs = x = keras.Input((shape["timesteps"], shape["features"]))
    for number in range(count):
        layer = getattr(layers, kind)(UNITS, return_sequences=number < count - 1)
        x = layers.Bidirectional(layer)(x) if both else layer(x)
    return keras.Model(inputs, layers.Dense(outputs)(x))


def keras_model(kind: str, count: int, both: bool, shape: dict[str, int]) -> Any:
    model = architecture(kind, count, both, shape)
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


def onnx_runner(content: bytes, x: np.ndarray, quantized: bool) -> Any:
    import onnxruntime

    if quantized:
        from onnxruntime.quantization import quantize_dynamic

        with tempfile.TemporaryDirectory() as scratch:
            before, after = Path(scratch) / "model.onnx", Path(scratch) / "quantized.onnx"
            before.write_bytes(content)
            quantize_dynamic(before, after)
            content = after.read_bytes()
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


def multiply_adds(kind: str, count: int, both: bool, shape: dict[str, int]) -> int:
    gates, width, sum_ = (4 if kind == "LSTM" else 3), shape.get("embedding"), 0
    width = width or shape["features"]
    for _ in range(count):
        sum_ += (2 if both else 1) * gates * UNITS * (width + UNITS)
        width = UNITS
    return sum_ * shape["timesteps"]


def peak() -> float:
    """Multiply-adds a second of one core, from large matrix products in onnxruntime."""
    import onnxruntime
    from onnx import TensorProto, helper

    size = 1024
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [size, size]) for n in "abc"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])], "peak", info[:2], info[2:]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options)
    values = np.random.default_rng(0).normal(size=(size, size)).astype("float32")
    best = min(_seconds(lambda: session.run(None, {"a": values, "b": values})) for _ in range(10))
    return float(size**3 / best)


def _seconds(run: Any) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(load: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
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
            times[name].append(_seconds(run))
    return {name: np.array(values) for name, values in times.items()}


def rows_of(name: str, rounds: int, floor_rate: float) -> Iterator[dict[str, Any]]:
    """Measures one model; yields a row for each of our quantization modes."""
    kind, count, both, shape = MODELS[name]
    model = keras_model(kind, count, both, shape)
    generator = np.random.default_rng(1)
    if "vocabulary" in shape:
        sizes = (256, shape["timesteps"])
        data = generator.integers(1, shape["vocabulary"], sizes).astype("int32")
    else:
        data = generator.normal(size=(256, shape["timesteps"], shape["features"]))
        data = data.astype("float32")
    x = data[:1]
    onnx = onnx_model(model, kind, shape)
    expected = np.asarray(model(x))
    with tempfile.TemporaryDirectory() as scratch:
        for dtype, modes in (("float32", ["none"]), ("int8", ["dynamic", "int8"])):
            load = {"onnxruntime": partial(onnx_runner, onnx, x, dtype == "int8")}
            sizes_of: dict[str, int] = {}
            for mode in modes:
                for fold in (False, True) if "vocabulary" in shape else (False,):
                    which = f"{mode} folded" if fold else mode
                    path = Path(scratch) / f"{which}.tflite"
                    export_tflite(
                        model,
                        path,
                        quantization=mode,
                        representative_data=data,
                        fold_embedding=fold,
                    )
                    sizes_of[which] = path.stat().st_size
                    load[which] = partial(tflite_runner, path, x)
            try:
                stock(model, Path(scratch) / "stock.tflite", dtype == "int8")
                tflite_runner(Path(scratch) / "stock.tflite", x)()
                load["stock"] = partial(tflite_runner, Path(scratch) / "stock.tflite", x)
            except Exception as error:  # whatever the converter or its file does is the answer
                print(f"stock converter: {str(error).splitlines()[0][:80]}", file=sys.stderr)
            if dtype == "float32":
                for make in load.values():
                    np.testing.assert_allclose(make()(), expected, atol=1e-4)
            times = measure(load, rounds)
            for mode in modes:
                found = {
                    "ours": mode,
                    "folded": f"{mode} folded",
                    "stock": "stock",
                    "onnxruntime": "onnxruntime",
                }
                found = {who: key for who, key in found.items() if key in times}
                yield {
                    "model": name,
                    "quantization": mode,
                    "ms": {who: float(np.median(times[key]) * 1e3) for who, key in found.items()},
                    "bytes": {who: sizes_of[key] for who, key in found.items() if key in sizes_of},
                    "floor_ms": multiply_adds(kind, count, both, shape) / floor_rate * 1e3
                    if mode == "none"
                    else None,
                    "ratio": {
                        f"{who}/{other}": float(np.median(times[found[who]] / times[found[other]]))
                        for who in ("ours", "folded")
                        for other in ("stock", "onnxruntime")
                        if who in found and other in found
                    },
                }


COLUMNS: dict[str, Callable[[dict[str, Any]], float | None]] = {
    "ours": lambda row: row["ms"]["ours"],
    "folded": lambda row: row["ms"].get("folded"),
    "stock": lambda row: row["ms"].get("stock"),
    "onnxrt": lambda row: row["ms"]["onnxruntime"],
    "floor": lambda row: row["floor_ms"],
    "/stock": lambda row: row["ratio"].get("ours/stock"),
    "/onnxrt": lambda row: row["ratio"]["ours/onnxruntime"],
    "fold/onnxrt": lambda row: row["ratio"].get("folded/onnxruntime"),
}


def show(head: str, mode: str, cells: Iterable[str]) -> None:
    print(f"{head:20}{mode:9}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Bars of the ratios to onnxruntime; left of the line is faster."""
    import io

    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.32 * len(rows) + 1.2), layout="constrained")
    for which, offset, colour in (("ours", -0.2, "#4a7fb5"), ("folded", 0.2, "#9cc3e6")):
        bars = [
            (number + offset, row["ratio"][f"{which}/onnxruntime"])
            for number, row in enumerate(rows)
            if f"{which}/onnxruntime" in row["ratio"]
        ]
        if bars:
            where, ratios = zip(*bars, strict=True)
            axes.barh(where, ratios, height=0.38, color=colour, label=which)
    axes.axvline(1.0, color="#b3261e", linewidth=1)
    labels = [f"{row['model']}, {label(row)}" for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("time of a call / onnxruntime's on the same weights and core")
    axes.legend(loc="lower right", fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    files.write_bytes(path, content.getvalue())


def label(row: dict[str, Any]) -> str:
    return "float32" if row["quantization"] == "none" else str(row["quantization"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--plot", type=Path, help="PNG file to write")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS))
    options = parser.parse_args()
    floor_rate = peak()
    print(
        f"matrix product peak: {floor_rate / 1e9:.0f} billion multiply-adds a second; times in ms\n"
    )
    show("model", "", COLUMNS)
    rows = []
    for name in options.models:
        for row in rows_of(name, options.rounds, floor_rate):
            rows.append(row)
            cells = [column(row) for column in COLUMNS.values()]
            show(name, label(row), ["" if cell is None else f"{cell:#.3g}" for cell in cells])
    files.write_json(
        options.output,
        {
            "rows": rows,
            "rounds": options.rounds,
            "multiply_adds_per_second": floor_rate,
            "machine": machine(),
            "provenance": provenance(seed=0, command=shlex.join(["python", *sys.argv])),
        },
    )
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
