"""A model stands beside what a fool gets: the most frequent answer, the last value, words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split, windows
from keras_rnn_zoo.training.baseline import best_of, sentences, verdict
from keras_rnn_zoo.training.prepare import prepare
from keras_rnn_zoo.training.train import train

TINY = {"units": 4, "layers": 1, "embedding_dim": 4, "timesteps": 6}


def found(data, **options):
    config = {"timesteps": 6} if data.kind != "features" else {}
    return {one["name"]: one for one in prepare(data, config, **options).data["baselines"]}


def test_the_better_of_mean_and_median_is_named():
    # A few large targets: the median has the smaller absolute error.
    y = np.where(np.arange(100) % 10, 1.5, 200.5)
    x = np.ones((100, 3, 1), "float32")
    baselines = found(Dataset("r", "features", Split(x, y)))
    assert set(baselines) == {"mean", "median"}
    assert "1.5" in baselines["median"]["text"]
    best, figure = best_of(list(baselines.values()), "validation", "mean_absolute_error")
    assert best["name"] == "median" and figure == pytest.approx(19.9)


def test_a_bag_of_words_finds_words_and_no_order():
    words = ["good", "fine", "bad", "poor"]
    rng = np.random.default_rng(0)
    rows = [" ".join(rng.choice(words[:2] if i % 2 else words[2:], 40)) for i in range(200)]
    labels = ["pos" if i % 2 else "neg" for i in range(200)]
    baselines = found(Dataset("t", "text", Split(rows, labels)))
    assert list(baselines) == ["majority", "bag of words"]
    assert baselines["bag of words"]["validation"]["accuracy"] == 1.0
    assert baselines["majority"]["validation"]["accuracy"] == 0.5
    assert baselines["majority"]["validation"]["auc"] == 0.5
    # Which of two words comes first is nothing that it sees.
    order = ["good bad" if i % 2 else "bad good" for i in range(200)]
    baselines = found(Dataset("t", "text", Split(order, labels)))
    assert baselines["bag of words"]["validation"]["accuracy"] < 0.7
    assert list(found(Dataset("t", "text", Split(rows, labels)), baseline=False)) == ["majority"]


def test_a_bag_of_words_knows_words_that_no_spaces_separate():
    signs = {"pos": "好美香", "neg": "坏差贵"}
    rng = np.random.default_rng(0)
    labels = ["pos" if i % 2 else "neg" for i in range(200)]
    # No two texts are the same; a bag of whole sentences could only guess.
    rows = ["".join(rng.choice(list("的一是我了" + signs[label]), 20)) for label in labels]
    dataset = Dataset("signs", "text", Split(rows, labels))
    assert found(dataset)["bag of words"]["validation"]["accuracy"] > 0.9


def test_a_bag_of_words_answers_prices_and_token_ids():
    rng = np.random.default_rng(1)
    x = rng.integers(1, 9, (150, 6))
    data = Dataset("p", "tokens", Split(x, (x == 3).sum(axis=1) * 1000.0 + 0.5))
    baselines = found(data)
    bag, mean = (
        baselines[name]["validation"]["mean_absolute_error"] for name in ("bag of words", "mean")
    )
    assert bag < 0.6 * mean


def test_words_of_one_letter_are_words():
    data = Dataset("t", "text", Split(["a", "I"] * 20, ["x", "y"] * 20))
    assert found(data)["bag of words"]["validation"]["accuracy"] == 1.0


def test_labels_of_steps_stand_beside_the_label_that_each_word_mostly_has():
    rows = [[1, 2, 3], [2, 1], [3, 3, 1]] * 10
    labels = [[str(i % 2) for i in row] for row in rows]
    baselines = found(Dataset("d", "tokens", Split(rows, labels)))
    each = baselines["most frequent label of each word"]
    assert each["validation"]["accuracy"] == 1.0
    assert baselines["majority"]["train"]["accuracy"] < 1.0


def test_forecasts_stand_beside_the_last_value_and_the_season():
    # Of two columns the second comes again after four steps, but for a slow drift.
    time = np.arange(200)
    table = {"a": time * 0.5, "b": np.sin(time * np.pi / 2) * 10 + time * 0.01}
    data = windows(table, window=6, horizon=2, period=4, label_column="b")
    baselines = found(data)
    seasonal = baselines["seasonal"]["validation"]["mean_absolute_error"]
    assert seasonal == pytest.approx(0.04, abs=1e-4)
    everything = found(data, validation_split=0.0)["last value"]["train"]
    expected = np.abs(data.train.x[:, -1:, 1] - data.train.y).mean()
    assert everything["mean_absolute_error"] == pytest.approx(expected, rel=1e-4)
    json.dumps(list(baselines.values()), allow_nan=False)
    # Windows that are shorter than the period have no season.
    assert "seasonal" not in found(windows(table, window=3, horizon=2, period=4))


def test_each_step_of_a_forecast_has_its_own_season():
    data = windows({"v": np.arange(60.0)}, window=5, horizon=3, period=2)
    baselines = found(data)
    # Steps 1 to 3 are off by 1, 2 and 3 from the last value; a season is two steps, then four.
    assert baselines["last value"]["validation"]["mean_absolute_error"] == pytest.approx(2.0)
    assert baselines["seasonal"]["validation"]["mean_absolute_error"] == pytest.approx(8 / 3)


# ---------------------------------------------------------------------- the verdict

MAJORITY = {
    "name": "majority",
    "text": "always 'ok', the most frequent training label",
    "train": {"accuracy": 0.9, "balanced_accuracy": 0.5},
    "validation": {"accuracy": 0.98, "balanced_accuracy": 0.5},
    "test": None,
}


@pytest.mark.parametrize(("accuracy", "beats"), [(0.98, False), (0.97, False), (0.981, True)])
def test_what_is_no_better_than_the_baseline_is_said(accuracy, beats):
    judged = verdict(
        {"validation_accuracy": accuracy, "test_accuracy": None}, [MAJORITY], "accuracy", "ok"
    )
    assert judged["beats_baseline"] is beats and judged["part"] == "validation"
    text = sentences(judged)
    assert text.startswith("Better" if beats else "No better than the baseline: accuracy 9")
    assert "98.00 %" in text and ("every row with 'ok'" in text) is not beats
    assert ("class_weight balanced" in text) is not beats


def test_labels_of_which_none_is_rare_need_no_balance():
    even = {**MAJORITY, "validation": {"accuracy": 0.5}}
    text = sentences(verdict({"validation_accuracy": 0.5}, [even], "accuracy", "ok"))
    assert "every row with 'ok'" in text and "class_weight" not in text


def test_an_error_beats_where_it_is_smaller():
    mean = {"name": "mean", "text": "t", "test": {"mean_absolute_error": 3.0}}
    for error, beats in ((2.9, True), (3.0, False), (3.1, False)):
        judged = verdict({"test_mean_absolute_error": error}, [mean], "mean_absolute_error")
        assert judged["beats_baseline"] is beats
    assert verdict({}, [mean], "mean_absolute_error") is None
    assert verdict({"test_accuracy": 1.0}, [], "accuracy") is None


def rare(signal, rows=300):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4, 1)).astype("float32")
    y = np.where(np.arange(rows) % 30, "ok", "fault")
    x[y == "fault"] += signal
    return Dataset("faults", "features", Split(x, y.tolist()))


def test_a_model_that_always_answers_the_same_is_told_to():
    config = TINY | {"timesteps": 4, "dropout": 0.0}
    run = train("rnn", rare(0.0), config=config, epochs=10, learning_rate=0.01, progress=False)
    judged = run.info["verdict"]
    assert judged["always"] == "ok" and run.beats_baseline is False
    assert "class_weight balanced" in sentences(judged)
    each = run.evaluation["validation"]["labels"]
    assert each["fault"] == {"rows": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    json.dumps(run.info, allow_nan=False)


def test_balanced_labels_find_the_rare_one():
    config = {"units": 8, "layers": 1, "dropout": 0.0}
    run = train(
        "rnn",
        rare(2.5),
        config=config,
        epochs=30,
        learning_rate=0.01,
        class_weight="balanced",
        validation_split=0.2,
        progress=False,
    )
    assert run.info["verdict"]["measure"] == "balanced_accuracy" and run.beats_baseline
    assert run.metrics["validation_balanced_accuracy"] > 0.9
    assert run.evaluation["validation"]["labels"]["fault"]["recall"] == 1.0
