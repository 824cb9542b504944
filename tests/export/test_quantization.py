"""Every quantization mode on every architecture, and what each mode promises."""

from __future__ import annotations

import numpy as np
import pytest
from architectures import TOGETHER, build, build_together, inputs_for, two_grus

from keras_rnn_zoo.errors import ExportError, UnknownNameError
from keras_rnn_zoo.export import TARGETS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.quantization.weights import Sources, answers_of
from keras_rnn_zoo.export.tflite import flatbuffer as fb
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


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("steps", [8, 25, 26, 27])
@pytest.mark.parametrize("mode", ["dynamic", "int8"])
def test_steps_in_front_of_a_loop_store_no_kernels_of_their_own(kind, steps, mode, tmp_path):
    import keras

    inputs = keras.Input((steps, 16), name="x")
    layer = getattr(keras.layers, kind)(32)
    model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
    rows = np.random.default_rng(0).normal(size=(16, steps, 16)).astype(np.float32)
    path = tmp_path / "model.tflite"
    export_tflite(model, path, verify=False, quantization=mode, representative_data=rows)
    kernels = sum(int(np.prod(weight.shape)) for weight in layer.weights[:2])
    head = 2 * 32 if mode == "int8" else 0  # which has 16 bits in dynamic
    assert inspect(path).weights["INT8"] == kernels + head


def test_columns_have_scales_where_steps_do_not_repeat_the_product(tmp_path):
    import keras

    inputs = keras.Input((26, 16), name="x")
    layer = keras.layers.LSTM(32)
    model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
    for lowering in ("loop", "unrolled"):
        path = tmp_path / f"{lowering}.tflite"
        export_tflite(model, path, verify=False, lowering=lowering)
        file = fb.unpack(path.read_bytes())
        sources, found = Sources(file), {}
        for graph in file.subgraphs:
            for operator in graph.operators:
                if fb.op_name(file, operator) == "FULLY_CONNECTED":
                    kernel = graph.tensors[operator.inputs[1]]
                    if fb.shape_of(kernel)[0] == 128:
                        found[fb.shape_of(kernel)[1]] = sources.repeats(kernel.buffer)
        assert found == {16: False, 32: True}


@pytest.mark.parametrize("every_step", [False, True])
def test_steps_in_front_of_a_loop_meet_what_full_rows_did_not_show(every_step, tmp_path):
    import keras

    # 24 steps are six blocks: the three steps in front are void ones in all of the calibration.
    keras.utils.set_random_seed(5)
    inputs = keras.Input((24,), dtype="int32", name="tokens")
    embedding = keras.layers.Embedding(300, 32, mask_zero=True)
    x = keras.layers.LSTM(32, return_sequences=every_step)(embedding(inputs))
    model = keras.Model(inputs, keras.layers.Dense(4)(x))
    generator = np.random.default_rng(3)
    table = generator.normal(0, 0.6, (300, 32))
    table[:2] *= 0.05  # padding, and what every text begins with
    embedding.set_weights([table])
    rows = generator.integers(2, 300, (64, 24))
    rows[:, 0] = 1
    counts = generator.integers(3, 25, 64)
    counted = np.arange(24) < counts[:, np.newaxis]
    some = np.where(counted, rows, 0)
    result = export_tflite(
        model,
        tmp_path / "model.tflite",
        quantization="int8",
        representative_data=rows,
        samples=rows,
    )
    expected = np.asarray(model(some))
    errors = np.abs(TFLiteModel(result.path).predict(some) - expected) / expected.std()
    if every_step:
        errors = np.where(counted[..., np.newaxis], errors, 0)
    # Rows whose steps in front all count, and those that have none of these.
    real, void = (errors[counts % 4 == rest].mean() for rest in (3, 0))
    assert real < 1.5 * void


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


def a_step(kind, path, **options):
    """Writes a streaming file of 40 readings, 32 units, 2 answers; returns it and its products.

    These as shape of the weights -> dtypes of what is multiplied and of the weights.
    """
    import keras

    inputs = keras.Input((6, 40), name="readings")
    x = getattr(keras.layers, kind)(32, name=kind.lower())(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    export_tflite(model, path, streaming=True, **options)
    file = fb.unpack(path.read_bytes())
    tensors = file.subgraphs[0].tensors
    products = {
        fb.shape_of(tensors[operator.inputs[1]]): tuple(
            fb.dtype_of(tensors[index]).name for index in operator.inputs[:2]
        )
        for operator in file.subgraphs[0].operators
        if fb.op_name(file, operator) == "FULLY_CONNECTED"
    }
    return file, products


def test_a_state_after_a_step_is_no_answer_unless_it_is_one_too(tmp_path):
    rows = np.random.default_rng(0).normal(size=(32, 6, 40)).astype(np.float32)
    path = tmp_path / "model.tflite"
    file, products = a_step("GRU", path, quantization="int8", representative_data=rows)
    # An answer would not be rounded again, nor what is added up to it.
    assert products == {
        (96, 40): ("int8", "int8"),
        (96, 32): ("int8", "int8"),
        (2, 32): ("float32", "float32"),
    }
    after = {entry.name: entry for entry in file.signatureDefs[0].outputs}
    state = int(after[b"gru/h"].tensorIndex)
    assert state not in answers_of(file)
    after[b"gru/h"].name = b"features"
    assert state in answers_of(file)


def test_a_state_of_a_step_is_no_reading_unless_the_step_hands_one_on(tmp_path):
    file, products = a_step("LSTM", tmp_path / "model.tflite", quantization="dynamic")
    # Readings keep their accuracy; what the step before made is rounded, as in whole sequences.
    assert products[128, 40] == ("float32", "float32")
    assert products[128, 32] == ("float32", "int8")
    signature = file.signatureDefs[0]
    before = {entry.name: int(entry.tensorIndex) for entry in signature.inputs}
    after = {entry.name: entry for entry in signature.outputs}
    assert Sources(file).is_fed(0, before[b"readings"])
    assert not Sources(file).is_fed(0, before[b"lstm/h"])
    after[b"lstm/h"].tensorIndex = before[b"readings"]
    assert Sources(file).is_fed(0, before[b"lstm/h"])
    after[b"lstm/h"].tensorIndex = before[b"lstm/h"]  # a state that never changes
    assert not Sources(file).is_fed(0, before[b"lstm/h"])
    signature.signatureKey = b"serving_default"  # names of a user, which say nothing
    assert Sources(file).is_fed(0, before[b"lstm/h"])


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
