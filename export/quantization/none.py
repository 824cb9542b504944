"""float32 throughout."""

from __future__ import annotations

from keras_rnn_zoo.export.quantization._base import Quantization, register_quantization
from keras_rnn_zoo.export.verification import Tolerance


@register_quantization("none")
class NoQuantization(Quantization):
    """The weights and the arithmetic of the Keras model."""

    file_name = "model.tflite"
    description = "float32 weights and arithmetic"
    tolerance = Tolerance(
        output=1e-5,
        logit=1e-5,
        reason="the same float32 arithmetic in another order: a few ulp a step, and gates and "
        "activations that contract rather than amplify them",
    )
