"""WHILE loops over the time steps that count, several steps an iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering._base import Lowering, Result, Sequence, register_lowering
from keras_rnn_zoo.export.lowering._cells import Cell, Projected, States, split
from keras_rnn_zoo.export.lowering._reading import order_of_steps, projector, time_major

Tensor = Any


@register_lowering("loop")
class Loop(Lowering):
    """A WHILE loop over blocks of steps, then one over the steps that fill no block.

    The steps that count are brought to the front before the loops, in the order in which they are
    taken, so a masked step costs nothing: a short text in a long model takes a short text's time,
    wherever its padding lies. The input projection, and the lookup of an embedding, are done a
    block at a time. The outputs of all steps are kept only where they are needed. The two
    directions of a Bidirectional are taken in the same steps, each product one of both.
    """

    description = "WHILE loops over blocks of the time steps that count"
    both_directions: ClassVar[bool] = True

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the loops; see the class."""
        (result,) = _run(cell, (sequence,))
        return result

    def run_both(self, cell: Cell, forward: Sequence, backward: Sequence) -> tuple[Result, Result]:
        """Builds the loops over both directions; see the class."""
        first, second = _run(cell, (forward, backward))
        return first, second


def _run(cell: Cell, sequences: tuple[Sequence, ...]) -> list[Result]:
    """Builds the loops of one recurrence, or of two side by side."""
    import tensorflow as tf

    sequence = sequences[0]
    batch, timesteps, _ = sequence.inputs.shape
    shape = [*cell.lead, batch, cell.output_size]
    orders = [order_of_steps(each) for each in sequences]
    counts = orders[0][0]
    total = timesteps if counts is None else counts[0] if batch == 1 else tf.reduce_max(counts)
    read = _reader(cell, sequence, [order for _, order, _ in orders])

    def steps(step: Tensor, number: int, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        output, outputs, *before = carried

        def hold(offset: int, new: States, old: States) -> States:
            if counts is None or batch == 1:
                return new
            # Others of the batch go on where this one has ended.
            going = (step + offset < counts)[:, tf.newaxis]
            return tuple(tf.where(going, a, b) for a, b in zip(new, old, strict=True))

        made, states = cell.block(read(step, number), tuple(before), hold)
        for offset, new in enumerate(made):
            (output,) = hold(offset, (new,), (output,))
            if sequence.return_sequences:
                outputs = outputs.write(step + offset, output)
        return output, outputs, *states

    carried: tuple[Any, ...] = (
        # Zeros before the first step that counts, whatever the initial state is.
        tf.zeros(shape),
        tf.TensorArray(
            tf.float32,
            timesteps if sequence.return_sequences else 1,
            element_shape=shape,
        ),
        *(sequence.initial_states or cell.initial_states(batch)),
    )
    step: Tensor = tf.constant(0)
    # What an iteration costs by itself is shared by all of its steps.
    block = cell.tap.rows
    blocks, rest = divmod(timesteps, block)
    for number in ([block] if blocks else []) + ([1] if counts is not None and block > 1 else []):
        last = total - number
        step, *carried = tf.while_loop(
            lambda step, *_, last=last: step <= last,
            lambda step, *carried, number=number: (
                step + number,
                *steps(step, number, carried),
            ),
            (step, *carried),
            parallel_iterations=1,
        )
    if counts is None and rest:
        carried = steps(tf.constant(timesteps - rest), rest, tuple(carried))
    output, outputs, *states = carried
    stacked = outputs.stack() if sequence.return_sequences else None

    results = []
    for number, (each, (_, _, places)) in enumerate(zip(sequences, orders, strict=True)):
        where: Any = (number,) if cell.lead else ()
        answer = output[where] if stacked is None else time_major(stacked[(slice(None), *where)])
        if stacked is None and places is not None and each.zero_output_for_mask:
            answer = tf.where(places[:, -1:] > 0, answer, tf.zeros_like(answer))
        if stacked is not None and places is not None:
            answer = tf.concat([tf.zeros([batch, 1, cell.output_size]), answer], axis=1)
            answer = tf.gather(answer, places, batch_dims=1)
        results.append(Result(answer, tuple(state[where] for state in states)))
    return results


def _reader(
    cell: Cell, sequence: Sequence, orders: list[Tensor | None]
) -> Callable[[Tensor, int], list[Projected]]:
    """Returns what reads the projected inputs of some steps from one on, in the order taken."""
    import tensorflow as tf

    batch = sequence.inputs.shape[0]
    source, project = projector(cell, sequence)
    ordered = [
        time_major(source if order is None else tf.gather(source, order, batch_dims=1))
        for order in orders
    ]
    axis = len(cell.lead)
    rows: Projected = (tf.stack(ordered) if cell.lead else ordered[0],)
    if hoisted := cell.tap.quantizes:
        # The converter dequantizes a table of int8 inside a loop, all of it, in every iteration.
        rows = project(rows[0])

    def read(step: Tensor, number: int) -> list[Projected]:
        # GATHER: STRIDED_SLICE, as rows[step] would be, takes ten times as long.
        some = tuple(tf.gather(part, step + tf.range(number), axis=axis) for part in rows)
        some = some if hoisted else project(some[0])
        flat = tuple(
            tf.reshape(part, [*cell.lead, number * batch, part.shape[-1]]) for part in some
        )
        return split(flat, number, axis)

    return read
