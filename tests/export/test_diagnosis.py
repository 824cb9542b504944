"""A conversion that fails names the layer, says what to do, and leaves what a bug report needs."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from tflite_files import convert_model, token_model

from keras_rnn_zoo.errors import ConfigError, ConversionError, ExportError, OpGateError, OutputError
from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.convert import converter
from keras_rnn_zoo.export.convert.converter import Converter
from keras_rnn_zoo.export.diagnose.diagnosis import FAILURE_FILE, LOG_FILE, MODEL_FILE
from keras_rnn_zoo.export.diagnose.known_failures import remedy
from keras_rnn_zoo.export.diagnose.minimize import Search
from keras_rnn_zoo.export.keras_model.model import KerasModel

FILES = {MODEL_FILE, LOG_FILE, FAILURE_FILE}


def custom(function, name="odd"):
    """A user's own layer that computes `function`."""
    import keras

    class Odd(keras.layers.Layer):
        supports_masking = True

        def call(self, x):
            return function(x)

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

    return Odd(name=name)


def betainc(x):
    import tensorflow as tf

    x = tf.sigmoid(x)
    return tf.math.betainc(x, x, x)


def recurrent(*middle, timesteps=6):
    """Token ids, embedding with mask, LSTM, what is to be tried, GRU, Dense."""
    import keras

    inputs = x = keras.Input((timesteps,), dtype="int32")
    for layer in (
        keras.layers.Embedding(10, 4, mask_zero=True),
        keras.layers.LSTM(4, return_sequences=True, name="good_lstm"),
        *middle,
        keras.layers.GRU(3, name="good_gru"),
        keras.layers.Dense(2, name="good_dense"),
    ):
        x = layer(x)
    return keras.Model(inputs, x)


def failed(model, path, **settings):
    """Exports in vain; returns the error and what failure.json holds."""
    with pytest.raises((ConversionError, OpGateError)) as caught:
        export_tflite(model, path, progress=False, **settings)
    assert "\n" not in str(caught.value)
    assert not path.exists()
    directory = path.with_name(f"{path.stem}.failure")
    assert str(directory) in str(caught.value)
    return caught.value, json.loads((directory / FAILURE_FILE).read_text())


def reproduced(record, directory, monkeypatch, **names):
    """Runs what failure.json says beside the model; returns the error."""
    monkeypatch.chdir(directory)
    with pytest.raises((ConversionError, OpGateError)) as caught:
        exec("\n".join(record["reproduce"]), names)
    return caught.value


def test_layer_is_named_with_the_op_and_the_smallest_model_fails_again(tmp_path, monkeypatch):
    layer = custom(betainc)
    error, record = failed(recurrent(layer), tmp_path / "model.tflite")
    assert str(error).startswith("Layer 'odd' (Odd) cannot be converted: it uses 'tf.Betainc'")
    assert "write it with other keras.ops" in str(error)
    assert "called from" in error.log and "called from" not in str(error)
    directory = tmp_path / "model.failure"
    assert {path.name for path in directory.iterdir()} == FILES
    assert [layer["path"] for layer in record["layers"]] == ["odd"]
    assert record["settings"]["quantization"] == "none" and record["settings"]["lowering"] == "loop"
    assert record["provenance"]["versions"]["tensorflow"]
    log = (directory / LOG_FILE).read_text()
    assert "layer 'odd' (Odd): fails" in log and error.log.strip() in log
    again = reproduced(record, directory, monkeypatch, Odd=type(layer))
    assert "tf.Betainc" in str(again)
    assert (directory / "model.failure" / FAILURE_FILE).is_file()


def test_layer_in_a_nested_model_is_named_by_its_path(tmp_path):
    import keras

    inner = keras.Sequential(
        [keras.layers.Dense(3), custom(betainc, "deep"), keras.layers.Dense(2)], name="inner"
    )
    inner.build((None, 6, 4))
    model = keras.Sequential([keras.Input((None, 4)), keras.layers.LSTM(4, return_sequences=True)])
    model.add(inner)
    error, record = failed(model, tmp_path / "model.tflite", timesteps=6)
    (layer,) = record["layers"]
    assert layer["path"].split("/")[-1] == "deep" and f"'{layer['path']}'" in str(error)
    assert record["settings"]["timesteps"] is None, "the part has a fixed size"
    smallest = keras.saving.load_model(
        tmp_path / "model.failure" / MODEL_FILE, custom_objects={"Odd": type(inner.layers[1])}
    )
    assert smallest.inputs[0].shape == (None, 6, 3), "what comes out of the Dense before it"


def test_int8_is_diagnosed_as_it_fails_and_a_call_of_keras_ops_can_be_to_blame(
    tmp_path, monkeypatch
):
    import keras

    inputs = keras.Input((6, 4))
    x = keras.layers.LSTM(4, return_sequences=True)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.ops.svd(x)[1]))
    data = np.random.default_rng(0).normal(size=(4, 6, 4))
    error, record = failed(
        model, tmp_path / "model.tflite", quantization="int8", representative_data=data
    )
    # What keras.ops makes has a number in its name, as many times as it was called before.
    assert re.match(
        r"Operation 'svd\w*' \(SVD\) cannot be converted: it decomposes .* with 'tf.Svd'",
        str(error),
    )
    assert "tf.Svd" in str(reproduced(record, tmp_path / "model.failure", monkeypatch))


@pytest.mark.filterwarnings("ignore:Layer 'inner' .* was passed an input with a mask")
def test_model_is_left_as_it_was(tmp_path):
    import keras

    layer = custom(betainc)
    inner = keras.Sequential([keras.Input((6, 4)), layer, keras.layers.Dense(4)], name="inner")
    model = recurrent(inner)
    operations = [*model.operations, *inner._functional.operations]
    before = [([*o._inbound_nodes], [*o._outbound_nodes]) for o in operations]
    x = np.arange(12).reshape(2, 6) % 10
    answers = np.asarray(model(x))
    failed(model, tmp_path / "model.tflite")
    assert [([*o._inbound_nodes], [*o._outbound_nodes]) for o in operations] == before
    assert np.array_equal(model(x), answers)
    with keras.saving.custom_object_scope({"Odd": type(layer)}):
        again = keras.models.clone_model(model)
    assert [op.name for op in again.layers[1:]] == [op.name for op in model.layers[1:]]


def strings(x):
    import tensorflow as tf

    return x * tf.cast(tf.strings.length(tf.strings.as_string(x)), tf.float32)


def float64(x):
    import tensorflow as tf

    return tf.cast(tf.math.erf(tf.cast(x, tf.float64)), tf.float32)


def int64(x):
    import tensorflow as tf

    bits = tf.bitwise.bitwise_and(tf.cast(x, tf.int64), tf.constant(3, tf.int64))
    return tf.cast(bits, tf.float32)


def complex64(x):
    import tensorflow as tf

    square = tf.cast(tf.matmul(x, x, transpose_a=True), tf.complex64)
    return x + tf.reduce_sum(tf.math.real(tf.linalg.inv(square)))


def python(x):
    import tensorflow as tf

    return tf.ensure_shape(tf.py_function(lambda a: 2 * a, [x], tf.float32), x.shape)


def open_sizes(x):
    import tensorflow as tf

    kept = tf.map_fn(lambda row: tf.boolean_mask(row, row > 0)[:1], x[0])
    return x + tf.reduce_sum(kept)


def branch(x):
    import tensorflow as tf

    return x if tf.reduce_sum(x) > 0 else -x


@pytest.mark.parametrize(
    "function, reason, advice",
    [
        (strings, "works on text", "Encode text before the model"),
        (float64, "in float64 with 'tf.Erf'", "cast(x, 'float32')"),
        (int64, "64-bit integers in 'tf.BitwiseAnd'", "cast(x, 'int32')"),
        (complex64, "complex numbers in 'tf.MatrixInverse'", "real and imaginary parts"),
        (python, "calls Python code", "Write it with keras.ops"),
        (open_sizes, "size is not known ahead", "keras.ops.where(condition, x, 0)"),
        (branch, "branches or loops in Python", "keras.ops.cond"),
    ],
)
def test_known_causes_come_with_their_remedy(tmp_path, function, reason, advice):
    import keras

    inputs = keras.Input((3, 4))
    error, _ = failed(keras.Model(inputs, custom(function)(inputs)), tmp_path / "model.tflite")
    assert str(error).startswith("Layer 'odd' (Odd) cannot be converted: it")
    assert reason in str(error) and advice in str(error)


def test_what_is_unknown_is_said_in_the_converters_words():
    reason, advice = remedy(ConversionError("The TFLite converter refused the model: no {luck}."))
    assert reason == "The TFLite converter refused the model: no {luck}"
    assert "another lowering" in advice


def test_output_that_nothing_computes_is_no_layers_fault(tmp_path):
    import keras

    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, [inputs, keras.layers.LSTM(2)(inputs)])
    error, record = failed(model, tmp_path / "model.tflite")
    assert isinstance(error, OpGateError)
    assert "no layer of it fails by itself" in str(error) and "Leave that output out" in str(error)
    assert record["layers"] == []


# -------------------------------------------------------------------------- stand-ins that die


@pytest.fixture(scope="module")
def good_file(tmp_path_factory):
    return convert_model(tmp_path_factory.mktemp("good") / "good.tflite", token_model())


@pytest.fixture
def stand_in(good_file, monkeypatch):
    """Puts a program in the converter's place: `body` sees the graph's bytes as `graph`."""
    made = []

    def put(body):
        program = (
            "import json, os, pathlib, signal, sys, time\n"
            "for line in sys.stdin:\n"
            "    request = json.loads(line)\n"
            "    graph = (pathlib.Path(request['saved_model']) / 'saved_model.pb').read_bytes()\n"
            f"    {body}\n"
            f"    good = pathlib.Path({str(good_file)!r}).read_bytes()\n"
            "    pathlib.Path(request['output']).write_bytes(good)\n"
            "    print('{}', flush=True)\n"
        )
        made.append(Converter(["-c", program]))
        monkeypatch.setattr(converter, "CONVERTER", made[-1])

    yield put
    for process in made:
        process.close()


def row(*names):
    """Dense layers of these names, one after the other."""
    import keras

    inputs = x = keras.Input((4,))
    for name in names:
        x = keras.layers.Dense(4, name=name)(x)
    return keras.Model(inputs, x)


CRASH = "os.kill(os.getpid(), signal.SIGSEGV)"


def test_crash_is_blamed_on_the_layer_and_the_way_out_is_said(tmp_path, stand_in):
    stand_in(f"if b'/bomb' in graph: print('boom', file=sys.stderr, flush=True); {CRASH}")
    error, record = failed(row("one", "two", "bomb", "three"), tmp_path / "model.tflite")
    assert "Layer 'bomb' (Dense)" in str(error) and "crashes on it (SIGSEGV)" in str(error)
    assert "another lowering" in str(error)
    assert (error.symptom, error.log) == ("crashed", "boom")
    assert [layer["path"] for layer in record["layers"]] == ["bomb"]


def test_layers_that_fail_only_together_are_all_that_is_kept(tmp_path, stand_in):
    import keras

    stand_in(f"if b'/fire' in graph and b'/powder' in graph: {CRASH}")
    model = row("one", "two", "fire", "three", "four", "powder", "five", "six")
    error, record = failed(model, tmp_path / "model.tflite")
    assert [layer["path"] for layer in record["layers"]] == ["fire", "powder"]
    assert "'fire' (Dense) and 'powder' (Dense) cannot be converted together" in str(error)
    smallest = keras.saving.load_model(tmp_path / "model.failure" / MODEL_FILE)
    assert {op.name for op in smallest.operations if "input" not in op.name} == {"fire", "powder"}


def test_hang_is_stopped_and_the_way_out_is_said(stand_in, tmp_path, monkeypatch):
    stand_in("time.sleep(600)")
    monkeypatch.setattr(converter, "DEFAULT_TIMEOUT", 0.2)
    monkeypatch.setattr("keras_rnn_zoo.export.diagnose.minimize.TRY_SECONDS", 0.2)
    error, record = failed(row("one", "two"), tmp_path / "model.tflite")
    assert "Layer 'one'" in str(error) and "does not come to an end" in str(error)
    assert "lowering='loop'" in str(error)
    assert record["tries"] == 1


def test_hang_is_not_waited_for_ten_times():
    def attempt(model, seconds):
        if {"one", "five"} <= {layer.name for layer in model.layers}:
            hangs.append(model)
            raise ConversionError("stopped", symptom="hung")

    hangs: list = []
    failure = ConversionError("stopped", symptom="hung")
    search = Search(KerasModel(row("one", "two", "three", "four", "five")), attempt, failure)
    found = [node.operation.name for node in search.run()]
    assert len(hangs) == 2 and not search.complete
    assert found == ["one", "three", "four", "five"], "the smallest that is known to hang"


def test_search_ends_when_its_tries_or_its_time_are_spent():
    def attempt(model, seconds):
        tried.append([layer.name for layer in model.layers])
        if {"one", "three"} <= set(tried[-1]):
            raise ConversionError("no")

    for limits, count in (({"tries": 4}, 4), ({"seconds": -1.0}, 0)):
        tried: list = []
        search = Search(
            KerasModel(row("one", "two", "three")), attempt, ConversionError("no"), **limits
        )
        found = [node.operation.name for node in search.run()]
        assert len(tried) == count and not search.complete
        assert found == (["one", "two", "three"] if count else [])


def test_part_that_fails_for_being_a_part_is_not_blamed():
    def attempt(model, seconds):
        if "two" in {layer.name for layer in model.layers}:
            raise ConversionError("no", log="'tf.Svd' op is neither")
        raise ConversionError("no", log="'tf.Input' op is neither")

    failure = ConversionError("no", log="'tf.Svd' op is neither, 'tf.Erf' op is neither")
    (node,) = Search(KerasModel(row("one", "two", "three")), attempt, failure).run()
    assert node.operation.name == "two"


# ------------------------------------------------------------------------------ the directory


def test_earlier_failure_is_replaced_and_anything_else_is_not(tmp_path, stand_in):
    stand_in(CRASH)
    path, directory = tmp_path / "model.tflite", tmp_path / "model.failure"
    failed(row("one"), path)
    _, record = failed(row("two"), path)
    assert [layer["path"] for layer in record["layers"]] == ["two"]
    for spoil in (
        lambda: (directory / "notes.txt").write_text("mine"),
        lambda: (directory / FAILURE_FILE).write_text("[]"),
        lambda: (directory / FAILURE_FILE).unlink(),
    ):
        spoil()
        before = {file.name: file.read_bytes() for file in directory.iterdir()}
        with pytest.raises(ConversionError, match=r"Layer 'one'.*holds something else"):
            export_tflite(row("one"), path, progress=False)
        assert {file.name: file.read_bytes() for file in directory.iterdir()} == before
        (directory / "notes.txt").unlink(missing_ok=True)
    assert [file.name for file in tmp_path.iterdir()] == ["model.failure"]


def test_place_that_cannot_be_written_does_not_hide_the_reason(tmp_path, stand_in, monkeypatch):
    def full(*_, **__):
        raise OutputError("the disk is full.")

    stand_in(CRASH)
    monkeypatch.setattr("keras_rnn_zoo.files.new_directory", full)
    with pytest.raises(ConversionError, match=r"Layer 'one' .*No report was written: the disk"):
        export_tflite(row("one"), tmp_path / "model.tflite", progress=False)


def test_layer_that_cannot_be_saved_is_still_named(tmp_path):
    import keras

    class Unsavable(type(custom(betainc))):
        def get_config(self):
            raise NotImplementedError("no get_config")

    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, Unsavable()(inputs))
    error, record = failed(model, tmp_path / "model.tflite")
    assert "(Unsavable) cannot be converted" in str(error) and "smallest" not in str(error)
    assert record["reproduce"] is None and "get_config" in record["not_saved"]
    names = {path.name for path in (tmp_path / "model.failure").iterdir()}
    assert names == {LOG_FILE, FAILURE_FILE}
    assert "could not be saved" in (tmp_path / "model.failure" / LOG_FILE).read_text()


def test_without_diagnosis_the_first_error_stands_and_nothing_is_written(tmp_path, stand_in):
    stand_in(CRASH)
    with pytest.raises(ConversionError, match=r"^The TFLite converter crashed \(SIGSEGV\)"):
        export_tflite(row("one"), tmp_path / "model.tflite", diagnose=False)
    assert not list(tmp_path.iterdir())


def test_directory_can_be_named_and_progress_is_told(tmp_path, stand_in, capsys):
    stand_in(CRASH)
    lines = []
    with pytest.raises(ConversionError, match="elsewhere"):
        export_tflite(
            row("one"),
            tmp_path / "m.tflite",
            diagnose=tmp_path / "elsewhere",
            progress=lines.append,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    assert "Looking for the layer to blame" in lines[0] and "layer 'one' (Dense): fails" in lines[1]
    with pytest.raises(ConversionError):
        export_tflite(row("one"), tmp_path / "m.tflite")
    captured = capsys.readouterr()
    assert "layer 'one' (Dense): fails" in captured.err and captured.out == ""


def test_interruption_of_the_search_leaves_nothing(tmp_path, stand_in):
    def interrupt(line):
        raise KeyboardInterrupt

    stand_in(CRASH)
    model = row("one", "two")
    before = [[*layer._inbound_nodes] for layer in model.layers]
    with pytest.raises(KeyboardInterrupt):
        export_tflite(model, tmp_path / "model.tflite", progress=interrupt)
    assert not list(tmp_path.iterdir())
    assert [[*layer._inbound_nodes] for layer in model.layers] == before


def test_mistakes_before_any_work_write_nothing(tmp_path):
    import keras

    text = keras.Sequential([keras.Input((), dtype="string"), keras.layers.Identity()])
    for model, settings, reason in (
        (recurrent(timesteps=None), {}, "timesteps"),
        (recurrent(), {"batch_size": 0}, "batch_size"),
        (recurrent(), {"samples": np.ones((2, 3))}, "shape"),
        (text, {}, "takes text"),
    ):
        error = ConfigError if "batch_size" in settings else ExportError
        with pytest.raises(error, match=reason) as caught:
            export_tflite(model, tmp_path / "model.tflite", **settings)
        assert type(caught.value) is error
    assert not list(tmp_path.iterdir())
