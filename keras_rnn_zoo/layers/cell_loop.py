"""A Python loop over Keras cells as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rnn_zoo")
class CellLoop(keras.layers.Layer):  # type: ignore[misc]
    """Runs a sequence through cells, time step by time step, in a Python loop.

    It computes what `keras.layers.RNN(cells)` computes, masks included: a masked step leaves the
    states as they are and repeats the last output (zero before the first step that counts). The
    loop is unrolled while the model is traced, so the number of time steps must be known.

    Args:
        cells: A Keras cell (`SimpleRNNCell`, `LSTMCell`, `GRUCell`, or one of the same protocol:
            `call(inputs, states) -> output, states`, `state_size`), or a list of them; each reads
            the output of the one before.
        return_sequences: Whether to return the outputs of all time steps.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        sequences: float `[batch, timesteps, features]`, the time steps fixed.
        mask: bool `[batch, timesteps]`, true where a step counts.
        training: Whether the cells' dropout is active.

    Returns:
        `[batch, timesteps, units]` with `return_sequences`, else `[batch, units]`; of the last
        cell.

    Raises:
        ValueError: No cells, something that is no cell, or an open number of time steps.
    """

    def __init__(self, cells: Any, return_sequences: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.cells = list(cells) if isinstance(cells, Sequence) else [cells]
        if not self.cells:
            raise ValueError("CellLoop takes a cell or a list of cells. Received: cells=[]")
        for cell in self.cells:
            if not (callable(cell) and hasattr(cell, "state_size")):
                raise ValueError(
                    "Every cell of a CellLoop is a Keras cell, with a call and a state_size. "
                    f"Received: {cell!r}"
                )
        self.return_sequences = return_sequences
        self.supports_masking = True
        # XLA compiles an unrolled loop for minutes; TensorFlow's own graph takes seconds.
        self.supports_jit = False

    def build(self, sequences_shape: Any) -> None:
        """Builds each cell on the width of what it reads."""
        batch, timesteps, width = sequences_shape
        if timesteps is None:
            raise ValueError(
                f"Layer '{self.name}' loops over a fixed number of time steps. Give the model's "
                f"Input one. Received: shape {tuple(sequences_shape)}"
            )
        for cell in self.cells:
            if not cell.built:
                cell.build((batch, width))
                cell.built = True
            width = _output_size(cell)
        self.built = True

    def call(self, sequences: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Runs the loop; see the class."""
        batch = ops.shape(sequences)[0]
        states = [_initial_states(cell, batch) for cell in self.cells]
        last = ops.zeros((batch, _output_size(self.cells[-1])), dtype=self.compute_dtype)
        outputs = []
        self._forget_dropout()
        for time in range(sequences.shape[1]):
            output = sequences[:, time]
            new_states = []
            for cell, state in zip(self.cells, states, strict=True):
                output, state = _step(cell, output, state, training)
                new_states.append(state)
            if mask is not None:
                counts = mask[:, time, None]
                output = ops.where(counts, output, last)
                new_states = [
                    [ops.where(counts, n, o) for n, o in zip(new, old, strict=True)]
                    for new, old in zip(new_states, states, strict=True)
                ]
            states, last = new_states, output
            outputs.append(output)
        self._forget_dropout()
        return ops.stack(outputs, axis=1) if self.return_sequences else last

    def _forget_dropout(self) -> None:
        """One dropout mask covers all time steps of a call, and the next call draws another."""
        for cell in self.cells:
            if hasattr(cell, "reset_dropout_mask"):
                cell.reset_dropout_mask()
                cell.reset_recurrent_dropout_mask()

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Returns the mask of the output: that of the input, if there are time steps left."""
        return mask if self.return_sequences else None

    def compute_output_shape(self, sequences_shape: Any) -> tuple[int | None, ...]:
        """Returns the shape of the output."""
        units = _output_size(self.cells[-1])
        return (*sequences_shape[: 2 if self.return_sequences else 1], units)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        cells = [keras.saving.serialize_keras_object(cell) for cell in self.cells]
        return {**super().get_config(), "cells": cells, "return_sequences": self.return_sequences}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> CellLoop:
        """Returns the layer that `get_config` describes."""
        cells = [
            keras.saving.deserialize_keras_object(cell, custom_objects=custom_objects)
            for cell in config["cells"]
        ]
        return cls(**{**config, "cells": cells})


def _sizes(cell: Any) -> list[int]:
    size = cell.state_size
    return list(size) if isinstance(size, (list, tuple)) else [size]


def _output_size(cell: Any) -> int:
    return int(getattr(cell, "output_size", None) or _sizes(cell)[0])


def _initial_states(cell: Any, batch: Any) -> list[Any]:
    if hasattr(cell, "get_initial_state"):
        states = cell.get_initial_state(batch_size=batch)
        return list(states) if isinstance(states, (list, tuple)) else [states]
    return [ops.zeros((batch, size), dtype=cell.compute_dtype) for size in _sizes(cell)]


def _step(cell: Any, inputs: Any, states: list[Any], training: bool | None) -> tuple[Any, Any]:
    # As keras.layers.RNN: a cell with one state gets it in a list like the others.
    if cell._call_has_training_arg:
        output, new = cell(inputs, states, training=training)
    else:
        output, new = cell(inputs, states)
    return output, list(new) if isinstance(new, (list, tuple)) else [new]
