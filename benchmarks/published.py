"""Published models in every mode: bytes, how far from Keras, and how long one call takes.

    python benchmarks/published.py -o published.json

The models are those of `tests/export/published.py`, with random weights and made inputs: take the
errors as what a mode does to numbers, not to answers. Prints a table, writes JSON.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "export"))

import numpy as np
from published import PUBLISHED

from keras_rnn_zoo import files
from keras_rnn_zoo.export import TARGETS, export_tflite
from keras_rnn_zoo.export.tflite.latency import benchmark_tflite
from keras_rnn_zoo.provenance import provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--models", nargs="*", choices=list(PUBLISHED), default=list(PUBLISHED))
    parser.add_argument(
        "--lowerings", nargs="*", choices=TARGETS.get("litert").lowerings, default=["loop"]
    )
    parser.add_argument("--samples", type=int, default=32)
    options = parser.parse_args()
    form = "{:20}{:10}{:10}{:>11}{:>11}{:>11}{:>9}"
    print(form.format("model", "lowering", "mode", "bytes", "error", "/ largest", "ms"), flush=True)
    rows = []
    for name in options.models:
        published = PUBLISHED[name]
        model, x = published.build(), published.inputs(options.samples)
        largest = float(np.abs(np.asarray(model(x))).max())
        for lowering in options.lowerings:
            for mode in TARGETS.get("litert").quantizations():
                with tempfile.TemporaryDirectory() as scratch:
                    result = export_tflite(
                        model,
                        Path(scratch) / "model.tflite",
                        quantization=mode,
                        representative_data=x,
                        lowering=lowering,
                        timesteps=published.timesteps,
                    )
                    latency = benchmark_tflite(result.path, x)
                assert result.parity is not None
                error = result.parity.max_abs_output
                row: dict[str, Any] = {"model": name, "lowering": lowering, "quantization": mode}
                row |= {"bytes": result.bytes, "error": error, "largest": largest}
                row |= {"latency": latency}
                rows.append(row)
                label = "float32" if mode == "none" else mode
                cells = (f"{error:.2g}", f"{error / largest:.2g}", f"{latency['median_ms']:.2f}")
                print(form.format(name, lowering, label, f"{result.bytes:,}", *cells), flush=True)
    files.write_json(
        options.output,
        {"rows": rows, "provenance": provenance(seed=0, command=shlex.join(["python", *sys.argv]))},
    )


if __name__ == "__main__":
    main()
