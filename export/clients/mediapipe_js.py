"""MediaPipe's classifier of texts in a browser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from keras_rnn_zoo.export.clients.browser import BrowserClient
from keras_rnn_zoo.export.clients.client import Installed, register_client
from keras_rnn_zoo.export.clients.texts import TextClient


@register_client("mediapipe_js")
class MediaPipeJs(TextClient, BrowserClient):
    """`TextClassifier` of `@mediapipe/tasks-text` on WebAssembly."""

    description = "TextClassifier of MediaPipe in a browser (headless Chromium)"
    package: ClassVar[str] = "@mediapipe/tasks-text"
    script: ClassVar[str] = "mediapipe_js"
    imports: ClassVar[Mapping[str, str]] = {
        "@mediapipe/tasks-text": "@mediapipe/tasks-text/text_bundle.mjs"
    }
    install: ClassVar[str] = (
        "npm install --prefix {folder} @mediapipe/tasks-text && sudo apt install chromium"
    )

    def scores(
        self, installed: Installed, content: bytes, texts: Sequence[str]
    ) -> tuple[np.ndarray, list[str]]:
        """See `TextClient.scores`."""
        files = {"/model.tflite": content, "/texts.json": json.dumps(list(texts)).encode()}
        said, received = self.visited(installed, files)
        scores = np.frombuffer(received["/y_0"], np.float32)
        return scores.reshape(len(texts), -1), said["labels"]
