"""What is known of layers before anything is run: which cannot be run a few steps at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.export.keras_model.observe import Observation
from keras_rnn_zoo.export.keras_model.recurrent import (
    inside_time_distributed,
    is_recurrent,
    path_of,
)
from keras_rnn_zoo.export.keras_model.signature import InputSpec
from keras_rnn_zoo.export.lowering.cells import Cell

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel

_LAST = "take the last step instead (return_sequences=False in the recurrent layer before it)"
_ATTENTION = (
    "looks at all time steps at once",
    "put a recurrent layer or a causal convolution in its place",
)
_POOLING = ("pools over all time steps", _LAST)
# Class of a layer -> what it does with a sequence, and what to do instead.
KNOWN: dict[str, tuple[str, str]] = {
    "AdditiveAttention": _ATTENTION,
    "Attention": _ATTENTION,
    "GlobalAveragePooling1D": _POOLING,
    "GlobalMaxPooling1D": _POOLING,
    "GroupQueryAttention": _ATTENTION,
    "MultiHeadAttention": _ATTENTION,
    "SequencePooling": (
        "pools over all time steps",
        "build and train the model with pooling='last' (--set pooling=last)",
    ),
    "Flatten": ("makes one vector of all time steps", _LAST),
    "RepeatVector": (
        "repeats over time what was answered once for a whole sequence",
        "keep the steps: return_sequences=True in the recurrent layer before it",
    ),
    "Autoregression": (
        "adds to a forecast what it reads from the last steps alone",
        "build and train the model with autoregression='none' (--set autoregression=none)",
    ),
    "Changes": (
        "takes the last step of the sequence from every step",
        "build and train the model with autoregression='none' (--set autoregression=none)",
    ),
}


def why_not(model: KerasModel) -> str | None:
    """Says which layer keeps a model from being run a few steps at a time, why, and what to do.

    Returns:
        A clause, "layer 'x' (Kind) does this; do that"; None where nothing is known against it.
        What cannot be told from the layers, such as code of a model's own, shows where it is run:
        see `probe`.
    """
    from keras import layers

    for spec in model.inputs:
        if not is_sequence(spec, model):
            return f"input '{spec.name}' has no time axis; give it to every step"
    within = {id(layer) for layer in inside_time_distributed(model.layers)}
    for layer in model.layers:
        named = f"layer '{path_of(layer)}' ({type(layer).__name__})"
        if id(layer) in within:
            continue
        if isinstance(layer, layers.Bidirectional) or getattr(layer, "go_backwards", False):
            return f"{named} reads the sequence from its end; take one direction"
        if isinstance(layer, layers.RNN) and not is_recurrent(layer):
            return (
                f"{named} has a loop of its own; take keras.layers.RNN with a cell that computes "
                "the same"
            )
        known = type(layer).__module__.startswith(("keras.", "keras_rnn_zoo."))
        if known and type(layer).__name__ in KNOWN and _reads_sequence(layer):
            what, remedy = KNOWN[type(layer).__name__]
            return f"{named} {what}; {remedy}"
    return None


def is_sequence(spec: InputSpec, model: KerasModel) -> bool:
    """Whether an input has time steps: token ids, or whatever a model with one input reads."""
    rank = len(spec.shape)
    return rank > 2 or (rank == 2 and (spec.name in model.tokens or len(model.inputs) == 1))


def _reads_sequence(layer: Any) -> bool:
    """Whether a layer takes a tensor of `[batch, time, ...]`, as far as its model's graph says."""
    if type(layer).__name__ == "RepeatVector":
        return True
    tensors = [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
    return not tensors or any(len(tensor.shape) > 2 for tensor in tensors)


def refused_call(observation: Observation, cells: dict[tuple[int, int], Cell]) -> str | None:
    """Says which call of a recurrent layer is given the states that it starts from; or None.

    Args:
        observation: What the model does with its sequences.
        cells: Place of a layer and number of a call -> what runs there.
    """
    for one in observation.recurrent:
        if one.states is not None and (one.layer, one.call) in cells:
            name = cells[one.layer, one.call].name
            return (
                f"layer '{name}' is given the states that it starts from (initial_state), and in "
                "a stream they are what the call before left; leave initial_state out"
            )
    return None
