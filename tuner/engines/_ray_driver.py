"""The process in which the Ray engine uses Ray: a driver, as Ray calls it.

Apart from the search, because Ray prints on stdout, reads its environment once, and ends the
process that uses it when a cluster is lost. When that process is killed, some of Ray's own stay
for minutes; see `_reaper`, which runs this.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from keras_rnn_zoo import __version__
from keras_rnn_zoo.tuner.engines import _ray_task
from keras_rnn_zoo.tuner.trials.job import FAILED, Ended, Job, Outcome, Progress

RETRIES = 3
LOOPBACK = "127.0.0.1"

_POLL_SECONDS = 0.1


@dataclass
class _Attempt:
    """A task that is waiting for a processor, or running.

    Attributes:
        job: What it runs.
        parent: Reference to the checkpoint that it starts from, or None.
        lost: Why each attempt before this one came to nothing.
        started: When it began to run, by `time.monotonic`; None while it waits.
        latest: Number of the latest message of its task; see `_ray_task.Message`.
    """

    job: Job
    parent: Any
    lost: list[str] = field(default_factory=list)
    started: float | None = None
    latest: int = 0

    @property
    def key(self) -> _ray_task.Key:
        return (self.job.trial_id, len(self.lost))


class Driver:
    """Runs the jobs that come through a connection, and sends back how they end.

    Args:
        connection: To the search, which sends `("data", key, arrays)` and
            `("job", job, checkpoint of the parent or None)`, and is sent `Progress` and
            `(Ended, checkpoint or None)`.
        runner: See `RayEngine`.
        timeout: See `RayEngine`.
    """

    def __init__(self, connection: Connection, runner: str, timeout: float | None):
        self.connection = connection
        self.runner = runner
        self.timeout = timeout
        self.arrays: dict[str, Any] = {}
        self.attempts: dict[Any, _Attempt] = {}
        # The next trial gets a fresh process: TensorFlow gives no memory back. Ray's own retries
        # have no limit where memory runs out, and don't say why.
        self.task = ray.remote(num_cpus=1, max_calls=1, max_retries=0)(_ray_task.run)
        # On the machine of the search, so that it is lost with that only.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        mailbox = ray.remote(num_cpus=0)(_ray_task.Mailbox)
        self.mailbox = mailbox.options(scheduling_strategy=here).remote()
        self.messages: Any = self.mailbox.take.remote()

    def serve(self) -> None:
        """Runs jobs until the search closes its end, then ends those that run."""
        try:
            while True:
                self._read_requests()
                self._collect()
        except (EOFError, OSError):  # the search ended
            for reference in self.attempts:
                ray.cancel(reference, force=True)
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(self.mailbox)

    def _read_requests(self) -> None:
        while self.connection.poll():
            kind, *what = self.connection.recv()
            if kind == "data":
                key, arrays = what
                self.arrays[key] = ray.put(arrays)
            else:
                job, parent = what
                self.connection.send(Progress(job.trial_id, "waiting for a processor"))
                self._start(_Attempt(job, None if parent is None else ray.put(parent)))

    def _start(self, attempt: _Attempt) -> None:
        job = attempt.job
        reference = self.task.options(name=f"trial {job.trial_id}").remote(
            __version__,
            sys.path,
            self.runner,
            job.to_dict(),
            self.arrays[job.data],
            attempt.parent,
            self.mailbox,
            attempt.key,
        )
        self.attempts[reference] = attempt
        if self.messages is None:
            attempt.started = time.monotonic()

    def _collect(self) -> None:
        """Waits for a moment or until something happens; takes what there is."""
        references = [*self.attempts, *([] if self.messages is None else [self.messages])]
        if not references:
            self.connection.poll(None)
            return
        ray.wait(references, timeout=_POLL_SECONDS)
        ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
        if self.messages in ready:
            ready.remove(self.messages)
            self._read_mailbox()
        for reference in ready:
            self._finish(self.attempts.pop(reference), reference)
        for reference, attempt in list(self.attempts.items()):
            if self._is_late(attempt):
                del self.attempts[reference]
                ray.cancel(reference, force=True)
                self._fail(attempt, f"it took longer than {self.timeout:g} s")

    def _is_late(self, attempt: _Attempt) -> bool:
        if self.timeout is None or attempt.started is None:
            return False
        return time.monotonic() >= attempt.started + self.timeout

    def _read_mailbox(self) -> None:
        running = {attempt.key: attempt for attempt in self.attempts.values()}
        try:
            messages = ray.get(self.messages)
        except ray.exceptions.RayError:
            # Nothing says any more when a trial begins; what is submitted counts as begun.
            self.messages = None
            messages = [(key, 0, "") for key in running]
        else:
            self.messages = self.mailbox.take.remote()
        for key, number, text in messages:
            attempt = running.get(key)
            if attempt is None:  # it is over
                continue
            if attempt.started is None:
                attempt.started = time.monotonic()
            if number > attempt.latest:
                attempt.latest = number
                self.connection.send(Progress(attempt.job.trial_id, text))

    def _finish(self, attempt: _Attempt, reference: Any) -> None:
        try:
            outcome, checkpoint = ray.get(reference)
        except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:
            reason = _lines(error)[-1]
            self._fail(attempt, f"it cannot run on a machine of the cluster: {reason}")
        except ray.exceptions.RayError as error:
            attempt.lost.append(_lines(error)[0].partition(". Check ")[0].rstrip("."))
            if len(attempt.lost) > RETRIES:
                reasons = "; ".join(dict.fromkeys(attempt.lost))
                self._fail(attempt, f"it was lost {len(attempt.lost)} times: {reasons}")
                return
            attempt.started, attempt.latest = None, 0
            self.connection.send(Progress(attempt.job.trial_id, "lost, and started again"))
            self._start(attempt)
        else:
            ended = Ended(attempt.job.trial_id, Outcome(**outcome))
            self.connection.send((ended, checkpoint))

    def _fail(self, attempt: _Attempt, message: str) -> None:
        self.connection.send((Ended(attempt.job.trial_id, Outcome(FAILED, message)), None))


def _lines(error: BaseException) -> list[str]:
    lines = [line.strip() for line in str(error).splitlines()]
    return [line for line in lines if line] or [type(error).__name__]


def _init(address: str | None, workers: int, directory: str) -> None:
    """Connects to a cluster, or starts one that listens on loopback only."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is not None:
        ray.init(address=address, **quiet)
        return
    context = ray.init(
        num_cpus=workers,
        include_dashboard=False,
        _node_ip_address=LOOPBACK,
        _temp_dir=directory,
        **quiet,
    )
    found = str(context.address_info["node_ip_address"])
    if found != LOOPBACK:
        raise ConnectionError(f"it would listen on {found}, not only on {LOOPBACK}")


def main() -> None:
    """Serves the search at the other end of the connection whose descriptor is the argument."""
    connection = Connection(int(sys.argv[1]))
    settings = connection.recv()
    try:
        _init(settings["address"], settings["workers"], sys.argv[2])
        driver = Driver(connection, settings["runner"], settings["timeout"])
    except Exception as error:  # Ray raises many types
        connection.send(_lines(error)[0])
        raise
    connection.send(None)
    driver.serve()
    ray.shutdown()


if __name__ == "__main__":
    main()
