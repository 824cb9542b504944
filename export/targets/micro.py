"""Microcontrollers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from keras_rnn_zoo.export.targets.target import Target, register_target
from keras_rnn_zoo.export.tflite.contents import FileInfo


@register_target("micro")
class Micro(Target):
    """TensorFlow Lite Micro, whose kernels know fewer ops and types (tflite-micro of PyPI).

    It runs WHILE loops and the LSTM op, but not what our `loop` and `fused` put around them: their
    GATHER of token ids, and the SCATTER_ND that brings the steps that count to the front. Masks
    are truth values, which its UNPACK does not take.
    """

    description = "TensorFlow Lite Micro: fewer ops and types"
    accepted: ClassVar[tuple[str, ...]] = ("unrolled",)
    refused_quantizations: ClassVar[Mapping[str, str]] = {
        "dynamic": "it has no products of int8 weights and float32 inputs: the LSTM op answers NaN "
        "without an error, the others do not load",
        "float16": "it does not read float16 weights",
    }

    def refuses(self, info: FileInfo) -> str | None:
        """Says what its kernels lack; see `Target.refuses`."""
        if "UNPACK" in info.ops and "BOOL" in info.tensors:
            return "takes its mask apart (UNPACK of BOOL), and it does not: build with mask=False"
        return super().refuses(info)
