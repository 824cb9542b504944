import builtins
import csv
import json
from types import SimpleNamespace

import pytest

from keras_rnn_zoo.errors import ConfigError, OutputError, UnknownNameError
from keras_rnn_zoo.training.compare import compare
from keras_rnn_zoo.training.run import Run

TINY = {"units": 2, "embedding_dim": 2, "timesteps": 6, "layers": 1}


@pytest.mark.usefixtures("eager")
def test_models_are_set_side_by_side_in_json_csv_and_a_plot(texts, tmp_path):
    pytest.importorskip("matplotlib")
    output = tmp_path / "compare"
    rows = compare(["rnn", "rnn_cell"], texts, config=TINY, epochs=1, output=output, progress=False)
    assert [row["model"] for row in rows] == ["rnn", "rnn_cell"]
    for row in rows:
        run = Run.load(output / row["model"])
        assert row["train_accuracy"] == run.metrics["train_accuracy"]
        assert row["parameters"] > 0
        assert row["seconds"] > 0
        assert row["bytes"] == (output / row["model"] / "model.keras").stat().st_size
    document = json.loads((output / "compare.json").read_text())
    assert document["models"] == rows
    assert document["provenance"]["seed"] == 0
    with (output / "compare.csv").open() as stream:
        assert [row["model"] for row in csv.DictReader(stream)] == ["rnn", "rnn_cell"]
    assert (output / "compare.png").read_bytes().startswith(b"\x89PNG")
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "Which is best?" in page and "majority" in page and "rnn_cell" in page
    assert "Where does it fail?" in (output / "rnn" / "report.html").read_text(encoding="utf-8")


def test_without_matplotlib_all_else_is_written_and_each_model_keeps_its_own_timesteps(
    texts, tmp_path, monkeypatch, capsys
):
    plain_import = builtins.__import__

    def no_matplotlib(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return plain_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    output = tmp_path / "compare"
    timesteps = {}

    def fit(prepared, builder, options, *, progress):
        timesteps[builder.name] = prepared.preprocessor.timesteps
        return SimpleNamespace(hyperparameters={})

    def save(directory, prepared, fitted, *, seed, command):
        (directory / "model.keras").touch()
        metrics = {"train_loss": 0.5, "train_accuracy": 0.5, "seconds": 1, "epochs": 1}
        return {
            "metrics": {**metrics, "parameters": 1},
            "data": prepared.data,
            "provenance": {},
        }

    # How they train is seen above.
    monkeypatch.setattr("keras_rnn_zoo.training.compare.fit_and_evaluate", fit)
    monkeypatch.setattr("keras_rnn_zoo.training.compare.save_run", save)
    compare(["rnn", "bigru"], texts, output=output, progress=False)
    assert timesteps == {"rnn": 80, "bigru": 200}
    assert {path.name for path in output.iterdir()} == {
        "rnn",
        "bigru",
        "compare.json",
        "compare.csv",
        "report.html",
    }
    captured = capsys.readouterr()
    assert "pip install 'keras-rnn-zoo[plot]'" in captured.err
    assert captured.out == ""


@pytest.mark.usefixtures("eager")
def test_a_regression_is_compared_by_its_error(tmp_path):
    import numpy as np

    from keras_rnn_zoo.data import Dataset, Split

    x = np.random.default_rng(0).normal(size=(30, 4, 1))
    dataset = Dataset("r", "features", Split(x, x[:, -1, 0]), Split(x[:5], x[:5, -1, 0]))
    (row,) = compare(
        ["rnn"],
        dataset,
        config={"units": 2, "layers": 1},
        epochs=1,
        output=tmp_path / "c",
        progress=False,
    )
    assert row["test_mean_absolute_error"] > 0
    assert "test_accuracy" not in row


def test_bad_arguments_are_refused_before_any_output(texts, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'lstm'"):
        compare(["gru", "lsmt"], texts, output=tmp_path / "c")
    with pytest.raises(ConfigError, match="each model once"):
        compare(["gru", "gru"], texts, output=tmp_path / "c")
    with pytest.raises(ConfigError, match="unit"):
        compare(["gru"], texts, config={"unit": 3}, output=tmp_path / "c")
    (tmp_path / "mine").write_text("x")
    with pytest.raises(OutputError, match="already holds"):
        compare(["gru"], texts, output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
