"""SimpleRNN (Elman, 1990), stacked: as a loop over cells and as layers."""

from __future__ import annotations

from keras_rnn_zoo.builder import register_model
from keras_rnn_zoo.models._stacked import StackedCells, StackedLayers


@register_model
class SimpleRNNCells(StackedCells):
    """Stacked SimpleRNNCells in a Python loop over the time steps."""

    name = "rnn_cell"
    description = "SimpleRNN as a Python loop over Keras cells, two stacked"
    cell = "SimpleRNNCell"
    twin = "rnn"


@register_model
class SimpleRNNLayers(StackedLayers):
    """Stacked SimpleRNN layers."""

    name = "rnn"
    description = "SimpleRNN layers, two stacked"
    layer = "SimpleRNN"
    twin = "rnn_cell"
