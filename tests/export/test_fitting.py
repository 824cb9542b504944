"""What is rounded so that answers are right: kernels, rows of tables, and the last product."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_rnn_zoo.export import TFLiteModel, export_tflite
from keras_rnn_zoo.export.quantization import weights
from keras_rnn_zoo.export.quantization.fitting import fitted
from keras_rnn_zoo.export.quantization.modes import dynamic, int8
from keras_rnn_zoo.export.quantization.ranges import moments_of
from keras_rnn_zoo.export.quantization.weights import rounded
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import inspect

STEPS = 24
WORDS = 300


def moving_together(count: int, columns: int, ways: int, seed: int = 0) -> np.ndarray:
    """Returns inputs that differ in some directions only, as the states of a recurrence do."""
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(ways, columns))
    noise = generator.normal(size=(count, columns))
    return generator.normal(size=(count, ways)) @ directions + 0.02 * noise


def error(kernel: np.ndarray, found: Any, x: np.ndarray) -> float:
    whole, scale = found
    return float(np.sqrt(np.mean((x @ (kernel - whole * scale).T) ** 2)))


def test_products_of_inputs_that_move_together_are_right_though_weights_are_not():
    kernel = np.random.default_rng(1).normal(size=(32, 96))
    seen, others = np.split(moving_together(2000, 96, 6), 2)
    found = fitted(kernel, seen.T @ seen)
    assert found is not None
    assert error(kernel, found, others) < 0.2 * error(kernel, rounded(kernel), others)
    assert found[0].dtype == np.int8 and np.abs(found[0]).max() <= 127


def test_columns_that_were_never_seen_are_rounded_to_the_nearest():
    kernel = np.random.default_rng(1).normal(size=(32, 96))
    x = moving_together(1000, 96, 6)
    x[:, ::3] = 0
    found, nearest = fitted(kernel, x.T @ x), rounded(kernel)
    assert found is not None
    np.testing.assert_array_equal(found[0][:, ::3], nearest[0][:, ::3])
    assert (found[0][:, 1::3] != nearest[0][:, 1::3]).any()


def test_what_few_inputs_show_does_no_harm_to_others():
    kernel = np.random.default_rng(1).normal(size=(32, 96))
    generator = np.random.default_rng(2)
    few, others = generator.normal(size=(10, 96)), generator.normal(size=(1000, 96))
    found = fitted(kernel, few.T @ few)
    assert found is not None
    assert error(kernel, found, others) < 1.5 * error(kernel, rounded(kernel), others)


@pytest.mark.parametrize("moments", [np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_without_inputs_there_is_nothing_to_make_up_for(moments):
    kernel = np.arange(8.0).reshape(2, 4)
    assert fitted(kernel, moments) is None
    np.testing.assert_array_equal(rounded(kernel, moments=moments)[0], rounded(kernel)[0])


def trained_like(model: Any, seed: int = 0) -> Any:
    """Gives a model recurrences that keep what they are given, so that roundings add up."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        if len(shape) > 1:
            scale = 1.0 if "embed" in variable.path else 1.5 / np.sqrt(shape[0])
            variable.assign(generator.normal(0, scale, shape))
    return model


def text_model(cell: str = "LSTM", units: int = 32, outputs: int = 3) -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((STEPS,), dtype="int32", name="ids")
    x = layers.Embedding(WORDS, 64)(inputs)
    x = getattr(layers, cell)(units)(x)
    model = trained_like(keras.Model(inputs, layers.Dense(outputs)(x)))
    # As after training: words that are met often have larger rows.
    (table,) = model.layers[1].get_weights()
    sizes = np.geomspace(1.0, 0.02, WORDS)[:, np.newaxis]
    model.layers[1].set_weights([(table * sizes).astype(np.float32)])
    return model


def readings_model(cell: str = "GRU") -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((STEPS, 4), name="readings")
    x = getattr(layers, cell)(32, return_sequences=True)(inputs)
    x = getattr(layers, cell)(32)(x)
    return trained_like(keras.Model(inputs, layers.Dense(3)(x)))


def readings(count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    steps = generator.normal(size=(count, STEPS, 4)).cumsum(axis=1)
    return (0.3 * steps).astype(np.float32)


def ids(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, WORDS, (count, STEPS)).astype(np.int32)


def average(model: Any, path: Any, x: np.ndarray, **settings: Any) -> float:
    """Returns the average difference of a file from its model, in deviations of the answers."""
    result = export_tflite(model, path, verify=False, **settings)
    expected = np.asarray(model.predict(x, verbose=0))
    found = TFLiteModel(result.path).predict(x)
    return float(np.mean(np.abs(found - expected)) / expected.std())


@pytest.mark.parametrize("lowering", ["loop", "unrolled", "resizable"])
def test_dynamic_is_finer_with_representative_data(lowering, tmp_path):
    model, path, x = readings_model(), tmp_path / "model.tflite", readings(64, 1)
    settings = {"quantization": "dynamic", "lowering": lowering}
    without = average(model, path, x, **settings)
    seen = readings(64, 0)
    assert average(model, path, x, representative_data=seen, **settings) < 0.8 * without


def test_int8_is_finer_for_fitting_its_kernels(tmp_path, monkeypatch):
    model, path, x = readings_model(), tmp_path / "model.tflite", readings(200, 1)
    settings = {"quantization": "int8", "representative_data": readings(300, 0)}
    fine = average(model, path, x, **settings)
    monkeypatch.setattr(weights, "fitted", lambda kernel, moments: None)
    assert fine < 0.85 * average(model, path, x, **settings)


def test_moments_are_summed_over_the_steps_of_loops(tmp_path):
    """Of the recurrence x -> x that starts at 1: as many ones as there are steps."""
    import keras
    from keras import layers

    inputs = keras.Input((STEPS, 2), name="x")
    model = keras.Model(inputs, layers.SimpleRNN(3, activation=None, use_bias=False)(inputs))
    model.set_weights([np.eye(2, 3), np.eye(3)])
    path = tmp_path / "model.tflite"
    export_tflite(model, path, verify=False, lowering="loop")
    content = path.read_bytes()
    file = fb.unpack(content)
    places: dict[int, tuple[int, list[tuple[int, int]]]] = {}
    for number, graph in enumerate(file.subgraphs):
        for operator in graph.operators:
            if fb.op_name(file, operator) == "FULLY_CONNECTED":
                columns = fb.shape_of(graph.tensors[operator.inputs[1]])[-1]
                buffer = graph.tensors[operator.inputs[1]].buffer
                places.setdefault(buffer, (columns, []))[1].append((number, operator.inputs[0]))
    x = readings(5, 0)[..., :2]
    found = {len(value): value for value in moments_of(file, places, {"x": x}).values()}
    rows = x.reshape(-1, 2).astype(np.float64)
    np.testing.assert_allclose(found[2], rows.T @ rows, rtol=1e-5)
    # The states before each step.
    states = np.zeros((5, STEPS, 3))
    states[:, 1:, :2] = x.cumsum(axis=1)[:, :-1]
    states = states.reshape(-1, 3)
    np.testing.assert_allclose(found[3], states.T @ states, rtol=1e-4, atol=1e-4)


def test_kernels_that_multiply_the_same_rows_have_moments_each(tmp_path):
    import keras
    from keras import layers

    inputs = keras.Input((4,), name="x")
    both = [layers.Dense(units)(inputs) for units in (20, 24)]
    path = tmp_path / "model.tflite"
    export_tflite(keras.Model(inputs, layers.Concatenate()(both)), path, verify=False)
    content = path.read_bytes()
    x = readings(8, 0)[:, 0]
    found = dynamic.moments_of_kernels(fb.unpack(content), [{"x": x}])
    assert len(found) == 2
    for value in found.values():
        np.testing.assert_allclose(value, x.T @ x, rtol=1e-5, atol=1e-5)


def test_rows_of_a_table_have_scales_of_their_own(tmp_path, monkeypatch):
    model, path, x = text_model(), tmp_path / "model.tflite", ids(64, 1)
    # What is met often in training need not be what one text is made of.
    x = WORDS - 1 - (x % 100)
    fine = average(model, path, x, quantization="dynamic")
    assert not inspect(path).weights.get("FLOAT32", 0) > 4 * WORDS + 4000
    monkeypatch.setattr(weights, "_largest_of_rows", lambda operator, values: None)
    assert fine < 0.7 * average(model, path, x, quantization="dynamic")


def test_scales_of_rows_are_not_reported_as_weights_in_float32(tmp_path):
    result = export_tflite(text_model(), tmp_path / "model.tflite", quantization="dynamic")
    assert result.unquantized == () and result.parity is not None and result.parity.passed


def test_int8_takes_the_rows_of_a_table_as_they_are_stored(tmp_path, monkeypatch):
    """So words that the representative data lack are not cut off at the range of the others."""
    model, path, x = text_model("GRU"), tmp_path / "model.tflite", ids(64, 1)
    seen = WORDS - 1 - ids(64, 0) % 200
    settings = {"quantization": "int8", "representative_data": seen}
    fine = average(model, path, x, **settings)
    with_tables = inspect(path).ops
    monkeypatch.setattr(int8, "_tables", lambda graph, products: {})
    assert fine < 0.3 * average(model, path, x, **settings)
    assert with_tables["QUANTIZE"] < inspect(path).ops["QUANTIZE"]


def test_a_small_last_product_has_16_bits(tmp_path, monkeypatch):
    model, path, x = readings_model(), tmp_path / "model.tflite", readings(64, 1)
    settings = {"quantization": "dynamic", "representative_data": readings(64, 0)}
    fine = average(model, path, x, **settings)
    assert inspect(path).weights["FLOAT16"] == 2 * 32 * 3
    monkeypatch.setattr(dynamic, "SMALL", 0.0)
    assert fine < 0.9 * average(model, path, x, **settings)
    assert "FLOAT16" not in inspect(path).weights


def test_a_large_last_product_is_int8_as_any_other(tmp_path):
    path = tmp_path / "model.tflite"
    export_tflite(text_model(outputs=200), path, quantization="dynamic")
    assert "FLOAT16" not in inspect(path).weights


def test_results_inside_loops_are_as_fine_as_each_column_allows(tmp_path, monkeypatch):
    model, path, x = readings_model(), tmp_path / "model.tflite", readings(200, 1)
    settings = {"quantization": "int8", "representative_data": readings(300, 0)}
    fine = average(model, path, x, **settings)
    monkeypatch.setattr(int8, "WIDER", 0.25)  # weights leave no room for scales of columns
    assert fine < 0.92 * average(model, path, x, **settings)
