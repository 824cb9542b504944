"""Runs files of many architectures in interpreters of other versions, and holds what they claim.

    python benchmarks/runtimes.py runtime214/bin/python litert101/bin/python

Each argument is a Python that has `tflite_runtime` or `ai_edge_litert`, such as of
`pip install tflite-runtime==2.14.0 "numpy<2"`. A file has to run where its `min_runtime` says so,
to be refused where not, and to answer what it answers here. Prints a line for each interpreter,
and what is wrong; exits with 1 where something is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "export"))

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


def write_files(directory: Path) -> dict[str, str]:
    """Writes every architecture in every mode and lowering; returns file -> `min_runtime`."""
    from architectures import ARCHITECTURES, build, inputs_for

    from keras_rnn_zoo.export import LOWERINGS, QUANTIZATIONS, TFLiteModel, export_tflite

    claims = {}
    for name in ARCHITECTURES:
        model = build(name)
        x = inputs_for(model)
        for mode in QUANTIZATIONS.names():
            for lowering in LOWERINGS.names():
                path = directory / f"{name}-{mode}-{lowering}.tflite"
                result = export_tflite(
                    model,
                    path,
                    quantization=mode,
                    lowering=lowering,
                    samples=x,
                    representative_data=x,
                    verify=False,
                    progress=lambda _: None,
                )
                (y,) = TFLiteModel(path).answer(x)
                arrays = {f"x_{key}": values for key, values in x.items()}
                arrays |= {f"y_{key}": values for key, values in y.items()}
                np.savez(path.with_suffix(".npz"), **arrays)
                claims[path.name] = str(result.min_runtime)
        print(f"{name} written", file=sys.stderr)
    return claims


def main() -> None:
    """See the top."""
    from keras_rnn_zoo.export.tflite.runtimes import parse_runtime

    wrong: list[Any] = []
    with tempfile.TemporaryDirectory() as scratch:
        claims = write_files(Path(scratch))
        for python in sys.argv[1:]:
            command = [python, "-c", CLIENT, scratch]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            package, version, outcomes = json.loads(done.stdout.splitlines()[-1])
            kind = "litert-" if package == "ai-edge-litert" else ""
            runtime = parse_runtime(kind + ".".join(version.split(".")[:2]))
            ran = {file: off for file, (how, off) in outcomes.items() if how == "ran"}
            for file, claim in claims.items():
                claimed = parse_runtime(claim) <= runtime
                # Kernels of other versions round otherwise; int8 by a step.
                allowed = 0.02 if "-int8-" in file else 1e-4
                if (file in ran) != claimed or ran.get(file, 0.0) > allowed:
                    wrong.append([package, version, file, claim, *outcomes[file]])
            worst = max(ran.values(), default=0.0)
            print(f"{package} {version}: {len(ran)} of {len(claims)} run, off by {worst:.1g}")
    for line in wrong:
        print(*line)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
