"""Every time step spelled out: one subgraph without control flow."""

from __future__ import annotations

from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering.cells import Cell, Chain
from keras_rnn_zoo.export.lowering.chaining import one_by_one
from keras_rnn_zoo.export.lowering.reading import choose, projector, time_major
from keras_rnn_zoo.export.lowering.recurrence import Lowering, Result, Sequence, register_lowering


@register_lowering("unrolled")
class Unrolled(Lowering):
    """The steps one after the other in one subgraph, for clients that take no control flow.

    Conversion takes time and the file grows with the number of time steps.
    """

    description = "every time step spelled out in one subgraph, for clients without WHILE"
    # More take minutes to convert.
    auto_timesteps: ClassVar[int | None] = 32

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds every step; see the class."""
        import tensorflow as tf

        if isinstance(cell, Chain):
            # One matrix product for the input projection of each cell.
            return one_by_one(self, cell, sequence)
        batch, timesteps, features = sequence.inputs.shape
        source, project = projector(cell, sequence)
        projected = project(time_major(source))
        steps = list(zip(*(tf.unstack(part, timesteps) for part in projected), strict=True))
        masks: list[Any] = [None] * timesteps
        if sequence.mask is not None:
            masks = tf.unstack(sequence.mask, timesteps, axis=1)

        states = sequence.initial_states or cell.initial_states(batch)
        output = tf.zeros([batch, *cell.output_shape(features)])
        outputs = []
        order = range(timesteps)
        for time in reversed(order) if sequence.go_backwards else order:
            new_output, new_states = cell.step(steps[time], states)
            if (counts := masks[time]) is not None:
                new_states = tuple(
                    choose(counts, new, old) for new, old in zip(new_states, states, strict=True)
                )
                other = tf.zeros_like(output) if sequence.zero_output_for_mask else output
                new_output = choose(counts, new_output, other)
            output, states = new_output, new_states
            outputs.append(output)
        return Result(
            tf.stack(outputs, axis=1) if sequence.return_sequences else output, tuple(states)
        )
