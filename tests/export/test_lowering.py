"""Every lowering computes what Keras computes, for every kind of recurrence and every mask."""

from __future__ import annotations

import numpy as np
import pytest
from architectures import ARCHITECTURES, build, inputs_for

from keras_rnn_zoo.errors import ExportError, UnknownNameError
from keras_rnn_zoo.export import LOWERINGS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.rewriting import rewritten
from keras_rnn_zoo.export.tracing import call_flat, input_specs, output_names


def answers(model, samples):
    flat = call_flat(model, [samples[spec.name] for spec in input_specs(model)])
    return dict(zip(output_names(model), map(np.asarray, flat), strict=True))


@pytest.mark.parametrize("lowering", LOWERINGS.names())
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rewritten_model_answers_what_keras_answers(architecture, lowering):
    model = build(architecture)
    samples = inputs_for(model)
    expected = answers(model, samples)
    with rewritten(model, lowering) as lowered:
        received = answers(model, samples)
    assert lowered and set(lowered.values()) == {lowering}
    for name, value in expected.items():
        # The same float32 sums in another order: a few ulp.
        np.testing.assert_allclose(received[name], value, atol=2e-6, rtol=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_model_is_as_before_after_rewriting(architecture):
    model = build(architecture)
    with rewritten(model, "loop"):
        pass
    assert all("call" not in layer.__dict__ for layer in model._flatten_layers())


@pytest.mark.parametrize("lowering", LOWERINGS.names())
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_file_answers_what_keras_answers_on_every_true_length(architecture, lowering, tmp_path):
    model = build(architecture)
    samples = inputs_for(model)
    result = export_tflite(model, tmp_path / "model.tflite", lowering=lowering, samples=samples)
    assert result.parity is not None and result.parity.passed
    assert ("WHILE" in result.ops) == (lowering == "loop")
    expected = answers(model, samples)
    file = TFLiteModel(result.path)
    received = file.predict(samples)
    if not isinstance(received, dict):
        received = {next(iter(file.outputs)): received}
    for name, value in expected.items():
        np.testing.assert_allclose(received[name], value, atol=1e-5, rtol=0)


@pytest.mark.parametrize("lowering", LOWERINGS.names())
def test_whole_batches_answer_what_single_sequences_answer(lowering, tmp_path):
    model = build("bigru_sequence_sum")
    samples = inputs_for(model)
    result = export_tflite(
        model, tmp_path / "model.tflite", lowering=lowering, samples=samples, batch_size=4
    )
    received = TFLiteModel(result.path).predict(samples)
    (expected,) = answers(model, samples).values()
    np.testing.assert_allclose(received, expected, atol=1e-5, rtol=0)


def test_open_timesteps_are_fixed_by_the_caller(tmp_path):
    import keras

    inputs = keras.Input((None, 3), name="sensor")
    model = keras.Model(inputs, keras.layers.GRU(4)(inputs))
    with pytest.raises(ExportError, match="timesteps"):
        export_tflite(model, tmp_path / "model.tflite")
    result = export_tflite(model, tmp_path / "model.tflite", timesteps=7)
    assert TFLiteModel(result.path).inputs["sensor"].shape == (1, 7, 3)


def test_stateful_layer_is_refused_by_name(tmp_path):
    import keras

    inputs = keras.Input(batch_shape=(1, 4, 3))
    model = keras.Model(inputs, keras.layers.LSTM(4, stateful=True, name="memory")(inputs))
    with pytest.raises(ExportError, match=r"memory.*stateful"):
        export_tflite(model, tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())


def test_unknown_lowering_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'unrolled'"):
        export_tflite(build("simple_rnn"), tmp_path / "model.tflite", lowering="unroled")
