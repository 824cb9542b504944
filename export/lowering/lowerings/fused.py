"""The builtin op UNIDIRECTIONAL_SEQUENCE_LSTM: one op for a whole recurrence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_rnn_zoo.export.lowering.cells import LSTM, Cell, Chain
from keras_rnn_zoo.export.lowering.chaining import one_by_one
from keras_rnn_zoo.export.lowering.reading import Order
from keras_rnn_zoo.export.lowering.recurrence import Lowering, Result, Sequence, register_lowering
from keras_rnn_zoo.export.lowering.sequence_lstm import refuses, sequence_lstm

# A gate that is driven to less than this is 0 in float32: exp(-104) is below the least of them.
SHUT = -104.0
# The largest feature of the step that forgets: a float16 file holds it as float16.
LARGEST_DRIVE = 6e4


@register_lowering("fused")
class Fused(Lowering):
    """One op for each LSTM, in one subgraph, for clients that take no control flow.

    The op takes no mask: the steps that count are brought to the front, all steps are run, and
    the outputs that Keras would give are picked from those of the op.

    It keeps its state from one call to the next, so a step that forgets goes first: there its
    gates i, f and o are driven to 0, which makes the cell and the output zero, whatever they
    were (unless an input was NaN: 0 times NaN is NaN). The output of that step is also what Keras
    gives before the first step that counts.

    The converter makes the op limit its cell to 10, which `export/convert/clipping.py` takes back.
    """

    description = "the op UNIDIRECTIONAL_SEQUENCE_LSTM; what is no LSTM as 'loop'"
    fallback: ClassVar[str] = "loop"
    folds: ClassVar[bool] = False

    def refuses(self, cell: Cell, sequence: Sequence) -> str | None:
        """Says what the op cannot do; see the class."""
        if isinstance(cell, Chain):
            reasons = (self.refuses(one, sequence) for one in cell.cells)
            return next((reason for reason in reasons if reason is not None), None)
        if (reason := refuses(cell, sequence)) is not None:
            return reason
        if cell.products.integer:
            return (
                "it is to compute in int8, and what the op computes within itself is not to be seen"
            )
        return None

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the op and what goes around it; see the class."""
        import tensorflow as tf

        if isinstance(cell, Chain):
            return one_by_one(self, cell, sequence)
        assert isinstance(cell, LSTM)
        batch, _, features = sequence.inputs.shape
        order = Order(sequence, block=1)
        inputs = sequence.inputs
        if sequence.mask is None:
            inputs = tf.reverse(inputs, [1]) if sequence.go_backwards else inputs
        elif sequence.lookup is not None:
            inputs = sequence.lookup.vectors(order.take(sequence.lookup.ids))
        else:
            inputs = order.take(inputs)

        weights = _Weights.of(cell)
        forgetting = np.zeros([batch, 1, features + 1], np.float32)
        forgetting[..., -1] = weights.drive
        inputs = tf.concat([forgetting, tf.pad(inputs, [[0, 0], [0, 0], [0, 1]])], axis=1)
        outputs = sequence_lstm(
            cell.name, inputs, weights.kernel, weights.recurrent_kernel, weights.bias
        )

        # Place 0 is the step that forgets: zeros.
        places = order.places
        if places is None:
            return Result(outputs[:, 1:] if sequence.return_sequences else outputs[:, -1], ())
        if sequence.return_sequences:
            return Result(tf.gather(outputs, places, batch_dims=1), ())
        output = tf.gather(outputs, places[:, -1:], batch_dims=1)
        return Result(tf.reshape(output, [batch, cell.units]), ())


@dataclass(frozen=True)
class _Weights:
    """The weights of the op.

    Attributes:
        kernel: float32 `[features + 1, 4 units]`; the last feature shuts the gates i, f and o.
        recurrent_kernel: float32 `[units, 4 units]`.
        bias: float32 `[4 units]`.
        drive: What the last feature is in the step that forgets. In all others it is 0.
    """

    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray
    drive: float

    @classmethod
    def of(cls, cell: LSTM) -> _Weights:
        bias = np.zeros(4 * cell.units, np.float32) if cell.bias is None else cell.bias
        # The state that is to be forgotten lies within -1 and 1.
        against = float((np.abs(cell.recurrent_kernel).sum(axis=0) + np.abs(bias)).max())
        # As large as the gate's largest weight, not larger: int8 weights share a scale.
        i, f, _, o = (float(np.abs(gate).max()) for gate in np.split(cell.kernel, 4, axis=1))
        least = (against - SHUT) / LARGEST_DRIVE
        i, f, o = (max(size, least) for size in (i, f, o))
        shut = np.repeat([-i, -f, 0.0, -o], cell.units).astype(np.float32)
        return cls(
            kernel=np.concatenate([cell.kernel, shut[np.newaxis]]),
            recurrent_kernel=cell.recurrent_kernel,
            bias=bias,
            drive=(against - SHUT) / min(i, f, o),
        )
