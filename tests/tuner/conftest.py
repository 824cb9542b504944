"""What the tests of the search share."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

# `tiny` is a plain module beside the tests; importlib mode adds no directory by itself.
sys.path.insert(0, str(Path(__file__).parent))
import tiny

from keras_rnn_zoo.tuner.engines import ENGINES
from keras_rnn_zoo.tuner.engines.local import LocalEngine
from keras_rnn_zoo.tuner.trials.job import Ended


@pytest.fixture(scope="session", autouse=True)
def quick_collections():
    """Every trial collects garbage; what the imports made need not be looked through each time."""
    import keras_tuner  # noqa: F401

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def one_server():
    """Importing TensorFlow anew for each search takes longer than the search."""
    LocalEngine.stays = True
    yield
    LocalEngine.stays = False
    if LocalEngine._kept is not None:
        LocalEngine._kept.close()


@pytest.fixture(autouse=True)
def always_eager(eager):
    """No test of the search is about graphs."""


@pytest.fixture
def directory(tmp_path):
    """The search directory of `tiny_search`."""
    return tmp_path / "search"


@pytest.fixture
def tiny_search(directory):
    """Searches in `directory`, with settings that take a second or two."""

    def run(**changes):
        return tiny.run_search(**{"output": directory, **changes})

    return run


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Returns the finished search of a tuner, with trials that train; it runs once."""
    finished = {}

    def find(tuner):
        if tuner not in finished:
            directory = tmp_path_factory.mktemp(tuner) / "search"
            finished[tuner] = tiny.run_search(output=directory, tuner=tuner)
        return finished[tuner]

    return find


@pytest.fixture
def instant_search(directory, monkeypatch):
    """Searches in `directory` with trials that take no time, and so leaves no run behind.

    Its attribute `jobs` has the jobs that were run.
    """
    from keras_rnn_zoo.tuner.study import study

    monkeypatch.setattr(study, "save_trial", lambda *_: SimpleNamespace(info={}, metrics={}))
    tiny.shorten_pages(monkeypatch.setattr)
    monkeypatch.setattr(tiny.Instant, "jobs", [])
    ENGINES.register("instant", tiny.Instant)

    def run(**changes):
        return tiny.run_search(**{"output": directory, "engine": "instant", **changes})

    run.jobs = tiny.Instant.jobs
    yield run
    ENGINES.unregister("instant")


@pytest.fixture
def press(monkeypatch):
    """Returns what has Ctrl-C come when so many trials have ended; None has it never come."""
    after, ended = [None], []

    def stoppable(wait):
        def wait_or_stop(self, seconds):
            if len(ended) == after[0]:
                raise KeyboardInterrupt
            found = wait(self, seconds)
            ended.extend(event for event in found if isinstance(event, Ended))
            return found

        return wait_or_stop

    for engine in (LocalEngine, tiny.Instant):
        monkeypatch.setattr(engine, "wait", stoppable(engine.wait))

    def say(number):
        after[0] = number

    return say
