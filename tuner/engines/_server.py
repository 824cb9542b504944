"""The process that trials are forked from: it has imported TensorFlow, and done nothing with it.

Importing TensorFlow takes seconds, a fork takes none, and a fork of a process in which TensorFlow
never ran is as good as a new one. A JSON request a line on stdin, a JSON answer a line on stdout:

```
{"run": job, "token": text, "data": dir, "directory": dir, "parent": file or null,
 "outcome": file, "log": file, "threads": 1, "path": sys.path, "environment": os.environ}
{"kill": token}
{"remove": dir}: when this process ends
-> {"ready": true}, {"token": text, "progress": text}, {"token": text, "code": exit status}
```

It ends when stdin does, and takes its children with it, however the search ended.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from keras_rnn_zoo.child import claim_stdout

# A line up to this long arrives whole, even if several processes write at once (POSIX: 512).
MAX_LINE = 512


def send(stream: int, value: dict[str, Any]) -> None:
    """Writes an answer in one piece."""
    line = json.dumps(value) + "\n"
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(stream, line.encode())


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent dies, where the kernel can."""
    with contextlib.suppress(Exception):
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGKILL))


def run(request: dict[str, Any], answers: int) -> None:
    """Runs a job in this process, a child, and leaves the outcome as a file."""
    sys.path[:] = request["path"]
    os.environ.update(request["environment"])

    import numpy as np
    import tensorflow as tf

    from keras_rnn_zoo.files import write_json
    from keras_rnn_zoo.tuner.trials.job import Job
    from keras_rnn_zoo.tuner.trials.trial import run_job

    # Several trials, each with as many threads as there are processors, keep each other waiting.
    tf.config.threading.set_intra_op_parallelism_threads(request["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(request["threads"])
    job = Job.from_dict(request["run"])
    arrays = {
        path.stem: np.load(path, mmap_mode="r", allow_pickle=False)
        for path in Path(request["data"]).glob("*.npy")
    }

    def report(text: str) -> None:
        send(answers, {"token": request["token"], "progress": text[: MAX_LINE // 4]})

    parent = Path(request["parent"]) if request["parent"] else None
    outcome = run_job(job, arrays, Path(request["directory"]), parent, report)
    write_json(request["outcome"], outcome.to_dict())


class Server:
    """Forks a child for each request, and says how it ended."""

    def __init__(self) -> None:
        self.scratch: list[str] = []
        self.children: dict[int, str] = {}
        self.answers = claim_stdout()

    def serve(self) -> None:
        """Answers until stdin ends."""
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        selector = selectors.DefaultSelector()
        selector.register(0, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        send(self.answers, {"ready": True})
        pending = b""
        try:
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if woken in ready:
                    with contextlib.suppress(BlockingIOError):
                        woken.recv(4096)
                    self._reap()
                if 0 in ready:
                    content = os.read(0, 1 << 16)
                    if not content:
                        return
                    *lines, pending = (pending + content).split(b"\n")
                    for line in lines:
                        self._answer(json.loads(line))
        finally:
            self._end()

    def _answer(self, request: dict[str, Any]) -> None:
        if "remove" in request:
            self.scratch.append(request["remove"])
            return
        if "kill" in request:
            for pid, token in self.children.items():
                if token == request["kill"]:
                    _kill(pid)
            return
        server, pid = os.getpid(), os.fork()
        if pid:
            self.children[pid] = request["token"]
            return
        code = 1
        try:
            os.setpgid(0, 0)
            die_with_parent()
            if os.getppid() != server:
                os._exit(1)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with contextlib.suppress(OSError):
                log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
                os.dup2(log, 1)
                os.dup2(log, 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            run(request, self.answers)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if pid in self.children:
                code = os.waitstatus_to_exitcode(status)
                send(self.answers, {"token": self.children.pop(pid), "code": code})

    def _end(self) -> None:
        for pid in self.children:
            _kill(pid)
        for directory in self.scratch:
            shutil.rmtree(directory, ignore_errors=True)


def _kill(pid: int) -> None:
    # The child's own children, too; in its first moment it has no group of its own yet.
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)


def main() -> None:
    """Imports what trials need, then serves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which ends this
    server = Server()

    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import keras_rnn_zoo.export.formats.measure
    import keras_rnn_zoo.export.formats.tflite
    import keras_rnn_zoo.tuner.trials.trial  # noqa: F401
    from keras_rnn_zoo.builder import MODELS

    MODELS.names()
    gc.collect()
    gc.freeze()  # children need not look through all this at each collection
    server.serve()


if __name__ == "__main__":
    main()
