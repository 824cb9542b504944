"""Targets are scaled for training, and whoever asks gets answers in the user's units."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split, hold_out
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.splitting import RANGES, split_indices, strata
from keras_rnn_zoo.training.feed import Feed
from keras_rnn_zoo.training.scaling import TargetScaling
from keras_rnn_zoo.training.train import train

GENERATOR = np.random.default_rng(0)
SIGNAL = GENERATOR.normal(size=(240, 6, 2)).astype("float32")
LAST = SIGNAL[:, -1, 0].astype("float64")
TINY = {"units": 8, "layers": 1, "dropout": 0.0}


def model_of(outputs=2, activation=None, use_bias=True, after=None):
    inputs = keras.Input((6, 2), name="features")
    x = keras.layers.GRU(3)(inputs)
    x = keras.layers.Dense(outputs, activation, use_bias=use_bias, name="answer")(x)
    return keras.Model(inputs, x if after is None else after(x))


SCALING = TargetScaling((990.0, -3.0), (8.0, 2e5))


def test_scale_and_mean_go_into_the_weights_of_a_linear_head():
    model = model_of()
    before = model.predict(SIGNAL, verbose=0).astype("float64")
    layers = [layer.name for layer in model.layers]
    assert SCALING.folded(model) is model
    assert [layer.name for layer in model.layers] == layers, "no further ops"
    expected = before * SCALING.scale + SCALING.mean
    # float32 rounds an answer near 990 by 6e-5, one near 2e5 by 0.02.
    np.testing.assert_allclose(model.predict(SIGNAL, verbose=0), expected, rtol=1e-6, atol=0.02)
    again = SCALING.unfolded(model).predict(SIGNAL, verbose=0)
    np.testing.assert_allclose(again, before, atol=2e-5)


@pytest.mark.parametrize(
    "head",
    [
        {"activation": "tanh"},
        {"use_bias": False},
        {"after": keras.layers.LeakyReLU()},
    ],
    ids=str,
)
def test_another_head_gets_a_layer_that_scales(head):
    model = model_of(**head)
    before = model.predict(SIGNAL, verbose=0).astype("float64")
    made = SCALING.folded(model)
    assert type(made.layers[-1]) is keras.layers.Rescaling
    assert [spec.name for spec in made.inputs] == ["features"]
    expected = before * SCALING.scale + SCALING.mean
    np.testing.assert_allclose(made.predict(SIGNAL, verbose=0), expected, rtol=1e-6, atol=0.02)
    np.testing.assert_allclose(SCALING.unfolded(made).predict(SIGNAL, verbose=0), before, atol=1e-6)


def test_a_layer_that_is_called_twice_keeps_its_weights():
    inputs = keras.Input((2,))
    twice = keras.layers.Dense(2)
    model = keras.Model(inputs, twice(twice(inputs)))
    x = SIGNAL[:, 0]
    before = model.predict(x, verbose=0).astype("float64")
    expected = before * SCALING.scale + SCALING.mean
    found = SCALING.folded(model).predict(x, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0.02)


def test_scaled_targets_have_mean_0_and_deviation_1_and_constants_divide_by_no_zero():
    y = np.stack([990 + 8 * LAST, 2e5 * LAST, np.full(240, 7.5), np.zeros(240)], axis=1)
    scaling = TargetScaling.fit(y.astype("float32"))
    scaled = scaling.scaled(y)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0, 0], atol=1e-4)
    assert min(scaling.scale) > 0
    json.dumps(scaling.to_dict(), allow_nan=False)


def test_several_outputs_count_alike_in_the_loss_and_one_is_the_mean_squared_error():
    one = TargetScaling((5.0,), (3.0,))
    assert one.loss(np.array([[5.0], [7.0]]), np.array([[5.0], [5.0]])) == pytest.approx(2.0)
    y = np.zeros((2, 2))
    first, second = (SCALING.loss(np.array([miss, miss]), y) for miss in ([8, 0], [0, 2e5]))
    assert first == pytest.approx(second)


@pytest.mark.parametrize(
    ("mean", "scale"),
    [(990.0, 8.0), (200_000.0, 60_000.0), (180.0, 70.0), (2e-6, 1e-6), (293.0, 0.4)],
    ids=["hPa", "dollars", "glucose", "tiny", "kelvin"],
)
def test_a_regression_learns_in_any_unit_and_is_told_in_it(mean, scale):
    y = mean + scale * LAST
    data = Dataset("r", "features", Split(SIGNAL[:200], y[:200]), Split(SIGNAL[200:], y[200:]))
    run = train("gru", data, config=TINY, epochs=25, learning_rate=0.02, progress=False)
    metrics = run.metrics
    best = min(one["test"]["mean_absolute_error"] for one in run.info["data"]["baselines"])
    assert metrics["test_mean_absolute_error"] < 0.5 * best
    assert run.beats_baseline is True
    answers = np.array([answer["values"][0] for answer in run.predict(SIGNAL[200:])])
    # What is told is what the model that is kept does.
    errors = answers - y[200:]
    assert np.abs(errors).mean() == pytest.approx(metrics["test_mean_absolute_error"], rel=1e-3)
    assert np.square(errors).mean() == pytest.approx(metrics["test_loss"], rel=1e-3)


def test_history_and_progress_are_in_the_users_units(capsys):
    data = Dataset("r", "features", Split(SIGNAL, 1000 + 50 * LAST))
    fitted = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            fitted.append(dict(logs))

    run = train("gru", data, config=TINY, epochs=3, learning_rate=0.01, callbacks=[Watch()])
    best = run.metrics["best_epoch"] - 1
    told = fitted[best]
    for name in ("loss", "mean_absolute_error"):
        expected = pytest.approx(run.metrics[f"validation_{name}"], rel=1e-4)
        assert told[f"val_{name}"] == expected
    assert told["val_mean_absolute_error"] > 5, "the deviation is 50"
    assert (
        f"val_mean_absolute_error {told['val_mean_absolute_error']:.4f}" in capsys.readouterr().err
    )


def test_two_outputs_of_very_different_scale_are_both_learnt():
    y = np.stack([990 + 8 * LAST, 2e5 * SIGNAL[:, -1, 1]], axis=1)
    data = Dataset("r", "features", Split(SIGNAL[:200], y[:200]), Split(SIGNAL[200:], y[200:]))
    run = train("gru", data, config=TINY, epochs=30, learning_rate=0.02, progress=False)
    errors = np.array(run.evaluation["test"]["mean_absolute_errors"])
    assert (errors < 0.4 * y[200:].std(axis=0)).all()
    assert run.metrics["test_mean_absolute_error"] == pytest.approx(errors.mean())


@pytest.mark.usefixtures("eager")
def test_constant_targets_are_answered_and_not_divided_by():
    data = Dataset("r", "features", Split(SIGNAL, np.full(240, 37.5)))
    run = train("rnn", data, config=TINY, epochs=2, progress=False)
    assert run.metrics["validation_mean_absolute_error"] < 0.5
    assert run.beats_baseline is False, "the mean is right, and nothing beats that"


@pytest.mark.usefixtures("eager")
def test_targets_beyond_float32_are_refused_and_leave_nothing(tmp_path):
    y = np.full(240, 3.3e38) * np.where(np.arange(240) % 2, 1, -1)
    data = Dataset("w", "features", Split(SIGNAL, y))
    with pytest.raises(DataError, match="larger unit"):
        TargetScaling.fit(y[:, None]).folded(big_head())
    train("rnn", data, config=TINY, epochs=1, progress=False)  # so large, and still float32


def big_head():
    model = model_of(outputs=1)
    model.layers[-1].set_weights([np.full((3, 1), 9.0), np.full(1, 9.0)])
    return model


@pytest.mark.usefixtures("eager")
def test_a_saved_run_has_no_custom_objects(tmp_path):
    data = Dataset("r", "features", Split(SIGNAL, LAST * 9 + 100))
    train("rnn", data, config=TINY, epochs=1, output=tmp_path / "run", progress=False)
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert model.predict(SIGNAL, verbose=0).mean() == pytest.approx(100, abs=30)
    assert len(model.optimizer.variables) > 2, "training can go on"


# ---------------------------------------------------------------------- splitting


def test_targets_are_held_out_over_their_range():
    y = np.exp(np.linspace(0, 9, 400))[np.random.default_rng(1).permutation(400)]
    kept, held = split_indices(y, 0.1, seed=3)
    assert len(held) == 40 and len(set(kept) & set(held)) == 0
    tenths = np.bincount(strata(y)[held], minlength=RANGES)
    assert tenths.tolist() == [4] * RANGES
    assert np.bincount(strata(np.stack([y, 1e9 - 1e5 * y], axis=1))).sum() == 400


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 11, 19, 25])
def test_few_targets_can_be_split_as_well(rows):
    kept, held = split_indices(np.arange(rows) * 1.5, 0.1)
    assert len(held) == max(1, round(rows / 10)) and len(kept) + len(held) == rows
    assert len(split_indices(np.full(rows, 3.5), 0.1)[1]) == max(1, round(rows / 10))


@pytest.mark.usefixtures("eager")
def test_whole_numbers_and_texts_of_numbers_are_split_as_targets_where_the_task_says_so():
    whole = Dataset("d", "features", Split(SIGNAL, np.arange(240)), task="regression")
    assert len(hold_out(whole, 0.2).test) == 48
    run = train("rnn", whole, config=TINY, epochs=1, task="regression", progress=False)
    assert run.info["data"]["rows"]["validation"] == 24
    texts = Split([f"word{i % 7} fine {i}" for i in range(60)], [f"{i}.25" for i in range(60)])
    prices = Dataset("p", "text", texts)
    run = train("rnn", prices, config={**TINY, "timesteps": 3}, epochs=1, task="regression")
    assert run.info["data"]["rows"]["validation"] == 6


def test_a_feed_leaves_the_targets_that_it_was_given():
    y = (5 + 3 * LAST[:, None]).astype("float32")
    feed = Feed.of("regression", 1, (SIGNAL, y), (SIGNAL, y))
    arrays = feed.arrays()
    assert abs(float(arrays["y"].mean())) < 1e-5 and arrays["sample_weight"] is None
    np.testing.assert_array_equal(arrays["validation_data"][1], arrays["y"])
    assert y.mean() > 4
