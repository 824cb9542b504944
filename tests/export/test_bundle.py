"""A bundle holds all that an app needs, proves it, and can be checked again without TensorFlow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tflite_files import TIMESTEPS, VOCABULARY

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import (
    ConfigError,
    DataError,
    ExportError,
    OutputError,
    RunError,
    UnknownNameError,
)
from keras_rnn_zoo.export import TFLiteModel, export_tflite
from keras_rnn_zoo.export.bundle import report as reports
from keras_rnn_zoo.export.bundle import write as bundles
from keras_rnn_zoo.export.bundle.bundle import Bundle, benchmark_bundle, verify_bundle
from keras_rnn_zoo.export.bundle.records import FileRecord
from keras_rnn_zoo.export.bundle.rows import Rows
from keras_rnn_zoo.export.bundle.scoring import Labelled
from keras_rnn_zoo.export.bundle.write import export_bundle
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.training.run import write_run

TEXTS = ["a wonderful film", "a moving story", "a dull film", "a boring story"] * 6
LABELS = ["good", "good", "bad", "bad"] * 6


def recurrent(vocabulary: int = VOCABULARY):
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(vocabulary, 6, mask_zero=True, embeddings_initializer="normal")
    x = keras.layers.GRU(5)(x(inputs))
    head = keras.layers.Dense(
        1,
        activation="sigmoid",
        kernel_initializer=keras.initializers.RandomNormal(stddev=20.0, seed=1),
        name="answer",
    )
    return keras.Model(inputs, head(x), name="small")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run as `train` leaves it, of a model that reads texts."""
    directory = tmp_path_factory.mktemp("run")
    dataset = Dataset("films", "text", Split(TEXTS, LABELS))
    preprocessor = Preprocessor.fit(dataset, timesteps=TIMESTEPS, vocabulary_size=VOCABULARY)
    x, y = preprocessor.encode_inputs(TEXTS), preprocessor.encode_labels(LABELS)
    write_run(
        directory,
        model=recurrent(preprocessor.vocabulary_size),
        builder=SimpleNamespace(name="gru", schema_version=1, config={"units": 5}),
        preprocessor=preprocessor,
        history={"loss": [0.5]},
        metrics={"test_accuracy": 0.5},
        hyperparameters={"epochs": 1},
        data={"name": "films", "file": "/somewhere/private/films.csv"},
        provenance={"command": "train gru"},
        samples={"x": x, "y": y, "x_test": x[:10], "y_test": y[:10]},
    )
    return directory


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    lines = []
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    bundle = export_bundle(run, path, command="export it", progress=lines.append)
    return bundle, lines


@pytest.fixture
def copy(exported, tmp_path):
    """Without the SavedModel, which to verify takes TensorFlow in another process."""
    path = shutil.copytree(exported[0].path, tmp_path / "copy")
    shutil.rmtree(path / "saved_model")
    report = json.loads((path / "report.json").read_text())
    report["files"] = [one for one in report["files"] if one["format"] == "tflite"]
    report["sha256"] = {
        name: digest
        for name, digest in report["sha256"].items()
        if not name.startswith("saved_model/")
    }
    (path / "report.json").write_text(json.dumps(report))
    return path


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    path = tmp_path_factory.mktemp("bare") / "small.keras"
    recurrent().save(path)
    return path


def test_bundle_holds_every_file_and_the_report_describes_it(exported):
    bundle, lines = exported
    assert {file.name for file in bundle.path.iterdir()} == {
        "model.tflite",
        "model_float16.tflite",
        "model_dynamic.tflite",
        "model_int8.tflite",
        "saved_model",
        "vocab.txt",
        "labels.txt",
        "report.json",
        "report.html",
        "reference.npz",
        "golden.json",
        "MODEL_CARD.md",
        "app",
    }
    report = bundle.report
    assert report["verdict"]["passed"] and "All 5 exports answer" in report["verdict"]["text"]
    assert report["provenance"]["command"] == "export it"
    assert report["labelled"]["rows"] == 10 and report["labelled"]["measure"] == "accuracy"
    for entry in report["files"]:
        assert entry["parity"]["passed"] and entry["parity"]["invokes"] == 3
        assert entry["parity"]["max_abs_logit"] is not None or entry["format"] == "saved_model"
        assert entry["labelled"]["before"] == report["labelled"]["keras"]
        assert 0 <= entry["labelled"]["changed_answers"] <= 10
        if entry["format"] == "tflite":
            assert entry["bytes"] == (bundle.path / entry["file"]).stat().st_size
            assert entry["ops"] and entry["latency"]["median_ms"] <= entry["latency"]["p90_ms"]
            assert entry["lowering"]
    assert any("model_int8.tflite" in line for line in lines)


def test_report_is_strict_json_and_tells_no_private_path(exported):
    text = (exported[0].path / "report.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert "films.csv" in text and "/somewhere" not in text


def test_verification_passes_on_what_was_written(exported):
    result = verify_bundle(exported[0].path)
    assert result["passed"] and len(result["files"]) == 5
    assert all(item["passed"] and item["parity"]["passed"] for item in result["files"])


def test_changed_byte_missing_file_and_swapped_file_are_found(copy):
    model = copy / "model.tflite"
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(bytes(content))
    shutil.copy(copy / "model_float16.tflite", copy / "model_dynamic.tflite")
    (copy / "vocab.txt").unlink()
    Bundle_files = verify_bundle_without_vocabulary(copy)
    problems = {item["file"]: item["problem"] for item in Bundle_files if not item["passed"]}
    assert set(problems) == {"model.tflite", "model_dynamic.tflite"}
    assert all("SHA-256" in problem for problem in problems.values())


def verify_bundle_without_vocabulary(path):
    with pytest.raises(RunError, match=r"vocab\.txt"):
        verify_bundle(path)
    shutil.copy(path / "labels.txt", path / "vocab.txt")
    with pytest.raises(RunError, match=r"vocab\.txt"):
        verify_bundle(path)
    report = json.loads((path / "report.json").read_text())
    report["preprocessing"] |= {"vocabulary": None, "kind": "tokens"}
    del report["sha256"]["vocab.txt"]
    (path / "report.json").write_text(json.dumps(report))
    return verify_bundle(path)["files"]


def test_file_that_answers_otherwise_is_found_even_with_its_own_checksum(copy):
    report = json.loads((copy / "report.json").read_text())
    shutil.copy(copy / "model_int8.tflite", copy / "model.tflite")
    report["sha256"]["model.tflite"] = report["sha256"]["model_int8.tflite"]
    (copy / "report.json").write_text(json.dumps(report))
    result = verify_bundle(copy)
    assert not result["passed"]
    (failed,) = [item for item in result["files"] if not item["passed"]]
    assert failed["file"] == "model.tflite" and "differ" in failed["problem"]
    assert "\n" not in result["text"]


@pytest.mark.parametrize("quantization", [None, "none", "float16", "dynamic", "int8"])
def test_raw_text_is_answered_with_labels(exported, quantization):
    answers = exported[0].predict(["a wonderful, moving film", "a dull story"], quantization)
    assert [set(answer) for answer in answers] == [{"label", "score", "scores"}] * 2
    assert all(answer["label"] in ("good", "bad") for answer in answers)
    assert exported[0].predict([]) == []


def test_bundle_answers_as_the_run(run, exported):
    from keras_rnn_zoo.training.run import Run

    expected = Run.load(run).predict(TEXTS[:4])
    received = exported[0].predict(TEXTS[:4])
    assert [answer["label"] for answer in received] == [answer["label"] for answer in expected]
    for mine, theirs in zip(received, expected, strict=True):
        # The tolerance of float32 exports.
        assert mine["score"] == pytest.approx(theirs["score"], abs=1e-5)


def test_prediction_and_benchmark_start_quickly_without_tensorflow(exported):
    program = (
        "import sys\n"
        "from keras_rnn_zoo.export.bundle.bundle import Bundle\n"
        "from keras_rnn_zoo.export.bundle.bundle import benchmark_bundle\n"
        f"path = {str(exported[0].path)!r}\n"
        "Bundle.load(path).predict(['a moving film'])\n"
        "benchmark_bundle(path, repeats=2)\n"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))\n"
    )
    start = time.perf_counter()
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
    # About a second alone; tests share the machine.
    assert time.perf_counter() - start < 10


def test_unknown_word_and_unknown_quantization_are_refused(exported):
    with pytest.raises(DataError, match="Row 1 has no word that the model knows"):
        exported[0].predict(["zzz"])
    with pytest.raises(UnknownNameError, match="Did you mean 'int8'"):
        exported[0].predict(["a film"], "int9")


def test_benchmark_lists_every_file(exported):
    rows = benchmark_bundle(exported[0].path, repeats=5)
    assert [row["quantization"] for row in rows] == ["none", "float16", "dynamic", "int8"]
    assert all(row["median_ms"] > 0 and row["bytes"] > 0 for row in rows)
    (row,) = benchmark_bundle(exported[0].path, quantization=["int8"], repeats=5, threads=2)
    assert (row["file"], row["threads"]) == ("model_int8.tflite", 2)


def test_search_directory_stands_for_its_winner(run, tmp_path):
    shutil.copytree(run, tmp_path / "search" / "best")
    bundle = export_bundle(
        tmp_path / "search", tmp_path / "out", format=["tflite"], quantization=["none"]
    )
    assert bundle.report["source"] == {"kind": "search", "name": "search"}
    assert list(bundle.quantizations) == ["none"]


def test_bare_model_needs_no_data_but_for_int8(bare, tmp_path):
    with pytest.raises(ExportError, match="calibrates on real inputs"):
        export_bundle(bare, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    bundle = export_bundle(
        bare, tmp_path / "out", format=["tflite"], quantization=["none", "dynamic"]
    )
    assert "random inputs only" in bundle.report["verdict"]["text"]
    assert bundle.report["labelled"] is None
    (answer,) = bundle.predict(np.ones((1, TIMESTEPS), "int32"))
    assert len(answer["values"]) == 1
    assert verify_bundle(bundle.path)["passed"]
    for wrong, reason in ((["text"], "bare"), ([[1, 2]], "shape"), ([[1], [1, 2]], "ragged")):
        with pytest.raises(DataError, match=reason):
            bundle.predict(wrong)


def test_bare_model_with_data_is_scored(bare, tmp_path):
    generator = np.random.default_rng(0)
    x = generator.integers(1, VOCABULARY, (40, TIMESTEPS))
    np.savez(tmp_path / "d.npz", x_train=x, y_train=x[:, 0] % 2, x_test=x, y_test=x[:, 0] % 2)
    bundle = export_bundle(
        bare, tmp_path / "out", data=tmp_path / "d.npz", format=["tflite"], quantization=["int8"]
    )
    assert bundle.report["labelled"]["rows"] == 40
    assert bundle.report["labelled"]["task"] == "binary"


def test_representative_data_can_be_given(bare, tmp_path):
    x = np.random.default_rng(0).integers(1, VOCABULARY, (40, TIMESTEPS))
    bundle = export_bundle(
        bare,
        tmp_path / "out",
        format=["tflite"],
        quantization=["int8"],
        representative_data=x,
        samples_count=5,
    )
    assert bundle.report["samples"]["given"] == 5
    assert bundle.report["samples"]["origin"] == "the representative data"


@pytest.mark.parametrize(
    "name, kind",
    [
        ("one.npy", "an array"),
        ("one.npz", "an array of any name"),
        ("named.npz", "by the inputs' names"),
        ("xy.npz", "data with labels"),
        ("table.csv", "texts"),
    ],
)
def test_representative_data_can_be_a_file(run, bare, tmp_path, name, kind):
    x = np.random.default_rng(0).integers(1, 4, (40, TIMESTEPS))
    file = tmp_path / name
    if kind == "an array":
        np.save(file, x)
    elif kind == "texts":
        file.write_text("text,label\n" + "a moving film,good\na dull film,bad\n" * 20)
    else:
        arrays = {
            "an array of any name": {"whatever": x},
            "by the inputs' names": {"tokens": x},
            "data with labels": {"x": x, "y": x[:, 0] % 2},
        }
        np.savez(file, **arrays[kind])
    given = {}

    def write(model, plan, directory, form, calibration, seconds):
        given.update(calibration)
        raise ExportError("seen")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_rnn_zoo.export.formats.tflite.write", write)
        source = bare if kind == "data with labels" else run
        if kind == "by the inputs' names":  # of several
            file, source = two_inputs(tmp_path, x)
        with pytest.raises(ExportError, match="seen"):
            export_bundle(
                source,
                tmp_path / "out",
                format=["tflite"],
                quantization=["int8"],
                representative_data=file,
            )
    assert all(len(rows) == 40 for rows in given.values())
    if kind == "texts":
        assert len(np.unique(given["tokens"], axis=0)) == 2
    else:
        assert np.array_equal(given["tokens"], x)
        assert set(given) == ({"tokens", "scale"} if kind == "by the inputs' names" else {"tokens"})


def archive(file, **arrays):
    """Writes an archive, whatever its name ends in."""
    with file.open("wb") as stream:
        np.savez(stream, **arrays)


def two_inputs(directory, x):
    """Saves a model of two inputs and arrays for both."""
    import keras

    tokens = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    scale = keras.Input((1,), name="scale")
    hidden = keras.layers.GRU(3)(keras.layers.Embedding(VOCABULARY, 4)(tokens))
    hidden = keras.layers.Multiply()([hidden, scale])
    keras.Model([tokens, scale], keras.layers.Dense(1)(hidden)).save(directory / "two.keras")
    np.savez(directory / "two.npz", tokens=x, scale=np.ones((len(x), 1)))
    return directory / "two.npz", directory / "two.keras"


@pytest.mark.parametrize(
    "write, error, reason",
    [
        (lambda file: np.save(file, np.ones((3, 2))), ExportError, r"\[samples, 8\]. Received"),
        (
            lambda file: archive(file, tokes=np.ones((3, 8)), b=np.ones(3)),
            ExportError,
            "Missing or unknown: 'b', 'tokens', 'tokes'. Did you mean 'tokens'",
        ),
        (lambda file: np.save(file, np.full((3, 8), 99)), ExportError, "token id 99, .* 0 to"),
        (lambda file: np.save(file, np.full((3, 8), -1)), ExportError, "token id -1"),
        (lambda file: np.save(file, np.full((3, 8), "a")), ExportError, "Encode text first"),
        (lambda file: np.save(file, np.ones((0, 8))), ExportError, "at least one"),
        (
            lambda file: np.save(file, np.array([[1], [1, 2]], dtype=object)),
            DataError,
            "only pickle could read",
        ),
        (
            lambda file: file.write_bytes(b"PK no"),
            DataError,
            "is damaged or not an NPY file. Write",
        ),
        (lambda file: file.mkdir(), DataError, "Is a directory"),
        (lambda file: archive(file), DataError, "holds no arrays"),
        (
            lambda file: np.save(file.with_name("dato.npy"), np.ones(3)),
            DataError,
            r"No such file: .*data\.npy'. Did you mean .*dato\.npy",
        ),
    ],
)
def test_representative_data_that_do_not_fit_are_refused_before_anything_is_written(
    run, tmp_path, write, error, reason
):
    file = tmp_path / "data" / "data.npy"
    file.parent.mkdir()
    write(file)
    with pytest.raises(error, match=reason) as caught:
        export_bundle(run, tmp_path / "out", representative_data=str(file))
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_bundle_of_a_larger_batch_answers_verifies_and_measures(run, exported, tmp_path):
    bundle = export_bundle(
        run, tmp_path / "out", format=["tflite"], quantization=["none", "int8"], batch_size=5
    )
    assert verify_bundle(bundle.path)["passed"]
    for quantization in ("none", "int8"):
        file = TFLiteModel(bundle.file(quantization))
        assert file.batch_size == 5 and file.inputs["tokens"].shape == (5, TIMESTEPS)
    for count in (0, 1, 5, 7):  # the last batch is not full
        received = bundle.predict(TEXTS[:count])
        expected = exported[0].predict(TEXTS[:count])
        # The tolerance of float32 exports.
        assert [a["score"] for a in received] == pytest.approx(
            [a["score"] for a in expected], abs=1e-5
        )
    assert [row["batch_size"] for row in benchmark_bundle(bundle.path, repeats=3)] == [5, 5]
    assert "a call answers 5 sequences" in (bundle.path / "report.html").read_text()
    assert "a call answers" not in (exported[0].path / "report.html").read_text()
    labelled = [entry["labelled"] for entry in bundle.report["files"]]
    assert [scored["rows"] for scored in labelled] == [10, 10]


def test_batch_size_that_the_model_contradicts_is_refused_before_any_work(tmp_path):
    import keras

    inputs = keras.Input(batch_shape=(4, 6, 2))
    keras.Model(inputs, keras.layers.LSTM(2)(inputs)).save(tmp_path / "four.keras")
    lines = []
    with pytest.raises(ExportError, match=r"fixed batch size of 4.*Pass batch_size=4"):
        export_bundle(
            tmp_path / "four.keras", tmp_path / "out", quantization=["none"], progress=lines.append
        )
    assert not (tmp_path / "out").exists() and not any("Answering" in line for line in lines)
    bundle = export_bundle(
        tmp_path / "four.keras",
        tmp_path / "out",
        format=["tflite"],
        quantization=["none"],
        batch_size=4,
    )
    assert verify_bundle(bundle.path)["passed"]
    assert len(bundle.predict(np.ones((6, 6, 2)))) == 6


def test_given_data_replace_what_the_run_keeps(run, tmp_path):
    table = tmp_path / "new.csv"
    table.write_text("text,label\n" + "a moving film,good\na dull film,bad\nzzz,bad\n" * 4)
    bundle = export_bundle(
        run, tmp_path / "out", test_data=table, format=["tflite"], quantization=["none"]
    )
    assert bundle.report["labelled"]["rows"] == 12
    assert "new" in bundle.report["samples"]["origin"]


def test_bundle_of_a_saved_model_alone_still_answers(run, tmp_path):
    bundle = export_bundle(run, tmp_path / "out", format=["saved_model"])
    assert bundle.predict(["a moving film"])[0]["label"] in ("good", "bad")
    assert verify_bundle(bundle.path)["passed"]
    with pytest.raises(RunError, match=r"no \.tflite file"):
        benchmark_bundle(bundle.path)
    with pytest.raises(UnknownNameError, match=r"has no \.tflite file"):
        bundle.predict(["a moving film"], "int8")


@pytest.mark.parametrize(
    "task, outputs, activation, key",
    [
        ("multiclass", 3, "softmax", "label"),
        ("sequence_labelling", 3, "softmax", "labels"),
        ("regression", 2, None, "values"),
        ("multilabel", 2, "sigmoid", "labels"),
    ],
)
def test_every_task_on_features_is_scored_and_answered(tmp_path, task, outputs, activation, key):
    import keras

    generator = np.random.default_rng(0)
    x = generator.standard_normal((30, 6, 4)).astype("float32")
    x[:10, 4:] = 0
    sums = x.sum(axis=2) if task == "sequence_labelling" else x.sum(axis=(1, 2))
    y = np.digitize(sums, [-1.0, 1.0])
    if task == "regression":
        y = np.stack([sums, 100 * sums], axis=1)
    if task == "multilabel":
        y = [["warm"] * int(one > 1) + ["cold", "dry"] * int(one < -1) for one in sums]
        outputs = 3
    dataset = Dataset("waves", "features", Split(x, y), task=task, padding_value=0.0)
    preprocessor = Preprocessor.fit(dataset, task=task)
    inputs = keras.Input((6, 4), name="waves")
    hidden = keras.layers.LSTM(5, return_sequences=task == "sequence_labelling")
    hidden = hidden(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(outputs, activation=activation)(hidden))
    rows = {"x": preprocessor.encode_inputs(x), "y": preprocessor.encode_labels(y, x)}
    (tmp_path / "run").mkdir()
    write_run(
        tmp_path / "run",
        model=model,
        builder=SimpleNamespace(name="lstm", schema_version=1, config={}),
        preprocessor=preprocessor,
        history={},
        metrics={},
        hyperparameters={},
        data={},
        provenance={},
        samples={**rows, "x_test": rows["x"], "y_test": rows["y"]},
    )
    formats = ["tflite", "saved_model"] if task == "multiclass" else ["tflite"]
    bundle = export_bundle(
        tmp_path / "run", tmp_path / "out", format=formats, quantization=["none", "int8"]
    )
    measure = "mean_absolute_error" if task == "regression" else "accuracy"
    assert bundle.report["labelled"]["measure"] == measure
    for entry in bundle.report["files"]:
        assert (entry["labelled"]["changed_answers"] is None) == (task == "regression")
        assert entry["labelled"]["after"] == pytest.approx(entry["labelled"]["before"], rel=0.2)
    answers = bundle.predict(x[:2])
    assert len(answers) == 2 and key in answers[0]
    if task == "sequence_labelling":
        assert len(answers[0]["labels"]) == 4
    assert verify_bundle(bundle.path)["passed"]


def test_integer_file_of_a_bundle_answers_raw_input_and_is_verified(run, tmp_path):
    bundle = export_bundle(
        run,
        tmp_path / "out",
        format=["tflite"],
        quantization=["none", "int8"],
        inference_type="int8",
    )
    plain, integer = bundle.report["files"]
    assert plain["tensors"]["outputs"][0]["dtype"] == "float32"
    (tokens,), (answer,) = integer["tensors"]["inputs"], integer["tensors"]["outputs"]
    assert tokens["dtype"] == "int32" and "scale" not in tokens
    # Of a sigmoid: every step between 0 and 1.
    assert (answer["dtype"], answer["scale"], answer["zero_point"]) == ("int8", 1 / 256, -128)
    assert verify_bundle(bundle.path)["passed"]
    received = bundle.predict(TEXTS[:4], "int8")
    assert [item["label"] for item in received] == [
        item["label"] for item in bundle.predict(TEXTS[:4])
    ]


def test_report_says_what_dynamic_left_in_float32(exported):
    entries = {entry["quantization"]: entry for entry in exported[0].report["files"]}
    assert entries["dynamic"]["unquantized"] and not entries["none"]["unquantized"]
    assert not entries["int8"]["unquantized"]
    page = (exported[0].path / "report.html").read_text()
    assert "fewer than 64 elements" in page


def verdict(before, after, rows, task="binary"):
    """The verdict of a bundle of one file that goes from `before` right answers to `after`."""
    x = np.ones((rows, 4))
    labelled = Labelled(x, np.ones(rows), task, "rows", np.ones(rows), before)
    scored = {"measure": labelled.measure, "before": before, "after": after, "rows": rows}
    entry = FileRecord("model_int8.tflite", "tflite", "", 9, {}, labelled=scored, float32_bytes=9)
    return reports.verdict([entry], Rows(x, None, "rows"), labelled)


def test_a_loss_of_more_than_half_a_point_opens_the_verdict():
    lost = verdict(0.805, 0.795, 2000)
    assert lost["text"].startswith(
        "model_int8.tflite loses 1.00 points of accuracy: 79.50 % on 2,000 rows, the Keras model "
        "80.50 %. The export answers"
    )
    assert len(lost["losses"]) == 1


@pytest.mark.parametrize("after", [0.80, 0.805, 0.9])
def test_half_a_point_or_none_or_a_gain_is_no_loss(after):
    kept = verdict(0.805, after, 2000)
    assert kept["text"].startswith("The export answers") and not kept["losses"]
    assert "cannot show" not in kept["text"]


def test_too_few_rows_for_half_a_point_are_said_to_be():
    few = verdict(0.8, 0.8, 100)
    assert "one answer is worth 1. Give 200 or more" in few["text"]
    # Of 4 time steps each.
    assert "cannot show" not in verdict(0.8, 0.8, 100, "sequence_labelling")["text"]
    assert "cannot show" not in verdict(1.2, 1.3, 100, "regression")["text"]
    assert not verdict(1.2, 0.9, 100, "regression")["losses"]


def test_a_quantized_file_that_is_larger_opens_with_that(tmp_path, capsys):
    """A few weights, each with a scale and ops around it, take less room as they are."""
    import keras

    inputs = keras.Input((6, 2), name="x")
    small = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.LSTM(2)(inputs)))
    inputs = keras.Input((6, 2), name="x")
    large = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.LSTM(64)(inputs)))
    x = np.random.default_rng(0).standard_normal((40, 6, 2)).astype("float32")
    for model in (small, large):
        said = []
        result = export_tflite(
            model,
            tmp_path / "m.tflite",
            quantization="int8",
            representative_data=x,
            progress=said.append,
        )
        plain = export_tflite(model, tmp_path / "plain.tflite", samples=x)
        larger = result.bytes > plain.bytes
        assert larger == (model is small)
        told = f"m.tflite is larger than the same model in float32 ({result.bytes:,} and "
        assert [line.startswith(told) for line in (*said[:1], *result.notes[:1])] == [True] * (
            2 * larger
        )
    small.save(tmp_path / "small.keras")
    bundle = export_bundle(
        tmp_path / "small.keras",
        tmp_path / "bundle",
        quantization=["none", "int8"],
        format=["tflite"],
        representative_data=x,
    )
    verdict = bundle.report["verdict"]
    assert verdict["text"].startswith("model_int8.tflite is larger than the same model in float32")
    assert "take quantization 'none'" in verdict["losses"][0] and len(verdict["losses"]) == 1


def test_failed_modes_are_all_named_and_nothing_is_written(run, tmp_path, monkeypatch):
    import keras_rnn_zoo.export.formats.tflite as api

    written = api.export_tflite

    def failing(model, path, *, quantization, **settings):
        if quantization in ("float16", "int8"):
            raise ExportError(f"no {quantization} today.")
        return written(model, path, quantization=quantization, **settings)

    monkeypatch.setattr(api, "export_tflite", failing)
    with pytest.raises(ExportError, match=r"2 of 5 .*no float16 today.*no int8 today"):
        export_bundle(run, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_layer_that_does_not_convert_is_named_once_and_reported_beside_the_bundle(tmp_path):
    import keras

    inputs = keras.Input((TIMESTEPS,), dtype="int32")
    x = keras.layers.Embedding(VOCABULARY, 6)(inputs)
    x = keras.ops.svd(keras.layers.GRU(5, return_sequences=True)(x))[1]
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(tmp_path / "small.keras")
    lines = []
    with pytest.raises(ExportError, match=r"2 of 3 .* none, dynamic: Operation 'svd") as caught:
        export_bundle(
            tmp_path / "small.keras",
            tmp_path / "out.v1",
            quantization=["none", "dynamic"],
            progress=lines.append,
        )
    assert "\n" not in str(caught.value) and str(caught.value).count("'tf.Svd'") == 1
    assert sum("Looking for the layer" in line for line in lines) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.v1.failure", "small.keras"]
    record = json.loads((tmp_path / "out.v1.failure" / "failure.json").read_text())
    assert record["layers"][0]["path"].startswith("svd")
    assert record["settings"]["quantization"] == "none"


def test_interruption_leaves_nothing_behind(run, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundles, "report_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_bundle(run, tmp_path / "out", format=["tflite"], quantization=["none"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "settings, error, reason",
    [
        ({"quantize": ["int4"]}, UnknownNameError, "Did you mean 'int8'"),
        ({"format": ["onnx"]}, UnknownNameError, "Known: 'saved_model', 'tflite'"),
        ({"format": []}, ConfigError, "at least one format"),
        ({"inference_type": "int9"}, UnknownNameError, "Did you mean 'int8'"),
        (
            {"inference_type": "int8", "quantization": ["none", "dynamic"]},
            ExportError,
            "needs quantization 'int8'",
        ),
        ({"inference_type": "int8", "format": ["saved_model"]}, ExportError, r"no \.tflite file"),
        ({"samples_count": 0}, ConfigError, "samples_count"),
        ({"batch_size": 0}, ConfigError, "batch_size is a whole number of at least 1"),
        ({"representative_data": "no.csv"}, DataError, "No such file"),
        ({"representative_data": "digits"}, DataError, "trained on text"),
        ({"data": "no.csv"}, DataError, "No such file"),
        ({"data": "digits"}, DataError, "trained on text"),
        ({"lowering": "no"}, ExportError, "no"),
    ],
)
def test_impossible_settings_are_refused(run, tmp_path, settings, error, reason):
    with pytest.raises((error, UnknownNameError), match=reason):
        export_bundle(run, tmp_path / "out", **settings)
    assert not list(tmp_path.iterdir())


def test_sources_that_are_none_are_refused(run, exported, tmp_path):
    text = tmp_path / "model.onnx"
    text.write_text("no")
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"PK\x03\x04 no")
    search = tmp_path / "search"
    search.mkdir()
    (search / "search.json").write_text("{}")
    for source, reason in (
        (tmp_path / "none", "There is no run, search or Keras file at"),
        (text, "is a file, not a run, a search or a Keras file"),
        (exported[0].path, "a bundle already"),
        (search, "no winner yet"),
        (tmp_path, "is not a run"),
    ):
        with pytest.raises(RunError, match=reason):
            export_bundle(source, tmp_path / "out")
    with pytest.raises(RunError, match="Cannot load"):
        export_bundle(broken, tmp_path / "out", quantization=["none"])
    with pytest.raises(OutputError, match="already holds"):
        export_bundle(run, tmp_path)


def test_texts_without_a_vocabulary_are_refused_before_any_work(bare, tmp_path):
    table = tmp_path / "new.csv"
    table.write_text("text,label\n" + "a moving film,good\na dull film,bad\n" * 4)
    with pytest.raises(ExportError, match="no vocabulary"):
        export_bundle(bare, tmp_path / "out", data=table)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1, "files": [{}]}'])
def test_damaged_report_is_refused(copy, content):
    (copy / "report.json").write_text(content)
    with pytest.raises(RunError, match="damaged"):
        Bundle.load(copy)


def test_places_that_hold_no_bundle_and_newer_formats_are_refused(copy, tmp_path):
    with pytest.raises(RunError, match="no bundle at"):
        Bundle.load(tmp_path / "none")
    with pytest.raises(RunError, match="not a bundle"):
        Bundle.load(tmp_path)
    report = json.loads((copy / "report.json").read_text())
    (copy / "report.json").write_text(json.dumps({**report, "format": 2}))
    with pytest.raises(RunError, match="newer keras-rnn-zoo"):
        Bundle.load(copy)


def test_a_file_is_compared_with_the_float32_file_of_its_own_bundle():
    """The lowering that int8 takes may be larger in float32, too."""
    plain = FileRecord("model.tflite", "tflite", "", 10, {}, "none", float32_bytes=10)
    int8 = FileRecord("model_int8.tflite", "tflite", "", 11, {}, "int8", float32_bytes=12)
    x = np.ones((3, 4))
    told = reports.verdict([plain, int8], Rows(x, None, "rows"), None)
    assert told["text"].startswith("model_int8.tflite is larger than the same model in float32 (11")
    smaller = replace(int8, bytes=9)
    assert not reports.verdict([plain, smaller], Rows(x, None, "rows"), None)["losses"]
