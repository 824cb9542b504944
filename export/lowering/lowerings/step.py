"""A few time steps a call; the client carries the states from one call to the next."""

from __future__ import annotations

from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering.cells import Cell, States, split
from keras_rnn_zoo.export.lowering.reading import choose, time_major
from keras_rnn_zoo.export.lowering.recurrence import Lowering, Result, Sequence, register_lowering

Tensor = Any


@register_lowering("step")
class Step(Lowering):
    """A file that is small whatever the number of time steps: a client calls it again and again.

    Its inputs are those of one step, or of a few, and, by name, the states before them
    (`<layer>/h`, `<layer>/c`); its outputs are the answer so far and the states after them, by the
    same names. It is for models that look at no step to come: see `lowering/streaming`.
    """

    fallback: ClassVar[str] = "loop"
    description = "a few time steps a call; states are inputs and outputs, for causal models"
    folds: ClassVar[bool] = False
    by_client: ClassVar[bool] = True
    steps: ClassVar[bool] = True

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the ops of all steps of a short sequence, one after the other."""
        import tensorflow as tf

        batch, steps, features = sequence.inputs.shape
        states = sequence.initial_states or cell.initial_states(batch)
        own, mask = states[: len(cell.state_shapes)], sequence.mask
        # The output before: a masked step repeats it.
        before = states[-1] if cell.output_state is None else own[cell.output_state]
        real = [None if mask is None else mask[:, step] for step in range(steps)]

        def hold(step: int, new: States, old: States) -> States:
            if mask is None:
                return new
            return tuple(choose(real[step], a, b) for a, b in zip(new, old, strict=True))

        # Of a RESHAPE and its inverse, in the layer above, the converter leaves nothing.
        rows = tf.reshape(time_major(sequence.inputs), [steps * batch, features])
        made, after = cell.block(split(cell.project(rows), steps), own, hold)
        outputs, held = [], before
        for step, new in enumerate(made):
            (held,) = hold(step, (new,), (held,))
            zero = mask is not None and sequence.zero_output_for_mask
            outputs.append(choose(real[step], held, tf.zeros_like(held)) if zero else held)
        output = outputs[-1]
        if sequence.return_sequences:
            shape = [steps, batch, *output.shape[1:]]
            output = time_major(tf.reshape(tf.concat(outputs, axis=0), shape))
        return Result(output, (*after, held) if len(states) > len(own) else after)
