"""What whole sequences cost on Arm cores: ours in each lowering, onnxruntime, the stock converter.

    python benchmarks/arm/tables.py -o arm.json --markdown arm.md --cache files

The models of `benchmarks/latency.py`, emulated and modelled; see README.md for what that is worth.
Every file's answer under emulation is compared with its answer here. With `--cache`, files are
written once, and what was measured of a file is not measured again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from contenders import keras_model, onnx_model, onnx_runner, quantized_onnx, stock, tflite_runner
from latency import MODELS, multiply_adds

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import ZooError
from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.cores import installation
from keras_rnn_zoo.export.cores.cores import Core, find_core
from keras_rnn_zoo.export.cores.emulate import Calls, emulate
from keras_rnn_zoo.provenance import provenance

LOWERINGS = ("loop", "unrolled", "fused")
# Calls of a file of one time step: the mean of so many, after as many.
STEPS = 20
OTHERS = ("onnxruntime", "stock")
MODES = {"float32": "none", "dynamic": "dynamic", "int8": "int8"}
# Of the answers to one sequence, which are logits of about 1: Arm's kernels round otherwise.
ALLOWED = {"float32": 1e-5, "dynamic": 1e-2, "int8": 2e-2}


def makers(
    name: str, lowerings: Sequence[str] = LOWERINGS
) -> tuple[np.ndarray, dict[str, Callable[[Path], object]]]:
    """Returns a sequence and, by name of the file, what writes each contender's."""
    kind, count, both, shape = MODELS[name]
    model = keras_model(kind, count, both, shape)
    generator = np.random.default_rng(1)
    if "vocabulary" in shape:
        sizes = (256, shape["timesteps"])
        data = generator.integers(1, shape["vocabulary"], sizes).astype("int32")
    else:
        sizes = (256, shape["timesteps"], shape["features"])
        data = generator.normal(size=sizes).astype("float32")
    found: dict[str, Callable[[Path], object]] = {}

    def write_onnx(path: Path, quantized: bool) -> None:
        content = onnx_model(model, kind, shape)
        path.write_bytes(quantized_onnx(content) if quantized else content)

    for mode in ("float32", "dynamic"):
        found[f"onnxruntime {mode}.onnx"] = partial(write_onnx, quantized=mode == "dynamic")
        found[f"stock {mode}.tflite"] = partial(
            lambda path, dynamic: stock(model, path, dynamic), dynamic=mode == "dynamic"
        )
    for lowering in lowerings:
        if lowering == "fused" and kind != "LSTM":
            continue
        # The fused op cannot fold an embedding.
        folds = "vocabulary" in shape and lowering != "fused"
        for fold in (False, True) if folds else (False,):
            for mode, quantization in MODES.items():
                found[f"{lowering}{', folded' if fold else ''} {mode}.tflite"] = partial(
                    export_tflite,
                    model,
                    quantization=quantization,
                    representative_data=data,
                    lowering=lowering,
                    fold_embedding=fold,
                    verify=False,
                    diagnose=False,
                )
    return data[:1], found


def written(name: str, place: Path, lowerings: Sequence[str]) -> tuple[np.ndarray, list[Path]]:
    """Writes the files of a model; those of others only where they are not there yet."""
    place.mkdir(parents=True, exist_ok=True)
    x, makes = makers(name, lowerings)
    paths = []
    for file, make in makes.items():
        path = place / file
        try:
            if not (path.is_file() and file.startswith(OTHERS)):
                with files.atomic_file(path) as temporary:
                    make(temporary)
            paths.append(path)
        except Exception as error:  # whatever a converter says is the answer
            print(f"{name}, {file}: {str(error).splitlines()[0][:100]}", file=sys.stderr)
    return x, paths


def measured(
    core: Core, paths: list[Path], x: np.ndarray, place: Path, count_only: bool
) -> list[dict[str, Any]]:
    """Returns what a call of each file costs and answers; what was measured is read there."""
    installed = installation.needed("This benchmark")
    about = f"{core.name} {count_only} {sorted(installed.versions.items())}"
    known = {
        path: place / hashlib.sha256(path.read_bytes() + x.tobytes() + about.encode()).hexdigest()
        for path in paths
    }
    for suffix in (".onnx", ".tflite"):
        new = [path for path in paths if path.suffix == suffix and not known[path].is_file()]
        if not new:
            continue
        if suffix == ".onnx":
            given = [{0: np.ascontiguousarray(np.swapaxes(x, 0, 1))}] * len(new)
        else:
            given = [{_input_of(path): x} for path in new]
        calls = STEPS if x.shape[1] == 1 else 1
        jobs = [Calls(path, [inputs] * calls) for path, inputs in zip(new, given, strict=True)]
        for path, emulated in zip(
            new, emulate(core, jobs, installed, count_only=count_only), strict=True
        ):
            counts = emulated.counts
            found = {
                "instructions": counts.instructions.total() / calls,
                "cycles": None if emulated.events is None else counts.cycles.total() / calls,
                "kinds": {kind: value / calls for kind, value in counts.kinds.most_common()},
                "answer": emulated.answers[0].tolist(),
            }
            place.mkdir(parents=True, exist_ok=True)
            files.write_json(known[path], found)
    return [json.loads(known[path].read_text()) for path in paths]


def rows_of(
    name: str, core: Core, x: np.ndarray, paths: list[Path], place: Path, count_only: bool
) -> Iterator[dict[str, Any]]:
    """Yields a row for each contender of a model on a core."""
    for path, found in zip(paths, measured(core, paths, x, place, count_only), strict=True):
        contender, mode = path.stem.rsplit(" ", 1)
        if path.suffix == ".onnx":
            run = onnx_runner(path.read_bytes(), x, False)
        else:
            run = tflite_runner(path, x)
        difference = float(np.max(np.abs(np.ravel(run()) - np.array(found.pop("answer")))))
        if difference > ALLOWED[mode]:
            raise SystemExit(f"{name}, {path.name} answers otherwise on {core.name}: "
                             f"by {difference:.2g}")  # fmt: skip
        yield {
            "model": name,
            "core": core.name,
            "contender": contender,
            "mode": mode,
            **found,
            "multiply_adds": multiply_adds(*MODELS[name]),
            "difference": difference,
        }


def _input_of(path: Path) -> int:
    from ai_edge_litert.interpreter import Interpreter

    (given,) = Interpreter(str(path)).get_input_details()
    return int(given["index"])


def markdown(rows: list[dict[str, Any]]) -> str:
    """Returns a table a model: millions of cycles on each core, and in parts of onnxruntime's.

    Where none were modelled, instructions. onnxruntime's dynamic file stands beside int8, too.
    """
    figure = "instructions" if any(row["cycles"] is None for row in rows) else "cycles"
    cores = list(dict.fromkeys(row["core"] for row in rows))
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        found = {
            (row["mode"], row["contender"], row["core"]): row[figure]
            for row in rows
            if row["model"] == model
        }
        lines += [
            f"{model}, millions of {figure} (in parts of onnxruntime's):",
            "",
            f"| mode | file | {' | '.join(cores)} |",
            "|" + " --- |" * (2 + len(cores)),
        ]
        for mode in MODES:
            for contender in dict.fromkeys(who for own, who, _ in found if own == mode):
                cells = []
                for core in cores:
                    value = found.get((mode, contender, core))
                    base = "dynamic" if mode == "int8" else mode
                    other = found.get((base, "onnxruntime", core))
                    share = f" ({value / other:.2f})" if value and other else ""
                    cells.append(f"{value / 1e6:.3g}{share}" if value else "")
                lines.append(f"| {mode} | {contender} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON")
    parser.add_argument("--markdown", type=Path, help="the same as tables")
    parser.add_argument("--cache", type=Path, help="keep the files there")
    parser.add_argument("--models", default=";".join(MODELS), help="names, with ; between")
    parser.add_argument("--cores", default="cortex-a53,cortex-a55,cortex-a76")
    parser.add_argument("--lowerings", default=",".join(LOWERINGS), help="of ours")
    parser.add_argument("--count-only", action="store_true", help="no cycles: much faster")
    options = parser.parse_args()
    names = options.models.split(";")
    if unknown := [name for name in names if name not in MODELS]:
        parser.error(f"no such models: {'; '.join(unknown)}. Known: {'; '.join(MODELS)}")
    rows: list[dict[str, Any]] = []
    try:
        cores = [find_core(name) for name in options.cores.split(",")]
        versions = installation.needed("This benchmark").versions
        if "onnxruntime" not in versions:
            parser.error(f"onnxruntime is not set up. Run: {installation.COMMAND} --onnxruntime")
        with tempfile.TemporaryDirectory() as scratch:
            cache = options.cache or Path(scratch)
            for name in names:
                place = cache / name.replace(" ", "_").replace(",", "")
                x, paths = written(name, place, options.lowerings.split(","))
                for core in cores:
                    rows += rows_of(name, core, x, paths, cache / "measured", options.count_only)
                    print(f"{name} on {core.name}: done", file=sys.stderr, flush=True)
                    files.write_json(
                        options.output,
                        {
                            "rows": rows,
                            "versions": versions,
                            "provenance": provenance(
                                seed=0, command=shlex.join(["python", *sys.argv])
                            ),
                        },
                    )
    except ZooError as error:
        raise SystemExit(f"Error: {error}") from None
    text = markdown(rows)
    if options.markdown:
        files.write_text(options.markdown, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
