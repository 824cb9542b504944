"""Trials in processes of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import SearchError
from keras_rnn_zoo.tuner.engines import ENGINES, Engine
from keras_rnn_zoo.tuner.jobs import (
    CHECKPOINT,
    FAILED,
    Arrays,
    Ended,
    Job,
    Outcome,
    Place,
    Progress,
)

LOG = "log.txt"
"""What a trial's libraries said, in its directory."""

# How often a job is run whose process was lost with the server, not by its own doing.
ATTEMPTS = 2


class LocalEngine(Engine):
    """Forks each trial from a process that has TensorFlow imported; see `_server`.

    The data are written once, and every trial maps them into its memory.
    """

    name = "local"
    description = "Processes of this machine."

    def __init__(
        self,
        workers: int,
        data: Mapping[str, Arrays],
        place: Place,
        timeout: float | None = None,
        **options: Any,
    ):
        super().__init__(workers, data, place, timeout, **options)
        self._scratch = tempfile.mkdtemp(prefix="keras-rnn-zoo-search-")
        for number, arrays in enumerate(data.values()):
            directory = Path(self._scratch) / f"data{number}"
            directory.mkdir()
            for name, values in arrays.items():
                np.save(directory / f"{name}.npy", values, allow_pickle=False)
        self._keys = {key: f"data{number}" for number, key in enumerate(data)}
        self._running: dict[str, Job] = {}
        self._deadlines: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._overdue: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._ready = False
        self._start()

    def _start(self) -> None:
        environment = os.environ | {
            "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
            "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "-1"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        self._pending, self._ready = b"", False
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "keras_rnn_zoo.tuner._server", self._scratch],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment,
                # Ctrl-C is for the search, which ends the server.
                start_new_session=True,
            )

    @property
    def _said(self) -> Path:
        return Path(self._scratch) / "server.txt"

    def submit(self, job: Job) -> None:
        """Starts a job; see `Engine.submit`."""
        self._running[job.trial_id] = job
        self._attempts.setdefault(job.trial_id, 0)
        self._attempts[job.trial_id] += 1
        if self.timeout is not None:
            self._deadlines[job.trial_id] = time.monotonic() + self.timeout
        directory = self.place(job.trial_id)
        parent = self.place(job.parent) / CHECKPOINT if job.parent else None
        self._outcome(job.trial_id).unlink(missing_ok=True)
        self._ask(
            {
                "run": job.to_dict(),
                "data": str(Path(self._scratch) / self._keys[job.data]),
                "directory": str(directory),
                "parent": str(parent) if parent else None,
                "outcome": str(self._outcome(job.trial_id)),
                "log": str(directory / LOG),
            }
        )

    def _outcome(self, trial_id: str) -> Path:
        return Path(self._scratch) / f"{trial_id}.json"

    def _ask(self, request: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `wait` sees that the server is gone
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def wait(self, seconds: float) -> Sequence[Ended | Progress]:
        """Returns what happened; see `Engine.wait`."""
        end = time.monotonic() + seconds
        while True:
            self._kill_overdue()
            until = min([end, *self._deadlines.values()])
            lines = self._lines(max(0.0, until - time.monotonic()))
            found = [event for line in lines if (event := self._event(json.loads(line)))]
            if found or time.monotonic() >= end:
                return found

    def _lines(self, seconds: float) -> list[bytes]:
        """Returns the answers that have come, waiting for the first at most so long."""
        assert self._process is not None and self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return []
        content = os.read(self._process.stdout.fileno(), 1 << 16)
        if not content:
            return self._revive()
        *lines, self._pending = (self._pending + content).split(b"\n")
        return lines

    def _revive(self) -> list[bytes]:
        """Starts the server again, and with it the jobs that it took along.

        Raises:
            SearchError: It did not even start.
        """
        assert self._process is not None
        code = self._process.wait()
        if not self._ready:
            said = self._said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise SearchError(
                f"The process that runs the trials does not start (exit code {code}): "
                f"{said[-1] if said else 'it said nothing'}"
            )
        self._stop()
        lost, self._running = self._running, {}
        answers: deque[bytes] = deque()
        if any(self._attempts[name] < ATTEMPTS for name in lost):
            self._start()
        for name, job in lost.items():
            if self._attempts[name] < ATTEMPTS:
                self.submit(job)
            else:
                self._running[name] = job
                answers.append(json.dumps({"trial": name, "code": code}).encode())
        if self._process is None:
            self._start()  # for the next trials
        return list(answers)

    def _event(self, answer: dict[str, Any]) -> Ended | Progress | None:
        self._ready = self._ready or "ready" in answer
        name = answer.get("trial")
        if name not in self._running:
            return None
        if "progress" in answer:
            return Progress(name, answer["progress"])
        del self._running[name]
        self._deadlines.pop(name, None)
        overdue = name in self._overdue
        self._overdue.discard(name)
        try:
            content = self._outcome(name).read_text(encoding="utf-8")
            outcome = Outcome(**json.loads(content))
        except (OSError, ValueError):
            took = f"took longer than {self.timeout:g} s, and was stopped" if overdue else None
            outcome = Outcome(FAILED, took or self._obituary(name, answer["code"]))
        log = self.place(name) / LOG
        if outcome.status != FAILED:
            log.unlink(missing_ok=True)
        return Ended(name, outcome)

    def _obituary(self, trial_id: str, code: int) -> str:
        """Returns why a process ended without an outcome, in one line."""
        if code < 0:
            try:
                cause = signal.Signals(-code).name
            except ValueError:
                cause = f"signal {-code}"
            text = f"its process was killed by {cause}"
            if -code == signal.SIGKILL:
                text += ", as happens when memory runs out"
        else:
            text = f"its process ended with exit code {code}"
        log = self.place(trial_id) / LOG
        return f"{text}; {log} has what it said" if log.is_file() and log.stat().st_size else text

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for name, deadline in list(self._deadlines.items()):
            if deadline <= now:
                del self._deadlines[name]
                self._overdue.add(name)
                self._ask({"kill": name})

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            try:
                process.wait(5.0)  # it ends its children and tidies up
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        """Ends everything; see `Engine.close`."""
        self._running.clear()
        self._stop()
        shutil.rmtree(self._scratch, ignore_errors=True)


ENGINES.register(LocalEngine.name, LocalEngine)
