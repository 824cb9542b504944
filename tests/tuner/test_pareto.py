"""The Pareto front: against brute force, and where figures are missing or equal."""

from __future__ import annotations

import math
import random

import pytest

from keras_rnn_zoo.tuner.results.front import front, quality
from keras_rnn_zoo.tuner.results.records import TrialRecord


def trial(name, score, size=None, latency=None, status="completed", **metrics):
    return TrialRecord(name, status, score, metrics=metrics, bytes=size, latency_ms=latency)


def dominated(one, other, sign):
    """Whether `other` dominates `one`, word for word as the definition has it."""

    def unknown(value):
        return math.inf if value is None else value

    mine, theirs = (
        (sign * t["score"], unknown(t["bytes"]), unknown(t["latency_ms"])) for t in (one, other)
    )
    as_good = all(b <= a for a, b in zip(mine, theirs, strict=True))
    return as_good and any(b < a for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("direction", ["max", "min"])
@pytest.mark.parametrize("seed", range(60))
def test_the_front_is_what_brute_force_finds(direction, seed):
    # Few different values, so that ties and unknown figures are common.
    chance = random.Random(seed)
    values = range(chance.choice([2, 4, 30]))
    trials = [
        trial(
            str(number),
            chance.choice(values),
            chance.choice([None, *values]),
            chance.choice([None, *values]),
        )
        for number in range(chance.randint(0, 25))
    ]
    sign = -1 if direction == "max" else 1
    expected = [
        one["trial_id"]
        for one in sorted(trials, key=lambda one: sign * one["score"])
        if not any(dominated(one, other, sign) for other in trials)
    ]
    found = front(trials, direction)
    assert sorted(found) == sorted(expected)
    scores = {one["trial_id"]: sign * one["score"] for one in trials}
    assert [scores[name] for name in found] == sorted(scores[name] for name in found)


def test_a_trial_that_is_worse_in_everything_is_not_on_the_front():
    trials = [trial("a", 0.8, 100, 1.0), trial("b", 0.7, 200, 2.0), trial("c", 0.6, 50, 3.0)]
    assert front(trials, "max") == ["a", "c"]


def test_equal_trials_both_stay_in_the_order_of_the_trials():
    trials = [trial("b", 0.8, 100, 1.0), trial("a", 0.8, 100, 1.0)]
    assert front(trials, "max") == ["b", "a"]


def test_noise_of_the_clock_is_no_advantage():
    trials = [trial("a", 0.9, 100, 0.2664), trial("b", 0.8, 100, 0.2657)]
    assert front(trials, "max") == ["a"]
    trials.append(trial("c", 0.8, 100, 0.24))
    assert front(trials, "max") == ["a", "c"]


def test_an_unknown_figure_is_no_advantage():
    known, unknown = trial("known", 0.8, 100, 1.0), trial("unknown", 0.8, None, 1.0)
    assert front([unknown, known], "max") == ["known"]
    assert front([known, trial("better", 0.9, None, None)], "max") == ["better", "known"]


def test_without_any_figures_the_best_are_the_front():
    trials = [trial("a", 0.8), trial("b", 0.9), trial("c", 0.9)]
    assert front(trials, "max") == ["b", "c"]
    assert front(trials, "min") == ["a"]


def test_only_completed_trials_are_on_the_front():
    trials = [
        trial("a", 0.8, 100, 1.0),
        trial("b", None, 1, 0.1, status="infeasible"),
        trial("c", None, 1, 0.1, status="failed"),
    ]
    assert front(trials, "max") == ["a"]
    assert front(trials[1:], "max") == []


def test_the_quantized_files_quality_counts_and_not_the_float_models():
    trials = [
        trial("float", 0.9, 100, 1.0, quantized_accuracy=0.5),
        trial("int8", 0.8, 100, 1.0, quantized_accuracy=0.8),
        trial("unknown", 0.99, 100, 1.0),
    ]
    assert front(trials, "max") == ["int8"]
    assert quality(trials, "max") == ("quantized_accuracy", "max", {"float": 0.5, "int8": 0.8})


def test_an_error_of_the_quantized_file_is_better_smaller_whatever_the_score():
    trials = [
        trial("a", 0.9, 100, 1.0, quantized_mean_absolute_error=0.4),
        trial("b", 0.8, 100, 1.0, quantized_mean_absolute_error=0.2),
    ]
    assert front(trials, "max") == ["b"]


def test_nan_counts_as_unknown():
    trials = [trial("a", 0.8, 100, math.nan), trial("b", 0.8, 100, 5.0)]
    assert front(trials, "max") == ["b"]


def test_the_front_of_two_dimensions_leaves_the_third_out():
    trials = [trial("a", 0.9, 100, 1.0), trial("b", 0.8, 200, 0.5)]
    assert front(trials, "max") == ["a", "b"]
    assert front(trials, "max", ["bytes"]) == ["a"]
