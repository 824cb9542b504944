"""Which trial is the best, where some are as good as others."""

from __future__ import annotations

import random

import pytest

from keras_rnn_zoo.tuner import Search
from keras_rnn_zoo.tuner.results import records
from keras_rnn_zoo.tuner.results.records import TrialRecord


def trial(name, score, size=None, latency=None, parameters=None):
    return TrialRecord(
        name, "completed", score, "gru", bytes=size, latency_ms=latency, parameters=parameters
    )


ORDER = [
    trial("best", 0.9, 900, 9.0),
    trial("small", 0.8, 100, 5.0),
    trial("fast", 0.8, 200, 1.0, parameters=7),
    trial("older", 0.8, 200, 2.0),
    trial("newer", 0.8, 200, 2.0),
    trial("large", 0.8, 300, 0.1),
    trial("unknown", 0.8),
    trial("worst", 0.1, 1, 0.1),
]


@pytest.mark.parametrize("direction", ["max", "min"])
@pytest.mark.parametrize("seed", range(5))
def test_of_equal_scores_the_smaller_file_then_the_faster_then_the_older(direction, seed):
    given = [one for one in ORDER if one.trial_id != "newer"]
    random.Random(seed).shuffle(given)
    given.insert(given.index(ORDER[3]) + 1, ORDER[4])
    expected = [one.trial_id for one in ORDER]
    if direction == "min":
        expected = [expected[-1], *expected[1:-1], expected[0]]
    assert [one.trial_id for one in records.ranked(given, direction)] == expected
    assert records.best(given, direction).trial_id == expected[0]


def test_the_clock_does_not_choose_between_files_that_are_the_same_but_for_weights():
    # Measured twice, either is the faster now and then; the winner has to be the same one.
    for first, second in ((0.0116, 0.0119), (0.0119, 0.0116), (0.5, 0.0116)):
        found = [trial("0", 0.6, 9504, first, 13), trial("3", 0.6, 9504, second, 13)]
        assert records.best(found, "max").trial_id == "0"
    # Of other models, noise does not count either, and a difference does.
    for second, best in ((0.01158, "0"), (0.009, "1")):
        found = [trial("0", 0.6, 9504, 0.01162, 13), trial("1", 0.6, 9504, second, 22)]
        assert records.best(found, "max").trial_id == best


def test_of_trials_with_the_same_accuracy_a_clearly_higher_loss_is_worse():
    def trial(name, size, loss, score=1.0):
        metrics = {"val_accuracy": score, "val_loss": loss}
        return TrialRecord(name, "completed", score, "gru", metrics=metrics, bytes=size)

    # As measured on 27 validation rows of JapaneseVowels, all of them answered rightly: on the 370
    # test rows 88.1, 98.6 and 97.6 %.
    found = [trial("rnn", 49_168, 0.1373), trial("conv", 57_504, 0.0036)]
    found.append(trial("bilstm", 362_176, 0.0025))
    assert [one.trial_id for one in records.ranked(found, "max")] == ["conv", "bilstm", "rnn"]
    found.append(trial("best", 900_000, 0.9, score=1.1))
    assert records.best(found, "max").trial_id == "best"


def test_the_top_of_a_search_and_its_winner_follow_it(instant_search, monkeypatch):
    import tiny

    outcome = tiny.Instant.outcome

    def all_alike(self, job):
        found = outcome(self, job)
        metrics = {**found.metrics, "val_accuracy": 0.5, "val_loss": job.learning_rate}
        return type(found)(**{**vars(found), "metrics": metrics})

    monkeypatch.setattr(tiny.Instant, "outcome", all_alike)
    result = instant_search(max_trials=9)
    sizes = [found.bytes for found in result.trials]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    assert result.info["best"]["bytes"] == sizes[0]
    smallest = [found.trial_id for found in result.trials if found.bytes == sizes[0]]
    assert result.info["best"]["trial_id"] == min(smallest)  # the oldest of them
    assert Search.load(result.path).trials == result.trials
