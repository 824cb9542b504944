"""Layers on top of each other run in the same steps where they are alike, and answer the same."""

from __future__ import annotations

import numpy as np
import pytest
from lowered import answers

from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.lowering import FLOAT, HYBRID, wave
from keras_rnn_zoo.export.lowering.carry_out import carried_out
from keras_rnn_zoo.export.lowering.lowerings import loop
from keras_rnn_zoo.export.lowering.plan import plan
from keras_rnn_zoo.export.tflite import flatbuffer as fb

TIMESTEPS = 7


def model_of(kind, units, *, sequences=False, masked=True, states=False, **settings):
    """Layers of some units on top of each other, with weights of which all matter."""
    import keras
    from keras import layers

    inputs = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    x = layers.Embedding(20, 5, mask_zero=masked)(inputs)
    for number, size in enumerate(units, 1):
        last = number == len(units)
        of_last = {"return_state": states} if last else {}
        layer = getattr(layers, kind)(
            size, return_sequences=sequences or not last, **of_last, **settings
        )
        x = layer(x)
    model = keras.Model(inputs, {"y": x[0], "state": x[1]} if states else {"y": x})
    generator = np.random.default_rng(4)
    model.set_weights([generator.normal(scale=0.5, size=w.shape) for w in model.get_weights()])
    return model


def texts():
    """Texts of each length, none included, with holes and without, that begin or end late."""
    generator = np.random.default_rng(5)
    rows = generator.integers(1, 20, (3 * (TIMESTEPS + 1), TIMESTEPS)).astype("int32")
    for row, text in enumerate(rows):
        length, form = row % (TIMESTEPS + 1), row // (TIMESTEPS + 1)
        missing = np.arange(TIMESTEPS) >= length
        text[[missing, missing[::-1], generator.permutation(missing)][form]] = 0
    return rows


def answered(model, rows, products=FLOAT, batch=1):
    """Runs the lowered model, as it is."""
    ready = prepare(model)
    run = carried_out(
        ready, plan(ready, lowering="loop", products=products, batch_size=batch), products
    )
    made = [run(rows[start : start + batch]) for start in range(0, len(rows), batch)]
    flat = [np.concatenate(parts) for parts in zip(*made, strict=True)]
    return dict(zip(ready.outputs, flat, strict=True))


def furthest(model, rows, received):
    expected = answers(model, {"tokens": rows})
    return max(float(np.abs(received[name] - expected[name]).max()) for name in expected)


@pytest.fixture
def waves(monkeypatch):
    """How many rows each wave has that is built."""
    built = []

    def spied(cell, sequence):
        found = wave.wave_of(cell, sequence)
        built.append(1 if found is None else found.rows)
        return found

    monkeypatch.setattr(loop, "wave_of", spied)
    return built


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize(
    "kind, layers, settings, products",
    [
        ("SimpleRNN", 2, {}, FLOAT),
        ("LSTM", 2, {}, FLOAT),
        ("LSTM", 3, {"use_bias": False}, HYBRID),
        ("LSTM", 9, {}, FLOAT),
        ("GRU", 2, {}, FLOAT),
        ("GRU", 3, {"use_bias": False}, FLOAT),
    ],
)
def test_layers_a_step_apart_answer_what_keras_answers(
    kind, layers, settings, products, sequences, masked, waves
):
    model = model_of(kind, [4] * layers, sequences=sequences, masked=masked, **settings)
    received = answered(model, texts(), products)
    assert waves[-1] == layers
    assert furthest(model, texts(), received) < 2e-6


def test_layers_that_do_not_wait_for_those_below_would_answer_otherwise(waves, monkeypatch):
    model = model_of("LSTM", [4, 4])
    monkeypatch.setattr(
        loop._Loop, "_hold_before", lambda self: lambda number, after, before: after
    )
    received = answered(model, texts())
    assert waves[-1] == 2
    assert furthest(model, texts(), received) > 1e-3


@pytest.mark.parametrize(
    "kind, units, settings, products, batch",
    [
        ("LSTM", [4, 5], {}, FLOAT, 1),
        ("LSTM", [4, 4], {}, FLOAT, 2),
        ("LSTM", [4, 4], {"states": True}, FLOAT, 1),
        ("GRU", [4, 4], {"reset_after": False}, FLOAT, 1),
        ("GRU", [4, 4], {}, HYBRID, 1),
        ("LSTM", [4], {}, FLOAT, 1),
    ],
    ids=["units", "batch", "states", "reset before", "one product", "alone"],
)
def test_other_layers_run_as_before(kind, units, settings, products, batch, waves):
    model = model_of(kind, units, **settings)
    received = answered(model, texts(), products, batch)
    assert waves and set(waves) == {1}
    assert furthest(model, texts(), received) < 2e-6


def test_layers_of_other_settings_run_as_before(waves):
    import keras
    from keras import layers

    inputs = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    x = layers.Embedding(20, 5)(inputs)
    x = layers.LSTM(4, return_sequences=True)(x)
    model = keras.Model(inputs, {"y": layers.LSTM(4, activation="softsign")(x)})
    assert furthest(model, texts(), answered(model, texts())) < 2e-6
    assert set(waves) == {1}


def test_layers_with_many_weights_between_them_run_as_before(waves, monkeypatch):
    model = model_of("LSTM", [4, 4])
    monkeypatch.setattr(wave, "BETWEEN", 4 * 4 * 16)
    answered(model, texts())
    assert waves[-1] == 2
    monkeypatch.setattr(wave, "BETWEEN", 4 * 4 * 16 - 1)
    answered(model, texts())
    assert waves[-1] == 1


@pytest.mark.parametrize(
    "kind, quantization", [("LSTM", "none"), ("LSTM", "dynamic"), ("LSTM", "int8"), ("GRU", "none")]
)
def test_a_step_has_the_ops_of_one_layer(kind, quantization, tmp_path, monkeypatch):
    model = model_of(kind, [8, 8])

    def most(name):
        """TANH of the subgraph that has most of them: the steps of an iteration."""
        path = tmp_path / f"{name}.tflite"
        rows = texts()
        result = export_tflite(
            model, path, quantization=quantization, samples=rows, representative_data=rows
        )
        assert result.parity.passed
        graph = fb.unpack(path.read_bytes())
        return max(
            sum(fb.op_name(graph, one) == "TANH" for one in part.operators)
            for part in graph.subgraphs[1:]
        )

    together = most("together")
    monkeypatch.setattr(loop, "wave_of", lambda cell, sequence: None)
    assert 2 * together == most("apart")
