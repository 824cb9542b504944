"""MODEL_CARD.md says what is known, and of the rest that it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.export.bundle.card import card, limits, metrics, plain
from keras_rnn_zoo.export.bundle.page import page
from keras_rnn_zoo.training.baseline import baseline, sentences, verdict
from keras_rnn_zoo.training.prepare import prepare


@pytest.fixture
def report(bundles):
    return bundles["texts"].report


def trained(report, **more):
    training = {
        "metrics": {"train_accuracy": 0.9, "validation_accuracy": 0.5, "test_accuracy": 0.8},
        "data": {
            "name": "films",
            "rows": {"train": 60, "validation": 20, "test": 20},
            "baseline": {
                "label": "good",
                "train_accuracy": 0.5,
                "validation_accuracy": 0.5,
                "test_accuracy": 0.55,
            },
        },
        "hyperparameters": {"epochs": 3},
        "provenance": report.provenance,
        **more,
    }
    return replace(report, training=training)


def test_figures_stand_beside_those_of_no_model(report):
    rows = metrics(trained(report))
    assert [(row["part"], row["model"], row["baseline"], row["remark"]) for row in rows] == [
        ("train", "90.00 %", "50.00 %", ""),
        ("validation", "50.00 %", "50.00 %", "no better than the baseline"),
        ("test", "80.00 %", "55.00 %", ""),
    ]
    text = card(trained(report))
    assert "| test | accuracy | 80.00 % | 55.00 % |" in text
    assert "always answers good, the most frequent label of the training rows" in text
    assert "validation rows chose" not in text


BASELINES = [
    {
        "name": "majority",
        "text": "always 'good', the most frequent training label",
        "train": {"accuracy": 0.5},
        "validation": {"accuracy": 0.5},
        "test": {"accuracy": 0.55, "f1": 0.35},
    },
    {"name": "bag of words", "text": "words", "train": None, "validation": None}
    | {"test": {"accuracy": 0.85, "f1": 0.84}},
]
LABELS = {
    "good": {"rows": 11, "precision": 0.75, "recall": 1.0, "f1": 0.857},
    "bad": {"rows": 9, "precision": 1.0, "recall": 0.556, "f1": 0.714},
}


def judged(report, accuracy):
    """A report of a model that has an accuracy on the test rows, and what words have."""
    found = {"train_accuracy": 0.9, "test_accuracy": accuracy, "test_f1": accuracy - 0.01}
    said = verdict(found, BASELINES, "accuracy")
    made = trained(
        report,
        metrics=found,
        data={"name": "films", "rows": {"train": 60}, "baselines": BASELINES},
        evaluation={"test": {"labels": LABELS, "confusion": [[11, 0], [4, 5]], "always": None}},
        verdict=said,
    )
    text = report.verdict["text"]
    worthless = None if said["beats_baseline"] else sentences(said)
    about = {"beats_baseline": said["beats_baseline"], "baseline": worthless}
    return replace(
        made, verdict={**report.verdict, "text": f"{worthless or ''} {text}".strip(), **about}
    )


def test_the_best_baseline_is_named_and_what_does_not_beat_it_says_so_first(report):
    worse, better = judged(report, 0.8), judged(report, 0.9)
    rows = {(row["part"], row["measure"]): row for row in metrics(worse)}
    assert rows["test", "accuracy"]["baseline"] == "85.00 % (bag of words)"
    assert rows["test", "accuracy"]["remark"] == "no better than the baseline"
    assert rows["test", "F1"]["baseline"] == "84.00 % (bag of words)"
    assert rows["train", "accuracy"]["baseline"] == "50.00 % (majority)"
    text = card(worse)
    assert text.splitlines()[2].startswith("**No better than the baseline: accuracy 80.00 %")
    assert text.count("No better than the baseline") == 1
    assert "| bad | 9 | 100.00 % | 55.60 % | 71.40 % |" in text
    assert "No better" not in card(better)
    html = page(worse)
    (head,) = [line for line in html.splitlines() if line.startswith("<h1")]
    assert 'class="failed"' in head and '<span class="bad">No better than the baseline' in head
    assert "<td><bdi>test, F1</bdi></td><td>79.00 %</td><td>35.00 %</td><td>84.00 %</td>" in html
    assert 'title="bad answered as good: 4, 44.4 % of its rows"' in html
    assert "No better" not in page(better) and '<span class="bad">' not in page(better)


def test_an_error_is_better_where_it_is_smaller(report):
    rows = metrics(
        trained(
            report,
            metrics={"test_mean_absolute_error": 2.0, "train_mean_absolute_error": 0.5},
            data={
                "baseline": {"values": [1], "test_mean_absolute_error": 1.5}
                | {"train_mean_absolute_error": 1.5}
            },
        )
    )
    assert [row["remark"] for row in rows] == ["", "no better than the baseline"]


def test_what_was_not_recorded_is_said(report, bundles):
    text = card(trained(report, data={"name": "films", "rows": {"train": 9, "validation": 3}}))
    assert "A baseline was not recorded" in text
    assert "There were no test rows" in text
    bare = card(bundles["several"].report)
    assert "came as a bare .keras file: takes left, right" in bare
    assert bare.count("ot recorded") >= 3 and "baseline" not in bare


def test_every_file_is_there_with_what_it_costs(report):
    text = card(report)
    for entry in report.files:
        (line,) = [one for one in text.splitlines() if one.startswith(f"| {entry.file}:")]
        assert f"{entry.parity['max_abs_output']:.2g}" in line
        assert line.count("|") == 8
    assert report.verdict["text"] in text.replace("\\", "")
    assert "vocab" not in text and len(text.splitlines()) < 80


def test_limits_are_those_of_the_preprocessing(report):
    said = " ".join(limits(report.preprocessing))
    assert "Keeps the end of inputs of more than 5 words" in said and "Capitals" in said
    other = {**report.preprocessing, "truncating": "post", "tokenizer": {"name": "graphemes"}}
    said = " ".join(limits(other))
    assert "Keeps the beginning" in said and "Capitals" not in said


@pytest.mark.parametrize("text", ["a|b", "<script>", "# no\nheading", "`code`", "[a](b)", "*b*"])
def test_names_of_a_users_own_are_no_markdown(text):
    written = plain(text)
    assert "\n" not in written
    for mark in "|<`[*#":
        assert written.count(mark) == written.count(f"\\{mark}")


# ---------------------------------------------------------------------- the baseline


def test_the_baseline_is_the_label_that_is_most_frequent_in_training():
    x = ["a b", "b c", "a c", "c", "a", "b"] * 2
    data = Dataset("d", "text", Split(x, ["x", "x", "x", "x", "y", "y"] * 2), Split(x, ["y"] * 12))
    found = prepare(data, {"timesteps": 3}, models=["lstm"], validation_split=0.0).data["baseline"]
    assert found["label"] == "x" and found["train_accuracy"] == pytest.approx(8 / 12)
    assert found["test_accuracy"] == 0.0 and found["validation_accuracy"] is None


def test_the_baseline_of_a_regression_is_the_mean_of_the_training_targets():
    x = np.ones((4, 3, 1), "float32")
    data = Dataset("d", "features", Split(x, [0.5, 1.5, 2.5, 3.5]), Split(x, [5.5] * 4))
    found = prepare(data, validation_split=0.0).data["baseline"]
    assert found["values"] == [2.0]
    assert found["train_mean_absolute_error"] == 1.0 and found["test_mean_absolute_error"] == 3.5


def test_the_baseline_of_labelled_steps_counts_real_steps_alone():
    rows, labels = [[1, 2], [1, 2, 2, 2]], [["a", "b"], ["a", "b", "b", "b"]]
    data = Dataset("d", "tokens", Split(rows * 3, labels * 3))
    prepared = prepare(data, {"timesteps": 8}, validation_split=0.0)
    assert prepared.data["baseline"]["label"] == "b"
    assert prepared.data["baseline"]["train_accuracy"] == pytest.approx(4 / 6)
    padded = baseline(
        prepared.preprocessor, {"train": (np.ones_like(prepared.x_train), prepared.y_train)}
    )
    assert padded["label"] == "a", "padding would count as the first label"


def test_a_licence_that_was_given_is_not_said_to_be_unknown(report):
    assert "under which licence it may be used: not recorded" in card(report)
    text = card(replace(report, options={**report.options, "license": "CC-BY-4.0"}))
    assert "Licence: CC-BY-4.0." in text and "under which licence" not in text
