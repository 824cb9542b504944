"""A SavedModel answers, reloaded by plain TensorFlow, what the Keras model answers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tflite_files import TIMESTEPS, VOCABULARY, token_model, tokens

from keras_rnn_zoo.errors import ExportError, OutputError, RunError, VerificationError
from keras_rnn_zoo.export.formats.format import bytes_of
from keras_rnn_zoo.export.formats.saved_model import (
    compare_saved_model,
    export_saved_model,
)
from keras_rnn_zoo.export.verify.compare import NamesError
from keras_rnn_zoo.export.verify.reference import reference_of


def recurrent(timesteps=TIMESTEPS):
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((timesteps,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(VOCABULARY, 6, mask_zero=True)(inputs)
    x = keras.layers.Bidirectional(keras.layers.LSTM(5))(x)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="answer")(x))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = recurrent()
    path = tmp_path_factory.mktemp("saved") / "saved_model"
    return model, export_saved_model(model, path, samples=tokens())


def test_result_says_what_was_written_and_proven(exported):
    _, result = exported
    assert (result.inputs, result.outputs) == (("tokens",), ("answer",))
    assert result.bytes == bytes_of(result.path) > 1000
    assert result.parity.passed and result.parity.invokes == 3
    assert 0 in result.parity.lengths and TIMESTEPS in result.parity.lengths


def test_plain_tensorflow_in_a_new_process_serves_it(exported, tmp_path):
    model, result = exported
    np.savez(tmp_path / "x.npz", x=tokens(), y=np.asarray(model(tokens())))
    program = (
        "import numpy as np, tensorflow as tf\n"
        f"loaded = tf.saved_model.load({str(result.path)!r})\n"
        "serve = loaded.signatures['serving_default']\n"
        f"data = np.load({str(tmp_path / 'x.npz')!r})\n"
        "for rows in (slice(None), slice(3, 4)):\n"
        "    y = serve(tokens=tf.constant(data['x'][rows]))['answer'].numpy()\n"
        # The same graph; only the order of float32 sums depends on the batch.
        "    assert np.abs(y - data['y'][rows]).max() < 1e-6\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_several_named_inputs_and_outputs(tmp_path):
    import keras
    import tensorflow as tf

    words = keras.Input((None,), dtype="int32", name="words")
    facts = keras.Input((3,), name="facts")
    x = keras.layers.GRU(4)(keras.layers.Embedding(VOCABULARY, 4, mask_zero=True)(words))
    x = keras.layers.Concatenate()([x, facts])
    model = keras.Model(
        [words, facts],
        [keras.layers.Dense(1, name="price")(x), keras.layers.Dense(2, name="size")(x)],
    )
    path = tmp_path / "saved_model"
    result = export_saved_model(model, path, timesteps=5)
    assert set(result.inputs) == {"words", "facts"} and set(result.outputs) == {"price", "size"}
    loaded = tf.saved_model.load(str(path))
    answers = loaded.signatures["serving_default"](
        words=tf.constant(tokens(2)), facts=tf.zeros((2, 3))
    )
    assert {name: value.shape.as_list() for name, value in answers.items()} == {
        "price": [2, 1],
        "size": [2, 2],
    }


def test_no_op_of_a_certain_gpu_gets_in_and_the_model_is_as_before(exported):
    model, result = exported
    assert b"CudnnRNN" not in (result.path / "saved_model.pb").read_bytes()
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    assert layers and all(layer.use_cudnn == "auto" for layer in layers)


def test_other_weights_and_other_names_are_told_apart(exported):
    model, result = exported
    reference = reference_of(model, tokens())
    other = recurrent()
    other.layers[-1].bias.assign([3.0])
    with pytest.raises(VerificationError, match=r"the logits of 'answer' differ|'answer' differs"):
        compare_saved_model(result.path, reference_of(other, tokens()))
    renamed = token_model()
    renamed.inputs[0].name = "words"
    with pytest.raises(NamesError, match="words"):
        compare_saved_model(result.path, reference_of(renamed, tokens()))
    assert compare_saved_model(result.path, reference).passed


def test_directory_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="already holds something"):
        export_saved_model(recurrent(), tmp_path, samples=tokens())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_failure_leaves_nothing_behind(tmp_path):
    model = recurrent()
    model.layers[-1].bias.assign([np.nan])
    with pytest.raises(ExportError, match="NaN"):
        export_saved_model(model, tmp_path / "saved_model", samples=tokens())
    with pytest.raises(ExportError):
        export_saved_model(object(), tmp_path / "saved_model")
    assert not list(tmp_path.iterdir())


def test_damaged_directory_is_refused(exported, tmp_path):
    model, _ = exported
    reference = reference_of(model, tokens())
    with pytest.raises(RunError, match=r"no saved_model\.pb"):
        compare_saved_model(tmp_path, reference)
    (tmp_path / "saved_model.pb").write_bytes(b"\x00nonsense")
    with pytest.raises(RunError, match="cannot be loaded"):
        compare_saved_model(tmp_path, reference)
