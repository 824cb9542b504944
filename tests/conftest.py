"""What all tests need before anything imports Keras."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import warnings

import pytest

# What the user of this machine chose for other programs must not decide about the tests.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# A shell starts background jobs deaf to Ctrl-C, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def few_calls():
    """Has files be timed for as many calls as a test needs, not for half a second each."""
    from keras_rnn_zoo.export.tflite import latency

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "MAX_REPEATS", 200)
        yield


@pytest.fixture(scope="session")
def eagerly():
    """Returns what has a training run without a graph: tracing one takes longer than few steps.

    That trainings run in a graph is for tests to say that do without this.
    """

    @contextlib.contextmanager
    def run_eagerly():
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
        try:
            with warnings.catch_warnings():
                # What reads the data is a graph all the same, and says so.
                warnings.filterwarnings("ignore", "Even though the `tf.config")
                yield
        finally:
            tf.config.run_functions_eagerly(False)

    return run_eagerly


@pytest.fixture
def eager(eagerly, recwarn):
    """Has everything in a test run eagerly; what TensorFlow warns of then is swallowed."""
    with eagerly():
        yield


_frozen = False


def pytest_runtest_teardown():
    """Has collections of garbage leave out what TensorFlow made when it was imported.

    To look through all of it each time takes a tenth of the suite's time.
    """
    global _frozen
    if not _frozen and "tensorflow" in sys.modules:
        _frozen = True
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
