"""A chain of cells as one recurrence after the other, each over the whole sequence."""

from __future__ import annotations

from dataclasses import replace

from keras_rnn_zoo.export.lowering.cells import Chain
from keras_rnn_zoo.export.lowering.recurrence import Lowering, Result, Sequence


def one_by_one(lowering: Lowering, chain: Chain, sequence: Sequence) -> Result:
    """Runs a sequence through each cell of a chain in turn.

    A masked step's output, which `chain` computes from states that have not moved, is here what
    the cell below repeats; no cell above takes that step, so nobody sees the difference.
    """
    import tensorflow as tf

    states: tuple[object, ...] = ()
    given = sequence.initial_states
    below: Result | None = None
    for number, cell in enumerate(chain.cells):
        own = sequence
        if below is not None:
            # The outputs below are in the order in which the steps were taken.
            mask = sequence.mask
            if mask is not None and sequence.go_backwards:
                mask = tf.reverse(mask, [1])
            own = replace(own, inputs=below.output, lookup=None, mask=mask, go_backwards=False)
        if number < len(chain.cells) - 1:
            own = replace(own, return_sequences=True)
        if given is not None:
            own = replace(own, initial_states=given[: len(cell.state_shapes)])
            given = given[len(cell.state_shapes) :]
        below = lowering.run(cell, own)
        states += below.states
    assert below is not None
    return Result(below.output, states)
