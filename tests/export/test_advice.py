"""What a refused export advises is done, on the model that was refused, and works.

Advice of conversions that fail is tried in `test_known_failures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from keras_rnn_zoo.errors import ZooError
from keras_rnn_zoo.export import export_tflite

# Each yields what fails, a part of the message, and one call for each way out that it names.
Case = Iterator[tuple[dict[str, Any], str, list[dict[str, Any]]]]
CASES: list[Callable[[], Case]] = []


def case(function: Callable[[], Case]) -> Callable[[], Case]:
    CASES.append(function)
    return function


def readings(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def recurrent(*, steps: int | None = 8, batch: int | None = None, head: Any = None) -> Any:
    import keras

    inputs = keras.Input(batch_shape=(batch, steps, 3), name="x")
    hidden = keras.layers.LSTM(6)(inputs)
    return keras.Model(inputs, (head or keras.layers.Dense(2, name="y"))(hidden))


def words(dtype: str) -> Any:
    import keras

    inputs = keras.Input((8,), dtype=dtype, name="words")
    x = keras.layers.LSTM(6)(keras.layers.Embedding(30, 4)(inputs))
    return keras.Model(inputs, keras.layers.Dense(1)(x))


@case
def int8_without_data() -> Case:
    model, x = recurrent(), readings(30, 8, 3)
    yield (
        {"model": model, "quantization": "int8"},
        "Pass representative_data=",
        [
            {"model": model, "quantization": "int8", "representative_data": x},
            {"model": model, "quantization": "dynamic"},
        ],
    )


@case
def integers_of_another_mode() -> Case:
    model, x = recurrent(), readings(30, 8, 3)
    yield (
        {"model": model, "quantization": "dynamic", "inference_type": "int8"},
        "Choose 'int8', or leave inference_type",
        [
            {
                "model": model,
                "quantization": "int8",
                "representative_data": x,
                "inference_type": "int8",
            },
            {"model": model, "quantization": "dynamic"},
        ],
    )


@case
def integers_for_token_ids_that_are_floats() -> Case:
    floats, whole = words("float32"), words("int32")
    whole.set_weights(floats.get_weights())
    ids = np.random.default_rng(0).integers(1, 30, (40, 8))
    settings = {"quantization": "int8", "representative_data": ids}
    yield (
        {"model": floats, **settings, "inference_type": "int8"},
        "keras.Input(..., dtype='int32') and the same weights, or leave inference_type",
        [
            {"model": whole, **settings, "inference_type": "int8"},
            {"model": floats, **settings},
        ],
    )


@case
def readings_that_int8_takes_for_padding() -> Case:
    import keras

    def masked(value: float) -> Any:
        inputs = keras.Input((9, 1), name="x")
        hidden = keras.layers.LSTM(8)(keras.layers.Masking(value)(inputs))
        return keras.Model(inputs, keras.layers.Dense(2)(hidden))

    x = readings(60, 9, 1)
    x[:, 5:] = 0.0
    beyond = np.where(x == 0, -9, x)
    settings = {"quantization": "int8"}
    yield (
        {"model": masked(0.0), **settings, "representative_data": x, "inference_type": "int8"},
        "Leave inference_type at 'float32', or train with a mask_value beyond the readings",
        [
            {"model": masked(0.0), **settings, "representative_data": x},
            {
                "model": masked(-9.0),
                **settings,
                "representative_data": beyond,
                "inference_type": "int8",
            },
        ],
    )


@case
def nothing_to_fold() -> Case:
    model = recurrent()
    yield {"model": model, "fold_embedding": True}, "Leave fold_embedding out", [{"model": model}]


@case
def a_lowering_that_folds_nothing() -> Case:
    model = words("int32")
    yield (
        {"model": model, "lowering": "fused", "fold_embedding": True},
        "Choose one that can ('loop', 'unrolled'), or leave fold_embedding out",
        [
            {"model": model, "lowering": "loop", "fold_embedding": True},
            {"model": model, "lowering": "unrolled", "fold_embedding": True},
            {"model": model, "lowering": "fused"},
        ],
    )


@case
def sizes_that_are_open() -> Case:
    model, x = recurrent(steps=None), readings(12, 8, 3)
    yield (
        {"model": model},
        "Pass timesteps=... or {'x': ...} (on the command line --timesteps N or x=N), or samples",
        [
            {"model": model, "timesteps": 8},
            {"model": model, "timesteps": {"x": 8}},
            {"model": model, "samples": x},
            {"model": model, "samples": x, "lowering": "resizable"},
        ],
    )


@case
def sizes_of_several_axes_that_are_open() -> Case:
    import keras

    inputs = keras.Input((None, None, 3), name="page")
    x = keras.layers.GRU(4)(keras.ops.max(inputs, axis=2))
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    yield (
        {"model": model},
        "timesteps={'page': {1: ..., 2: ...}}",
        [{"model": model, "timesteps": {"page": {1: 6, 2: 5}}}],
    )


@case
def sizes_that_are_fixed() -> Case:
    model = recurrent()
    yield (
        {"model": model, "timesteps": 5},
        "Leave timesteps out, or build and train the model with timesteps=5",
        [{"model": model}, {"model": recurrent(steps=5), "timesteps": 5}],
    )


@case
def a_batch_that_is_fixed() -> Case:
    model = recurrent(batch=4)
    yield {"model": model}, "Pass batch_size=4", [{"model": model, "batch_size": 4}]


@case
def a_model_without_inputs() -> Case:
    import keras

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.head = keras.layers.GRU(4), keras.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.head(self.hidden(inputs))

    model, called, x = Own(), Own(), readings(10, 8, 3)
    called(x)
    sequential = [keras.layers.GRU(4), keras.layers.Dense(1)]
    yield (
        {"model": model, "samples": x},
        "Call it on data once, model(samples), or start it with keras.Input",
        [
            {"model": called, "samples": x},
            {"model": keras.Sequential([keras.Input((8, 3)), *sequential]), "samples": x},
        ],
    )


@case
def text() -> Case:
    import keras

    inputs = keras.Input((8,), dtype="string", name="words")
    look_up = keras.layers.StringLookup(vocabulary=["good", "bad", "film"])
    x = keras.layers.Embedding(5, 4)(look_up(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.LSTM(4)(x)))
    behind = keras.Model(look_up.output, model.outputs)
    yield {"model": model}, "keras.Model(that_layer.output, model.outputs)", [{"model": behind}]


@case
def steps_that_are_dropped() -> Case:
    """How many are left is known when the model runs, and no sooner."""
    import keras
    import tensorflow as tf

    def dropping(x: Any) -> Any:
        return tf.expand_dims(tf.boolean_mask(x[0], x[0, :, 0] > 0), 0)

    def keeping(x: Any) -> Any:
        return keras.ops.where(x[:, :, :1] > 0, x, 0)

    def model(function: Any) -> Any:
        inputs = keras.Input(batch_shape=(1, 8, 3), name="x")
        x = keras.layers.Lambda(function, output_shape=(None, 3))(inputs)
        return keras.Model(inputs, keras.layers.LSTM(4, name="hidden")(x))

    yield (
        {"model": model(dropping)},
        "Keep all steps: keras.ops.where(condition, x, 0)",
        [{"model": model(keeping)}],
    )


@case
def a_quantization_that_the_target_gets_wrong() -> Case:
    model = recurrent()
    yield (
        {"model": model, "quantization": "float16", "target": "micro"},
        "Choose among: 'int8', 'int16x8', 'none'",
        [
            {"model": model, "quantization": "none", "target": "micro"},
            {
                "model": model,
                "quantization": "int8",
                "target": "micro",
                "representative_data": readings(30, 8, 3),
            },
        ],
    )


@case
def a_lowering_that_the_target_does_not_take() -> Case:
    model = recurrent()
    yield (
        {"model": model, "lowering": "loop", "target": "mediapipe"},
        "Choose among: 'fused', 'unrolled', or leave the lowering out",
        [
            {"model": model, "lowering": "unrolled", "target": "mediapipe"},
            {"model": model, "lowering": "fused", "target": "mediapipe"},
            {"model": model, "target": "mediapipe"},
        ],
    )


@pytest.mark.parametrize("find", CASES, ids=lambda function: function.__name__)
def test_what_is_advised_works(find, tmp_path):
    ((refused, words, advised),) = find()
    path = tmp_path / "model.tflite"
    with pytest.raises(ZooError) as caught:
        export_tflite(path=path, diagnose=False, progress=False, **refused)
    message = str(caught.value)
    assert words in message and "\n" not in message
    assert not path.exists()
    for settings in advised:
        result = export_tflite(path=path, diagnose=False, progress=False, **settings)
        assert result.parity is not None and result.parity.passed
        path.unlink()
