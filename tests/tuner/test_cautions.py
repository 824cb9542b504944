"""What is said before a winner is trusted: few rows, other trials as good, a constant as good."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from made_up import made_up_info, made_up_trials

from keras_rnn_zoo.tuner import Search
from keras_rnn_zoo.tuner.results import cautions, wording
from keras_rnn_zoo.tuner.results.findings import Findings
from keras_rnn_zoo.tuner.results.page import page
from keras_rnn_zoo.tuner.results.records import TrialRecord

MODELS = ("lstm", "gru", "bilstm")


def trials(*scores):
    return [
        TrialRecord(str(number), "completed", score, "gru", {"gru.units": 2 + number})
        for number, score in enumerate(scores)
    ]


def info(rows=27, name="val_accuracy", direction="max", baseline=None, **best):
    return {
        "objective": {"name": name, "direction": direction},
        "best": {"trial_id": "0", "model": "gru", **best},
        "data": {"gru": {"rows": {"validation": rows}, "baseline": baseline or {}}},
    }


@pytest.mark.parametrize(
    ("right", "rows", "low", "high"),
    # Of Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_the_interval_is_that_of_the_books(right, rows, low, high):
    assert cautions.wilson(right / rows, rows) == pytest.approx((low, high), abs=5e-5)


def test_few_rows_are_said_with_an_interval_and_the_trials_within_it():
    found = trials(22 / 27, 21 / 27, 18 / 27, 17 / 27)
    said = cautions.interval(info(), found, found[0])
    assert said is not None and said.matters and said.within == 2
    assert str(said) == (
        "Chosen on 27 validation rows: its accuracy of 81.48 % there means anything from 63 to 92 "
        "% (95 % interval); 2 other trials are not distinguishable from it."
    )
    assert said.to_dict()["rows"] == 27


def test_what_the_winner_was_before_it_was_trained_on_is_no_other_trial():
    before, winner, other = trials(20 / 27, 22 / 27, 21 / 27)
    before = TrialRecord("0", "completed", before.score, "gru", winner.hyperparameters)
    said = cautions.interval(info(), [before, winner, other], winner)
    assert said is not None and said.within == 1


def test_many_rows_and_no_other_trial_near_need_no_word():
    found = trials(0.90, 0.85)
    said = cautions.interval(info(rows=25_000), found, found[0])
    assert said is not None and said.within == 0 and not said.matters
    near = trials(0.90, 0.899)
    said = cautions.interval(info(rows=25_000), near, near[0])
    assert said is not None and said.matters
    assert "from 89.62 to 90.37 %" in str(said) and "1 other trial is not" in str(said)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "val_loss", "direction": "min"},
        {"name": "val_mean_absolute_error", "direction": "min"},
        {"name": "accuracy - 0.1*latency"},
        {"rows": None},
    ],
)
def test_of_what_is_no_accuracy_there_is_no_interval(changes):
    found = trials(0.5, 0.4)
    assert cautions.interval(info(**changes), found, found[0]) is None
    assert cautions.interval(info(), found, None) is None


def test_a_winner_that_is_no_better_than_a_constant_is_said_to_be():
    known = {"label": "neg", "test_accuracy": 0.58, "validation_accuracy": 0.5}
    said = cautions.baseline(info(baseline=known, test_accuracy=0.58, validation_accuracy=0.9))
    assert said is not None and not said.beaten
    assert str(said) == (
        "The winner is no better than an answer without a model: on the test rows its accuracy is "
        "58.00 %, and that of always answering 'neg' is 58.00 %."
    )
    said = cautions.baseline(info(baseline=known, test_accuracy=0.6))
    assert said is not None and said.beaten and said.to_dict()["baseline"] == 0.58
    # Without test rows, those of validation are what there is.
    said = cautions.baseline(info(baseline=known, validation_accuracy=0.4))
    assert said is not None and said.rows == "validation" and not said.beaten


def test_less_of_an_error_is_better():
    known = {"values": [1.0], "test_mean_absolute_error": 2.0}
    for error, beaten in ((1.5, True), (2.0, False), (3.0, False)):
        said = cautions.baseline(info(baseline=known, test_mean_absolute_error=error))
        assert said is not None and said.beaten is beaten
    assert "that of always answering the mean of the training targets is 2" in str(said)


def test_an_old_search_that_knows_no_baseline_says_nothing():
    assert cautions.baseline({"objective": {}, "best": None}) is None
    assert cautions.baseline(info(test_accuracy=0.5)) is None


@pytest.fixture
def doubtful():
    """A made-up search on 30 validation rows whose winner answers no better than a constant."""
    made = made_up_trials()
    known = {"label": "pos", "test_accuracy": 0.95}
    rows = {"train": 1000, "validation": 30, "test": 200}
    data = {model: {"rows": rows, "baseline": known} for model in MODELS}
    return made, made_up_info(made, data=data)


def records(made):
    return [TrialRecord.from_dict(trial) for trial in made]


def test_the_page_says_it_at_its_top(doubtful):
    made, about = doubtful
    text = page(about, records(made), Path("s"), "")
    worst, rows = (text.index(start) for start in ("The winner is no better", "Chosen on 30 "))
    assert text.index("</h1>") < worst < rows < text.index("<h2>")
    assert text.count('<p class="warning">') == 2
    assert dict(wording.made_with(Findings(about, records(made))))["data"] == (
        "reviews.csv: 1,000 rows to train on, 30 rows to validate, 200 rows to test"
    )


def test_the_page_of_a_good_winner_says_what_a_constant_is_worth_and_warns_of_nothing(doubtful):
    made, about = copy.deepcopy(doubtful)
    for data in about["data"].values():
        data["baseline"]["test_accuracy"] = 0.5
        data["rows"]["validation"] = None
    text = page(about, records(made), Path("s"), "")
    assert '<p class="warning">' not in text
    assert "Without a model: always answering &#39;pos&#39; has a test accuracy of 50.00 %." in text


def test_the_command_says_it_first(doubtful, capsys, monkeypatch):
    import click

    from keras_rnn_zoo.cli import search as command

    made, about = doubtful
    result = Search(Path("s"), about, records(made)).in_order()
    best = type("Run", (), {})()
    best.metrics = {"train_loss": 0.1, "train_accuracy": 0.9, "parameters": 100}
    best.model_name, best.info, best.evaluation = "gru", {"data": {}}, {}
    monkeypatch.setitem(vars(result), "best", best)
    command.show(result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("The winner is no better than an answer without a model")
    assert lines[1].startswith("Chosen on 30 validation rows")
    assert lines[2] == "Objective: val_accuracy, more is better."
    said = []
    monkeypatch.setattr(click, "secho", lambda text, **style: said.append((text, style)))
    command.show(result)
    assert said[0][1] == {"fg": "red"}
