"""float16 weights, float32 arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from keras_rnn_zoo.export.quantization._base import Quantization, register_quantization
from keras_rnn_zoo.export.verification import Tolerance


@register_quantization("float16")
class Float16(Quantization):
    """Weights are stored as float16, half the size, and computed with as float32."""

    file_name = "model_float16.tflite"
    description = "float16 weights, float32 arithmetic: half the size"
    tolerance = Tolerance(
        output=1e-2,
        logit=2e-2,
        reason="rounding a weight to float16 moves it by up to 2**-11 of itself; sums over "
        "hundreds of weights and steps leave 1e-4 to 3e-3 of the largest logit",
    )
    converter_options: ClassVar[Mapping[str, Any]] = {"optimize": True, "float16": True}
