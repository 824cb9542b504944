"""How the learning rate goes on while a model is trained."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.training.options import TrainOptions
from keras_rnn_zoo.training.run import Run
from keras_rnn_zoo.training.schedules import SCHEDULES, scheduled, steps_of
from keras_rnn_zoo.training.train import train

TINY = {"units": 2, "embedding_dim": 2, "timesteps": 3, "layers": 1}


def rates(schedule, steps=20):
    found = scheduled(schedule, 0.5, steps)
    return [float(found(step)) if callable(found) else found for step in range(steps + 1)]


def test_a_rate_stays_falls_or_rises_first():
    assert rates("constant") == [0.5] * 21
    for name in ("linear", "cosine"):
        values = rates(name)
        assert values[0] == 0.5 and values[-1] == pytest.approx(0, abs=1e-7)
        assert np.all(np.diff(values) < 0)
        assert values[10] == pytest.approx(0.25)
    # A cosine stays high for longer.
    assert rates("cosine")[5] > rates("linear")[5] == pytest.approx(0.375)
    values = rates("warmup_cosine")
    assert values[0] == 0 and values[2] == max(values) == pytest.approx(0.5)
    assert values[1] == pytest.approx(0.25) and values[-1] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_training_of_hardly_a_step_has_a_rate(schedule, steps):
    assert np.isfinite(rates(schedule, steps)).all()


def test_the_last_batch_of_an_epoch_is_a_step_however_small():
    assert steps_of(rows=65, batch_size=32, epochs=4) == 12


@pytest.mark.usefixtures("eager")
def test_a_training_follows_the_schedule_and_records_it(tmp_path):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

    x = np.arange(120).reshape(40, 3) % 5 + 1
    run = train(
        "rnn",
        Dataset("d", "tokens", Split(x, x[:, 0] % 2)),
        config=TINY,
        epochs=2,
        batch_size=9,
        learning_rate=0.01,
        schedule="cosine",
        callbacks=[Watch()],
        progress=False,
        output=tmp_path / "run",
    )
    # 36 rows: 4 batches an epoch; the rate is read behind each.
    expected = [0.005 * (1 + np.cos(np.pi * n / 8)) for n in range(1, 9)]
    assert seen == pytest.approx(expected, rel=1e-4, abs=1e-8)  # float32
    assert run.info["hyperparameters"]["schedule"] == "cosine"
    assert run.info["hyperparameters"]["learning_rate"] == 0.01
    again = Run.load(tmp_path / "run").predict(x[:2].tolist())
    # 1e-6: float32, which is added up in another order.
    for one, other in zip(again, run.predict(x[:2].tolist()), strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-6)


def test_an_unknown_schedule_is_refused_with_the_nearest():
    assert TrainOptions().schedule == "constant"
    with pytest.raises(ConfigError, match="Did you mean 'cosine'"):
        TrainOptions(schedule="cosin")
