"""Long trainings on a CPU are compiled with XLA, and learn what they learn without."""

import numpy as np
import pytest

from keras_rnn_zoo.builder import get_builder
from keras_rnn_zoo.training import xla
from keras_rnn_zoo.training.feed import Feed

CONFIG = {"timesteps": 20, "vocabulary_size": 20, "embedding_dim": 3, "units": 3, "layers": 1}
MANY = xla.LEAST_STEPS // 20


def built(name="gru", **config):
    return get_builder(name, **{**CONFIG, **config}).build()


def test_long_trainings_of_lstms_and_grus_are_compiled():
    for name in ("gru", "lstm", "bilstm", "bigru"):
        assert xla.pays(built(name), 20, MANY), name


def test_short_trainings_and_short_rows_are_not():
    model = built()
    assert not xla.pays(model, 20, MANY - 1)
    assert not xla.pays(model, xla.LEAST_TIMESTEPS - 1, 1_000_000)


@pytest.mark.parametrize("name", ["rnn", "gru_cell", "conv_gru"])
def test_models_that_gain_nothing_are_not(name):
    assert not xla.pays(built(name), 20, 1_000_000)


def test_layers_of_others_are_not():
    import keras

    class Own(keras.layers.Layer):
        def call(self, x):
            return x

    inputs = keras.Input((20, 3))
    assert xla.pays(keras.Model(inputs, keras.layers.GRU(2)(inputs)), 20, MANY)
    assert not xla.pays(keras.Model(inputs, keras.layers.GRU(2)(Own()(inputs))), 20, MANY)


def test_a_machine_with_a_gpu_is_left_to_keras(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    assert not xla.pays(built(), 20, MANY)


def test_who_asks_for_deterministic_ops_is_not_compiled(monkeypatch):
    from tensorflow.python.framework import config

    monkeypatch.setattr(config, "is_op_determinism_enabled", lambda: True)
    assert not xla.pays(built(), 20, MANY)


def test_a_model_is_compiled_only_meanwhile():
    model = built()
    model.compile("adam", "binary_crossentropy")
    with pytest.raises(ZeroDivisionError), xla.compiled(model):
        assert model.jit_compile
        raise ZeroDivisionError
    assert not model.jit_compile
    assert model.train_function is None


def test_a_compiled_training_learns_the_same_and_the_same_again(monkeypatch):
    import keras

    generator = np.random.default_rng(0)
    x = generator.integers(1, 20, (24, 20)).astype("int32")
    x[::2, 11:] = 0
    y = generator.integers(0, 2, 24)
    compiled = []
    found = []
    plain = xla.compiled

    def watched(model):
        compiled.append(model)
        return plain(model)

    monkeypatch.setattr(xla, "compiled", watched)
    for least in (xla.LEAST_STEPS, 0, 0):
        monkeypatch.setattr(xla, "LEAST_STEPS", least)
        keras.utils.set_random_seed(0)
        model = built(dropout=0.0)
        fed = Feed.of("binary", 1, (x, y), (x, y))
        fed.compile(model, 0.01)
        # Whole batches, whose rows come in any order.
        fed.fit(model, epochs=3, batch_size=24, callbacks=(), seed=0)
        found.append(model.get_weights())
    assert len(compiled) == 2
    for plainly, once, again in zip(*found, strict=True):
        # Adam's first steps are of one size whatever the gradient is, so that rounding shows.
        np.testing.assert_allclose(once, plainly, atol=1e-4)
        np.testing.assert_allclose(again, once, atol=1e-6)


@pytest.mark.parametrize(
    ("pays", "real", "chosen"),
    [
        (False, 20, "as it is"),
        (True, 20, "compiled"),
        # A fifth of the steps is padding: less than compiling saves.
        (False, 16, "without padding"),
        (True, 16, "compiled"),
        (True, 10, "without padding"),
    ],
)
def test_of_both_ways_the_one_is_taken_that_saves_more(monkeypatch, pays, real, chosen):
    monkeypatch.setattr(xla, "pays", lambda *_: pays)
    model = built()
    model.compile("adam", "binary_crossentropy")
    seen = []

    def fit(**arguments):
        if isinstance(arguments["x"], np.ndarray):
            seen.append("compiled" if model.jit_compile else "as it is")
        else:
            seen.append("without padding")

    monkeypatch.setattr(model, "fit", fit)
    x = np.ones((64, 20), "int32")
    x[:, real:] = 0
    y = np.arange(64) % 2
    Feed.of("binary", 1, (x, y), (x, y), trims=True).fit(
        model, epochs=1, batch_size=8, callbacks=(), seed=0
    )
    assert seen == [chosen]
