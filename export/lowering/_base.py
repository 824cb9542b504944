"""What every lowering is: a registered object that runs one recurrence over one sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from keras_rnn_zoo.registry import Registry

if TYPE_CHECKING:
    from keras_rnn_zoo.export.lowering._cells import Cell

Tensor = Any  # tf.Tensor; TensorFlow is imported only where a graph is built.


@dataclass(frozen=True)
class Lookup:
    """Rows of an embedding that need not be looked up before they are used.

    Attributes:
        ids: int32 or int64 `[batch, timesteps]`.
        vectors: Maps ids of any shape to float32 `[..., features]`, in the graph that is current.
    """

    ids: Tensor
    vectors: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sequence:
    """What a lowering runs over.

    Attributes:
        inputs: float32 `[batch, timesteps, features]`, all three static.
        mask: bool `[batch, timesteps]`, true where a step counts, or None.
        initial_states: One float32 `[batch, state_size]` per state, or None for zeros.
        go_backwards: Steps are taken, and outputs ordered, from the last time step to the first.
        return_sequences: The outputs of all steps are needed, not only the last one.
        return_state: The states after the last step are needed.
        zero_output_for_mask: The output of a masked step is zero, not the previous output.
        lookup: Where the inputs come from, if straight from an embedding: a lowering may look up
            the rows it needs, when it needs them, instead.
    """

    inputs: Tensor
    mask: Tensor | None = None
    initial_states: tuple[Tensor, ...] | None = None
    go_backwards: bool = False
    return_sequences: bool = False
    return_state: bool = False
    zero_output_for_mask: bool = False
    lookup: Lookup | None = None


@dataclass(frozen=True)
class Result:
    """What a lowering returns.

    Attributes:
        output: `[batch, timesteps, units]` with `return_sequences`, else `[batch, units]`.
        states: The states after the last step, one `[batch, state_size]` each; a lowering may
            leave them out where the sequence asks for none.
    """

    output: Tensor
    states: tuple[Tensor, ...]


class Lowering(ABC):
    """A way to express a recurrence in builtin ops.

    Its semantics are those of `keras.layers.RNN`: a masked step leaves the states as they are and
    repeats the previous output (zero before the first step that counts), or gives zero with
    `zero_output_for_mask`.

    Attributes:
        name: The name on the command line and in `export_tflite(lowering=...)`.
        description: One line for a person.
        otherwise: Name of the lowering that takes what this one refuses; "" refuses nothing.
        chains: Recurrences on top of each other are better given as one `Chain` of cells.
    """

    name: str
    description: str
    otherwise: ClassVar[str] = ""
    chains: ClassVar[bool] = True

    def refuses(self, cell: Cell, sequence: Sequence) -> str | None:
        """Says why this lowering cannot express a recurrence; None where it can.

        Returns:
            One clause whose subject is the layer, without capital or full stop: "its activation
            is relu, and the op knows tanh alone".
        """
        return None

    @abstractmethod
    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the ops of one recurrence over one sequence."""


LOWERINGS: Registry[Lowering] = Registry("lowering", "keras_rnn_zoo.export.lowering")


def register_lowering(name: str) -> Callable[[type[Lowering]], type[Lowering]]:
    """Registers a `Lowering` under `name`."""

    def decorate(cls: type[Lowering]) -> type[Lowering]:
        cls.name = name
        LOWERINGS.register(name, cls())
        return cls

    return decorate
