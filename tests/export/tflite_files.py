"""Small .tflite files for the tests of what reads them, straight from the converter."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

TIMESTEPS, VOCABULARY = 8, 30


def token_model(units: int = 1, activation: str | None = "sigmoid"):
    """A model that the converter takes as it is, with answers that depend on the input."""
    import keras

    keras.utils.set_random_seed(0)
    tokens = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(VOCABULARY, 6, embeddings_initializer="normal", name="embed")(tokens)
    x = keras.layers.Flatten()(x)
    head = keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer=keras.initializers.RandomNormal(stddev=5.0, seed=1),
        name="answer",
    )
    return keras.Model(tokens, head(x), name="small")


def tokens(count: int = 12) -> np.ndarray:
    generator = np.random.default_rng(0)
    x = generator.integers(1, VOCABULARY, (count, TIMESTEPS)).astype("int32")
    x[np.arange(TIMESTEPS) >= generator.integers(2, TIMESTEPS + 1, (count, 1))] = 0
    return x


def convert(path: Path, function, inputs, *, configure=None, variables=()) -> Path:
    """Converts `function(*inputs) -> {name: tensor}` of `tf.TensorSpec` inputs."""
    import tensorflow as tf

    module = tf.Module()
    module.held = list(variables)
    traced = tf.function(function, autograph=False).get_concrete_function(*inputs)
    with tempfile.TemporaryDirectory() as directory:
        tf.saved_model.save(module, directory, signatures={"serving_default": traced})
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        if configure is not None:
            configure(converter)
        path.write_bytes(converter.convert())
    return path


def convert_model(path: Path, model, *, batch_size: int = 1, configure=None) -> Path:
    import tensorflow as tf

    spec = model.inputs[0]
    return convert(
        path,
        lambda x: {model.output_names[0]: model(x, training=False)},
        [tf.TensorSpec((batch_size, *spec.shape[1:]), spec.dtype, name=spec.name)],
        configure=configure,
        variables=[variable.value for variable in model.variables],
    )


def calibrated(samples: np.ndarray):
    """Returns a setting for full int8, inputs and outputs included."""

    def configure(converter):
        import tensorflow as tf

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[np.newaxis]] for row in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8

    return configure
