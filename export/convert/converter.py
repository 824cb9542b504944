"""From a SavedModel to a .tflite file, in a process that may die.

TensorFlow's converter is C++ that can crash, and takes the Python process with it. It runs in a
child process that stays for the next conversion (importing TensorFlow takes seconds); when it
crashes, hangs or fails, the parent says so and starts another one the next time. What is a process
of its own already, and may die, converts `in_this_process`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from keras_rnn_zoo.errors import ConversionError
from keras_rnn_zoo.export.convert import _converter_process

DEFAULT_TIMEOUT = 900.0


class Converter:
    """A child process that converts one SavedModel after the other.

    Args:
        command: What to start instead of the converter; for tests of its death.
    """

    def __init__(self, command: list[str] | None = None):
        self._command = command or [
            sys.executable,
            "-m",
            "keras_rnn_zoo.export.convert._converter_process",
        ]
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None
        self._lines: queue.Queue[str] = queue.Queue()
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
        request = _request(saved_model, output)
        with self._lock:
            process = self._start()
            assert process.stdin is not None and self._log is not None
            self._log.seek(0)
            self._log.truncate()
            try:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                answer = self._lines.get(timeout=timeout)
            except queue.Empty:
                log = self._said()
                self._stop()
                raise ConversionError(
                    f"The TFLite converter was stopped after {timeout:.0f} s. Fewer timesteps, or "
                    "lowering='loop' instead of 'unrolled', converts faster.",
                    log,
                    "hung",
                ) from None
            except BrokenPipeError:
                answer = ""
            except BaseException:  # Ctrl-C: the child's answer would meet the next question
                self._stop()
                raise
            if not answer:
                raise self._obituary(process)
            _check(json.loads(answer), self._said)

    def _start(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by _stop)
        self._lines = queue.Queue()
        environment = os.environ | {
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "-1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
            # Ctrl-C is for the parent, which ends the child.
            start_new_session=True,
        )
        threading.Thread(
            target=_forward, args=(self._process.stdout, self._lines), daemon=True
        ).start()
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def close(self) -> None:
        """Ends the child; the next conversion starts another one."""
        with self._lock:
            self._stop()

    def _said(self) -> str:
        """Returns what the child wrote to stderr since it was asked."""
        assert self._log is not None
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace").strip()

    def _obituary(self, process: subprocess.Popen[str]) -> ConversionError:
        code = process.wait()
        log = self._said()
        self._stop()
        if code < 0:
            with contextlib.suppress(ValueError):
                return ConversionError(
                    f"The TFLite converter crashed ({signal.Signals(-code).name}). Nothing was "
                    "written. Another lowering may convert.",
                    log,
                    "crashed",
                )
        words = f" Its last words: {log.splitlines()[-1]}" if log else ""
        return ConversionError(
            f"The TFLite converter ended with exit code {code}.{words}", log, "ended"
        )


def _forward(stream: IO[str], lines: queue.Queue[str]) -> None:
    """Passes the child's answers on; an empty line says that it is gone."""
    with contextlib.suppress(ValueError):  # closed by _stop
        for line in stream:
            lines.put(line)
    lines.put("")


def _request(saved_model: Path, output: Path) -> dict[str, Any]:
    return {"saved_model": str(saved_model), "output": str(output)}


def _check(reply: dict[str, Any], said: Callable[[], str] = str) -> None:
    if "error" in reply:
        raise ConversionError(
            f"The TFLite converter refused the model: {reply['error']}",
            f"{reply.get('log', reply['error'])}\n{said()}".strip(),
        )


CONVERTER = Converter()
atexit.register(CONVERTER.close)

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
