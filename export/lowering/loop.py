"""A WHILE loop over the time steps that stops at the last step that counts."""

from __future__ import annotations

from typing import Any

from keras_rnn_zoo.export.lowering._base import Lowering, Result, Sequence, register_lowering
from keras_rnn_zoo.export.lowering._cells import Cell


@register_lowering("loop")
class Loop(Lowering):
    """One matrix product for the inputs of all steps, then a WHILE loop for the recurrence.

    With a mask the loop covers only the steps up to the last one that counts (in any sequence of
    the batch), so a short, right-padded input costs less. The outputs of all steps are kept (in
    one tensor, written slice by slice) only where they are needed.
    """

    description = "a WHILE loop with the input projection hoisted out of it"

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the loop; see the class."""
        import tensorflow as tf

        batch, timesteps, features = sequence.inputs.shape
        units = cell.state_sizes[0]
        projected = cell.project(tf.reshape(sequence.inputs, [batch * timesteps, features]))
        projected = tf.reshape(projected, [batch, timesteps, projected.shape[-1]])
        projected = _time_major(projected)

        mask: Any = sequence.mask
        first: object = tf.constant(0)
        last: object = tf.constant(timesteps)
        if mask is not None:
            numbers = tf.range(1, timesteps + 1)[tf.newaxis, :]
            count = tf.reduce_max(tf.where(mask, numbers, tf.zeros_like(numbers)))
            mask = _time_major(mask[:, :, tf.newaxis])
            if sequence.go_backwards:
                first = timesteps - count
            else:
                last = count

        states = sequence.initial_states or cell.initial_states(batch)
        # Zeros before the first step that counts, whatever the initial state is.
        output = tf.zeros([batch, units])
        outputs = tf.TensorArray(
            tf.float32, timesteps if sequence.return_sequences else 1, element_shape=[batch, units]
        )

        def body(step, output, outputs, *states):  # type: ignore[no-untyped-def]
            time = timesteps - 1 - step if sequence.go_backwards else step
            # GATHER: STRIDED_SLICE, as projected[time] would be, takes ten times as long.
            new_output, new_states = cell.step(tf.gather(projected, time), states)
            if mask is not None:
                counts = tf.gather(mask, time)
                new_states = tuple(
                    tf.where(counts, new, old) for new, old in zip(new_states, states, strict=True)
                )
                other = tf.zeros_like(output) if sequence.zero_output_for_mask else output
                new_output = tf.where(counts, new_output, other)
            if sequence.return_sequences:
                outputs = outputs.write(step, new_output)
            return step + 1, new_output, outputs, *new_states

        _, output, outputs, *states = tf.while_loop(
            lambda step, *_: step < last,
            body,
            (first, output, outputs, *states),
            parallel_iterations=1,
        )
        past_the_end = mask is not None and not sequence.go_backwards
        if not sequence.return_sequences:
            if past_the_end and sequence.zero_output_for_mask:
                output = tf.where(mask[timesteps - 1], output, tf.zeros_like(output))
            return Result(output, tuple(states))
        stacked = outputs.stack()
        if past_the_end and not sequence.zero_output_for_mask:
            reached = tf.range(timesteps)[:, tf.newaxis, tf.newaxis] < last
            stacked = tf.where(reached, stacked, output[tf.newaxis])
        return Result(_time_major(stacked), tuple(states))


def _time_major(tensor: Any) -> Any:
    """Swaps the first two axes; for a batch of one, a reshape instead of a transpose."""
    import tensorflow as tf

    first, second, *rest = tensor.shape
    if 1 in (first, second):
        return tf.reshape(tensor, [second, first, *rest])
    return tf.transpose(tensor, [1, 0, *range(2, 2 + len(rest))])
