"""The states that are carried from one call to the next, and where a call gets them from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from keras_rnn_zoo.export.keras_model.signature import InputSpec
from keras_rnn_zoo.export.lowering.cells import LSTM, Cell, Chain


@dataclass(frozen=True)
class State:
    """A state that is carried from one call to the next.

    Attributes:
        name: Of the input and of the output: `"<layer>/h"`.
        layer: The layer's place in the model.
        call: How often the layer was called before.
        shape: With the batch.
        start: What it is before the first step, flat; None for zeros.
    """

    name: str
    layer: int
    call: int
    shape: tuple[int, ...]
    start: tuple[float, ...] | None = None

    def at_start(self) -> np.ndarray:
        """Returns what it is before the first step, float32."""
        if self.start is None:
            return np.zeros(self.shape, np.float32)
        return np.array(self.start, np.float32).reshape(self.shape)


def some_steps(spec: InputSpec, steps: int) -> InputSpec:
    """Returns an input of some time steps."""
    return replace(spec, shape=(spec.shape[0], steps, *spec.shape[2:]))


def name_of(path: str, call: int, letter: str) -> str:
    """Returns the name of a state of a call of a layer."""
    return "/".join((path, *([str(call)] if call else []), letter))


def states_of(
    path: str, place: int, call: int, cell: Cell, batch: int, masked_features: int | None = None
) -> list[State]:
    """Returns the states of a call: h and c of an LSTM, h of others, with numbers where several.

    Args:
        path: Path of the layer.
        place: Its place in the model.
        call: How often it was called before.
        cell: What runs there.
        batch: Sequences at once.
        masked_features: Where steps may be masked, how many numbers each reads: a masked step
            repeats the output before, which cells other than Keras' do not have among their states.
    """
    cells = cell.cells if isinstance(cell, Chain) else (cell,)
    start = [np.asarray(one, np.float32) for one in cell.initial_states(batch)]
    found: list[State] = []
    for number, one in enumerate(cells):
        letters = ["h", "c"] if isinstance(one, LSTM) else ["h"]
        for index in range(len(one.state_shapes)):
            letter = letters[index] if index < len(letters) else f"h{index}"
            if len(cells) > 1:
                letter = f"{number}/{letter}"
            values = start[len(found)]
            zeros = not values.any()
            flat = None if zeros else tuple(map(float, values.ravel()))
            found.append(State(name_of(path, call, letter), place, call, values.shape, flat))
    if masked_features is not None and cell.output_state is None:
        shape = (batch, *cell.output_shape(masked_features))
        found.append(State(name_of(path, call, "output"), place, call, shape))
    return found
