"""Ways to express a recurrence in TFLite's builtin ops; one file each, self-registering.

A new file in `lowerings/`, or an entry point in the group `keras_rnn_zoo.lowerings`, is a new way.
"""

from keras_rnn_zoo.export.lowering.cells import Cell, Chain
from keras_rnn_zoo.export.lowering.chaining import one_by_one
from keras_rnn_zoo.export.lowering.products import FLOAT, HALF, HYBRID, INTEGER, Products
from keras_rnn_zoo.export.lowering.reading import choose, projector
from keras_rnn_zoo.export.lowering.recurrence import (
    LOWERINGS,
    Lookup,
    Lowering,
    Result,
    Sequence,
    register_lowering,
)

__all__ = [
    "FLOAT",
    "HALF",
    "HYBRID",
    "INTEGER",
    "LOWERINGS",
    "Cell",
    "Chain",
    "Lookup",
    "Lowering",
    "Products",
    "Result",
    "Sequence",
    "choose",
    "one_by_one",
    "projector",
    "register_lowering",
]
