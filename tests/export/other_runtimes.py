"""Files in interpreters of other versions, each in a Python of its own that has one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from architectures import build, inputs_for

from keras_rnn_zoo.export import TARGETS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.tflite.runtimes import parse_runtime

# In the other interpreter, which has NumPy and a runtime, and knows nothing of us. A file may end
# its process, so each has one.
CLIENT = """
import json, os, pathlib, sys
import numpy as np
try:
    import tflite_runtime as package
    from tflite_runtime.interpreter import Interpreter
except ImportError:
    import ai_edge_litert as package
    from ai_edge_litert.interpreter import Interpreter
from importlib.metadata import version

def run(path):
    data = np.load(path.with_suffix(".npz"))
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    answer = interpreter.get_signature_runner("serving_default")
    x = {key[2:]: data[key] for key in data if key.startswith("x_")}
    rows, worst = len(next(iter(x.values()))), 0.0
    for row in [*range(rows), *range(0, rows, 2)]:
        answers = answer(**{name: values[row : row + 1] for name, values in x.items()})
        for name, values in answers.items():
            off = np.abs(values.astype("float64") - data["y_" + name][row : row + 1]).max()
            worst = max(worst, float(off) if np.isfinite(off) else 1e9)
    return ["ran", worst]

found = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tflite")):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            outcome = run(path)
        except Exception as error:
            outcome = ["refused", " ".join(str(error).split())[:200]]
        os.write(write, json.dumps(outcome).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    found[path.name] = json.loads(text) if text else ["crashed", ""]
name = package.__name__.replace("_", "-")
print(json.dumps([name, version(name), found]))
"""


def write(directory: Path, architecture: str, lowerings: Iterable[str]) -> dict[str, str]:
    """Writes an architecture in every mode, and beside each file what it answers here.

    Returns:
        File -> its `min_runtime`.
    """
    model, claims = build(architecture), {}
    x = inputs_for(model)
    for lowering in lowerings:
        for mode in TARGETS.get("litert").quantizations():
            path = directory / f"{architecture}-{lowering}-{mode}.tflite"
            result = export_tflite(
                model,
                path,
                quantization=mode,
                lowering=lowering,
                samples=x,
                representative_data=x,
                verify=False,
            )
            (y,) = TFLiteModel(path).answer(dict(x))
            arrays = {f"x_{key}": values for key, values in x.items()}
            arrays |= {f"y_{key}": values for key, values in y.items()}
            np.savez(path.with_suffix(".npz"), **arrays)
            claims[path.name] = str(result.min_runtime)
    return claims


def answered(python: str, directory: str | Path) -> tuple[str, dict[str, list[Any]]]:
    """Runs all files of a directory in another Python's interpreter, as batches of one sample.

    Returns:
        `"tflite-runtime 2.14.0"`, and file -> `["ran", largest difference from the answers kept]`,
        or `["refused" or "crashed", why]`.
    """
    command = [python, "-c", CLIENT, str(directory)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    package, version, outcomes = json.loads(done.stdout.splitlines()[-1])
    return f"{package} {version}", outcomes


def contradicted(
    name: str, claims: Mapping[str, str], outcomes: Mapping[str, list[Any]]
) -> Iterator[tuple[Any, ...]]:
    """Yields what ran although it claims not to, did not although it does, or answered wrong.

    Args:
        name: As `answered` returns it.
        claims: File -> its `min_runtime`.
        outcomes: As `answered` returns them.
    """
    package, version = name.split()
    kind = "litert-" if package == "ai-edge-litert" else ""
    runtime = parse_runtime(kind + ".".join(version.split(".")[:2]))
    for file, claim in claims.items():
        how, off = outcomes[file]
        # Kernels of other versions round otherwise; int8 by a step.
        allowed = 0.02 if "int8" in file else 1e-4
        if (how == "ran") != (parse_runtime(claim) <= runtime) or (how == "ran" and off > allowed):
            yield file, claim, how, off
