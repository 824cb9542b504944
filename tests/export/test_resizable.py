"""Files whose inputs an app may resize: any number of sequences, of any length."""

from __future__ import annotations

import json

import numpy as np
import pytest

from keras_rnn_zoo.cli import main
from keras_rnn_zoo.errors import ConfigError, ExportError, RunError, VerificationError
from keras_rnn_zoo.export import TARGETS, TFLiteModel, export_tflite, verify_file
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.tflite.latency import benchmark_tflite
from keras_rnn_zoo.export.verify.compare import compare_tflite
from keras_rnn_zoo.export.verify.reference import resized_references

VOCABULARY = 50


def texts():
    import keras

    inputs = keras.Input((None,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(VOCABULARY, 8, mask_zero=True)(inputs)
    x = keras.layers.Bidirectional(keras.layers.LSTM(8, return_sequences=True))(x)
    x = keras.layers.GRU(6)(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


def lines():
    """As in text recognition: convolutions that take no single step, and an answer a step."""
    import keras

    inputs = keras.Input((None, 8, 1), name="line")
    x = keras.layers.TimeDistributed(keras.layers.Conv1D(4, 3, activation="relu"))(inputs)
    x = keras.layers.TimeDistributed(keras.layers.Flatten())(x)
    x = keras.layers.Conv1D(12, 5, strides=2)(x)
    x = keras.layers.Bidirectional(keras.layers.GRU(7, return_sequences=True))(x)
    return keras.Model(inputs, keras.layers.Dense(5, activation="softmax")(x))


def states():
    import keras

    inputs, start = keras.Input((None, 4), name="x"), keras.Input((6,), name="h")
    x = keras.layers.RNN([keras.layers.GRUCell(5), keras.layers.LSTMCell(6)], return_sequences=True)
    masked = keras.layers.Masking(-1.0)(inputs)
    y, h = keras.layers.GRU(6, return_state=True, go_backwards=True)(x(masked), initial_state=start)
    return keras.Model([inputs, start], [keras.layers.Dense(2, name="y")(y), h])


def attention():
    import keras

    inputs = keras.Input((None, 8), name="x")
    x = keras.layers.LSTM(8, return_sequences=True)(inputs)
    x = keras.layers.MultiHeadAttention(2, 4)(x, x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def tokens(count, steps):
    """Texts of different lengths, padded on the right."""
    generator = np.random.default_rng(count)
    ids = generator.integers(1, VOCABULARY, (count, steps)).astype("int32")
    ids[np.arange(steps) >= generator.integers(1, steps + 1, (count, 1))] = 0
    return ids


MODELS = {model.__name__: model for model in (texts, lines, states, attention)}


def samples(model, count, steps, seed=0):
    generator = np.random.default_rng(seed)
    x = {}
    for spec in model.inputs:
        shape = (count, *(steps if size is None else size for size in spec.shape[1:]))
        if spec.dtype == "int32":
            x[spec.name] = tokens(count, steps)
        else:
            size = 0.3 if spec.name == "h" else 1  # states of a GRU are below 1
            x[spec.name] = size * generator.standard_normal(shape).astype("float32")
    return x


@pytest.mark.parametrize(
    "kind, mode",
    [
        (kind, mode)
        for kind in MODELS
        for mode in TARGETS.get("litert").quantizations()
        if mode in ("none", "int8") or kind == "texts"
    ],
)
def test_any_number_of_sequences_of_any_length_is_answered(kind, mode, tmp_path):
    import keras

    keras.utils.set_random_seed(0)
    model = MODELS[kind]()
    x = samples(model, 48, 20)
    result = export_tflite(
        model,
        tmp_path / "m.tflite",
        quantization=mode,
        representative_data=x,
        samples=x,
        lowering="resizable",
    )
    assert "resized" in result.notes[-1] and "3x10" in result.notes[-1]
    file = TFLiteModel(tmp_path / "m.tflite")
    # 4 x 10 has as many numbers as 2 x 20: nothing may be taken for the other.
    for count, steps in ((1, 20), (5, 9), (2, 20), (4, 10), (1, 33), (1, 20)):
        other = samples(model, count, steps, seed=steps)
        (answers,) = file.answer(other, batch_size=count)
        made = keras.tree.flatten(model(other, training=False))
        for name, expected in zip(KerasModel(model).outputs, made, strict=True):
            values = answers[name]
            assert values.shape == tuple(expected.shape)
            np.testing.assert_allclose(
                values, expected, atol={"none": 1e-5, "float16": 5e-3}.get(mode, 0.08)
            )


def test_an_app_resizes_it_with_the_interpreter_alone(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model = texts()
    export_tflite(model, tmp_path / "m.tflite", samples=tokens(20, 12), lowering="resizable")
    interpreter = Interpreter(str(tmp_path / "m.tflite"))
    (given,) = interpreter.get_input_details()
    assert given["shape_signature"].tolist() == [-1, -1]
    # As long as nobody resizes it, it takes one sequence as long as the samples.
    assert given["shape"].tolist() == [1, 12]
    x = tokens(3, 31)
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    answers = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(answers, model(x), atol=1e-5)


def test_only_the_batch_is_open_where_the_model_fixes_the_time_steps(tmp_path):
    import keras

    inputs = keras.Input((9, 4))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.LSTM(5)(inputs)))
    x = np.random.default_rng(0).standard_normal((20, 9, 4)).astype("float32")
    result = export_tflite(model, tmp_path / "m.tflite", samples=x, lowering="resizable")
    assert "1x9x4, 3x9x4, 2x9x4" in result.notes[-1]
    file = TFLiteModel(tmp_path / "m.tflite")
    (answers,) = file.answer({next(iter(file.inputs)): x}, batch_size=20)
    np.testing.assert_allclose(next(iter(answers.values())), model(x), atol=1e-5)
    with pytest.raises(RunError, match=r"'samples', 9, 4"):
        file.predict(x[:, :5])


def test_a_model_that_keras_takes_at_one_length_alone_is_compared_in_other_batches():
    import keras

    inputs = keras.Input((None, 4), name="x")
    x = keras.layers.Lambda(lambda x: x + np.ones((20, 4), "float32"))(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.LSTM(3)(x)))
    x = np.random.default_rng(0).standard_normal((9, 20, 4)).astype("float32")
    references = resized_references(model, {"x": x}, {})
    assert [(len(r.x["x"][0]), r.batch_size) for r in references] == [(20, 3), (20, 2)]


def test_a_file_that_is_right_at_one_length_alone_is_refused(tmp_path):
    """A sum divided by 20 is the average of 20 steps, and of no other number of steps."""
    import keras

    def model(average):
        inputs = keras.Input((None, 4), name="x")
        x = keras.layers.LSTM(5, return_sequences=True, name="h")(inputs)
        x = keras.ops.mean(x, axis=1) if average else keras.ops.sum(x, axis=1) / 20
        return keras.Model(inputs, keras.layers.Dense(2, name="y")(x))

    right, wrong = model(True), model(False)
    wrong.set_weights(right.get_weights())
    x = np.random.default_rng(0).standard_normal((40, 20, 4)).astype("float32")
    mode = QUANTIZATIONS.get("none")
    for built, passes in ((right, True), (wrong, False)):
        path = tmp_path / f"{passes}.tflite"
        export_tflite(built, path, samples=x, lowering="resizable")
        half, double = resized_references(right, {"x": x}, {"none": mode})
        assert (half.x["x"].shape[1], half.batch_size) == (10, 3)
        assert (double.x["x"].shape[1], double.batch_size) == (40, 2)
        for reference in (half, double):
            if passes:
                assert compare_tflite(path, reference, mode.tolerance).passed
            else:
                with pytest.raises(VerificationError, match="does not answer"):
                    compare_tflite(path, reference, mode.tolerance)


def test_a_layer_that_loops_by_itself_needs_fixed_sizes(tmp_path):
    import keras

    inputs = keras.Input((None, 6, 6, 1))
    x = keras.layers.ConvLSTM2D(2, 3, padding="same", name="video")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    x = np.random.default_rng(0).standard_normal((8, 4, 6, 6, 1)).astype("float32")
    with pytest.raises(ExportError, match=r"'video' \(ConvLSTM2D\).*Leave the lowering"):
        export_tflite(model, tmp_path / "m.tflite", samples=x, lowering="resizable")
    assert export_tflite(model, tmp_path / "m.tflite", samples=x).parity.passed


def test_clients_that_resize_nothing_do_not_take_it(tmp_path):
    for target in TARGETS.names():
        if not TARGETS.get(target).resizes:
            with pytest.raises(ConfigError, match="does not take the lowering 'resizable'"):
                export_tflite(texts(), tmp_path / "m.tflite", lowering="resizable", target=target)
    assert TARGETS.get("litert").resizes


def test_a_benchmark_says_how_long_only_of_samples(tmp_path):
    export_tflite(texts(), tmp_path / "m.tflite", samples=tokens(20, 12), lowering="resizable")
    with pytest.raises(ConfigError, match=r"inputs of any length.*give samples"):
        benchmark_tflite(tmp_path / "m.tflite")
    assert benchmark_tflite(tmp_path / "m.tflite", tokens(4, 30), repeats=2)["repeats"] == 2


def test_a_bare_file_of_any_size_is_compared_at_the_size_of_the_rows(tmp_path, capsys):
    texts().save(tmp_path / "model.keras")
    file, model = str(tmp_path / "m.tflite"), str(tmp_path / "model.keras")
    import keras

    export_tflite(
        keras.models.load_model(model), file, samples=tokens(20, 12), lowering="resizable"
    )
    assert main(["verify", file, "--model", model]) == 1
    assert "how long its inputs are" in capsys.readouterr().err
    np.save(tmp_path / "rows.npy", tokens(20, 7))
    assert main(["verify", file, "--model", model, "--data", str(tmp_path / "rows.npy")]) == 0


def test_two_open_inputs_are_compared_at_the_sizes_of_the_file(tmp_path):
    import keras

    pair = [keras.Input((None, 3), name="left"), keras.Input((None, 3), name="right")]
    model = keras.Model(
        pair, keras.layers.Dense(1)(keras.layers.Add()([keras.layers.LSTM(4)(x) for x in pair]))
    )
    export_tflite(model, tmp_path / "m.tflite", timesteps={"left": 5, "right": 8})
    assert verify_file(tmp_path / "m.tflite", model)["passed"]


def test_a_bundle_is_proven_at_its_sizes_again(tmp_path, capsys):
    texts().save(tmp_path / "model.keras")
    np.save(tmp_path / "rows.npy", tokens(30, 16))
    model, bundle = str(tmp_path / "model.keras"), str(tmp_path / "bundle")
    data = ["--representative-data", str(tmp_path / "rows.npy")]
    options = ["--lowering", "resizable", "--quantize", "none,int8", "--format", "tflite"]
    assert main(["export", model, "-o", bundle, *options, *data]) == 0
    report = json.loads((tmp_path / "bundle" / "report.json").read_text())
    assert report["references"] == ["reference.npz", "reference_2.npz", "reference_3.npz"]
    assert "1x16, 3x8, 2x32" in report["notes"][-1]
    capsys.readouterr()
    assert main(["verify", bundle]) == 0
    assert main(["benchmark", bundle, "--repeats", "5"]) == 0
    # Of another model: what it answers at the other sizes is not what Keras answered.
    other = resized_references(texts(), {"tokens": tokens(30, 16)}, {})[0]
    other.save(tmp_path / "bundle" / "reference_2.npz")
    assert main(["verify", bundle]) == 1
