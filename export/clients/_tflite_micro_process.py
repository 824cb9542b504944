"""Runs a file in tflite-micro, which knows no signatures and no names.

Its argument is the folder that `run_command` makes. Needs NumPy and the package alone.
"""

from __future__ import annotations

import sys
from typing import Any

import _process  # type: ignore[import-not-found]  # beside this file

del sys.path[0]  # what lies there is named as packages are

import numpy as np  # noqa: E402
from tflite_micro.python.tflite_micro import runtime  # type: ignore # noqa: E402


def opened(job: dict[str, Any], x: Any) -> Any:
    """See `_process.Opened`."""
    interpreter = runtime.Interpreter.from_file(job["file"], arena_size=job["arena"])

    def start() -> Any:
        interpreter.reset()
        return _process.zeros(job)

    def call(inputs: Any) -> Any:
        for place, one in enumerate(job["taken"]):
            interpreter.set_input(np.ascontiguousarray(inputs[one["name"]]), place)
        interpreter.invoke()
        return {one["name"]: interpreter.get_output(i) for i, one in enumerate(job["made"])}

    return start, call


_process.main(opened)
