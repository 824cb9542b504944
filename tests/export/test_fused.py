"""An LSTM as one op: its state is forgotten, its cell has no limit, its mask is where Keras' is."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from architectures import FEATURES, TIMESTEPS, VOCABULARY, build, inputs_for, two_grus
from lowered import Lowered

from keras_rnn_zoo.export import TFLiteModel, export_tflite
from keras_rnn_zoo.export.tflite.contents import inspect

FUSED = "UNIDIRECTIONAL_SEQUENCE_LSTM"


def randomized(model, scale=0.4):
    """Gives the model wide random weights, the same each time."""
    generator = np.random.default_rng(7)
    model.set_weights([generator.normal(scale=scale, size=w.shape) for w in model.get_weights()])
    return model


def over_tokens(function, units=8):
    """A model of what `function` makes of masked embeddings."""
    import keras

    inputs = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(VOCABULARY, 12, mask_zero=True)(inputs)
    return randomized(keras.Model(inputs, function(x)))


def export(model, path, **options):
    return export_tflite(model, path, lowering="fused", samples=inputs_for(model), **options)


def assert_answers_what_keras_answers(model, path, samples, times=3):
    """Calls one interpreter again and again: what it keeps must not be seen."""
    file, expected = TFLiteModel(path), model(samples)
    expected = expected if isinstance(expected, list) else [expected]
    for _ in range(times):
        received = file.predict(samples)
        received = list(received.values()) if isinstance(received, dict) else [received]
        for one, other in zip(received, expected, strict=True):
            # float32 sums in another order.
            np.testing.assert_allclose(one, np.asarray(other), atol=1e-5, rtol=0)


def test_an_lstm_is_one_op_in_one_subgraph(tmp_path):
    from keras import layers

    model = over_tokens(lambda x: layers.Dense(1)(layers.LSTM(8, name="memory")(x)))
    result = export(model, tmp_path / "model.tflite")
    assert result.ops[FUSED] == 1 and not result.fallbacks
    assert result.lowering == {"memory": "fused"}
    info = inspect(result.path)
    assert info.subgraphs == 1
    assert info.variables == 2  # the output and the cell, which are forgotten


@pytest.mark.parametrize(
    "go_backwards, zero_output_for_mask, batch_size",  # every two of them together
    [(False, False, 1), (False, True, 4), (True, False, 4), (True, True, 1)],
)
def test_masks_of_every_length_and_with_holes(
    go_backwards, zero_output_for_mask, batch_size, tmp_path
):
    from keras import layers

    options = {"go_backwards": go_backwards, "zero_output_for_mask": zero_output_for_mask}
    model = over_tokens(
        lambda x: [
            layers.LSTM(8, return_sequences=True, name="all", **options)(x),
            layers.LSTM(6, name="last", **options)(x),
        ]
    )
    result = export(model, tmp_path / "model.tflite", batch_size=batch_size)
    assert result.ops[FUSED] == 2 and "WHILE" not in result.ops
    file, samples = TFLiteModel(result.path), inputs_for(model)
    for _ in range(3):
        received = file.predict(samples)
        for name, expected in zip(("all", "last"), model(samples["tokens"]), strict=True):
            np.testing.assert_allclose(received[name], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("return_sequences", [False, True])
def test_without_a_mask_all_steps_are_taken_as_they_come(return_sequences, tmp_path):
    import keras
    from keras import layers

    inputs = keras.Input((TIMESTEPS, FEATURES), name="sensor")
    both = layers.Bidirectional(layers.LSTM(8, return_sequences=return_sequences, use_bias=False))
    model = randomized(keras.Model(inputs, both(inputs)))
    result = export(model, tmp_path / "model.tflite")
    assert result.ops[FUSED] == 2 and "SCATTER_ND" not in result.ops
    assert_answers_what_keras_answers(model, result.path, inputs_for(model)["sensor"])


def test_cells_of_one_layer_are_an_op_each(tmp_path):
    from keras import layers

    cells = [layers.LSTMCell(8), layers.LSTMCell(6), layers.LSTMCell(4)]
    model = over_tokens(
        lambda x: layers.RNN(cells, return_sequences=True, go_backwards=True, name="cells")(x)
    )
    result = export(model, tmp_path / "model.tflite")
    assert result.ops[FUSED] == 3 and result.lowering == {"cells": "fused"}
    assert_answers_what_keras_answers(model, result.path, inputs_for(model)["tokens"])


def counter():
    """An LSTM of one unit that adds the sign of its input to its cell, and shows the cell."""
    import keras

    steps = 40
    inputs = keras.Input((steps, 1), name="signs")
    model = keras.Model(inputs, keras.layers.LSTM(1)(inputs))
    gates = {"i": (0.0, 30.0), "f": (0.0, 30.0), "g": (30.0, 0.0), "o": (0.0, 30.0)}
    kernel, bias = zip(*gates.values(), strict=True)
    model.set_weights([np.array([kernel]), np.zeros((1, 4)), np.array(bias)])
    ups = np.full((1, steps, 1), 1.0, np.float32)
    ups[:, 22:] = -1.0
    return model, ups


def test_a_cell_beyond_ten_is_not_limited(tmp_path):
    model, samples = counter()
    # 22 up and 18 down is 4 and looks like 1; from a limit of 10 it would be -8 and look like -1.
    assert np.asarray(model(samples)).item() > 0.99
    path = tmp_path / "model.tflite"
    result = export_tflite(model, path, lowering="fused", samples=samples)
    assert result.ops[FUSED] == 1
    assert_answers_what_keras_answers(model, path, samples)


def test_only_the_limit_changes_in_the_file(tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    from keras_rnn_zoo.export.convert.clipping import without_cell_clip

    model, samples = counter()
    path = tmp_path / "model.tflite"
    export_tflite(model, path, lowering="fused", samples=samples)
    assert without_cell_clip(path.read_bytes()) == path.read_bytes()

    def repacked(limit):
        import flatbuffers

        content = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
        for operator in content.subgraphs[0].operators:
            if isinstance(operator.builtinOptions, schema.UnidirectionalSequenceLSTMOptionsT):
                operator.builtinOptions.cellClip = limit
        builder = flatbuffers.Builder()
        builder.Finish(content.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    before = repacked(10.0)
    after = without_cell_clip(before)
    place = before.find(np.float32(10.0).tobytes())
    different = [at for at in range(len(before)) if before[at] != after[at]]
    assert different and set(different) <= set(range(place, place + 4))
    path.write_bytes(after)
    assert_answers_what_keras_answers(model, path, samples)
    path.write_bytes(before)
    assert TFLiteModel(path).predict(samples).item() < -0.99  # what the limit would do


def test_a_state_of_any_size_is_forgotten(tmp_path):
    model, ups = counter()
    path = tmp_path / "model.tflite"
    export_tflite(model, path, lowering="fused", samples=ups)
    high, low = np.ones_like(ups), -np.ones_like(ups)
    zero = np.zeros_like(ups)
    file = TFLiteModel(path)
    for samples in (high, zero, low, zero, ups, zero):
        # Whatever was left of a cell of 40 or -40 would be the answer to an input of nothing.
        np.testing.assert_allclose(file.predict(samples), model(samples), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kernel", [0.0, 1e-4, 3.0])
@pytest.mark.parametrize("quantization", ["none", "float16", "dynamic"])
def test_kernels_of_any_size_forget(kernel, quantization, tmp_path):
    import keras

    inputs = keras.Input((TIMESTEPS, 40), name="sensor")
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(32)(inputs)))
    generator = np.random.default_rng(5)
    model.set_weights(
        [
            generator.normal(scale=kernel if w.shape == (40, 128) else 0.4, size=w.shape)
            for w in model.get_weights()
        ]
    )
    samples = generator.normal(size=(8, TIMESTEPS, 40)).astype("float32")
    path = tmp_path / "model.tflite"
    result = export_tflite(model, path, lowering="fused", quantization=quantization, verify=False)
    assert result.ops[FUSED] == 1
    file = TFLiteModel(path)
    first = file.predict(samples)
    # Invoked row by row: each answer comes after that of another row.
    np.testing.assert_array_equal(file.predict(samples[::-1])[::-1], first)
    # What rounding the weights, of 0.4, makes of 32 units and a few steps.
    rounding = {"none": 1e-5, "float16": 1e-2, "dynamic": 0.2}[quantization]
    np.testing.assert_allclose(first, model(samples), atol=rounding)
    if quantization == "dynamic":
        assert inspect(path).weights["INT8"] > 32 * 128


def test_a_state_shares_no_tensor_with_a_loop(tmp_path):
    from keras import layers

    # Both start from zeros of one shape, and the op writes to what it starts from.
    model = over_tokens(
        lambda x: layers.Dense(1)(layers.GRU(8)(layers.LSTM(8, return_sequences=True)(x)))
    )
    result = export(model, tmp_path / "model.tflite")
    assert result.ops[FUSED] == 1 and "WHILE" in result.ops
    assert_answers_what_keras_answers(model, result.path, inputs_for(model)["tokens"])


def test_what_is_no_lstm_falls_back_and_the_result_says_why(tmp_path):
    from keras import layers

    model = over_tokens(
        lambda x: layers.GRU(8, name="gru")(layers.LSTM(8, return_sequences=True, name="lstm")(x))
    )
    result = export(model, tmp_path / "model.tflite")
    assert result.lowering == {"lstm": "fused", "gru": "loop"}
    assert result.fallbacks == {"gru": "its cell is a GRU, and the op is an LSTM"}


def test_layers_that_fall_back_still_share_a_loop(tmp_path):
    result = export(build(two_grus), tmp_path / "model.tflite")
    assert set(result.lowering.values()) == {"loop"} and len(result.fallbacks) == 2
    assert result.ops["WHILE"] == 1


def with_initial_state(x):
    from keras import layers

    state = layers.Dense(8)(layers.GlobalMaxPooling1D()(x))
    return layers.LSTM(8, name="memory")(x, initial_state=[state, state])


def with_returned_state(x):
    from keras import layers

    return layers.LSTM(8, name="memory", return_state=True)(x)


def with_mixed_cells(x):
    from keras import layers

    return layers.RNN([layers.LSTMCell(8), layers.GRUCell(8)], name="memory")(x)


def of_relu(x):
    from keras import layers

    return layers.LSTM(8, name="memory", activation="relu")(x)


def of_hard_sigmoid(x):
    from keras import layers

    return layers.LSTM(8, name="memory", recurrent_activation="hard_sigmoid")(x)


def of_a_subclass(x):
    from keras import layers

    class Halved(layers.LSTMCell):
        def call(self, inputs, states, training=False):
            return super().call(inputs / 2, states, training=training)

    return layers.RNN(Halved(8), name="memory")(x)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (with_initial_state, "it is given an initial state"),
        (with_returned_state, "it returns its states"),
        (with_mixed_cells, "its cell is a GRU"),
        (of_relu, "its activation is relu"),
        (of_hard_sigmoid, "its recurrent_activation is hard_sigmoid"),
        (of_a_subclass, "its cell is a Halved"),
    ],
)
@pytest.mark.filterwarnings("ignore:Layer 'global_max_pooling1d'")
def test_what_the_op_cannot_do_is_done_by_the_loop(layer, reason):
    model = over_tokens(layer)
    tokens = inputs_for(model)["tokens"]
    expected = keras.tree.flatten(model(tokens))
    lowered = Lowered(model, "fused")
    received = lowered(tokens)
    assert lowered.plan.lowerings == {"memory": "loop"}
    assert lowered.plan.fallbacks["memory"].startswith(reason)
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6, rtol=0)


def test_calibrated_int8_falls_back(tmp_path):
    from keras import layers

    model = over_tokens(lambda x: layers.Dense(1)(layers.LSTM(8, name="memory")(x)))
    result = export(
        model,
        tmp_path / "model.tflite",
        quantization="int8",
        representative_data=inputs_for(model),
    )
    assert result.lowering == {"memory": "loop"}
    assert "not to be seen" in result.fallbacks["memory"]
