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

    python benchmarks/latency.py --streamed -o streamed.json

measures streams alone: what one time step costs, in microseconds; see `streamed.py`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import streamed
from contenders import (
    UNITS,
    keras_model,
    measure,
    onnx_model,
    onnx_runner,
    seconds,
    stock,
    tflite_runner,
)

from keras_rnn_zoo import files
from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.tflite.latency import machine
from keras_rnn_zoo.provenance import provenance

TEXT = {"timesteps": 200, "vocabulary": 10_000, "embedding": 128}
SENSOR = {"timesteps": 128, "features": 9}
STEP = {"timesteps": 1, "features": 64}
STREAM = {"timesteps": 100, "features": 64}
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
# Of these one step of a stream is measured.
STREAMED: dict[str, tuple[str, int, bool, dict[str, int]]] = {
    "LSTM, streamed": ("LSTM", 1, False, STREAM),
    "GRU, streamed": ("GRU", 1, False, STREAM),
    "2 x LSTM, streamed": ("LSTM", 2, False, STREAM),
    "2 x GRU, streamed": ("GRU", 2, False, STREAM),
    "2 x LSTM, streamed sensors": ("LSTM", 2, False, SENSOR),
    "2 x GRU, streamed sensors": ("GRU", 2, False, SENSOR),
    "LSTM, streamed text": ("LSTM", 1, False, TEXT),
    "GRU, streamed text": ("GRU", 1, False, TEXT),
}


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
    best = min(seconds(lambda: session.run(None, {"a": values, "b": values})) for _ in range(10))
    return float(size**3 / best)


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
    print(f"{head:28}{mode:18}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


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
    parser.add_argument("--models", nargs="*", choices=[*MODELS, *STREAMED], help="which rows")
    parser.add_argument("--streamed", action="store_true", help="rows of streams alone")
    parser.add_argument("--in-a-row", type=int, help="steps of a turn, else those of a sequence")
    options = parser.parse_args()
    wanted = options.models or [*([] if options.streamed else MODELS), *STREAMED]
    whole, steps = ([name for name in wanted if name in known] for known in (MODELS, STREAMED))
    if options.plot and not whole:
        parser.error("--plot shows whole sequences. Leave it out, or --streamed.")
    floor_rate = peak() if whole else None
    if whole:
        print(f"matrix product peak: {floor_rate / 1e9:.0f} billion multiply-adds a second\n")
        show("model, ms", "", COLUMNS)
    rows: list[dict[str, Any]] = []
    for name in whole:
        for row in rows_of(name, options.rounds, floor_rate):
            rows.append(row)
            cells = [column(row) for column in COLUMNS.values()]
            show(name, label(row), ["" if cell is None else f"{cell:#.3g}" for cell in cells])
    if steps:
        show("\none step, microseconds", "", streamed.COLUMNS)
    streams = []
    for name in steps:
        for row in streamed.rows_of(name, STREAMED[name], options.rounds, options.in_a_row):
            streams.append(row)
            columns = (column(row) for column in streamed.COLUMNS.values())
            show(name, f"{label(row)}, {row['state']}", [f"{cell:#.3g}" for cell in columns])
    files.write_json(
        options.output,
        {
            "rows": rows,
            "streamed": streams,
            "in_a_row": options.in_a_row,
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
