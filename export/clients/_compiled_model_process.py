"""Runs a file in `CompiledModel` of ai-edge-litert.

Its argument is the folder that `run_command` makes. Needs NumPy and the package alone.
"""

from __future__ import annotations

import sys
from typing import Any

import _process  # type: ignore[import-not-found]  # beside this file

del sys.path[0]  # what lies there is named as packages are

import numpy as np  # noqa: E402
from ai_edge_litert.compiled_model import CompiledModel  # noqa: E402


def opened(job: dict[str, Any], x: Any) -> Any:
    """See `_process.Opened`."""
    model = CompiledModel.from_file(job["file"])
    call = _runner(model, job["signature"] or next(iter(model.get_signature_list())), job["made"])
    if not job["start"]:
        return lambda: _process.zeros(job), call
    begin = _runner(model, job["start"], job["states"])
    return lambda: begin({}), call


def _runner(model: Any, key: str, made: list[dict[str, Any]]) -> Any:
    """Returns what runs a signature, in buffers of its own."""
    index, names = model.get_signature_index(key), model.get_signature_list()[key]
    for one in made:
        if one["name"] not in names["outputs"]:
            raise ValueError(f"it knows no output '{one['name']}', but {names['outputs']}")
    # Buffers come in the order of the signature.
    taken, given = model.create_input_buffers(index), model.create_output_buffers(index)

    def run(inputs: Any) -> Any:
        for name, values in inputs.items():
            taken[names["inputs"].index(name)].write(np.ascontiguousarray(values))
        model.run_by_index(index, taken, given)
        return {one["name"]: read(one) for one in made}

    def read(one: dict[str, Any]) -> Any:
        buffer = given[names["outputs"].index(one["name"])]
        values = buffer.read(int(np.prod(one["shape"])), np.dtype(one["dtype"]).type)
        return np.reshape(values, one["shape"]).copy()

    return run


_process.main(opened)
