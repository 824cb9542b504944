"""What stands in for ops that devices lack computes the same, and is seen by nobody else."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from keras_rnn_zoo.errors import ConversionError
from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.lowering.device_ops import REPLACEMENTS, substituted

GENERATOR = np.random.default_rng(0)
WIDE = np.concatenate([np.linspace(-30, 30, 4001), np.geomspace(1e-6, 1e-2, 50)]).astype("float32")
UNIT = np.linspace(-1, 1, 4001).astype("float32")
LARGE = np.geomspace(1, 1e30, 500).astype("float32")
WHOLE = np.concatenate(
    [GENERATOR.integers(-(2**31), 2**31, 500), [0, 1, -1, 2**31 - 1, -(2**31)] * 20]
).astype("int32")
OTHER = GENERATOR.permutation(WHOLE)
SQUARE = GENERATOR.normal(size=(2, 4, 4)).astype("float32")
TIES = np.array([[0.5, 0.5, 0.2], [-1, -3, -1], [0, -0.0, 0], [-0.0, 0, -1]], "float32")
IMAGES = GENERATOR.uniform(size=(2, 7, 6, 3)).astype("float32")
VOLUMES = GENERATOR.normal(size=(2, 5, 4, 6, 3)).astype("float32")


def tf():
    import tensorflow

    return tensorflow


def ops():
    import keras

    return keras.ops


def traced(function, *inputs):
    """Returns the graph's answers, and the types of the ops that they come of."""
    graph = (
        tf()
        .function(function, autograph=False)
        .get_concrete_function(*(tf().TensorSpec(np.shape(x), np.asarray(x).dtype) for x in inputs))
    )
    seen, waiting = set(), [tensor.op for tensor in graph.outputs]
    while waiting:
        op = waiting.pop()
        if op not in seen:
            seen.add(op)
            waiting += [tensor.op for tensor in op.inputs]
    return graph(*map(tf().constant, inputs)), {op.type for op in seen}


# Op -> a function of keras.ops or tf, and inputs. Half a unit in the last place of float32 is 6e-8
# of a value; the functions take a few steps, each of which rounds.
FLOATS = {
    "Tan": (lambda x: ops().tan(x), np.linspace(-1.5, 1.5, 999).astype("float32")),
    "Atan": (lambda x: ops().arctan(x), WIDE),
    "Asin": (lambda x: ops().arcsin(x), UNIT),
    "Acos": (lambda x: ops().arccos(x), UNIT),
    "Sinh": (lambda x: ops().sinh(x), WIDE),
    "Cosh": (lambda x: ops().cosh(x), np.append(WIDE, [88.9, -88.9]).astype("float32")),
    "Asinh": (lambda x: ops().arcsinh(x), np.concatenate([WIDE, LARGE, -LARGE])),
    "Acosh": (lambda x: ops().arccosh(x), LARGE),
    "Atanh": (lambda x: ops().arctanh(x), UNIT),
    "Erf": (lambda x: ops().erf(x), WIDE),
    "Erfc": (lambda x: ops().erfc(x), np.linspace(-6, 6, 4001).astype("float32")),
    "Erfinv": (lambda x: ops().erfinv(x), UNIT),
    "BesselI0": (lambda x: ops().i0(x), np.append(WIDE, [87, -87]).astype("float32")),
    "FloorDiv": (lambda x: ops().floor_divide(x, x[::-1]), WIDE),
    "RGBToHSV": (lambda x: tf().image.rgb_to_hsv(x), np.concatenate([IMAGES, np.rint(IMAGES)])),
    "HSVToRGB": (lambda x: tf().image.hsv_to_rgb(x), IMAGES),
    "ResizeBicubic": (lambda x: ops().image.resize(x, (9, 4), interpolation="bicubic"), IMAGES),
    "ScaleAndTranslate": (lambda x: ops().image.resize(x, (3, 9), antialias=True), IMAGES),
    "MaxPool3D": (lambda x: tf().nn.max_pool3d(x, (2, 3, 2), (2, 1, 3), "SAME"), VOLUMES),
    "AvgPool3D": (lambda x: tf().nn.avg_pool3d(x, (2, 3, 2), (2, 1, 3), "SAME"), VOLUMES),
    "Einsum": (lambda x: tf().einsum("bii,bij->b", x, x), SQUARE),
    "Cross": (lambda x: tf().linalg.cross(x, x[..., ::-1]), IMAGES),
    "Cumprod": (
        lambda x: tf().math.cumprod(x, axis=1, exclusive=True, reverse=True),
        SQUARE,
    ),
}
EXACT = {
    "BitwiseAnd": (lambda x, y: ops().bitwise_and(x, y), WHOLE, OTHER),
    "BitwiseOr": (lambda x, y: ops().bitwise_or(x, y), WHOLE, OTHER),
    "Invert": (lambda x: ops().bitwise_not(x), WHOLE),
    "LeftShift": (lambda x, y: ops().left_shift(x, y), WHOLE, np.abs(OTHER % 32)),
    "LowerBound": (
        lambda x, y: ops().searchsorted(x, y),
        np.array([-1, 0, 0, 2], "float32"),
        np.array([-2, 0, 1, 2, 3], "float32"),
    ),
    "UpperBound": (
        lambda x, y: ops().searchsorted(x, y, side="right"),
        np.array([-1, 0, 0, 2], "float32"),
        np.array([-2, 0, 1, 2, 3], "float32"),
    ),
    "InTopKV2": (lambda x, y: tf().math.in_top_k(y, x, 2), TIES, np.array([0, 1, 2, 2], "int32")),
    "DenseBincount": (
        lambda x: tf().math.bincount(x, minlength=4, maxlength=4, axis=-1),
        np.array([[0, 1, 1], [3, 9, 0]], "int32"),
    ),
    "MatrixDiagPartV3": (lambda x: tf().linalg.diag_part(x, k=-1), SQUARE[:, :3]),
    "ExtractImagePatches": (
        lambda x: tf().image.extract_patches(x, [1, 3, 2, 1], [1, 2, 1, 1], [1, 1, 2, 1], "SAME"),
        IMAGES,
    ),
    "IsInf": (lambda x: ops().isinf(x), np.array([np.inf, -np.inf, np.nan, 1], "float32")),
    "Equal": (lambda x: x == -np.inf, np.array([np.inf, -np.inf, np.nan, 1], "float32")),
    "NotEqual": (lambda x: x != np.inf, np.array([np.inf, -np.inf, np.nan, 1], "float32")),
    "BiasAdd": (
        lambda x, y: ops().add(x, y),
        np.ones((2, 3), "int32"),
        np.arange(3, dtype="int32"),
    ),
    "Abs": (lambda x: tf().abs(x), np.array([-5, 3], "int64")),
    "AddV2": (lambda x: x + x, np.array([-100, 3, 127], "int8")),
}


@pytest.mark.parametrize("kind", FLOATS)
def test_stand_in_computes_what_tensorflow_computes(kind):
    function, *inputs = FLOATS[kind]
    # What TensorFlow computes of erfinv in float32 is further from the truth than that.
    wide = np.float64 if kind == "Erfinv" else np.float32
    expected = np.asarray(function(*(tf().constant(x.astype(wide)) for x in inputs)))
    with substituted():
        found, types = traced(function, *inputs)
    assert kind not in types
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=5e-7)


@pytest.mark.parametrize("kind", EXACT)
def test_stand_in_for_what_is_exact_is_exact(kind):
    function, *inputs = EXACT[kind]
    expected = np.asarray(function(*map(tf().constant, inputs)))
    with substituted():
        found, types = traced(function, *inputs)
    assert kind not in types or types & {"Cast", "LogicalOr"}, types
    np.testing.assert_array_equal(found, expected)
    assert np.asarray(found).dtype == expected.dtype


@pytest.mark.parametrize("function", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_argmax_takes_the_first_of_ties_and_zero_before_its_negative(function, axis, keepdims):
    def answer(x):
        return getattr(ops(), function)(x, axis=axis, keepdims=keepdims)

    with substituted():
        found, types = traced(answer, TIES)
    assert "BitwiseAnd" not in types
    np.testing.assert_array_equal(found, np.asarray(answer(tf().constant(TIES))))


def test_everything_that_is_replaced_is_tried_here_or_is_arithmetic_in_few_bits():
    from keras_rnn_zoo.export.lowering.device_ops import narrow

    few_bits = {
        *narrow.COMPARISONS,
        *narrow.ARITHMETIC,
        *narrow.FUNCTIONS,
        *narrow.REDUCTIONS,
        *narrow.PRODUCTS,
    }
    tried = set(FLOATS) | set(EXACT) - {"AddV2"} | {"Mul", "Conv2D"}  # those two in the table
    assert set(REPLACEMENTS) - few_bits == tried


def test_no_other_thread_and_nothing_later_sees_the_replacements():
    from tensorflow.python.framework import op_def_library

    before = op_def_library._apply_op_helper
    found = {}

    def trace(name):
        found[name] = traced(lambda x: tf().tan(x), np.ones(2, "float32"))[1]

    with substituted():
        trace("inside")
        thread = threading.Thread(target=trace, args=("thread",))
        thread.start()
        thread.join()
        with substituted():
            pass
        trace("still inside")
    trace("after")
    assert "Tan" not in found["inside"] | found["still inside"]
    assert "Tan" in found["thread"] & found["after"]
    assert op_def_library._apply_op_helper is before


def test_gradients_are_those_of_the_op_itself():
    def gradient(x):
        with tf().GradientTape() as tape:
            tape.watch(x)
            y = tf().tan(x)
        return tape.gradient(y, x)

    x = np.linspace(-1, 1, 9).astype("float32")
    with substituted():
        found, _ = traced(gradient, x)
    np.testing.assert_allclose(found, 1 / np.cos(x) ** 2, rtol=1e-5)


def test_exact_gelu_stays_an_op_of_its_own():
    x = np.linspace(-3, 3, 99).astype("float32")
    for gelu in (
        lambda x: ops().gelu(x, approximate=False),
        lambda x: 0.5 * x * (1 + tf().math.erf(x / 2**0.5)),
    ):
        with substituted():
            found, types = traced(gelu, x)
        assert types & {"Erf", "Erfc"}
        np.testing.assert_allclose(found, gelu(tf().constant(x)), atol=5e-7)
    for other in (  # the same but for a sign, a factor, another variable
        lambda x: 0.5 * x * (1 + tf().math.erf(-x / 2**0.5)),
        lambda x: 0.5 * x * (1 + tf().math.erf(x / 1.5)),
        lambda x: 0.5 * (x + 1) * tf().math.erfc(-x * 0.5**0.5),
        lambda x: x * tf().math.erfc(-x * 0.5**0.5),
        lambda x: 0.5 * tf().math.erfc(-x * 0.5**0.5),
    ):
        with substituted():
            assert not traced(other, x)[1] & {"Erf", "Erfc"}


# ------------------------------------------------------------------------------- in the file


def places():
    """The same op in all places where a user can put it, behind and within recurrent layers."""
    import keras
    from keras import layers

    class Own(layers.Layer):
        def call(self, x):
            return tf().math.erf(x)  # no Keras in between

        def compute_output_shape(self, shape):
            return shape

    class Cell(layers.Layer):
        state_size = output_size = 4

        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1] + 4, 4), initializer="glorot_normal")

        def call(self, x, states):
            joined = keras.ops.concatenate([x, states[0]], axis=-1)
            state = keras.ops.arctan(keras.ops.matmul(joined, self.kernel))
            return state, [state]

    inputs = keras.Input((5, 3))
    x = layers.LSTM(4, return_sequences=True)(inputs)
    x = keras.ops.sinh(x)
    x = layers.Lambda(lambda a: keras.ops.erf(a))(x)
    x = layers.TimeDistributed(Own())(x)
    x = layers.GRU(4, return_sequences=True, activation=keras.ops.arcsinh)(x)
    x = layers.RNN(Cell(), return_sequences=True)(x)
    inner = keras.Sequential([keras.Input((5, 4)), layers.Dense(4), Own()])
    p = layers.Dense(3, activation="softmax", name="p")(layers.LSTM(4)(inner(x)))
    return keras.Model(inputs, [p, keras.ops.argmax(p, axis=-1), keras.ops.top_k(p, 2)[1]])


@pytest.mark.parametrize(
    "quantization, lowering",
    [(None, "loop"), (None, "unrolled"), ("float16", "unrolled"), ("dynamic", "loop")],
)
def test_ops_are_replaced_wherever_they_stand(tmp_path, quantization, lowering):
    import keras

    keras.utils.set_random_seed(1)
    model = places()
    for weight in model.weights:
        weight.assign(weight + 0.3 * GENERATOR.normal(size=weight.shape))
    x = GENERATOR.normal(0, 2, size=(6, 5, 3)).astype("float32")
    calls = [type(layer).call for layer in model.layers]
    answers = [np.asarray(part) for part in model(x)]
    # Labels are far enough from each other for a mode to keep them.
    x = x[np.sort(answers[0], axis=-1)[:, -1] - np.sort(answers[0], axis=-1)[:, -2] > 0.02]
    assert len(x) > 1
    result = export_tflite(
        model,
        tmp_path / "model.tflite",
        quantization=quantization,
        lowering=lowering,
        samples=x,
        verify=quantization is None,
        progress=False,
    )
    assert "ATAN2" in result.ops and "ARG_MAX" in result.ops
    assert [type(layer).call for layer in model.layers] == calls
    assert not any("call" in layer.__dict__ for layer in model.layers)


def test_op_in_a_gradient_is_refused_by_its_name(tmp_path):
    import keras

    class Slope(keras.layers.Layer):
        def call(self, x):
            with tf().GradientTape() as tape:
                tape.watch(x)
                y = tf().tan(x)
            return y + tape.gradient(y, x)

    inputs = keras.Input((4,))
    with pytest.raises(ConversionError, match=r"\(Slope\) cannot be converted: .*'tf.Tan'"):
        export_tflite(keras.Model(inputs, Slope()(inputs)), tmp_path / "m.tflite", progress=False)
