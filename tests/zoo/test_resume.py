"""A training that was stopped goes on: from its best weights, to its last epoch."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError, RunError
from keras_rnn_zoo.training.run import Run
from keras_rnn_zoo.training.train import train

X = np.random.default_rng(0).normal(size=(120, 5, 2)).astype("float32")
LAST = X[:, -1, 0].astype("float64")
CONFIG = {"units": 6, "layers": 1, "dropout": 0.0}
REGRESSION = Dataset("r", "features", Split(X, 990 + 8 * LAST))
BINARY = Dataset("b", "features", Split(X, (LAST > 0).astype(int)))


def learn(data, place, **options):
    arguments = {"config": CONFIG, "learning_rate": 0.01, "progress": False, **options}
    return train("gru", data, output=place, **arguments)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory, eagerly):
    """A run of two epochs, to be copied."""
    place = tmp_path_factory.mktemp("learnt") / "run"
    with eagerly():
        learn(BINARY, place, epochs=2)
    return place


def tree(place):
    return {path.name: path.read_bytes() for path in place.iterdir()}


@pytest.mark.parametrize("data", [REGRESSION, BINARY], ids=["regression", "binary"])
def test_a_training_goes_on_from_its_best_weights(data, tmp_path):
    place = tmp_path / "run"
    first = learn(data, place, epochs=4)
    before = (place / "history.csv").read_text().splitlines()
    run = learn(data, place, epochs=12, resume=True)
    after = (place / "history.csv").read_text().splitlines()
    assert len(after) == 13 and after[:5] == before
    assert run.metrics["epochs"] == 12 and run.metrics["seconds"] > first.metrics["seconds"]
    assert run.metrics["validation_loss"] < first.metrics["validation_loss"]
    # It does not begin anew: the first epoch that it adds is no worse than the first one of all.
    losses = [float(line.split(",")[after[0].split(",").index("val_loss")]) for line in after[1:]]
    assert losses[4] < 1.05 * losses[3] < losses[0]
    assert run.metrics["best_epoch"] == losses.index(min(losses)) + 1
    assert run.metrics["validation_loss"] == pytest.approx(min(losses), rel=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_epochs_that_are_worse_leave_the_best_weights(tmp_path):
    place = tmp_path / "run"
    learn(BINARY, place, epochs=10, learning_rate=0.5)
    first = Run.load(place)
    run = learn(BINARY, place, epochs=11, learning_rate=0.5, resume=True)
    if run.metrics["best_epoch"] == first.metrics["best_epoch"]:
        assert run.metrics["validation_loss"] == pytest.approx(first.metrics["validation_loss"])
    assert run.metrics["validation_loss"] <= first.metrics["validation_loss"] + 1e-6


@pytest.mark.usefixtures("eager")
def test_an_interrupted_training_goes_on_to_its_end(tmp_path):
    import keras

    place = tmp_path / "run"
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epoch == 2 and signal.raise_signal(signal.SIGINT)
    )
    with pytest.raises(KeyboardInterrupt):
        learn(REGRESSION, place, epochs=6, callbacks=[stop])
    assert json.loads((place / "run.json").read_text())["interrupted"] is True
    run = learn(REGRESSION, place, epochs=6, resume=True)
    assert run.metrics["epochs"] == 6 and run.info["interrupted"] is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.5}, "learning_rate was 0.01 and is 0.5"),
        ({"seed": 3}, "seed was 0 and is 3"),
        ({"config": {**CONFIG, "units": 7}}, "units was 6 and is 7"),
        ({"data": Dataset("b", "features", Split(X[:90], BINARY.train.y[:90]))}, "rows was"),
        ({"data": Dataset("b", "features", Split(X * 2, BINARY.train.y))}, "encoded otherwise"),
        ({"epochs": 2}, "2 of 2 epochs: there is nothing left"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_another_training_is_not_mixed_with_it(learnt, tmp_path, change, message):
    place = shutil.copytree(learnt, tmp_path / "run")
    before = tree(place)
    with pytest.raises(ConfigError, match=message):
        learn(**{"data": BINARY, "place": place, "epochs": 5, "resume": True, **change})
    assert tree(place) == before


def test_there_has_to_be_a_run(tmp_path):
    with pytest.raises(RunError):
        learn(BINARY, tmp_path / "none", resume=True)
    with pytest.raises(ConfigError, match="Name that directory"):
        learn(BINARY, None, resume=True)
    assert not any(tmp_path.iterdir())
