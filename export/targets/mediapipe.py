"""MediaPipe's text tasks."""

from __future__ import annotations

from typing import ClassVar

from keras_rnn_zoo.export.targets._text_classifier import TextClassifier
from keras_rnn_zoo.export.targets.target import register_target


@register_target("mediapipe")
class MediaPipe(TextClassifier):
    """`TextClassifier` in Python, JavaScript, Java and Swift: opens files of one subgraph alone.

    It never resets the state of the LSTM op; the step that forgets in `lowering/fused.py` does.
    What is no LSTM, and int8, is spelled out step by step: a loop would have subgraphs.
    """

    description = "MediaPipe's TextClassifier: raw texts in, labels out; takes no loops"
    accepted: ClassVar[tuple[str, ...]] = ("fused", "unrolled")
    fallback: ClassVar[str] = "unrolled"
    one_subgraph: ClassVar[bool] = True
