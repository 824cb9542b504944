"""What the Ray engine runs on the machines of a cluster."""

from __future__ import annotations

import asyncio
import itertools
import os
import pkgutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo import __version__, files
from keras_rnn_zoo.tuner.trials.job import CHECKPOINT, FAILED, Arrays, Job, Outcome

Key = tuple[str, int]
"""Id of a trial, and number of the attempt at it."""

Message = tuple[Key, int, str]
"""Progress of a task, numbered: Ray may deliver a later message first. The first one, 0, is empty:
the task has begun to run."""


class Mailbox:
    """Messages of all tasks about their progress, kept until they are read; an actor."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.changed = asyncio.Event()

    async def put(self, message: Message) -> None:
        """Takes a message of a task."""
        self.messages.append(message)
        self.changed.set()

    async def take(self) -> list[Message]:
        """Returns the messages since the last time, as soon as there is one."""
        await self.changed.wait()
        self.changed.clear()
        messages, self.messages = self.messages, []
        return messages


def run(
    version: str,
    paths: Sequence[str],
    runner: str,
    values: dict[str, Any],
    arrays: Arrays,
    parent: bytes | None,
    mailbox: Any,
    key: Key,
) -> tuple[dict[str, Any], bytes | None]:
    """Runs a job on this machine, whichever it is.

    Args:
        version: Of keras-rnn-zoo where the search is.
        paths: Where the search looks for modules; of use on a machine that has the same.
        runner: `"module:function"`; see `trial.run_job`.
        values: Of the job; see `Job.to_dict`.
        arrays: What it trains and validates on, read-only.
        parent: Checkpoint that it starts from, or None.
        mailbox: Actor; see `Mailbox`.
        key: What to call itself there.

    Returns:
        The outcome as a JSON object, and the checkpoint if there is one.
    """
    numbers = itertools.count()

    def report(text: str) -> None:
        mailbox.put.remote((key, next(numbers), text))

    report("")
    if version != __version__:
        message = (
            f"{socket.gethostname()} has keras-rnn-zoo {__version__}, the search has {version}: "
            "install the same on all machines"
        )
        return Outcome(FAILED, message).to_dict(), None
    sys.path.extend(path for path in paths if path not in sys.path)
    # A task is promised one processor; TensorFlow would take all there are, and so would the next.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    try:
        run_job = pkgutil.resolve_name(runner)
        with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
            directory, start = Path(scratch, "trial"), None
            directory.mkdir()
            if parent is not None:
                start = Path(scratch, "parent", CHECKPOINT)
                files.write_bytes(start, parent)
            outcome = run_job(Job.from_dict(values), arrays, directory, start, report)
            made = directory / CHECKPOINT
            return outcome.to_dict(), made.read_bytes() if made.exists() else None
    except (Exception, SystemExit) as error:
        # Not every exception survives the way to another process; Ray would take some for a loss.
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(FAILED, message).to_dict(), None
