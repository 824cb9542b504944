"""What int8 does to the answers of a model is measured in Keras, before there is a file."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from keras_rnn_zoo.errors import VerificationError
from keras_rnn_zoo.export import TARGETS, export_tflite
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.verify.integer_products import IntegerProducts
from keras_rnn_zoo.export.verify.reference import reference_of


def seldom_large(count, steps, features, size=6.0):
    """Readings that are nearly always small: their range leaves them few of 256 levels."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((count, steps, features))
    x *= np.where(generator.random((count, steps, 1)) < 0.03, size, 0.6)
    return x.astype("float32")


def models(size=6.0):
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    x = seldom_large(64, 24, 3, size)
    for name, hidden in (
        ("lstm", layers.LSTM(12)),
        ("gru", layers.Bidirectional(layers.GRU(8))),
        ("rnn", layers.SimpleRNN(16)),
    ):
        inputs = keras.Input((24, 3), name="x")
        wide = layers.Dense(8)(inputs)
        yield name, keras.Model(inputs, layers.Dense(2, name="y")(hidden(wide))), x
    inputs = keras.Input((24, 3), name="x")
    sequence = layers.Conv1D(8, 3, padding="same", activation="relu")(inputs)
    sequence = layers.LSTM(8, return_sequences=True)(sequence)
    answer = layers.Dense(2, name="y")(layers.GlobalAveragePooling1D()(sequence))
    yield "conv", keras.Model(inputs, answer), x


MODELS = dict.fromkeys(("lstm", "gru", "rnn", "conv"))


@pytest.mark.parametrize("name", MODELS)
def test_it_is_about_what_the_file_does(name, tmp_path):
    model, x = next((model, x) for found, model, x in models() if found == name)
    result = export_tflite(
        model, tmp_path / "m.tflite", quantization="int8", representative_data=x, samples=x
    )
    (output,) = result.parity.each
    assert output.average / 2.5 < output.rounding < output.average * 4


def test_what_is_too_rough_is_exported_in_the_modes_that_the_message_names(tmp_path):
    model, x = next((model, x) for name, model, x in models(size=300) if name == "gru")

    def export(mode):
        return export_tflite(
            model, tmp_path / "m.tflite", quantization=mode, representative_data=x, samples=x
        )

    with pytest.raises(VerificationError, match="rounds less: 'float16' or 'none'"):
        export("int8")
    assert export("float16").parity.passed and export("none").parity.passed


def test_rounded_weights_alone_are_not_what_int8_does():
    class WeightsAlone:
        by_chance, integer_products = False, False
        disturbed = QUANTIZATIONS.get("int8").disturbed
        disturbed_input = QUANTIZATIONS.get("none").disturbed_input

    model, x = next((model, x) for name, model, x in models() if name == "rnn")
    reference = reference_of(
        model, x, roundings={"int8": QUANTIZATIONS.get("int8"), "weights": WeightsAlone()}
    )
    expected = reference.answers["y"]
    moved = {
        mode: np.abs(reference.disturbed[mode][0]["y"] - expected).mean()
        for mode in ("int8", "weights")
    }
    assert moved["int8"] > 3 * moved["weights"]


def test_products_of_weights_are_rounded_and_no_others():
    import tensorflow as tf

    generator = np.random.default_rng(0)
    weight, last = (tf.constant(generator.normal(size=(5, 5)).astype("float32")) for _ in range(2))
    x = tf.constant(generator.normal(size=(7, 5)).astype("float32"))
    products = IntegerProducts([weight.numpy(), last.numpy()], [last.numpy()])
    with products.seen():
        exact = tf.matmul(x, weight)
        tf.matmul(x, last)
    with products.rounded():
        off = np.abs(tf.matmul(x, weight) - exact)
        assert 0 < off.max() < 0.1
        # The levels of a column of the result are apart by a share of its range.
        levels = [len(np.unique(column)) for column in np.asarray(tf.matmul(x, weight)).T]
        assert max(levels) <= 7
        np.testing.assert_allclose(tf.matmul(x, last), x.numpy() @ last.numpy(), atol=1e-5)
        both = tf.matmul(x, x, transpose_b=True)
        np.testing.assert_allclose(both, x.numpy() @ x.numpy().T, atol=1e-5)


def test_tensorflow_is_as_it_was_afterwards_and_in_other_threads_meanwhile():
    import tensorflow as tf

    before = tf.matmul, tf.nn.convolution
    weight = tf.fill((3, 3), 0.123)
    x = tf.constant(np.linspace(0, 1, 12, dtype="float32").reshape(4, 3))
    exact = np.asarray(tf.matmul(x, weight))
    products = IntegerProducts([weight.numpy()], [])
    elsewhere = []
    with products.seen():
        tf.matmul(x, weight)
    with products.rounded():
        other = threading.Thread(target=lambda: elsewhere.append(np.asarray(tf.matmul(x, weight))))
        other.start()
        other.join()
        assert not np.array_equal(tf.matmul(x, weight), exact)
    np.testing.assert_array_equal(elsewhere[0], exact)
    assert (tf.matmul, tf.nn.convolution) == before


def test_one_number_for_each_sample_is_an_answer(tmp_path):
    """An output without a second axis."""
    import keras

    inputs = keras.Input((8, 3), name="x")
    y = keras.layers.Dense(4, name="y")(keras.layers.LSTM(5)(inputs))
    model = keras.Model(inputs, [y, keras.ops.max(y, axis=-1)])
    x = np.random.default_rng(0).standard_normal((30, 8, 3)).astype("float32")
    for mode in TARGETS.get("litert").quantizations():
        result = export_tflite(
            model, tmp_path / "m.tflite", quantization=mode, representative_data=x, samples=x
        )
        assert result.parity.passed and len(result.parity.each) == 2
