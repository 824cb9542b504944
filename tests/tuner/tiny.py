"""A search that takes a second or two, here and in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sys

import numpy as np

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.tuner import search


def tiny_data(task="binary", rows=60, seed=0):
    """Sequences of 3 steps of 2 features, whose mean the label tells."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 3, 2)).astype(np.float32)
    means = x.mean(axis=(1, 2))
    y = means.astype(np.float32) if task == "regression" else (means > 0).astype(np.int64)
    return Dataset("tiny", "features", Split(x, y))


def rnn_space(hp):
    return {"units": hp.Choice("units", [2, 3])}


def gru_space(hp):
    return {"units": hp.Int("units", 2, 4), "dropout": hp.Choice("dropout", [0.0, 0.2])}


SPACES = {"rnn": rnn_space, "gru": gru_space}
ROWS = {"train": 38, "validation": 10, "test": 12}


def run_search(**changes):
    """Searches `rnn` and `gru` in four trials of two epochs, or Hyperband's one and three."""
    arguments = {
        "models": ["rnn", "gru"],
        "data": tiny_data(),
        "spaces": SPACES,
        "config": {"layers": 1},
        "max_trials": 4,
        "epochs": 3 if changes.get("tuner") == "hyperband" else 2,
        "patience": 3,
        "batch_size": 64,
        "validation_split": 0.2,
        "progress": False,
        **changes,
    }
    return search(arguments.pop("models"), arguments.pop("data"), **arguments)


def at_fit(number, action):
    """Returns a callback that acts in the first epoch of the n-th training."""
    import keras

    class AtFit(keras.callbacks.Callback):
        fits = 0

        def on_epoch_end(self, epoch, logs=None):
            if epoch == self.params.get("initial_epoch", epoch) and self.model is not self.seen:
                self.seen = self.model
                self.fits += 1
                if self.fits == number:
                    action()

        seen = None

    return AtFit()


def comparable(directory):
    """Returns what two searches that are the same have in common."""
    trials = json.loads((directory / "trials.json").read_text())
    return [{**trial, "seconds": None} for trial in trials]


if __name__ == "__main__":
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    _, place, name, when = sys.argv
    kill = at_fit(int(when), lambda: os.kill(os.getpid(), signal.SIGKILL))
    run_search(output=place, tuner=name, callbacks=[kill])
