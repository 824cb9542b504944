"""Runs files in the emulated Python and marks their calls: `_guest.py JOB.json`.

It has numpy, ai_edge_litert (and onnxruntime, where it was asked for) and nothing of this project.
The job names `files`: each with a `path`, `inputs` (an .npz file with an array `CALL_TENSOR` for
each call and tensor index, or one `x` for an .onnx file), `open` and `resets`; see `emulate.Calls`.
What file number k executes while it is called belongs to the label k + 1, see `plugin/plugin.c`.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

MARK, WARM = 0x7A51, 63
# All calls are made as often: to plan memory and pack weights, to warm the modelled caches, and to
# be measured.
PASSES = 3
# What makes a call, and what reads its answers.
Call: TypeAlias = tuple[Callable[[], object], Callable[[], list[Any]]]


# Linux's `syscall`: what it is called with says what follows.
mark = ctypes.CDLL(None).syscall


def tflite(file: dict[str, Any]) -> Iterator[Call | None]:
    """Yields the calls of a file in LiteRT, and None after each pass."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(file["path"], num_threads=1)
    outputs = [one["index"] for one in interpreter.get_output_details()]

    def run() -> None:
        # Not kept: with two references to it, the interpreter allocates nothing more.
        native = interpreter._interpreter
        if file["resets"]:
            native.ResetVariableTensors()
        native.Invoke()

    def read() -> list[Any]:
        return [interpreter.get_tensor(tensor) for tensor in outputs]

    calls: dict[int, dict[int, np.ndarray]] = {}
    with np.load(file["inputs"], allow_pickle=False) as stored:
        for name in stored.files:
            call, tensor = map(int, name.split("_"))
            calls.setdefault(call, {})[tensor] = stored[name]
    shapes = None
    for _ in range(PASSES):
        for _, given in sorted(calls.items()):
            if shapes != (shapes := {tensor: values.shape for tensor, values in given.items()}):
                for tensor in file["open"]:
                    interpreter.resize_tensor_input(tensor, shapes[tensor])
                interpreter.allocate_tensors()
            for tensor, values in given.items():
                interpreter.set_tensor(tensor, values)
            yield run, read
        yield None


def onnx(file: dict[str, Any]) -> Iterator[Call | None]:
    """Yields the same of onnxruntime: calls of one input, which is bound as its output is."""
    onnxruntime: Any = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file["path"], options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    with np.load(file["inputs"], allow_pickle=False) as stored:
        binding.bind_cpu_input("x", stored["x"])
    binding.bind_output("y")
    call, bound, how = (
        session._sess.run_with_iobinding,
        binding._iobinding,
        onnxruntime.RunOptions(),
    )
    for _ in range(PASSES):
        for _ in range(file["calls"]):
            yield lambda: call(bound, how), lambda: [one.numpy() for one in binding.get_outputs()]
        yield None


def main() -> None:
    """Does the job."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    answers = []
    for number, file in enumerate(job["files"]):
        labels = iter([0, WARM, number + 1, 0])
        label, last = next(labels), []
        for one in (onnx if file["path"].endswith(".onnx") else tflite)(file):
            if one is None:
                label = next(labels)
                continue
            run, read = one
            mark(MARK, label)
            run()
            mark(MARK, 0)
            last = [np.ravel(values).tolist() for values in read()]
        answers.append(last)
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    # start-end, permissions, offset, device, inode, path
    maps = [[words[0], words[2], words[5]] for words in maps if len(words) > 5]
    Path(job["done"]).write_text(json.dumps({"maps": maps, "answers": answers}), encoding="utf-8")


if __name__ == "__main__":
    main()
