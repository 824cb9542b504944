"""The arithmetic of one time step, split into what depends on the state and what does not.

The part that does not (the input projection) is done for many time steps at once, as ONE matrix
product; every lowering builds on the same split.

The equations and the order of the gates in the kernels are those of Keras:
SimpleRNN (Elman, 1990), LSTM (Hochreiter and Schmidhuber, 1997; gates i, f, c, o), GRU (Cho et
al., 2014; gates z, r, h; `reset_after` as in cuDNN).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_rnn_zoo.export.tap import Tap

Tensor = Any
States = tuple[Tensor, ...]
# Maps the number of a step in its block, the states after it and those before it to the states
# that are carried on.
Hold = Callable[[int, States, States], States]


class Cell(ABC):
    """One recurrence, ready to be lowered.

    Attributes:
        name: Path of the layer in the model, for messages and for the sites of the tap.
        state_sizes: Width of each state.
        lead: Sizes of the axes in front of all others: `(2,)` for two cells side by side.
    """

    lead: tuple[int, ...] = ()

    def __init__(self, name: str, tap: Tap, state_sizes: tuple[int, ...]):
        self.name = name
        self.tap = tap
        self.state_sizes = state_sizes

    @property
    def output_size(self) -> int:
        """Width of the output: that of the first state, unless a cell says otherwise."""
        return self.state_sizes[0]

    @abstractmethod
    def project(self, inputs: Tensor) -> Tensor:
        """Maps `[steps, features]` to `[steps, projected]`: all that needs no state."""

    @abstractmethod
    def step(self, projected: Tensor, states: States) -> tuple[Tensor, States]:
        """Maps `[batch, projected]` and the states to the output `[batch, units]` and states."""

    def fold(self, table: np.ndarray) -> np.ndarray | None:
        """What `project` makes of each row `[features]` of a table; None where it can't say."""
        return None

    def look_up(self, folded: np.ndarray, ids: Tensor) -> Tensor:
        """Takes rows `[projected]` of a table that `fold` made, instead of projecting."""
        import tensorflow as tf

        # Quantized like the projected inputs that it holds, not like a weight.
        rows = tf.gather(tf.constant(folded), ids)
        return self.tap.activation(f"{self.name}/projected", rows)

    def block(
        self, projected: list[Tensor], states: States, hold: Hold
    ) -> tuple[list[Tensor], States]:
        """Takes one step after the other; returns the output of each and the last states."""
        outputs = []
        for number, step in enumerate(projected):
            output, after = self.step(step, states)
            outputs.append(output)
            states = hold(number, after, states)
        return outputs, states

    def initial_states(self, batch: int) -> States:
        """Returns the states before the first step: zeros."""
        import tensorflow as tf

        return tuple(tf.zeros([*self.lead, batch, size]) for size in self.state_sizes)


class _Gated(Cell):
    """What the three Keras cells share: a kernel, a recurrent kernel and perhaps a bias."""

    def __init__(self, name: str, tap: Tap, layer: Any, states: int):
        super().__init__(name, tap, (layer.units,) * states)
        self.units: int = layer.units
        self.activation = layer.activation
        self.kernel = np.asarray(layer.kernel, np.float32)
        self.recurrent_kernel = np.asarray(layer.recurrent_kernel, np.float32)
        self.bias = np.asarray(layer.bias, np.float32) if layer.use_bias else None
        self._constants: dict[tuple[Any, str], Tensor] = {}

    def _weight(self, site: str, value: np.ndarray) -> Tensor:
        """One constant per graph: a loop's body needs its own, unrolled steps share one."""
        import tensorflow as tf

        graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        if (graph, site) not in self._constants:
            self._constants[graph, site] = self.tap.weight(f"{self.name}/{site}", value)
        return self._constants[graph, site]

    def project(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        inputs = self.tap.activation(f"{self.name}/inputs", inputs)
        projected = tf.matmul(inputs, self._weight("kernel", self.kernel))
        if self.bias is not None:
            projected += self.bias
        return self.tap.activation(f"{self.name}/projected", projected)

    def fold(self, table: np.ndarray) -> np.ndarray:
        folded: np.ndarray = np.matmul(table, self.kernel)
        return folded if self.bias is None else folded + self.bias

    def _recurrent(self, state: Tensor, columns: slice = slice(None)) -> Tensor:
        """The recurrent product, without bias, over some columns of the recurrent kernel."""
        import tensorflow as tf

        part = "" if columns == slice(None) else f"_{columns.start}_{columns.stop}"
        kernel = self._weight(f"recurrent_kernel{part}", self.recurrent_kernel[..., columns])
        return tf.matmul(self.tap.activation(f"{self.name}/state{part}", state), kernel)


class SimpleRNN(_Gated):
    """h' = activation(x W + b + h R)."""

    def __init__(self, name: str, tap: Tap, layer: Any):
        super().__init__(name, tap, layer, states=1)

    def step(self, projected: Tensor, states: States) -> tuple[Tensor, States]:
        recurrent = self.tap.activation(f"{self.name}/recurrent", self._recurrent(states[0]))
        output = self.activation(projected + recurrent)
        return output, (output,)


class LSTM(_Gated):
    """c' = f c + i activation(g), h' = o activation(c'), with i, f, g, o from x W + b + h R."""

    def __init__(self, name: str, tap: Tap, layer: Any):
        super().__init__(name, tap, layer, states=2)
        self.recurrent_activation = layer.recurrent_activation

    def step(self, projected: Tensor, states: States) -> tuple[Tensor, States]:
        import tensorflow as tf

        hidden, carry = states
        recurrent = self.tap.activation(f"{self.name}/recurrent", self._recurrent(hidden))
        i, f, g, o = tf.split(projected + recurrent, 4, axis=-1)
        carry = self.recurrent_activation(f) * carry
        carry += self.recurrent_activation(i) * self.activation(g)
        hidden = self.recurrent_activation(o) * self.activation(carry)
        return hidden, (hidden, carry)


class GRU(_Gated):
    """h' = z h + (1 - z) g, with the reset gate before or after the recurrent product of g."""

    def __init__(self, name: str, tap: Tap, layer: Any):
        super().__init__(name, tap, layer, states=1)
        self.recurrent_activation = layer.recurrent_activation
        self.reset_after: bool = layer.reset_after
        self.recurrent_bias: np.ndarray | None = None
        if self.bias is not None and self.reset_after:
            self.bias, self.recurrent_bias = self.bias

    def step(self, projected: Tensor, states: States) -> tuple[Tensor, States]:
        import tensorflow as tf

        units, (hidden,) = self.units, states
        # Even parts only: XNNPACK takes SPLIT, not SPLIT_V.
        x_z, x_r, x_candidate = tf.split(projected, 3, axis=-1)
        if self.reset_after:
            recurrent = self._recurrent(hidden)
            if self.recurrent_bias is not None:
                recurrent += self.recurrent_bias
            recurrent = self.tap.activation(f"{self.name}/recurrent", recurrent)
            h_z, h_r, h_candidate = tf.split(recurrent, 3, axis=-1)
            h_candidate = self.recurrent_activation(x_r + h_r) * h_candidate
        else:
            h_gates = self._recurrent(hidden, slice(0, 2 * units))
            h_gates = self.tap.activation(f"{self.name}/recurrent_gates", h_gates)
            h_z, h_r = tf.split(h_gates, 2, axis=-1)
            r = self.recurrent_activation(x_r + h_r)
            h_candidate = self._recurrent(r * hidden, slice(2 * units, 3 * units))
            h_candidate = self.tap.activation(f"{self.name}/recurrent_candidate", h_candidate)
        z = self.recurrent_activation(x_z + h_z)
        candidate = self.activation(x_candidate + h_candidate)
        output = candidate + z * (hidden - candidate)
        return output, (output,)


class Chain(Cell):
    """Cells on top of each other as one: each block of steps goes through all of them."""

    def __init__(self, cells: tuple[Cell, ...]):
        sizes = tuple(size for cell in cells for size in cell.state_sizes)
        super().__init__(cells[-1].name, cells[-1].tap, sizes)
        self.cells = cells

    @property
    def output_size(self) -> int:
        return self.cells[-1].output_size

    def project(self, inputs: Tensor) -> Tensor:
        return self.cells[0].project(inputs)

    def fold(self, table: np.ndarray) -> np.ndarray | None:
        return self.cells[0].fold(table)

    def look_up(self, folded: np.ndarray, ids: Tensor) -> Tensor:
        return self.cells[0].look_up(folded, ids)

    def step(self, projected: Tensor, states: States) -> tuple[Tensor, States]:
        (output,), states = self.block([projected], states, lambda number, after, before: after)
        return output, states

    def block(
        self, projected: list[Tensor], states: States, hold: Hold
    ) -> tuple[list[Tensor], States]:
        import tensorflow as tf

        outputs: list[Tensor] = []
        after: States = ()
        for cell in self.cells:
            if outputs:  # of the cell below: one product for the steps of the block
                rows = cell.project(tf.concat(outputs, axis=0))
                projected = tf.split(rows, len(outputs)) if len(outputs) > 1 else [rows]
            own, states = states[: len(cell.state_sizes)], states[len(cell.state_sizes) :]
            outputs, new = cell.block(projected, own, hold)
            after += new
        return outputs, after

    def initial_states(self, batch: int) -> States:
        return tuple(state for cell in self.cells for state in cell.initial_states(batch))


def side_by_side(first: Cell, second: Cell) -> Cell | None:
    """Two cells that differ in their weights only, as one with a leading axis of two.

    Inputs, states and outputs get that axis too: `[2, batch, ...]`. None where the cells differ
    in more.
    """
    if not isinstance(first, _Gated) or type(first) is not type(second):
        return None
    if first.tap.quantizes:  # XNNPACK has no product of two integer matrices for each direction
        return None
    mine, others = vars(first), vars(second)
    arrays = {name for name, value in mine.items() if isinstance(value, np.ndarray)}
    for name in mine.keys() - {"name", "_constants"}:
        if name in arrays:
            if np.shape(mine[name]) != np.shape(others[name]):
                return None
        elif isinstance(others[name], np.ndarray) or mine[name] != others[name]:
            return None
    both = copy.copy(first)
    both.lead = (2,)
    both._constants = {}
    for name in arrays:
        stacked = np.stack([mine[name], others[name]])
        setattr(both, name, stacked if stacked.ndim > 2 else stacked[:, np.newaxis])
    return both


class AnyKerasCell(Cell):
    """A cell that this module does not know: the cell's own `call`, step by step.

    Nothing can be hoisted, and its weights stay in float32 in every quantization mode.
    """

    def __init__(self, name: str, tap: Tap, layer: Any):
        import keras

        super().__init__(name, tap, tuple(keras.tree.flatten(layer.state_size)))
        self.layer = layer

    def project(self, inputs: Tensor) -> Tensor:
        return inputs

    def step(self, projected: Tensor, states: States) -> tuple[Tensor, States]:
        import keras

        structured = keras.tree.pack_sequence_as(self.layer.state_size, list(states))
        single = not keras.tree.is_nested(structured)
        output, new = self.layer(projected, [structured] if single else structured)
        return output, tuple(keras.tree.flatten(new))

    def initial_states(self, batch: int) -> States:
        import keras

        # Optional in the contract of a Keras cell.
        if not hasattr(self.layer, "get_initial_state"):
            return super().initial_states(batch)
        return tuple(keras.tree.flatten(self.layer.get_initial_state(batch_size=batch)))


def describe(name: str, layer: Any, tap: Tap) -> Cell:
    """Returns the `Cell` for a Keras cell.

    Exact types only: a subclass may compute something else in its `call`.
    """
    from keras import layers

    known: dict[type, type[_Gated]] = {
        layers.SimpleRNNCell: SimpleRNN,
        layers.LSTMCell: LSTM,
        layers.GRUCell: GRU,
    }
    return known.get(type(layer), AnyKerasCell)(name, tap, layer)  # type: ignore[call-arg]
