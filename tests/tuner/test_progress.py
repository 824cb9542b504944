"""What a person sees who waits for a search."""

from __future__ import annotations

import math
import sys

import pytest

from keras_rnn_zoo.tuner.results.records import TrialRecord
from keras_rnn_zoo.tuner.study import progress


def make_trial(status, score=None, model="gru"):
    return TrialRecord(
        trial_id="0",
        status=status,
        score=score,
        model=model,
        hyperparameters={"model": model, "gru.units": 8, "learning_rate": 0.00123},
        bytes=12_345,
        latency_ms=0.1234,
        seconds=None if status == "infeasible" else 10.0,
        message=None if status == "completed" else "what went wrong",
    )


@pytest.fixture
def shown(monkeypatch, capsys):
    """Returns what a terminal shows after trials that took so long, while one is running."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def show(*trials, seconds=0.0, total=12, deadline=math.inf):
        display = progress.ProgressDisplay(True, total, "val_accuracy", deadline)
        done = [trial for trial in trials if trial.status == "completed"]
        best = max(done, key=lambda trial: trial.score, default=None)
        for number, trial in enumerate(trials, 1):
            display.trial_ended(trial, number, best)
        clock[0] += seconds
        display.update(trials, best, {"7": "epoch 2/4, batch 10/352"}, {"7": "lstm"})
        display.close()
        return capsys.readouterr().err.replace("\r\x1b[K", "\n").strip().splitlines()

    return show


def test_a_line_for_each_trial_and_one_for_the_search(shown):
    completed, failed = make_trial("completed", 0.75), make_trial("failed")
    lines = [
        line for line in shown(completed, failed, make_trial("infeasible"), seconds=30) if line
    ]
    chosen = "gru  units=8  learning_rate=0.00123"
    assert lines == [
        f"trial 1/12  {chosen}  val_accuracy 75.00 %  12.3 kB  0.123 ms  best 75.00 % (gru)"
        "  10.0 s",
        f"trial 2/12  {chosen}  failed: what went wrong  best 75.00 % (gru)  10.0 s",
        f"trial 3/12  {chosen}  what went wrong  best 75.00 % (gru)",
        "3/12 done; 1 over budget; 1 failed; best 75.00 % (gru); about 2 min 15 s left; "
        "7 lstm: epoch 2/4, batch 10/352",
    ]


def test_trials_over_budget_do_not_tell_how_long_the_rest_will_take(shown):
    over = make_trial("infeasible")
    assert "left" not in shown(over, over, seconds=4)[-1]
    assert (
        "about 4 min 30 s left" in shown(over, over, make_trial("completed", 0.5), seconds=30)[-1]
    )


def test_a_time_that_is_over_sooner_is_what_is_left(shown):
    trial = make_trial("completed", 0.5)
    assert "about 1 min 40 s left" in shown(trial, seconds=10, deadline=110.0)[-1]
    assert "about 1 min 50 s left" in shown(trial, seconds=10, deadline=1000.0)[-1]


def test_a_search_that_a_time_ends_has_no_number_of_trials(shown):
    lines = shown(make_trial("completed", 0.5), seconds=10, total=None, deadline=40.0)
    assert lines[0].startswith("trial 1  gru")
    assert lines[-1].startswith("1 done; best 50.00 % (gru); about 30.0 s left; ")
    assert "about 0.0 s left" in shown(seconds=99, total=None, deadline=1.0)[-1]
