"""Runs a file in the interpreter of tflite-runtime or ai-edge-litert, whichever Python this is.

Its argument is the folder that `run_command` makes. Needs NumPy and the package alone, and takes
Python 3.7, too.
"""
# ruff: noqa: B905

import importlib
import json
import pathlib
import sys

import numpy as np

del sys.path[0]  # what lies beside this file is named as packages are
folder = pathlib.Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
x = [np.load(folder / f"x_{i}.npy") for i in range(len(job["inputs"]))]
try:
    module = importlib.import_module(job["interface"] + ".interpreter")
    interpreter = module.Interpreter(model_path=job["file"], num_threads=1)
    places = [one["index"] for one in interpreter.get_input_details()]
    for place, values in zip(places, x):
        # What an app may size.
        interpreter.resize_tensor_input(place, values.shape[1:])
    interpreter.allocate_tensors()
    answers = [one["index"] for one in interpreter.get_output_details()]
    y = [[] for _ in answers]  # type: ignore[var-annotated]
    for batch in job["order"]:
        for place, values in zip(places, x):
            interpreter.set_tensor(place, values[batch])
        if job["reset"]:
            interpreter.reset_all_variables()
        interpreter.invoke()
        for place, found in zip(answers, y):
            found.append(interpreter.get_tensor(place))
except (RuntimeError, ValueError) as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
for i, found in enumerate(y):
    np.save(folder / f"y_{i}.npy", np.stack(found))
print(json.dumps({"arrays": len(y)}))
