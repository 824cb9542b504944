"""The Task Library of TensorFlow Lite, which MediaPipe replaced."""

from __future__ import annotations

from keras_rnn_zoo.export.targets._text_classifier import TextClassifier
from keras_rnn_zoo.export.targets.target import register_target


@register_target("task_library")
class TaskLibrary(TextClassifier):
    """`NLClassifier` of tflite-support 0.4.4.

    It never resets the state of the LSTM op; the step that forgets in `lowering/fused.py` does.
    """

    description = "NLClassifier of the TensorFlow Lite Task Library: raw texts in, labels out"
