"""Figures of answers, held against scikit-learn's."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.training.feed import Feed
from keras_rnn_zoo.training.metrics import (
    DIRECTIONS,
    OF_LABELS,
    better,
    by_label,
    scores,
    validation_scores,
)

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 200)
PROBABILITIES = RNG.dirichlet([1, 1, 1], 200) * 0.5 + np.eye(3)[Y] * 0.5 * RNG.random((200, 1))
PROBABILITIES /= PROBABILITIES.sum(axis=1, keepdims=True)


def test_figures_of_labels_are_those_of_scikit_learn():
    found = scores(PROBABILITIES, Y, "multiclass")
    decided = PROBABILITIES.argmax(axis=1)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(Y, decided),
        "f1": sklearn_metrics.f1_score(Y, decided, average="macro"),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(Y, decided),
        "auc": sklearn_metrics.roc_auc_score(Y, PROBABILITIES, multi_class="ovr"),
    }
    assert found == pytest.approx(expected)
    each = by_label(PROBABILITIES, Y, ("a", "b", "c"))
    assert each["confusion"] == sklearn_metrics.confusion_matrix(Y, decided).tolist()
    report = sklearn_metrics.classification_report(
        Y, decided, target_names=["a", "b", "c"], output_dict=True
    )
    for name, one in each["labels"].items():
        assert one["precision"] == pytest.approx(report[name]["precision"])
        assert one["recall"] == pytest.approx(report[name]["recall"])
        assert one["f1"] == pytest.approx(report[name]["f1-score"])
        assert one["rows"] == report[name]["support"]


def test_one_probability_is_that_of_the_second_label():
    y = (Y == 2).astype(int)
    outputs = PROBABILITIES[:, 2:]
    found = scores(outputs, y, "binary")
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(y, outputs[:, 0]))
    assert found["accuracy"] == pytest.approx(((outputs[:, 0] > 0.5) == y).mean())
    assert np.sum(by_label(outputs, y, ("no", "yes"))["confusion"]) == 200


def test_always_the_same_answer_is_worth_what_it_is_worth():
    y = np.r_[np.zeros(196, int), np.ones(4, int)]
    found = scores(np.full((200, 1), 0.01), y, "binary")
    assert found["accuracy"] == 0.98 and found["balanced_accuracy"] == 0.5 and found["auc"] == 0.5
    assert found["f1"] < 0.5
    assert scores(np.full((9, 1), 0.01), np.zeros(9, int), "binary")["auc"] is None


def test_padded_steps_do_not_count():
    outputs = np.eye(2)[[[0, 1, 0], [1, 1, 0]]]
    y = np.array([[0, 1, 1], [1, 0, 1]])
    real = np.array([[True, True, False], [True, True, False]])
    assert scores(outputs, y, "sequence_labelling", real)["accuracy"] == 0.75
    assert scores(outputs, y, "sequence_labelling")["accuracy"] == 0.5
    assert np.sum(by_label(outputs, y, ("a", "b"), real)["confusion"]) == 4


def test_errors_are_in_the_units_of_the_targets_and_less_is_better():
    found = scores(np.array([[1.0], [3.0]]), np.array([[2.0], [5.0]]), "regression")
    assert found == {"mean_absolute_error": 1.5}
    assert better("mean_absolute_error", 1.0, 2.0) and not better("mean_absolute_error", 2.0, 2.0)
    assert better("f1", 0.6, 0.5) and not better("f1", 0.5, 0.5)
    assert set(OF_LABELS) <= set(DIRECTIONS)


def test_an_epoch_can_be_chosen_by_what_keras_does_not_compute():
    x = RNG.normal(size=(60, 4)).astype("float32")
    y = (x[:, 0] > 0.8).astype("int32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    history = model.fit(
        x, y, epochs=2, verbose=0, callbacks=[validation_scores(x, y, "binary")]
    ).history
    expected = scores(model.predict(x, verbose=0), y, "binary")
    for name in OF_LABELS:
        assert len(history[f"val_{name}"]) == 2
        assert history[f"val_{name}"][-1] == pytest.approx(expected[name])


def test_balanced_weights_give_each_label_the_same_in_all():
    y = np.r_[np.zeros(90, int), np.ones(10, int)]
    x = np.ones((100, 3, 1), "float32")
    feed = Feed.of("binary", 1, (x, y), (x[:5], y[:5]), "balanced")
    arrays = feed.arrays()
    weights = arrays["sample_weight"]
    assert weights[y == 0].sum() == pytest.approx(50) and weights[y == 1].sum() == pytest.approx(50)
    assert len(arrays["validation_data"]) == 3
    assert Feed.of("binary", 1, (x, y)).arrays()["sample_weight"] is None
    steps = np.tile([0, 0, 1], (100, 1))
    padded = np.tile([[1.0], [1.0], [0.0]], (100, 1, 1))
    feed = Feed.of("sequence_labelling", 2, (padded, steps), None, "balanced")
    assert feed.weights.tolist() == [1.0, 0.0], "padding is no label"
    with pytest.raises(ConfigError, match="weighs labels, and the task 'regression' has none"):
        Feed.of("regression", 1, (x, y[:, None] * 1.0), None, "balanced")
