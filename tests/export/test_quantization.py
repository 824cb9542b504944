"""Every quantization mode on every architecture, and what each mode promises."""

from __future__ import annotations

import numpy as np
import pytest
from architectures import ARCHITECTURES, build, inputs_for

from keras_rnn_zoo.errors import ExportError, UnknownNameError
from keras_rnn_zoo.export import QUANTIZATIONS, export_tflite
from keras_rnn_zoo.export.gate import inspect

QUANTIZED = [name for name in QUANTIZATIONS.names() if name != "none"]


@pytest.mark.parametrize("quantization", QUANTIZED)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_quantized_file_stays_within_the_tolerance_of_its_mode(
    architecture, quantization, tmp_path
):
    model = build(architecture)
    samples = inputs_for(model)
    result = export_tflite(
        model,
        tmp_path / "model.tflite",
        quantization=quantization,
        representative_data=samples,
        samples=samples,
    )
    assert result.parity is not None and result.parity.passed


def large_model():
    """A model whose tensors are large enough for every mode to quantize them."""
    import keras

    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(500, 64, mask_zero=True)(inputs)
    x = keras.layers.GRU(64, return_sequences=True)(x)
    x = keras.layers.Bidirectional(keras.layers.LSTM(64))(x)
    return keras.Model(inputs, keras.layers.Dense(32, activation="softmax")(x))


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    model = large_model()
    directory = tmp_path_factory.mktemp("sizes")
    samples = np.random.default_rng(0).integers(0, 500, (32, 6))
    return {
        name: export_tflite(
            model,
            directory / f"{name}.tflite",
            quantization=name,
            representative_data=samples,
        )
        for name in QUANTIZATIONS.names()
    }


def test_float16_halves_and_int8_quarters_the_weights(sizes):
    weights = {name: sum(inspect(result.path).weights.values()) for name, result in sizes.items()}
    # Biases and constants of the graph keep their type.
    assert weights["float16"] < 0.51 * weights["none"]
    assert weights["dynamic"] < 0.27 * weights["none"]
    assert weights["int8"] < 0.27 * weights["none"]


def test_int8_weights_are_int8_inside_the_loops_too(sizes):
    for mode in ("dynamic", "int8"):
        info = inspect(sizes[mode].path)
        # Biases, norms and tensors below the converter's threshold stay float32.
        assert info.quantized_weight_bytes > 20 * info.float_weight_bytes


def test_int8_without_representative_data_is_refused_before_any_work(tmp_path):
    with pytest.raises(ExportError, match=r"representative_data.*'dynamic'"):
        export_tflite(build("bilstm"), tmp_path / "model.tflite", quantization="int8")
    assert not list(tmp_path.iterdir())


def test_representative_data_may_be_a_generator_as_for_the_converter(tmp_path):
    model = build("two_inputs_two_outputs")
    samples = inputs_for(model)

    def generator():
        for row in range(12):
            yield {name: array[row : row + 1] for name, array in samples.items()}

    result = export_tflite(
        model, tmp_path / "model.tflite", quantization="int8", representative_data=generator
    )
    assert result.parity is not None and result.parity.passed


def test_unknown_quantization_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'float16'"):
        export_tflite(build("bilstm"), tmp_path / "model.tflite", quantization="float_16")
