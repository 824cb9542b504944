import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_rnn_zoo.errors import DataError, OutputError, RunError
from keras_rnn_zoo.training.run import Run, load_model
from keras_rnn_zoo.training.train import train

TINY = {"units": 4, "embedding_dim": 4, "timesteps": 6, "layers": 1}
FILES = {"model.keras", "run.json", "history.csv", "vocab.txt", "labels.txt", "samples.npz"}
PAGE = "report.html"


@pytest.fixture(scope="module")
def run_path(tmp_path_factory, eagerly):
    from keras_rnn_zoo.data import Dataset, Split

    x = ["a great film", "a dull mess"] * 20
    dataset = Dataset("texts", "text", Split(x, ["pos", "neg"] * 20))
    path = tmp_path_factory.mktemp("runs") / "run"
    options = {"epochs": 2, "command": "zoo train", "progress": False}
    with eagerly():
        train("rnn", dataset, config=TINY, output=path, **options)
    return path


@pytest.fixture
def damaged(run_path, tmp_path):
    """A copy of the run, to damage."""
    return shutil.copytree(run_path, tmp_path / "copy")


def test_a_run_holds_everything_to_use_it_again(run_path):
    assert {path.name for path in run_path.iterdir()} == {*FILES, PAGE}
    run = Run.load(run_path)
    assert run.model_name == "rnn"
    assert run.builder().config == run.info["config"]
    assert run.builder().config["units"] == 4
    assert run.info["format"] == 1
    assert run.info["hyperparameters"]["epochs"] == 2
    assert run.info["data"]["rows"] == {"train": 36, "validation": 4, "test": 0}
    assert run.info["provenance"]["seed"] == 0
    assert run.info["provenance"]["command"] == "zoo train"
    assert 0 <= run.metrics["train_accuracy"] <= 1
    assert 0 <= run.metrics["validation_accuracy"] <= 1
    assert run.metrics["test_accuracy"] is None
    history = (run_path / "history.csv").read_text().splitlines()
    assert history[0].startswith("epoch,")
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(history[0].split(","))
    assert len(history) == 3


def test_a_run_answers_raw_text_with_labels_and_names_what_it_cannot_answer(run_path):
    run = Run.load(run_path)
    answers = run.predict(["a great film", "A DULL, dull mess!"], batch_size=1)
    assert [set(answer) for answer in answers] == [{"label", "score", "scores"}] * 2
    assert {answer["label"] for answer in answers} <= {"neg", "pos"}
    assert run.predict([]) == []
    with pytest.raises(DataError, match="Row 2"):
        run.predict(["a great film", "xyzzy"])


def test_the_samples_reproduce_the_accuracy_without_the_data(run_path):
    run = Run.load(run_path)
    samples = run.samples()
    assert samples["x"].shape == (36, 6)
    assert samples["x_test"].shape == (4, 6)
    assert samples["x"].dtype == np.int32
    outputs = run.load_model().predict(samples["x"], verbose=0)
    accuracy = float(((outputs[:, 0] > 0.5) == samples["y"]).mean())
    # 1e-6: the metric is a float32.
    assert accuracy == pytest.approx(run.metrics["train_accuracy"], abs=1e-6)


def test_a_run_moved_elsewhere_answers_the_same(run_path, tmp_path):
    moved = Run.load(shutil.copytree(run_path, tmp_path / "moved"))
    (answer,) = moved.predict(["a great film"])
    (expected,) = Run.load(run_path).predict(["a great film"])
    assert answer == expected


def test_reading_a_run_does_not_import_tensorflow(run_path):
    code = (
        "import sys; from keras_rnn_zoo.training.run import Run; "
        f"run = Run.load({str(run_path)!r}); "
        "run.preprocessor.encode_inputs(['a great film']); run.builder(); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_place_that_holds_no_run_is_refused_with_what_to_do(tmp_path, run_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "search").mkdir()
    shutil.copytree(run_path, tmp_path / "search" / "best")
    for name, message in {
        "nowhere": "no run at",
        "file": "is a file",
        "search": "winner is the run .*best",
        "": "is not a run",
    }.items():
        with pytest.raises(RunError, match=message):
            Run.load(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "damaged"),
        ('{"format": 1', "damaged"),
        ("[]", "damaged"),
        ('{"format": 1}', "damaged"),
        ('{"format": 99}', "newer keras-rnn-zoo"),
        ('{"format": "x"}', "damaged"),
    ],
)
def test_a_damaged_or_newer_run_json_is_refused_in_one_line(damaged, content, message):
    (damaged / "run.json").write_text(content)
    with pytest.raises(RunError, match=message) as caught:
        Run.load(damaged)
    assert "\n" not in str(caught.value)


def test_run_json_of_another_encoding_is_refused(damaged):
    (damaged / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="damaged"):
        Run.load(damaged)


@pytest.mark.parametrize("content", [None, b"", b"not a zip", "half"])
def test_a_missing_or_corrupted_model_is_refused_in_one_line(damaged, content):
    path = damaged / "model.keras"
    whole = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(RunError, match=r"model\.keras") as caught:
        Run.load(damaged).load_model()
    assert "\n" not in str(caught.value)


def test_a_model_that_would_run_code_is_refused(tmp_path):
    import keras

    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(RunError, match="holds a Lambda layer"):
        load_model(tmp_path / "lambda.keras")


def test_a_missing_vocabulary_or_damaged_samples_are_refused(damaged):
    (damaged / "samples.npz").write_bytes(b"x")
    with pytest.raises(RunError, match=r"samples\.npz"):
        Run.load(damaged).samples()
    (damaged / "vocab.txt").unlink()
    with pytest.raises(RunError, match=r"vocab\.txt"):
        Run.load(damaged)


def test_an_output_that_holds_something_is_refused_and_untouched(run_path, texts, tmp_path):
    before = {path.name: path.read_bytes() for path in run_path.iterdir()}
    with pytest.raises(OutputError, match="already holds something"):
        train("lstm", texts, config=TINY, output=run_path)
    assert {path.name: path.read_bytes() for path in run_path.iterdir()} == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError):
        train("lstm", texts, config=TINY, output=tmp_path / "file")
    with pytest.raises(OutputError):
        train("lstm", texts, config=TINY, output=tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "mine"
