"""A process that answers requests, and may die or hang: both ends of the pipe.

What is C++ and may crash runs in one: the converter, interpreters of files of unknown origin, and
the trials of a search. A request is a JSON object, a line on the child's stdin; an answer is one on
its stdout. What its libraries print goes to stderr, and is kept for messages.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

# How long a process may live that has closed its stdout.
_SECONDS_TO_END = 5.0


class ChildEnded(Exception):
    """A child ended instead of answering, or answered what is no JSON.

    Attributes:
        code: Its exit code; of a signal, the negative number.
        said: What it wrote to stderr since it was asked.
    """

    def __init__(self, code: int, said: str):
        super().__init__(f"exit code {code}")
        self.code = code
        self.said = said


class ChildHangs(Exception):
    """A child did not answer in time, and was killed.

    Attributes:
        said: What it wrote to stderr since it was asked.
    """

    def __init__(self, said: str):
        super().__init__("no answer")
        self.said = said


class Child:
    """A process that answers requests.

    It ends with this object, and with this process; a fork of this process leaves it alone. Ctrl-C
    does not reach it.

    Args:
        command: What to start: arguments of the Python interpreter that runs this.
        environment: Variables that it has beside those of this process.
        grace: Seconds in which it may end by itself when its stdin does; then it is killed.
        python: Another interpreter, whose packages are its own.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        grace: float = 0.0,
        python: str | None = None,
    ):
        self._pending = b""
        self._said: IO[bytes] = tempfile.TemporaryFile(prefix="keras-rnn-zoo-")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [python or sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=os.environ
            | {"PYTHONPATH": "" if python else os.pathsep.join(filter(None, sys.path))}
            | dict(environment or {}),
            start_new_session=True,
        )
        self.end = weakref.finalize(self, _end, self._process, self._said, grace, os.getpid())
        """Ends the process; once is enough."""

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it can be asked."""
        return self.end.alive and self._process.poll() is None

    def send(self, request: Mapping[str, Any]) -> None:
        """Sends a request; that the process is gone shows when it is to answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def answers(self, seconds: float) -> list[Any]:
        """Returns what has come, waiting so long for the first.

        Raises:
            ChildEnded: The process is gone.
        """
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return []
        content = os.read(self._process.stdout.fileno(), 1 << 16)
        *lines, self._pending = (self._pending + content).split(b"\n")
        try:
            if content:
                return [json.loads(line) for line in lines]
        except ValueError:  # from a process whose memory is spoilt
            self._process.kill()
        raise self._ended()

    def ask(self, request: Mapping[str, Any], seconds: float) -> Any:
        """Sends a request and returns the answer to it.

        Raises:
            ChildEnded: The process is gone.
            ChildHangs: There is no answer after so many seconds; it was killed.
        """
        self._said.seek(0)
        self._said.truncate()
        end = time.monotonic() + seconds
        try:
            self.send(request)
            while True:
                left = end - time.monotonic()
                if found := self.answers(max(0.0, left)):
                    return found[0]
                if left <= 0:
                    raise ChildHangs(self.said())
        except BaseException:  # Ctrl-C: an answer that comes later is not for the next request
            self.end()
            raise

    def said(self) -> str:
        """Returns what it wrote to stderr since it was asked."""
        self._said.seek(0)
        return self._said.read().decode("utf-8", "replace").strip()

    def _ended(self) -> ChildEnded:
        try:
            code = self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return ChildEnded(code, self.said())


def _end(process: subprocess.Popen[bytes], said: IO[bytes], grace: float, owner: int) -> None:
    if os.getpid() != owner:
        return
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what was not sent yet cannot be, any more
            if stream is not None:
                stream.close()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    said.close()


def claim_stdout() -> int:
    """Returns a stream for answers; what this process prints goes to stderr from now on."""
    stream = os.dup(1)
    os.dup2(2, 1)
    return stream


def serve(stream: int, answer: Callable[[Any], Any]) -> None:
    """Answers requests until there are no more.

    Args:
        stream: Of `claim_stdout`.
        answer: Returns the answer to a request; NumPy numbers are written as numbers.
    """
    with os.fdopen(stream, "w", encoding="utf-8") as answers:
        for line in sys.stdin:
            text = json.dumps(answer(json.loads(line)), default=lambda value: value.item())
            print(text, file=answers, flush=True)
