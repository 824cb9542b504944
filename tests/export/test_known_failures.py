"""Every advice that a failed conversion gives is tried: what fails, and the same as advised."""

from __future__ import annotations

import numpy as np
import pytest
from tflite_files import convert_model, token_model

from keras_rnn_zoo.errors import ConversionError, OpGateError
from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.convert import converter
from keras_rnn_zoo.export.convert.converter import Converter
from keras_rnn_zoo.export.diagnose.known_failures import REMEDIES

GENERATOR = np.random.default_rng(0)
SQUARE = GENERATOR.normal(size=(4, 4)).astype("float32") + 5 * np.eye(4, dtype="float32")
COSINES, SINES = (f(2 * np.pi * np.outer(range(4), range(4)) / 4) for f in (np.cos, np.sin))


def tf():
    import tensorflow

    return tensorflow


def ops():
    import keras

    return keras.ops


def layer(function, shape=(3, 4)):
    """A model of one layer that computes `function` of `[1, 3, 4]`, behind a recurrent one."""
    import keras

    inputs = keras.Input(batch_shape=(1, 3, 4))
    x = keras.layers.LSTM(4, return_sequences=True)(inputs)
    return keras.Model(inputs, keras.layers.Lambda(function, output_shape=shape, name="odd")(x))


def two_inputs(function):
    """The same with a second input of the same shape."""
    import keras

    inputs = [keras.Input((3, 4)), keras.Input((3, 4))]
    x = keras.layers.LSTM(4, return_sequences=True)(inputs[0])
    return keras.Model(inputs, function(x, inputs[1]))


def plain(*outputs):
    """A model whose outputs are what `outputs` make of its input."""
    import keras

    inputs = keras.Input((3, 4))
    return keras.Model(inputs, [output(inputs) for output in outputs])


def lstm(x):
    import keras

    return keras.layers.LSTM(2)(x)


def conv_transpose(x):
    import keras

    return keras.layers.Conv1DTranspose(2, 3)(x)


def drawn(x):
    import keras

    return x + keras.random.normal((3, 4), seed=1)


def fourier(x):
    real, imaginary = ops().fft((x, ops().zeros_like(x)))
    return real + imaginary


def sum_of_products(x):
    return ops().matmul(x, (COSINES - SINES).astype("float32"))


def counted(x):
    return ops().cast(ops().bincount(ops().cast(x[..., 0] > 0, "int32"), minlength=4), "float32")


def counted_as_advised(x):
    ones = ops().one_hot(ops().cast(x[..., 0] > 0, "int32"), 4)
    return ops().sum(ones, axis=-2)


def entries(x):
    return x + ops().cast(ops().sum(ops().nonzero(x > 0)[1]), "float32")


def repeated(x):
    while tf().reduce_sum(tf().abs(x)) < 100:
        x = x + 1
    return x


def repeated_as_advised(x):
    return ops().while_loop(lambda a: ops().sum(ops().abs(a)) < 100, lambda a: (a + 1,), (x,))[0]


def in_64_bits(x, dtype="int64"):
    bits = tf().bitwise.bitwise_and(tf().cast(x * 9, dtype), tf().constant(3, dtype))
    return tf().cast(bits, "float32")


def in_float64(x, dtype="float64"):
    return ops().cast(tf().math.lgamma(ops().cast(x, dtype)), "float32")


def as_strings(x):
    strings = tf().strings.as_string(x)
    return x * tf().cast(tf().strings.length(strings), tf().float32)


def switched(x):
    index = ops().cast(ops().sum(x) > 0, "int32")
    return ops().switch(index, [lambda a: a, lambda a: -a, lambda a: 2 * a], x)


def switched_as_advised(x):
    index = ops().cast(ops().sum(x) > 0, "int32")
    return ops().cond(
        index < 1, lambda: x, lambda: ops().cond(index < 2, lambda: -x, lambda: 2 * x)
    )


# What fails -> words of its message, and what the advice makes of it.
TRIED = {
    "text": (
        lambda: layer(as_strings),
        "Encode text before the model",
        [lambda: two_inputs(lambda x, lengths: x * lengths)],
    ),
    "Python": (
        lambda: layer(
            lambda x: tf().ensure_shape(tf().py_function(lambda a: 2 * a, [x], "float32"), x.shape)
        ),
        "Write it with keras.ops.",
        [lambda: layer(lambda x: ops().multiply(2, x))],
    ),
    "random numbers": (
        lambda: layer(drawn),
        "make them one of its inputs",
        [lambda: two_inputs(lambda x, noise: x + noise)],
    ),
    "complex numbers": (
        lambda: layer(fourier),
        "a product with matrices of cosines and sines",
        [lambda: layer(sum_of_products)],
    ),
    "matrices": (
        lambda: layer(lambda x: ops().matmul(x, ops().inv(x[:, :1] * SQUARE))),
        "one of its weights or inputs",
        [lambda: layer(lambda x: ops().matmul(x, np.linalg.inv(SQUARE)))],
    ),
    "many branches": (
        lambda: layer(switched),
        "keras.ops.where or keras.ops.cond",
        [
            lambda: layer(switched_as_advised),
            lambda: layer(lambda x: ops().where(ops().sum(x) > 0, -x, x)),
        ],
    ),
    "float64": (
        lambda: layer(lambda x: ops().cast(ops().tanh(ops().cast(x, "float64")), "float32")),
        "cast(x, 'float32')",
        [lambda: layer(lambda x: ops().tanh(ops().cast(x, "float32")))],
    ),
    "sizes: counting": (
        lambda: layer(counted, (4,)),
        "keras.ops.one_hot",
        [lambda: layer(counted_as_advised, (4,))],
    ),
    "sizes: masks": (
        lambda: layer(entries),
        "keras.ops.where(condition, x, 0)",
        [lambda: layer(lambda x: ops().where(x > 0, x, 0))],
    ),
    "sizes: decoding": (
        lambda: layer(lambda x: ops().ctc_decode(x, [3])[1], (1,)),
        "keras.ops.argmax(x, axis=-1)",
        [lambda: layer(lambda x: ops().argmax(x, axis=-1), (3,))],
    ),
    "64-bit integers": (
        lambda: layer(in_64_bits),
        "cast(x, 'int32')",
        [lambda: layer(lambda x: in_64_bits(x, "int32"))],
    ),
    "op that is lacking": (
        lambda: layer(lambda x: tf().math.betainc(*3 * [tf().sigmoid(x)])),
        "such as matmul, add and tanh",
        [lambda: layer(lambda x: ops().tanh(ops().add(ops().matmul(x, SQUARE), 1)))],
    ),
    "output that is an input": (
        lambda: plain(lambda x: x, lstm),
        "Leave that output out",
        [lambda: plain(lstm)],
    ),
    "nothing": (
        lambda: plain(lambda x: ops().reshape(x, (-1, 3, 4))),
        "whose answer depends",
        [lambda: plain(lambda x: ops().reshape(x, (-1, 3, 4)) * 2)],
    ),
    "Keras in no graph": (
        lambda: plain(lambda x: ops().isin(x, [0.0, 1.0])),
        "keras.ops.any(keras.ops.equal(x[..., None], values), axis=-1)",
        [
            lambda: plain(
                lambda x: ops().any(ops().equal(x[..., None], np.array([0, 1], "float32")), axis=-1)
            ),
            lambda: plain(lambda x: ops().quantile(ops().nan_to_num(x), 0.3, axis=-1)),
            lambda: plain(conv_transpose),
        ],
    ),
    "branch in Python": (
        lambda: layer(lambda x: x if tf().reduce_sum(x) > 0 else -x),
        "keras.ops.where, keras.ops.cond or keras.ops.while_loop",
        [
            lambda: layer(lambda x: ops().where(ops().sum(x) > 0, x, -x)),
            lambda: layer(lambda x: ops().cond(ops().sum(x) > 0, lambda: x, lambda: -x)),
        ],
    ),
    "loop in Python": (
        lambda: layer(repeated),
        "keras.ops.while_loop",
        [lambda: layer(repeated_as_advised)],
    ),
    "no graph": (
        lambda: layer(lambda x: x * float(tf().reduce_sum(x))),
        "write it with keras.ops",
        [lambda: layer(lambda x: x * ops().sum(x))],
    ),
}


def message(build, path, **settings):
    """Exports in vain; returns the message."""
    with pytest.raises((ConversionError, OpGateError)) as caught:
        export_tflite(build(), path, progress=False, **settings)
    return str(caught.value)


@pytest.mark.parametrize("cause", TRIED)
def test_model_that_fails_is_exported_once_the_advice_is_taken(cause, tmp_path):
    fails, words, advised = TRIED[cause]
    assert words in message(fails, tmp_path / "model.tflite")
    for build in advised:
        result = export_tflite(build(), tmp_path / "model.tflite", progress=False)
        assert result.parity is not None and result.parity.passed


@pytest.mark.parametrize("cause", ["branch in Python", "Keras in no graph", "no graph"])
def test_what_cannot_be_traced_does_not_predict_in_keras_either(cause):
    model = TRIED[cause][0]()
    model(np.ones((1, 3, 4), "float32"))
    with pytest.raises(Exception, match="call"):
        model.predict(np.ones((1, 3, 4), "float32"), verbose=0)


@pytest.fixture(scope="module")
def good_file(tmp_path_factory):
    return convert_model(tmp_path_factory.mktemp("good") / "good.tflite", token_model())


# How a converter goes wrong -> words of the message, settings that fail, and settings as advised.
# The stand-in goes wrong with a graph without a loop.
GOES_WRONG = {
    "os.kill(os.getpid(), 11) if loopless else 0": (
        "Try another lowering",
        {"lowering": "unrolled"},
        [{"lowering": "loop"}],
    ),
    "time.sleep(60 if loopless else 0)": (
        "lowering='loop', which converts fastest",
        {"lowering": "unrolled"},
        [{"lowering": "loop"}],
    ),
    "sys.exit(3) if loopless else 0": (
        "Replace the layer, or try another lowering.",
        {"lowering": "unrolled"},
        [{"lowering": "loop"}],
    ),
}


@pytest.mark.parametrize("wrong", GOES_WRONG)
def test_converter_that_goes_wrong_is_got_around_as_advised(
    wrong, good_file, tmp_path, monkeypatch
):
    words, settings, advised = GOES_WRONG[wrong]
    program = (
        "import json, os, pathlib, sys, time\n"
        "for line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    graph = (pathlib.Path(request['saved_model']) / 'saved_model.pb').read_bytes()\n"
        "    loopless = b'While' not in graph\n"
        f"    {wrong}\n"
        f"    good = pathlib.Path({str(good_file)!r}).read_bytes()\n"
        "    pathlib.Path(request['output']).write_bytes(good)\n"
        "    print('{}', flush=True)\n"
    )
    process = Converter(["-c", program])
    monkeypatch.setattr(converter, "CONVERTER", process)
    monkeypatch.setattr(converter, "DEFAULT_TIMEOUT", 2.0)
    monkeypatch.setattr("keras_rnn_zoo.export.diagnose.minimize.TRY_SECONDS", 2.0)
    model = long_model()
    path = tmp_path / "model.tflite"
    try:
        assert words in message(lambda: model, path, **settings)
        for other in advised:
            export_tflite(model, path, verify=False, progress=False, **other)
    finally:
        process.close()


def long_model():
    """So many steps that the loop lowering makes a loop."""
    import keras

    inputs = keras.Input((40, 3))
    return keras.Model(inputs, keras.layers.LSTM(4)(inputs))


def test_every_remedy_is_tried_here():
    tried = [words for _, words, _ in TRIED.values()]
    tried += [words for words, _, _ in GOES_WRONG.values()]
    for known in REMEDIES:
        assert any(words in known.advice for words in tried), known.advice
