"""What stands in for a trial where only the engine is tested; the workers import it."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

from keras_rnn_zoo.tuner.trials.job import CHECKPOINT, Outcome


def run(job, arrays, directory, parent, report):
    """Does what `job.config` says; where it ran, and on what, is the outcome."""
    config = job.config
    mark = Path(config.get("marks", directory / "mark"))
    with mark.open("a") as stream:
        stream.write(f"{os.getpid()} {_node()}\n")
    first_time = len(mark.read_text().splitlines()) == 1
    for text in config.get("reports", ()):
        report(text)
    if config.get("hangs") == "always" or (config.get("hangs") == "first" and first_time):
        time.sleep(600)
    while "until" in config and not Path(config["until"]).exists():
        time.sleep(0.05)
    if config.get("hangs") == "in C":
        re.match(r"(a+)+$", "a" * 60 + "b")  # holds the interpreter's lock for years
    if config.get("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    if "raises" in config:
        raise ValueError(config["raises"])
    if "exits" in config:
        sys.exit(config["exits"])
    if "fails" in config:
        return Outcome("failed", config["fails"])
    if "writes" in config:
        before = parent.read_text() if parent else ""
        (directory / CHECKPOINT).write_text(before + config["writes"])
    metrics = {"sum": float(arrays["x_train"].sum()), "pid": float(os.getpid())}
    return Outcome("completed", metrics=metrics, history={"loss": [1.0, 0.5]})


def held(place, job, arrays, directory, parent, report):
    """Says who runs and waits for a file `go on`; the outcome is that of an instant trial."""
    import tiny

    with (place / "runs").open("a") as stream:
        stream.write(f"{os.getpid()} {_node()}\n")
    while not (place / "go on").exists():
        time.sleep(0.05)
    return tiny.Instant(1, {}, lambda _: directory).outcome(job)


def _node():
    import ray

    return ray.get_runtime_context().get_node_id()
