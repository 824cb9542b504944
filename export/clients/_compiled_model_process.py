"""Runs a file in `CompiledModel` of ai-edge-litert.

Its argument is the folder that `run_command` makes. Needs NumPy and the package alone.
"""

import json
import pathlib
import sys

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel

folder = pathlib.Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
x = [np.load(folder / f"x_{i}.npy") for i in range(len(job["inputs"]))]
try:
    model = CompiledModel.from_file(job["file"])
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    # Buffers come in the order of the signature, by name.
    (signature,) = model.get_signature_list().values()
    for name, _, _ in job["outputs"]:
        if name not in signature["outputs"]:
            raise ValueError(f"it knows no output '{name}', but {signature['outputs']}")
    y: dict[str, list[np.ndarray]] = {name: [] for name, _, _ in job["outputs"]}
    for batch in job["order"]:
        for (name, _), values in zip(job["inputs"], x, strict=True):
            buffer = inputs[signature["inputs"].index(name)]
            buffer.write(np.ascontiguousarray(values[batch]))
        model.run_by_index(0, inputs, outputs)
        for name, dtype, shape in job["outputs"]:
            buffer = outputs[signature["outputs"].index(name)]
            read = buffer.read(int(np.prod(shape)), np.dtype(dtype).type)
            y[name].append(np.reshape(read, shape).copy())
except (RuntimeError, ValueError) as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
for i, found in enumerate(y.values()):
    np.save(folder / f"y_{i}.npy", np.stack(found))
print(json.dumps({"arrays": len(y)}))
