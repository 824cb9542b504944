"""A process of its own that handles .tflite files of any origin: see `isolated`.

It knows no TensorFlow, except to look at a SavedModel.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from keras_rnn_zoo.child import claim_stdout, serve
from keras_rnn_zoo.errors import ZooError
from keras_rnn_zoo.export.tflite.file import read as read_file
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TFLiteModel
from keras_rnn_zoo.export.tflite.isolated import load, store
from keras_rnn_zoo.export.tflite.opened import open_model

Answer: TypeAlias = tuple[Any, list[Arrays]]

# The file that was run last, for the next inputs: what it was, and its interpreter.
_last: tuple[Any, TFLiteModel] | None = None


def _open(path: str, threads: int) -> TFLiteModel:
    global _last
    content = read_file(Path(path))
    key = (path, threads, hash(content))
    if _last is None or _last[0] != key:
        _last = None
        _last = (key, open_model(path, threads))
    return _last[1]


def _answer(path: str, x: Arrays, invokes: int, threads: int, batch_size: int | None) -> Answer:
    return None, _open(path, threads).answer(x, invokes, batch_size)


def _describe(path: str, x: None) -> Answer:
    """What `TFLiteModel.inputs` and `outputs` hold."""
    file = _open(path, 1)
    return {
        kind: [asdict(info) for info in tensors.values()]
        for kind, tensors in (("inputs", file.inputs), ("outputs", file.outputs))
    }, []


def _benchmark(path: str, x: Arrays | None, **values: Any) -> Answer:
    from keras_rnn_zoo.export.tflite.latency import benchmark_tflite

    return benchmark_tflite(path, x, **values), []


ACTIONS: dict[str, Callable[..., Answer]] = {
    "answer": _answer,
    "describe": _describe,
    "benchmark": _benchmark,
}


def _action(name: str) -> Callable[..., Answer]:
    """Returns one of `ACTIONS`, or the function that `module:function` names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function) if function else ACTIONS[name]


def _respond(request: dict[str, Any]) -> dict[str, Any]:
    """Does what a request says; returns the answer to it."""
    file = request["file"]
    try:
        x = load(request["inputs"])[0] if request["inputs"] is not None else None
        result, arrays = _action(request["action"])(file, x, **request["values"])
        if arrays:
            store(request["outputs"], arrays)
        return {"result": result}
    except ZooError as error:
        return {"error": str(error), "type": type(error).__name__}
    except MemoryError:
        message = f"{file} asks for too much memory. Take a complete copy, or export it again."
    except Exception as error:  # whatever a damaged file makes the interpreter raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        message = (
            f"{file} cannot be run: {reason.rstrip('.')}. Take a complete copy, or export it again."
        )
    return {"error": message, "type": "RunError"}


def _limit(seconds: float, memory: int) -> None:
    """Has the kernel end this process where a file takes more than any right one."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        # Where memory runs out, this process goes, not the one that asked.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")

    from ai_edge_litert.interpreter import Interpreter

    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # in C++, too
    invoke, set_at = Interpreter.invoke, time.monotonic()

    def timed(interpreter: Any) -> None:
        nonlocal set_at
        invoke(interpreter)
        # What comes to an end may take its time, however many invokes there are. Seldom, as
        # latencies are measured here.
        if (now := time.monotonic()) > set_at + min(1.0, seconds / 4):
            set_at = now
            signal.setitimer(signal.ITIMER_PROF, seconds)

    Interpreter.invoke = timed


def main() -> None:
    """Answers requests until there are no more."""
    settings = json.loads(sys.argv[1])
    stream = claim_stdout()
    _limit(settings["seconds"], settings["memory"])

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        signal.setitimer(signal.ITIMER_PROF, settings["seconds"])
        try:
            return _respond(request)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    serve(stream, answer)
    # Without the interpreter's clean-up, which a damaged file may crash.
    os._exit(0)


if __name__ == "__main__":
    main()
