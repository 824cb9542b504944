"""Any number of labels at once: a probability for each of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from keras_rnn_zoo.data import Dataset, Split, load_data
from keras_rnn_zoo.errors import ConfigError, DataError
from keras_rnn_zoo.preprocessing.labels import label_sets
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.training.metrics import by_label_of_several, scores
from keras_rnn_zoo.training.prepare import prepare
from keras_rnn_zoo.training.train import train

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5, 2)).astype("float32")
HOT = (X.mean(axis=1) > 0).astype(int)
NAMES = [[name for name, one in zip(("left", "right"), row, strict=True) if one] for row in HOT]


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (HOT, ("0", "1")),
        (HOT.astype("float32"), ("0", "1")),
        (NAMES, ("left", "right")),
        ([" ; ".join(names) or ";" for names in NAMES], ("left", "right")),
    ],
    ids=["array", "floats", "lists", "texts"],
)
def test_labels_of_a_row_are_named_in_three_ways(y, labels):
    data = Dataset("d", "features", Split(X, y))
    made = Preprocessor.fit(data, task="multilabel")
    assert made.labels == labels and made.outputs == 2
    np.testing.assert_array_equal(made.encode_labels(y), HOT)
    again = Preprocessor.from_dict(json.loads(json.dumps(made.to_dict())), ".")
    assert again == made


def test_answers_are_the_labels_above_one_half():
    made = Preprocessor.fit(Dataset("d", "features", Split(X, NAMES)), task="multilabel")
    first, second = made.decode(np.array([[0.9, 0.6], [0.5, 0.1]]))
    assert first == {"labels": ["left", "right"], "scores": {"left": 0.9, "right": 0.6}}
    assert second["labels"] == []


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([["a"], [1, 2]], "Row 2 has the labels"),
        ([3, 4], "Row 1 has the labels 3"),
        (["a", "a"], "takes at least two. Write ';' between"),
        (np.array([[0, 2], [1, 0]]), "Row 1"),
    ],
    ids=str,
)
def test_what_is_no_set_of_labels_is_refused(y, message):
    with pytest.raises(DataError, match=message):
        Preprocessor.fit(Dataset("d", "features", Split(X[:2], y)), task="multilabel")
    made = Preprocessor.fit(Dataset("d", "features", Split(X, NAMES)), task="multilabel")
    with pytest.raises(DataError, match="'lfet', which the training data do not have"):
        made.encode_labels(["left;lfet"])


def test_figures_are_those_of_scikit_learn():
    outputs = np.clip(HOT * 0.4 + RNG.random(HOT.shape) * 0.6, 0, 1)
    found = scores(outputs, HOT, "multilabel")
    decided = outputs > 0.5
    assert found["accuracy"] == pytest.approx((decided == HOT).mean())
    assert found["f1"] == pytest.approx(sklearn_metrics.f1_score(HOT, decided, average="macro"))
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(HOT, outputs))
    balanced = [sklearn_metrics.balanced_accuracy_score(HOT[:, i], decided[:, i]) for i in (0, 1)]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(balanced))
    each = by_label_of_several(outputs, HOT, ("l", "r"))["labels"]
    assert each["l"]["recall"] == pytest.approx(
        sklearn_metrics.recall_score(HOT[:, 0], decided[:, 0])
    )


def test_several_labels_are_learnt_and_answered(tmp_path):
    data = Dataset("d", "features", Split(X, NAMES), Split(X[:40], NAMES[:40]))
    run = train(
        "gru",
        data,
        config={"units": 8, "layers": 1, "dropout": 0.0},
        task="multilabel",
        epochs=20,
        learning_rate=0.03,
        output=tmp_path / "run",
        progress=False,
    )
    assert run.metrics["test_accuracy"] > 0.85 and run.beats_baseline
    assert (tmp_path / "run" / "labels.txt").read_text() == "left\nright\n"
    answers = run.predict(X[:40])
    right = np.mean([set(a["labels"]) == set(b) for a, b in zip(answers, NAMES[:40], strict=True)])
    assert right > 0.7
    # Keras' own figure is that of the answers.
    decided = np.array([[one["scores"][k] > 0.5 for k in ("left", "right")] for one in answers])
    assert run.metrics["test_accuracy"] == pytest.approx((decided == HOT[:40]).mean(), abs=1e-6)
    assert run.evaluation["test"]["labels"]["left"]["rows"] == HOT[:40, 0].sum()
    with pytest.raises(ConfigError, match="may have several"):
        train("gru", data, task="multilabel", class_weight="balanced", progress=False)


def test_a_table_has_labels_with_semicolons_and_texts_a_bag_of_words(tmp_path):
    lines = ["text,label"]
    for i in range(60):
        words = [["dog"], ["cat"], ["dog", "cat"]][i % 3]
        lines.append(f"the {' and a '.join(words)} number{i},{';'.join(words)}")
    place = tmp_path / "pets.csv"
    place.write_text("\n".join(lines) + "\n")
    prepared = prepare(load_data(place, task="multilabel"), {"timesteps": 6})
    bag = {one["name"]: one for one in prepared.data["baselines"]}["bag of words"]
    assert bag["validation"]["accuracy"] == 1.0
    assert prepared.preprocessor.labels == ("cat", "dog")
    assert label_sets([" a ;b;"]) == [["a", "b"]]
