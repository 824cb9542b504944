"""int8 weights; activations are quantized as they come."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from keras_rnn_zoo.export.gate import Weight
from keras_rnn_zoo.export.quantization._base import Quantization, register_quantization
from keras_rnn_zoo.export.tap import Tap
from keras_rnn_zoo.export.verification import Tolerance

# The converter's own threshold, which no public option changes.
FEWEST_ELEMENTS = 1024


class HybridTap(Tap):
    """The plain tap, for XNNPACK's products of int8 weights.

    They take 4, 8 or 16 rows, and each quantizes its input for itself.
    """

    rows = 8
    weight_bytes = 1
    shares_inputs = True


@register_quantization("dynamic")
class Dynamic(Quantization):
    """Weights are int8; matrix products quantize their input on the fly and answer in float32.

    The converter leaves tensors of fewer than 1,024 elements in float32; they are reported.
    """

    file_name = "model_dynamic.tflite"
    description = "int8 weights, activations quantized on the fly: a quarter of the size"
    tolerance = Tolerance(
        output=None,
        logit=0.25,
        average=0.01,
        reason="weights and each product's inputs are rounded to 1/127 of their largest value; "
        "the recurrence carries the error along the sequence, and amplifies it on a few inputs",
    )
    converter_options: ClassVar[Mapping[str, Any]] = {"optimize": True}

    def tap(self, calibrate: Callable[[Tap], None]) -> Tap:
        """Returns a plain tap: nothing is calibrated."""
        return HybridTap()

    def why_float32(self, weight: Weight) -> str | None:
        """Says so where a weight is too small for the converter."""
        if math.prod(weight.shape) < FEWEST_ELEMENTS:
            return f"fewer than {FEWEST_ELEMENTS:,} elements, which the converter leaves in float32"
        return super().why_float32(weight)
