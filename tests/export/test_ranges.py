"""int8 ranges: seen in loops too, and never handed from one tensor to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_rnn_zoo.errors import ExportError, VerificationError
from keras_rnn_zoo.export import QUANTIZATIONS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.quantization.ranges import observe
from keras_rnn_zoo.export.tflite import flatbuffer as fb

STEPS = 10
# What one consumer of a tensor sees, and how much more the other does.
LARGE = 900.0


def widened(model: Any, seed: int = 0) -> Any:
    """Gives a model weights with which its answers depend on inputs and states."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        if "seed" in variable.path or not shape:
            continue
        scale = 0.2 if len(shape) < 2 else 0.3 if "recurrent" in variable.path else 1.2
        if len(shape) > 1 and "recurrent" not in variable.path and "embed" not in variable.path:
            scale /= np.sqrt(np.prod(shape[:-1]))
        variable.assign(generator.normal(0, scale, shape))
    return model


def memory(x: Any, units: int = 8) -> Any:
    from keras import layers

    return layers.Dense(2)(layers.LSTM(units)(x))


# Each cuts a small and a large part out of one tensor [batch, 10, 6], whose last columns are up to
# 900, with another op.


def _slice(x: Any) -> tuple[Any, Any]:
    return x[:, :, :3], x[:, :, 3:]


def _split(x: Any) -> tuple[Any, Any]:
    from keras import ops

    small, large = ops.split(x, 2, axis=-1)
    return small, large


def _reshape(x: Any) -> tuple[Any, Any]:
    from keras import layers

    whole = layers.Reshape((STEPS, 2, 3))(x)
    return whole[:, :, 0], layers.Reshape((STEPS, 6))(whole)[:, :, 3:]


def _transpose(x: Any) -> tuple[Any, Any]:
    from keras import layers

    turned = layers.Permute((2, 1))(x)
    return layers.Permute((2, 1))(turned[:, :3]), layers.Permute((2, 1))(turned[:, 3:])


def _gather(x: Any) -> tuple[Any, Any]:
    from keras import ops

    return ops.take(x, [0, 1, 2], axis=-1), ops.take(x, [5, 4, 3], axis=-1)


def _concatenation(x: Any) -> tuple[Any, Any]:
    from keras import layers

    small, large = _slice(x)
    whole = layers.Concatenate()([small, large, small])
    return whole[:, :, 6:], whole[:, :, 3:6]


def _pack(x: Any) -> tuple[Any, Any]:
    from keras import ops

    small, large = _slice(x)
    both = ops.stack([small, large], axis=1)
    return both[:, 0], both[:, 1]


def _one_hot(x: Any) -> tuple[Any, Any]:
    from keras import ops

    small, large = _slice(x)
    kinds = ops.one_hot(ops.cast(small[:, :, 0] > 0, "int32"), 2)
    whole = ops.concatenate([kinds, large], axis=-1)
    return ops.concatenate([whole[:, :, :2], small], axis=-1), whole[:, :, 2:]


CUTS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    cut.__name__.strip("_"): cut
    for cut in (_slice, _split, _reshape, _transpose, _gather, _concatenation, _pack, _one_hot)
}


@pytest.mark.parametrize(
    "name, integer", [*((name, False) for name in CUTS), ("slice", True), ("one_hot", True)]
)
def test_two_consumers_of_one_tensor_have_ranges_of_their_own(name, integer, tmp_path):
    import keras
    from keras import layers

    inputs = keras.Input((STEPS, 6), name="log")
    # One input, or one that was computed.
    x = layers.Conv1D(6, 1, name="mix")(inputs) if integer else inputs
    small, large = CUTS[name](x)
    model = widened(
        keras.Model(
            inputs,
            {
                "label": layers.Activation("softmax")(memory(small)),
                "peak": layers.GlobalMaxPooling1D()(large),
                "trend": memory(large / LARGE),
            },
        )
    )
    if integer:
        kernel = np.eye(6, dtype="float32")[np.newaxis]
        model.get_layer("mix").set_weights([kernel, np.zeros(6)])
    generator = np.random.default_rng(0)
    data = generator.normal(size=(80, STEPS, 6))
    data[..., 3:] = generator.uniform(0, LARGE, (80, STEPS, 3))
    # Raises where an output differs by more than its own spread allows.
    result = export_tflite(
        model,
        tmp_path / "m.tflite",
        quantization="int8",
        representative_data=data[:60],
        samples=data[60:],
    )
    label = next(each for each in result.parity.each if each.name == "label")
    assert label.average < 0.1


def test_states_as_inputs_do_not_share_the_range_of_the_hidden_one(tmp_path):
    import keras
    from keras import layers, ops

    frame = keras.Input((1, 12), name="frame")
    states = keras.Input((2, 16), name="states")
    x, hidden, carry = layers.LSTM(16, return_sequences=True, return_state=True)(
        frame, initial_state=[states[:, 0], states[:, 1]]
    )
    model = widened(
        keras.Model(
            {"frame": frame, "states": states},
            {
                "mask": layers.Dense(12, activation="sigmoid", name="gain")(x),
                "next": ops.stack([hidden, carry], axis=1),
            },
        )
    )
    generator = np.random.default_rng(1)
    data = {
        "frame": generator.normal(size=(80, 1, 12)),
        # The cell goes far beyond what the hidden state can be.
        "states": np.stack(
            [np.tanh(generator.normal(size=(80, 16))), generator.normal(0, 5, (80, 16))], axis=1
        ),
    }
    result = export_tflite(
        model, tmp_path / "m.tflite", quantization="int8", representative_data=data
    )
    assert all(each.average < 0.05 for each in result.parity.each)


def test_layers_of_one_name_in_two_joined_models_have_ranges_of_their_own(tmp_path):
    import keras
    from keras import layers

    def part(seed: int) -> Any:
        inputs = keras.Input((8, 4), name="x")
        x = layers.LSTM(10, name="lstm")(inputs)
        x = layers.Dense(12, activation="relu", name="dense")(x)
        return widened(keras.Model(inputs, layers.Dense(3, name="out")(x)), seed)

    volts, raw = part(1), part(2)
    volts.name, raw.name = "volts", "raw"
    kernel = raw.get_layer("lstm").cell.kernel
    kernel.assign(np.array(kernel) / 1000)
    first, second = keras.Input((8, 4), name="in_volts"), keras.Input((8, 4), name="in_raw")
    model = keras.Model([first, second], {"a": volts(first), "b": raw(second)})
    generator = np.random.default_rng(0)
    data = {
        "in_volts": generator.normal(size=(60, 8, 4)),
        "in_raw": 1000 * generator.normal(size=(60, 8, 4)),
    }
    result = export_tflite(
        model, tmp_path / "m.tflite", quantization="int8", representative_data=data
    )
    assert all(each.average < 0.06 for each in result.parity.each)


def forecast(offset: float, spread: float) -> tuple[Any, np.ndarray]:
    import keras
    from keras import layers

    past = keras.Input((12, 2), name="past")
    x = layers.Dense(2, name="next")(layers.LSTM(16)(past))
    model = widened(keras.Model(past, x))
    head = model.get_layer("next")
    kernel, _ = head.get_weights()
    # Two quantities in units of their own, both far from zero.
    head.set_weights([kernel * np.array([spread, 1e-3]), np.array([offset, 0.5])])
    return model, np.random.default_rng(0).normal(size=(150, 12, 2)).astype("float32")


@pytest.mark.parametrize("offset, spread", [(990.0, 4.0), (2e5, 3e3), (-40.0, 0.1)])
def test_regression_far_from_zero_keeps_its_resolution(offset, spread, tmp_path):
    model, x = forecast(offset, spread)
    result = export_tflite(
        model, tmp_path / "m.tflite", quantization="int8", representative_data=x, samples=x[:64]
    )
    answers = TFLiteModel(result.path).predict(x)
    assert len(np.unique(answers[:, 0])) > 100
    expected = np.asarray(model(x))
    errors = np.abs(answers - expected).mean(axis=0) / expected.std(axis=0)
    assert (errors < 0.05).all()


def test_integer_answers_too_few_to_be_of_use_are_refused(tmp_path):
    model, x = forecast(990.0, 4.0)
    with pytest.raises(
        VerificationError, match=r"too roughly: 'next' differs.*inference_type 'float32'"
    ):
        export_tflite(
            model,
            tmp_path / "m.tflite",
            quantization="int8",
            representative_data=x,
            inference_type="int8",
        )


def with_integer_ends(model, x, path):
    return export_tflite(
        model,
        path,
        quantization="int8",
        representative_data=x,
        samples=x[:60],
        inference_type="int8",
    )


def test_how_fine_integer_answers_are_and_what_that_costs_is_told(tmp_path):
    model, x = forecast(0.0, 4.0)
    head = model.get_layer("next")
    head.set_weights([head.get_weights()[0] * np.array([1, 1e3]), np.zeros(2)])
    result = with_integer_ends(model, x, tmp_path / "m.tflite")
    stored = TFLiteModel(tmp_path / "m.tflite").predict(x[:60])
    (output,) = result.parity.each
    assert output.distinct == len(np.unique(stored)) < output.distinct_keras
    assert (
        f"takes {output.distinct} different values where the Keras model takes" in result.notes[-1]
    )
    off = np.abs(stored - np.asarray(model(x[:60]))).mean()
    assert off == pytest.approx(output.mean, rel=0.3)  # made samples count there, too
    assert f"{output.mean:.2g} off on average" in result.notes[-1]


def test_what_integer_probabilities_cost_is_told_of_them_not_of_the_logits(tmp_path):
    import keras
    from keras import layers

    inputs = keras.Input((STEPS, 4), name="x")
    head = layers.Dense(1, activation="sigmoid", name="rare")
    model = widened(keras.Model(inputs, head(layers.LSTM(6)(inputs))))
    head.bias.assign([-9.0])  # 0.0001, always: less than the first of 256 steps
    x = np.random.default_rng(1).normal(size=(60, STEPS, 4)).astype("float32")
    result = export_tflite(
        model,
        tmp_path / "m.tflite",
        quantization="int8",
        representative_data=x,
        inference_type="int8",
    )
    (output,) = result.parity.each
    assert output.distinct == 1 and output.average < 0.1 < 1 < output.answered
    assert f"{output.answered:.1%} of the standard deviation of the answers" in result.notes[-1]


@pytest.mark.parametrize("kind", ["units", "mask"])
def test_what_int8_rounds_of_inputs_is_measured_in_the_range_of_each_column(kind, tmp_path):
    import keras
    from keras import layers

    from keras_rnn_zoo.export import verify_file

    def model(seed: int, moved: float = 0.0) -> Any:
        inputs = keras.Input((STEPS, 3), name="x")
        x = (
            layers.Rescaling([1, 1, 1e-3])(inputs)
            if kind == "units"
            else layers.Masking(-999.0)(inputs)
        )
        made = widened(keras.Model(inputs, layers.Dense(2, name="y")(layers.LSTM(6)(x))))
        generator = np.random.default_rng(seed)
        made.set_weights(
            [
                w + moved * np.abs(w).max() * generator.normal(size=w.shape)
                for w in made.get_weights()
            ]
        )
        return made

    x = np.random.default_rng(1).normal(size=(40, STEPS, 3)).astype("float32")
    if kind == "units":
        x[:, :, 2] *= 1e3
    else:
        for row in range(40):
            x[row, 1 + row % STEPS :] = -999
    file = tmp_path / "m.tflite"
    arguments: dict[str, Any] = {"quantization": "int8", "representative_data": x, "samples": x}
    (output,) = export_tflite(model(0), file, **arguments).parity.each
    assert output.rounding < 0.02 and output.allowed_average < 0.1
    # A model that was trained on, say: answers moved by a tenth of their spread.
    export_tflite(model(3, 0.05), file, **arguments)
    assert not verify_file(file, model(0), x)["passed"]


@pytest.mark.parametrize(
    "value, features",
    [(0.0, 1), (-1.0, 1), (-10.0, 1), (-999.0, 1), (0.0, 4), (-1.0, 4), (7.0, 4), (-999.0, 4)],
)
def test_masks_survive_integer_inputs_or_are_refused_with_that_reason(value, features, tmp_path):
    import keras
    from keras import layers

    inputs = keras.Input((9, features), name="x")
    masked = layers.Masking(mask_value=value)(inputs)
    model = widened(keras.Model(inputs, layers.Dense(2, name="y")(layers.LSTM(8)(masked))))
    x = np.random.default_rng(1).normal(size=(60, 9, features)).astype("float32")
    for row in range(40):
        x[row, 1 + row % 8 :] = value

    def export() -> Any:
        return export_tflite(
            model,
            tmp_path / "m.tflite",
            quantization="int8",
            representative_data=x,
            inference_type="int8",
        )

    if features == 1 and value in (0.0, -1.0):  # readings lie on both sides of it
        with pytest.raises(ExportError, match="masks time steps of input 'x'"):
            export()
        return
    file = TFLiteModel(export().path)
    # Where nothing but the padding differs, nothing does.
    short = x[:1].copy()
    short[0, 1:] = value
    long = short.copy()
    long[0, 3:] = x[0, :1] + 1
    answers = file.predict(np.concatenate([short, short, long]))
    assert (answers[0] == answers[1]).all() and (answers[0] != answers[2]).any()
    expected = np.asarray(model(x))
    assert np.abs(file.predict(x) - expected).mean() < 0.05 * expected.std()


def test_ranges_are_those_of_all_steps_of_a_loop(tmp_path):
    import keras
    from keras import layers

    inputs = keras.Input((20, 3), name="x")
    model = widened(keras.Model(inputs, layers.LSTM(6, return_sequences=True, name="h")(inputs)))
    x = np.random.default_rng(4).normal(size=(30, 20, 3)).astype("float32")
    export_tflite(model, tmp_path / "m.tflite", samples=x)
    content = (tmp_path / "m.tflite").read_bytes()
    file = fb.unpack(content)
    places = {
        (number, int(operator.inputs[0]))
        for number, graph in enumerate(file.subgraphs)
        for operator in graph.operators
        if fb.op_name(file, operator) == "FULLY_CONNECTED"
        and fb.shape_of(graph.tensors[operator.inputs[1]])[-1] == 6
    }
    seen = observe(file, places, {"x": x})
    hidden = np.asarray(model(x))[:, :-1]  # what each step but the first multiplies
    assert len(seen) == len(places) >= 1
    low = np.min([each.low for each in seen.values()], axis=0)
    high = np.max([each.high for each in seen.values()], axis=0)
    # float32 in another order; zeros come before the first step.
    np.testing.assert_allclose(low, np.minimum(hidden.min(axis=(0, 1)), 0), atol=1e-5)
    np.testing.assert_allclose(high, np.maximum(hidden.max(axis=(0, 1)), 0), atol=1e-5)


def test_steps_of_integer_answers_are_no_fault_of_the_file_as_long_as_they_are_small(tmp_path):
    """A temperature in kelvin: a step of int8 is a degree and more."""
    model, x = forecast(295.0, 30.0)
    head = model.get_layer("next")
    kernel, _ = head.get_weights()
    head.set_weights([0.7 * kernel * np.array([1, 3e4]), np.array([295.0, 295.0])])
    result = with_integer_ends(model, x, tmp_path / "m.tflite")
    (output,) = result.parity.each
    limits = QUANTIZATIONS.get("int8").tolerance
    rounding = max(limits.least, limits.times * output.rounding)
    assert rounding + 0.01 < output.allowed_average < limits.average
