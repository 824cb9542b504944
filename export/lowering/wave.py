"""Layers on top of each other in the same steps, each one step behind the one below.

What a step of small layers costs besides its products is the price of one op after the other, more
than that of their numbers. So the gates of each layer become a row of one matrix, and every op
behind the products takes the rows of all. A layer reads what the one below made a step before, so
no product of a step waits for another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_rnn_zoo.export.lowering.cells import (
    Cell,
    Chain,
    Gated,
    Projected,
    States,
    Sum,
    only_weights_differ,
)
from keras_rnn_zoo.export.lowering.recurrence import Sequence

Tensor = Any

# Bytes of the weights between two layers, at most. They are read anew at each step, where layers
# one after the other multiply with them once for a block of steps: larger ones take longer than
# the ops that are saved.
BETWEEN = 64 * 1024


def wave_of(cell: Cell, sequence: Sequence) -> Wave | None:
    """Returns the cells of a chain as one; None where that cannot be, or takes longer.

    Args:
        cell: What runs over the steps.
        sequence: These. There is one, from states of zero, and nobody asks for those after it.
    """
    if not isinstance(cell, Chain) or sequence.inputs.shape[0] != 1:
        return None
    if sequence.initial_states is not None or sequence.return_state:
        return None
    cells = [one for one in cell.cells if isinstance(one, Gated)]
    if len(cells) < len(cell.cells) or not cells[0].sums:
        return None
    if not all(only_weights_differ(cells[0], one) for one in cells[1:]):
        return None
    between = max(one.kernel.size for one in cells[1:]) * cell.products.weight_bytes
    return Wave(cell.name, cells) if between <= BETWEEN else None


class Wave(Cell):
    """Cells on top of each other as one. Where the first is at step `t`, the second is at `t - 1`.

    States are `[cells, units]`: rows are the cells, and there is no batch.
    """

    output_state = 0
    starts_at_zero = True

    def __init__(self, name: str, cells: list[Gated]):
        first = cells[0]
        super().__init__(name, first.products, first.state_shapes)
        self.first = first
        self.rows = len(cells)
        self._kernels = [part.kernel for part in first.sums]
        self._products = [
            [_product(place, part) for place, part in enumerate(parts)]
            for parts in zip(*(cell.sums for cell in cells), strict=True)
        ]

    @property
    def step_weights(self) -> int:
        products = (one for rows in self._products for one in rows if one is not None)
        return sum(int(product.kernel.size) for product in products)

    def projected_size(self, features: int) -> int:
        return self.first.projected_size(features)

    def project(self, inputs: Tensor) -> Projected:
        return self.first.project(inputs)

    def fold(self, table: np.ndarray) -> tuple[np.ndarray, ...]:
        return self.first.fold(table)

    def look_up(self, folded: tuple[np.ndarray, ...], ids: Tensor) -> Projected:
        return self.first.look_up(folded, ids)

    def step(self, projected: Projected, states: States) -> tuple[Tensor, States]:
        import tensorflow as tf

        given = iter(projected)
        sums = []
        for number, (kernel, products) in enumerate(
            zip(self._kernels, self._products, strict=True)
        ):
            rows = [
                self._row(f"{number}_{place}", product, states[0])
                for place, product in enumerate(products)
            ]
            if kernel is not None:
                row = next(given)
                rows[0] = row if rows[0] is None else rows[0] + row
            sums.append(tf.concat(rows, axis=0))
        states = self.first.update(tuple(sums), states)
        return states[0][-1:], states

    def _row(self, name: str, product: _Product | None, outputs: Tensor) -> Tensor:
        import tensorflow as tf

        if product is None:
            return None
        given = outputs
        if product.stop - product.start < self.rows:
            given = outputs[product.start : product.stop]
        row = tf.matmul(tf.reshape(given, [1, -1]), self._weight(name, product.kernel))
        return row if product.bias is None else row + product.bias

    def initial_states(self, batch: int) -> States:
        import tensorflow as tf

        return tuple(tf.zeros([self.rows, *(shape or ())]) for shape in self.state_shapes)

    def answers(self, states: States) -> States:
        return tuple(state[-1:] for state in states)


class _Product(NamedTuple):
    """What a cell adds to one of its sums from outputs of the step before.

    Attributes:
        start: The first cell whose output it takes.
        stop: The one behind the last.
        kernel: What multiplies these outputs, one behind the other.
        bias: What is added, or None.
    """

    start: int
    stop: int
    kernel: np.ndarray
    bias: np.ndarray | None


def _product(place: int, part: Sum) -> _Product | None:
    """Returns the product of a cell for a sum: of the first, inputs are projected elsewhere."""
    given = [(place, part.recurrent_kernel, part.recurrent_bias)]
    if place:
        given.insert(0, (place - 1, part.kernel, part.bias))
    given = [one for one in given if one[1] is not None]
    if not given:
        return None
    places, kernels, biases = zip(*given, strict=True)
    added = [bias for bias in biases if bias is not None]
    bias = np.sum(added, axis=0) if added else None
    return _Product(places[0], places[-1] + 1, np.concatenate(kernels), bias)
