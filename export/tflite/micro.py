"""Runs .tflite files in tflite-micro, the interpreter of microcontrollers, on this machine.

tflite-micro lies in this environment, or in one of its own: `KERAS_RNN_ZOO_CLIENTS` names a
directory (`~/.keras-rnn-zoo/clients` if it is not set) with a virtual environment for each client,
here `tflite_micro`. Either way it runs in a process of its own, as it is C++ that may end it.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.child import Child, ChildEnded, ChildHangs
from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.export.installations import clients_folder, folder_text
from keras_rnn_zoo.export.tflite.file import STEP
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TensorInfo, TFLiteModel
from keras_rnn_zoo.export.tflite.steps import of_sequences, states_of
from keras_rnn_zoo.export.tflite.tables import ends_of
from keras_rnn_zoo.files import PathLike

# Bytes. No microcontroller has so many.
MOST = 64 * 2**20
SECONDS = 600.0
NOTE = "measured on a 64-bit machine: a 32-bit one needs less"


def find() -> str | None:
    """Returns the Python interpreter that has tflite-micro; None where there is none."""
    if importlib.util.find_spec("tflite_micro") is not None:
        return sys.executable
    python = clients_folder() / "tflite_micro" / "bin" / "python"
    return str(python) if python.is_file() else None


def needed(purpose: str) -> str:
    """Returns the interpreter that has tflite-micro.

    Args:
        purpose: What it is needed for, as the beginning of a sentence.

    Raises:
        RunError: There is none; the message says how to install it.
    """
    found = find()
    if found is None:
        place = f"{folder_text()}/tflite_micro"
        raise RunError(
            f"{purpose} needs tflite-micro, which is not installed. Install it with: python -m "
            f"venv {place} && {place}/bin/pip install tflite-micro"
        )
    return found


def least_arena(path: PathLike, python: str | None = None) -> int:
    """Returns the least tensor arena in which a file runs, in bytes, to 64 bytes.

    Pointers and sizes that it holds are those of this machine: 32-bit ones take less.

    Args:
        path: The file.
        python: The Python that has tflite-micro; None for that which `find` finds.

    Raises:
        RunError: tflite-micro is not installed, or does not run the file.
    """
    return int(_ask(path, {"action": "arena", "arena": MOST}, python)["bytes"])


def answers(path: PathLike, x: Mapping[str, np.ndarray]) -> Arrays:
    """Answers encoded inputs `[samples, ...]`, with a `Reset()` before each; see `MicroModel`."""
    return MicroModel(path).answer(dict(x))[0]


class MicroModel(TFLiteModel):
    """A .tflite file that runs in tflite-micro; see `TFLiteModel`.

    Before each sequence it is reset, or, where its call is one time step, its states are zeros.

    Args:
        file: The file.
        python: The Python that has tflite-micro; None for that which `find` finds.

    Raises:
        RunError: The file is missing or damaged, or tflite-micro does not run it.
    """

    def __init__(self, file: PathLike, python: str | None = None):
        self.path = Path(file)
        self._python = python or needed(f"To run {self.path.name}")
        ends = ends_of(self.path)
        inputs, outputs = ends.inputs, ends.outputs
        states = states_of(inputs, outputs) if ends.signature == STEP else []
        self._states = {list(inputs).index(name): list(outputs).index(name) for name in states}
        self._zeros = {list(inputs).index(name): inputs[name].zero_point for name in states}
        fed = [info for name, info in inputs.items() if name not in states]
        # Time steps that a call takes; 0 where it takes a whole sequence.
        self._steps = int(fed[0].shape[1] or 1) if ends.signature == STEP else 0
        self._count = len(outputs)
        self._tensors = {
            "inputs": [info for name, info in inputs.items() if name not in states],
            "outputs": [info for name, info in outputs.items() if name not in states],
            **({"states": [inputs[name] for name in states]} if states else {}),
        }
        self.inputs, self.outputs = inputs, outputs
        if self._steps:
            self.inputs = of_sequences(inputs, states, [one.name for one in fed])
            self.outputs = of_sequences(outputs, states)
        first = next(iter(self.inputs.values()))
        self.batch_size = first.shape[0] or 1
        self._set: dict[str, np.ndarray] = {}

    @property
    def tensors(self) -> dict[str, list[TensorInfo]]:
        """What a call takes and makes; of a time step, `states`, too."""
        return self._tensors

    def open(self, name: str) -> bool:
        """Nothing is resized."""
        return False

    def set_inputs(self, values: Mapping[str, np.ndarray]) -> None:
        """Keeps one batch of inputs."""
        self._set = dict(values)

    def invoke(self) -> Arrays:
        """Runs the file once on the inputs that are set; returns name -> real values."""
        return self._run([self._set])[0][0]

    def answer(self, x: Arrays, invokes: int = 1, batch_size: int | None = None) -> list[Arrays]:
        """Answers each batch of inputs several times in a row; see `TFLiteModel.answer`."""
        batches = list(self.batches(x))
        calls = [batch for _, batch in batches for _ in range(invokes)]
        found, _ = self._run(calls)
        used = [count for count, _ in batches]
        return [
            {
                name: np.concatenate(
                    [
                        answer[name][:count]
                        for answer, count in zip(found[number::invokes], used, strict=True)
                    ]
                )
                for name in self.outputs
            }
            for number in range(invokes)
        ]

    def seconds(self, batches: list[Arrays]) -> list[float]:
        """Returns how long each of some calls takes in tflite-micro."""
        return self._run(batches)[1]

    def _run(self, calls: list[Arrays]) -> tuple[list[Arrays], list[float]]:
        stored = [
            np.stack([info.quantize(call[name]) for call in calls])
            for name, info in self.inputs.items()
        ]
        made, seconds = self.run(stored)
        values = {
            name: info.dequantize(array)
            for (name, info), array in zip(self.outputs.items(), made, strict=True)
        }
        each = [{name: array[call] for name, array in values.items()} for call in range(len(calls))]
        return each, seconds

    def each_answer(self, x: Arrays) -> Arrays:
        """Returns what every call of one batch of streams answers; see `StepModel`."""
        stored = [info.quantize(x[name])[np.newaxis] for name, info in self.inputs.items()]
        made, _ = self.run(stored, each=True)
        return {
            name: info.dequantize(array[0])
            for (name, info), array in zip(self.outputs.items(), made, strict=True)
        }

    def run(
        self, x: Sequence[np.ndarray], *, each: bool = False
    ) -> tuple[list[np.ndarray], list[float]]:
        """Runs several calls, or sequences of a file whose call takes some time steps.

        Args:
            x: For each input, what it stores, `[calls, batch, ...]`.
            each: Return what each step of a sequence answers, one axis more.

        Returns:
            For each output, what it stores, `[calls, batch, ...]`, and the seconds of each call.
        """
        with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
            given, made = Path(scratch) / "given.npz", Path(scratch) / "made.npz"
            arrays = {f"x{number}": values for number, values in enumerate(x)}
            np.savez(given, **arrays)  # type: ignore[arg-type]
            request = {
                "action": "answer",
                "arena": MOST,
                "inputs": str(given),
                "answers": str(made),
                "outputs": self._count,
                "steps": self._steps,
                "each": each,
                "states": self._states,
                "zeros": self._zeros,
            }
            seconds = _ask(self.path, request, self._python)["seconds"]
            with np.load(made, allow_pickle=False) as stored:
                return [stored[f"y{number}"] for number in range(len(self.outputs))], seconds


# Process id of this program (a fork has its own) and interpreter -> the process that runs files.
_PROCESSES: dict[tuple[int, str], Child] = {}
_LOCK = threading.Lock()


def _ask(path: PathLike, request: Mapping[str, Any], python: str | None = None) -> dict[str, Any]:
    """Has the process that runs tflite-micro do something with a file.

    Raises:
        RunError: tflite-micro is not installed, does not run the file, crashes or hangs.
    """
    python = python or needed(f"To run {Path(path).name}")
    script = str(Path(__file__).with_name("_micro_process.py"))
    key = (os.getpid(), python)
    with _LOCK:
        child = _PROCESSES.get(key)
        if child is None or not child.running:
            child = _PROCESSES[key] = Child([script], python=python)
        try:
            answer = child.ask({**request, "file": str(Path(path).absolute())}, SECONDS)
        except ChildHangs:
            raise RunError(
                f"{path} does not come to an end in tflite-micro (stopped after {SECONDS:.0f} s)."
            ) from None
        except ChildEnded as error:
            raise RunError(f"tflite-micro crashes on {path}: {_ending(error)}.") from None
        said = child.said()
    if "error" in answer:
        words = said.splitlines()[-1][:200] if said else answer["error"]
        raise RunError(f"tflite-micro does not run {path}: {words.rstrip('.')}.")
    return dict(answer)


def _ending(error: ChildEnded) -> str:
    if error.code < 0:
        return signal.Signals(-error.code).name
    words = f", {error.said.splitlines()[-1][:200]}" if error.said else ""
    return f"exit code {error.code}{words}"
