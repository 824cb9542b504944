"""What the tests have happen inside a trial: functions that return callbacks, named to a search."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

import keras


def eager():
    """Tracing a graph takes longer than training these models for an epoch; so does timing."""
    import tensorflow as tf

    from keras_rnn_zoo.export.tflite import latency

    latency.MAX_REPEATS = 200
    tf.config.run_functions_eagerly(True)
    return []


class _AtGru(keras.callbacks.Callback):
    """Acts when the training of a GRU begins; an RNN trains as ever."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def on_train_begin(self, logs=None):
        if self.model.name == "gru":
            self.action(self.model)


def _at_gru(action):
    return [*eager(), _AtGru(action)]


def fails():
    def fail(_):
        raise ValueError("too warm\nin here")

    return _at_gru(fail)


def killed():
    return _at_gru(lambda _: os.kill(os.getpid(), signal.SIGKILL))


def crashes():
    return _at_gru(lambda _: ctypes.string_at(0))


def exits():
    return _at_gru(lambda _: os._exit(3))


def hangs():
    return _at_gru(lambda _: time.sleep(600))


def lacks_memory():
    def fail(_):
        raise MemoryError

    return _at_gru(fail)


def finds_the_disk_full():
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    keras.Model.save_weights = full
    return eager()


def poisons():
    import numpy as np

    return _at_gru(lambda model: model.set_weights([w * np.nan for w in model.get_weights()]))


def diverges():
    class Diverging(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if self.model.name == "gru":
                logs["val_loss"] = [1.0, 2.0, 400.0, 1.0, 1.0][epoch]

    return [Diverging(), *eager()]


def listens():
    """Leaves the process id of every trial in a directory that the environment names."""

    class Listening(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            (Path(os.environ["TRIAL_PIDS"]) / str(os.getpid())).touch()

        def on_epoch_end(self, epoch, logs=None):
            time.sleep(float(os.environ.get("TRIAL_SLEEP", "0")))

    return [Listening(), *eager()]


def listens_and_fails():
    return [*listens(), *fails()]


def held(place):
    """Keeps every trial after its first epoch until there is a file `go on`; says who runs."""
    import ray

    class Holding(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                with (place / "runs").open("a") as stream:
                    stream.write(f"{os.getpid()} {ray.get_runtime_context().get_node_id()}\n")
                while not (place / "go on").exists():
                    time.sleep(0.05)

    return [Holding(), *eager()]
