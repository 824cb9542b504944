"""Ways to express a recurrence in TFLite's builtin ops; one file each, self-registering."""

from keras_rnn_zoo.export.lowering._base import LOWERINGS, Lowering, register_lowering
from keras_rnn_zoo.export.lowering._products import FLOAT, HYBRID, INTEGER, Products

__all__ = [
    "FLOAT",
    "HYBRID",
    "INTEGER",
    "LOWERINGS",
    "Lowering",
    "Products",
    "register_lowering",
]
