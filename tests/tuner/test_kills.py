"""SIGKILL at any moment: what had ended is kept as it was, and the rest comes as if nothing was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_rnn_zoo.tuner import TUNERS

KILLS = 50


def killed(directory, tuner, kills, engine, timeout):
    script = Path(__file__).with_name("killing.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, str(script), str(directory), tuner, str(kills), engine],
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


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_a_search_survives_fifty_kills(tuner, tmp_path):
    report = killed(tmp_path, tuner, KILLS, "short", 300)
    check(report, KILLS)
    assert 0 < report["infeasible"] < report["trials"]


@pytest.mark.slow
@pytest.mark.parametrize("tuner", TUNERS.names())
def test_a_search_that_trains_survives_fifty_kills(tuner, tmp_path):
    check(killed(tmp_path, tuner, KILLS, "local", 3600), KILLS)
