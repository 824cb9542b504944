"""The converter may crash, hang or refuse; the caller gets an error and no file."""

from __future__ import annotations

import contextlib

import pytest

from keras_rnn_zoo.errors import ConversionError
from keras_rnn_zoo.export.convert import _converter_process, converter
from keras_rnn_zoo.export.convert.converter import Converter, in_this_process

ANSWER_OK = "import sys\nfor line in sys.stdin: print('{\"ok\": true}', flush=True)"


def scripted(script):
    return Converter(["-c", script])


def test_crash_is_an_error_that_names_the_signal(tmp_path):
    crash = scripted("import os, signal; input(); os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(ConversionError, match="SIGSEGV"):
        crash.convert(tmp_path, tmp_path / "model.tflite")


def test_exit_is_an_error_with_the_last_words(tmp_path):
    leaving = scripted("import sys; input(); sys.exit('out of memory, goodbye')")
    with pytest.raises(ConversionError, match=r"exit code 1.*out of memory, goodbye"):
        leaving.convert(tmp_path, tmp_path / "model.tflite")


def test_hang_is_stopped_after_the_timeout(tmp_path):
    hanging = scripted("import time; time.sleep(600)")
    with pytest.raises(ConversionError, match="stopped after"):
        hanging.convert(tmp_path, tmp_path / "model.tflite", timeout=0.2)
    assert not hanging._child.running


def test_after_a_death_the_next_conversion_starts_a_new_process(tmp_path):
    first_dies = (
        "import os, sys, pathlib\n"
        f"flag = pathlib.Path({str(tmp_path / 'died')!r})\n"
        "sys.stdin.readline()\n"
        "if not flag.exists(): flag.touch(); os.abort()\n"
        "print('{\"ok\": true}', flush=True)"
    )
    process = scripted(first_dies)
    with pytest.raises(ConversionError, match="SIGABRT"):
        process.convert(tmp_path, tmp_path / "model.tflite")
    process.convert(tmp_path, tmp_path / "model.tflite")
    process.close()


def test_one_process_serves_many_conversions(tmp_path):
    process = scripted(ANSWER_OK)
    process.convert(tmp_path, tmp_path / "a.tflite")
    child = process._child
    process.convert(tmp_path, tmp_path / "b.tflite")
    assert process._child is child
    process.close()


@pytest.mark.parametrize("here", [False, True])
def test_refusal_of_the_real_converter_is_an_error_in_one_line(tmp_path, monkeypatch, here):
    import tensorflow as tf

    module = tf.Module()
    module.serve = tf.function(
        lambda x: {"y": tf.linalg.svd(x)[0]}, input_signature=[tf.TensorSpec([2, 2])]
    )
    tf.saved_model.save(module, str(tmp_path / "saved_model"), signatures=module.serve)
    process = Converter()
    monkeypatch.setattr(converter, "CONVERTER", process)
    place = in_this_process() if here else contextlib.nullcontext()
    try:
        with place, pytest.raises(ConversionError, match="Svd") as caught:
            converter.convert(tmp_path / "saved_model", tmp_path / "model.tflite")
        assert (process._child is None) == here
    finally:
        process.close()
    assert "\n" not in str(caught.value) and "Svd" in caught.value.log
    assert not (tmp_path / "model.tflite").exists()


def test_the_short_way_writes_what_the_public_converter_writes(tmp_path, monkeypatch):
    from architectures import build, inputs_for

    from keras_rnn_zoo.export import export_tflite

    model = build("stacked_cells")
    paths = {}
    for way in ("_direct", "_public"):
        if way == "_public":
            monkeypatch.setattr(_converter_process, "_direct", lambda _: None)
        else:
            assert callable(_converter_process._direct)
        paths[way] = tmp_path / f"{way}.tflite"
        with in_this_process():
            export_tflite(model, paths[way], samples=inputs_for(model), verify=False)
    assert paths["_direct"].read_bytes() == paths["_public"].read_bytes()
