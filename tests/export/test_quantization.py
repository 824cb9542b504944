"""Every quantization mode on every architecture, and what each mode promises."""

from __future__ import annotations

import numpy as np
import pytest
from architectures import TOGETHER, build, build_together, inputs_for, two_grus

from keras_rnn_zoo.errors import ExportError, UnknownNameError
from keras_rnn_zoo.export import TARGETS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.tflite.contents import inspect

QUANTIZED = [name for name in TARGETS.get("litert").quantizations() if name != "none"]


@pytest.mark.parametrize("quantization", QUANTIZED)
@pytest.mark.parametrize("group", TOGETHER)
def test_quantized_file_stays_within_the_tolerance_of_its_mode(group, quantization, tmp_path):
    model = build_together(TOGETHER[group])
    samples = inputs_for(model)
    result = export_tflite(
        model,
        tmp_path / "model.tflite",
        quantization=quantization,
        representative_data=samples,
        samples=samples,
    )
    assert result.parity is not None and result.parity.passed
    # Each output on its own.
    names = {each.name.rpartition("_")[0] for each in result.parity.each}
    assert names == set(TOGETHER[group])


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
        for name in TARGETS.get("litert").quantizations()
    }


def test_float16_halves_and_int8_quarters_the_weights(sizes):
    weights = {name: sum(inspect(result.path).weights.values()) for name, result in sizes.items()}
    # Biases and constants of the graph keep their type.
    assert weights["float16"] < 0.51 * weights["none"]
    assert weights["dynamic"] < 0.27 * weights["none"]
    assert weights["int8"] < 0.27 * weights["none"]


def test_int8_weights_are_int8_inside_the_loops_too(sizes):
    for mode in ("dynamic", "int8"):
        weights = inspect(sizes[mode].path).weights
        # Biases, norms and small tensors stay float32; what makes the answer has 16 bits.
        assert weights["INT8"] > 15 * weights["FLOAT32"]
        assert weights.get("FLOAT16", 0) < 0.08 * weights["INT8"]


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


# ------------------------------------------------------------------------ what stayed in float32


def export(name, path, **settings):
    model = build(name)
    samples = inputs_for(model)
    return export_tflite(
        model, path / "model.tflite", representative_data=samples, samples=samples, **settings
    )


def test_small_weights_that_dynamic_skips_are_named_with_the_reason(tmp_path):
    result = export(two_grus, tmp_path, quantization="dynamic")
    # The kernel of the Dense.
    (weight,) = result.unquantized
    assert weight.shape == (1, 8) and weight.bytes == 32
    assert "fewer than 64 elements" in weight.reason and "MatMul" in weight.name


def test_weight_that_float16_does_not_have_is_named_with_the_reason(tmp_path):
    model = build(two_grus)
    kernel = model.layers[-1].kernel
    kernel.assign(np.array(kernel) * 1e6)
    embedding = model.layers[1].embeddings
    embedding.assign(np.array(embedding) * 1e6)
    result = export_tflite(model, tmp_path / "model.tflite", quantization="float16", verify=False)
    reasons = {weight.shape: weight.reason for weight in result.unquantized}
    assert set(reasons) == {(40, 12), (1, 8)}
    assert "beyond 65,504" in reasons[40, 12]


def test_weights_of_an_unknown_cell_become_int8_too(tmp_path):
    result = export("cell_of_ones_own", tmp_path, quantization="int8")
    assert not result.unquantized
    assert result.ops["QUANTIZE"] > 1


def test_nothing_is_said_where_all_weights_are_what_the_mode_says(sizes, tmp_path):
    assert all(not result.unquantized for result in sizes.values())
    assert not export(two_grus, tmp_path, quantization="int8").unquantized


# ------------------------------------------------------------------- integer inputs and outputs


@pytest.mark.parametrize(
    "architecture",
    [
        "bilstm",  # token ids
        "without_bias",  # masked features: zero must stay zero
        "two_inputs_two_outputs",
        "time_distributed",  # answers straight out of a loop
        "sequential_with_convolution",
        "cell_of_ones_own",
    ],
)
def test_integer_inputs_and_outputs_answer_what_keras_answers(architecture, tmp_path):
    result = export(architecture, tmp_path, quantization="int8", inference_type="int8")
    assert result.inference_type == "int8"
    assert result.parity is not None and result.parity.passed
    file = TFLiteModel(result.path)
    for info in (*file.inputs.values(), *file.outputs.values()):
        assert (info.dtype, info.scale > 0) in (("int32", False), ("int8", True))
    assert all(info.dtype == "int8" for info in file.outputs.values())


def test_stored_integers_stand_for_the_real_values(tmp_path):
    samples = inputs_for(build("without_bias"))
    (x,) = samples.values()
    paths = {}
    for kind in ("float32", "int8"):
        (tmp_path / kind).mkdir()
        result = export("without_bias", tmp_path / kind, quantization="int8", inference_type=kind)
        paths[kind] = TFLiteModel(result.path)
    (info,) = paths["int8"].inputs.values()
    stored = info.quantize(x)
    assert stored.dtype == np.int8 and (stored[x == 0] == info.zero_point).all()
    # Rounding moves a value that was seen in calibration by half a step at most.
    assert np.abs(info.dequantize(stored) - x).max() <= 0.51 * info.scale
    # The answers are probabilities in steps of 1/256; inputs of int8 are rounded once more, to
    # the steps of the first product.
    answers = {kind: file.predict(x) for kind, file in paths.items()}
    np.testing.assert_allclose(answers["int8"], answers["float32"], atol=2 / 256)
    assert not np.any(answers["int8"] * 256 % 1)


def test_integer_inputs_are_refused_before_any_work_where_they_cannot_be(tmp_path):
    import keras

    for mode in ("none", "float16", "dynamic"):
        with pytest.raises(ExportError, match=f"needs quantization 'int8'. Received: '{mode}'"):
            export("bilstm", tmp_path, quantization=mode, inference_type="int8")
    with pytest.raises(UnknownNameError, match="Did you mean 'int8'"):
        export("bilstm", tmp_path, quantization="int8", inference_type="int_8")
    ids = keras.Input((6,), name="words")  # float32, as Keras makes them
    x = keras.layers.GRU(4)(keras.layers.Embedding(300, 4)(ids))
    model = keras.Model(ids, keras.layers.Dense(1)(x))
    with pytest.raises(ExportError, match=r"'words'.*holds token ids.*dtype='int32'"):
        export_tflite(
            model,
            tmp_path / "model.tflite",
            quantization="int8",
            representative_data=np.ones((4, 6)),
            inference_type="int8",
        )
    assert not list(tmp_path.iterdir())
