"""One time step a call; the client carries the states from one to the next."""

from __future__ import annotations

from typing import ClassVar

from keras_rnn_zoo.export.lowering.cells import Cell
from keras_rnn_zoo.export.lowering.recurrence import Lowering, Result, Sequence, register_lowering


@register_lowering("step")
class Step(Lowering):
    """A file that is small whatever the number of time steps: a client calls it for each.

    Its inputs are those of one step and, by name, the states before it (`<layer>/h`,
    `<layer>/c`), zeros at first; its outputs are the answer so far and the states after it, by the
    same names. It is for models that look at no step to come: see `lowering/streaming.py`.
    """

    description = "one time step a call; states are inputs and outputs, for causal models"
    folds: ClassVar[bool] = False
    by_client: ClassVar[bool] = True
    steps: ClassVar[bool] = True

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the ops of a step over a sequence of one."""
        import tensorflow as tf

        batch, _, features = sequence.inputs.shape
        states = sequence.initial_states or cell.initial_states(batch)
        # Of a RESHAPE and its inverse, in the layer above, the converter leaves nothing.
        projected = cell.project(tf.reshape(sequence.inputs, [batch, features]))
        output, after = cell.step(projected, states)
        if sequence.return_sequences:
            output = tf.reshape(output, [batch, 1, *output.shape[1:]])
        return Result(output, after)
