"""Runs a command and ends all that came of it, however the command or who asked for it ended.

Used as `python -m keras_rnn_zoo.tuner.engines._reaper COMMAND...`, with one more argument put
behind the command: a directory for what it leaves on disk, which goes too. The command ends by
itself, or soon after the standard input closes, which it does when its writer is gone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing.connection import wait
from pathlib import Path

FAREWELL_SECONDS = 5.0
"""How long the command may take to end by itself once the standard input is closed."""

_PR_SET_CHILD_SUBREAPER = 36

# Room for a unix socket below the directory: their paths are short by law.
_LONGEST_PLACE = 30


def _children() -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name) state parent: the name may hold anything.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
        if parent == os.getpid():
            found.append(int(stat.parent.name))
    return found


def end_children() -> None:
    """Kills all children; what they leave behind becomes ours, and follows."""
    while True:
        for child in _children():
            os.kill(child, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def main() -> None:
    """Runs the command of the command line."""
    # An orphan goes to the nearest of its ancestors that asks for orphans.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    place = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(
        prefix="krz-",
        dir=place if len(place) <= _LONGEST_PLACE else "/tmp",
        ignore_cleanup_errors=True,
    ) as directory:
        # The descriptors that were passed on to this process are meant for the command.
        command = subprocess.Popen(
            [*sys.argv[1:], directory], stdin=subprocess.DEVNULL, close_fds=False
        )
        ended = os.pidfd_open(command.pid)
        if ended not in wait([0, ended]):
            wait([ended], FAREWELL_SECONDS)
        end_children()


if __name__ == "__main__":
    main()
