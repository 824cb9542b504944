"""Where quantization looks into a model: named sites for activations and weights.

A lowering, or a rewritten layer, passes what may be quantized through a tap. The plain tap hands
it back; the one of the calibration records its range; the one of the int8 mode inserts the
fake-quantization that the converter turns into integer arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Tensor = Any


class Tap:
    """The plain tap: nothing is quantized.

    Attributes:
        quantizes: Activations and weights are rounded, or will be.
        rows: Rows that one matrix product should have, where there is a choice: what the kernels
            of the interpreter do at once. Those of XNNPACK for float32 take 4 to 7, and of a
            smaller last part as long as of a full one.
        weight_bytes: Bytes of a weight in the memory that a product reads it from.
        shares_inputs: Two products of one input cost more than one of both kernels and a SPLIT.
    """

    quantizes = False
    rows = 7
    weight_bytes = 4
    shares_inputs = False

    def activation(
        self, site: str, tensor: Tensor, bounds: tuple[float, float] | None = None
    ) -> Tensor:
        """Returns the float32 `tensor`, or what takes its place.

        Args:
            site: Its name: the same in calibration and in conversion.
            tensor: What passes here.
            bounds: The range that it cannot leave, where there is one.
        """
        return tensor

    def weight(self, site: str, value: np.ndarray) -> Tensor:
        """Returns the float32 constant `value`, or what takes its place."""
        import tensorflow as tf

        return tf.constant(value)
