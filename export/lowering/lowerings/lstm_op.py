"""The builtin op UNIDIRECTIONAL_SEQUENCE_LSTM as it is, for clients that reset its state."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from keras_rnn_zoo.export.lowering.cells import LSTM, Cell, Chain
from keras_rnn_zoo.export.lowering.chaining import one_by_one
from keras_rnn_zoo.export.lowering.recurrence import Lowering, Result, Sequence, register_lowering
from keras_rnn_zoo.export.lowering.sequence_lstm import refuses, sequence_lstm


@register_lowering("lstm_op")
class LstmOp(Lowering):
    """One op for each LSTM and nothing around it.

    The op keeps its state from one call to the next: the client resets it before each sequence
    (`MicroInterpreter::Reset()`, `Interpreter::ResetVariableTensors()`), unless one goes on.
    """

    description = "the op UNIDIRECTIONAL_SEQUENCE_LSTM; the client resets it before each sequence"
    fallback: ClassVar[str] = "unrolled"
    folds: ClassVar[bool] = False
    by_client: ClassVar[bool] = True

    def refuses(self, cell: Cell, sequence: Sequence) -> str | None:
        """Says what the op cannot do; see the class."""
        if isinstance(cell, Chain):
            reasons = (self.refuses(one, sequence) for one in cell.cells)
            return next((reason for reason in reasons if reason is not None), None)
        if sequence.mask is not None:
            return "its steps may be masked, and the op takes all of them"
        return refuses(cell, sequence)

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the op; see the class."""
        import tensorflow as tf

        if isinstance(cell, Chain):
            return one_by_one(self, cell, sequence)
        assert isinstance(cell, LSTM)
        inputs = tf.reverse(sequence.inputs, [1]) if sequence.go_backwards else sequence.inputs
        bias = np.zeros(4 * cell.units, np.float32) if cell.bias is None else cell.bias
        outputs = sequence_lstm(cell.name, inputs, cell.kernel, cell.recurrent_kernel, bias)
        return Result(outputs if sequence.return_sequences else outputs[:, -1], ())
