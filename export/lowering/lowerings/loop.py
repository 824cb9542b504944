"""WHILE loops over the time steps that count, several steps an iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering.cells import Cell, Chain, Projected, States, split
from keras_rnn_zoo.export.lowering.chaining import one_by_one
from keras_rnn_zoo.export.lowering.reading import (
    choose,
    order_of_steps,
    projector,
    time_major,
)
from keras_rnn_zoo.export.lowering.recurrence import Lowering, Result, Sequence, register_lowering

Tensor = Any

# What the copies of the recurrent weights may take of the cache of a core, which has 0.5 to 2 MB.
CACHE_BYTES = 768 * 1024
# Fewer steps a block gain nothing: their projection takes as long as that of so many.
FEWEST = 4
# Steps that are projected at once where they are taken one by one.
PROJECTED = 28


@register_lowering("loop")
class Loop(Lowering):
    """A WHILE loop over blocks of steps, then one over the steps that fill no block.

    Each step of a block multiplies with a copy of the recurrent weights of its own: XNNPACK packs
    one for each op. Where these copies would leave the cache, a loop over blocks that projects
    their inputs has another one in it, over their steps one by one.

    The steps that count are brought to the front before the loops, in the order in which they are
    taken, so a masked step costs nothing: a short text in a long model takes a short text's time,
    wherever its padding lies. The input projection, and the lookup of an embedding, are done a
    block at a time. The outputs of all steps are kept only where they are needed. The two
    directions of a Bidirectional are taken in the same steps, each product one of both.
    """

    description = "WHILE loops over blocks of the time steps that count"
    both_directions: ClassVar[bool] = True

    def chains(self, chain: Chain) -> bool:
        """Whether the cache holds the weights of all; else one layer runs after the other."""
        return chain.weights * chain.products.weight_bytes <= CACHE_BYTES

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the loops; see the class."""
        if isinstance(cell, Chain) and not self.chains(cell):
            return one_by_one(self, cell, sequence)
        (result,) = _run(cell, (sequence,))
        return result

    def run_both(self, cell: Cell, forward: Sequence, backward: Sequence) -> tuple[Result, Result]:
        """Builds the loops over both directions; see the class."""
        first, second = _run(cell, (forward, backward))
        return first, second


def block_of(cell: Cell) -> int:
    """How many steps an iteration takes."""
    weights = max(1, cell.step_weights * cell.products.weight_bytes)
    block = min(cell.products.rows, CACHE_BYTES // weights)
    return block if block >= FEWEST else 1


def _run(cell: Cell, sequences: tuple[Sequence, ...]) -> list[Result]:
    """Builds the loops of one recurrence, or of two side by side."""
    import tensorflow as tf

    sequence = sequences[0]
    batch, timesteps, features = sequence.inputs.shape
    made_shape = cell.output_shape(features)
    shape = [*cell.lead, batch, *made_shape]
    orders = [order_of_steps(each) for each in sequences]
    counts = orders[0][0]
    total = timesteps if counts is None else counts[0] if batch == 1 else tf.reduce_max(counts)
    read = _reader(cell, sequence, [order for _, order, _ in orders])
    axis = len(cell.lead)

    def steps_of(rows: Projected, number: int) -> list[Projected]:
        flat = (tf.reshape(part, [*cell.lead, number * batch, part.shape[-1]]) for part in rows)
        return split(tuple(flat), number, axis)

    def take(
        step: Tensor, projected: list[Projected], output: Tensor, states: States
    ) -> tuple[list[Tensor], States]:
        """Takes steps; returns the output of each, and the last states."""

        def hold(offset: int, new: States, old: States) -> States:
            if counts is None or batch == 1:
                return new
            # Others of the batch go on where this one has ended.
            going = step + offset < counts
            return tuple(choose(going, a, b, axis) for a, b in zip(new, old, strict=True))

        made, states = cell.block(projected, states, hold)
        outputs = []
        for offset, new in enumerate(made):
            (output,) = hold(offset, (new,), (output,))
            outputs.append(output)
        return outputs, states

    def loop(last: Tensor, body: Any, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Runs `body` as long as the step is not behind the `last` one."""
        return tuple(
            tf.while_loop(lambda step, *_: step <= last, body, carried, parallel_iterations=1)
        )

    keep = sequence.return_sequences

    def array(size: int, *rows: int) -> Tensor:
        """Keeps outputs. Each write copies all of it: few and large ones are cheaper."""
        return tf.TensorArray(
            tf.float32, size if keep else 1, element_shape=[*(rows if keep else ()), *shape]
        )

    step: Tensor = tf.constant(0)
    # Zeros before the first step that counts, whatever the initial state is.
    output: Tensor = tf.zeros(shape)
    states: States = sequence.initial_states or cell.initial_states(batch)
    block = block_of(cell)
    kept: Tensor = None
    shift: Tensor = None
    blocks, rest = divmod(timesteps, block)
    if block > 1:
        # What an iteration costs by itself is shared by all of its steps.
        def body(number: int) -> Any:
            def take_some(step, output, outputs, *states):  # type: ignore[no-untyped-def]
                projected = steps_of(read(step, number), number)
                made, states = take(step, projected, output, states)
                if keep and number == 1:
                    outputs = outputs.write(step % block, made[0])
                elif keep:
                    together = tf.reshape(tf.concat(made, axis=0), [number, *shape])
                    outputs = outputs.write(step // block, together)
                return step + number, made[-1], outputs, *states

            return take_some

        parts = []
        if blocks:
            step, output, outputs, *after = loop(
                total - block, body(block), (step, output, array(blocks, block), *states)
            )
            states = tuple(after)
            if keep:
                parts.append(tf.reshape(outputs.stack(), [blocks * block, *shape]))
        if counts is not None:
            # Behind all blocks that there could be lie the steps that fill none.
            shift = blocks * block - step
            _, output, outputs, *after = loop(
                total - 1, body(1), (step, output, array(block), *states)
            )
            states = tuple(after)
            if keep:
                parts.append(outputs.stack())
        elif rest:
            step = tf.constant(timesteps - rest)
            made, states = take(step, steps_of(read(step, rest), rest), output, states)
            output = made[-1]
            parts.append(tf.reshape(tf.concat(made, axis=0), [rest, *shape]))
        kept = tf.concat(parts, axis=0) if keep else None
    else:
        ahead = min(PROJECTED, timesteps)

        def take_ahead(start, output, outputs, *states):  # type: ignore[no-untyped-def]
            rows = read(start, ahead)

            def take_one(step, output, outputs, *states):  # type: ignore[no-untyped-def]
                row = tuple(tf.gather(part, [step - start], axis=axis) for part in rows)
                made, states = take(step, steps_of(row, 1), output, states)
                if keep:
                    outputs = outputs.write(step - start, made[0])
                return step + 1, made[0], outputs, *states

            last = tf.minimum(start + ahead, total) - 1
            step, output, some, *after = loop(
                last, take_one, (start, output, array(ahead), *states)
            )
            if keep:
                outputs = outputs.write(start // ahead, some.stack())
            return step, output, outputs, *after

        number = -(-timesteps // ahead)
        _, output, outputs, *after = loop(
            total - 1, take_ahead, (step, output, array(number, ahead), *states)
        )
        states = tuple(after)
        if keep:
            kept = tf.reshape(outputs.stack(), [number * ahead, *shape])[:timesteps]

    results = []
    for number, (each, (_, _, places)) in enumerate(zip(sequences, orders, strict=True)):
        where: Any = (number,) if cell.lead else ()
        answer = output[where] if kept is None else time_major(kept[(slice(None), *where)])
        if kept is None and places is not None and each.zero_output_for_mask:
            answer = choose(places[:, -1] > 0, answer, tf.zeros_like(answer))
        if kept is not None and places is not None:
            if shift is not None:
                places += tf.where(places > blocks * block - shift, shift, 0)
            answer = tf.concat([tf.zeros([batch, 1, *made_shape]), answer], axis=1)
            answer = tf.gather(answer, places, batch_dims=1)
        results.append(Result(answer, tuple(state[where] if where else state for state in states)))
    return results


def _reader(
    cell: Cell, sequence: Sequence, orders: list[Tensor | None]
) -> Callable[[Tensor, int], Projected]:
    """Returns what reads the projected inputs of some steps from one on, in the order taken.

    It gives `[*lead, steps, batch, projected]`; behind the last step, the last one again.
    """
    import tensorflow as tf

    timesteps = sequence.inputs.shape[1]
    source, project = projector(cell, sequence)
    ordered = [
        time_major(source if order is None else tf.gather(source, order, batch_dims=1))
        for order in orders
    ]
    axis = len(cell.lead)
    rows: Projected = (tf.stack(ordered) if cell.lead else ordered[0],)
    shape = rows[0].shape
    if hoisted := cell.products.integer:
        rows = project(rows[0])
    elif not cell.lead and shape[1] > 1:
        # A RESHAPE refuses an input that was resized, of which GATHER would read a part only.
        flat = [timesteps, shape[1] * shape[2]] if len(shape) > 2 else [*shape, 1]
        rows = (tf.reshape(rows[0], flat),)

    def read(step: Tensor, number: int) -> Projected:
        steps = step + tf.range(number)
        if number == PROJECTED:
            steps = tf.minimum(steps, timesteps - 1)
        # GATHER: STRIDED_SLICE, as rows[step] would be, takes ten times as long.
        some = tuple(tf.gather(part, steps, axis=axis) for part in rows)
        if hoisted:
            return some
        return project(tf.reshape(some[0], [*shape[:axis], number, *shape[axis + 1 :]]))

    return read
