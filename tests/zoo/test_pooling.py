"""What the head reads of a sequence, and what is dropped while a model is trained."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import layers

from keras_rnn_zoo.builder import MODELS, builder_from_json, get_builder, get_model, list_models
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.layers import SequencePooling, WordDropout
from keras_rnn_zoo.twins import transfer_weights

ZOO = list_models()
TINY = {"units": 3, "embedding_dim": 4, "timesteps": 8, "vocabulary_size": 9}
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(6, 5, 3)).astype("float32")
# Every true length from 0 to 5, and a row with holes.
REAL = np.concatenate([np.arange(5) < np.arange(5)[:, None], [[False, True, False, True, False]]])


def wide(model):
    """Gives a model weights with which it answers different things differently."""
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(size=w.shape) for w in model.get_weights()])
    return model


def pooled(how, sequence, query):
    """Pools one sequence `[steps, features]` as the definition says."""
    if not len(sequence):
        return np.zeros(sequence.shape[1])
    if how == "attention":
        scores = np.exp(sequence @ query)
        return (sequence * scores).sum(axis=0) / scores.sum()
    return sequence.max(axis=0) if how == "max" else sequence.mean(axis=0)


@pytest.mark.parametrize("how", ["max", "mean", "attention"])
def test_pooling_is_that_of_the_steps_that_count(how):
    layer = SequencePooling(how)
    layer.build(X.shape)
    query = GENERATOR.normal(size=(3, 1)).astype("float32")
    layer.set_weights([query] * (how == "attention"))
    # Below zero, so that a masked step that counted as zero would be the maximum.
    for x in (X, X - 10, X + 10):
        expected = [pooled(how, row[real], query) for row, real in zip(x, REAL, strict=True)]
        # 1e-5: float32 sums of other orders.
        np.testing.assert_allclose(layer(x, mask=REAL), expected, atol=1e-5, rtol=1e-5)
        without = [pooled(how, row, query) for row in x]
        np.testing.assert_allclose(layer(x), without, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("how", ["max", "mean", "attention"])
def test_what_masked_steps_hold_does_not_matter(how):
    layer = SequencePooling(how)
    others = np.where(REAL[..., None], X, 1e4).astype("float32")
    np.testing.assert_array_equal(
        layer(others, mask=REAL), layer(np.where(REAL[..., None], X, -1e4), mask=REAL)
    )


def test_another_way_to_pool_is_refused():
    with pytest.raises(ValueError, match=r"max, mean, attention.*'median'"):
        SequencePooling("median")


def padded(x, left, right):
    return np.pad(x, [(0, 0), (left, right), *[(0, 0)] * (x.ndim - 2)])


@pytest.mark.parametrize(
    "name, pooling, features",  # every two of them together
    [
        (name, pooling, (None, 2)[(place + turn) % 2])
        for place, name in enumerate(ZOO)
        for turn, pooling in enumerate(["max", "mean", "attention"])
    ],
)
def test_padding_takes_no_part_in_any_model(name, pooling, features):
    # A linear head: a sigmoid makes much the same of all that is large.
    config = {**TINY, "pooling": pooling, "features": features, "task": "regression"}
    shape = (5, 8) if features is None else (5, 8, features)
    x = GENERATOR.integers(1, 9, shape) if features is None else GENERATOR.normal(size=shape)
    expected = np.asarray(wide(get_model(name, **config))(x))
    assert expected.std() > 1e-3
    # Left of a convolution with a stride, padding by whole windows alone changes nothing.
    left = 4 if name.startswith("conv") else 3
    longer = wide(get_model(name, **{**config, "timesteps": 8 + left + 5}))
    # 1e-5: the same float32 sums.
    np.testing.assert_allclose(longer(padded(x, left, 5)), expected, atol=1e-5)
    unmasked = wide(get_model(name, **{**config, "timesteps": 13, "mask": False}))
    assert np.abs(np.asarray(unmasked(padded(x, 0, 5))) - expected).max() > 1e-4


@pytest.mark.parametrize("pooling", ["max", "mean", "attention"])
@pytest.mark.parametrize("name", ["rnn_cell", "lstm_cell", "gru_cell"])
def test_twins_pool_the_same_once_weights_are_carried_over(name, pooling):
    one, other = (
        get_model(which, **TINY, pooling=pooling, task="regression")
        for which in (name, MODELS.get(name).twin)
    )
    x = GENERATOR.integers(1, 9, (9, 8)) * (np.arange(8) < np.arange(9)[:, None])
    expected = np.asarray(wide(one)(x))
    assert np.abs(np.asarray(other(x)) - expected).max() > 0.01
    transfer_weights(one, other)
    # 1e-5: the same float32 sums.
    np.testing.assert_allclose(np.asarray(other(x)), expected, atol=1e-5)


# That the maximum is not the last step is for `check_model` to say, of every model.
@pytest.mark.parametrize("name", ["bilstm", "gru_cell", "conv_gru"])
def test_each_way_to_pool_answers_otherwise(name):
    x = GENERATOR.integers(1, 9, (5, 8))
    answers = []
    for pooling in ("last", "max", "mean"):
        answers.append(np.asarray(wide(get_model(name, **TINY, pooling=pooling))(x)))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(answers[one] - answers[other]).max() > 1e-4


@pytest.mark.parametrize("name", [name for name in ZOO if not name.startswith("conv")])
def test_the_json_of_an_older_version_is_the_model_that_it_was(name):
    builder = get_builder(name, units=3)
    written = json.loads(builder.to_json())
    for key in ("pooling", "spatial_dropout", "word_dropout", "unknown_id"):
        del written["config"][key]
    assert builder_from_json(json.dumps(written)) == builder
    assert builder.config["pooling"] == "last"


@pytest.mark.parametrize("name", ZOO)
def test_a_task_for_each_step_is_answered_at_each_step(name):
    config = {**TINY, "task": "sequence_labelling", "outputs": 3}
    assert get_model(name, **config).output_shape == (None, 8, 3)
    with pytest.raises(ConfigError, match=r"pooling='max' .*'sequence_labelling'.* 'last'"):
        get_builder(name, **config, pooling="max")


def test_a_stride_and_a_task_for_each_step_are_refused():
    config = {"task": "sequence_labelling", "outputs": 3}
    assert get_builder("conv_gru", **config).config["pool_size"] == 1
    with pytest.raises(ConfigError, match=r"pool_size=2 .*Leave pool_size out"):
        get_builder("conv_gru", **config, pool_size=2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"pooling": "maximum"}, "Did you mean 'max'"),
        ({"spatial_dropout": 1.0}, "spatial_dropout is a number of at least 0 and below 1"),
        ({"word_dropout": 0.1, "features": 2}, "the input is features.*spatial_dropout"),
        ({"word_dropout": 0.1, "unknown_id": 9, "vocabulary_size": 9}, "below vocabulary_size=9"),
    ],
)
def test_what_makes_no_sense_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        get_builder("lstm", **config)


# ------------------------------------------------------------------------------------ dropout


def test_words_are_dropped_in_training_alone_and_padding_stays():
    tokens = np.array([[5] * 900 + [0] * 100], "int32")
    layer = WordDropout(0.2, unknown_id=7, seed=3)
    np.testing.assert_array_equal(layer(tokens), tokens)
    trained = np.asarray(layer(tokens, training=True))
    assert trained.dtype == np.int32
    assert set(trained[0, :900]) == {5, 7} and set(trained[0, 900:]) == {0}
    # 180 of 900 are expected, with a deviation of 12.
    assert 120 < (trained == 7).sum() < 240
    assert (np.asarray(layer(tokens, training=True)) != trained).any()
    with pytest.raises(ValueError, match="below 1"):
        WordDropout(1.0)


def test_dropout_of_words_and_features_is_in_the_model_only_where_it_is_asked_for():
    def kinds(**config):
        return [type(layer).__name__ for layer in get_model("gru", **TINY, **config).layers]

    assert kinds() == ["InputLayer", "Embedding", "GRU", "GRU", "Dense"]
    asked = kinds(word_dropout=0.1, spatial_dropout=0.2)
    assert asked[1:4] == ["WordDropout", "Embedding", "SpatialDropout1D"]
    assert kinds(features=2, spatial_dropout=0.2)[1:3] == ["Masking", "SpatialDropout1D"]


def test_a_model_with_dropout_answers_as_without_and_trains_otherwise():
    x = GENERATOR.integers(0, 9, (5, 8))
    plain = wide(get_model("gru", **TINY, dropout=0.0))
    for setting in ({"word_dropout": 0.5}, {"spatial_dropout": 0.5}):
        model = get_model("gru", **TINY, dropout=0.0, **setting)
        model.set_weights(plain.get_weights())
        np.testing.assert_array_equal(np.asarray(model(x)), np.asarray(plain(x)))
        assert np.abs(np.asarray(model(x, training=True)) - np.asarray(plain(x))).max() > 1e-3


def test_the_layers_are_saved_and_loaded(tmp_path):
    given = keras.Input((8,), dtype="int32")
    x = layers.Embedding(9, 3, mask_zero=True)(WordDropout(0.5, unknown_id=4, seed=1)(given))
    model = wide(keras.Model(given, SequencePooling("attention")(x)))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = GENERATOR.integers(0, 9, (5, 8))
    np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(model(x)))
    assert again.layers[1].get_config() == model.layers[1].get_config()
