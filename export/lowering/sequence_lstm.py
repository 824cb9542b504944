"""The builtin op UNIDIRECTIONAL_SEQUENCE_LSTM: what it expresses, how the converter makes it."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from keras_rnn_zoo.export.lowering.cells import LSTM, AnyKerasCell, Cell
from keras_rnn_zoo.export.lowering.recurrence import Sequence

Tensor = Any


def refuses(cell: Cell, sequence: Sequence) -> str | None:
    """Says why the op cannot express a recurrence; see `Lowering.refuses`."""
    from keras import activations

    if not isinstance(cell, LSTM):
        kind = type(cell.layer if isinstance(cell, AnyKerasCell) else cell).__name__
        return f"its cell is a {kind}, and the op is an LSTM"
    if cell.activation is not activations.tanh:
        return f"its activation is {_name(cell.activation)}, and the op knows tanh alone"
    if cell.recurrent_activation is not activations.sigmoid:
        return (
            f"its recurrent_activation is {_name(cell.recurrent_activation)}, and the op knows "
            "sigmoid alone"
        )
    if sequence.initial_states is not None:
        return "it is given an initial state, and the op starts from zeros"
    if sequence.return_state:
        return "it returns its states, and the op keeps the cell to itself"
    return None


def sequence_lstm(
    name: str, inputs: Tensor, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray
) -> Tensor:
    """The outputs of all steps, `[batch, timesteps, units]`.

    The converter replaces a function that carries these attributes, takes these arguments and
    returns these five results by the op, for the first two results alone; what the function
    computes is for TensorFlow.

    Args:
        name: Path of the layer in the model.
        inputs: float32 `[batch, timesteps, features]`.
        kernel: float32 `[features, 4 units]`.
        recurrent_kernel: float32 `[units, 4 units]`.
        bias: float32 `[4 units]`.
    """
    import tensorflow as tf

    def lstm(inputs, hidden, carry, kernel, recurrent_kernel, bias):  # type: ignore[no-untyped-def]
        batch, timesteps, features = inputs.shape
        projected = tf.matmul(tf.reshape(inputs, [batch * timesteps, features]), kernel) + bias
        steps = tf.transpose(tf.reshape(projected, [batch, timesteps, -1]), [1, 0, 2])

        def step(time, hidden, carry, outputs):  # type: ignore[no-untyped-def]
            gates = steps[time] + tf.matmul(hidden, recurrent_kernel)
            i, f, g, o = tf.split(gates, 4, axis=1)
            carry = tf.sigmoid(f) * carry + tf.sigmoid(i) * tf.tanh(g)
            hidden = tf.sigmoid(o) * tf.tanh(carry)
            return time + 1, hidden, carry, outputs.write(time, hidden)

        outputs = tf.TensorArray(tf.float32, timesteps, element_shape=hidden.shape)
        _, hidden, carry, outputs = tf.while_loop(
            lambda time, *_: time < timesteps, step, (0, hidden, carry, outputs)
        )
        outputs = tf.transpose(outputs.stack(), [1, 0, 2])
        return hidden, outputs, hidden, carry, tf.constant(0.0)

    function = tf.function(
        lstm,
        autograph=False,
        experimental_attributes={
            "api_implements": f"lstm_{name}",
            "api_preferred_device": "CPU",
            # Without these two the converter makes an empty model and says nothing.
            "go_backwards": False,
            "time_major": False,
        },
    )
    # What the converter turns into the tensors that keep the state is constants here, and it
    # merges equal ones: zeros would be those that a loop elsewhere in the model starts from. So
    # they are like no other constant; what they hold is not in the file.
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    hidden, carry = generator.uniform(-1, 1, [2, inputs.shape[0], len(recurrent_kernel)]).astype(
        np.float32
    )
    # Where nothing is traced, there is nothing to replace, and they are zeros as in a file.
    compute = function
    if tf.executing_eagerly():
        compute, hidden, carry = lstm, np.zeros_like(hidden), np.zeros_like(carry)
    arguments = map(tf.constant, (hidden, carry, kernel, recurrent_kernel, bias))
    return compute(inputs, *arguments)[1]


def _name(activation: Any) -> str:
    return str(getattr(activation, "__name__", activation))
