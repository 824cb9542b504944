"""WHILE loops over the time steps that count, several steps an iteration."""

from __future__ import annotations

from typing import Any

from keras_rnn_zoo.export.lowering._base import Lowering, Result, Sequence, register_lowering
from keras_rnn_zoo.export.lowering._cells import Cell

Tensor = Any

# Steps of one iteration: what an iteration costs by itself, and reading its inputs, is shared by
# all of them, and their input projection is one matrix product of as many rows.
STEPS = 4


@register_lowering("loop")
class Loop(Lowering):
    """A WHILE loop over blocks of steps, then one over the steps that fill no block.

    The steps that count are brought to the front before the loops, in the order in which they are
    taken, so a masked step costs nothing: a short text in a long model takes a short text's time,
    wherever its padding lies. The input projection, and the lookup of an embedding, are done a
    block at a time. The outputs of all steps are kept only where they are needed.
    """

    description = "WHILE loops over blocks of the time steps that count"

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the loops; see the class."""
        import tensorflow as tf

        batch, timesteps, _ = sequence.inputs.shape
        units = cell.output_size
        counts, order, places = _order(sequence)
        source = sequence.inputs if sequence.lookup is None else sequence.lookup.ids
        if order is not None:
            source = tf.gather(source, order, batch_dims=1)
        source = _time_major(source)
        total = timesteps if counts is None else counts[0] if batch == 1 else tf.reduce_max(counts)

        def read(step: Tensor, steps: int) -> list[Tensor]:
            # GATHER: STRIDED_SLICE, as source[step] would be, takes ten times as long.
            rows = tf.gather(source, step + tf.range(steps))
            if sequence.lookup is not None:
                rows = sequence.lookup.vectors(rows)
            projected = cell.project(tf.reshape(rows, [steps * batch, rows.shape[-1]]))
            if steps == 1:
                return [projected]
            return list(tf.split(projected, steps))

        def body(steps: int) -> Any:
            def run(step, output, outputs, *states):  # type: ignore[no-untyped-def]
                for offset, projected in enumerate(read(step, steps)):
                    new_output, new_states = cell.step(projected, states)
                    if counts is not None and batch > 1:
                        # Others of the batch go on where this one has ended.
                        going = (step + offset < counts)[:, tf.newaxis]
                        new_output = tf.where(going, new_output, output)
                        new_states = tuple(
                            tf.where(going, new, old)
                            for new, old in zip(new_states, states, strict=True)
                        )
                    output, states = new_output, new_states
                    if sequence.return_sequences:
                        outputs = outputs.write(step + offset, output)
                return step + steps, output, outputs, *states

            return run

        carried: tuple[Any, ...] = (
            tf.constant(0),
            # Zeros before the first step that counts, whatever the initial state is.
            tf.zeros([batch, units]),
            tf.TensorArray(
                tf.float32,
                timesteps if sequence.return_sequences else 1,
                element_shape=[batch, units],
            ),
            *(sequence.initial_states or cell.initial_states(batch)),
        )
        # Of several products with one int8 kernel the converter makes float ones that quantize on
        # the fly, whatever was calibrated: one step an iteration where that matters.
        block = 1 if cell.tap.quantizes else STEPS
        for steps in dict.fromkeys((block, 1)):
            if timesteps < steps or (counts is None and steps < block and timesteps % block == 0):
                continue
            carried = tf.while_loop(
                lambda step, *_, steps=steps: step + steps <= total,
                body(steps),
                carried,
                parallel_iterations=1,
            )
        _, output, outputs, *states = carried

        if not sequence.return_sequences:
            if places is not None and sequence.zero_output_for_mask:
                output = tf.where(places[:, -1:] > 0, output, tf.zeros_like(output))
            return Result(output, tuple(states))
        stacked = _time_major(outputs.stack())
        if places is not None:
            stacked = tf.concat([tf.zeros([batch, 1, units]), stacked], axis=1)
            stacked = tf.gather(stacked, places, batch_dims=1)
        return Result(stacked, tuple(states))


def _order(sequence: Sequence) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Which steps count, in the order in which they are taken.

    Returns:
        How many steps count, int32 `[batch]`; the time of each, int32 `[batch, timesteps]`, those
        that count first; and for each step taken, masked ones too, the number of the output that
        it answers, from 1, or 0 for zeros. None where all steps count (and for the times, where
        they are taken as they come).
    """
    import tensorflow as tf

    batch, timesteps, _ = sequence.inputs.shape
    times = tf.range(timesteps)
    if sequence.go_backwards:
        times = timesteps - 1 - times
    if sequence.mask is None:
        order = tf.tile(times[tf.newaxis], [batch, 1]) if sequence.go_backwards else None
        return None, order, None
    mask = tf.cast(sequence.mask, tf.int32)
    if sequence.go_backwards:
        mask = tf.reverse(mask, [1])
    reached = tf.cumsum(mask, axis=1)
    counted = mask > 0
    # Steps that do not count all go to a place behind the last, which is cut off.
    place = tf.where(counted, reached - 1, timesteps)
    place += (timesteps + 1) * tf.range(batch)[:, tf.newaxis]
    order = tf.scatter_nd(
        tf.reshape(place, [-1, 1]),
        tf.tile(times, [batch]),
        [batch * (timesteps + 1)],
    )
    order = tf.reshape(order, [batch, timesteps + 1])[:, :timesteps]
    places = tf.where(counted, reached, 0) if sequence.zero_output_for_mask else reached
    return reached[:, -1], order, places


def _time_major(tensor: Tensor) -> Tensor:
    """Swaps the first two axes; for a batch of one, a reshape instead of a transpose."""
    import tensorflow as tf

    first, second, *rest = tensor.shape
    if 1 in (first, second):
        return tf.reshape(tensor, [second, first, *rest])
    return tf.transpose(tensor, [1, 0, *range(2, 2 + len(rest))])
