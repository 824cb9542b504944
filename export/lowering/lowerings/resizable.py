"""One WHILE loop over sequences of any number and any length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering.cells import Cell, Chain, States
from keras_rnn_zoo.export.lowering.chaining import one_by_one
from keras_rnn_zoo.export.lowering.reading import choose
from keras_rnn_zoo.export.lowering.recurrence import Lowering, Result, Sequence, register_lowering

Tensor = Any


@register_lowering("resizable")
class Resizable(Lowering):
    """A WHILE loop over the time steps, of which the file fixes neither the number nor the batch.

    What the model leaves open stays open: an app calls `resize_tensor_input` (in C++ and Java
    `ResizeInputTensor`, `resizeInput`) before it sets an input of another size. The input
    projection of all steps is one product before the loop; masked steps are taken and undone.
    """

    description = "a WHILE loop over sequences of any number and length; the app sizes the inputs"
    open_sizes: ClassVar[bool] = True
    folds: ClassVar[bool] = False

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the loop; see the class."""
        import tensorflow as tf

        if isinstance(cell, Chain):
            return one_by_one(self, cell, sequence)
        batch, timesteps, features = _sizes(sequence.inputs)
        made = cell.output_shape(features)
        rows = tf.reshape(tf.transpose(sequence.inputs, [1, 0, 2]), [timesteps * batch, features])
        projected = tuple(
            tf.reshape(part, [timesteps, batch, part.shape[-1]]) for part in cell.project(rows)
        )
        counts = None if sequence.mask is None else tf.transpose(sequence.mask)
        zeros = tf.zeros([batch, *made])
        states: States = sequence.initial_states or cell.initial_states(batch)
        keep, backwards = sequence.return_sequences, sequence.go_backwards
        kept, write, stack = _array(timesteps if keep else 1, batch, made)

        def take(step, output, kept, *before):  # type: ignore[no-untyped-def]
            time = timesteps - 1 - step if backwards else step
            made, after = cell.step(tuple(tf.gather(part, time) for part in projected), before)
            if counts is not None:
                counting = tf.gather(counts, time)
                after = tuple(choose(counting, *pair) for pair in zip(after, before, strict=True))
                made = choose(counting, made, output)
            for new, old in zip(after, before, strict=True):
                new.set_shape(old.shape)
            made.set_shape(output.shape)
            if keep:
                shown = made
                if counts is not None and sequence.zero_output_for_mask:
                    shown = choose(counting, made, zeros)
                kept = write(kept, step, shown)
            return step + 1, made, kept, *after

        _, output, kept, *last = tf.while_loop(
            lambda step, *_: step < timesteps,
            take,
            (tf.constant(0), zeros, kept, *states),
            parallel_iterations=1,
        )
        if keep:
            output = tf.transpose(stack(kept), [1, 0, *range(2, 2 + len(made))])
        elif counts is not None and sequence.zero_output_for_mask:
            output = choose(counts[0 if backwards else -1], output, zeros)
        return Result(output, tuple(last))


def _sizes(tensor: Tensor) -> list[Any]:
    """The sizes of a tensor: numbers where they are known, else scalar tensors."""
    import tensorflow as tf

    found = tf.shape(tensor)
    return [found[axis] if size is None else size for axis, size in enumerate(tensor.shape)]


def _array(
    size: Any, batch: Any, shape: tuple[int, ...]
) -> tuple[Any, Callable[[Any, Tensor, Tensor], Any], Callable[[Any], Tensor]]:
    """Returns what holds the outputs, what writes one into it, and what makes it one tensor."""
    import tensorflow as tf

    if isinstance(batch, int):
        return (
            tf.TensorArray(tf.float32, size, element_shape=[batch, *shape]),
            lambda array, step, output: array.write(step, output),
            lambda array: array.stack(),
        )
    # The converter takes no TensorArray of rows whose number is open, but what it makes of one:
    # DYNAMIC_UPDATE_SLICE. TensorFlow itself can run that op in XLA only.
    from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_dynamic_update_slice

    def write(array: Tensor, step: Tensor, output: Tensor) -> Tensor:
        start = tf.stack([step, *[tf.zeros_like(step)] * (1 + len(shape))])
        return xla_dynamic_update_slice(array, output[tf.newaxis], start)

    return tf.zeros([size, batch, *shape]), write, lambda array: array
