"""How long a training goes where nobody says: small data get more epochs of smaller steps."""

from __future__ import annotations

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.training.course import Course, course_of
from keras_rnn_zoo.training.options import TrainOptions
from keras_rnn_zoo.training.train import train


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (36, Course(500, 32, 3e-3, 84)),
        (243, Course(250, 32, 3e-3, 42)),
        (1293, Course(49, 32, 3e-3, 9)),
        (22_500, Course(6, 64, 1e-3, 2)),
        (1_000_000, Course(4, 64, 1e-3, 2)),
    ],
)
def test_the_rows_decide_what_nobody_says(rows, expected):
    assert course_of(TrainOptions(), rows, validates=True) == expected
    assert course_of(TrainOptions(), rows, validates=False).patience is None


def test_what_is_said_is_kept():
    said = TrainOptions(epochs=7, batch_size=5, learning_rate=0.5, patience=3)
    assert course_of(said, 100, validates=True) == Course(7, 5, 0.5, 3)
    # Epochs that were asked for are trained.
    assert course_of(TrainOptions(epochs=7), 100, validates=True).patience is None
    assert course_of(TrainOptions(patience=0), 100, validates=True).patience is None
    assert course_of(TrainOptions(patience=0), 100, validates=False).patience is None
    assert course_of(TrainOptions(batch_size=200), 1000, validates=True).epochs == 400
    with pytest.raises(ConfigError, match="patience needs validation"):
        course_of(TrainOptions(patience=2), 100, validates=False)


def test_a_bare_training_learns_small_data_and_says_how(capsys):
    rng = np.random.default_rng(0)
    y = np.arange(1300) % 4
    phase = rng.uniform(0, 6.28, (1300, 1))
    x = np.sin(phase + (0.3 + 0.4 * y[:, None]) * np.arange(12))[:, :, None]
    data = Dataset("waves", "features", Split(x[:1200], y[:1200]), Split(x[1200:], y[1200:]))
    run = train("gru", data, config={"units": 16, "layers": 1})
    assert run.metrics["test_accuracy"] > 0.85, "a quarter is chance"
    assert (
        "gru: up to 59 epochs of 32 rows a step, learning rate 0.003; stops after 10 without a "
        "better validation loss"
    ) in capsys.readouterr().err.splitlines()
    kept = run.info["hyperparameters"]
    assert (kept["epochs"], kept["batch_size"], kept["patience"]) == (59, 32, 10)
