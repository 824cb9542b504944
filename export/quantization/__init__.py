"""Quantization modes: what becomes of weights and arithmetic; one file each, self-registering."""

from keras_rnn_zoo.export.quantization.quantization import (
    QUANTIZATIONS,
    Quantization,
    register_quantization,
)

__all__ = ["QUANTIZATIONS", "Quantization", "register_quantization"]
