"""The interpreter of LiteRT, which was TensorFlow Lite."""

from __future__ import annotations

from typing import ClassVar

from keras_rnn_zoo.export.targets.target import Target, register_target


@register_target("litert")
class LiteRT(Target):
    """`Interpreter` in Python, Java, Swift and C++: it runs all builtin ops."""

    description = "the Interpreter of LiteRT and TensorFlow Lite: runs everything"
    resizes: ClassVar[bool] = True
