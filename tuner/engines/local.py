"""Trials in processes of this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.child import Child, ChildEnded
from keras_rnn_zoo.errors import SearchError
from keras_rnn_zoo.tuner.engines import Engine, register_engine
from keras_rnn_zoo.tuner.trials.job import (
    CHECKPOINT,
    FAILED,
    Arrays,
    Ended,
    Job,
    Outcome,
    Progress,
    TrialDirectory,
)

LOG = "log.txt"
"""What a trial's libraries printed, in its directory."""

# How often a job is run whose process was lost with the server, not by its own doing.
ATTEMPTS = 2


class Server:
    """The process that trials are forked from; see `_server`."""

    def __init__(self) -> None:
        self.ready = False
        self._child = Child(
            ["-m", "keras_rnn_zoo.tuner.engines._server"],
            {
                "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
                "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "-1"),
            },
            grace=5.0,  # it ends its children
        )
        self.send, self.close = self._child.send, self._child.end

    def answers(self, seconds: float) -> list[dict[str, Any]]:
        """Returns what has come, waiting so long for the first.

        Raises:
            ChildEnded: The server is gone.
        """
        found = self._child.answers(seconds)
        self.ready = self.ready or any("ready" in answer for answer in found)
        return found


@register_engine
class LocalEngine(Engine):
    """Forks each trial from a process that has TensorFlow imported.

    The data are written once, and every trial maps them into its memory. Trials see no GPU, unless
    the environment names one in `CUDA_VISIBLE_DEVICES`.
    """

    name = "local"
    description = "Processes of this machine."

    # True keeps the server for the next search of this process, which then starts at once.
    stays = False
    _kept: Server | None = None

    def __init__(
        self,
        workers: int,
        data: Mapping[str, Arrays],
        trial_directory: TrialDirectory,
        timeout: float | None = None,
    ):
        super().__init__(workers, data, trial_directory, timeout)
        self._running: dict[str, Job] = {}
        # Of each submission: a server that stays may still report one of another search.
        self._tokens: dict[str, str] = {}
        self._deadlines: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._overdue: set[str] = set()
        self._server: Any = self._kept or Server()
        LocalEngine._kept = None
        self._scratch = Path(tempfile.mkdtemp(prefix="keras-rnn-zoo-search-"))
        self._server.send({"remove": str(self._scratch)})
        self._written: dict[str, Path] = {}

    def _data(self, key: str) -> Path:
        """Returns where arrays are, written when the first trial needs them."""
        if key not in self._written:
            directory = self._scratch / f"data{len(self._written)}"
            directory.mkdir()
            for name, values in self.data[key].items():
                np.save(directory / f"{name}.npy", values, allow_pickle=False)
            self._written[key] = directory
        return self._written[key]

    def submit(self, job: Job) -> None:
        """Starts a job; see `Engine.submit`."""
        self._running[job.trial_id] = job
        self._attempts[job.trial_id] = self._attempts.get(job.trial_id, 0) + 1
        if self.timeout is not None:
            self._deadlines[job.trial_id] = time.monotonic() + self.timeout
        directory = self.trial_directory(job.trial_id)
        parent = self.trial_directory(job.parent) / CHECKPOINT if job.parent else None
        self._outcome(job.trial_id).unlink(missing_ok=True)
        self._server.send(
            {
                "run": job.to_dict(),
                "token": self._token(job.trial_id),
                "data": str(self._data(job.data)),
                "directory": str(directory),
                "parent": str(parent) if parent else None,
                "outcome": str(self._outcome(job.trial_id)),
                "log": str(directory / LOG),
                "threads": max(1, (os.cpu_count() or 1) // self.workers),
                "path": sys.path,
                "environment": dict(os.environ),
            }
        )

    def _token(self, trial_id: str) -> str:
        token = f"{self._scratch.name} {trial_id} {self._attempts[trial_id]}"
        self._tokens[token] = trial_id
        return token

    def _kill(self, trial_id: str) -> None:
        for token, name in self._tokens.items():
            if name == trial_id:
                self._server.send({"kill": token})

    def _outcome(self, trial_id: str) -> Path:
        return self._scratch / f"{trial_id}.json"

    def wait(self, seconds: float) -> Sequence[Ended | Progress]:
        """Returns what happened; see `Engine.wait`.

        Raises:
            SearchError: The process that runs the trials does not even start.
        """
        end = time.monotonic() + seconds
        while True:
            self._kill_overdue()
            until = min([end, *self._deadlines.values()])
            try:
                answers = self._server.answers(max(0.0, until - time.monotonic()))
            except ChildEnded as error:
                answers = self._revive(error.said)
            found = [event for answer in answers if (event := self._event(answer)) is not None]
            if found or time.monotonic() >= end:
                return found

    def _revive(self, said: str) -> list[dict[str, Any]]:
        """Starts the server again, and with it the jobs that it took along."""
        self._server.close()
        if not self._server.ready:
            self._server = None
            last_words = said.splitlines()[-1] if said else "it said nothing"
            raise SearchError(f"The process that runs the trials does not start: {last_words}")
        self._server = Server()
        self._server.send({"remove": str(self._scratch)})
        lost, self._running = self._running, {}
        self._tokens.clear()
        answers = []
        for name, job in lost.items():
            if self._attempts[name] < ATTEMPTS:
                self.submit(job)
            else:
                self._running[name] = job
                answers.append({"token": self._token(name), "code": -signal.SIGKILL})
        return answers

    def _event(self, answer: dict[str, Any]) -> Ended | Progress | None:
        token = answer.get("token", "")
        if token not in self._tokens:
            return None
        if "progress" in answer:
            return Progress(self._tokens[token], answer["progress"])
        name = self._tokens.pop(token)
        del self._running[name]
        self._deadlines.pop(name, None)
        overdue = name in self._overdue
        self._overdue.discard(name)
        try:
            content = self._outcome(name).read_text(encoding="utf-8")
            outcome = Outcome(**json.loads(content))
        except (OSError, ValueError):
            took = f"took longer than {self.timeout:g} s, and was stopped" if overdue else None
            outcome = Outcome(FAILED, took or self._why_it_ended(name, answer["code"]))
        if outcome.status != FAILED:
            (self.trial_directory(name) / LOG).unlink(missing_ok=True)
        return Ended(name, outcome)

    def _why_it_ended(self, trial_id: str, code: int) -> str:
        """Returns why a process ended without an outcome, in one line."""
        if code < 0:
            text = f"its process was killed by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                text += ", as happens when memory runs out"
        else:
            text = f"its process ended with exit code {code}"
        log = self.trial_directory(trial_id) / LOG
        return f"{text}; {log} has what it said" if log.is_file() and log.stat().st_size else text

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for name, deadline in list(self._deadlines.items()):
            if deadline <= now:
                del self._deadlines[name]
                self._overdue.add(name)
                self._kill(name)

    def close(self) -> None:
        """Ends everything; see `Engine.close`."""
        for name in self._running if self._server is not None else ():
            self._kill(name)
        server, self._server = self._server, None
        if server is not None:
            if self.stays and server.ready:
                LocalEngine._kept = server
            else:
                server.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
