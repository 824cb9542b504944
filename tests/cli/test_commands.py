"""Each command does what its function does, and prints what a person or a script would read."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from command_line import TINY

from keras_rnn_zoo import load
from keras_rnn_zoo.cli import _output
from keras_rnn_zoo.training.options import TrainOptions
from keras_rnn_zoo.tuner.results.records import TrialRecord


def test_models_lists_names_and_descriptions(zoo):
    answer = zoo("models")
    assert answer.code == 0
    names = [line.split()[0] for line in answer.out.splitlines()[1:]]
    from keras_rnn_zoo import list_models

    assert names == list_models()


def test_models_as_json_has_every_setting_with_its_default(zoo):
    (model,) = json.loads(zoo("models bilstm --json").out)
    fields = {field["name"]: field for field in model["fields"]}
    assert model["name"] == "bilstm"
    assert fields["units"]["default"] == 64
    assert fields["units"]["type"] == "int"


@pytest.mark.usefixtures("eager")
def test_train_leaves_a_run_and_says_where_it_is_and_what_comes_next(zoo, reviews, tmp_path):
    run = tmp_path / "run"
    command = f"train rnn --data {reviews} {TINY} --seed 3 -o {run}"
    answer = zoo(command)
    assert answer.code == 0
    info = json.loads((run / "run.json").read_text())
    assert info["provenance"]["command"] == f"keras-rnn-zoo {command}"
    assert info["provenance"]["seed"] == 3
    assert info["config"]["units"] == 3
    assert "epoch 1/1" in answer.err
    line = r"^train +\d\.\d+ +\d+\.\d\d % +\d+\.\d\d % bag of words"
    assert re.search(line, answer.out, re.MULTILINE)
    # What is no better than the baseline says so before all else.
    assert answer.out.startswith("✗ No better than the baseline: ") is not info["beats_baseline"]
    assert info["verdict"]["beats_baseline"] is info["beats_baseline"]
    assert re.search(r"^validation rows +rows +precision +recall +F1$", answer.out, re.MULTILINE)
    assert f"{info['metrics']['parameters']:,} parameters" in answer.out
    assert answer.out.endswith(f"Next: keras-rnn-zoo export {run} -o BUNDLE\n")


def test_train_as_json_prints_one_document_with_the_metrics(
    zoo, reviews, trained, tmp_path, monkeypatch
):
    asked = {}

    def train(model, **options):
        asked.update(options)
        return load(trained)

    monkeypatch.setattr("keras_rnn_zoo.training.train.train", train)
    answer = zoo(f"train rnn --data {reviews} --test-data {reviews} {TINY} --json -o {tmp_path}/r")
    document = json.loads(answer.out)
    assert document == {"path": f"{tmp_path}/r", **load(trained).info}
    assert 0 <= document["metrics"]["train_accuracy"] <= 1
    assert (asked["data"], asked["test_data"], asked["epochs"]) == (str(reviews), str(reviews), 1)
    # What is not said has the defaults of the options.
    assert TrainOptions.of({name: asked[name] for name in TrainOptions.about()}).epochs == 1


@pytest.mark.usefixtures("eager")
def test_compare_sets_models_side_by_side(zoo, reviews, tmp_path, monkeypatch):
    command = f"compare rnn --data {reviews} {TINY}"
    assert zoo(f"{command} -o {tmp_path}/c").code == 0
    (row,) = json.loads((tmp_path / "c" / "compare.json").read_text())["models"]
    found = [
        {**row, "beats_baseline": False},
        {**row, "model": "gru_cell", "parameters": 1_234_567, "beats_baseline": True},
    ]
    monkeypatch.setattr("keras_rnn_zoo.training.compare.compare", lambda *_, **__: found)
    answer = zoo(f"{command} -o {tmp_path}/t")
    first, head, *rows = answer.out.splitlines()[:4]
    assert first == "✗ rnn is no better than the best answers without a model."
    assert head.split()[:3] == ["model", "train", "loss"]
    assert [line.split()[0] for line in rows] == ["rnn", "gru_cell"]
    assert "validation accuracy" in head
    assert {len(line) for line in (head, *rows)} == {len(head)}, "the columns are aligned"
    answer = zoo(f"{command} --json -o {tmp_path}/j")
    assert json.loads(answer.out) == {"path": f"{tmp_path}/j", "models": found}


def test_export_verify_benchmark_and_predict_agree_on_one_bundle(zoo, trained, tmp_path):
    bundle = tmp_path / "bundle"
    answer = zoo(f"export {trained} --format tflite --quantization none,dynamic -o {bundle}")
    assert answer.code == 0
    assert "model_dynamic.tflite" in answer.out
    # In a model as tiny as this one, three weights are smaller than what int8 would save.
    assert "model_dynamic.tflite, left in float32: 3 weights" in answer.out
    assert f"Report: {bundle}/report.html" in answer.out
    report = json.loads((bundle / "report.json").read_text())
    assert report["provenance"]["command"].startswith(f"keras-rnn-zoo export {trained}")

    answer = zoo(f"verify {bundle}")
    assert answer.code == 0
    assert re.search(r"^model\.tflite +ok ", answer.out, re.MULTILINE)
    assert json.loads(zoo(f"verify {bundle} --json").out)["passed"] is True

    answer = zoo(f"benchmark {bundle} --repeats 20")
    assert answer.code == 0
    assert re.search(r"^model\.tflite +[\d.]+ kB +[\d.]+ ms", answer.out, re.MULTILINE)
    rows = json.loads(zoo(f"benchmark {bundle} --repeats 20 --quantization dynamic --json").out)
    assert [row["quantization"] for row in rows] == ["dynamic"]

    assert load(bundle).report.to_dict() == report

    texts = ["a wonderful film", "a boring mess"]
    by_run, by_bundle = (
        json.loads(zoo(["predict", place, *texts, "--json"]).out) for place in (trained, bundle)
    )
    assert [a["label"] for a in by_run] == [a["label"] for a in by_bundle]
    # 1e-5: what the float32 export is allowed to differ by.
    assert [a["score"] for a in by_run] == pytest.approx([a["score"] for a in by_bundle], abs=1e-5)


def test_export_takes_a_batch_size_and_representative_data(zoo, trained, tmp_path):
    encoded = np.random.default_rng(0).integers(1, 24, (40, 6))
    encoded[np.arange(6) >= np.random.default_rng(1).integers(1, 7, (40, 1))] = 0
    np.save(tmp_path / "encoded.npy", encoded)
    answer = zoo(
        f"export {trained} --format tflite --quantization none,int8 --samples-count 8 "
        "--batch-size 4 "
        f"--representative-data {tmp_path}/encoded.npy -o {tmp_path}/b"
    )
    assert answer.code == 0
    assert "latency of 4 sequences" in answer.out
    assert zoo(f"verify {tmp_path}/b").code == 0
    answer = zoo(f"benchmark {tmp_path}/b --repeats 20")
    assert "a sequence" in answer.out.splitlines()[0]
    assert "Batch 4 (a call answers 4 sequences), 1 thread" in answer.out
    for row in json.loads(zoo(f"benchmark {tmp_path}/b --repeats 20 --json").out):
        assert row["batch_size"] == 4
    answer = zoo(["predict", f"{tmp_path}/b", "a wonderful film"])
    assert answer.code == 0 and len(answer.out.splitlines()) == 1


def test_export_that_does_not_convert_names_the_layer_and_where_the_report_lies(zoo, tmp_path):
    import keras

    inputs = keras.Input((6, 4))
    x = keras.ops.svd(keras.layers.LSTM(3, return_sequences=True)(inputs))[1]
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(tmp_path / "x.keras")
    answer = zoo(f"export {tmp_path}/x.keras --format tflite --quantization none -o {tmp_path}/out")
    assert answer.code == 1 and answer.out == ""
    assert re.search(r"Operation 'svd\w*' \(SVD\) cannot .*'tf.Svd'", answer.error)
    assert f"{tmp_path}/out.failure holds the smallest model" in answer.error
    assert "(SVD): fails" in answer.err
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out.failure" / "log.txt").is_file()


def test_export_says_which_layer_is_expressed_otherwise_and_why(zoo, trained, tmp_path):
    options = "--format tflite --quantization none,int8 --lowering fused"
    answer = zoo(f"export {trained} {options} -o {tmp_path}/b")
    assert answer.code == 0
    (line,) = (line for line in answer.out.splitlines() if "instead of" in line)
    assert re.fullmatch(r"\S+: loop instead of fused: it is .+ \(model_int8\.tflite\)", line)


def test_export_as_json_prints_the_report_here_of_an_int8_file_with_integer_answers(
    zoo, trained, tmp_path
):
    answer = zoo(
        f"export {trained} --format tflite --quantization int8 --inference-type int8 --json "
        f"-o {tmp_path}/b"
    )
    (entry,) = json.loads(answer.out)["files"]
    assert entry["tensors"]["inputs"][0]["dtype"] == "int32"
    assert entry["tensors"]["outputs"][0]["dtype"] == "int8"


def test_export_prints_a_loss_of_accuracy_before_anything_else(exported, capsys):
    from keras_rnn_zoo.cli.export import show

    report = load(exported).report
    show(replace(report, verdict={"losses": []}))
    assert capsys.readouterr().out.startswith("file ")
    show(replace(report, verdict={"losses": ["model.tflite loses 2.00 points of accuracy."]}))
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "model.tflite loses 2.00 points of accuracy."


def test_predict_prints_a_line_for_each_text(zoo, exported):
    answer = zoo(["predict", exported, "a wonderful film", "a boring mess"])
    assert answer.code == 0
    assert len(answer.out.splitlines()) == 2
    for line, text in zip(
        answer.out.splitlines(), ["a wonderful film", "a boring mess"], strict=True
    ):
        assert re.fullmatch(rf"(good|bad)  \d+\.\d %  {text}", line)


def test_predict_reads_tables_text_files_and_stdin(zoo, exported, reviews, tmp_path, monkeypatch):
    assert len(zoo(f"predict {exported} --input {reviews}").out.splitlines()) == 32
    (tmp_path / "lines.txt").write_text("a great film\n\na dull film\n")
    expected = zoo(f"predict {exported} --input {tmp_path}/lines.txt").out
    first, blank, last = expected.splitlines()
    assert blank.startswith("no answer: Row 2 has no words") and "no answer" not in first + last
    stdin = io.TextIOWrapper(io.BytesIO(b"a great film\n\na dull film\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert zoo(f"predict {exported} --input -").out == expected


def test_predict_marks_the_rows_that_it_cannot_answer(zoo, trained, exported, tmp_path):
    (tmp_path / "rows.txt").write_text("a great film\nxyzzy\n")
    for source in (trained, exported):
        answer = zoo(f"predict {source} --input {tmp_path}/rows.txt --json")
        first, second = json.loads(answer.out)
        assert (answer.code, first["row"], first["text"]) == (0, 1, "a great film")
        assert "score" in first and "Row 2 has no word that the model knows" in second["error"]
        assert "1 of 2 rows could not be answered" in answer.err
    lines = zoo(f"predict {exported} --input {tmp_path}/rows.txt --csv").out.splitlines()
    assert lines[0].split(",")[:3] == ["row", "text", "label"] and lines[2].startswith("2,xyzzy,,")


def test_predict_asks_about_a_file_that_is_given_as_a_text(zoo, exported, reviews):
    answer = zoo(["predict", exported, str(reviews)])
    assert answer.code == 2 and f"--input {reviews}" in answer.error


@pytest.mark.usefixtures("eager")
def test_a_log_is_trained_on_in_windows_and_predicted_from_likewise(zoo, tmp_path):
    rows = [
        f"2026-01-01 00:{i // 60:02}:{i % 60:02};{np.sin(i / 3):.3f};{'ab'[i // 30 % 2]}"
        for i in range(600)
    ]
    (tmp_path / "log.csv").write_text("time;value;label\n" + "\n".join(rows) + "\n")
    said = "--time-column time --value-columns value --window 10 --stride 5"
    answer = zoo(
        f"train rnn --data {tmp_path}/log.csv {said} --set units=2 --set layers=1 --epochs 1 "
        f"-o {tmp_path}/run"
    )
    assert answer.code == 0, answer.error
    assert "windows of 10 steps; labels in label" in answer.err
    assert "held out: the last in time" in answer.err and "to test" in answer.out
    more = "--quantization none --format tflite"
    assert zoo(f"export {tmp_path}/run {more} -o {tmp_path}/b").code == 0
    for source in ("run", "b"):
        answer = zoo(f"predict {tmp_path}/{source} --input {tmp_path}/log.csv")
        assert len(answer.out.splitlines()) == 119, answer.error


def test_predict_asks_the_file_that_quantize_names(zoo, exported):
    answers = [
        json.loads(zoo(f"predict {exported} 'a great film' --json {more}").out)[0]["score"]
        for more in ("", "--quantization none", "--quantization int8")
    ]
    assert answers[0] == answers[1]
    # int8 answers differ by a few hundredths at most on so small a model.
    assert answers[0] == pytest.approx(answers[2], abs=0.05)


@pytest.mark.usefixtures("eager")
def test_predict_answers_arrays(zoo, tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 4, 2)).astype(np.float32)
    np.savez(tmp_path / "train.npz", x=x, y=x[:, 0, 0])
    np.savez(tmp_path / "new.npz", x=x[:3])
    config = "--set units=2 --set layers=1 --epochs 1"
    answer = zoo(f"train rnn --data {tmp_path}/train.npz {config} -o {tmp_path}/run")
    assert "mean absolute error" in answer.out
    answer = zoo(f"predict {tmp_path}/run --input {tmp_path}/new.npz")
    assert len([float(line) for line in answer.out.splitlines()]) == 3
    answer = zoo(f"predict {tmp_path}/run words")
    assert "takes numbers, not texts" in answer.error


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (_output.size, 31_040, "31.0 kB"),
        (_output.size, 1_234_567, "1,235 kB"),
        (_output.milliseconds, 0.05, "0.050 ms"),
        (_output.milliseconds, 12.345, "12.35 ms"),
        (_output.milliseconds, 1234.5, "1234 ms"),
        (_output.seconds, 4.71, "4.7 s"),
        (_output.seconds, 600, "10 min 00 s"),
        (_output.small, 0.0, "0"),
        (_output.small, 3.66e-8, "3.7e-08"),
        (_output.small, None, "-"),
    ],
)
def test_figures_read_well(function, value, text):
    assert function(value) == text


def test_json_has_no_nan(capsys):
    _output.emit({"loss": float("nan"), "scores": (np.float32(0.5), 1)})
    assert json.loads(capsys.readouterr().out) == {"loss": None, "scores": [0.5, 1]}


def test_a_record_is_a_json_object(capsys):
    _output.emit({"trials": [TrialRecord("07", "failed", message="it broke")]})
    (record,) = json.loads(capsys.readouterr().out)["trials"]
    assert (record["trial_id"], record["message"], record["score"]) == ("07", "it broke", None)
