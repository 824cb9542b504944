"""What is read of a sequence, exported: in every lowering and mode, with and without a mask."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from keras_rnn_zoo import get_model
from keras_rnn_zoo.errors import ExportError, TargetError
from keras_rnn_zoo.export import TARGETS, TFLiteModel, export_tflite, plan

TIMESTEPS = 6
CONFIG = {"timesteps": TIMESTEPS, "units": 6, "embedding_dim": 5, "vocabulary_size": 30}
POOLINGS = ("max", "mean", "attention")
# Every true length from 0 to 6 on either side, and holes.
REAL = np.concatenate(
    [
        np.arange(TIMESTEPS) < np.arange(TIMESTEPS + 1)[:, None],
        np.arange(TIMESTEPS) >= np.arange(1, TIMESTEPS)[:, None],
        [[True, False, False, True, True, False], [False, True, False, False, True, False]],
    ]
)
X = (np.random.default_rng(0).integers(1, 30, REAL.shape) * REAL).astype("int32")


def built(name, **config):
    import keras

    keras.utils.set_random_seed(0)
    model = get_model(name, **{**CONFIG, **config})
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(scale=0.7, size=w.shape) for w in model.get_weights()])
    return model


def exported(model, path, x=X, **options):
    """Exports a model, and holds the file against it on every mask."""
    result = export_tflite(
        model, path / "model.tflite", samples=x, representative_data=x, **options
    )
    assert result.parity is not None and result.parity.passed
    received = TFLiteModel(result.path).predict(x)
    expected = np.asarray(model(x))
    assert expected.std() > 1e-3
    np.testing.assert_allclose(received, expected, atol=result.parity.allowed_output, rtol=0)
    return result


@pytest.mark.parametrize(
    ("name", "pooling", "lowering"),
    [
        *product(["bilstm"], ["max", "attention"], ["loop", "fused"]),
        *product(["bilstm"], ["mean", "attention"], ["unrolled", "resizable"]),
        ("gru_cell", "attention", "loop"),
        ("conv_gru", "max", "unrolled"),
        ("conv_lstm", "mean", "resizable"),
    ],
)
def test_every_lowering_pools_as_keras_does(name, pooling, lowering, tmp_path):
    exported(built(name, pooling=pooling), tmp_path, lowering=lowering)


@pytest.mark.parametrize(
    "quantization, pooling",
    [
        *((mode, "attention") for mode in TARGETS.get("litert").quantizations()),
        *product(["none", "int8"], ["max", "mean"]),
    ],
)
def test_every_mode_pools_as_keras_does(quantization, pooling, tmp_path):
    exported(built("gru", pooling=pooling), tmp_path, quantization=quantization)


@pytest.mark.parametrize(("name", "pooling"), [*product(["lstm"], POOLINGS), ("conv_lstm", "mean")])
def test_steps_that_are_not_masked_all_take_part(name, pooling, tmp_path):
    exported(built(name, pooling=pooling, mask=False), tmp_path)


def test_what_is_dropped_in_training_is_not_in_the_file(tmp_path):
    ops = []
    for place, settings in (("with", {"word_dropout": 0.3, "spatial_dropout": 0.3}), ("none", {})):
        (tmp_path / place).mkdir()
        ops.append(exported(built("lstm", **settings), tmp_path / place).ops)
    assert ops[0] == ops[1]


def test_a_plan_sees_the_recurrences_and_what_is_in_front_of_them():
    def of(name, **config):
        return plan(built(name, **config)).recurrences

    forward, backward = of("conv_gru")
    assert forward.together == backward.at and forward.masked and forward.embedding is None
    first, second = of("conv_lstm", bidirectional=False, layers=2)
    assert second.below == first.at
    # The embedding is looked up step by step behind what is dropped in training.
    first, second = of("lstm", pooling="max", word_dropout=0.1, spatial_dropout=0.1)
    assert first.embedding is not None and second.below == first.at


# ------------------------------------------------------------------------- other clients


@pytest.mark.parametrize(
    ("name", "pooling"),
    [("lstm", "attention"), ("gru", "max"), ("conv_lstm", "mean"), ("conv_gru", "attention")],
)
@pytest.mark.parametrize("quantization", ["none", "int8"])
def test_micro_takes_what_has_no_mask(name, pooling, quantization, tmp_path):
    model = built(name, pooling=pooling, mask=False, features=3)
    x = np.random.default_rng(1).normal(size=(40, TIMESTEPS, 3)).astype("float32")
    exported(model, tmp_path, x, target="micro", quantization=quantization)


def test_micro_refuses_masks_and_steps_before_anything_is_converted():
    for name in ("gru", "conv_gru"):
        model = built(name, pooling="max", features=3)
        with pytest.raises(TargetError, match=r"skips padded time steps.*mask=False"):
            export_tflite(model, "/nowhere/model.tflite", target="micro")
    for name, kind in (("gru", "SequencePooling"), ("conv_gru", "Bidirectional")):
        model = built(name, pooling="max", features=3, mask=False)
        with pytest.raises(ExportError, match=kind):
            export_tflite(model, "/nowhere/model.tflite", target="micro", lowering="step")
