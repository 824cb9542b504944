"""LSTM (Hochreiter and Schmidhuber, 1997), stacked: as a loop over cells and as layers."""

from __future__ import annotations

from keras_rnn_zoo.builder import register_model
from keras_rnn_zoo.models._stacked import StackedCells, StackedLayers


@register_model
class LSTMCells(StackedCells):
    """Stacked LSTMCells in a Python loop over the time steps."""

    name = "lstm_cell"
    description = "LSTM as a Python loop over Keras cells, two stacked"
    cell = "LSTMCell"
    twin = "lstm"


@register_model
class LSTMLayers(StackedLayers):
    """Stacked LSTM layers."""

    name = "lstm"
    description = "LSTM layers, two stacked"
    layer = "LSTM"
    twin = "lstm_cell"
