"""MediaPipe's and the Task Library's classifiers of texts, in Python."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from keras_rnn_zoo.export.clients.client import Installed, register_client, run_command
from keras_rnn_zoo.export.clients.python import PythonClient
from keras_rnn_zoo.export.clients.texts import TextClient


class PythonTextClient(TextClient, PythonClient):
    """A package of Python that classifies texts."""

    script: ClassVar[str] = "_text_classifier_process"

    def scores(
        self, installed: Installed, content: bytes, texts: Sequence[str]
    ) -> tuple[np.ndarray, list[str]]:
        """See `TextClient.scores`."""
        with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
            file = Path(scratch) / "model.tflite"
            file.write_bytes(content)
            job = {"file": str(file), "interface": self.interface, "texts": list(texts)}
            command = [installed.place, Path(__file__).parent / f"{self.script}.py"]
            said, (scores,) = run_command(command, job, ())
        return scores, said["labels"]


@register_client("mediapipe")
class MediaPipe(PythonTextClient):
    """`TextClassifier` of MediaPipe's tasks."""

    description = "TextClassifier of MediaPipe, in Python"
    package: ClassVar[str] = "mediapipe"
    interface: ClassVar[str] = "mediapipe"
    install: ClassVar[str] = "python3 -m venv {folder} && {folder}/bin/pip install mediapipe"


@register_client("task_library")
class TaskLibrary(PythonTextClient):
    """`NLClassifier` of tflite-support, whose last version is 0.4.4, for Python 3.11 at most."""

    description = "NLClassifier of the TensorFlow Lite Task Library, in Python"
    target: ClassVar[str] = "task_library"
    package: ClassVar[str] = "tflite-support"
    interface: ClassVar[str] = "tflite_support"
    install: ClassVar[str] = (
        "python3.11 -m venv {folder} && {folder}/bin/pip install tflite-support==0.4.4 'numpy<2' "
        "&& sudo apt install libusb-1.0-0"
    )
