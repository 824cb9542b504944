"""Verification tells a file that answers what the model answers from one that does not."""

from __future__ import annotations

import subprocess
import sys

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
from keras_rnn_zoo.export import verification
from keras_rnn_zoo.export.reference import Reference, make_lengths, reference_of
from keras_rnn_zoo.export.running import TFLiteModel
from keras_rnn_zoo.export.verification import (
    DtypesError,
    NamesError,
    ShapesError,
    Tolerance,
    ValuesError,
    compare_tflite,
    evaluate_tflite,
    score,
    verify_tflite,
)

# float32 in another order.
CLOSE = Tolerance(output=1e-6, logit=1e-6, reason="float32")
# 8 bits for everything, over a kernel with entries of 5 and more.
ROUGH = Tolerance(output=0.2, logit=0.2, reason="int8")


@pytest.fixture(scope="module")
def model():
    return token_model()


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return convert_model(tmp_path_factory.mktemp("verification") / "m.tflite", model)


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
    tolerance = {"output": 1e-6, "logit": 1e-6, "reason": "float32", "average": None}
    assert parity.to_dict()["tolerance"] == tolerance


@pytest.mark.parametrize("units, activation", [(3, "softmax"), (2, "sigmoid"), (2, None)])
def test_every_kind_of_head_is_compared_on_its_logits(tmp_path, units, activation):
    model = token_model(units, activation)
    parity = verify_tflite(convert_model(tmp_path / "m.tflite", model), model, tokens(), CLOSE)
    assert parity.max_abs_logit is not None and parity.max_abs_logit < 1e-4
    if activation is None:  # the outputs are the logits
        assert parity.max_abs_logit == parity.max_abs_output
    assert (parity.changed_answers is None) == (activation != "softmax")


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


def test_near_a_tie_the_logits_judge_and_the_average_of_the_probabilities(tmp_path):
    import keras

    inputs = keras.Input((4,), name="x")
    dense = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs))
    # Steep: a change of the logits by a 256th of their range moves a probability far.
    dense.set_weights([weight * 60 for weight in dense.get_weights()])
    x = np.random.default_rng(0).standard_normal((200, 4)).astype("float32")
    path = convert_model(tmp_path / "m.tflite", dense, configure=calibrated(x))
    parity = verify_tflite(path, dense, x, Tolerance(None, 0.1, average=0.05))
    assert parity.max_abs_output > 0.05
    assert parity.mean_abs_output < 0.05
    assert parity.allowed_output <= 1
    with pytest.raises(ValuesError, match=r"on average by .*allowed 1e-06"):
        verify_tflite(path, dense, x, Tolerance(None, 0.1, average=1e-6))
    with pytest.raises(ValuesError, match="logits"):
        verify_tflite(path, dense, x, Tolerance(None, 1e-6, average=0.05))


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
    with pytest.raises(ValuesError, match="logits of 'answer' by 2"):
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
    loose = Tolerance(output=1.0, logit=100.0)
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
        "from keras_rnn_zoo.export.reference import Reference\n"
        "from keras_rnn_zoo.export.verification import Tolerance, compare_tflite\n"
        f"r = Reference.load({str(tmp_path / 'reference.npz')!r})\n"
        f"assert compare_tflite({str(file)!r}, r, Tolerance(1e-6, 1e-6)).passed\n"
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
    assert verification.changed_rows(before, after) == 1
    real = np.array([[True, True, False], [True, True, True]])
    assert verification.changed_rows(before, after, real) == 0
