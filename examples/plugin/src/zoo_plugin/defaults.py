"""A tuner: random search that never draws more than it has to."""

from keras_rnn_zoo.tuner import Algorithm, register_tuner


@register_tuner
class Defaults(Algorithm):
    """Half of the trials of a random search, at least one."""

    name = "defaults"
    description = "Random search with half the trials, for a first look."

    def oracle(self, plan):
        """Returns KerasTuner's random oracle, made durable."""
        import keras_tuner

        from keras_rnn_zoo.tuner import durable

        cls = durable(keras_tuner.oracles.RandomSearchOracle)
        return cls(max_trials=max(1, plan.max_trials // 2), **plan.arguments())
