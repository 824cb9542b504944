"""Swift on iOS and macOS, with TensorFlowLiteSwift."""

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


@register_language("swift")
class Swift(Language):
    """One class."""

    description = "Interpreter of TensorFlowLiteSwift"
    usage = "copy Model.swift into your target, the files into its bundle"
    streams: ClassVar[bool] = True
    classifier: ClassVar[Classifier] = Classifier(
        "MediaPipe on iOS (the pod MediaPipeTasksText)",
        "copy Model.swift into your target, the files into its bundle",
        "Model.swift",
    )

    def files(self, app: App) -> Mapping[str, str]:
        """Returns `Model.swift`."""
        return {"Model.swift": rendered("Model.swift.jinja", app)}
