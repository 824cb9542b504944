"""Quantization modes: what becomes of weights and arithmetic; one file each, self-registering.

A new file in `modes/`, or an entry point in the group `keras_rnn_zoo.quantizations`, is a new mode.
"""

from keras_rnn_zoo.export.quantization.quantization import (
    QUANTIZATIONS,
    Quantization,
    held_quantization,
    register_quantization,
    roundings,
)

__all__ = [
    "QUANTIZATIONS",
    "Quantization",
    "held_quantization",
    "register_quantization",
    "roundings",
]
