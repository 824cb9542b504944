"""float32 throughout."""

from __future__ import annotations

from keras_rnn_zoo.export.gate import Weight
from keras_rnn_zoo.export.quantization._base import Quantization, register_quantization
from keras_rnn_zoo.export.verification import Tolerance


@register_quantization("none")
class NoQuantization(Quantization):
    """The weights and the arithmetic of the Keras model."""

    file_name = "model.tflite"
    description = "float32 weights and arithmetic"
    tolerance = Tolerance(
        output=5e-5,
        logit=1e-4,
        reason="the same float32 arithmetic in another order, over hundreds of steps that can "
        "amplify a rounding. Measured on a trained BiLSTM of 200 steps, logits up to 4.3: Keras "
        "itself is up to 5.1e-5 from float64 arithmetic, and the file up to 2.4e-6",
    )

    def why_float32(self, weight: Weight) -> None:
        """Nothing to say: float32 is the mode."""
