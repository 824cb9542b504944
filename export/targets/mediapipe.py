"""MediaPipe's text tasks."""

from __future__ import annotations

from typing import ClassVar

from keras_rnn_zoo.export.targets.target import Target, register_target


@register_target("mediapipe")
class MediaPipe(Target):
    """`TextClassifier` in Python and JavaScript, which opens files of one subgraph alone.

    It never resets the state of the LSTM op; the step that forgets in `lowering/fused.py` does.
    What is no LSTM, and int8, would fall back to a loop there, so `unrolled` comes first.
    """

    description = "MediaPipe tasks: takes one subgraph, so no loops"
    accepted: ClassVar[tuple[str, ...]] = ("unrolled", "fused")
    one_subgraph: ClassVar[bool] = True
