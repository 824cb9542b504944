"""Inputs in every form people have them, and one clear error for those that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from architectures import TIMESTEPS, build, inputs_for

from keras_rnn_zoo.errors import ExportError
from keras_rnn_zoo.export.keras_model.samples import as_samples, synthetic_samples


@pytest.fixture(scope="module")
def one():
    return build("simple_rnn")


@pytest.fixture(scope="module")
def two():
    return build("two_inputs_two_outputs")


def test_all_forms_of_one_input_are_the_same(one):
    tokens = inputs_for(one)["tokens"]
    forms = [tokens, tokens.tolist(), [tokens], {"tokens": tokens}]
    forms.append(lambda: ([row[np.newaxis]] for row in tokens))
    for form in forms:
        np.testing.assert_array_equal(as_samples(one, form)["tokens"], tokens)


def test_list_and_dict_for_two_inputs_are_the_same(two):
    samples = inputs_for(two)
    in_order = [samples[name] for name in as_samples(two, samples)]
    for name, array in as_samples(two, in_order).items():
        np.testing.assert_array_equal(array, samples[name])


def test_limit_takes_samples_from_everywhere(one):
    tokens = np.repeat(np.arange(30)[:, np.newaxis], TIMESTEPS, axis=1)
    taken = as_samples(one, tokens, limit=4)["tokens"][:, 0]
    assert taken[0] == 0 and taken[-1] == 29 and len(taken) == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((3, TIMESTEPS + 1), "int32"), "must have the shape"),
        (np.zeros((0, TIMESTEPS), "int32"), "at least one"),
        ([[1, 2], [3]], "ragged"),
        (np.array([["a"] * TIMESTEPS]), "must be numbers"),
        (np.full((2, TIMESTEPS), np.nan), "NaN"),
        ({"token": np.zeros((2, TIMESTEPS))}, "Did you mean 'tokens'"),
        (lambda: iter(()), "yielded nothing"),
    ],
)
def test_inputs_that_do_not_fit_are_one_clear_error(one, data, message):
    with pytest.raises(ExportError, match=message):
        as_samples(one, data)


def test_one_array_for_two_inputs_asks_for_a_dict(two):
    with pytest.raises(ExportError, match=r"dict with the keys 'tokens', 'sensor'|'sensor', 'tok"):
        as_samples(two, np.zeros((2, TIMESTEPS)))


def test_synthetic_tokens_are_in_the_vocabulary_and_of_all_lengths(one):
    tokens = synthetic_samples(one)["tokens"]
    assert tokens.max() < 40
    assert sorted({int((row != 0).sum()) for row in tokens})[0] == 1


def test_float_inputs_of_an_embedding_are_token_ids_too():
    import keras
    from keras import layers

    inputs = keras.Input((TIMESTEPS,))
    functional = keras.Model(inputs, layers.GRU(3)(layers.Embedding(40, 4)(inputs)))
    sequential = keras.Sequential(
        [keras.Input((TIMESTEPS,)), layers.Embedding(40, 4), layers.GRU(3)]
    )
    for model in (functional, sequential):
        (tokens,) = synthetic_samples(model).values()
        assert tokens.dtype == np.float32
        np.testing.assert_array_equal(tokens, tokens.round())
        assert tokens.min() == 0 and 1 < tokens.max() < 40


def test_another_backend_is_refused_with_the_way_out(one, monkeypatch):
    import keras

    from keras_rnn_zoo.export import export_saved_model, export_tflite

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for export in (export_tflite, export_saved_model):
        with pytest.raises(ExportError, match=r"on 'jax'.* KERAS_BACKEND to tensorflow"):
            export(one, "never_written")
