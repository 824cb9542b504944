"""Ways to express a recurrence in TFLite's builtin ops; one file each, self-registering."""

from keras_rnn_zoo.export.lowering._base import LOWERINGS, Lowering, register_lowering

__all__ = ["LOWERINGS", "Lowering", "register_lowering"]
