"""Which models can be run one time step at a time, and the states that are carried between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.export.keras_model.observe import Observation
from keras_rnn_zoo.export.keras_model.recurrent import is_recurrent, path_of
from keras_rnn_zoo.export.keras_model.signature import InputSpec
from keras_rnn_zoo.export.lowering.cells import LSTM, Cell, Chain

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel

# Layers that make of each time step what they make of it alone.
EACH_STEP = (
    "Activation",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Dense",
    "Dropout",
    "ELU",
    "Embedding",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "LayerNormalization",
    "LeakyReLU",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Softmax",
    "SpatialDropout1D",
    "Subtract",
    "TimeDistributed",
)


@dataclass(frozen=True)
class State:
    """A state that is carried from one time step to the next.

    Attributes:
        name: Of the input and of the output: `"<layer>/h"`.
        layer: The layer's place in the model.
        call: How often the layer was called before.
        shape: With the batch.
    """

    name: str
    layer: int
    call: int
    shape: tuple[int, ...]


def why_not(model: KerasModel) -> str | None:
    """Says which layer keeps a model from being run step by step, why, and what to do; or None.

    What cannot be told from the layers, such as code of a model's own, shows when a file that was
    made is compared with the model.
    """
    from keras import layers

    for spec in model.inputs:
        if not _is_sequence(spec):
            return f"input '{spec.name}' has no time axis; give it to every step"
    for layer in model.layers:
        path, kind = path_of(layer), type(layer).__name__
        if isinstance(layer, layers.Bidirectional) or getattr(layer, "go_backwards", False):
            return f"layer '{path}' ({kind}) reads the sequence from its end; take one direction"
        if isinstance(layer, layers.RNN) and not is_recurrent(layer):
            return f"layer '{path}' ({kind}) has a loop of its own"
        if is_recurrent(layer):
            if getattr(layer, "return_state", False):
                return f"layer '{path}' ({kind}) hands its last states on; leave return_state out"
        elif kind not in EACH_STEP and _reads_sequence(layer):
            return (
                f"layer '{path}' ({kind}) looks at several time steps; put it behind a recurrent "
                "layer with return_sequences=False, or take it out"
            )
        elif _mixes(layer):
            return f"layer '{path}' ({kind}) works along the time axis; take the last axis"
    return None


def _is_sequence(spec: InputSpec) -> bool:
    return len(spec.shape) > 2 or (len(spec.shape) == 2 and "int" in spec.dtype)


def _reads_sequence(layer: Any) -> bool:
    """Whether a leaf layer takes a tensor of `[batch, time, ...]`."""
    from keras import layers

    if isinstance(layer, layers.InputLayer) or layer._layers:
        return False
    tensors = [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
    return any(len(tensor.shape) > 2 for tensor in tensors)


def _mixes(layer: Any) -> bool:
    """Whether a layer that could leave steps alone works along another axis than the last."""
    axis = getattr(layer, "axis", -1)
    if not _reads_sequence(layer) or not isinstance(axis, int | list | tuple):
        return False
    axes = [axis] if isinstance(axis, int) else list(axis)
    rank = max(len(t.shape) for node in layer._inbound_nodes for t in node.input_tensors)
    return any(one not in (-1, rank - 1) for one in axes)


def one_step(spec: InputSpec) -> InputSpec:
    """Returns an input of one time step."""
    return replace(spec, shape=(spec.shape[0], 1, *spec.shape[2:]))


def refused_call(observation: Observation, cells: dict[tuple[int, int], Cell]) -> str | None:
    """Says which call of a recurrent layer cannot start from zeros, or runs other steps; or None.

    Args:
        observation: What the model does with its sequences.
        cells: Place of a layer and number of a call -> what runs there.
    """
    lengths = {one.shape[1] for one in observation.recurrent}
    for one in observation.recurrent:
        cell = cells[one.layer, one.call]
        if one.states is not None:
            return f"layer '{cell.name}' is given an initial state, and steps start from zeros"
        if len(lengths) > 1:
            return f"layer '{cell.name}' runs over another number of steps than others"
        if any(np.asarray(state).any() for state in cell.initial_states(1)):
            return f"layer '{cell.name}' starts from states other than zeros"
        if None in cell.state_shapes:
            return f"layer '{cell.name}' has a state without a batch axis"
    return None


def states_of(path: str, place: int, call: int, cell: Cell, batch: int) -> list[State]:
    """Returns the states of a call: h and c of an LSTM, h of others, with numbers where several."""
    cells = cell.cells if isinstance(cell, Chain) else (cell,)
    prefix = path if not call else f"{path}/{call}"
    found = []
    for number, one in enumerate(cells):
        own = prefix if len(cells) == 1 else f"{prefix}/{number}"
        letters = ["h", "c"] if isinstance(one, LSTM) else ["h"]
        for index, shape in enumerate(one.state_shapes):
            letter = letters[index] if index < len(letters) else f"h{index}"
            found.append(State(f"{own}/{letter}", place, call, (batch, *(shape or ()))))
    return found
