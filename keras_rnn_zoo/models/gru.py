"""GRU (Cho et al., 2014), stacked: as a loop over cells and as layers."""

from __future__ import annotations

from keras_rnn_zoo.builder import register_model
from keras_rnn_zoo.models._stacked import StackedCells, StackedLayers


@register_model
class GRUCells(StackedCells):
    """Stacked GRUCells in a Python loop over the time steps."""

    name = "gru_cell"
    description = "GRU as a Python loop over Keras cells, two stacked"
    cell = "GRUCell"
    twin = "gru"


@register_model
class GRULayers(StackedLayers):
    """Stacked GRU layers."""

    name = "gru"
    description = "GRU layers, two stacked"
    layer = "GRU"
    twin = "gru_cell"
