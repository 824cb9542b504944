"""SIGKILL at any moment: what had ended is kept as it was, and the rest comes as if nothing was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_rnn_zoo.tuner import TUNERS

# A stop at every single write is for test_durable; these come in between, too.
KILLS = {"short": 8, "local": 50}


def killed(directory, tuners, engine, timeout):
    """Returns the report of each tuner: see `killing.py`."""
    script = Path(__file__).with_name("killing.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, str(script), str(directory), str(KILLS[engine]), engine, *tuners],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(report, kills):
    assert report["kills"] >= kills
    assert report["lost"] == 0
    assert report["different"] == 0
    assert report["searches"] > 0
    # Kills before the first trial ended would prove little.
    assert report["after_some_trials"] > kills / 5


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Tuner -> its report; one process runs all, as importing everything takes longest."""
    return killed(tmp_path_factory.mktemp("kills"), TUNERS.names(), "short", 900)


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_a_search_survives_kills(tuner, reports):
    check(reports[tuner], KILLS["short"])
    assert 0 < reports[tuner]["infeasible"] < reports[tuner]["trials"]


@pytest.mark.slow
@pytest.mark.parametrize("tuner", TUNERS.names())
def test_a_search_that_trains_survives_kills(tuner, tmp_path):
    check(killed(tmp_path, [tuner], "local", 3600)[tuner], KILLS["local"])
