"""From a SavedModel to a .tflite file, in a process that may die.

TensorFlow's converter is C++ that can crash, and takes the Python process with it. It runs in a
child process that stays for the next conversion (importing TensorFlow takes seconds); when it
crashes, hangs or fails, the parent says so and starts another one the next time. What is a process
of its own already, and may die, converts `in_this_process`.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from keras_rnn_zoo.child import Child, ChildEnded, ChildHangs
from keras_rnn_zoo.errors import ConversionError
from keras_rnn_zoo.export.convert import _converter_process

DEFAULT_TIMEOUT = 900.0


class Converter:
    """A child process that converts one SavedModel after the other.

    Args:
        command: What to start instead of the converter; for tests of its death.
    """

    def __init__(self, command: list[str] | None = None):
        self._command = command or ["-m", "keras_rnn_zoo.export.convert._converter_process"]
        self._child: Child | None = None
        self._lock = threading.Lock()

    def convert(
        self,
        saved_model: Path,
        output: Path,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Converts `saved_model` to `output`.

        Args:
            saved_model: Directory of a SavedModel with the signature `serving_default`.
            output: File to write; the caller moves it to its place when it is proven good.
            timeout: Seconds after which the child is killed.

        Raises:
            ConversionError: The converter refused, crashed or hung; `log` has all that it said.
        """
        with self._lock:
            child = self._started()
            try:
                answer = child.ask(_request(saved_model, output), timeout)
            except ChildHangs as error:
                raise ConversionError(
                    f"The TFLite converter was stopped after {timeout:.0f} s. Fewer timesteps, or "
                    "lowering='loop' instead of 'unrolled', converts faster.",
                    error.said,
                    "hung",
                ) from None
            except ChildEnded as error:
                raise _obituary(error) from None
            _check(answer, child.said())

    def _started(self) -> Child:
        if self._child is None or not self._child.running:
            self.close()
            self._child = Child(
                self._command, {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
            )
        return self._child

    def close(self) -> None:
        """Ends the child; the next conversion starts another one."""
        child, self._child = self._child, None
        if child is not None:
            child.end()


def _obituary(error: ChildEnded) -> ConversionError:
    if error.code < 0:
        with contextlib.suppress(ValueError):
            return ConversionError(
                f"The TFLite converter crashed ({signal.Signals(-error.code).name}). Nothing was "
                "written. Another lowering may convert.",
                error.said,
                "crashed",
            )
    words = f" Its last words: {error.said.splitlines()[-1]}" if error.said else ""
    return ConversionError(
        f"The TFLite converter ended with exit code {error.code}.{words}", error.said, "ended"
    )


def _request(saved_model: Path, output: Path) -> dict[str, Any]:
    return {"saved_model": str(saved_model), "output": str(output)}


def _check(reply: dict[str, Any], said: str = "") -> None:
    if "error" in reply:
        raise ConversionError(
            f"The TFLite converter refused the model: {reply['error']}",
            f"{reply.get('log', reply['error'])}\n{said}".strip(),
        )


CONVERTER = Converter()

_HERE: ContextVar[bool] = ContextVar("convert in this process", default=False)


@contextlib.contextmanager
def in_this_process() -> Iterator[None]:
    """Has `convert` do without the child until the block ends.

    That saves a start of TensorFlow, a few seconds. A crash of the converter is then one of this
    process, and nothing stops a conversion that hangs.
    """
    token = _HERE.set(True)
    try:
        yield
    finally:
        _HERE.reset(token)


def convert(saved_model: Path, output: Path, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Converts `saved_model` to `output`: see `Converter.convert` and `in_this_process`."""
    if _HERE.get():
        _check(_converter_process.answer(_request(saved_model, output)))
    else:
        CONVERTER.convert(saved_model, output, timeout)
