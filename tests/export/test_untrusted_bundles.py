"""A bundle of unknown origin reads nothing outside of itself, and is refused in one line."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import pytest
from tflite_files import token_model, tokens

from keras_rnn_zoo.errors import RunError, ZooError
from keras_rnn_zoo.export import export_bundle
from keras_rnn_zoo.export.bundle.bundle import Bundle, benchmark_bundle, verify_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    directory = tmp_path_factory.mktemp("untrusted")
    token_model().save(directory / "model.keras")
    np.save(directory / "rows.npy", tokens(12))
    path = directory / "bundle"
    export_bundle(
        directory / "model.keras",
        path,
        format=["tflite"],
        quantization=["none"],
        representative_data=tokens(12),
    )
    return path


@pytest.fixture
def copied(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "bundle")


def rewrite(bundle, change) -> None:
    report = json.loads((bundle / "report.json").read_text())
    change(report)
    (bundle / "report.json").write_text(json.dumps(report))


def refused(bundle) -> str:
    """Every use of the bundle is refused alike; returns why."""
    reasons = set()
    for use in (
        verify_bundle,
        benchmark_bundle,
        lambda path: Bundle.load(path).predict(tokens(2)),
    ):
        with pytest.raises(RunError) as caught:
            use(bundle)
        reasons.add(str(caught.value))
    (reason,) = reasons
    assert "\n" not in reason
    return reason


OUTSIDE = [
    "../model.tflite",
    "/etc/passwd",
    "a/../../x",
    "..",
    ".",
    "",
    "x\0y",
    "y" * 5000,
    "\ud800",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_file_outside_of_the_bundle_is_refused(copied, name):
    shutil.copy(copied / "model.tflite", copied.parent)
    rewrite(copied, lambda report: report["files"][0].update(file=name))
    assert "no file inside" in refused(copied)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_checksum_of_a_file_outside_of_the_bundle_is_refused(copied, name):
    rewrite(copied, lambda report: report["sha256"].update({name: "0" * 64}))
    assert "no file inside" in refused(copied)


def test_links_may_lead_to_the_inside_only(copied):
    place, inner = copied / "model.tflite", copied / "other.tflite"
    place.rename(inner)
    place.symlink_to(inner.name)
    assert verify_bundle(copied)["passed"]
    place.unlink()
    inner.rename(copied.parent / "outer.tflite")
    place.symlink_to("../outer.tflite")
    assert "no file inside" in refused(copied)
    place.unlink()
    place.symlink_to("model.tflite")  # to itself
    assert "no file inside" in refused(copied)


def test_the_reference_is_inside_too(copied):
    (copied / "reference.npz").rename(copied.parent / "reference.npz")
    (copied / "reference.npz").symlink_to("../reference.npz")
    with pytest.raises(RunError, match="no file inside"):
        verify_bundle(copied)


def test_a_vocabulary_is_inside_too(copied):
    (copied.parent / "vocab.txt").write_text("<PAD> 0\n<UNKNOWN> 1\nfilm 2\ndull 3\n")
    preprocessing = {
        "kind": "text",
        "task": "binary",
        "timesteps": 8,
        "padding": "post",
        "truncating": "pre",
        "vocabulary": "vocab.txt",
        "vocabulary_size": 4,
        "features": None,
        "scaling": None,
        "labels": ["bad", "good"],
        "outputs": 1,
    }
    shutil.copy(copied.parent / "vocab.txt", copied)
    rewrite(copied, lambda report: report.update(preprocessing=preprocessing))
    assert Bundle.load(copied).predict(["dull film"])[0]["label"] in ("bad", "good")
    preprocessing["vocabulary"] = "../vocab.txt"
    rewrite(copied, lambda report: report.update(preprocessing=preprocessing))
    assert "no file inside" in refused(copied)


VALUES = [None, True, -1, 10**9, 0.5, float("nan"), "x", "../x", [], [1], {}, {"a": 1}, [[None]]]


def places(value, path=()):
    """Every place in a JSON value that holds something."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items if isinstance(value, (dict, list)) else ():
        yield from places(item, (*path, key)) if isinstance(item, (dict, list)) else [(*path, key)]


def test_no_value_of_a_report_ends_in_a_traceback(copied, monkeypatch):
    """Whatever stands there, it is refused in one line, or the bundle answers."""
    first = Bundle.load(copied)
    good = first.report.to_dict()
    used = [
        place
        for place in places(good)
        if not place or place[0] in ("format", "files", "sha256", "model", "preprocessing")
        # Of a file's entry the figures are for people.
        if len(place) < 3 or place[0] != "files" or place[2] in ("file", "format", "quantization")
    ]
    assert len(used) > 20
    ends = {"answered": 0, "refused": 0}
    for place in used:
        for value in VALUES:
            report = copy.deepcopy(good)
            inner = report
            for key in place[:-1]:
                inner = inner[key]
            if place:
                inner[place[-1]] = value
            (copied / "report.json").write_text(json.dumps(report if place else value))
            try:
                bundle = Bundle.load(copied)
                bundle._process = first._process  # starts once
                bundle.predict(tokens(2))
                ends["answered"] += 1
            except ZooError as error:
                assert "\n" not in str(error) and len(str(error)) < 500
                ends["refused"] += 1
    assert min(ends.values()) > 20, ends


@pytest.mark.parametrize("place", ["report", "file"])
def test_a_report_that_lacks_something_is_refused_or_does_without(copied, place):
    whole = Bundle.load(copied).report.to_dict()
    for name in whole if place == "report" else whole["files"][0]:
        report = copy.deepcopy(whole)
        del (report if place == "report" else report["files"][0])[name]
        (copied / "report.json").write_text(json.dumps(report))
        try:
            Bundle.load(copied)
        except ZooError as error:
            assert "\n" not in str(error) and len(str(error)) < 500


def test_a_report_of_brackets_alone_is_damaged(copied):
    (copied / "report.json").write_text("[" * 100_000)
    assert "damaged" in refused(copied)
