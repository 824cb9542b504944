"""What a model will cost is known before it is trained, and is what its file costs."""

from __future__ import annotations

import fcntl
import os

import numpy as np
import pytest

from keras_rnn_zoo import get_model, list_models
from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError, ExportError, TargetError, UnknownNameError
from keras_rnn_zoo.export import TARGETS
from keras_rnn_zoo.export.bundle.write import export_bundle
from keras_rnn_zoo.export.convert import converter
from keras_rnn_zoo.export.formats import measure as measuring
from keras_rnn_zoo.export.formats.measure import measure, median_latency, score, write_trained
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.training.train import train

TIMESTEPS, VOCABULARY = 8, 60
CONFIG = {"timesteps": TIMESTEPS, "units": 8, "embedding_dim": 8, "vocabulary_size": VOCABULARY}
# At least 20 calls, whatever this says.
SOON = {"seconds": 1e-9}


@pytest.fixture(scope="module")
def tokens():
    generator = np.random.default_rng(0)
    x = generator.integers(1, VOCABULARY, (64, TIMESTEPS)).astype("int32")
    # Shorter than the model's: int8 requantizes what a layer passes on where the last step has a
    # range of its own, which is chance.
    x[np.arange(TIMESTEPS) >= generator.integers(1, TIMESTEPS, (64, 1))] = 0
    return x


OTHERS = [("lstm_cell", 1, ["int8"]), ("conv_gru", 1, ["int8"]), ("gru", 2, ["int8"])]


@pytest.mark.parametrize(
    ("name", "layers", "modes"),
    # Every mode on one model, and the richest one on others: one that is a loop over cells, one
    # with a convolution, one of two layers. All models are for `-m slow`.
    [
        ("bilstm", 1, TARGETS.get("litert").quantizations()),
        *OTHERS,
        *(
            pytest.param(name, 1, ["int8"], marks=pytest.mark.slow)
            for name in list_models()
            if name != "bilstm" and (name, 1, ["int8"]) not in OTHERS
        ),
    ],
)
def test_the_size_before_training_is_that_of_the_trained_file(
    name, layers, modes, tokens, tmp_path, monkeypatch
):
    import keras

    # Whatever would start the child fails.
    monkeypatch.setattr(converter, "CONVERTER", None)
    keras.utils.set_random_seed(0)
    model = get_model(name, **CONFIG, layers=layers)
    before = model.get_weights()
    measured = {
        mode: measure(model, quantization=mode, target="litert", samples=tokens, **SOON)
        for mode in modes
    }
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    get_task("binary").compile(model, 1e-2)
    model.run_eagerly = True
    for _ in range(3):
        model.train_on_batch(tokens, tokens[:, 0] % 2)
    for mode in modes:
        path = tmp_path / f"{mode}.tflite"
        written = write_trained(
            model, path, quantization=mode, target="litert", representative_data=tokens
        )
        assert written.bytes == path.stat().st_size
        # 1 %, and 1 kB: for which kernels scales of the columns pay is chance, and each takes an
        # op and a constant.
        assert measured[mode].bytes == pytest.approx(written.bytes, rel=0.01, abs=1024)
        assert measured[mode].parameters == model.count_params()
        assert measured[mode].latency_ms > 0


@pytest.mark.parametrize("task", ["sequence_labelling", "regression"])
def test_the_score_is_that_of_the_bundle(task, tmp_path, eagerly):
    import keras

    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    x = generator.integers(1, VOCABULARY, (40, TIMESTEPS))
    x[np.arange(TIMESTEPS) >= generator.integers(2, TIMESTEPS + 1, (40, 1))] = 0
    y = x % 3 if task == "sequence_labelling" else x[:, :2] / 10.0
    dataset = Dataset("made", "tokens", Split(x, y), Split(x, y), task=task)
    with eagerly():
        run = train(
            "gru",
            dataset,
            config={**CONFIG, "layers": 1},
            epochs=1,
            output=tmp_path / "run",
            task=task,
            progress=False,
        )
    bundle = export_bundle(
        tmp_path / "run", tmp_path / "bundle", format=["tflite"], quantization=["none", "int8"]
    )
    kept = run.samples()
    received = {
        mode: score(bundle.file(mode), kept["x_test"], kept["y_test"], task)
        for mode in ("none", "int8")
    }
    for entry in bundle.report["files"]:
        scored = entry["labelled"]
        assert received[entry["quantization"]] == {scored["measure"]: scored["after"]}
    (measure_name,) = received["none"]
    # 1e-5: float32 sums in another order; one answer of these rows is worth 2e-3 or more.
    assert received["none"][measure_name] == pytest.approx(
        run.metrics[f"test_{measure_name}"], abs=1e-5
    )


def test_several_inputs_of_open_length_are_measured_too():
    import keras

    left, right = keras.Input((None, 3), name="left"), keras.Input((4,), name="right")
    x = keras.layers.Concatenate()([keras.layers.LSTM(5)(left), right])
    model = keras.Model([left, right], keras.layers.Dense(2)(x))
    samples = {"left": np.ones((3, 7, 3)), "right": np.ones((3, 4))}
    measured = measure(model, quantization="dynamic", target="litert", samples=samples, **SOON)
    assert measured.bytes > 0 and measured.parameters == model.count_params()


def test_what_the_target_prefers_is_measured(tokens):
    model = get_model("lstm", **CONFIG, mask=False)
    sizes = {
        target: measure(model, quantization="none", target=target, samples=tokens, **SOON).bytes
        for target in ("litert", "mediapipe")
    }
    assert sizes["litert"] != sizes["mediapipe"]


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"quantization": "int9"}, UnknownNameError, "'int8'"),
        ({"target": "medipipe"}, UnknownNameError, "'mediapipe'"),
        ({"target": "micro"}, ConfigError, "NaN"),
        ({"samples": np.ones((2, 3), "int32")}, ExportError, "shape"),
        ({"target": "micro", "quantization": "none"}, TargetError, "mask=False"),
    ],
)
def test_what_cannot_be_measured_is_refused_and_the_model_is_left_as_it_was(
    tokens, settings, error, says
):
    model = get_model("rnn", **CONFIG)
    before = model.get_weights()
    asked = {"quantization": "dynamic", "target": "litert", "samples": tokens, **settings}
    with pytest.raises(error, match=says):
        measure(model, **asked)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------------------------ medians


class Benchmark:
    """Answers these medians, one after the other; the best call takes `best` of it."""

    def __init__(self, *medians, best=0.9):
        self.medians = list(medians)
        self.best = best

    def __call__(self, path, samples, *, seconds):
        median = self.medians.pop(0)
        return {"median_ms": median, "min_ms": self.best * median}


@pytest.mark.parametrize(
    ("medians", "limit", "latency", "left"),
    [
        ([3.0, 1.0], None, 3.0, 1),
        ([1.0, 0.5], 1.0, 1.0, 1),
        ([1.5, 0.9, 0.5], 1.0, 0.9, 1),
        ([1.5, 1.2, 1.4, 0.5], 1.0, 1.2, 1),
    ],
)
def test_a_median_over_the_limit_is_taken_again_and_the_least_counts(medians, limit, latency, left):
    benchmark = Benchmark(*medians)
    received = median_latency("m", {}, seconds=1, limit_ms=limit, benchmark=benchmark)
    assert (received, len(benchmark.medians)) == (latency, left)


def test_what_is_hopelessly_slow_is_measured_once():
    benchmark = Benchmark(5.0, 1.0)
    assert median_latency("m", {}, seconds=1, limit_ms=2.0, benchmark=benchmark) == 5.0
    benchmark = Benchmark(5.0, 1.0, best=0.5)  # its best call is within reach
    assert median_latency("m", {}, seconds=1, limit_ms=2.0, benchmark=benchmark) == 1.0


@pytest.fixture
def lock(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path / f"keras-rnn-zoo-measuring-{os.getuid()}.lock"


def free(lock):
    with lock.open("r+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_one_process_measures_at_a_time(lock):
    seen = []

    def benchmark(path, samples, *, seconds):
        seen.append(free(lock))
        return {"median_ms": 1.0, "min_ms": 1.0}

    median_latency("m", {}, seconds=1, benchmark=benchmark)
    assert seen == [False] and free(lock)


def test_a_measurement_waits_for_another_but_not_for_ever(lock, monkeypatch):
    monkeypatch.setattr(measuring, "PATIENCE", 0.05)
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert median_latency("m", {}, seconds=1, benchmark=Benchmark(1.0)) == 1.0
        assert not free(lock)


def test_where_nothing_can_be_locked_it_is_measured_all_the_same(lock, monkeypatch):
    lock.mkdir()
    assert median_latency("m", {}, seconds=1, benchmark=Benchmark(1.0)) == 1.0
    lock.rmdir()

    def refuse(handle, operation):
        raise OSError("no locks on this file system")

    monkeypatch.setattr(measuring.fcntl, "flock", refuse)
    assert median_latency("m", {}, seconds=1, benchmark=Benchmark(1.0)) == 1.0


def test_a_failed_measurement_gives_the_lock_back(lock):
    def fail(path, samples, *, seconds):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        median_latency("m", {}, seconds=1, benchmark=fail)
    assert free(lock)
