"""A forecast goes on from the last values: what a model reads, starts from and is trained on."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_rnn_zoo import get_builder, get_model, train, transfer_weights, windows
from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.training.feed import Feed
from keras_rnn_zoo.training.prepare import prepare
from keras_rnn_zoo.training.scaling import LastValues, TargetScaling

GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(6, 8, 3)).astype("float32")
FORECAST = {
    "features": 3,
    "timesteps": 8,
    "task": "regression",
    "outputs": 4,
    "units": 3,
    "layers": 1,
    "dropout": 0.0,
    "autoregression": "2+0",
}
SCALING = np.array([[100.0, 0.0, -7.0], [20.0, 1.0, 0.1]])  # mean and scale of each feature
WALK = 100 + np.cumsum(np.random.default_rng(5).normal(size=260))


def last_values(x, steps_ahead=2):
    return np.tile(x[:, -1][:, [2, 0]], steps_ahead)


def disturbed(model):
    generator = np.random.default_rng(1)
    trained = {id(weight) for weight in model.trainable_weights}
    for weight in model.weights:
        if id(weight) in trained:
            weight.assign(generator.normal(size=weight.shape))
    return model


def test_a_fresh_model_answers_the_last_values_that_are_no_padding():
    model = get_model("gru", **FORECAST)
    np.testing.assert_array_equal(model(ROWS), last_values(ROWS))
    padded = ROWS.copy()
    padded[:, 5:] = 0
    np.testing.assert_array_equal(model(padded), last_values(padded[:, :5]))
    np.testing.assert_array_equal(model(np.zeros_like(ROWS)), np.zeros((6, 4)))
    unmasked = get_model("gru", **FORECAST, mask=False)
    np.testing.assert_array_equal(unmasked(padded), np.zeros((6, 4)))


def test_a_series_that_is_higher_is_answered_higher_and_not_otherwise():
    shifted = ROWS + 50
    model = disturbed(get_model("gru", **FORECAST))
    # 1e-4: float32 has steps of 4e-6 at 50, and sums of 24 of them are multiplied.
    np.testing.assert_allclose(model(shifted), np.asarray(model(ROWS)) + 50, atol=1e-4)
    without = disturbed(get_model("gru", **{**FORECAST, "autoregression": None}))
    assert np.abs(np.asarray(without(shifted)) - np.asarray(without(ROWS)) - 50).min() > 10


def test_padding_at_either_side_changes_nothing():
    padded = np.concatenate([ROWS[:, :5], np.zeros_like(ROWS[:, :3])], axis=1)
    short = {**FORECAST, "timesteps": 5}
    model, other = (disturbed(get_model("gru", **one)) for one in (FORECAST, short))
    kernel = np.zeros(model.get_layer("forecast").kernel.shape)
    path = np.asarray(other.get_layer("forecast").kernel)
    kernel[: len(path)] = path
    other.get_layer("answer").set_weights(model.get_layer("answer").get_weights())
    model.get_layer("forecast").kernel.assign(kernel)
    np.testing.assert_allclose(model(padded), other(ROWS[:, :5]), atol=1e-5)
    left = np.concatenate([np.zeros_like(ROWS[:, :3]), ROWS[:, :5]], axis=1)
    model.get_layer("forecast").kernel.assign(np.roll(kernel, 6, axis=0))
    np.testing.assert_allclose(model(left), other(ROWS[:, :5]), atol=1e-5)


def test_twins_and_saved_models_answer_the_same(tmp_path):
    cells = disturbed(get_model("gru_cell", **FORECAST))
    layers = get_model("gru", **FORECAST)
    transfer_weights(cells, layers)
    np.testing.assert_allclose(layers(ROWS), cells(ROWS), atol=1e-5)
    layers.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(ROWS), layers(ROWS))
    with pytest.raises(ConfigError, match="no twins"):
        transfer_weights(cells, get_model("gru", **{**FORECAST, "autoregression": None}))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"autoregression": "0,2"}, "0\\+2"),
        ({"autoregression": "passengers"}, "numbers of features"),
        ({"autoregression": "3"}, "from 0 to 2"),
        ({"autoregression": "0+1+2"}, "as far ahead"),
        ({"task": "multiclass"}, "regression"),
        ({"features": None}, "features"),
    ],
    ids=str,
)
def test_what_cannot_be_forecast_is_refused(config, words):
    get_builder("gru", **FORECAST)
    with pytest.raises(ConfigError, match=words):
        get_builder("gru", **{**FORECAST, **config})


# ---------------------------------------------------------------------- scaling


@pytest.mark.parametrize("name", ["gru", "bilstm"])
def test_targets_are_scaled_by_their_changes_and_folded_back_into_the_weights(name):
    last = LastValues.of(FORECAST, SCALING)
    y = np.tile(last(ROWS), 2) + GENERATOR.normal(size=(6, 4)) * [1e-3, 2, 1e-3, 2]
    scaling = TargetScaling.fit(y, ROWS, last)
    assert np.all(scaling.scale < np.array([0.01, 5, 0.01, 5])), "of the changes, not of the values"
    model = get_model(name, **FORECAST)
    scaling.begun(model)
    expected = np.tile(ROWS[:, -1][:, [2, 0]] * [0.1, 20] + [-7, 100], 2)
    # 1e-3 of the scale: float32 rounds values of a hundred scales.
    np.testing.assert_allclose(model(ROWS), scaling.scaled(expected), rtol=1e-5, atol=1e-3)
    before = np.asarray(disturbed(model)(ROWS), np.float64)
    folded = scaling.folded(model)
    assert folded is model, "no further ops"
    answers = before * scaling.scale + scaling.mean
    np.testing.assert_allclose(folded(ROWS), answers, rtol=1e-5)
    np.testing.assert_allclose(scaling.unfolded(folded)(ROWS), before, rtol=1e-4, atol=1e-3)


def test_the_last_values_of_encoded_rows_are_those_that_the_model_goes_on_from():
    padded = ROWS.copy()
    padded[:3, 4:] = 0
    for masked in (True, False):
        config = {**FORECAST, "mask": masked}
        found = np.tile(LastValues.of(config, np.array([[0.0] * 3, [1.0] * 3]))(padded), 2)
        np.testing.assert_array_equal(found, get_model("gru", **config)(padded))
    assert LastValues.of({}, SCALING) is None


def test_other_regressions_are_scaled_as_ever():
    y = GENERATOR.normal(size=(6, 2)) * 9 + 4
    feed = Feed.of("regression", 2, (ROWS, y))
    assert feed.scaling == TargetScaling.fit(y) and not feed.scaling.gain
    np.testing.assert_allclose(feed.scaling.scale, y.std(axis=0))


# ---------------------------------------------------------------------- what data say


def test_data_for_a_forecast_say_it_and_the_user_may_switch_it_off():
    table = {"a": WALK, "b": WALK[::-1], "c": np.sin(np.arange(260.0))}
    data = windows(table, window=8, horizon=2, label_column=["c", "a"])
    prepared = prepare(data)
    assert prepared.builder("gru").config["autoregression"] == "2+0"
    assert prepared.builder("gru", {"autoregression": None}).config["autoregression"] is None
    with pytest.raises(ConfigError, match="contradicts the data"):
        prepared.builder("gru", {"autoregression": "0+1"})
    # What is forecast is not read: there is no last value to go on from.
    data = windows(table, window=8, horizon=2, value_columns=["a", "b"], label_column="c")
    assert prepare(data).builder("gru").config["autoregression"] is None
    labelled = windows({**table, "label": WALK}, window=8, label_column="label", label_at="last")
    for other in (labelled, Dataset("r", "features", Split(ROWS, np.arange(6) * 1.5))):
        prepared = prepare(other, task="regression")
        assert prepared.builder("gru").config["autoregression"] is None
        with pytest.raises(ConfigError, match="contradicts the data"):
            prepared.builder("gru", {"autoregression": "0"})


def test_where_nothing_beats_the_last_value_a_model_is_hardly_worse_and_was_much_worse():
    data = windows({"price": WALK}, window=8, horizon=1)
    small = {"units": 4, "layers": 1}
    found = {}
    for name, off in (("with", {}), ("without", {"autoregression": None})):
        run = train("rnn", data, config={**small, **off}, epochs=2, progress=False)
        found[name] = run.metrics["test_mean_absolute_error"]
    (naive,) = (one for one in run.info["data"]["baselines"] if one["name"] == "last value")
    naive = naive["test"]["mean_absolute_error"]
    # A tenth: what a few epochs of noise teach a linear path of 8 steps.
    assert found["with"] < 1.1 * naive < 2 * naive < found["without"]
