"""How long a file takes for one input, in the process that runs files of any origin."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from keras_rnn_zoo.export.tflite.interpreter import Arrays, TFLiteModel
from keras_rnn_zoo.export.tflite.opened import open_model

# Calls are repeated for so long; the page does the same.
SECONDS = 0.05
T = TypeVar("T")


def repeated(call: Callable[[], T], seconds: float = SECONDS) -> tuple[T, float]:
    """Returns what a call returns, and its milliseconds: the mean, after a first one."""
    found = call()
    calls, start = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() < start + seconds:
        call()
        calls += 1
    return found, 1000 * (time.perf_counter() - start) / calls


@cache
def _open(path: str) -> TFLiteModel:
    return open_model(path)


def answer(path: str, x: Arrays) -> tuple[Any, list[Arrays]]:
    """Answers a sample; returns milliseconds of a call, and the outputs."""
    file = _open(path)
    (outputs,), milliseconds = repeated(lambda: file.answer(x))
    return milliseconds, [outputs]
