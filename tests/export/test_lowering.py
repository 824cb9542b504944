"""Every lowering computes what Keras computes, for every kind of recurrence and every mask."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import pytest
from architectures import (
    ARCHITECTURES,
    TIMESTEPS,
    TOGETHER,
    build,
    build_together,
    inputs_for,
    two_lstms,
)
from lowered import Lowered, answers

from keras_rnn_zoo.errors import ExportError, UnknownNameError
from keras_rnn_zoo.export import LOWERINGS, TARGETS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.lowering import Lookup, blocks
from keras_rnn_zoo.export.lowering.lowerings import loop
from keras_rnn_zoo.export.lowering.profiles import PROFILES, Profile


def assert_says_what_is_expressed_otherwise(plan, lowering):
    others = {path for path, name in plan.lowerings.items() if name != lowering}
    assert plan.lowerings and others == set(plan.fallbacks)
    assert not others or LOWERINGS.get(lowering).fallback


# The files of other lowerings are held against Keras below, all architectures in each.
@pytest.mark.parametrize(
    "lowering",
    [
        pytest.param(name, marks=() if name == "loop" else pytest.mark.slow)
        for name in TARGETS.get("litert").lowerings
    ],
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_lowered_model_answers_what_keras_answers(architecture, lowering):
    model = build(architecture)
    samples = inputs_for(model)
    expected = answers(model, samples)
    lowered = Lowered(model, lowering)
    received = lowered.answers(samples)
    assert_says_what_is_expressed_otherwise(lowered.plan, lowering)
    for name, value in expected.items():
        # The same float32 sums in another order: a few ulp.
        np.testing.assert_allclose(received[name], value, atol=2e-6, rtol=0)


def assert_answers(path, samples, expected, times=1):
    """Calls one interpreter again and again: it keeps nothing between calls."""
    file = TFLiteModel(path)
    for _ in range(times):
        received = file.predict(samples)
        wrong = {}
        for name, value in expected.items():
            difference = np.abs(received[name] - value).max()
            if not difference <= 1e-5:
                wrong[name] = difference
        assert not wrong


@lru_cache(maxsize=1)  # the lowerings are next to each other in the order of the tests
def together(group):
    """Returns a model with outputs of several architectures, its inputs, what Keras answers."""
    model = build_together(TOGETHER[group])
    samples = inputs_for(model)
    return model, samples, answers(model, samples)


@pytest.mark.parametrize("lowering", TARGETS.get("litert").lowerings)
@pytest.mark.parametrize("group", TOGETHER)
def test_file_answers_what_keras_answers_on_every_true_length(group, lowering, tmp_path):
    model, samples, expected = together(group)
    path = tmp_path / "model.tflite"
    # What the verification expects is the same for every lowering: once says that it is right.
    verify = lowering == "loop"
    result = export_tflite(model, path, lowering=lowering, samples=samples, verify=verify)
    assert not verify or (result.parity is not None and result.parity.passed)
    assert_says_what_is_expressed_otherwise(result.plan, lowering)
    loops = {"loop", "resizable"} & set(result.lowering.values())
    assert ("WHILE" in result.ops) == bool(loops)
    assert not loops or (lowering != "unrolled" and (lowering, group) != ("fused", "lstms"))
    assert_answers(path, samples, expected)


@pytest.mark.parametrize("lowering", TARGETS.get("litert").lowerings)
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


@pytest.mark.parametrize("timesteps", [0, -3, TIMESTEPS + 1])
def test_timesteps_that_the_model_contradicts_are_refused(timesteps, tmp_path):
    model = build("simple_rnn")
    with pytest.raises(ExportError, match=f"Received:.*{timesteps}"):
        export_tflite(model, tmp_path / "m.tflite", timesteps=timesteps)
    assert not list(tmp_path.iterdir())


def test_unknown_lowering_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'unrolled'"):
        export_tflite(build("simple_rnn"), tmp_path / "model.tflite", lowering="unroled")


def stacked(*between, skip=False):
    """Two LSTMs on top of each other, and what may lie between them."""
    import keras

    inputs = keras.Input((9,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(40, 12, mask_zero=True)(inputs)
    first = x = keras.layers.LSTM(8, return_sequences=True)(x)
    for layer in between:
        x = layer(x)
    x = keras.layers.GRU(6)(x)
    if skip:
        x = keras.layers.Concatenate()([x, keras.layers.GlobalAveragePooling1D()(first)])
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def test_stacked_layers_run_in_one_loop_and_keep_no_sequence(tmp_path):
    from keras import layers

    model = stacked(layers.Dropout(0.5))
    result = export_tflite(model, tmp_path / "model.tflite", samples=inputs_for(model))
    assert result.ops["WHILE"] == 1
    assert "DYNAMIC_UPDATE_SLICE" not in result.ops


# A GRU's gates and its candidate are products of their own.
@pytest.mark.parametrize("architecture, products", [("cell_loop", 1 + 2), (two_lstms, 1 + 1)])
def test_unrolled_steps_share_the_product_of_each_projection(architecture, products, tmp_path):
    model = build(architecture)
    result = export_tflite(
        model, tmp_path / "model.tflite", lowering="unrolled", samples=inputs_for(model)
    )
    # Recurrent ones for each step but the first, whose state is zeros; projections; the head.
    assert result.ops["FULLY_CONNECTED"] == products * (TIMESTEPS - 1) + products + 1


@pytest.mark.parametrize("other", ["skip", "norm"])
def test_a_sequence_that_others_need_is_kept(other, tmp_path):
    from keras import layers

    model = stacked(skip=True) if other == "skip" else stacked(layers.LayerNormalization())
    # The average of no step at all is NaN.
    samples = {name: np.ones_like(array) for name, array in inputs_for(model).items()}
    result = export_tflite(model, tmp_path / "model.tflite", samples=samples, verify=False)
    assert result.ops["WHILE"] == 2
    assert "DYNAMIC_UPDATE_SLICE" in result.ops
    expected = np.asarray(model(samples["tokens"]))
    received = TFLiteModel(result.path).predict(samples)
    np.testing.assert_allclose(received, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("timesteps, loops", [(1, 0), (3, 0), (9, 1)])
def test_so_few_steps_need_no_loop(timesteps, loops, tmp_path):
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((timesteps, 3)), layers.LSTM(4)])
    x = np.random.default_rng(0).normal(size=(8, timesteps, 3)).astype("float32")
    result = export_tflite(model, tmp_path / "m.tflite", samples=x)
    assert result.parity.passed and result.ops.get("WHILE", 0) == loops


@pytest.mark.parametrize("layers_count", [1, 2])
def test_masked_steps_that_hold_no_number_are_not_read(layers_count, tmp_path):
    import keras
    from keras import layers

    x = keras.Input((13, 3))
    mask = keras.Input((13,), dtype="bool")
    y = x
    for number in range(layers_count):
        y = layers.LSTM(4, return_sequences=number < layers_count - 1)(y, mask=mask)
    model = keras.Model([x, mask], y)
    generator = np.random.default_rng(0)
    values = generator.normal(size=(14, 13, 3)).astype("float32")
    counts = np.arange(13)[::-1] < np.arange(14)[:, np.newaxis]
    export_tflite(model, tmp_path / "m.tflite", samples=[values, counts])
    expected = np.asarray(model([values, counts]))
    values[~counts] = np.nan
    names = [tensor.name for tensor in model.inputs]
    found = TFLiteModel(tmp_path / "m.tflite").predict(
        dict(zip(names, [values, counts], strict=True))
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_embedding_is_looked_up_where_its_rows_are_used(tmp_path):
    model = build("simple_rnn")
    result = export_tflite(model, tmp_path / "model.tflite", samples=inputs_for(model))
    # The ids that count; the rows of those in front of the loop; in it the ids of a block, and
    # their rows.
    assert result.ops["GATHER"] == 4


@pytest.mark.parametrize("masked", [True, False])
def test_any_number_of_timesteps_fits_the_blocks(masked, tmp_path):
    import keras
    from keras import layers

    generator = np.random.default_rng(3)
    inputs, outputs, samples = [], {}, {}
    for timesteps in (1, 2, 3, 4, 5, 7, 8, 13):
        name = f"of_{timesteps}"
        inputs.append(keras.Input((timesteps, 3), name=name))
        x = layers.Masking()(inputs[-1]) if masked else inputs[-1]
        x = layers.LSTM(4, return_sequences=True)(x)
        outputs[name] = layers.GRU(4, go_backwards=True, return_sequences=True)(x)
        samples[name] = generator.normal(size=(14, timesteps, 3)).astype("float32")
        for row in range(14):
            samples[name][row, row % (timesteps + 1) :] = 0
    model = keras.Model(inputs, outputs)
    path = tmp_path / "model.tflite"
    export_tflite(model, path, samples=samples)
    assert_answers(path, samples, answers(model, samples), times=3)


@pytest.fixture(params=["together", "one after the other"])
def large(request, monkeypatch):
    """As if no cache held the weights: steps one by one, stacked layers together or not."""
    for name in ("PART", "KEPT", "BEFORE"):
        monkeypatch.setattr(blocks, name, 4)
    monkeypatch.setitem(PROFILES, "phone", Profile("phone", "without a cache", copies=0))
    if request.param != "together":
        monkeypatch.setattr(blocks, "TOGETHER", 0)


def test_layers_too_large_for_the_cache_answer_what_keras_answers(large, tmp_path):
    names = [*ARCHITECTURES, two_lstms]
    model = build_together(names)
    samples = inputs_for(model)
    path = tmp_path / "model.tflite"
    ops = export_tflite(model, path, samples=samples, verify=False).ops
    assert ops["WHILE"] >= 2 * len(names)
    assert_answers(path, samples, answers(model, samples), times=3)


@pytest.mark.parametrize("quantization, batch_size", [("dynamic", 1), ("int8", 1), ("int8", 3)])
def test_large_layers_are_quantized_too(quantization, batch_size, large, tmp_path):
    model = build_together(["bilstm", "bigru_sequence_sum", "cell_loop"])
    samples = inputs_for(model)
    result = export_tflite(
        model,
        tmp_path / "model.tflite",
        quantization=quantization,
        batch_size=batch_size,
        samples=samples,
        representative_data=samples,
    )
    assert result.parity.passed


def test_blocks_are_as_large_as_the_cache_of_a_core_allows(monkeypatch):
    from keras import layers

    from keras_rnn_zoo.export.lowering import FLOAT, HYBRID, Sequence
    from keras_rnn_zoo.export.lowering.cells import Chain, describe

    def cell(units, products):
        made = layers.LSTMCell(units)
        made.build((None, 8))
        return describe(f"lstm {units}", made, products)

    def sizes(
        one, core="phone", optimize="latency", masked=False, keep=False, fold=False, steps=200
    ):
        products = dataclasses.replace(one.products, core=PROFILES[core], optimize=optimize)
        for part in one.cells if isinstance(one, Chain) else [one]:
            part.products = products
        one.products = products
        sequence = Sequence(
            inputs=np.zeros((1, steps, 8)),
            mask=np.ones((1, steps), bool) if masked else None,
            return_sequences=keep,
            lookup=Lookup(np.zeros((1, steps)), np.asarray, np.zeros((5, 8))) if fold else None,
            fold=fold,
        )
        found = blocks.blocks_of(one, sequence)
        return found.steps, found.projected

    # 64 KB a step, of 128 KB; all inputs at once, as all of them count.
    assert sizes(cell(64, FLOAT)) == (2, 200)
    assert sizes(cell(64, FLOAT), "x86-64") == (4, 200)
    assert sizes(cell(64, FLOAT), optimize="size") == (1, 200)
    assert sizes(cell(256, FLOAT)) == (1, 200)
    assert sizes(cell(64, HYBRID)) == (4, 200)
    # Ops of a step are more of a small file than its weights.
    assert sizes(cell(8, FLOAT)) == (3, 200)
    assert sizes(cell(32, FLOAT)) == (4, 200)
    # A step of the body costs something once, which few iterations do not pay for.
    monkeypatch.setitem(vars(PROFILES["phone"]), "starts", Profile("", "", 0).starts)
    assert [sizes(cell(8, FLOAT), steps=steps)[0] for steps in (8, 28, 64)] == [1, 2, 3]
    assert [sizes(cell(32, FLOAT), "x86-64", steps=steps)[0] for steps in (8, 32)] == [2, 4]
    # What fills one block needs no loop.
    assert [sizes(cell(32, FLOAT), steps=steps)[0] for steps in (1, 3, 4, 5)] == [1, 3, 4, 1]
    # The kernel between two layers takes of the room, too.
    assert sizes(Chain((cell(32, FLOAT), cell(32, FLOAT)))) == (3, 200)
    assert sizes(Chain((cell(64, FLOAT), cell(64, FLOAT)))) == (1, 200)
    # Where masked steps may follow, no more than a part; what int8 kernels project, block by block.
    assert sizes(cell(64, FLOAT), masked=True) == (2, 24)
    assert sizes(cell(64, HYBRID), masked=True) == (4, 4)
    # Rows of a table that hold the products need no projection.
    assert sizes(cell(64, FLOAT), fold=True) == (2, 2)
    # Where all outputs are kept, each write copies those of a part.
    assert sizes(cell(64, FLOAT), keep=True) == (2, 48)
    small, large = (Chain((cell(units, FLOAT),) * 2) for units in (64, 256))
    assert (loop.Loop().chains(small), loop.Loop().chains(large)) == (True, False)
