import keras
import numpy as np
import pytest
from keras import layers

from keras_rnn_zoo.builder import MODELS, get_model, list_models
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.twins import transfer_weights

PAIRS = [(name, MODELS.get(name).twin) for name in list_models() if MODELS.get(name).twin]
TINY = {"units": 4, "embedding_dim": 3, "timesteps": 8, "vocabulary_size": 9}


def inputs(features):
    """Every true length from 0 to T on the right, on the left, and with holes."""
    generator = np.random.default_rng(0)
    real = np.concatenate(
        [
            np.arange(8) < np.arange(9)[:, None],
            np.arange(8) >= np.arange(9)[:, None],
            generator.random((4, 8)) > 0.5,
        ]
    )
    if features is None:
        return generator.integers(1, 9, real.shape) * real
    return (generator.normal(size=(*real.shape, features)) * real[..., None]).astype(np.float32)


def test_every_cell_loop_has_a_layer_twin_and_both_say_so():
    assert {("rnn_cell", "rnn"), ("lstm_cell", "lstm"), ("gru_cell", "gru")} <= set(PAIRS)
    assert all((twin, name) in PAIRS for name, twin in PAIRS)


SETTINGS = [  # every two of them together: of a pair, two in one direction, two in the other
    ("binary", None, True),
    ("sequence_labelling", 2, True),
    ("binary", 2, False),
    ("sequence_labelling", None, False),
]


@pytest.mark.parametrize(
    ("source", "target", "task", "features", "mask"),
    [
        (*pair, *settings)
        for pair in PAIRS
        for settings in (SETTINGS[:2] if pair[0].endswith("_cell") else SETTINGS[2:])
    ],
)
def test_twins_answer_the_same_once_weights_are_carried_over(source, target, task, features, mask):
    config = {**TINY, "task": task, "features": features, "mask": mask}
    config["outputs"] = 3 if task == "sequence_labelling" else 1
    one, other = get_model(source, **config), get_model(target, **config)
    generator = np.random.default_rng(1)
    # Wide weights: with small ones every model answers the same whatever comes in.
    one.set_weights([generator.normal(scale=1.5, size=w.shape) for w in one.get_weights()])
    x = inputs(features)
    expected = np.asarray(one(x))
    assert expected.std(axis=0).max() > 0.005
    assert np.abs(np.asarray(other(x)) - expected).max() > 0.01
    transfer_weights(one, other)
    # 1e-5 is the promise; float32 sums in the same order give 0.
    np.testing.assert_allclose(np.asarray(other(x)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"units": 5}, r"'lstm_cell.*' of 'lstm_cell' has weights of shape \[\(3, 16\)"),
        ({"vocabulary_size": 10}, "embedding.*has weights of shape"),
        ({"layers": 3}, "has LSTMCell|has Dense"),
        ({"name": "gru"}, "has LSTMCell, and .* has GRUCell"),
    ],
    ids=str,
)
def test_models_that_are_no_twins_are_refused_by_part_and_left_alone(other, message):
    source = get_model("lstm_cell", **TINY)
    target = get_model(**{"name": "lstm", **TINY, **other})
    before = target.get_weights()
    with pytest.raises(ConfigError, match=message):
        transfer_weights(source, target)
    for a, b in zip(before, target.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_cells_that_compute_something_else_from_the_same_weights_are_refused():
    def model(**settings):
        given = keras.Input((4, 3))
        return keras.Model(given, layers.LSTM(2, **settings)(given))

    with pytest.raises(ConfigError, match=r"settings .*'activation': 'relu'"):
        transfer_weights(model(), model(activation="relu"))


def test_other_forms_of_the_same_recurrence_are_twins_too():
    given = keras.Input((8, 2))
    stacked = keras.Model(given, layers.RNN([layers.LSTMCell(4), layers.LSTMCell(4)])(given))
    one_by_one = keras.Model(given, layers.LSTM(4)(layers.LSTM(4, return_sequences=True)(given)))
    both = [
        keras.Sequential([keras.Input((8, 2)), layers.Bidirectional(layers.GRU(3))])
        for _ in range(2)
    ]
    x = inputs(2)
    for source, target in ((stacked, one_by_one), both):
        assert np.abs(np.asarray(source(x)) - np.asarray(target(x))).max() > 1e-3
        transfer_weights(source, target)
        np.testing.assert_allclose(np.asarray(source(x)), np.asarray(target(x)), atol=1e-6)
