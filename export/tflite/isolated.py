"""Runs .tflite files in a process that may die, and that finds no zeros in its memory.

An interpreter is C++: a damaged file can end its process, at once or later, through the memory that
it spoilt. So a file of unknown origin is never opened in this process. And a file that reads memory
which nobody wrote answers right as long as that happens to be zero. `MALLOC_PERTURB_` (mallopt(3)
of glibc) has memory hold other values when it is handed out.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.child import Child, ChildEnded, ChildHangs
from keras_rnn_zoo.errors import RunError, ZooError
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.files import PathLike

# Memory is filled with the complement of this: 1.5e16 as float32, 90 as int8.
PERTURB = 165
# CPU time of one invoke (and of what lies between two). No right file is that slow.
SECONDS = 120.0
# All that is asked at once. Where the interpreter waits for itself, it takes no CPU time.
TIMEOUT = 3600.0
MEMORY = 16 * 2**30


class Isolated:
    """A process that handles .tflite files of any origin, one after the other.

    It starts when it is first asked, anew after a file has ended it, and ends with this object.

    Args:
        perturb: 1 to 255: memory that is handed out holds this value's complement in each byte;
            None leaves it as it comes. Other C libraries than glibc know no such thing.
        seconds: CPU time that one invoke may take.
        timeout: Seconds after which the process is killed, whatever it does.
    """

    def __init__(
        self, *, perturb: int | None = None, seconds: float = SECONDS, timeout: float = TIMEOUT
    ):
        self._perturb = perturb
        self._seconds = seconds
        self._timeout = timeout
        self._child: Child | None = None

    def __enter__(self) -> Isolated:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def answer(
        self,
        path: PathLike,
        x: Mapping[str, np.ndarray],
        *,
        invokes: int = 1,
        threads: int = 1,
        batch_size: int | None = None,
    ) -> list[Arrays]:
        """Answers encoded inputs `[samples, ...]`; see `TFLiteModel.answer`.

        Raises:
            RunError: The file is missing or damaged, does not take such inputs, or crashes or
                hangs the interpreter.
            OpGateError: The interpreter lacks one of its ops.
        """
        return self.ask("answer", path, x, invokes=invokes, threads=threads, batch_size=batch_size)[
            1
        ]

    def ask(
        self, action: str, path: PathLike, x: Mapping[str, np.ndarray] | None = None, **values: Any
    ) -> tuple[Any, list[Arrays]]:
        """Has something done with a file.

        Args:
            action: One of `_isolated_process.ACTIONS`, or `module:function` of another one.
            path: The file, of any origin.
            x: Input name -> samples.
            **values: What else the action takes, as JSON knows it.

        Returns:
            What the action returns: a JSON value and arrays.

        Raises:
            RunError: The file crashes or hangs the process.
            ZooError: Whatever the action raises.
        """
        path = Path(path)
        with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
            inputs, outputs = Path(scratch) / "inputs.npz", Path(scratch) / "outputs.npz"
            if x is not None:
                store(inputs, [dict(x)])
            request = {
                "action": action,
                # The process stays where it was started.
                "file": str(path.absolute()),
                "inputs": str(inputs) if x is not None else None,
                "outputs": str(outputs),
                "values": values,
            }
            answer = self._exchange(path, request)
            if "error" in answer:
                raise _error(answer["type"], answer["error"])
            try:
                return answer["result"], load(outputs) if outputs.exists() else []
            except Exception as error:  # what a process writes whose memory is spoilt
                self.close()
                raise _ended(path, "its answers cannot be read") from error

    def _exchange(self, path: Path, request: dict[str, Any]) -> dict[str, Any]:
        """Sends a request and waits for the answer.

        Raises:
            RunError: There is none.
        """
        try:
            answer = self._started().ask(request, self._timeout)
        except ChildHangs:
            raise _hangs(path, f"{self._timeout:.0f} s") from None
        except ChildEnded as error:
            if error.code == -signal.SIGPROF:
                raise _hangs(path, f"{self._seconds:.0f} s of CPU time") from None
            if error.code < 0:
                raise RunError(
                    f"{path} crashes the interpreter ({signal.Signals(-error.code).name}). Take a "
                    "complete copy, or export it again."
                ) from None
            words = f": {error.said.splitlines()[-1][:200]}" if error.said else ""
            raise _ended(path, f"exit code {error.code}{words}") from None
        if isinstance(answer, dict) and ("result" in answer or {"error", "type"} <= set(answer)):
            return answer
        self.close()
        raise _ended(path, "its answer cannot be read")

    def _started(self) -> Child:
        if self._child is None or not self._child.running:
            self.close()
            settings = {"seconds": self._seconds, "memory": MEMORY}
            self._child = Child(
                ["-m", "keras_rnn_zoo.export.tflite._isolated_process", json.dumps(settings)],
                {} if self._perturb is None else {"MALLOC_PERTURB_": str(self._perturb)},
            )
        return self._child


# Process id of this program (a fork has its own) -> a process whose memory holds no zeros.
_PERTURBED: dict[int, Isolated] = {}
_LOCK = threading.Lock()


def answer_perturbed(
    path: PathLike, x: Mapping[str, np.ndarray], batch_size: int | None = None
) -> Arrays:
    """Answers inputs in another process, one whose memory holds no zeros when it is handed out.

    The process stays for the next file: starting it takes as long as answering some hundred inputs.

    Args:
        path: A .tflite file.
        x: Input name -> encoded samples `[samples, ...]`.
        batch_size: How many a file answers at once whose inputs can be resized.

    Returns:
        Output name -> answers to all samples.

    Raises:
        RunError: See `Isolated.answer`.
    """
    with _LOCK:
        process = _PERTURBED.setdefault(os.getpid(), Isolated(perturb=PERTURB))
        return process.answer(path, x, batch_size=batch_size)[0]


def store(path: PathLike, groups: Sequence[Arrays]) -> None:
    """Writes arrays by name for the other process."""
    arrays: dict[str, Any] = {"names": np.array(json.dumps([list(group) for group in groups]))}
    for which, group in enumerate(groups):
        for number, values in enumerate(group.values()):
            arrays[f"{which}_{number}"] = values
    with Path(path).open("wb") as stream:
        np.savez(stream, **arrays)


def load(path: PathLike) -> list[Arrays]:
    """Reads what `store` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return [
            {name: stored[f"{which}_{number}"] for number, name in enumerate(names)}
            for which, names in enumerate(json.loads(str(stored["names"])))
        ]


def _hangs(path: Path, after: str) -> RunError:
    return RunError(
        f"{path} does not come to an end in the interpreter (stopped after {after}). Take a "
        "complete copy, or export it again."
    )


def _ended(path: Path, how: str) -> RunError:
    return RunError(
        f"{path} cannot be run: the interpreter's process ended ({how}). Take a complete copy, or "
        "export it again."
    )


def _error(kind: str, message: str) -> ZooError:
    """Returns an error of the type that the other process raised."""
    types: list[type[ZooError]] = [ZooError]
    for base in types:
        if base.__name__ == kind:
            return base(message)
        types += base.__subclasses__()
    return RunError(message)
