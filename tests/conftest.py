"""What all tests need before anything imports Keras."""

from __future__ import annotations

import os
import signal

# What the user of this machine chose for other programs must not decide about the tests.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# A shell starts background jobs deaf to Ctrl-C, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
