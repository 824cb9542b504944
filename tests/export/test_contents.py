"""The op check reads the written file and refuses what a plain interpreter cannot run."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tflite_files import TIMESTEPS, calibrated, convert, convert_model, token_model, tokens

from keras_rnn_zoo.errors import OpGateError, RunError
from keras_rnn_zoo.export.tflite import contents
from keras_rnn_zoo.export.tflite.file import open_interpreter


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return convert_model(tmp_path_factory.mktemp("file") / "plain.tflite", token_model())


def counting(configure):
    """Converts a function that holds an op (Bincount) that TensorFlow Lite does not have."""

    def build(path):
        import tensorflow as tf

        return convert(
            path,
            lambda x: {
                "counts": tf.raw_ops.Bincount(arr=x, size=10, weights=tf.zeros([0], tf.float32))
            },
            [tf.TensorSpec((1, 8), tf.int32, name="x")],
            configure=configure,
        )

    return build


def allow_tensorflow(converter):
    import tensorflow as tf

    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]


def allow_custom(converter):
    converter.allow_custom_ops = True


def test_file_of_builtin_ops_passes_and_is_described(plain):
    info = contents.check_builtin_only(plain)
    assert info.bytes == plain.stat().st_size
    assert info.ops["FULLY_CONNECTED"] == 1 and info.ops["LOGISTIC"] == 1
    assert info.subgraphs == 1
    assert info.variables == 0
    assert info.signatures == {"serving_default": {"inputs": ["tokens"], "outputs": ["answer"]}}
    assert info.custom_ops == info.flex_ops == info.unknown_ops == info.uncomputed == ()
    # Embedding (30 x 6), kernel (8 * 6) and bias, plus the constants of the id arithmetic.
    assert info.float_weight_bytes >= 4 * (30 * 6 + TIMESTEPS * 6)
    assert info.quantized_weight_bytes == 0
    # The bias is added, not multiplied by.
    weights = {(weight.op, weight.shape, weight.bytes) for weight in info.float32_weights}
    assert weights == {("GATHER", (30, 6), 720), ("FULLY_CONNECTED", (1, 48), 192)}
    assert "path" not in info.to_dict()


def test_quantized_weights_are_told_from_float_ones(tmp_path):
    import keras
    import tensorflow as tf

    inputs = keras.Input((64,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(64)(inputs))

    def optimize(converter):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    info = contents.inspect(convert_model(tmp_path / "m.tflite", model, configure=optimize))
    assert info.quantized_weight_bytes == info.weights["INT8"] == 64 * 64
    assert info.float_weight_bytes <= 4 * 64
    assert info.float32_weights == ()


def test_subgraphs_and_their_ops_are_counted(tmp_path):
    import tensorflow as tf

    def loop(x):
        _, y = tf.while_loop(lambda i, _: i < 5, lambda i, y: (i + 1, tf.tanh(y)), [0, x])
        return {"y": y}

    path = convert(tmp_path / "m.tflite", loop, [tf.TensorSpec((1, 3), tf.float32, name="x")])
    info = contents.check_builtin_only(path)
    assert info.subgraphs == 3
    assert info.ops["WHILE"] == 1 and info.ops["TANH"] == 1


def test_flex_op_is_refused_by_name(tmp_path):
    path = counting(allow_tensorflow)(tmp_path / "flex.tflite")
    assert contents.inspect(path).flex_ops == ("FlexBincount",)
    with pytest.raises(OpGateError, match=r"TensorFlow ops \(FlexBincount\)") as caught:
        contents.check_builtin_only(path)
    assert caught.value.ops == ("FlexBincount",)


def test_custom_op_is_refused_by_name(tmp_path):
    path = counting(allow_custom)(tmp_path / "custom.tflite")
    with pytest.raises(OpGateError, match=r"custom ops \(Bincount\)") as caught:
        contents.check_builtin_only(path)
    assert caught.value.ops == ("Bincount",)


def test_file_without_ops_is_refused(tmp_path):
    import tensorflow as tf

    path = convert(
        tmp_path / "empty.tflite",
        lambda x: {"y": tf.constant([[1.0, 2.0]])},
        [tf.TensorSpec((1, 3), tf.float32, name="x")],
    )
    assert not contents.inspect(path).ops
    with pytest.raises(OpGateError, match="no ops at all"):
        contents.check_builtin_only(path)


def test_output_that_no_op_computes_is_refused(tmp_path):
    import tensorflow as tf

    path = convert(
        tmp_path / "m.tflite",
        lambda x: {"y": tf.tanh(x), "z": tf.constant([[1.0, 2.0]])},
        [tf.TensorSpec((1, 3), tf.float32, name="x")],
    )
    with pytest.raises(OpGateError, match="no op computes"):
        contents.check_builtin_only(path)


def _patched_op_code(path, target, number):
    """Overwrites the op code of LOGISTIC (14): in the old one-byte field and in the new one."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    for code in model.operatorCodes:
        if code.builtinCode == schema.BuiltinOperator.LOGISTIC:
            code.deprecatedBuiltinCode, code.builtinCode = min(number, 127), number
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(bytes(builder.Output()))
    return target


def test_op_that_the_schema_does_not_know_is_refused_by_its_code(plain, tmp_path):
    path = _patched_op_code(plain, tmp_path / "new.tflite", 4000)
    with pytest.raises(OpGateError, match="op code 4000"):
        contents.check_builtin_only(path)


def test_op_that_the_interpreter_lacks_is_refused(plain, tmp_path):
    # CALL is in the schema; no interpreter has a kernel for it.
    path = _patched_op_code(plain, tmp_path / "call.tflite", 31)
    with pytest.raises(OpGateError, match="CALL"):
        contents.check_builtin_only(path)


def test_missing_file_directory_and_other_files_are_refused(tmp_path):
    text = tmp_path / "text.tflite"
    text.write_text("not a model at all")
    empty = tmp_path / "empty.tflite"
    empty.touch()
    for path, reason in (
        (tmp_path / "no.tflite", "No such file"),
        (tmp_path, "directory"),
        (text, "TFL3"),
        (empty, "0 bytes"),
    ):
        with pytest.raises(RunError, match=reason):
            contents.inspect(path)


def test_damaged_file_is_an_error_and_never_a_crash(plain, tmp_path):
    content = plain.read_bytes()
    generator = np.random.default_rng(0)
    path = tmp_path / "damaged.tflite"
    for _ in range(40):
        damaged = bytearray(content)
        if generator.random() < 0.5:
            del damaged[int(generator.integers(8, len(content))) :]
        else:
            for _ in range(8):
                damaged[int(generator.integers(8, len(content)))] = generator.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            info = contents.inspect(path)
        except RunError as error:
            assert str(path) in str(error)
        else:
            assert info.bytes == len(damaged)


def test_truncated_file_is_named(plain, tmp_path):
    path = tmp_path / "half.tflite"
    path.write_bytes(plain.read_bytes()[: plain.stat().st_size // 2])
    with pytest.raises(RunError, match=r"half\.tflite"):
        contents.check_builtin_only(path)


@pytest.mark.parametrize("activation, units", [("sigmoid", 1), ("softmax", 3)])
def test_logits_are_found_behind_the_output(tmp_path, activation, units):
    path = convert_model(tmp_path / "m.tflite", token_model(units, activation))
    interpreter = open_interpreter(path, keep_tensors=True)
    output = interpreter.get_output_details()[0]["index"]
    source = contents.logit_source(path, output)
    assert source is not None
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], tokens(1))
    interpreter.invoke()
    logits = interpreter.get_tensor(source[0]).astype("float64")
    odds = 1 / (1 + np.exp(-logits))
    shares = np.exp(logits) / np.exp(logits).sum()
    expected = odds if activation == "sigmoid" else shares
    # Half a float32 ulp of the kernel's sigmoid or softmax.
    np.testing.assert_allclose(interpreter.get_tensor(output), expected, atol=1e-6)


def test_logits_are_found_behind_dequantization(tmp_path):
    path = convert_model(tmp_path / "m.tflite", token_model(), configure=calibrated(tokens()))
    interpreter = open_interpreter(path)
    assert contents.logit_source(path, interpreter.get_output_details()[0]["index"]) is not None


def test_logits_are_found_behind_a_change_of_layout(tmp_path):
    import tensorflow as tf

    weights = tf.constant(np.arange(12, dtype="float32").reshape(3, 4) / 7)

    def function(x):
        return {"y": tf.transpose(tf.reshape(tf.nn.softmax(x @ weights), (1, 2, 4)), (0, 2, 1))}

    path = convert(tmp_path / "m.tflite", function, [tf.TensorSpec((2, 3), tf.float32, name="x")])
    interpreter = open_interpreter(path, keep_tensors=True)
    source = contents.logit_source(path, interpreter.get_output_details()[0]["index"])
    x = np.array([[1, 2, 3], [3, 1, 0]], "float32")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    logits = interpreter.get_tensor(source[0])
    for change in source[1]:
        logits = change(logits)
    expected = (x @ weights.numpy()).reshape(1, 2, 4).transpose(0, 2, 1)
    # The same float32 products in another order.
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_output_without_sigmoid_or_softmax_has_no_logits(tmp_path):
    path = convert_model(tmp_path / "m.tflite", token_model(2, None))
    interpreter = open_interpreter(path)
    assert contents.logit_source(path, interpreter.get_output_details()[0]["index"]) is None


def test_reading_a_file_needs_no_tensorflow(plain):
    program = (
        "import sys\n"
        "from keras_rnn_zoo.export.tflite import contents\n"
        f"contents.check_builtin_only({str(plain)!r})\n"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
