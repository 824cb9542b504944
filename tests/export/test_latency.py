"""The benchmark measures what it says and refuses what it cannot measure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tflite_files import convert_model, token_model, tokens

from keras_rnn_zoo.errors import ConfigError, RunError
from keras_rnn_zoo.export.tflite.latency import benchmark_tflite, machine


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return convert_model(tmp_path_factory.mktemp("latency") / "m.tflite", token_model())


@pytest.mark.parametrize("samples", [None, tokens(), {"tokens": tokens()}])
def test_times_are_ordered_and_say_how_they_were_taken(file, samples):
    result = benchmark_tflite(file, samples, repeats=30)
    assert 0 < result["min_ms"] <= result["median_ms"] <= result["p90_ms"]
    assert (result["repeats"], result["threads"], result["batch_size"]) == (30, 1, 1)
    assert result["machine"] == machine() and "CPU" in result["machine"]
    json.dumps(result, allow_nan=False)


def test_short_measurements_still_take_enough_repeats(file):
    assert benchmark_tflite(file, seconds=1e-9)["repeats"] == 20


def test_impossible_settings_are_refused(file):
    for settings in ({"repeats": 0}, {"warmup": -1}, {"seconds": 0}, {"threads": 0}):
        with pytest.raises(ConfigError):
            benchmark_tflite(file, **settings)


def test_missing_file_and_wrong_samples_are_refused(file, tmp_path):
    with pytest.raises(RunError, match="No such file"):
        benchmark_tflite(tmp_path / "no.tflite")
    with pytest.raises(RunError, match="takes arrays of the shape"):
        benchmark_tflite(file, np.ones((2, 3), "int32"))
