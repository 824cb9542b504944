"""Searches, killed at random moments and begun again: `killing.py DIR KILLS ENGINE TUNER...`.

The process imports everything once and never runs TensorFlow, so that a search is one fork away,
and so is what its trials are forked from: 50 kills do not take 50 imports. Prints a report for each
tuner as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import keras_tuner  # noqa: F401
import sklearn.gaussian_process  # noqa: F401
import tensorboard.plugins.hparams.api  # noqa: F401
import tiny

import keras_rnn_zoo.export.formats.measure
import keras_rnn_zoo.tuner.trials.trial  # noqa: F401
from keras_rnn_zoo.tuner import DeviceBudget
from keras_rnn_zoo.tuner.engines import ENGINES, _server, local
from keras_rnn_zoo.tuner.study import study

TRIALS = {"short": 9, "local": 5}


class Short(tiny.Instant):
    """Trials that take a moment, so that a kill can meet one."""

    def wait(self, seconds):
        time.sleep(0.004)
        return super().wait(seconds)


class ForkedServer(local.Server):
    """What trials are forked from, itself a fork of this process instead of a new one."""

    def __init__(self):
        self.ready, self._pending = False, b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        (its_in, our_out), (our_in, its_out) = os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            os.setsid()
            for its, of in ((its_in, 0), (its_out, 1), (self._stderr.fileno(), 2)):
                os.dup2(its, of)
            os.closerange(3, 256)
            _server.main()
            os._exit(0)
        for its in (its_in, its_out):
            os.close(its)
        self._process = Forked(pid, os.fdopen(our_out, "wb"), os.fdopen(our_in, "rb"))


class Forked:
    """As much of `subprocess.Popen` as the engine uses."""

    def __init__(self, pid, stdin, stdout):
        self.pid, self.stdin, self.stdout = pid, stdin, stdout

    def wait(self, timeout=None):
        os.waitpid(self.pid, 0)


def search(directory, tuner, engine):
    """Runs a search in a fork; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code, limits = 1, DeviceBudget()
    try:
        log = os.open(directory.parent / "log.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 2)
        if engine == "local":
            # Now, as the search will use TensorFlow, which forks do not survive.
            local.LocalEngine._kept = ForkedServer()
        if engine == "short":
            # There is nothing to restore.
            study.save_trial = lambda *_: SimpleNamespace(info={}, metrics={})
            tiny.shorten_pages(setattr)
            limits = DeviceBudget(max_size=2500)
        tiny.run_search(
            output=directory, tuner=tuner, max_trials=TRIALS[engine], engine=engine, budget=limits
        )
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def ended(directory):
    """Returns the state of the trials that have ended, as it is on disk."""
    path = directory / "tuner" / "oracle.json"
    if not path.is_file():
        return {}
    state = json.loads(path.read_text())
    for name, trial in state["trials"].items():
        if state["records"].get(name, {}).get("excess"):
            # A penalty: it stays worse than all scores, whatever these turn out to be.
            trial["score"] = trial["metrics"] = None
    return {
        name: (trial, state["records"][name])
        for name, trial in state["trials"].items()
        if trial["status"] != "RUNNING"
    }


def kill(place, kills, engine, tuner):
    """Kills searches of a tuner so often; returns what came of it."""
    place.mkdir()
    for name in ("first", "undisturbed"):  # the first reads files from the disk
        started = time.monotonic()
        _, status = os.waitpid(search(place / name, tuner, engine), 0)
        assert status == 0, (place / "log.txt").read_text()
        span = time.monotonic() - started
    expected = tiny.comparable(place / "undisturbed")
    draw = random.Random(tuner)
    done, finished, lost, different, partial = 0, 0, 0, 0, 0
    while done < kills:
        directory = place / f"killed{finished}"
        longest = span * 0.7
        while True:
            before = ended(directory)
            pid = search(directory, tuner, engine)
            if done < kills:
                time.sleep(draw.uniform(0, longest))
            over, status = os.waitpid(pid, os.WNOHANG if done < kills else 0)
            if not over:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                done += 1
            for file in directory.rglob("*.json"):
                json.loads(file.read_text())  # whole, or this raises
            after = ended(directory)
            if len(after) == len(before):
                longest *= 1.05  # on a busy machine, no trial might ever end
            lost += sum(after.get(name) != value for name, value in before.items())
            partial += bool(before) and not over
            if over:  # by itself
                assert status == 0, (place / "log.txt").read_text()
                break
        different += tiny.comparable(directory) != expected
        finished += 1
    infeasible = sum(trial["status"] == "infeasible" for trial in expected)
    report = {
        "kills": done,
        "infeasible": infeasible,
        "searches": finished,
        "lost": lost,
        "different": different,
    }
    return {**report, "after_some_trials": partial, "trials": len(expected)}


if __name__ == "__main__":
    ENGINES.register("short", Short)
    directory, count, kind, *names = sys.argv[1:]
    reports = {name: kill(Path(directory) / name, int(count), kind, name) for name in names}
    print(json.dumps(reports))
