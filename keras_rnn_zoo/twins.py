"""Weights carried between models that compute the same function by different means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError

if TYPE_CHECKING:
    import keras

# The settings of a cell that change what it computes from the same weights.
_ARITHMETIC = ("activation", "recurrent_activation", "use_bias", "reset_after")


@dataclass(frozen=True)
class _Part:
    """A layer or cell that holds weights."""

    name: str
    kind: str
    arithmetic: dict[str, Any]
    variables: list[Any]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(variable.shape) for variable in self.variables]


def transfer_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies the weights of a model into its twin, in either direction.

    Cells are matched in order, whether they sit in a `CellLoop`, in a `keras.layers.RNN` or in
    the recurrent layer of the same kind; everything else is matched layer by layer.

    Args:
        source: The model to copy from, e.g. `get_model("lstm_cell")`.
        target: The model to copy to, e.g. `get_model("lstm")`.

    Raises:
        ConfigError: The models are no twins; the message names the first parts that differ, and
            `target` is as it was.
    """
    ours, theirs = _parts(source), _parts(target)
    for mine, yours in zip(ours, theirs, strict=False):
        for what, a, b in (
            ("", mine.kind, yours.kind),
            ("weights of shape ", mine.shapes, yours.shapes),
            ("settings ", mine.arithmetic, yours.arithmetic),
        ):
            if a != b:
                raise ConfigError(
                    f"The models are no twins: '{mine.name}' of '{source.name}' has {what}{a}, "
                    f"and '{yours.name}' of '{target.name}' has {what}{b}. Build both with the "
                    "same config."
                )
    if len(ours) != len(theirs):
        raise ConfigError(
            f"The models are no twins: '{source.name}' has {len(ours)} parts with weights, and "
            f"'{target.name}' has {len(theirs)}. Build both with the same config."
        )
    for mine, yours in zip(ours, theirs, strict=True):
        for a, b in zip(mine.variables, yours.variables, strict=True):
            b.assign(np.asarray(a))


def _parts(model: keras.Model) -> list[_Part]:
    return [part for layer in model.layers for part in _parts_of(layer)]


def _parts_of(layer: Any) -> list[_Part]:
    import keras

    from keras_rnn_zoo.layers import CellLoop

    if isinstance(layer, keras.Model):
        return _parts(layer)
    if isinstance(layer, keras.layers.Bidirectional):
        return _parts_of(layer.forward_layer) + _parts_of(layer.backward_layer)
    if isinstance(layer, CellLoop):
        return [_part(cell) for cell in layer.cells]
    if isinstance(layer, keras.layers.RNN):
        cell = layer.cell
        stacked = isinstance(cell, keras.layers.StackedRNNCells)
        return [_part(inner) for inner in (cell.cells if stacked else [cell])]
    return [_part(layer)] if layer.weights else []


def _part(layer: Any) -> _Part:
    config = layer.get_config()
    arithmetic = {key: config[key] for key in _ARITHMETIC if key in config}
    return _Part(layer.name, type(layer).__name__, arithmetic, list(layer.weights))
