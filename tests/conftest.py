"""What all tests need before anything imports Keras."""

from __future__ import annotations

import gc
import os
import signal
import sys

# What the user of this machine chose for other programs must not decide about the tests.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# A shell starts background jobs deaf to Ctrl-C, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
