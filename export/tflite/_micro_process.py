"""Runs .tflite files in tflite-micro, in whatever Python has it: see `micro`.

A script of its own, which imports NumPy and tflite-micro alone and runs on Python 3.9. A request is
a JSON object, a line on stdin; an answer is one on stdout. tflite-micro is C++ that may end its
process, so what is only tried is tried in a fork.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

# Bytes. Allocations are aligned to 16 of them, and the arena itself may begin anywhere.
STEP = 64


def _interpreter(path: str, arena: int) -> Any:
    from tflite_micro.python.tflite_micro import runtime  # type: ignore[import-not-found]

    return runtime.Interpreter.from_file(path, arena_size=arena)


def _given(file: str) -> list[np.ndarray]:
    with np.load(file, allow_pickle=False) as stored:
        return [stored[f"x{number}"] for number in range(len(stored.files))]


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `[calls, ...]` for each input of a file, as it stores them, and times each call.

    Of a file whose call takes `steps` time steps (0: a whole sequence), `states` pairs the input
    and the output of each state: a sequence then starts from `zeros` and goes through `[calls,
    batch, all steps, ...]`. Its answer is that of the last step, or of all steps where the file
    gives them an axis.
    """
    interpreter = _interpreter(request["file"], request["arena"])
    inputs = _given(request["inputs"])
    states = {int(place): number for place, number in request["states"].items()}
    sequences = [place for place in range(len(inputs) + len(states)) if place not in states]
    outputs = [number for number in range(request["outputs"]) if number not in states.values()]
    chunk = request["steps"]
    steps = inputs[0].shape[2] if chunk else 1
    found: list[list[np.ndarray]] = [[] for _ in outputs]
    seconds = []
    for call in range(len(inputs[0])):
        start = time.perf_counter()
        interpreter.reset()
        for place, values in request["zeros"].items():
            details = interpreter.get_input_details(int(place))
            interpreter.set_input(np.full(details["shape"], values, details["dtype"]), int(place))
        each: list[list[np.ndarray]] = [[] for _ in outputs]
        for step in range(0, steps, chunk or 1):
            for place, values in zip(sequences, inputs):  # noqa: B905 Python 3.9 has no strict
                one = values[call][:, step : step + chunk] if chunk else values[call]
                interpreter.set_input(np.ascontiguousarray(one), place)
            interpreter.invoke()
            # All outputs first: inputs may lie where they are.
            after = {place: interpreter.get_output(number) for place, number in states.items()}
            for values, number in zip(each, outputs):  # noqa: B905
                values.append(interpreter.get_output(number))
            for place, values in after.items():
                interpreter.set_input(values, place)
        seconds.append(time.perf_counter() - start)
        for values, own in zip(found, each):  # noqa: B905
            if request.get("each"):
                values.append(np.stack(own))
            else:
                values.append(np.concatenate(own, axis=1) if own[-1].ndim > 2 else own[-1])
    arrays = {f"y{k}": np.stack(values) for k, values in enumerate(found)}
    with Path(request["answers"]).open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    return {"seconds": seconds}


def _runs(path: str, arena: int) -> bool:
    """Whether a file runs in so many bytes."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 2)
            interpreter = _interpreter(path, arena)
            place = 0
            while True:
                try:
                    details = interpreter.get_input_details(place)
                except Exception:
                    break
                interpreter.set_input(np.zeros(details["shape"], details["dtype"]), place)
                place += 1
            interpreter.invoke()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def arena(request: dict[str, Any]) -> dict[str, Any]:
    """Returns the least arena in which a file runs, `{"bytes": n}`, by bisection."""
    path, most = request["file"], request["arena"]
    high = 1024
    while not _runs(path, high):
        if high >= most:
            _interpreter(path, most).invoke()  # which says why
            return {"error": f"it takes more than {most:,} bytes"}
        high = min(2 * high, most)
    low = 0 if high == 1024 else high // 2
    while high - low > STEP:
        middle = (low + high) // 2 // STEP * STEP or STEP
        if middle in (low, high):
            break
        low, high = (low, middle) if _runs(path, middle) else (middle, high)
    return {"bytes": high}


def respond(request: dict[str, Any]) -> dict[str, Any]:
    """Does what a request says; returns the answer to it."""
    try:
        return {"answer": answer, "arena": arena}[request["action"]](request)
    except Exception as error:
        return {"error": " ".join(str(error).split()) or type(error).__name__}


def main() -> None:
    """Answers requests until there are no more."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        stream.write(json.dumps(respond(json.loads(line))) + "\n")
        stream.flush()


if __name__ == "__main__":
    main()
