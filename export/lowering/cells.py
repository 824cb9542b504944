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
from typing import Any, NamedTuple

import numpy as np

from keras_rnn_zoo.export.keras_model.recurrent import cells_of
from keras_rnn_zoo.export.lowering.products import Products

Tensor = Any
States = tuple[Tensor, ...]
Projected = tuple[Tensor, ...]
# Maps the number of a step in its block, the states after it and those before it to the states
# that are carried on.
Hold = Callable[[int, States, States], States]


class Cell(ABC):
    """One recurrence, ready to be lowered.

    Attributes:
        name: Path of the layer in the model, for messages.
        products: What its matrix products will cost.
        state_shapes: Shape of each state behind its batch axis: `(units,)`, `(rows, columns)`, ...;
            None where the state has no batch axis, being one number.
        lead: Sizes of the axes in front of all others: `(2,)` for two cells side by side.
        output_state: Which of its states is its output, too; None where that is not known.
        starts_at_zero: Its initial states are zeros.
        rows: Rows of its states that are at different steps: the second one step behind the first.
    """

    rows: int = 1
    lead: tuple[int, ...] = ()
    output_state: int | None = None
    starts_at_zero: bool = False

    def __init__(
        self, name: str, products: Products, state_shapes: tuple[tuple[int, ...] | None, ...]
    ):
        self.name = name
        self.products = products
        self.state_shapes = state_shapes
        self._constants: dict[tuple[Any, str], Tensor] = {}

    def output_shape(self, features: int) -> tuple[int, ...]:
        """Shape of the output behind its batch axis, for inputs `[batch, features]`."""
        return self.state_shapes[0] or ()

    @abstractmethod
    def project(self, inputs: Tensor) -> Projected:
        """Maps `[steps, features]` to some `[steps, projected]`: all that needs no state."""

    @abstractmethod
    def step(self, projected: Projected, states: States) -> tuple[Tensor, States]:
        """Maps `[batch, projected]` and the states to the output `[batch, ...]` and states."""

    def fold(self, table: np.ndarray) -> tuple[np.ndarray, ...]:
        """What `project` makes of each row `[features]` of a table; nothing where it can't say."""
        return ()

    def look_up(self, folded: tuple[np.ndarray, ...], ids: Tensor) -> Projected:
        """Takes rows `[projected]` of the tables that `fold` made, instead of projecting."""
        import tensorflow as tf

        return tuple(tf.gather(tf.constant(part), ids) for part in folded)

    def answers(self, states: States) -> States:
        """Returns those of the states that are its own after the last step."""
        return states

    def block(
        self, projected: list[Projected], states: States, hold: Hold
    ) -> tuple[list[Tensor], States]:
        """Takes one step after the other; returns the output of each and the last states."""
        outputs = []
        for number, step in enumerate(projected):
            output, after = self.step(step, states)
            outputs.append(output)
            states = hold(number, after, states)
        return outputs, states

    @property
    def step_weights(self) -> int:
        """Weights that one step multiplies its states with."""
        return 0

    def projected_size(self, features: int) -> int:
        """Numbers that `project` makes of those of a step."""
        return features

    def _weight(self, name: str, value: np.ndarray) -> Tensor:
        """One constant per graph: a loop's body needs its own, unrolled steps share one."""
        import tensorflow as tf

        graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        if (graph, name) not in self._constants:
            self._constants[graph, name] = tf.constant(value)
        return self._constants[graph, name]

    def initial_states(self, batch: int) -> States:
        """Returns the states before the first step: zeros."""
        import tensorflow as tf

        return tuple(
            tf.zeros([] if shape is None else [*self.lead, batch, *shape])
            for shape in self.state_shapes
        )


class Sum(NamedTuple):
    """What is added up for some gates: x W + b + h R + d. What is None adds nothing.

    Attributes:
        kernel: W, `[features, columns]`.
        bias: b, `[columns]`, which is projected with W.
        recurrent_kernel: R, `[units, columns]`.
        recurrent_bias: d, `[columns]`.
    """

    kernel: np.ndarray | None
    bias: np.ndarray | None
    recurrent_kernel: np.ndarray | None
    recurrent_bias: np.ndarray | None = None


class Gated(Cell):
    """What the three Keras cells share: a kernel, a recurrent kernel and perhaps a bias."""

    output_state = 0
    starts_at_zero = True

    def __init__(self, name: str, products: Products, layer: Any, states: int):
        super().__init__(name, products, ((layer.units,),) * states)
        self.units: int = layer.units
        self.activation = layer.activation
        self.kernel = np.asarray(layer.kernel, np.float32)
        self.recurrent_kernel = np.asarray(layer.recurrent_kernel, np.float32)
        self.bias = np.asarray(layer.bias, np.float32) if layer.use_bias else None
        # The columns of each product with a kernel.
        self.columns: tuple[slice, ...] = (slice(None),)

    @property
    def step_weights(self) -> int:
        return int(self.recurrent_kernel.size)

    def projected_size(self, features: int) -> int:
        return int(self.kernel.shape[-1])

    @property
    def sums(self) -> tuple[Sum, ...]:
        """What `update` takes; of those with a kernel, `project` makes what inputs add.

        None where a step cannot be told so.
        """
        return (Sum(self.kernel, self.bias, self.recurrent_kernel),)

    @abstractmethod
    def update(self, sums: tuple[Tensor, ...], states: States) -> States:
        """Maps the `sums`, `[batch, columns]`, and the states to those after the step."""

    def project(self, inputs: Tensor) -> Projected:
        projected = []
        for columns in self.columns:
            kernel = self.kernel[..., columns]
            product = self._product_of(inputs, f"kernel{_part(columns)}", kernel)
            if self.bias is not None:
                product += self.bias[..., columns]
            projected.append(product)
        return tuple(projected)

    def fold(self, table: np.ndarray) -> tuple[np.ndarray, ...]:
        folded: np.ndarray = np.matmul(table, self.kernel)
        if self.bias is not None:
            folded += self.bias
        return tuple(np.ascontiguousarray(folded[..., columns]) for columns in self.columns)

    def _recurrent(self, state: Tensor, columns: slice = slice(None)) -> Tensor:
        """The recurrent product, without bias, over some columns of the recurrent kernel."""
        name = f"recurrent_kernel{_part(columns)}"
        return self._product_of(state, name, self.recurrent_kernel[..., columns])

    def _product_of(self, inputs: Tensor, name: str, kernel: np.ndarray) -> Tensor:
        import tensorflow as tf

        if not self.lead or self.products.pairs:
            return tf.matmul(inputs, self._weight(name, kernel))
        parts = tf.split(inputs, len(kernel), axis=0)
        both = [
            tf.matmul(part, self._weight(f"{name}_{number}", own))
            for number, (part, own) in enumerate(zip(parts, kernel, strict=True))
        ]
        return tf.concat(both, axis=0)


def _part(columns: slice) -> str:
    return "" if columns == slice(None) else f"_{columns.start}_{columns.stop}"


class SimpleRNN(Gated):
    """h' = activation(x W + b + h R)."""

    def __init__(self, name: str, products: Products, layer: Any):
        super().__init__(name, products, layer, states=1)

    def step(self, projected: Projected, states: States) -> tuple[Tensor, States]:
        states = self.update((projected[0] + self._recurrent(states[0]),), states)
        return states[0], states

    def update(self, sums: tuple[Tensor, ...], states: States) -> States:
        return (self.activation(sums[0]),)


class LSTM(Gated):
    """c' = f c + i activation(g), h' = o activation(c'), with i, f, g, o from x W + b + h R."""

    def __init__(self, name: str, products: Products, layer: Any):
        super().__init__(name, products, layer, states=2)
        self.recurrent_activation = layer.recurrent_activation

    def step(self, projected: Projected, states: States) -> tuple[Tensor, States]:
        states = self.update((projected[0] + self._recurrent(states[0]),), states)
        return states[0], states

    def update(self, sums: tuple[Tensor, ...], states: States) -> States:
        import tensorflow as tf

        i, f, g, o = tf.split(sums[0], 4, axis=-1)
        carry = self.recurrent_activation(f) * states[1]
        carry += self.recurrent_activation(i) * self.activation(g)
        return self.recurrent_activation(o) * self.activation(carry), carry


class GRU(Gated):
    """h' = z h + (1 - z) g, with the reset gate before or after the recurrent product of g."""

    def __init__(self, name: str, products: Products, layer: Any):
        super().__init__(name, products, layer, states=1)
        self.recurrent_activation = layer.recurrent_activation
        self.reset_after: bool = layer.reset_after
        self.recurrent_bias: np.ndarray | None = None
        if self.bias is not None and self.reset_after:
            self.bias, self.recurrent_bias = self.bias
        self._gates, self._candidate = slice(0, 2 * self.units), slice(2 * self.units, None)
        if not products.shares_inputs:
            # z and r pass one activation; and XNNPACK cuts into even parts only.
            self.columns = (self._gates, self._candidate)

    @property
    def sums(self) -> tuple[Sum, ...]:
        """z and r, then what the candidate adds up: x alone, and h, which the reset gate scales.

        There are none where that gate scales h before its product, and where products of one
        input are better one.
        """
        if not self.reset_after or len(self.columns) == 1:
            return ()
        x = self.kernel, self.bias
        h = self.recurrent_kernel, self.recurrent_bias
        candidate = Sum(*_cut(x, self._candidate), *_cut(h, self._candidate))
        return (
            Sum(*_cut(x, self._gates), *_cut(h, self._gates)),
            candidate._replace(recurrent_kernel=None, recurrent_bias=None),
            candidate._replace(kernel=None, bias=None),
        )

    def update(self, sums: tuple[Tensor, ...], states: States) -> States:
        import tensorflow as tf

        gates, x, h = sums
        z, r = tf.split(self.recurrent_activation(gates), 2, axis=-1)
        return (_mixed(z, self.activation(x + r * h), states[0]),)

    def step(self, projected: Projected, states: States) -> tuple[Tensor, States]:
        (hidden,) = states
        if self.sums:
            gates = projected[0] + self._product(hidden, self._gates)
            h = self._product(hidden, self._candidate)
            states = self.update((gates, projected[1], h), states)
        elif len(projected) > 1:
            states = (_mixed(*self._apart(projected, hidden), hidden),)
        else:
            states = (_mixed(*self._together(projected, hidden), hidden),)
        return states[0], states

    def _apart(self, projected: Projected, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Returns z and the candidate from products of their own, the reset gate before one."""
        import tensorflow as tf

        gates = projected[0] + self._recurrent(hidden, self._gates)
        z, r = tf.split(self.recurrent_activation(gates), 2, axis=-1)
        h = self._recurrent(r * hidden, self._candidate)
        return z, self.activation(projected[1] + h)

    def _together(self, projected: Projected, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Returns z and the candidate from one product, where the reset gate comes after it."""
        import tensorflow as tf

        x_z, x_r, x_candidate = tf.split(projected[0], 3, axis=-1)
        if self.reset_after:
            h_z, h_r, h_candidate = tf.split(self._product(hidden), 3, axis=-1)
            h_candidate = self.recurrent_activation(x_r + h_r) * h_candidate
        else:
            h_z, h_r = tf.split(self._recurrent(hidden, self._gates), 2, axis=-1)
            r = self.recurrent_activation(x_r + h_r)
            h_candidate = self._recurrent(r * hidden, self._candidate)
        return self.recurrent_activation(x_z + h_z), self.activation(x_candidate + h_candidate)

    def _product(self, hidden: Tensor, columns: slice = slice(None)) -> Tensor:
        """The recurrent product with its bias."""
        product = self._recurrent(hidden, columns)
        bias = self.recurrent_bias
        return product if bias is None else product + bias[..., columns]


def _mixed(z: Tensor, candidate: Tensor, hidden: Tensor) -> Tensor:
    return candidate + z * (hidden - candidate)


_Arrays = tuple[np.ndarray | None, ...]


def _cut(parts: _Arrays, columns: slice) -> _Arrays:
    return tuple(None if part is None else part[..., columns] for part in parts)


def split(projected: Projected, steps: int, axis: int = 0) -> list[Projected]:
    """Cuts what is projected for some steps, `[steps * batch, projected]`, into the steps."""
    import tensorflow as tf

    if steps == 1:
        return [projected]
    return list(zip(*(tf.split(part, steps, axis=axis) for part in projected), strict=True))


class Chain(Cell):
    """Cells on top of each other as one: each block of steps goes through all of them."""

    def __init__(self, cells: tuple[Cell, ...]):
        # On top of a chain, one longer chain.
        self.cells: tuple[Cell, ...] = tuple(
            one for cell in cells for one in (cell.cells if isinstance(cell, Chain) else (cell,))
        )
        shapes = tuple(shape for cell in cells for shape in cell.state_shapes)
        super().__init__(cells[-1].name, cells[-1].products, shapes)
        self.starts_at_zero = all(cell.starts_at_zero for cell in cells)
        if cells[-1].output_state is not None:
            below = sum(len(cell.state_shapes) for cell in cells[:-1])
            self.output_state = below + cells[-1].output_state

    def output_shape(self, features: int) -> tuple[int, ...]:
        shape: tuple[int, ...] = (features,)
        for cell in self.cells:
            shape = cell.output_shape(shape[-1])
        return shape

    def projected_size(self, features: int) -> int:
        return self.cells[0].projected_size(features)

    def project(self, inputs: Tensor) -> Projected:
        return self.cells[0].project(inputs)

    def fold(self, table: np.ndarray) -> tuple[np.ndarray, ...]:
        return self.cells[0].fold(table)

    def look_up(self, folded: tuple[np.ndarray, ...], ids: Tensor) -> Projected:
        return self.cells[0].look_up(folded, ids)

    def step(self, projected: Projected, states: States) -> tuple[Tensor, States]:
        (output,), states = self.block([projected], states, lambda number, after, before: after)
        return output, states

    def block(
        self, projected: list[Projected], states: States, hold: Hold
    ) -> tuple[list[Tensor], States]:
        import tensorflow as tf

        outputs: list[Tensor] = []
        after: States = ()
        for cell in self.cells:
            if outputs:  # of the cell below: one product for the steps of the block
                projected = split(cell.project(tf.concat(outputs, axis=0)), len(outputs))
            own, states = states[: len(cell.state_shapes)], states[len(cell.state_shapes) :]
            outputs, new = cell.block(projected, own, hold)
            after += new
        return outputs, after

    def initial_states(self, batch: int) -> States:
        return tuple(state for cell in self.cells for state in cell.initial_states(batch))

    @property
    def step_weights(self) -> int:
        return sum(cell.step_weights for cell in self.cells)

    @property
    def weights(self) -> int:
        """Weights that a step taken alone multiplies with, the projections in between included."""
        upper = (cell for cell in self.cells[1:] if isinstance(cell, Gated))
        return self.step_weights + sum(int(cell.kernel.size) for cell in upper)


class Remembering(Cell):
    """A cell whose last output is a state of its own, behind the others."""

    def __init__(self, cell: Cell, output: tuple[int, ...]):
        super().__init__(cell.name, cell.products, (*cell.state_shapes, output))
        self.cell = cell
        self.lead = cell.lead
        self.output_state = len(cell.state_shapes)

    def output_shape(self, features: int) -> tuple[int, ...]:
        return self.cell.output_shape(features)

    def project(self, inputs: Tensor) -> Projected:
        return self.cell.project(inputs)

    def fold(self, table: np.ndarray) -> tuple[np.ndarray, ...]:
        return self.cell.fold(table)

    def look_up(self, folded: tuple[np.ndarray, ...], ids: Tensor) -> Projected:
        return self.cell.look_up(folded, ids)

    def step(self, projected: Projected, states: States) -> tuple[Tensor, States]:
        output, after = self.cell.step(projected, states[:-1])
        return output, (*after, output)


def only_weights_differ(first: Gated, second: Gated) -> bool:
    """Whether two cells are of one kind, size and settings."""
    mine, others = (
        {key: None if key in _shapes(cell) else value for key, value in vars(cell).items()}
        for cell in (first, second)
    )
    apart = ("name", "_constants")
    return (
        type(first) is type(second)
        and _shapes(first).keys() == _shapes(second).keys()
        and all(mine[key] == others[key] for key in mine.keys() - apart)
    )


def _shapes(cell: Gated) -> dict[str, tuple[int, ...]]:
    return {key: value.shape for key, value in vars(cell).items() if isinstance(value, np.ndarray)}


def side_by_side(first: Cell, second: Cell) -> Cell | None:
    """Two cells that differ in their weights only, as one with a leading axis of two.

    Inputs, states and outputs get that axis too: `[2, batch, ...]`. None where the cells differ
    in more.
    """
    if not isinstance(first, Gated) or not isinstance(second, Gated):
        return None
    if not only_weights_differ(first, second) or _shapes(first) != _shapes(second):
        return None
    both = copy.copy(first)
    both.lead = (2,)
    both._constants = {}
    for name in _shapes(first):
        stacked = np.stack([vars(first)[name], vars(second)[name]])
        setattr(both, name, stacked if stacked.ndim > 2 else stacked[:, np.newaxis])
    return both


class AnyKerasCell(Cell):
    """A cell that this module does not know: the cell's own `call`, step by step.

    Its states may have any shape and structure: what its `get_initial_state` returns says it, as
    it does for `keras.layers.RNN`. Nothing can be hoisted.
    """

    def __init__(self, name: str, products: Products, layer: Any):
        import keras

        self.layer = layer
        self._structure = states_at_start(layer, 1)
        # A batch axis is what grows with the batch: a state may be one number for all.
        both = zip(
            keras.tree.flatten(self._structure),
            keras.tree.flatten(states_at_start(layer, 2)),
            strict=True,
        )
        shapes = [
            tuple(one.shape[1:]) if tuple(one.shape) != tuple(two.shape) else None
            for one, two in both
        ]
        super().__init__(name, products, tuple(shapes))

    @property
    def step_weights(self) -> int:
        return int(self.layer.count_params())

    def output_shape(self, features: int) -> tuple[int, ...]:
        import tensorflow as tf

        with tf.init_scope():  # run, not traced
            output, _ = self.step((tf.zeros([1, features]),), self.initial_states(1))
        return tuple(output.shape[1:])

    def project(self, inputs: Tensor) -> Projected:
        return (inputs,)

    def step(self, projected: Projected, states: States) -> tuple[Tensor, States]:
        import keras

        structured = keras.tree.pack_sequence_as(self._structure, list(states))
        output, new = self.layer(projected[0], structured)
        return output, tuple(keras.tree.flatten(new))

    def initial_states(self, batch: int) -> States:
        import keras
        import tensorflow as tf

        states = keras.tree.flatten(states_at_start(self.layer, batch))
        return tuple(tf.cast(state, tf.float32) for state in states)


def states_at_start(cell: Any, batch: int) -> list[Any]:
    """Returns the states that `keras.layers.RNN` starts a Keras cell with, in their structure."""
    import keras

    if hasattr(cell, "get_initial_state"):  # optional in the contract of a Keras cell
        state = cell.get_initial_state(batch_size=batch)
    else:
        sizes = cell.state_size if keras.tree.is_nested(cell.state_size) else [cell.state_size]
        state = [keras.ops.zeros((batch, size), cell.compute_dtype) for size in sizes]
    return list(state) if keras.tree.is_nested(state) else [state]


def describe(name: str, layer: Any, products: Products) -> Cell:
    """Returns the `Cell` for a Keras cell.

    Exact types only: a subclass may compute something else in its `call`.
    """
    from keras import layers

    known: dict[type, type[Gated]] = {
        layers.SimpleRNNCell: SimpleRNN,
        layers.LSTMCell: LSTM,
        layers.GRUCell: GRU,
    }
    return known.get(type(layer), AnyKerasCell)(name, products, layer)  # type: ignore[call-arg]


def cell_of(layer: Any, path: str, products: Products) -> Cell:
    """Returns the `Cell` of a recurrent Keras layer: that of its cell, or a chain of several.

    Args:
        layer: A recurrent layer.
        path: Its path in the model, for messages.
        products: What its matrix products will cost.
    """
    keras_cells = cells_of(layer)
    cells = tuple(
        describe(path if len(keras_cells) == 1 else f"{path}/{number}", cell, products)
        for number, cell in enumerate(keras_cells)
    )
    return cells[0] if len(cells) == 1 else Chain(cells)
