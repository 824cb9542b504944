"""The interpreter of TensorFlow Lite, as a Raspberry Pi has it."""

from __future__ import annotations

from typing import ClassVar

from keras_rnn_zoo.export.clients.client import register_client
from keras_rnn_zoo.export.clients.python import Runtimes


@register_client("tflite_runtime")
class TFLiteRuntime(Runtimes):
    """`Interpreter` of tflite-runtime, whose last version is 2.14, for Python 3.11 at most."""

    description = "Interpreter of TensorFlow Lite up to 2.14, of many a Raspberry Pi"
    target: ClassVar[str] = "litert"
    package: ClassVar[str] = "tflite-runtime"
    script: ClassVar[str] = "_interpreter_process"
    interface: ClassVar[str] = "tflite_runtime"
    install: ClassVar[str] = (
        "python3.11 -m venv {folder} && {folder}/bin/pip install tflite-runtime==2.14.0 'numpy<2'"
    )
