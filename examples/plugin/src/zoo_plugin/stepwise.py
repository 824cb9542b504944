"""A lowering: every step spelled out, with a projection of its own."""

from keras_rnn_zoo.export import Lowering, register_lowering
from keras_rnn_zoo.export.lowering import Chain, Result, choose, one_by_one


@register_lowering("stepwise")
class Stepwise(Lowering):
    """One subgraph in which each step projects its own inputs: little memory, large files."""

    description = "every time step spelled out, each with its own projection"
    folds = False
    auto_timesteps = 16

    def run(self, cell, sequence):
        """Builds every step."""
        import tensorflow as tf

        if isinstance(cell, Chain):
            return one_by_one(self, cell, sequence)
        batch, timesteps, features = sequence.inputs.shape
        states = sequence.initial_states or cell.initial_states(batch)
        output = tf.zeros([batch, *cell.output_shape(features)])
        outputs = []
        times = range(timesteps)
        for time in reversed(times) if sequence.go_backwards else times:
            made, after = cell.step(cell.project(sequence.inputs[:, time]), states)
            if sequence.mask is not None:
                counts = sequence.mask[:, time]
                after = tuple(choose(counts, new, old) for new, old in zip(after, states))
                other = tf.zeros_like(output) if sequence.zero_output_for_mask else output
                made = choose(counts, made, other)
            output, states = made, after
            outputs.append(output)
        return Result(tf.stack(outputs, 1) if sequence.return_sequences else output, states)
