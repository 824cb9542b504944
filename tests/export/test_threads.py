"""Nothing in the user's model changes while it is exported, so several threads may export it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers

from keras_rnn_zoo.export import export_saved_model, export_tflite

MODES = ["none", "int8"]


class Tagger(keras.Model):
    """A model with a call of its own, half its layers in lists."""

    def __init__(self):
        super().__init__(name="tagger")
        half = {"dtype": "mixed_float16"}
        self.embedding = layers.Embedding(40, 8, mask_zero=True, **half)
        self.recurrent = [
            layers.Bidirectional(layers.LSTM(6, return_sequences=True, **half), **half),
            layers.GRU(5, return_sequences=True, **half),
        ]
        self.heads = {"tags": layers.Dense(3, activation="softmax", dtype="float32")}

    def call(self, tokens):
        x = self.embedding(tokens)
        for layer in self.recurrent:
            x = layer(x)
        return self.heads["tags"](x)


def subclassed():
    model = Tagger()
    model(np.ones((1, 9), "int32"))
    return model


def stateful_with_odd_names():
    """Names that TensorFlow does not take, and states that an export leaves out."""
    x = keras.Input(batch_shape=(1, 9), dtype="int32", name="word ids")
    y = layers.Embedding(40, 8, name="the table")(x)
    y = layers.LSTM(6, stateful=True, name="été", return_sequences=True)(y)
    return keras.Model(x, layers.Dense(2, name="2 answers")(layers.SimpleRNN(4)(y)))


MODELS = {make.__name__: make for make in (subclassed, stateful_with_odd_names)}


def tokens():
    return np.random.default_rng(0).integers(1, 40, (24, 9)).astype("int32")


def state_of(model):
    """All attributes of all layers, by identity, and what the weights hold."""
    return (
        [
            {name: id(value) for name, value in vars(layer).items()}
            for layer in model._flatten_layers()
        ],
        [list(getattr(layer, "_inbound_nodes", ())) for layer in model._flatten_layers()],
        [np.array(variable).tobytes() for variable in model.variables],
        keras.config.dtype_policy().name,
    )


@pytest.mark.parametrize("make", MODELS)
def test_one_model_is_exported_from_two_threads_at_once_as_from_one_after_the_other(make, tmp_path):
    model, x = MODELS[make](), tokens()

    def export(place, mode):
        path = tmp_path / place / f"{mode}.tflite"
        result = export_tflite(
            model, path, quantization=mode, samples=x, representative_data=x, progress=False
        )
        return path.read_bytes(), result.plan, result.notes

    for place in ("alone", "together"):
        (tmp_path / place).mkdir()
    alone = [export("alone", mode) for mode in MODES]
    before, seen, ended = state_of(model), [], threading.Event()

    def watch():
        while not ended.is_set():
            seen.append(state_of(model) == before)
            time.sleep(0.002)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with ThreadPoolExecutor(2) as threads:
            together = list(threads.map(lambda mode: export("together", mode), MODES))
    finally:
        ended.set()
        watching.join()
    assert together == alone
    # What a change in between would have shown.
    assert len(seen) > 100 and all(seen)


@pytest.mark.parametrize("make", MODELS)
def test_a_saved_model_leaves_the_model_as_it_was(make, tmp_path):
    model = MODELS[make]()
    before = state_of(model)
    export_saved_model(model, tmp_path / "saved", samples=tokens()[:1])
    assert state_of(model) == before


def test_the_watch_notices_a_change():
    model = stateful_with_odd_names()
    before = state_of(model)
    model.layers[2].stateful = False
    assert state_of(model) != before
