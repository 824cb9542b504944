"""Trials in processes of their own: what happens to one costs that one only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny

from keras_rnn_zoo.builder import get_builder
from keras_rnn_zoo.errors import ConfigError, SearchError
from keras_rnn_zoo.tuner.engines import local
from keras_rnn_zoo.tuner.engines.local import LocalEngine, Server
from keras_rnn_zoo.tuner.trials.job import CHECKPOINT, Ended, Job


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


def make_job(trial_id, hook="eager", model="gru", **changes):
    """A job on the data of `engine`; see `trial_hooks` for what can happen to a GRU."""
    values = {
        "trial_id": trial_id,
        "model": model,
        "config": get_builder(
            model, features=2, timesteps=3, units=2, layers=1, task="binary", outputs=1
        ).config,
        "learning_rate": 0.01,
        "seed": 0,
        "epochs": 1,
        "initial_epoch": 0,
        "batch_size": 64,
        "patience": None,
        "objective": ("val_accuracy", "max"),
        "data": "tiny",
        "callbacks": f"trial_hooks:{hook}",
    }
    return Job(**{**values, **changes})


@pytest.fixture
def engine(tmp_path):
    """Returns an engine with a directory for each trial in `tmp_path`; it is closed at the end."""
    split = tiny.tiny_data().train
    arrays = {"x_train": split.x, "y_train": split.y}
    arrays |= {"x_validation": split.x[:10], "y_validation": split.y[:10]}

    def place(trial_id):
        path = tmp_path / trial_id
        path.mkdir(exist_ok=True)
        return path

    with contextlib.ExitStack() as stack:

        def make(timeout=None):
            return stack.enter_context(LocalEngine(1, {"tiny": arrays}, place, timeout))

        yield make


def outcome_of(engine, job):
    engine.submit(job)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for event in engine.wait(1.0):
            if isinstance(event, Ended):
                assert event.trial_id == job.trial_id
                return event.outcome
    raise AssertionError("it never ended")


FAILURES = {
    "fails": "ValueError: too warm in here",
    "killed": "its process was killed by SIGKILL, as happens when memory runs out",
    "crashes": "its process was killed by SIGSEGV",
    "exits": "its process ended with exit code 3",
    "lacks_memory": "not enough memory",
    "poisons": "Training diverged: loss became NaN or infinite in epoch 1",
}


def test_what_happens_to_a_trial_costs_that_trial_only(engine, tmp_path):
    runs_on = engine()
    for hook, message in FAILURES.items():
        outcome = outcome_of(runs_on, make_job(hook, hook))
        assert (outcome.status, outcome.message[: len(message)]) == ("failed", message)
    outcome = outcome_of(runs_on, make_job("after", "poisons", model="rnn"))
    assert outcome.status == "completed"
    assert (tmp_path / "after" / CHECKPOINT).is_file()
    assert not (tmp_path / "after" / "log.txt").exists()


def test_a_trial_that_diverges_ends_early(engine):
    outcome = outcome_of(engine(), make_job("0", "diverges", epochs=5))
    assert outcome.status == "failed"
    assert "val_loss became 400, from 1 in epoch 3" in outcome.message


def test_a_trial_that_hangs_is_stopped(engine):
    hasty = engine(timeout=5)
    outcome = outcome_of(hasty, make_job("0", "hangs"))
    hasty.close()
    assert (outcome.status, outcome.message) == ("failed", "took longer than 5 s, and was stopped")
    assert outcome_of(engine(), make_job("1", "fails")).message == FAILURES["fails"]


def test_each_trial_has_a_process_of_its_own(engine, pids):
    runs_on = engine()
    for number in range(3):
        outcome_of(runs_on, make_job(str(number), "listens_and_fails"))
    assert len(pids()) == 3
    assert os.getpid() not in pids()
    assert not any(alive(pid) for pid in pids())


@pytest.fixture(scope="module")
def one_after_the_other(tmp_path_factory):
    """A search of two trials, by one worker."""
    output = tmp_path_factory.mktemp("one") / "search"
    return tiny.run_search(output=output, max_trials=2, epochs=1)


def test_two_workers_try_what_one_tries(one_after_the_other, tiny_search, directory):
    tiny_search(max_trials=2, epochs=1, workers=2)
    one, two = tiny.comparable(one_after_the_other.path), tiny.comparable(directory)
    keys = ("trial_id", "model", "hyperparameters", "status")
    assert [[t[key] for key in keys] for t in one] == [[t[key] for key in keys] for t in two]
    losses = [trial["metrics"]["val_loss"] for trial in one]
    # Each has half the threads, which add up in another order.
    assert [trial["metrics"]["val_loss"] for trial in two] == pytest.approx(losses, rel=1e-4)


def test_a_server_that_dies_is_started_again_and_so_are_its_trials(
    one_after_the_other, tiny_search, pids, monkeypatch
):
    undisturbed = one_after_the_other.trials
    monkeypatch.setattr(LocalEngine, "stays", False)
    submit, servers = LocalEngine.submit, []

    def submit_and_kill(self, job):
        submit(self, job)
        server = self._server
        if job.trial_id == "1" and not servers:
            servers.append(server)
            wait_until(lambda: len(pids()) == 2)
            os.kill(server._child.pid, signal.SIGKILL)

    monkeypatch.setattr(LocalEngine, "submit", submit_and_kill)
    result = tiny_search(max_trials=2, epochs=1, callbacks="trial_hooks:listens")
    assert [trial.score for trial in result.trials] == [trial.score for trial in undisturbed]
    assert len(pids()) == 3
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


def test_callbacks_can_be_a_function_of_a_module(instant_search):
    import trial_hooks

    instant_search(callbacks=trial_hooks.listens, max_trials=1)
    assert [job.callbacks for job in instant_search.jobs] == ["trial_hooks:listens"]


def test_a_model_of_a_script_is_refused(tiny_search, directory, monkeypatch):
    from keras_rnn_zoo.builder import MODELS

    monkeypatch.setattr(MODELS.get("gru"), "__module__", "__main__")
    with pytest.raises(ConfigError, match="Put it into a module of its own"):
        tiny_search()
    assert not directory.exists()


def test_a_server_does_not_answer_what_needs_no_answer():
    server, LocalEngine._kept = LocalEngine._kept or Server(), None
    try:
        while not server.ready:
            server.answers(1.0)
        server.send({"kill": "nothing that runs"})
        assert server.answers(0.1) == []
    finally:
        LocalEngine._kept = server
