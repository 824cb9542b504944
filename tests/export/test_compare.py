"""Verification tells a file that answers what the model answers from one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tflite_files import (
    TIMESTEPS,
    VOCABULARY,
    calibrated,
    convert,
    convert_model,
    token_model,
    tokens,
)

from keras_rnn_zoo.errors import ConfigError, ExportError, RunError, VerificationError
from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.keras_model.sequences import make_lengths
from keras_rnn_zoo.export.tflite import isolated
from keras_rnn_zoo.export.tflite.interpreter import TFLiteModel
from keras_rnn_zoo.export.tflite.isolated import PERTURB
from keras_rnn_zoo.export.verify import compare
from keras_rnn_zoo.export.verify.compare import (
    DtypesError,
    NamesError,
    ShapesError,
    ValuesError,
    _check_repeats,
    compare_tflite,
    verify_tflite,
)
from keras_rnn_zoo.export.verify.reference import Reference, reference_of
from keras_rnn_zoo.export.verify.scores import changed_rows, evaluate_tflite, score
from keras_rnn_zoo.export.verify.tolerance import Tolerance

# float32 in another order; and 8 bits for everything.
CLOSE = Tolerance(average=0.1, high=0.5, times=12, least=1e-5, reason="float32")
ROUGH = Tolerance(average=0.25, high=1.0, changed=0.1, times=6, least=0.2, reason="int8")


@pytest.fixture(scope="module")
def model():
    return token_model()


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return convert_model(tmp_path_factory.mktemp("compare") / "m.tflite", model)


def linear_file(path, *, name="tokens", output="answer", timesteps=TIMESTEPS, dtype="int32"):
    """A file with the signature of the model, or with one thing changed."""
    import tensorflow as tf

    return convert(
        path,
        lambda x: {output: tf.sigmoid(tf.reduce_sum(tf.cast(x, tf.float32), 1, keepdims=True))},
        [tf.TensorSpec((1, timesteps), dtype, name=name)],
    )


def test_same_answers_pass_with_three_invokes_of_every_sample(model, file):
    parity = verify_tflite(file, model, tokens(), CLOSE)
    assert parity.passed
    assert parity.invokes == 3
    assert parity.samples == 12 + 7
    assert parity.inputs == ("tokens",) and parity.outputs == ("answer",)
    assert parity.max_abs_output <= 1e-6 and parity.max_abs_logit <= 1e-5
    assert parity.mean_abs_output <= parity.max_abs_output
    assert parity.max_abs_repeat == 0
    assert parity.changed_answers == 0
    assert {0, 1, TIMESTEPS // 4, TIMESTEPS // 2, TIMESTEPS} <= set(parity.lengths)
    assert parity.to_dict()["tolerance"]["reason"] == "float32"
    (output,) = parity.each
    assert output.compared == "logits" and output.spread > 1
    assert output.average <= output.allowed_average and output.high <= output.allowed_high
    assert parity.made == 7 and parity.left_out == 0


@pytest.mark.parametrize("units, activation", [(3, "softmax"), (2, "sigmoid"), (2, None)])
def test_every_kind_of_head_is_compared_on_its_logits(tmp_path, units, activation):
    model = token_model(units, activation)
    parity = verify_tflite(convert_model(tmp_path / "m.tflite", model), model, tokens(), CLOSE)
    assert parity.max_abs_logit is not None and parity.max_abs_logit < 1e-4
    if activation is None:  # the outputs are the logits
        assert parity.max_abs_logit == parity.max_abs_output
    assert (parity.changed_answers is None) == (activation is None)


def test_head_of_a_nested_model_has_logits(tmp_path):
    import keras

    inputs = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    outer = keras.Model(inputs, token_model()(inputs))
    reference = reference_of(outer, tokens())
    (answers,), (logits,) = reference.answers.values(), reference.logits.values()
    # float32's sigmoid.
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), answers, atol=1e-6)


def test_sequential_and_activation_layer_have_logits():
    import keras

    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Activation("softmax")]
    )
    x = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
    reference = reference_of(model, x)
    (spec,) = reference.outputs
    assert spec.activation == "softmax"
    expected = x @ model.layers[0].kernel.numpy() + model.layers[0].bias.numpy()
    np.testing.assert_allclose(reference.logits[spec.name], expected, atol=1e-6)


def test_reference_leaves_the_model_as_it_was(model):
    before = model.to_json()
    layers = [(layer, len(layer._outbound_nodes)) for layer in model.layers]
    reference_of(model, tokens())
    assert model.to_json() == before
    assert all(len(layer._outbound_nodes) == count for layer, count in layers)


def test_quantized_inputs_and_outputs_are_scaled(model, tmp_path):
    import keras

    inputs = keras.Input((4,), name="x")
    dense = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs))
    x = np.random.default_rng(0).standard_normal((50, 4)).astype("float32")
    path = convert_model(tmp_path / "m.tflite", dense, configure=calibrated(x))
    file = TFLiteModel(path)
    assert file.inputs["x"].dtype == "int8" and file.inputs["x"].scale > 0
    parity = verify_tflite(path, dense, x, ROUGH)
    assert 1e-4 < parity.max_abs_output < 0.2
    assert 1e-4 < parity.max_abs_logit < 0.2


def test_rough_file_fails_a_tight_tolerance_and_says_by_how_much(tmp_path):
    import keras

    inputs = keras.Input((4,), name="x")
    dense = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs))
    x = np.random.default_rng(0).standard_normal((50, 4)).astype("float32")
    path = convert_model(tmp_path / "m.tflite", dense, configure=calibrated(x))
    with pytest.raises(ValuesError, match=r"logits of .*allowed") as caught:
        verify_tflite(path, dense, x, CLOSE)
    assert not caught.value.parity.passed
    assert caught.value.parity.max_abs_output > 1e-6


def test_logits_show_what_saturated_outputs_hide(tmp_path):
    import keras
    import tensorflow as tf

    inputs = keras.Input((4,), name="x")
    head = keras.layers.Dense(1, activation="sigmoid", bias_initializer="ones", name="answer")
    model = keras.Model(inputs, head(inputs))
    head.bias.assign([40.0])
    kernel = head.kernel.numpy()
    # Answers 1.0 as the model does, from logits that are half as large.
    path = convert(
        tmp_path / "m.tflite",
        lambda x: {"answer": tf.sigmoid((x @ kernel + 40.0) / 2)},
        [tf.TensorSpec((1, 4), tf.float32, name="x")],
    )
    x = np.random.default_rng(0).standard_normal((8, 4)).astype("float32")
    with pytest.raises(ValuesError, match="logits of 'answer' differ"):
        verify_tflite(path, model, x, CLOSE)


def test_file_that_keeps_state_between_invokes_is_refused(model, tmp_path):
    import tensorflow as tf

    calls = tf.Variable(tf.zeros((1, 1)))

    def function(x):
        calls.assign_add(tf.ones((1, 1)))
        return {"answer": tf.sigmoid(calls)}

    path = convert(
        tmp_path / "m.tflite",
        function,
        [tf.TensorSpec((1, TIMESTEPS), tf.int32, name="tokens")],
        variables=[calls],
    )
    loose = Tolerance(average=100.0, high=100.0, changed=1.0, times=1e9, least=100.0)
    with pytest.raises(ValuesError, match="keeps state between calls"):
        verify_tflite(path, model, tokens(2), loose)


def test_names_come_first_then_shapes_then_dtypes_then_values(model, tmp_path):
    wrong = {"name": "words", "timesteps": 5, "dtype": "int64"}
    corrected = []
    for error in (NamesError, ShapesError, DtypesError, ValuesError):
        path = linear_file(tmp_path / "m.tflite", **wrong)
        with pytest.raises(error) as caught:
            verify_tflite(path, model, tokens(), CLOSE)
        assert isinstance(caught.value, VerificationError)
        assert "\n" not in str(caught.value)
        if wrong:
            corrected.append(wrong.pop(next(iter(wrong))))
    assert corrected == ["words", 5, "int64"]


def test_wrong_output_name_is_named_with_the_nearest(model, tmp_path):
    path = linear_file(tmp_path / "m.tflite", output="answers")
    with pytest.raises(NamesError, match="Did you mean 'answer'"):
        verify_tflite(path, model, tokens(), CLOSE)


def test_nan_in_a_file_and_in_a_model_are_refused(model, file, tmp_path):
    import tensorflow as tf

    path = convert(
        tmp_path / "m.tflite",
        lambda x: {"answer": tf.sqrt(-1.0 - tf.cast(x[:, :1], tf.float32))},
        [tf.TensorSpec((1, TIMESTEPS), tf.int32, name="tokens")],
    )
    with pytest.raises(ValuesError, match="NaN"):
        verify_tflite(path, model, tokens(), CLOSE)
    broken = token_model()
    broken.layers[-1].bias.assign([np.nan])
    with pytest.raises(ExportError, match="answers NaN"):
        verify_tflite(file, broken, tokens(), CLOSE)


def test_several_inputs_and_outputs_are_matched_by_name(tmp_path):
    import keras
    import tensorflow as tf

    words = keras.Input((TIMESTEPS,), dtype="int32", name="words")
    facts = keras.Input((3,), name="facts")
    x = keras.layers.Flatten()(keras.layers.Embedding(VOCABULARY, 4)(words))
    x = keras.layers.Concatenate()([x, facts])
    outputs = [
        keras.layers.Dense(1, activation="sigmoid", name="spam")(x),
        keras.layers.Dense(3, activation="softmax", name="topic")(x),
    ]
    model = keras.Model([words, facts], outputs)

    def swapped(facts, words):
        spam, topic = model([words, facts], training=False)
        return {"topic": topic, "spam": spam}

    path = convert(
        tmp_path / "m.tflite",
        swapped,
        [
            tf.TensorSpec((1, 3), tf.float32, name="facts"),
            tf.TensorSpec((1, TIMESTEPS), tf.int32, name="words"),
        ],
        variables=[variable.value for variable in model.variables],
    )
    samples = {"words": tokens(6), "facts": np.eye(6, 3, dtype="float32")}
    parity = verify_tflite(path, model, samples, CLOSE)
    assert set(parity.inputs) == {"words", "facts"}
    assert parity.max_abs_logit is not None
    answers = TFLiteModel(path).predict(samples)
    assert {name: value.shape for name, value in answers.items()} == {
        "spam": (6, 1),
        "topic": (6, 3),
    }


def test_files_of_larger_batches_answer_any_number_of_rows(model, file, tmp_path):
    four = convert_model(tmp_path / "four.tflite", model, batch_size=4)
    assert TFLiteModel(four).batch_size == 4
    for count in (1, 4, 7):
        # The same float32 products in another order.
        np.testing.assert_allclose(
            TFLiteModel(four).predict(tokens(count)),
            TFLiteModel(file).predict(tokens(count)),
            atol=1e-6,
        )
    assert verify_tflite(four, model, tokens(), CLOSE).passed
    assert TFLiteModel(file).predict(tokens(1)[:0]).shape == (0, 1)


def test_inputs_that_the_file_does_not_take_are_refused(file):
    runner = TFLiteModel(file)
    with pytest.raises(RunError, match=r"\['samples', 8\] as 'tokens'"):
        runner.predict(tokens()[:, :5])
    with pytest.raises(RunError, match="takes the inputs 'tokens'"):
        runner.predict({"words": tokens()})
    with pytest.raises(ConfigError, match="threads"):
        TFLiteModel(file, threads=0)


def test_made_lengths_repeat_real_steps_and_pad_where_the_samples_do():
    right = np.array([[5, 6, 7, 0, 0, 0, 0, 0]] * 2)
    made = make_lengths({"x": right})["x"].tolist()
    assert made[0] == [5, 0, 0, 0, 0, 0, 0, 0]
    assert made[1] == [5, 6, 0, 0, 0, 0, 0, 0]
    assert made[2] == [5, 6, 7, 5, 0, 0, 0, 0]
    assert made[3] == [5, 6, 7, 5, 6, 7, 5, 6]
    assert made[4] == [0, 0, 0, 0, 5, 6, 7, 5]
    assert made[5] == [5, 6, 0, 0, 0, 7, 5, 6]
    assert made[6] == [0] * 8
    left = make_lengths({"x": right[:, ::-1]})["x"].tolist()
    assert left[0] == [0, 0, 0, 0, 0, 0, 0, 7]
    assert left[4] == [7, 6, 5, 7, 0, 0, 0, 0]


def test_token_ids_that_come_as_floats_are_sequences_too():
    made = make_lengths({"x": np.array([[5.0, 6.0, 0.0, 0.0]], "float32")})["x"]
    assert made[3].tolist() == [5, 6, 5, 6] and made.dtype == "float32"


def test_made_lengths_of_features_and_of_inputs_without_time():
    sensor = np.ones((3, 4, 2), "float32")
    sensor[:, 2:] = 0
    made = make_lengths({"sensor": sensor, "facts": np.full((3, 5), 0.5, "float32")})
    assert made["sensor"].shape == (7, 4, 2) and made["facts"].shape == (7, 5)
    assert made["sensor"].any(axis=2).sum(axis=1).tolist() == [1, 1, 2, 4, 2, 3, 0]
    assert len(make_lengths({"facts": np.full((3, 5), 0.5, "float32")})["facts"]) == 0


def test_reference_survives_a_file_and_verifies_without_tensorflow(model, file, tmp_path):
    reference_of(model, tokens()).save(tmp_path / "reference.npz")
    loaded = Reference.load(tmp_path / "reference.npz")
    assert compare_tflite(file, loaded, CLOSE) == verify_tflite(file, model, tokens(), CLOSE)
    program = (
        "import sys\n"
        "from keras_rnn_zoo.export.verify.reference import Reference\n"
        "from keras_rnn_zoo.export.verify.compare import Tolerance, compare_tflite\n"
        f"r = Reference.load({str(tmp_path / 'reference.npz')!r})\n"
        f"assert compare_tflite({str(file)!r}, r, Tolerance(0.1, 0.5)).passed\n"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_damaged_reference_is_refused(model, tmp_path):
    path = tmp_path / "reference.npz"
    reference_of(model, tokens()).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RunError, match=r"reference\.npz.*damaged"):
        Reference.load(path)
    with pytest.raises(RunError, match="missing"):
        Reference.load(tmp_path / "none.npz")


def test_scores_by_task():
    binary = np.array([[0.2], [0.7], [0.9]])
    assert score(binary, np.ones((3, 4)), np.array([0, 1, 0]), "binary") == pytest.approx(2 / 3)
    shares = np.array([[0.1, 0.9], [0.8, 0.2]])
    assert score(shares, np.ones((2, 4)), np.array([1, 1]), "multiclass") == 0.5
    values = np.array([[1.0], [3.0]], "float32")
    assert score(values, np.ones((2, 4)), np.array([2.0, 3.0]), "regression") == 0.5
    steps = np.zeros((1, 3, 2))
    steps[0, :, 1] = 1
    # The last step is padding, and its label does not count.
    assert score(
        steps, np.array([[4, 5, 0]]), np.array([[1, 0, 0]]), "sequence_labelling"
    ) == pytest.approx(0.5)


def test_accuracy_of_a_file_is_that_of_its_model(model, file):
    x = tokens()
    y = np.arange(len(x)) % 2
    expected = ((model(x).numpy()[:, 0] > 0.5) == y).mean()
    assert evaluate_tflite(file, x, y, "binary") == pytest.approx(expected)


def test_changed_rows_ignore_padding():
    before = np.zeros((2, 3, 2))
    before[..., 0] = 1
    after = before.copy()
    after[0, 2] = [0, 1]
    assert changed_rows(before, after) == 1
    real = np.array([[True, True, False], [True, True, True]])
    assert changed_rows(before, after, real) == 0


# ------------------------------------------------------ what a difference is measured against


def regression(offset: float, spread: float = 1.0):
    """A model whose answers lie around `offset`."""
    import keras

    inputs = keras.Input((4,), name="x")
    head = keras.layers.Dense(1, name="y", bias_initializer=keras.initializers.Constant(offset))
    model = keras.Model(inputs, head(inputs))
    head.kernel.assign(spread * np.array([[1.0], [-0.5], [0.3], [0.2]]))
    return model, head.kernel.numpy(), head.bias.numpy()


def test_the_last_digit_of_large_answers_is_no_state():
    answers = {"answer": np.full((2, 1), 400, np.float32)}
    close = {"answer": np.nextafter(answers["answer"], np.float32(500))}
    assert 0 < _check_repeats("a file", [answers, close], 1e-6) < 1e-4
    with pytest.raises(ValuesError, match="keeps state between calls"):
        _check_repeats("a file", [answers, {"answer": answers["answer"] + 0.01}], 1e-6)


def answers_of(path, function):
    import tensorflow as tf

    return convert(
        path, lambda x: {"y": function(x)}, [tf.TensorSpec((1, 4), tf.float32, name="x")]
    )


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(3).normal(size=(60, 4)).astype("float32")


@pytest.mark.parametrize("offset", [0.0, 990.0, 3e5])
def test_steps_as_large_as_the_spread_are_refused_however_large_the_answers_are(
    offset, rows, tmp_path
):
    import tensorflow as tf

    model, kernel, bias = regression(offset)
    good = answers_of(tmp_path / "good.tflite", lambda x: x @ kernel + bias)
    assert verify_tflite(good, model, rows, CLOSE).passed
    stepped = answers_of(
        tmp_path / "stepped.tflite", lambda x: tf.round((x @ kernel + bias) / 2) * 2
    )
    with pytest.raises(ValuesError, match="standard deviations of the answers"):
        verify_tflite(stepped, model, rows, ROUGH)


@pytest.mark.parametrize("kind", ["mean", "constant", "last"])
def test_what_a_fool_would_answer_is_refused(kind, rows, tmp_path):
    model, kernel, bias = regression(50.0)
    mean = float((rows @ kernel + bias).mean())
    fool = {
        "mean": lambda x: 0 * (x @ kernel) + mean,
        "constant": lambda x: 0 * (x @ kernel) + bias,
        "last": lambda x: x[:, 3:] + bias,
    }[kind]
    with pytest.raises(ValuesError, match="'y' differs"):
        verify_tflite(answers_of(tmp_path / "m.tflite", fool), model, rows, ROUGH)


def test_a_column_in_a_small_unit_counts_as_much_as_one_in_a_large_one(rows, tmp_path):
    import keras
    import tensorflow as tf

    inputs = keras.Input((4,), name="x")
    head = keras.layers.Dense(2, name="y")
    model = keras.Model(inputs, head(inputs))
    kernel = np.array([[1e5, 1e-3], [2e4, -2e-3], [0, 1e-3], [3e4, 0]], "float32")
    head.set_weights([kernel, np.array([2e5, 0.3], "float32")])
    bias = head.bias.numpy()
    good = answers_of(tmp_path / "good.tflite", lambda x: x @ kernel + bias)
    assert verify_tflite(good, model, rows, CLOSE).passed
    # Dollars right, the rate in the second column always the same.
    half = tf.constant([[1.0, 0.0]])
    wrong = answers_of(tmp_path / "wrong.tflite", lambda x: (x @ kernel) * half + bias)
    with pytest.raises(ValuesError):
        verify_tflite(wrong, model, rows, ROUGH)


def test_one_answer_of_a_million_does_not_hide_the_others(rows, tmp_path):
    model, kernel, bias = regression(0.0)
    far = rows.copy()
    far[7] *= 1e6
    good = answers_of(tmp_path / "good.tflite", lambda x: x @ kernel + bias)
    assert verify_tflite(good, model, far, CLOSE).passed
    # Off by a thousandth where an answer is large, as rounding is.
    rough = answers_of(tmp_path / "rough.tflite", lambda x: 1.001 * (x @ kernel) + bias)
    assert verify_tflite(rough, model, far, ROUGH).passed
    zeros = answers_of(
        tmp_path / "zeros.tflite", lambda x: (x @ kernel) * float_of(abs(x @ kernel) > 1e4)
    )
    with pytest.raises(ValuesError, match="'y' differs on average"):
        verify_tflite(zeros, model, far, ROUGH)


def float_of(condition):
    import tensorflow as tf

    return tf.cast(condition, tf.float32)


def masked_maximum(kernel_sign: float = 1.0):
    """The maximum over the steps that count: without any, it is the number put in for masked."""
    import keras
    from keras import ops

    inputs = keras.Input((8, 3), name="x")
    counts = ops.any(inputs != 0, axis=-1, keepdims=True)
    x = keras.layers.LSTM(6, return_sequences=True)(keras.layers.Masking()(inputs))
    x = ops.max(x + (1 - ops.cast(counts, "float32")) * -1e9, axis=1)
    model = keras.Model(inputs, keras.layers.Dense(3, name="y")(x))
    generator = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(generator.normal(0, 0.4, variable.shape))
    recurrent = next(v for v in model.variables if "recurrent" in v.path)
    recurrent.assign(kernel_sign * np.asarray(recurrent))
    return model


@pytest.mark.parametrize("mode", ["none", "int8"])
def test_a_made_sample_of_no_step_does_not_hide_or_condemn_the_real_ones(mode, tmp_path):
    from keras_rnn_zoo.export import export_tflite, verify_file

    x = np.random.default_rng(1).normal(size=(40, 8, 3)).astype("float32")
    file = tmp_path / "m.tflite"
    right = export_tflite(
        masked_maximum(), file, quantization=mode, representative_data=x, samples=x
    )
    assert right.parity.passed and right.parity.each[0].spread < 1
    export_tflite(
        masked_maximum(-1.0), file, quantization=mode, representative_data=x, verify=False
    )
    wrong = verify_file(file, masked_maximum(), x)
    assert not wrong["passed"] and "'y' differs on average" in wrong["text"]


def test_model_that_answers_the_same_to_everything_is_compared_with_that_answer(rows, tmp_path):
    model, kernel, bias = regression(7.0, spread=0.0)
    same = answers_of(tmp_path / "same.tflite", lambda x: x @ kernel + bias)
    parity = verify_tflite(same, model, rows, CLOSE)
    assert parity.passed and parity.each[0].spread == 0
    other = answers_of(tmp_path / "other.tflite", lambda x: x @ kernel + bias + 0.01)
    with pytest.raises(ValuesError, match="the one answer"):
        verify_tflite(other, model, rows, CLOSE)


def test_labels_as_whole_numbers_are_decisions(rows, tmp_path):
    import keras
    import tensorflow as tf

    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, keras.ops.argmax(inputs, axis=-1))
    (name,) = model.output_names

    def file(path, function):
        spec = tf.TensorSpec((1, 4), tf.float32, name="x")
        return convert(path, lambda x: {name: function(x)}, [spec])

    right = file(tmp_path / "right.tflite", lambda x: tf.argmax(x, -1, output_type=tf.int32))
    parity = verify_tflite(right, model, rows, CLOSE)
    assert parity.each[0].compared == "decisions" and parity.changed_answers == 0
    wrong = file(tmp_path / "wrong.tflite", lambda x: tf.argmin(x, -1, output_type=tf.int32))
    with pytest.raises(ValuesError, match="decisions"):
        verify_tflite(wrong, model, rows, CLOSE)


# ------------------------------------------------------------- models that amplify rounding


def elman(recurrent: float, steps: int = 60):
    """A SimpleRNN with recurrent weights of that standard deviation."""
    import keras

    inputs = keras.Input((steps, 3), name="x")
    layer = keras.layers.SimpleRNN(64)
    model = keras.Model(inputs, keras.layers.Dense(2, name="y")(layer(inputs)))
    generator = np.random.default_rng(2)
    layer.cell.recurrent_kernel.assign(generator.normal(0, recurrent, (64, 64)))
    return model


def test_chaotic_model_is_told_apart_from_a_wrong_file(tmp_path):
    from keras_rnn_zoo.export import export_tflite

    model = elman(0.3)
    x = np.random.default_rng(1).normal(size=(24, 60, 3)).astype("float32")
    with pytest.raises(ValuesError, match="amplifies rounding") as caught:
        export_tflite(model, tmp_path / "m.tflite", quantization="dynamic", samples=x)
    assert caught.value.parity.amplifies
    # As advised: smaller recurrent weights, or fewer time steps.
    calm = export_tflite(elman(0.05), tmp_path / "m.tflite", quantization="dynamic", samples=x)
    assert calm.parity.passed and not calm.parity.amplifies
    x = x[:, :4]
    short = export_tflite(elman(0.3, 4), tmp_path / "m.tflite", quantization="dynamic", samples=x)
    assert short.parity.passed and not short.parity.amplifies


def test_large_answers_alone_are_no_model_that_amplifies_rounding(tmp_path):
    import keras

    from keras_rnn_zoo.export import export_tflite

    inputs = keras.Input((10, 3), name="x")
    x = keras.layers.LSTM(6)(inputs)
    price = keras.layers.Dense(1, name="price", bias_initializer=keras.initializers.Constant(1e5))
    model = keras.Model(inputs, [price(x), keras.layers.Dense(1, name="change")(x)])
    rows = np.random.default_rng(1).normal(size=(40, 10, 3)).astype("float32")
    arguments = {"quantization": "int8", "representative_data": rows}
    with pytest.raises(ValuesError, match=r"'price' differs.*inference_type 'float32'") as caught:
        export_tflite(model, tmp_path / "m.tflite", inference_type="int8", **arguments)
    assert not caught.value.parity.amplifies
    assert export_tflite(model, tmp_path / "m.tflite", **arguments).parity.passed  # as advised


# ------------------------------------------------------------- real rows and made-up ones


def test_made_samples_that_keras_answers_with_nan_are_left_out_and_counted():
    import keras

    words = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(VOCABULARY, 6, mask_zero=True)(words)
    model = keras.Model(words, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x)))
    reference = reference_of(model, tokens())
    # The mean of no step at all.
    assert reference.left_out == 1 and len(reference.x["tokens"]) == 12 + 6
    with pytest.raises(ExportError, match="sample 3"):
        reference_of(model, np.where(np.arange(12)[:, None] == 3, 0, tokens()))


def test_made_samples_are_padded_with_what_the_model_masks():
    import keras

    inputs = keras.Input((6, 2), name="x")
    x = keras.layers.LSTM(4)(keras.layers.Masking(-7.0)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    rows = np.random.default_rng(0).normal(size=(9, 6, 2)).astype("float32")
    rows[:, 4:] = -7
    reference = reference_of(model, rows)
    made = reference.x["x"][reference.given :]
    assert (made[0] == -7).all(axis=1).sum() == 5  # one real step
    assert (made[-1] == -7).all()


# ------------------------------------------------------------- memory that nobody wrote


def test_file_that_answers_otherwise_where_memory_is_not_zero_is_refused(
    rows, tmp_path, monkeypatch
):
    model, kernel, bias = regression(0.0)
    path = answers_of(tmp_path / "m.tflite", lambda x: x @ kernel + bias)
    real = compare.answer_perturbed
    for change, what in ((1.01, "otherwise"), (np.nan, "NaN")):

        def elsewhere(*arguments, change=change):
            return {name: values * change for name, values in real(*arguments).items()}

        monkeypatch.setattr(compare, "answer_perturbed", elsewhere)
        with pytest.raises(ValuesError, match=f"memory that nobody wrote.*{what}"):
            verify_tflite(path, model, rows, CLOSE)


def test_memory_of_the_second_process_is_not_zero(tmp_path):
    program = (
        "import numpy, os, ctypes\n"
        "libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p\n"
        "print(numpy.ctypeslib.as_array((ctypes.c_uint8 * 64).from_address(libc.malloc(64)))[-1])"
    )
    environment = {**os.environ, "MALLOC_PERTURB_": str(PERTURB)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    # The complement in new memory, the value itself in some that was freed before.
    assert int(done.stdout) in (PERTURB, 255 - PERTURB)


def test_second_process_is_another_one_stays_and_has_that_setting(rows, tmp_path):
    model, kernel, bias = regression(0.0)
    path = answers_of(tmp_path / "m.tflite", lambda x: x @ kernel + bias)
    verify_tflite(path, model, rows, CLOSE)
    process = isolated._PERTURBED[os.getpid()]._child
    assert process.pid != os.getpid()
    environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert f"MALLOC_PERTURB_={PERTURB}".encode() in environment
    verify_tflite(path, model, rows, CLOSE)
    assert isolated._PERTURBED[os.getpid()]._child is process


# ------------------------------------------------------------- what the user feels


def test_losses_are_points_of_accuracy_and_f1_and_growth_of_an_error():
    from keras_rnn_zoo.export.verify.scores import check_losses, losses

    generator = np.random.default_rng(0)
    y = (generator.random(4000) < 0.02).astype(int)
    right = np.where(y == 1, 0.9, 0.1)[:, None]
    x = np.ones((4000, 3))
    accuracy, f1 = losses(right, np.full_like(right, 0.1), x, y, "binary")
    # All answers "no": two points of accuracy, and half of the F1.
    assert accuracy.measure == "accuracy" and accuracy.lost == pytest.approx(100 * y.mean())
    assert f1.measure == "f1" and f1.lost > 45 and f1.surely > 45
    tolerance = Tolerance(0.1, 0.5, lost=1.5)
    with pytest.raises(ValuesError, match=r"F1|accuracy"):
        check_losses("m.tflite", [vars(accuracy), vars(f1)], tolerance)
    check_losses(
        "m.tflite", [vars(loss) for loss in losses(right, right, x, y, "binary")], tolerance
    )
    (error,) = losses(y[:, None] + 0.1, y[:, None] + 0.3, x, y.astype(float), "regression")
    assert error.lost == pytest.approx(2.0)
    with pytest.raises(ValuesError, match="200% more"):
        check_losses("m.tflite", [vars(error)], Tolerance(0.1, 0.5, increase=0.2))


def test_few_rows_show_no_sure_loss():
    from keras_rnn_zoo.export.verify.scores import losses

    y = np.arange(20) % 2
    before = np.where(y == 1, 0.9, 0.1)[:, None]
    after = before.copy()
    after[0] = 0.9
    accuracy, _ = losses(before, after, np.ones((20, 3)), y, "binary")
    assert accuracy.lost == pytest.approx(5.0) and accuracy.surely <= 0


def test_a_classifier_that_answers_the_same_to_everything_is_exported_in_every_mode(tmp_path):
    """Readings far beyond those it learned on saturate it: its logits do not vary at all."""
    import keras

    from keras_rnn_zoo.export import QUANTIZATIONS, export_tflite

    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 3), name="x")
    hidden = keras.layers.GRU(16)(keras.layers.Dense(16, activation="tanh")(inputs))
    x = (290 + np.random.default_rng(0).normal(size=(60, 12, 3))).astype("float32")
    for head in (
        keras.layers.Dense(1, activation="sigmoid"),
        keras.layers.Dense(5, activation="softmax"),
    ):
        model = keras.Model(inputs, head(hidden))
        for mode in ("none", "float16", "dynamic", "int8"):
            result = export_tflite(
                model, tmp_path / "m.tflite", quantization=mode, representative_data=x, samples=x
            )
            assert result.parity.passed and not result.parity.amplifies
        # Another constant is another answer.
        kernel, bias = head.get_weights()
        moved = keras.Model.from_config(model.get_config())
        moved.set_weights(model.get_weights())
        moved.layers[-1].set_weights([kernel, bias + np.linspace(0.5, 1.5, len(bias))])
        mode = QUANTIZATIONS.get("int8")
        with pytest.raises(ValuesError):
            verify_tflite(
                tmp_path / "m.tflite",
                moved,
                x,
                mode.tolerance,
                mode="int8",
                roundings={"int8": mode},
            )


def test_a_model_that_keras_does_not_run_on_this_processor_is_said_to_be_so(tmp_path):
    import keras
    import tensorflow as tf

    class Elsewhere(keras.layers.Layer):
        """As a convolution with channels first, which TensorFlow has for some processors alone."""

        def call(self, x):
            if tf.executing_eagerly():
                message = "{{node}} The Conv2D op knows no NCHW. [Op:Conv2D] name: "
                raise tf.errors.UnimplementedError(None, None, message)
            return x + 1.0

    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, keras.layers.LSTM(2)(Elsewhere()(inputs)))
    told = r"does not run model '\w+' on this processor.*: The Conv2D op knows no NCHW\. Export it"
    with pytest.raises(ExportError, match=told):
        export_tflite(model, tmp_path / "m.tflite", diagnose=False)
    assert not (tmp_path / "m.tflite").exists()
    assert export_tflite(model, tmp_path / "m.tflite", verify=False, diagnose=False).bytes
