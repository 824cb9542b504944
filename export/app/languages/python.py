"""Python with numpy and ai-edge-litert alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from keras_rnn_zoo.export.app.app import App, File
from keras_rnn_zoo.export.app.language import (
    Classifier,
    Language,
    register_language,
    rendered,
)


@register_language("python")
class Python(Language):
    """One module."""

    description = "numpy and ai-edge-litert (or tflite-runtime)"
    usage = "pip install numpy ai-edge-litert && python app/python/model.py INPUT"
    several: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    classifier: ClassVar[Classifier] = Classifier(
        "MediaPipe (mediapipe of PyPI)",
        'pip install mediapipe && python app/python/model.py "a text"',
        "model.py",
    )

    def usable(self, app: App) -> list[File]:
        """Files of any type: NumPy has them all."""
        return [file for file in app.files if self.carries(file)]

    def files(self, app: App) -> Mapping[str, str]:
        """Returns `model.py`."""
        return {"model.py": rendered("model.py.jinja", app)}
