"""What a lowering reads: the inputs or the ids behind them, and how they are projected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_rnn_zoo.export.lowering._base import Sequence
from keras_rnn_zoo.export.lowering._cells import Cell, Projected

Tensor = Any


def projector(cell: Cell, sequence: Sequence) -> tuple[Tensor, Callable[[Tensor], Projected]]:
    """What is read, and how it becomes what the cell steps over.

    Returns:
        A source `[batch, timesteps, ...]`: the inputs, or ids that are looked up; and a function
        from some of its steps, `[*lead, steps, batch, ...]`, to one or more
        `[*lead, steps, batch, projected]`.
    """
    import tensorflow as tf

    lookup = sequence.lookup
    folded = cell.fold(lookup.table) if lookup is not None and sequence.fold else ()

    def project(rows: Tensor) -> Projected:
        if folded:
            # Those of two cells lie one below the other.
            tables = tuple(part.reshape(-1, part.shape[-1]) for part in folded)
            if cell.lead:
                rows += tf.constant([[[0]], [[len(tables[0]) // 2]]], rows.dtype)
            return cell.look_up(tables, rows)
        if lookup is not None:
            rows = lookup.vectors(rows)
        *shape, features = rows.shape
        *lead, steps, batch = shape
        projected = cell.project(tf.reshape(rows, [*lead, steps * batch, features]))
        return tuple(tf.reshape(part, [*shape, part.shape[-1]]) for part in projected)

    return sequence.inputs if lookup is None else lookup.ids, project


def time_major(tensor: Tensor) -> Tensor:
    """Swaps the first two axes; for a batch of one, a reshape instead of a transpose."""
    import tensorflow as tf

    first, second, *rest = tensor.shape
    if 1 in (first, second):
        return tf.reshape(tensor, [second, first, *rest])
    return tf.transpose(tensor, [1, 0, *range(2, 2 + len(rest))])
