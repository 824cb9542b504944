"""Keras layers of our own, registered for serialization when this package is imported."""

from keras_rnn_zoo.layers.cell_loop import CellLoop as CellLoop

__all__ = ["CellLoop"]
