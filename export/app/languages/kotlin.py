"""Kotlin on Android, with LiteRT's Interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from keras_rnn_zoo.export.app.app import App
from keras_rnn_zoo.export.app.language import (
    Classifier,
    Language,
    register_language,
    rendered,
)


@register_language("kotlin")
class Kotlin(Language):
    """One class."""

    description = "org.tensorflow.lite.Interpreter of LiteRT 1.x (com.google.ai.edge.litert:litert)"
    usage = "copy Model.kt into your module, the files into assets/"
    streams: ClassVar[bool] = True
    classifier: ClassVar[Classifier] = Classifier(
        "MediaPipe on Android (com.google.mediapipe:tasks-text)",
        "copy Model.kt into your module, the files into assets/",
        "Model.kt",
    )

    def files(self, app: App) -> Mapping[str, str]:
        """Returns `Model.kt`."""
        return {"Model.kt": rendered("Model.kt.jinja", app)}
