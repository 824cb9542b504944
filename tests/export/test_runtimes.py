"""The oldest runtime that runs a file is that of its newest op, and can be asked for."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from architectures import build, inputs_for
from other_runtimes import answered, contradicted, write

from keras_rnn_zoo.errors import ConfigError, TargetError
from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.options import ExportOptions
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import check_runtime, inspect
from keras_rnn_zoo.export.tflite.runtimes import (
    OLDEST,
    newer_than,
    oldest_runtime,
    parse_runtime,
    runtime_of,
)


@pytest.mark.parametrize(
    "op, version, runtime",
    [
        ("FULLY_CONNECTED", 1, OLDEST),
        ("FULLY_CONNECTED", 9, OLDEST),
        ("FULLY_CONNECTED", 10, (2, 11)),
        ("FULLY_CONNECTED", 12, (2, 17)),
        ("DYNAMIC_UPDATE_SLICE", 1, (2, 9)),
        ("WHILE", 1, OLDEST),
        ("LOGISTIC", 3, OLDEST),
        # What nobody knows yet runs nowhere for certain.
        ("FULLY_CONNECTED", 99, None),
        ("LOGISTIC", 99, None),
        ("STABLEHLO_OF_TOMORROW", 1, None),
    ],
)
def test_versions_have_the_runtime_that_brought_them(op, version, runtime):
    assert runtime_of(op, version) == runtime


def test_the_newest_op_decides():
    assert oldest_runtime({}) == OLDEST
    assert oldest_runtime({"WHILE": 1, "DYNAMIC_UPDATE_SLICE": 1, "GATHER": 5}) == (2, 9)
    assert oldest_runtime({"WHILE": 1, "LOGISTIC": 99}) is None
    assert newer_than({"WHILE": 1, "FULLY_CONNECTED": 12}, (2, 14)) == [
        "FULLY_CONNECTED version 12 (2.17)"
    ]


@pytest.mark.parametrize(
    "text, runtime",
    [
        ("2.14", (2, 14)),
        ("2.14.0", (2, 14)),
        ("tflite-2.14", (2, 14)),
        ("TensorFlow 2.20", (2, 20)),
        ("litert-1.0", (2, 17)),
        ("litert-1.3", (2, 19)),
        ("litert-2.3.0", (2, 21)),
    ],
)
def test_runtimes_are_named_as_people_name_them(text, runtime):
    assert parse_runtime(text) == runtime


@pytest.mark.parametrize("text", ["", "two", "1.14", "litert-0.9", "2", "2.1"])
def test_what_is_no_runtime_is_refused_with_what_is(text):
    with pytest.raises(ConfigError, match=r"such as 2\.14, or one of LiteRT from 1\.0 on"):
        ExportOptions(min_runtime=text)


@pytest.fixture(scope="module")
def bilstm():
    model = build("bilstm")
    return model, inputs_for(model)


@pytest.mark.parametrize("quantization", ["none", "dynamic", "int8"])
def test_a_file_says_which_runtime_runs_it(bilstm, quantization, tmp_path):
    model, x = bilstm
    result = export_tflite(
        model,
        tmp_path / "m.tflite",
        quantization=quantization,
        samples=x,
        representative_data=x,
        min_runtime="2.14",
        verify=False,
    )
    file = fb.unpack(result.path.read_bytes())
    (said,) = (
        bytes(file.buffers[entry.buffer].data).rstrip(b"\0").decode()
        for entry in file.metadata
        if entry.name == b"min_runtime_version"
    )
    assert said == f"{result.min_runtime}.0"
    assert parse_runtime(result.min_runtime) <= (2, 14)


def test_a_file_that_needs_a_newer_runtime_is_refused(bilstm, tmp_path):
    model, x = bilstm
    kept = export_tflite(model, tmp_path / "kept.tflite", samples=x, verify=False)
    assert parse_runtime(kept.min_runtime) > (2, 3)
    told = r"does not run on TensorFlow Lite 2\.3: it holds \w+ version .*lowering='unrolled'"
    with pytest.raises(TargetError, match=told):
        export_tflite(model, tmp_path / "m.tflite", samples=x, min_runtime="2.3", lowering="loop")
    assert not (tmp_path / "m.tflite").exists()
    advised = export_tflite(
        model, tmp_path / "m.tflite", samples=x, min_runtime="2.3", lowering="unrolled"
    )
    assert advised.min_runtime == "2.3"
    # The other way out, as the message spells it.
    again = export_tflite(
        model, tmp_path / "m.tflite", samples=x, min_runtime=kept.min_runtime, lowering="loop"
    )
    assert again.min_runtime == kept.min_runtime

    versions = inspect(kept.path).versions
    assert versions["WHILE"] == 1 and set(versions) == set(kept.ops)


def test_what_is_unrolled_already_is_not_told_to_be(bilstm, tmp_path):
    model, x = bilstm
    path = tmp_path / "m.tflite"
    info = inspect(export_tflite(model, path, samples=x, lowering="unrolled", verify=False).path)
    newer = replace(info, versions={"FULLY_CONNECTED": 12})
    with pytest.raises(TargetError, match=r"12 \(2\.17\)\. Pass min_runtime='2\.17'\.$"):
        check_runtime(newer, (2, 14), ["unrolled"])
    check_runtime(newer, parse_runtime("2.17"), ["unrolled"])
    unknown = replace(info, versions={"FULLY_CONNECTED": 99})
    with pytest.raises(TargetError, match=r"99 \(newer\)\. Leave min_runtime out\.$"):
        check_runtime(unknown, (2, 14), ["unrolled"])


RUNTIMES = os.environ.get("KERAS_RNN_ZOO_RUNTIMES", "").split()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files in every mode, what they claim, and beside them what they answer here."""
    directory, claims = tmp_path_factory.mktemp("files"), {}
    for architecture in ("bilstm", "bigru_sequence_sum"):
        claims |= write(directory, architecture, ["loop", "unrolled"])
    return directory, claims


@pytest.mark.skipif(not RUNTIMES, reason="KERAS_RNN_ZOO_RUNTIMES names no other interpreters")
@pytest.mark.parametrize("python", RUNTIMES)
def test_other_runtimes_run_what_claims_to_run_there(files, python):
    directory, claims = files
    name, outcomes = answered(python, directory)
    assert not list(contradicted(name, claims, outcomes))


def test_a_claim_that_is_not_true_is_noticed():
    claims = {"a-int8.tflite": "2.9", "b.tflite": "2.9", "c.tflite": "2.9", "d.tflite": "2.17"}
    outcomes = {
        "a-int8.tflite": ["ran", 0.01],
        "b.tflite": ["refused", "no such op"],
        "c.tflite": ["ran", 0.01],
        "d.tflite": ["ran", 0.0],
    }
    found = [file for file, *_ in contradicted("tflite-runtime 2.14.0", claims, outcomes)]
    assert found == ["b.tflite", "c.tflite", "d.tflite"]
    found = [file for file, *_ in contradicted("ai-edge-litert 1.0.1", claims, outcomes)]
    assert found == ["b.tflite", "c.tflite"]
