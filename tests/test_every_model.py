"""The whole way for every model of the registry: a new model is tested the day it is added."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from keras_rnn_zoo import get_builder, list_models
from keras_rnn_zoo.export import (
    TARGETS,
    TFLiteModel,
    export_saved_model,
    export_tflite,
)
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.testing import check_model

MODELS = list_models()
# Loops over the cells of `rnn` and `lstm`: `gru_cell` is such a loop, and `tests/zoo/test_twins.py`
# says that they answer what their twins do. Their exports are for `-m slow`.
EXPORTED = [
    pytest.param(name, marks=pytest.mark.slow if name in ("rnn_cell", "lstm_cell") else ())
    for name in MODELS
]
KINDS = ("tokens", "features")
# A block of steps and one more.
TIMESTEPS = 5
CONFIG = {"timesteps": TIMESTEPS, "units": 8, "embedding_dim": 8, "vocabulary_size": 30}


class Trained:
    """A model with weights that matter, its inputs, and what it answers."""

    def __init__(self, name, kind):
        import keras

        keras.utils.set_random_seed(0)
        builder = get_builder(name, **CONFIG, features=None if kind == "tokens" else 3)
        self.model = builder.build()
        generator = np.random.default_rng(0)
        # Wide weights: as initialized, a model answers much the same whatever comes in.
        self.model.set_weights(
            [generator.normal(scale=0.5, size=w.shape) for w in self.model.get_weights()]
        )
        real = (
            np.arange(TIMESTEPS) < np.arange(TIMESTEPS + 1)[:, None]
        )  # every true length from 0 to T
        if kind == "tokens":
            self.x = (generator.integers(1, 30, real.shape) * real).astype("int32")
        else:
            self.x = (generator.normal(size=(*real.shape, 3)) * real[..., None]).astype("float32")
        get_task("binary").compile(self.model)
        self.answers = np.asarray(self.model(self.x))


@pytest.fixture(scope="module")
def trained():
    """`trained(name, kind)` builds once for all tests of the module."""
    cache = {}

    def get(name, kind):
        if (name, kind) not in cache:
            cache[name, kind] = Trained(name, kind)
        return cache[name, kind]

    return get


@pytest.mark.parametrize("name", MODELS)
def test_the_model_keeps_to_the_rules(name):
    check_model(name)


KERAS_FIRST, ZOO_FIRST = "import keras, keras_rnn_zoo", "import keras_rnn_zoo, keras"
# Which is imported first has to do with how layers are registered, not with which they are.
SAVED = [(KERAS_FIRST, name, kind) for name in MODELS for kind in KINDS]
SAVED += [(ZOO_FIRST, name, "tokens") for name in MODELS if name.endswith("_cell")][:1]


@pytest.fixture(scope="module")
def answers_of_a_new_process(trained, tmp_path_factory):
    """Saves models; one new process, which knows nothing but imports, loads and asks them."""
    found = {}

    def answers(imports):
        if imports not in found:
            directory = tmp_path_factory.mktemp("saved")
            for _, name, kind in (one for one in SAVED if one[0] == imports):
                given = trained(name, kind)
                given.model.save(directory / f"{name}-{kind}.keras")
                np.save(directory / f"{name}-{kind}.npy", given.x)
            code = f"""
                {imports}
                import pathlib, numpy
                answers = {{}}
                for path in pathlib.Path({str(directory)!r}).glob("*.keras"):
                    model = keras.saving.load_model(path)
                    answers[path.stem] = model(numpy.load(path.with_suffix(".npy")))
                numpy.savez({str(directory / "answers.npz")!r}, **answers)
            """
            command = [sys.executable, "-c", textwrap.dedent(code)]
            subprocess.run(command, check=True, capture_output=True)
            with np.load(directory / "answers.npz") as archive:
                found[imports] = dict(archive)
        return found[imports]

    return answers


@pytest.mark.parametrize("imports, name, kind", SAVED)
def test_a_saved_model_answers_the_same_in_a_new_process(
    answers_of_a_new_process, trained, imports, name, kind
):
    received = answers_of_a_new_process(imports)[f"{name}-{kind}"]
    # 1e-6: the same float32 arithmetic in another process.
    np.testing.assert_allclose(received, trained(name, kind).answers, atol=1e-6)


MODES = [
    *(("tokens", mode) for mode in TARGETS.get("litert").quantizations()),
    # The modes that look at features.
    ("features", "dynamic"),
    ("features", "int8"),
]
# Float32, which has to be exact; the mode that calibrates, and the one that may. What other modes
# do is the same in all files: `tests/export` has them on models of every kind.
QUICK = [("tokens", "none"), ("tokens", "int8"), ("features", "dynamic")]


@pytest.mark.parametrize(
    "kind, quantization",
    [*QUICK, *(pytest.param(*m, marks=pytest.mark.slow) for m in MODES if m not in QUICK)],
)
@pytest.mark.parametrize("name", EXPORTED)
def test_the_model_is_exported_in_every_mode_and_the_file_answers_the_same(
    trained, name, kind, quantization, tmp_path
):
    given = trained(name, kind)
    result = export_tflite(
        given.model,
        tmp_path / "model.tflite",
        quantization=quantization,
        representative_data=given.x,
        samples=given.x,
    )
    assert result.parity is not None and result.parity.passed
    received = TFLiteModel(result.path).predict(given.x)
    np.testing.assert_allclose(received, given.answers, atol=result.parity.allowed_output, rtol=0)


@pytest.mark.parametrize("name", EXPORTED)
def test_the_model_is_exported_unrolled_with_integer_inputs_and_outputs(trained, name, tmp_path):
    given = trained(name, "features")
    result = export_tflite(
        given.model,
        tmp_path / "model.tflite",
        quantization="int8",
        representative_data=given.x,
        samples=given.x,
        lowering="unrolled",
        inference_type="int8",
    )
    assert result.parity is not None and result.parity.passed
    assert result.unquantized == () and "WHILE" not in result.ops
    file = TFLiteModel(result.path)
    assert {info.dtype for info in (*file.inputs.values(), *file.outputs.values())} == {"int8"}


@pytest.mark.parametrize("name", EXPORTED)
def test_the_model_is_exported_as_a_saved_model(trained, name, tmp_path):
    import tensorflow as tf

    given = trained(name, "tokens")
    export_saved_model(given.model, tmp_path / "saved_model", samples=given.x)
    signature = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"]
    (received,) = signature(tokens=tf.constant(given.x)).values()
    # 1e-5: the promise of a SavedModel, which is TensorFlow's own arithmetic.
    np.testing.assert_allclose(received, given.answers, atol=1e-5)
