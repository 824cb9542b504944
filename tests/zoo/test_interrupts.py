import signal

import keras
import numpy as np
import pytest

from keras_rnn_zoo.training.interrupts import between_batches

X, Y = np.zeros((12, 2), "float32"), np.zeros((12, 1), "float32")


class Sends(keras.callbacks.Callback):
    """Sends signals to this process in the middle of a batch."""

    def __init__(self, *times):
        super().__init__()
        self.times = list(times)
        self.began, self.survived = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.began.append(batch)
        for _ in range(self.times.count(batch)):
            signal.raise_signal(signal.SIGINT)
        self.survived.append(batch)


def fit(sends, **arguments):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with between_batches() as interrupts:
        model.fit(X, Y, batch_size=3, verbose=0, callbacks=[sends, interrupts], **arguments)


def test_an_interrupt_in_a_batch_comes_after_it():
    before = signal.getsignal(signal.SIGINT)
    sends = Sends(2)
    with pytest.raises(KeyboardInterrupt):
        fit(sends)
    assert sends.survived == sends.began == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_before_the_first_batch_ends_and_a_second_one_come_at_once():
    for sends, survived in ((Sends(0), []), (Sends(2, 2), [0, 1])):
        with pytest.raises(KeyboardInterrupt):
            fit(sends)
        assert sends.survived == survived


def test_an_interrupt_that_comes_after_the_last_batch_is_not_lost():
    class Late(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(Late())


def test_without_an_interrupt_nothing_changes():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    fit(Sends(), validation_data=(X, Y))
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert after == before
