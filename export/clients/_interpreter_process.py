"""Runs a file in the interpreter of tflite-runtime or ai-edge-litert, whichever Python this is.

Its argument is the folder that `run_command` makes. Needs NumPy and the package alone, and takes
Python 3.7, too.
"""
# ruff: noqa: B905

from __future__ import annotations

import importlib
import sys
from typing import Any

import _process  # type: ignore[import-not-found]  # beside this file

del sys.path[0]  # what lies there is named as packages are


def opened(job: dict[str, Any], x: Any) -> Any:
    """See `_process.Opened`."""
    module = importlib.import_module(job["interface"] + ".interpreter")
    interpreter = module.Interpreter(model_path=job["file"], num_threads=1)
    return _signatures(job, interpreter) if job["signature"] else _whole(job, x, interpreter)


def _signatures(job: dict[str, Any], interpreter: Any) -> Any:
    """Runs the signatures, as an app does that knows names."""
    interpreter.allocate_tensors()
    step = interpreter.get_signature_runner(job["signature"])
    begin = interpreter.get_signature_runner(job["start"]) if job["start"] else None
    return (begin or (lambda: _process.zeros(job))), lambda inputs: step(**inputs)


def _whole(job: dict[str, Any], x: Any, interpreter: Any) -> Any:
    """Runs the main subgraph, by number: files may be without signatures."""
    places = [one["index"] for one in interpreter.get_input_details()]
    for place, values in zip(places, x.values()):
        # What an app may size.
        interpreter.resize_tensor_input(place, values.shape[1:])
    interpreter.allocate_tensors()
    answers = [one["index"] for one in interpreter.get_output_details()]
    names = [one["name"] for one in job["answers"]]

    def start() -> Any:
        if job["reset"]:
            interpreter.reset_all_variables()
        return {}

    def call(inputs: Any) -> Any:
        for place, values in zip(places, inputs.values()):
            interpreter.set_tensor(place, values)
        interpreter.invoke()
        return {name: interpreter.get_tensor(place) for name, place in zip(names, answers)}

    return start, call


_process.main(opened)
