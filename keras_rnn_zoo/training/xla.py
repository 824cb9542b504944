"""Whether a training on a CPU is compiled with XLA, which Keras does on its own on GPUs alone.

A time step of a small recurrence is a dozen operations of a few microseconds, and TensorFlow takes
longer to start each than to carry it out. XLA makes one function of the whole loop, forwards and
backwards, which takes it seconds, once for each shape of a batch. So it pays for long trainings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

LEAST_STEPS, LEAST_TIMESTEPS = 40_000, 20
"""Time steps of all batches of a training together from which compiling pays, and those of a row:
what is saved is between time steps, and not between batches. As measured: docs/training.md."""

SAVED = 0.35
"""Part of a training's time that compiling saves, roughly. It is compiled for one length of rows:
batches without padding, of many lengths, are not, and have to save as much."""

KNOWN = ("keras", "keras_rnn_zoo")
"""Packages whose layers XLA compiles."""


def pays(model: keras.Model, timesteps: int, batches: int) -> bool:
    """Whether a training is faster with XLA, the time that it takes to compile included.

    It hangs on what is asked alone, and not on how fast this machine is at the moment: sums are
    rounded otherwise, and the same seed is to train the same model.

    Args:
        model: To be trained.
        timesteps: Of a row.
        batches: Of all epochs together.
    """
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.config import is_op_determinism_enabled  # as Keras asks it

    layers = list(model._flatten_layers())
    gated = (keras.layers.LSTM, keras.layers.GRU)
    return (
        timesteps >= LEAST_TIMESTEPS
        and timesteps * batches >= LEAST_STEPS
        and not tf.config.list_physical_devices("GPU")
        and not is_op_determinism_enabled()
        and all(_compiles(layer) for layer in layers)
        # Those with which it was measured to win.
        and any(isinstance(layer, gated) for layer in layers)
        and not any(isinstance(layer, keras.layers.Conv1D) for layer in layers)
    )


def _compiles(layer: keras.layers.Layer) -> bool:
    return layer.supports_jit and type(layer).__module__.partition(".")[0] in KNOWN


@contextmanager
def compiled(model: keras.Model) -> Iterator[None]:
    """Has a compiled model be trained, evaluated and asked with XLA.

    Args:
        model: Of which `pays` is true.
    """
    model.jit_compile = True
    try:
        yield
    finally:
        model.jit_compile = False
        # What was made with XLA would be compiled anew for each size of a batch.
        model.train_function = model.test_function = model.predict_function = None
