"""What a lowering reads: the inputs or the ids behind them, and how they are projected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_rnn_zoo.export.lowering.cells import Cell, Projected
from keras_rnn_zoo.export.lowering.recurrence import Sequence

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


class Order:
    """The order in which the steps of a sequence are taken, those that count first.

    Blocks end with the last step that counts, so there may be void places in front of the first.

    Attributes:
        counts: How many steps count, int32 `[batch]`; None where all do.
        voids: Void places in front: below `block`.
        blocks: Blocks of the longest sequence, without what comes before the first block.
        places: Of each step taken, masked ones too, the number of the output that it answers:
            int32 `[batch, timesteps]`, the number of a place from 1, or 0 for zeros; None where
            all steps count.
    """

    def __init__(self, sequence: Sequence, block: int):
        import tensorflow as tf

        self._sequence, self._block = sequence, block
        self.batch, self.timesteps, _ = sequence.inputs.shape
        self.counts: Tensor = None
        self.voids: Tensor = 0
        self.places: Tensor = None
        self._order: Tensor = None
        timesteps = self.timesteps
        times = tf.range(timesteps)
        if sequence.go_backwards:
            times = timesteps - 1 - times
        if sequence.mask is None:
            self.blocks: Tensor = timesteps // block
            if sequence.go_backwards:
                self._order = tf.tile(times[tf.newaxis], [self.batch, 1])
            return
        mask = tf.cast(sequence.mask, tf.int32)
        if sequence.go_backwards:
            mask = tf.reverse(mask, [1])
        reached = tf.cumsum(mask, axis=1)
        counted = mask > 0
        self.counts = reached[:, -1]
        total = self.counts[0] if self.batch == 1 else tf.reduce_max(self.counts)
        self.blocks = total // block
        places = block - 1 + timesteps // block * block
        if block > 1:
            self.voids = block - 1 - total % block
            reached += self.voids
        # Steps that do not count all go to a place behind the last, which is cut off.
        place = tf.where(counted, reached - 1, places)
        place += (places + 1) * tf.range(self.batch)[:, tf.newaxis]
        order = tf.scatter_nd(
            tf.reshape(place, [-1, 1]), tf.tile(times, [self.batch]), [self.batch * (places + 1)]
        )
        self._order = tf.reshape(order, [self.batch, places + 1])[:, :places]
        none = tf.zeros_like(reached)
        if sequence.zero_output_for_mask:
            self.places = tf.where(counted, reached, none)
        else:
            self.places = tf.where(reached > self.voids, reached, none)

    def take(self, source: Tensor) -> Tensor:
        """Brings `[batch, timesteps, ...]` into the order."""
        import tensorflow as tf

        return source if self._order is None else tf.gather(source, self._order, batch_dims=1)


def choose(rows: Tensor, new: Tensor, old: Tensor, lead: int = 0) -> Tensor:
    """Takes `new` for the rows of a batch that count, `old` for the others.

    Args:
        rows: bool `[batch]`.
        new: `[*lead, batch, ...]`; one number for all rows is taken as it is.
        old: The same.
        lead: Number of axes in front of that of the batch.
    """
    import tensorflow as tf

    rank = len(new.shape)
    if not rank:
        return new
    return tf.where(tf.reshape(rows, [-1] + [1] * (rank - lead - 1)), new, old)


def time_major(tensor: Tensor) -> Tensor:
    """Swaps the first two axes; for a batch of one, a reshape instead of a transpose."""
    import tensorflow as tf

    first, second, *rest = tensor.shape
    if 1 in (first, second):
        return tf.reshape(tensor, [second, first, *rest])
    return tf.transpose(tensor, [1, 0, *range(2, 2 + len(rest))])
