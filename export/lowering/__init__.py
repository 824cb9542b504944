"""Ways to express a recurrence in TFLite's builtin ops; one file each, self-registering."""

from keras_rnn_zoo.export.lowering.products import FLOAT, HYBRID, INTEGER, Products
from keras_rnn_zoo.export.lowering.recurrence import LOWERINGS, Lowering, register_lowering

__all__ = [
    "FLOAT",
    "HYBRID",
    "INTEGER",
    "LOWERINGS",
    "Lowering",
    "Products",
    "register_lowering",
]
