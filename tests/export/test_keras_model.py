"""Models as people have them: odd names, open sizes, other dtypes, calls of their own, states."""

from __future__ import annotations

from html import unescape

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from keras_rnn_zoo.errors import DataError, ExportError
from keras_rnn_zoo.export import export_saved_model, export_tflite
from keras_rnn_zoo.export.bundle import export_bundle
from keras_rnn_zoo.export.running import TFLiteModel
from keras_rnn_zoo.export.samples import as_samples
from keras_rnn_zoo.export.tracing import legal_names, output_names

RNG = np.random.default_rng(0)


def answers(model, *inputs) -> list[np.ndarray]:
    """What Keras answers, flat."""
    given = inputs[0] if len(inputs) == 1 else list(inputs)
    return [np.asarray(part) for part in keras.tree.flatten(model(given, training=False))]


def floats(*shape) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


# ---------------------------------------------------------------------------------------- names

NAMES = {
    "a space": (["pos tags"], ["pos_tags"]),
    "an accent": (["étiquettes"], ["etiquettes"]),
    "a keyword": (["in", "None", "lambda"], ["in_", "None_", "lambda_"]),
    "an argument of TensorFlow's": (["self"], ["self_"]),
    "dots, dashes, slashes, colons": (["a.b", "c-d", "e/f", "g:h"], ["a_b", "c_d", "e_f", "g_h"]),
    "a digit first": (["2nd"], ["input_2nd"]),
    "no letter that TensorFlow takes": (["输入", "?"], ["input", "input_1"]),
    "an underscore first": (["_x"], ["x"]),
    "a legal one keeps its name": (["a b", "a_b"], ["a_b_1", "a_b"]),
    "a number that is taken": (["t", "t", "t_1"], ["t", "t_2", "t_1"]),
    "upper and lower case": (["X", "x"], ["X", "x_1"]),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_become_legal_and_different(case):
    names, legal = NAMES[case]
    assert legal_names(names, "input") == legal
    assert legal_names(legal, "input") == legal


@pytest.fixture(scope="module")
def odd():
    """Odd names everywhere, two inputs, and two outputs."""
    first, second = keras.Input((6, 2), name="pos tags"), keras.Input((6, 2), name="2nd: é")
    x = layers.Add(name="+ -")([first, second])
    x = layers.LSTM(3, return_sequences=True, name="the é lstm")(x)
    outputs = [layers.Dense(2, name="per step!")(x), layers.GRU(4, name="a:b")(x)]
    return keras.Model([first, second], outputs, name="my model")


@pytest.fixture(scope="module")
def odd_samples():
    return {"pos tags": floats(5, 6, 2), "2nd: é": floats(5, 6, 2)}


ODD_NAMES = {
    "pos tags": "pos_tags",
    "2nd: é": "input_2nd_e",
    "per step!": "per_step",
    "a:b": "a_b",
}


@pytest.mark.parametrize("quantization", ["none", "int8"])
@pytest.mark.parametrize("lowering", ["loop", "unrolled", "fused"])
def test_odd_names_are_written_otherwise_and_told(
    odd, odd_samples, tmp_path, lowering, quantization
):
    before = [layer.name for layer in odd.layers]
    legal = {ODD_NAMES[name]: values for name, values in odd_samples.items()}
    result = export_tflite(
        odd,
        tmp_path / "m.tflite",
        samples=odd_samples,
        representative_data=legal,
        lowering=lowering,
        quantization=quantization,
    )
    assert result.names == ODD_NAMES
    (signature,) = Interpreter(str(result.path)).get_signature_list().values()
    assert set(signature["inputs"]) == {"pos_tags", "input_2nd_e"}
    assert set(signature["outputs"]) == {"per_step", "a_b"}
    assert "the é lstm" in result.lowering
    assert [layer.name for layer in odd.layers] == before
    found = TFLiteModel(result.path).predict(legal)
    for name, expected in zip(
        ("per_step", "a_b"), answers(odd, *odd_samples.values()), strict=True
    ):
        tolerance = 1e-5 if quantization == "none" else 0.1
        np.testing.assert_allclose(found[name], expected, atol=tolerance)


def test_a_saved_model_has_the_same_names(odd, odd_samples, tmp_path):
    import tensorflow as tf

    result = export_saved_model(odd, tmp_path / "saved", samples=odd_samples)
    assert result.names == ODD_NAMES
    serve = tf.saved_model.load(str(result.path)).signatures["serving_default"]
    found = serve(pos_tags=odd_samples["pos tags"], input_2nd_e=odd_samples["2nd: é"])
    np.testing.assert_allclose(found["a_b"], answers(odd, *odd_samples.values())[1], atol=1e-5)


def test_samples_take_either_name_but_no_third(odd, odd_samples):
    by_keras = as_samples(odd, odd_samples)
    by_file = as_samples(odd, {ODD_NAMES[name]: x for name, x in odd_samples.items()})
    assert list(by_keras) == list(by_file) == ["pos_tags", "input_2nd_e"]
    with pytest.raises(ExportError, match="Missing or unknown: 'pos_tag', 'pos_tags'"):
        as_samples(odd, {"pos_tag": odd_samples["pos tags"], "2nd: é": odd_samples["2nd: é"]})


def test_the_keys_of_dicts_are_the_names(tmp_path):
    inputs = {"tokens": keras.Input((4, 2), name="tokens"), "age": keras.Input((1,), name="age")}
    x = layers.Concatenate()([layers.LSTM(3)(inputs["tokens"]), inputs["age"]])
    outputs = {"z": layers.Dense(2, name="late")(x), "class": layers.Dense(1, name="early")(x)}
    model = keras.Model(inputs, outputs)
    assert sorted(output_names(model)) == ["class_", "z"]
    x = {"tokens": floats(3, 4, 2), "age": floats(3, 1)}
    result = export_tflite(model, tmp_path / "m.tflite", samples=x)
    assert result.names == {"class": "class_"}
    found, expected = TFLiteModel(result.path).predict(x), model(x)
    np.testing.assert_allclose(found["class_"], expected["class"], atol=1e-5)
    np.testing.assert_allclose(found["z"], expected["z"], atol=1e-5)


@pytest.fixture(scope="module")
def odd_bundle(odd, odd_samples, tmp_path_factory):
    place = tmp_path_factory.mktemp("odd")
    odd.save(place / "m.keras")
    np.savez(place / "x.npz", **odd_samples)
    return export_bundle(
        place / "m.keras",
        place / "bundle",
        quantize=["none", "int8"],
        representative_data=place / "x.npz",
    )


def test_a_bundle_tells_the_names_and_answers_several_inputs(odd, odd_samples, odd_bundle):
    assert odd_bundle.report["names"] == ODD_NAMES
    page = unescape((odd_bundle.path / "report.html").read_text("utf-8"))
    assert "'pos tags' is pos_tags" in page
    expected = answers(odd, *odd_samples.values())
    for answer, steps, last in zip(odd_bundle.predict(odd_samples), *expected, strict=True):
        np.testing.assert_allclose(answer["values"]["per_step"], steps, atol=1e-5)
        np.testing.assert_allclose(answer["values"]["a_b"], last, atol=1e-5)


def test_a_bundle_says_which_inputs_it_needs(odd_samples, odd_bundle):
    with pytest.raises(DataError, match="an array for each, by name"):
        odd_bundle.predict(odd_samples["pos tags"])
    with pytest.raises(DataError, match="Missing or unknown: 'input_2nd_e'"):
        odd_bundle.predict({"pos tags": odd_samples["pos tags"]})
    with pytest.raises(DataError, match="same number of rows"):
        odd_bundle.predict({"pos tags": floats(5, 6, 2), "2nd: é": floats(4, 6, 2)})
    with pytest.raises(DataError, match=r"'pos_tags'. Received: .5, 7, 2"):
        odd_bundle.predict({"pos tags": floats(5, 7, 2), "2nd: é": floats(5, 6, 2)})


# ---------------------------------------------------------------------------------- open sizes


@pytest.fixture(scope="module")
def pair():
    """Two inputs of different open lengths: an encoder and a decoder."""
    left = keras.Input((None,), dtype="int32", name="left")
    right = keras.Input((None, 3), name="right hand")
    _, *state = layers.LSTM(4, return_state=True)(layers.Embedding(9, 3, mask_zero=True)(left))
    return keras.Model(
        [left, right], layers.LSTM(4, return_sequences=True)(right, initial_state=state)
    )


SIZES = {
    "by name": {"timesteps": {"left": 5, "right hand": 8}},
    "by the name in the file": {"timesteps": {"left": 5, "right_hand": 8}},
    "by axis": {"timesteps": {"left": {1: 5}, "right hand": {1: 8}}},
    "samples alone": {"samples": {"left": np.ones((3, 5), "int32"), "right hand": floats(3, 8, 3)}},
    "representative data alone": {
        "representative_data": lambda: ([np.ones((1, 5)), floats(1, 8, 3)] for _ in range(4)),
        "quantization": "int8",
    },
}


@pytest.mark.parametrize("case", SIZES)
def test_each_input_has_a_length_of_its_own(pair, tmp_path, case):
    result = export_tflite(pair, tmp_path / "m.tflite", **SIZES[case])
    shapes = {name: info.shape for name, info in TFLiteModel(result.path).inputs.items()}
    assert shapes == {"left": (1, 5), "right_hand": (1, 8, 3)}


REFUSED_SIZES = {
    "an unknown input": ({"lefft": 5}, "no input 'lefft'.*Did you mean 'left'"),
    "a fixed axis": ({"left": 5, "right hand": {2: 4}}, "shape .None, None, 3.*axis 2"),
    "the batch": ({"left": {0: 5}, "right hand": 8}, "axis 0"),
    "no axis at all": ({"left": {7: 5}, "right hand": 8}, "axis 7"),
    "no size": ({"left": 0, "right hand": 8}, "at least 1"),
    "one that is missing": ({"left": 5}, "'right_hand'.*has the shape"),
    "no whole number": ({"left": 5.5, "right hand": 8}, "at least 1, a whole number"),
}


@pytest.mark.parametrize("case", REFUSED_SIZES)
def test_sizes_that_do_not_fit_are_refused(pair, tmp_path, case):
    timesteps, message = REFUSED_SIZES[case]
    with pytest.raises(ExportError, match=message):
        export_tflite(pair, tmp_path / "m.tflite", timesteps=timesteps)


def test_a_size_that_the_samples_contradict_says_what_to_pass(pair, tmp_path):
    samples = SIZES["samples alone"]["samples"]
    with pytest.raises(ExportError, match=r"leave timesteps .--timesteps. out"):
        export_tflite(pair, tmp_path / "m.tflite", samples=samples, timesteps=5)
    export_tflite(pair, tmp_path / "m.tflite", samples=samples)


def wide(*open_axes) -> keras.Model:
    """A line of text: height, width, channels; read from left to right."""
    sizes = [None if axis in open_axes else size for axis, size in ((1, 8), (2, 12))]
    line = keras.Input((*sizes, 1), name="line")
    x = layers.Conv2D(2, 3, padding="same")(line)
    x = layers.Lambda(lambda t: keras.ops.mean(t, axis=1), output_shape=(sizes[1], 2))(x)
    return keras.Model(line, layers.GRU(3, return_sequences=True)(x))


@pytest.mark.parametrize(
    ("open_axes", "settings"),
    [
        ((2,), {"timesteps": 10}),
        ((2,), {"samples": floats(2, 8, 10, 1)}),
        ((1, 2), {"timesteps": {"line": {1: 8, 2: 10}}}),
        ((1, 2), {"samples": floats(2, 8, 10, 1)}),
    ],
)
def test_axes_other_than_the_second_may_be_open(tmp_path, open_axes, settings):
    result = export_tflite(wide(*open_axes), tmp_path / "m.tflite", **settings)
    assert TFLiteModel(result.path).inputs["line"].shape == (1, 8, 10, 1)


def test_what_to_pass_for_two_open_axes_is_said_and_works(tmp_path):
    with pytest.raises(
        ExportError, match=r"timesteps=\{'line': \{1: \.\.\., 2: \.\.\.\}\}.*line:2=N"
    ):
        export_tflite(wide(1, 2), tmp_path / "m.tflite", timesteps=8)


def resized(path, x):
    interpreter = Interpreter(str(path))
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(answer["index"])


@pytest.mark.parametrize("lowering", ["loop", "unrolled", "fused"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("wrapper", [layers.Bidirectional, lambda layer: layer])
def test_a_file_whose_input_is_resized_answers_right_or_not_at_all(
    tmp_path, lowering, masked, batch, wrapper
):
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(20, 4, mask_zero=masked)(tokens)
    x = wrapper(layers.LSTM(3, return_sequences=lowering != "fused"))(x)
    model = keras.Model(tokens, x)
    path = export_tflite(
        model, tmp_path / "m.tflite", timesteps=9, lowering=lowering, batch_size=batch
    ).path
    assert len(resized(path, np.ones((batch, 9), "int32"))) == batch
    for shape in ((batch, 1), (batch, 5), (batch, 14), (batch, 18), (batch, 36), (3, 9)):
        ids = RNG.integers(0, 20, shape).astype("int32")
        try:
            found = resized(path, ids)
        except RuntimeError:  # when the tensors are allocated, before anything is answered
            continue
        np.testing.assert_allclose(found, answers(model, ids)[0], atol=1e-5)


def test_a_bundle_takes_its_sizes_from_the_data(pair, tmp_path):
    pair.save(tmp_path / "m.keras")
    x = {"left": np.ones((4, 5), "int32"), "right hand": floats(4, 8, 3)}
    np.savez(tmp_path / "x.npz", **x)
    bundle = export_bundle(
        tmp_path / "m.keras",
        tmp_path / "b",
        quantize=["none"],
        representative_data=tmp_path / "x.npz",
    )
    assert TFLiteModel(bundle.file()).inputs["right_hand"].shape == (1, 8, 3)
    (first, *_), (expected,) = bundle.predict(x), answers(pair, *x.values())
    np.testing.assert_allclose(first["values"], expected[0], atol=1e-5)
    with pytest.raises(DataError, match=r"shape \['samples', 8, 3\] as 'right_hand'"):
        bundle.predict(x | {"right hand": floats(4, 7, 3)})
