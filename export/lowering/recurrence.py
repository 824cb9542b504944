"""What every lowering is: a registered object that runs one recurrence over one sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_rnn_zoo.registry import Registry, extends

if TYPE_CHECKING:
    from keras_rnn_zoo.export.lowering.cells import Cell, Chain

Tensor = Any  # tf.Tensor; TensorFlow is imported only where a graph is built.


@dataclass(frozen=True)
class Lookup:
    """Rows of an embedding that need not be looked up before they are used.

    Attributes:
        ids: int32 or int64 `[batch, timesteps]`.
        vectors: Maps ids of any shape to float32 `[..., features]`, in the graph that is current.
        table: The embedding, float32 `[vocabulary, features]`.
    """

    ids: Tensor
    vectors: Callable[[Tensor], Tensor]
    table: np.ndarray


@dataclass(frozen=True)
class Sequence:
    """What a lowering runs over.

    Attributes:
        inputs: float32 `[batch, timesteps, features]`, all three static but for a lowering that
            takes open sizes.
        mask: bool `[batch, timesteps]`, true where a step counts, or None.
        initial_states: One float32 `[batch, ...]` per state, or None for those of the cell.
        go_backwards: Steps are taken, and outputs ordered, from the last time step to the first.
        return_sequences: The outputs of all steps are needed, not only the last one.
        return_state: The states after the last step are needed.
        zero_output_for_mask: The output of a masked step is zero, not the previous output.
        lookup: Where the inputs come from, if straight from an embedding: a lowering may look up
            the rows it needs, when it needs them, instead.
        fold: Where there is a lookup, it is one of the embedding times the kernel: a larger table
            instead of a matrix product.
    """

    inputs: Tensor
    mask: Tensor | None = None
    initial_states: tuple[Tensor, ...] | None = None
    go_backwards: bool = False
    return_sequences: bool = False
    return_state: bool = False
    zero_output_for_mask: bool = False
    lookup: Lookup | None = None
    fold: bool = False


@dataclass(frozen=True)
class Result:
    """What a lowering returns.

    Attributes:
        output: `[batch, timesteps, ...]` with `return_sequences`, else `[batch, ...]`.
        states: The states after the last step, one `[batch, ...]` each; a lowering may
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
        fallback: Name of the lowering that takes what this one refuses; "" refuses nothing.
        folds: It takes an embedding and the projection behind it as one table.
        both_directions: It has `run_both`.
        open_sizes: The file leaves the batch size and what else the model leaves open to the app.
        by_client: The client has its part in it: it resets the state before each sequence, or
            carries it from step to step. Only targets that name the lowering take it.
        steps: A call of the file is one time step: states are inputs and outputs of it.
        auto_timesteps: The most time steps for which `auto` tries it; None for any number.
    """

    name: str
    description: str
    fallback: ClassVar[str] = ""
    folds: ClassVar[bool] = True
    both_directions: ClassVar[bool] = False
    open_sizes: ClassVar[bool] = False
    by_client: ClassVar[bool] = False
    steps: ClassVar[bool] = False
    auto_timesteps: ClassVar[int | None] = None

    def chains(self, chain: Chain) -> bool:
        """Whether recurrences on top of each other are better given as this one of all."""
        return False

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

    def run_both(self, cell: Cell, forward: Sequence, backward: Sequence) -> tuple[Result, Result]:
        """Builds the ops of two recurrences that read the same steps in opposite directions.

        Args:
            cell: Both cells side by side, see `cells.side_by_side`.
            forward: What the first one runs over.
            backward: The same, with `go_backwards`.
        """
        raise NotImplementedError  # asked only where `both_directions` is set


LOWERINGS: Registry[Lowering] = Registry(
    "lowering",
    "keras_rnn_zoo.export.lowering.lowerings",
    "keras_rnn_zoo.lowerings",
    extends("lowering", Lowering),
)


def register_lowering(name: str) -> Callable[[type[Lowering]], type[Lowering]]:
    """Registers a `Lowering` under `name`."""
    return LOWERINGS.decorator(name)
