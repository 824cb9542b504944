"""golden.json: what any unit test of an app can check."""

from __future__ import annotations

import json

import numpy as np
import pytest
from app_bundles import golden_of, raw, same

from keras_rnn_zoo.export.app.golden import golden_vectors, raw_samples
from keras_rnn_zoo.export.bundle.bundle import verify_bundle
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor


@pytest.mark.parametrize("name", ["texts", "sensors", "several"])
def test_answers_are_those_of_predict(bundles, name):
    bundle = bundles[name]
    golden = golden_of(bundle)
    assert [entry["file"] for entry in golden["files"]] == [
        path.name for path in bundle.quantizations.values()
    ]
    for entry in golden["files"]:
        assert len(entry["answers"]) == len(golden["samples"]) >= 2
        for sample, recorded in zip(golden["samples"], entry["answers"], strict=True):
            if bundle.preprocessor is None:
                inputs = {key: np.array([value]) for key, value in sample["inputs"].items()}
                (answer,) = bundle.predict(inputs, entry["quantization"])
                assert same(answer["values"], recorded["outputs"], 1e-6)
            else:
                (answer,) = bundle.predict([raw(sample)], entry["quantization"])
                assert same(answer, recorded["answer"], 1e-6)
                assert not same(answer, {**recorded["answer"], "score": 2.0}, 1e-6)


def test_samples_are_full_short_too_long_and_hard(bundles):
    texts, sensors = golden_of(bundles["texts"]), golden_of(bundles["sensors"])
    lengths = [len(sample["tokens"]) for sample in texts["samples"]]
    assert min(lengths) < 5 < max(lengths), "one is padded, one is cut"
    hard = texts["samples"][-1]
    assert hard["tokens"][-1] > 1 and "İ" in hard["text"] and len(hard["tokens"]) == 11
    for sample in texts["samples"]:
        ids = sample["tokens"][-5:]
        assert sample["inputs"]["tokens"] == ids + [0] * (5 - len(ids))
    rows = [len(sample["features"]) for sample in sensors["samples"]]
    assert min(rows) < 9 < max(rows)


def test_the_tolerance_is_that_of_the_file_and_finds_another_answer(bundles):
    golden = golden_of(bundles["texts"])
    plain, int8 = golden["files"]
    assert plain["tolerance"] == 1e-4
    report = {entry.file: entry for entry in bundles["texts"].report.files}
    largest = report["model_int8.tflite"].parity["max_abs_output"]
    assert int8["tolerance"] == pytest.approx(max(1e-4, largest), rel=0.05)
    answers = [recorded["answer"] for recorded in plain["answers"]]
    assert not same(answers[0], answers[-1], plain["tolerance"]), "they tell samples apart"


def test_verification_notices_a_golden_file_that_was_changed(bundles):
    path = bundles["texts"].path / "golden.json"
    before = path.read_bytes()
    try:
        path.write_bytes(before.replace(b"0", b"1", 1))
        result = verify_bundle(bundles["texts"].path)
    finally:
        path.write_bytes(before)
    assert not result["passed"] and "golden.json" in result["text"]


def test_it_is_strict_json_of_one_line_a_sample(bundles):
    text = (bundles["sensors"].path / "golden.json").read_text(encoding="utf-8")
    golden = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert golden["format"] == 1 and golden["task"] == "multiclass" and len(golden["labels"]) == 3
    assert sum(line.startswith('    {"features": ') for line in text.splitlines()) == len(
        golden["samples"]
    )


def test_a_file_that_does_not_run_here_is_left_out(bundles, tmp_path):
    bundle = bundles["texts"]
    for entry in bundle.report.files:
        (tmp_path / entry.file).write_bytes((bundle.path / entry.file).read_bytes())
    (tmp_path / "model_int8.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(40))
    x = np.array([[2, 3, 0, 0, 0]], np.int32)
    golden = golden_vectors("m", bundle.preprocessor, bundle.report.files, {"tokens": x}, tmp_path)
    assert [entry["file"] for entry in golden["files"]] == ["model.tflite"]


def test_it_stays_small_where_inputs_are_large(bundles, monkeypatch):
    bundle = bundles["several"]
    x = {"left": np.ones((3, 5, 2), np.float32), "right": np.ones((3, 4), np.int32)}
    for most, samples in ((28, 2), (27, 1), (13, 0)):
        monkeypatch.setattr("keras_rnn_zoo.export.app.golden.MOST_NUMBERS", most)
        golden = golden_vectors("m", None, bundle.report.files, x, bundle.path)
        assert len(golden["samples"]) == len(golden["files"][0]["answers"]) == samples


def test_answers_that_are_no_numbers_are_left_out(bundles):
    bundle = bundles["several"]
    x = {"left": np.full((1, 5, 2), np.nan, np.float32), "right": np.ones((1, 4), np.int32)}
    assert golden_vectors("m", None, bundle.report.files, x, bundle.path)["files"] == []


def test_a_row_of_unknown_words_becomes_words_that_are_unknown():
    from keras_rnn_zoo.data import Dataset, Split

    dataset = Dataset("d", "text", Split(["unheardof0 film", "b c"] * 4, ["x", "y"] * 4))
    fitted = Preprocessor.fit(dataset, timesteps=4)
    rows = np.array([[1, 3, 1, 0], [2, 0, 0, 0]], np.int32)
    samples = raw_samples(fitted, rows)
    assert samples[0]["tokens"] == [1, 3, 1]
    assert "unheardof0" not in samples[0]["text"] or fitted.vocabulary.index["unheardof0"] == 3


def test_the_word_of_the_hard_text_is_known_in_capitals():
    from keras_rnn_zoo.data import Dataset, Split

    dataset = Dataset("d", "text", Split(["McQueen film", "b c"] * 4, ["x", "y"] * 4))
    fitted = Preprocessor.fit(dataset, timesteps=4, tokenizer="cased_words")
    index = fitted.vocabulary.index
    samples = raw_samples(fitted, np.array([[index["McQueen"], index["film"], 0, 0]], np.int32))
    assert samples[0]["text"] == "McQueen film"
    assert samples[-1]["text"].endswith(" FILM!") and samples[-1]["tokens"][-1] == index["film"]


def test_without_a_sequence_that_can_be_said_in_words_there_are_no_samples_of_it(bundles):
    fitted = bundles["texts"].preprocessor
    samples = raw_samples(fitted, np.ones((2, 5), np.int32))
    assert [len(sample["tokens"]) for sample in samples] == [11], "only the hard text is left"
