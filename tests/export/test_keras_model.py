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
from keras_rnn_zoo.export.bundle.write import export_bundle
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.keras_model.samples import as_samples
from keras_rnn_zoo.export.keras_model.signature import legal_names
from keras_rnn_zoo.export.tflite.interpreter import TFLiteModel

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


@pytest.mark.parametrize(
    "lowering, quantization",
    [("loop", "none"), ("loop", "int8"), ("unrolled", "int8"), ("fused", "none")],
)
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
    assert sorted(prepare(model).outputs) == ["class_", "z"]
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
        quantization=["none", "int8"],
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


@pytest.mark.parametrize(
    "lowering, masked, batch, wrapper",  # every three of them together
    [
        (lowering, masked, batch, (layers.Bidirectional, lambda layer: layer)[turn])
        for place, lowering in enumerate(("loop", "unrolled", "fused"))
        for masked in (False, True)
        for batch in (1, 2)
        for turn in [(place + masked + batch) % 2]
    ],
)
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
        quantization=["none"],
        representative_data=tmp_path / "x.npz",
    )
    assert TFLiteModel(bundle.file()).inputs["right_hand"].shape == (1, 8, 3)
    (first, *_), (expected,) = bundle.predict(x), answers(pair, *x.values())
    np.testing.assert_allclose(first["values"], expected[0], atol=1e-5)
    with pytest.raises(DataError, match=r"shape \['samples', 8, 3\] as 'right_hand'"):
        bundle.predict(x | {"right hand": floats(4, 7, 3)})


# ------------------------------------------------------------------------- custom cells and layers


class Memory(keras.layers.Layer):
    """A matrix of keys and values, `[rows, columns]`, read with a query: answers `[columns]`."""

    def __init__(self, rows, columns, **kwargs):
        super().__init__(**kwargs)
        self.rows, self.columns = rows, columns
        self.state_size, self.output_size = [rows * columns], columns

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 2 * self.rows + self.columns))

    def get_initial_state(self, batch_size=None):
        return [keras.ops.zeros((batch_size, self.rows, self.columns))]

    def call(self, inputs, states):
        ops, (memory,) = keras.ops, states
        parts = ops.matmul(inputs, self.kernel)
        key, query, value = ops.split(parts, [self.rows, 2 * self.rows], axis=-1)
        memory = 0.9 * memory + ops.expand_dims(key, -1) * ops.expand_dims(value, 1)
        return ops.tanh(ops.sum(memory * ops.expand_dims(query, -1), axis=1)), [memory]


class Projected(keras.layers.Layer):
    """An LSTM whose output is smaller than its states (Sak et al., 2014), which are nested."""

    def __init__(self, units, size, **kwargs):
        super().__init__(**kwargs)
        self.units, self.size = units, size
        self.state_size, self.output_size = [(size, units)], size
        self.inner = layers.Dense(4 * units)
        self.down = layers.Dense(size)

    def build(self, shape):
        self.inner.build((None, shape[-1] + self.size))
        self.down.build((None, self.units))

    def get_initial_state(self, batch_size=None):
        return [[keras.ops.ones((batch_size, n)) for n in (self.size, self.units)]]

    def call(self, inputs, states):
        ops, ((hidden, carry),) = keras.ops, states
        parts = self.inner(ops.concatenate([inputs, hidden], axis=-1))
        i, f, g, o = ops.split(parts, 4, axis=-1)
        carry = ops.sigmoid(f) * carry + ops.sigmoid(i) * ops.tanh(g)
        hidden = self.down(ops.sigmoid(o) * ops.tanh(carry))
        return hidden, [[hidden, carry]]


class Decaying(keras.layers.Layer):
    """States of one number a row, `[batch]`, and of one number for all; the output is a matrix."""

    state_size = (1, 1)

    def build(self, shape):
        self.rate = self.add_weight(shape=(shape[-1],), initializer="ones")

    def get_initial_state(self, batch_size=None):
        return [keras.ops.zeros((batch_size,)), keras.ops.zeros(())]

    def call(self, inputs, states):
        total, steps = states
        total, steps = total + keras.ops.tanh(keras.ops.sum(inputs * self.rate, -1)), steps + 1.0
        mean = keras.ops.expand_dims(total / steps, -1)
        return keras.ops.stack([mean * inputs, inputs], axis=1), [total, steps]


CELLS = {
    "a matrix": lambda: Memory(3, 4),
    "nested, and larger than the output": lambda: Projected(5, 3),
    "numbers, and an output that is a matrix": Decaying,
    "different ones on top of each other": lambda: [layers.GRUCell(4), Memory(2, 3)],
}


@pytest.mark.parametrize(
    "cell, batch, lowering",  # every two of them together
    [
        (cell, batch, ("loop", "unrolled")[(place + batch // 2) % 2])
        for place, cell in enumerate(CELLS)
        for batch in (1, 3)
    ],
)
def test_cells_of_any_state_and_output(tmp_path, cell, batch, lowering):
    sequence = keras.Input((6, 2), name="x")
    # Keras itself takes no mask for the others.
    masked = layers.Masking()(sequence) if cell in list(CELLS)[:2] else sequence
    every, *_ = made = layers.RNN(CELLS[cell](), return_sequences=True, return_state=True)(masked)
    last = layers.RNN(CELLS[cell]())(masked)
    # A number of steps is no answer: it is known ahead.
    states = [] if cell.startswith("numbers") else keras.tree.flatten(made[1:])
    model = keras.Model(sequence, [every, last, *states])
    x = floats(4, 6, 2)
    x[1, 3:] = 0
    x[2, :2] = 0
    path = tmp_path / "m.tflite"
    export_tflite(model, path, samples=x, lowering=lowering, batch_size=batch)
    found = TFLiteModel(path).predict(x)
    for name, expected in zip(prepare(model).outputs, answers(model, x), strict=True):
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


# -------------------------------------------------------------------------------- dtype policies


def under(policy, nested=True) -> keras.Model:
    """A model of many kinds of layers, built under a dtype policy."""
    keras.config.set_dtype_policy(policy)
    try:
        i = keras.Input((6, 3), name="x")
        x = layers.BatchNormalization()(layers.Conv1D(4, 3, padding="same", activation="relu")(i))
        x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
        x = layers.MultiHeadAttention(2, 3)(x, x)
        x = keras.Sequential([layers.LayerNormalization(), layers.Dense(4)])(x)
        x = keras.ops.cast(x, policy.removeprefix("mixed_"))
        x = layers.RNN(Projected(5, 3))(x)
        return keras.Model(i, layers.Dense(2, name="y")(x))
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_other_dtypes_are_recomputed_in_float32(tmp_path, policy):
    model, x = under(policy), floats(5, 6, 3)
    before = [np.asarray(weight) for weight in model.variables]
    own = np.asarray(model(x)).astype("float32")
    policies = [layer.dtype_policy.name for layer in model._flatten_layers()]

    result = export_tflite(model, tmp_path / "m.tflite", samples=x)
    saved = export_saved_model(model, tmp_path / "saved", samples=x)

    file = TFLiteModel(result.path)
    assert {info.dtype for info in (*file.inputs.values(), *file.outputs.values())} == {"float32"}
    assert result.parity.max_abs_output < 1e-5
    assert saved.parity.max_abs_output < 1e-5
    # The same weights in a model of float32.
    twin = under("float32")
    twin.set_weights([np.asarray(weight, "float32") for weight in model.get_weights()])
    found = file.predict(x)
    np.testing.assert_allclose(found, twin(x), atol=1e-5)
    (note,) = result.notes
    assert f"'{policy}'" in note
    off = float(note.split("by up to ")[1].rstrip("."))
    np.testing.assert_allclose(off, np.abs(found - own).max(), rtol=0.1, atol=2e-5)
    # The model is as it was.
    assert [layer.dtype_policy.name for layer in model._flatten_layers()] == policies
    assert all((a == np.asarray(b)).all() for a, b in zip(before, model.variables, strict=True))
    np.testing.assert_array_equal(np.asarray(model(x)).astype("float32"), own)
    assert keras.config.floatx() == "float32"


def test_a_float32_model_has_nothing_to_tell(tmp_path):
    result = export_tflite(under("float32"), tmp_path / "m.tflite", samples=floats(2, 6, 3))
    assert result.notes == ()


# ----------------------------------------------------------------------------- subclassed models


class Subclassed(keras.Model):
    def __init__(self, take=lambda x: [x], give=lambda *parts: parts[0]):
        super().__init__(name="subclassed")
        self.take, self.give = take, give
        self.embed = layers.Embedding(20, 4, mask_zero=True)
        self.read = layers.Bidirectional(layers.GRU(3))
        self.answer = layers.Dense(2)

    def call(self, tokens):
        read = [self.read(self.embed(part)) for part in self.take(tokens)]
        return self.give(*(self.answer(part) for part in read))


class TwoArguments(Subclassed):
    def call(self, first, second, training=False):
        return super().call(first) + super().call(second)


def ids(*shape):
    return RNG.integers(0, 20, shape).astype("int32")


SUBCLASSED = {
    "one input": (Subclassed, lambda: ids(5, 6), {"tokens"}, {"subclassed"}),
    "a dict in, a dict out": (
        lambda: Subclassed(lambda x: [x["b"], x["a"]], lambda b, a: {"late": b, "early": a}),
        lambda: {"b": ids(5, 6), "a": ids(5, 4)},
        {"a", "b"},
        {"late", "early"},
    ),
    "a list in, a tuple out": (
        lambda: Subclassed(lambda x: x, lambda *parts: parts),
        lambda: [ids(5, 6), ids(5, 4)],
        {"tokens_1", "tokens_2"},
        {"subclassed", "subclassed_1"},
    ),
}


@pytest.mark.parametrize("given", ["samples", "verify=False"])
@pytest.mark.parametrize("case", SUBCLASSED)
def test_a_subclassed_model_is_exported_as_it_is(tmp_path, case, given):
    make, inputs, names, outputs = SUBCLASSED[case]
    model, x = make(), inputs()
    expected = [np.asarray(part) for part in keras.tree.flatten(model(x))]
    nodes = len(model._inbound_nodes)
    settings = {"samples": x} if given == "samples" else {"verify": False}
    result = export_tflite(model, tmp_path / "m.tflite", **settings)
    file = TFLiteModel(result.path)
    assert (set(file.inputs), set(file.outputs)) == (names, outputs)
    assert {info.dtype for info in file.inputs.values()} == {"int32"}
    assert "bidirectional" in str(result.lowering)
    flat = keras.tree.flatten(x)
    found = file.predict(dict(zip(file_order(model, x), flat, strict=True)))
    found = found if isinstance(found, dict) else {next(iter(outputs)): found}
    for name, values in zip(prepare(model, x).outputs, expected, strict=True):
        np.testing.assert_allclose(found[name], values, atol=1e-5)
    assert len(model._inbound_nodes) == nodes
    if given == "samples":
        saved = export_saved_model(model, tmp_path / "saved", samples=x)
        assert set(saved.inputs) == names


def file_order(model, x):
    return [spec.name for spec in prepare(model, x).inputs]


def test_several_arguments_are_inputs_by_name(tmp_path):
    model, x = TwoArguments(), {"first": ids(3, 5), "second": ids(3, 4)}
    expected = model(**x)
    path = export_tflite(model, tmp_path / "m.tflite", samples=x).path
    np.testing.assert_allclose(TFLiteModel(path).predict(x), expected, atol=1e-5)


def test_int8_and_a_wrapped_subclassed_model(tmp_path):
    model, x = Subclassed(), ids(30, 6)
    model(x)
    tokens = keras.Input((6,), dtype="int32", name="my tokens")
    wrapped = keras.Model(tokens, layers.Softmax()(model(tokens)))
    path = tmp_path / "m.tflite"
    result = export_tflite(wrapped, path, quantization="int8", representative_data=x)
    assert result.names == {"my tokens": "my_tokens"}
    np.testing.assert_allclose(TFLiteModel(path).predict(x), wrapped(x), atol=0.05)


def test_a_functional_model_with_a_call_of_its_own_answers_what_that_call_does(tmp_path):
    class Doubled(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs, training=training, mask=mask)

    i = keras.Input((4, 2), name="x")
    model, x = Doubled(i, layers.LSTM(3)(i)), floats(3, 4, 2)
    path = export_tflite(model, tmp_path / "m.tflite", samples=x).path
    np.testing.assert_allclose(TFLiteModel(path).predict(x), model(x), atol=1e-5)


def test_a_model_that_was_never_called_says_to_call_it(tmp_path):
    with pytest.raises(ExportError, match=r"never called.*model\(samples\)"):
        export_tflite(Subclassed(), tmp_path / "m.tflite", samples=ids(2, 6))
    model = Subclassed()
    model(ids(2, 6))
    with pytest.raises(ExportError, match=r"cannot be called on inputs like 'tokens' float32"):
        export_tflite(model, tmp_path / "m.tflite", samples=floats(2, 6, 3))
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------- states and tables


@pytest.fixture
def stateful():
    i = keras.Input(batch_shape=(2, 4, 3), name="x")
    x = layers.LSTM(3, stateful=True, return_sequences=True, name="memory")(i)
    model = keras.Model(i, layers.Dense(2)(layers.Bidirectional(layers.GRU(2, stateful=True))(x)))
    model(floats(2, 4, 3))  # leaves states behind
    return model


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_stateful_model_starts_from_zero_in_every_call(stateful, tmp_path, capsys, batch_size):
    x = floats(6, 4, 3)
    held = [np.asarray(state) for state in stateful.get_layer("memory").states]
    path = tmp_path / "m.tflite"
    result = export_tflite(stateful, path, samples=x, batch_size=batch_size)
    assert "'memory'" in result.notes[0]
    assert "zero states in every call" in result.notes[0]
    assert result.notes[0] in capsys.readouterr().err
    found = TFLiteModel(path).predict(x)
    for state, before in zip(stateful.get_layer("memory").states, held, strict=True):
        np.testing.assert_array_equal(state, before)
    assert stateful.get_layer("memory").stateful
    for start in range(0, 6, 2):
        for layer in stateful.layers[1:3]:
            layer.reset_state() if hasattr(layer, "reset_state") else layer.reset_states()
        np.testing.assert_allclose(
            found[start : start + 2], stateful(x[start : start + 2]), atol=1e-5
        )


def test_a_saved_model_of_a_stateful_model_goes_on_as_keras_does(stateful, tmp_path):
    import tensorflow as tf

    x = floats(6, 4, 3)
    result = export_saved_model(stateful, tmp_path / "saved", samples=x)
    assert "keep their states" in result.notes[0]
    loaded = tf.saved_model.load(str(result.path))
    for start in range(0, 6, 2):
        (found,) = loaded.signatures["serving_default"](x=x[start : start + 2]).values()
        np.testing.assert_allclose(found, stateful(x[start : start + 2]), atol=1e-5)


@pytest.mark.parametrize("given", [True, False])
def test_a_saved_model_of_texts_brings_its_tables(tmp_path, given):
    import tensorflow as tf

    texts = np.array(["a good film", "unheard of", "film film"])
    vectorize = layers.TextVectorization(output_sequence_length=5)
    vectorize.adapt(texts[:1])
    text = keras.Input((), dtype="string", name="the text")
    x = layers.Embedding(9, 4, mask_zero=True)(vectorize(text))
    model = keras.Model(text, layers.Dense(1)(layers.LSTM(3)(x)))
    settings = {"samples": texts} if given else {}
    result = export_saved_model(model, tmp_path / "saved", **settings)
    serve = tf.saved_model.load(str(result.path)).signatures["serving_default"]
    (found,) = serve(the_text=tf.constant(texts)).values()
    np.testing.assert_allclose(found, model(tf.constant(texts)), atol=1e-5)
    with pytest.raises(ExportError, match=r"must be texts. Received: dtype float32"):
        export_saved_model(model, tmp_path / "other", samples=floats(3))
    with pytest.raises(ExportError, match="takes text"):
        export_tflite(model, tmp_path / "m.tflite", samples=texts)


# -------------------------------------------------------------------- what there is to lower or not


def test_auto_takes_a_model_with_nothing_to_lower(tmp_path):
    i = keras.Input((6, 3), name="x")
    model, x = keras.Model(i, layers.Dense(2)(layers.Flatten()(i))), floats(3, 6, 3)
    path = tmp_path / "m.tflite"
    result = export_tflite(model, path, samples=x, lowering="auto")
    assert result.lowering == {}
    np.testing.assert_allclose(TFLiteModel(path).predict(x), model(x), atol=1e-5)


@pytest.mark.parametrize("target", ["litert", "mediapipe"])
def test_a_convolutional_lstm_is_spelled_out_where_a_target_takes_no_loop(tmp_path, target):
    i = keras.Input((4, 6, 5, 2), name="x")
    model = keras.Model(i, layers.Flatten()(layers.ConvLSTM2D(3, 3, name="conv")(i)))
    x, path = floats(3, 4, 6, 5, 2), tmp_path / "m.tflite"
    result = export_tflite(model, path, samples=x, target=target)
    assert ("WHILE" in result.ops) == (target == "litert")
    assert result.lowering == ({} if target == "litert" else {"conv": "unrolled"})
    assert model.get_layer("conv").unroll is False
    np.testing.assert_allclose(TFLiteModel(path).predict(x), model(x), atol=1e-5)


@pytest.mark.parametrize("lowering", ["loop", "fused"])
@pytest.mark.parametrize(
    "backward",
    [
        lambda: layers.LSTM(5, go_backwards=True),
        lambda: layers.GRU(3, go_backwards=True),
        lambda: layers.LSTM(3, activation="relu", go_backwards=True),
    ],
)
def test_directions_may_differ(tmp_path, lowering, backward):
    i = keras.Input((6, 3), name="x")
    both = layers.Bidirectional(layers.LSTM(3), backward_layer=backward())
    model, x = keras.Model(i, both(layers.Masking()(i))), floats(4, 6, 3)
    x[1, 4:] = 0
    path = tmp_path / "m.tflite"
    export_tflite(model, path, samples=x, lowering=lowering)
    np.testing.assert_allclose(TFLiteModel(path).predict(x), model(x), atol=1e-5)
