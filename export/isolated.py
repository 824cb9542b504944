"""Runs a .tflite file in a fresh process, which may die, and which finds no zeros in its memory.

An interpreter is C++: a damaged file can end its process. And a file that reads memory which nobody
wrote answers right as long as that happens to be zero. `MALLOC_PERTURB_` (mallopt(3) of glibc) has
memory hold other values when it is handed out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.export.running import Arrays
from keras_rnn_zoo.files import PathLike

# Memory is filled with the complement of this: as float32 about -1.6e-17, as int8 -91.
PERTURB = 165
TIMEOUT = 300.0
MEMORY = 16 * 2**30


def run_isolated(
    path: PathLike,
    x: Arrays,
    *,
    invokes: int = 1,
    perturb: int | None = None,
    threads: int = 1,
    timeout: float = TIMEOUT,
) -> list[Arrays]:
    """Answers inputs in a fresh process that holds the interpreter alone.

    Args:
        path: A .tflite file, of any origin.
        x: Input name -> encoded samples `[samples, ...]`.
        invokes: How often each batch is run, one after the other.
        perturb: 1 to 255: memory that is handed out holds this value's complement in each byte;
            None leaves it as it comes. Other C libraries than glibc know no such thing.
        threads: CPU threads of an invoke.
        timeout: Seconds after which the process is killed.

    Returns:
        For each invoke, output name -> answers to all samples.

    Raises:
        RunError: The file is missing or damaged, does not take such inputs, or crashes or hangs
            the interpreter.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
        inputs, outputs = Path(scratch) / "inputs.npz", Path(scratch) / "outputs.npz"
        arrays: dict[str, Any] = {f"x_{i}": values for i, values in enumerate(x.values())}
        np.savez(inputs, names=np.array(json.dumps(list(x))), **arrays)
        request = {
            "file": str(path),
            "inputs": str(inputs),
            "outputs": str(outputs),
            "invokes": invokes,
            "threads": threads,
            "memory": MEMORY,
        }
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        if perturb is not None:
            environment["MALLOC_PERTURB_"] = str(perturb)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "keras_rnn_zoo.export._runner", json.dumps(request)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=environment,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise RunError(
                f"{path} does not come to an end in the interpreter (stopped after "
                f"{timeout:.0f} s). Take a complete copy, or export it again."
            ) from None
        if done.returncode < 0:
            name = signal.Signals(-done.returncode).name
            raise RunError(
                f"{path} crashes the interpreter ({name}). Take a complete copy, or export it "
                "again."
            )
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            said = done.stderr.strip().splitlines()
            raise RunError(
                f"{path} cannot be run: the interpreter's process ended with exit code "
                f"{done.returncode}{': ' + said[-1] if said else ''}."
            ) from None
        if "error" in answer:
            raise RunError(answer["error"])
        with np.load(outputs, allow_pickle=False) as stored:
            names = json.loads(str(stored["names"]))
            return [
                {name: stored[f"y_{which}_{number}"] for number, name in enumerate(names)}
                for which in range(invokes)
            ]
