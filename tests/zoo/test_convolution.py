"""A convolution and a pooling over time that know which steps count."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from keras_rnn_zoo.builder import get_builder, get_model
from keras_rnn_zoo.layers import MaskedConv1D, MaskedMaxPooling1D

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(3, 10, 2)).astype("float32")


def test_without_a_mask_they_are_those_of_keras():
    one = MaskedConv1D(4, 3, activation="relu")
    other = layers.Conv1D(4, 3, activation="relu", padding="same")
    one.build(X.shape), other.build(X.shape)
    other.set_weights(one.get_weights())
    np.testing.assert_array_equal(one(X), other(X))
    for size in (1, 2, 5):
        np.testing.assert_array_equal(MaskedMaxPooling1D(size)(X), layers.MaxPooling1D(size)(X))


def test_steps_that_fill_no_window_are_pooled_too():
    received = np.asarray(MaskedMaxPooling1D(4)(X))
    expected = [X[:, :4].max(axis=1), X[:, 4:8].max(axis=1), X[:, 8:].max(axis=1)]
    np.testing.assert_array_equal(received, np.stack(expected, axis=1))


def test_masked_steps_take_no_part_and_a_window_of_them_is_masked():
    mask = np.array([[1, 1, 1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 1, 1, 1, 1, 1, 1], [0] * 10]) > 0
    layer = MaskedMaxPooling1D(4)
    received = np.asarray(layer(X - 10, mask=mask))
    real = np.asarray(layer.compute_mask(X, mask))
    np.testing.assert_array_equal(
        real, [[True, False, False], [True, True, True], [False, False, False]]
    )
    lowest = np.where(mask[..., None], X - 10, -np.inf)
    expected = np.stack([lowest[:, at : at + 4].max(axis=1) for at in (0, 4, 8)], axis=1)
    np.testing.assert_array_equal(received[real], expected[real])

    convolution = MaskedConv1D(4, 3, bias_initializer="ones")
    answers = np.asarray(convolution(np.where(mask[..., None], X, 1e3), mask=mask))
    assert not answers[~mask].any()
    np.testing.assert_allclose(answers[0, :3], convolution(X[:1, :3])[0], atol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"padding": "valid"}, {"strides": 2}, {"data_format": "channels_first"}]
)
def test_a_convolution_that_would_lose_the_mask_is_refused(settings):
    with pytest.raises(ValueError, match="keeps all steps"):
        MaskedConv1D(4, 3, **settings)


def test_a_pooling_of_an_open_number_of_steps_or_of_none_is_refused():
    with pytest.raises(ValueError, match="fixed number of time steps"):
        MaskedMaxPooling1D(2)(keras.Input((None, 3)))
    with pytest.raises(ValueError, match="at least 1"):
        MaskedMaxPooling1D(0)


def test_conv_gru_is_the_network_of_the_paper_by_default():
    model = get_model("conv_gru")
    assert [type(layer).__name__ for layer in model.layers] == [
        "InputLayer",
        "Embedding",
        "MaskedConv1D",
        "MaskedMaxPooling1D",
        "Bidirectional",
        "SequencePooling",
        "Dropout",
        "Dense",
    ]
    assert model.input_shape == (None, 400)
    assert model.layers[3].output.shape == (None, 100, 64)
    # Embedding; convolution; two directions of 3 gates with two biases; head.
    convolution, recurrence = 64 * (5 * 32 + 1), 2 * 3 * 64 * (64 + 64 + 2)
    assert model.count_params() == 10_000 * 32 + convolution + recurrence + 129


@pytest.mark.parametrize("name", ["conv_gru", "conv_lstm"])
def test_one_direction_without_a_stride_is_another_model(name):
    config = {"timesteps": 6, "bidirectional": False, "pool_size": 1, "pooling": "last"}
    kinds = [type(layer).__name__ for layer in get_model(name, **config).layers]
    assert kinds[2:] == ["MaskedConv1D", name[5:].upper(), "Dropout", "Dense"]


def test_its_space_leaves_out_what_a_task_or_an_input_does_not_have():
    import keras_tuner

    def names(**config):
        space = keras_tuner.HyperParameters()
        get_builder("conv_gru", **config).search_space(space)
        return set(space.values)

    assert {"pooling", "pool_size", "word_dropout", "filters"} <= names()
    assert not {"word_dropout", "embedding_dim"} & names(features=3)
    assert not {"pooling", "pool_size"} & names(task="sequence_labelling", outputs=3)
