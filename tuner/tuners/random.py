"""Random search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_rnn_zoo.tuner.tuners import Algorithm, Plan, register_tuner

if TYPE_CHECKING:
    import keras_tuner


@register_tuner
class Random(Algorithm):
    """Draws every hyperparameter at random; no combination twice."""

    name = "random"
    description = "Draws every hyperparameter at random."

    def oracle(self, plan: Plan) -> keras_tuner.Oracle:
        """Returns the oracle; see `Algorithm.oracle`."""
        import keras_tuner

        from keras_rnn_zoo.tuner.tuners._durable import durable

        cls = durable(keras_tuner.oracles.RandomSearchOracle)
        return cls(max_trials=plan.max_trials, **plan.arguments())
