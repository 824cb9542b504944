"""Trials in processes of their own: what happens to one costs that one only."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny

from keras_rnn_zoo.errors import ConfigError, SearchError
from keras_rnn_zoo.tuner.engines import local
from keras_rnn_zoo.tuner.engines.local import LocalEngine, Server


def alive(pid):
    """Whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


@pytest.fixture
def pids(tmp_path, monkeypatch):
    """Returns the process ids of the trials so far."""
    place = tmp_path / "pids"
    place.mkdir()
    monkeypatch.setenv("TRIAL_PIDS", str(place))
    return lambda: sorted(int(path.name) for path in place.iterdir())


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("fails", "ValueError: too warm in here"),
        ("killed", "its process was killed by SIGKILL, as happens when memory runs out"),
        ("crashes", "its process was killed by SIGSEGV"),
        ("exits", "its process ended with exit code 3"),
        ("lacks_memory", "not enough memory"),
        ("poisons", "Training diverged: loss became NaN or infinite in epoch 1"),
    ],
)
def test_what_happens_to_a_trial_costs_that_trial_only(tiny_search, directory, hook, message):
    result = tiny_search(
        tuner="grid", callbacks=f"trial_hooks:{hook}", max_trials=3, epochs=1, learning_rate=0.01
    )
    statuses = [(trial["model"], trial["status"]) for trial in tiny.comparable(directory)]
    assert statuses == [("rnn", "completed"), ("gru", "failed"), ("rnn", "completed")]
    (failed,) = (trial for trial in result.trials if trial["status"] == "failed")
    assert failed["message"].startswith(message)
    assert failed["score"] is None


def test_a_trial_that_diverges_ends_early(tiny_search):
    result = tiny_search(
        tuner="grid", callbacks="trial_hooks:diverges", max_trials=2, epochs=5, patience=None
    )
    assert result.trials[0]["epochs"] == 5
    assert "val_loss became 400, from 1 in epoch 3" in result.trials[1]["message"]


def test_a_trial_that_hangs_is_stopped(tiny_search, directory):
    result = tiny_search(
        tuner="grid",
        callbacks="trial_hooks:hangs",
        max_trials=3,
        epochs=1,
        trial_timeout=8,
        learning_rate=0.01,
    )
    (failed,) = (trial for trial in result.trials if trial["status"] == "failed")
    assert failed["message"] == "took longer than 8 s, and was stopped"
    assert len(tiny.comparable(directory)) == 3


def test_each_trial_has_a_process_of_its_own(tiny_search, pids):
    tiny_search(callbacks="trial_hooks:listens", epochs=1)
    assert len(pids()) == 4
    assert os.getpid() not in pids()
    assert not any(alive(pid) for pid in pids())


def test_two_workers_try_what_one_tries(tiny_search, directory, tmp_path):
    tiny_search(tuner="random", epochs=1)
    tiny_search(tuner="random", epochs=1, workers=2, output=tmp_path / "two")
    one, two = tiny.comparable(directory), tiny.comparable(tmp_path / "two")
    keys = ("trial_id", "model", "hyperparameters", "status")
    assert [[t[key] for key in keys] for t in one] == [[t[key] for key in keys] for t in two]
    losses = [trial["metrics"]["val_loss"] for trial in one]
    # Each has half the threads, which add up in another order.
    assert [trial["metrics"]["val_loss"] for trial in two] == pytest.approx(losses, rel=1e-4)


def test_a_server_that_dies_is_started_again_and_so_are_its_trials(
    tiny_search, directory, pids, monkeypatch
):
    undisturbed = tiny_search(epochs=1).trials
    monkeypatch.setattr(LocalEngine, "stays", False)
    submit, servers = LocalEngine.submit, []

    def submit_and_kill(self, job):
        submit(self, job)
        server = self._server
        if job.trial_id == "1" and not servers:
            servers.append(server)
            wait_until(lambda: len(pids()) == 2)
            os.kill(server._process.pid, signal.SIGKILL)

    monkeypatch.setattr(LocalEngine, "submit", submit_and_kill)
    result = tiny_search(
        epochs=1, output=directory.with_name("other"), callbacks="trial_hooks:listens"
    )
    assert [trial["score"] for trial in result.trials] == [trial["score"] for trial in undisturbed]
    assert len(pids()) == 5
    wait_until(lambda: not any(alive(pid) for pid in pids()))


def test_a_server_that_does_not_start_is_an_error(tiny_search, monkeypatch):
    kept, LocalEngine._kept = LocalEngine._kept, None
    try:
        monkeypatch.setattr(local.sys, "executable", "/bin/false")
        with pytest.raises(SearchError, match="does not start"):
            tiny_search()
    finally:
        LocalEngine._kept = kept


def test_nothing_outlives_a_search_that_is_killed(directory, pids, tmp_path):
    code = "import tiny, sys; tiny.run_search(output=sys.argv[1], callbacks='trial_hooks:listens')"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TRIAL_SLEEP": "600",
        "TMPDIR": str(tmp_path / "scratch"),
    }
    (tmp_path / "scratch").mkdir()
    search = subprocess.Popen(
        [sys.executable, "-c", code, str(directory)],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    with contextlib.ExitStack() as stack:
        stack.callback(search.kill)
        wait_until(pids)
        (server,) = children(search.pid)
        search.kill()
        search.wait()
        wait_until(lambda: not alive(server) and not any(alive(pid) for pid in pids()))
    assert not list((tmp_path / "scratch").glob("keras-rnn-zoo-search-*"))


def children(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


@pytest.mark.parametrize(
    "callbacks", [lambda: [], "trial_hooks", "trial_hooks:nothing", "no_such_module:eager", 7]
)
def test_callbacks_that_no_other_process_finds_are_refused(tiny_search, directory, callbacks):
    with pytest.raises(ConfigError, match="callbacks is a function that returns Keras callbacks"):
        tiny_search(callbacks=callbacks)
    assert not directory.exists()


def test_callbacks_can_be_a_function_of_a_module(tiny_search, pids):
    import trial_hooks

    tiny_search(callbacks=trial_hooks.listens, max_trials=1, epochs=1)
    assert len(pids()) == 1


def test_a_model_of_a_script_is_refused(tiny_search, directory, monkeypatch):
    from keras_rnn_zoo.builder import MODELS

    monkeypatch.setattr(MODELS.get("gru"), "__module__", "__main__")
    with pytest.raises(ConfigError, match="Put it into a module of its own"):
        tiny_search()
    assert not directory.exists()


def test_the_server_answers_with_whole_lines_only():
    server = Server()
    try:
        wait_until(lambda: server.answers(1.0) is None or server.ready)
        server.ask({"kill": "nothing that runs"})
        assert server.answers(0.1) == []
    finally:
        assert json.dumps(server.close())
