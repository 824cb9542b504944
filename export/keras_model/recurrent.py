"""The layers of a model, and which of them are recurrent."""

from __future__ import annotations

from typing import Any


def layers_of(model: Any) -> list[Any]:
    """Every layer at every depth, each once, recurrent layers' own parts left out."""
    found: dict[int, Any] = {}

    def visit(layer: Any) -> None:
        if id(layer) in found:
            return
        found[id(layer)] = layer
        if not is_recurrent(layer):
            for inner in layer._layers:
                visit(inner)

    visit(model)
    return list(found.values())


def inside_time_distributed(layers: list[Any]) -> list[Any]:
    """Returns the layers that run for each time step by itself, at any depth.

    Args:
        layers: Those of a model, as `layers_of` returns them.
    """
    import keras

    return [
        inner
        for layer in layers
        if type(layer) is keras.layers.TimeDistributed
        for inner in layers_of(layer.layer)
    ]


def path_of(layer: Any) -> str:
    """Returns the path of a layer in its model, which messages and reports name."""
    return str(getattr(layer, "path", None) or layer.name)


def is_recurrent(layer: Any) -> bool:
    """Whether a layer runs Keras cells, or a cell loop, over a sequence as Keras itself does."""
    from keras import layers

    from keras_rnn_zoo.layers import CellLoop

    # A subclass with a call of its own computes something that we cannot know.
    known = (layers.RNN, layers.SimpleRNN, layers.LSTM, layers.GRU, CellLoop)
    return isinstance(layer, known) and type(layer).call in {kind.call for kind in known}


def cells_of(layer: Any) -> list[Any]:
    """The Keras cells of a recurrent layer, from the input to the output."""
    from keras import layers

    if not isinstance(layer, layers.RNN):
        return list(layer.cells)
    if type(layer.cell) is layers.StackedRNNCells:
        return list(layer.cell.cells)
    return [layer.cell]
