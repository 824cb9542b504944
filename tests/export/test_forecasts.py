"""Files of forecasts: the last values pass them as they are, also where a series has grown."""

from __future__ import annotations

import numpy as np
import pytest

from keras_rnn_zoo import get_model
from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.tflite.interpreter import TFLiteModel

ROWS = np.random.default_rng(0).normal(size=(64, 6, 2)).astype("float32")


@pytest.mark.parametrize(
    ("name", "options"),
    [("rnn", {"lowering": "unrolled"}), ("lstm", {"target": "micro", "lowering": "lstm_op"})],
    ids=["products in int8", "all in int8"],
)
def test_an_int8_file_follows_a_series_beyond_what_it_was_calibrated_on(tmp_path, name, options):
    model = get_model(
        name,
        features=2,
        timesteps=6,
        task="regression",
        outputs=2,
        units=4,
        layers=1,
        dropout=0.0,
        mask=False,
        autoregression="1",
    )
    generator = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(0.3 * generator.normal(size=weight.shape))
    path = tmp_path / "model.tflite"
    export_tflite(model, path, quantization="int8", representative_data=ROWS, **options)
    grown = ROWS + 40
    answers = TFLiteModel(path).predict(grown)
    expected = np.asarray(model(grown))
    # Changes of up to 5 in 255 steps, of six time steps; cut off, the values would miss by 35.
    assert np.abs(answers - expected).mean() < 0.1
    assert np.abs(expected - 40).mean() < 5
