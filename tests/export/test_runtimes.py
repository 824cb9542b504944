"""The oldest runtime that runs a file is that of its newest op, and can be asked for."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from architectures import build, inputs_for

from keras_rnn_zoo.errors import ConfigError, TargetError
from keras_rnn_zoo.export import CLIENTS, QUANTIZATIONS, TARGETS, export_tflite
from keras_rnn_zoo.export.clients.client import installed
from keras_rnn_zoo.export.clients.prove import prove
from keras_rnn_zoo.export.clients.python import Runtimes
from keras_rnn_zoo.export.options import ExportOptions
from keras_rnn_zoo.export.quantization import roundings
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import check_runtime, inspect
from keras_rnn_zoo.export.tflite.runtimes import (
    OLDEST,
    newer_than,
    oldest_runtime,
    parse_runtime,
    runtime_of,
)
from keras_rnn_zoo.export.verify.reference import reference_of


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
    # Where no lowering is named, that is what it does by itself.
    alone = export_tflite(model, tmp_path / "m.tflite", samples=x, min_runtime="2.3")
    assert alone.min_runtime == "2.3" and set(alone.lowering.values()) == {"unrolled"}
    assert "loop (The file does not run on TensorFlow Lite 2.3" in alone.choice.reason
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


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files in every mode, and what the Keras models answer."""
    directory, found = tmp_path_factory.mktemp("files"), []
    names = TARGETS.get("litert").quantizations(QUANTIZATIONS.names())
    modes = [QUANTIZATIONS.get(name) for name in names]
    for architecture in ("bilstm", "bigru_sequence_sum"):
        model = build(architecture)
        x = inputs_for(model)
        reference = reference_of(model, x, roundings=roundings(modes))
        for mode, lowering in itertools.product(modes, ["loop", "unrolled"]):
            path = directory / f"{architecture}-{lowering}-{mode.name}.tflite"
            export_tflite(
                model,
                path,
                quantization=mode.name,
                lowering=lowering,
                samples=x,
                representative_data=x,
                verify=False,
            )
            found.append((path, reference, mode))
    return found


OTHERS = [
    (client, place)
    for client in map(CLIENTS.get, CLIENTS.names())
    if isinstance(client, Runtimes)
    for place in installed(client)
    if place.label != client.name or client.name == "tflite_runtime"
]


@pytest.mark.skipif(not OTHERS, reason="no other runtimes are installed: keras-rnn-zoo clients")
@pytest.mark.parametrize("client, place", OTHERS, ids=[place.label for _, place in OTHERS])
def test_other_runtimes_run_what_claims_to_run_there(files, client, place):
    for path, reference, mode in files:
        record = prove(client, place, path, reference, mode)
        claimed = parse_runtime(inspect(path).min_runtime) <= client.runtime(place)
        assert record.outcome == ("right" if claimed else "not for it"), record


def test_a_runtime_refuses_what_claims_not_to_run_there(files, monkeypatch):
    """The versions of ops are the true reason: without the check, the runtime itself refuses."""
    old = [(c, p) for c, p in OTHERS if c.runtime(p) < (2, 9)]
    if not old:
        pytest.skip("no runtime before 2.9 is installed")
    monkeypatch.setattr(Runtimes, "refuses", lambda *_: None)
    newer = [one for one in files if parse_runtime(inspect(one[0]).min_runtime) >= (2, 9)]
    assert newer
    for (client, place), (path, reference, mode) in itertools.product(old, newer):
        record = prove(client, place, path, reference, mode)
        assert record.outcome == "refused", record
