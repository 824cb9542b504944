"""Processes of many machines: Ray.

The search stays where it is; a trial is a Ray task on whichever machine has a processor free. What
a task needs and makes travels as values, so the machines share no disk.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import Any

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import MissingExtraError, SearchError
from keras_rnn_zoo.tuner.engines import Engine, register_engine
from keras_rnn_zoo.tuner.trials.job import CHECKPOINT, Arrays, Ended, Job, Progress, TrialDirectory

_DIAL_SECONDS = 5.0
_START_SECONDS = 60.0


@register_engine
class RayEngine(Engine):
    """Runs every trial as a Ray task in a process of its own; see `Engine`.

    Without an address, a Ray of this machine is started, which listens on loopback only and ends
    with the engine, or with this process however that ends; if this process is connected to a Ray
    already, that one is used, and stays. So does a cluster with an address.

    A trial whose process or machine is lost is run again, up to three times, wherever there is
    room. The timeout counts from when a trial begins to run, not while it waits for a processor.

    Args:
        workers: See `Engine`; the processors of a Ray that is started here.
        data: See `Engine`; sent to each machine once.
        trial_directory: See `Engine`; on the machine of the search.
        timeout: See `Engine`.
        address: Of a Ray cluster: `"auto"`, `"host:6379"`, `"ray://host:10001"`.
        runner: `"module:function"` that runs a job; see `trial.run_job`.

    Raises:
        MissingExtraError: Ray is not installed.
        SearchError: Ray does not start, or none answers at the address.
    """

    name = "ray"
    description = "Ray tasks: on as many machines as a cluster has, or on this one."

    def __init__(
        self,
        workers: int,
        data: Mapping[str, Arrays],
        trial_directory: TrialDirectory,
        timeout: float | None = None,
        *,
        address: str | None = None,
        runner: str = "keras_rnn_zoo.tuner.trials.trial:run_job",
    ):
        super().__init__(workers, data, trial_directory, timeout)
        if address is None:
            address = _connected()
        self.check(address=address)
        self._sent: set[str] = set()
        self._cleanup = contextlib.ExitStack()
        try:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
            self._cleanup.enter_context(self._log)
            self._connection = self._start(address)
            self._connection.send(
                {"address": address, "workers": workers, "timeout": timeout, "runner": runner}
            )
            if not self._connection.poll(_START_SECONDS):
                raise SearchError(f"{_name_of(address)} does not answer.")
            failure = self._receive()
            if failure is not None:
                raise SearchError(f"Cannot use {_name_of(address)}: {failure}")
        except BaseException:
            self.close()
            raise

    @classmethod
    def check(cls, **options: Any) -> None:
        """Refuses to begin without Ray, or with an address where none is; see `Engine.check`."""
        if not _installed():
            raise MissingExtraError("Ray", "ray", "A search on many machines")
        if options.get("address") is not None:
            _check_answers(options["address"])

    def _start(self, address: str | None) -> Connection:
        """Starts the driver, and returns the way to talk to it."""
        ours, its = Pipe()
        with its:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "keras_rnn_zoo.tuner.engines._reaper"),
                    *(sys.executable, "-m", "keras_rnn_zoo.tuner.engines._ray_driver"),
                    str(its.fileno()),
                ],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[its.fileno()],
                env=_environment(address),
                # Ctrl-C is for this process, which ends that one.
                start_new_session=True,
            )
        self._cleanup.callback(process.wait)
        assert process.stdin is not None
        self._cleanup.callback(process.stdin.close)
        return self._cleanup.enter_context(ours)

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, ConnectionError) as error:
            self._log.seek(0)
            printed = self._log.read().decode("utf-8", "replace").strip().splitlines()
            raise SearchError(
                f"Ray ended unexpectedly; its last words: {printed[-1] if printed else 'none'}"
            ) from error

    def submit(self, job: Job) -> None:
        """Starts a job; see `Engine.submit`."""
        parent = None
        if job.parent is not None:
            parent = (self.trial_directory(job.parent) / CHECKPOINT).read_bytes()
        if job.data not in self._sent:
            self._sent.add(job.data)
            self._connection.send(("data", job.data, dict(self.data[job.data])))
        self._connection.send(("job", job, parent))

    def wait(self, seconds: float) -> Sequence[Ended | Progress]:
        """Returns what happened; see `Engine.wait`."""
        events: list[Ended | Progress] = []
        deadline = time.monotonic() + seconds
        while self._connection.poll(0 if events else max(0.0, deadline - time.monotonic())):
            event = self._receive()
            if not isinstance(event, Progress):
                event, checkpoint = event
                if checkpoint is not None:
                    files.write_bytes(self.trial_directory(event.trial_id) / CHECKPOINT, checkpoint)
            events.append(event)
        return events

    def close(self) -> None:
        """Ends everything; see `Engine.close`."""
        self._cleanup.close()


def _installed() -> bool:
    try:
        return importlib.util.find_spec("ray") is not None
    except ValueError:  # something that is no module has the name
        return False


def _connected() -> str | None:
    """Returns the address of the Ray that this process uses already, or None."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    return str(ray.get_runtime_context().gcs_address)


def _environment(address: str | None) -> dict[str, str]:
    values = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    if address is None:
        # Another one that the environment names is not asked for.
        values.pop("RAY_ADDRESS", None)
        # Not about those systems: without it, Ray replaces a loopback address by one that other
        # machines see, and listens to all of them.
        values["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        if "RAY_AUTH_MODE" not in values:
            # A Ray runs what it is told, and every user of a machine can reach its loopback.
            values |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return values


def _name_of(address: str | None) -> str:
    return "the Ray of this machine" if address is None else f"the Ray cluster at {address}"


def _check_answers(address: str) -> None:
    """Refuses an address where nothing listens, which Ray would try for many minutes.

    Raises:
        SearchError: It is not an address, or nothing listens there.
    """
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise SearchError(
            f"{address!r} is no address of a Ray cluster. Allowed: 'auto' on a machine of the "
            "cluster, 'host:6379', 'ray://host:10001'."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _DIAL_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise SearchError(
            f"No Ray cluster answers at {address}: {error}. Start one there with: "
            "ray start --head --port=6379"
        ) from error
