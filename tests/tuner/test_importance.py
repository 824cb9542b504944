"""Importance of hyperparameters, where it is known what decides."""

from __future__ import annotations

import math
import random

import pytest

from keras_rnn_zoo.tuner.results import importance as judged
from keras_rnn_zoo.tuner.results.importance import FEWEST
from keras_rnn_zoo.tuner.results.records import TrialRecord


def importance(trials):
    return judged.importance([TrialRecord.from_dict(trial) for trial in trials])


def table(count, score, seed=0):
    """Random trials of three models; `score` makes a trial's score of its hyperparameters."""
    chance = random.Random(seed)
    trials = []
    for number in range(count):
        model = chance.choice(["lstm", "gru", "bilstm"])
        values = {
            "model": model,
            "learning_rate": 10 ** chance.uniform(-4, -2),
            f"{model}.units": chance.choice([16, 32, 64, 128]),
            f"{model}.dropout": chance.choice([0.0, 0.2, 0.5]),
            f"{model}.pooling": chance.choice(["last", "mean", "max"]),
            f"{model}.mask": chance.choice([True, False]),
        }
        if model == "gru":
            values["gru.reset_after"] = chance.choice([True, False])
        plain = {name.removeprefix(f"{model}."): value for name, value in values.items()}
        trials.append(
            {
                "trial_id": str(number),
                "status": "completed",
                "model": model,
                "score": score(plain, chance),
                "hyperparameters": values,
            }
        )
    return trials


DECIDES = {
    "learning_rate": lambda values, _: -abs(math.log10(values["learning_rate"]) + 3),
    "model": lambda values, _: ["lstm", "gru", "bilstm"].index(values["model"]),
    "units": lambda values, _: 1 / values["units"],
    "pooling": lambda values, _: {"mean": 0.9, "last": 0.7, "max": 0.5}[values["pooling"]],
    "mask": lambda values, _: float(values["mask"]),
}


@pytest.mark.parametrize("name", DECIDES)
def test_what_decides_everything_has_nearly_all_importance(name):
    found = importance(table(60, DECIDES[name]))
    assert next(iter(found.shares)) == name
    assert found.shares[name] > 0.9
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.explained > 0.8
    assert found.message is None
    assert set(found.shares) == {
        "model",
        "learning_rate",
        "units",
        "dropout",
        "pooling",
        "mask",
        "reset_after",
    }


def test_what_the_model_decides_is_not_put_down_to_what_only_it_has():
    found = importance(table(60, lambda values, _: values["model"] == "gru"))
    assert found.shares["model"] > 0.9
    assert found.shares["reset_after"] < 0.05


def test_a_hyperparameter_that_only_one_model_has_counts_where_it_is_active():
    found = importance(table(120, lambda values, _: values.get("reset_after", 0.5)))
    assert set(list(found.shares)[:2]) == {"model", "reset_after"}
    assert found.shares["reset_after"] > 0.5


def test_one_diverged_trial_does_not_outweigh_the_others():
    trials = table(40, DECIDES["units"])
    trials[7]["score"] = -1e30
    assert importance(trials).shares["units"] > 0.8


def test_chance_is_said_to_tell_nothing():
    found = importance(table(60, lambda _, chance: chance.random()))
    assert found.shares == {}
    assert "do not tell" in found.message


def test_the_answer_is_the_same_for_the_same_trials():
    trials = table(30, DECIDES["units"])
    assert importance(trials) == importance(trials)


def test_failed_infeasible_and_nan_trials_are_left_out():
    trials = table(40, DECIDES["units"])
    alone = importance(trials)
    others = table(9, DECIDES["model"], seed=1)
    for trial, status in zip(others, ["failed", "infeasible", "completed"] * 3, strict=True):
        trial["status"] = status
        trial["score"] = math.nan if status == "completed" else None
    assert importance([*others, *trials]) == alone


def test_too_few_trials_are_said_to_be_too_few():
    for count in range(FEWEST):
        found = importance(table(count, DECIDES["units"]))
        assert found.shares == {}
        assert found.message.startswith(f"{count} completed trial")
    assert "too few" not in str(importance(table(FEWEST, DECIDES["units"])).message)


def test_equal_scores_and_equal_hyperparameters_are_said_to_be_that():
    assert "same score" in importance(table(9, lambda *_: 0.5)).message
    trials = table(9, DECIDES["units"])
    for trial in trials:
        trial["model"] = "rnn"
        trial["hyperparameters"] = {"model": "rnn", "rnn.units": 8}
    assert "more than one value" in importance(trials).message
