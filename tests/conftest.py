"""What all tests need before anything imports Keras."""

from __future__ import annotations

import os

# What the user of this machine chose for other programs must not decide about the tests.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
