"""What the stacked families share: the same recurrence as a loop over cells, and as layers.

They follow the sentiment models of a well-known TensorFlow textbook: reviews of 80 words, an
embedding of 100, two recurrences of 64 units, dropout 0.5 on their inputs, one sigmoid. The
textbook pads on the left without a mask: `mask=False` and left padding are that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from keras_rnn_zoo.builder import ModelBuilder

if TYPE_CHECKING:
    import keras


class StackedCells(ModelBuilder):
    """Keras cells in a Python loop, time step by time step."""

    cell: ClassVar[str]
    """Name of the class in `keras.layers`."""

    def recurrence(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Runs the sequence through all cells, one time step after the other."""
        from keras import layers

        from keras_rnn_zoo.layers import CellLoop

        cell = getattr(layers, self.cell)
        cells = [
            cell(self.config["units"], dropout=self.config["dropout"])
            for _ in range(self.config["layers"])
        ]
        return CellLoop(cells, return_sequences=self.per_timestep)(x)


class StackedLayers(ModelBuilder):
    """Keras' recurrent layers, one upon the other."""

    layer: ClassVar[str]
    """Name of the class in `keras.layers`."""
    any_length = True

    def recurrence(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Runs the sequence through one layer after the other."""
        from keras import layers

        layer = getattr(layers, self.layer)
        for number in range(self.config["layers"]):
            last = number == self.config["layers"] - 1
            x = layer(
                self.config["units"],
                dropout=self.config["dropout"],
                return_sequences=self.per_timestep or not last,
            )(x)
        return x
