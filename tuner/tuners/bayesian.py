"""Bayesian optimization that knows inactive hyperparameters, budgets and failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_rnn_zoo.tuner.tuners import Algorithm, Plan, register_tuner

if TYPE_CHECKING:
    import keras_tuner


@register_tuner
class Bayesian(Algorithm):
    """Gaussian processes over the trials so far: one of the score, one of every limit exceeded.

    The first third of the trials (at least 3) is random. Those over budget do not count; once there
    is one, only what probably keeps the limits is drawn. KerasTuner's own choice, three times the
    number of hyperparameters, would leave a short search all random. A search that goes on with
    more trials has had its random ones.
    """

    name = "bayesian"
    description = "Models the score as a Gaussian process and tries where it may be best."

    def oracle(self, plan: Plan) -> keras_tuner.Oracle:
        """Returns the oracle; see `Algorithm.oracle`."""
        from keras_rnn_zoo.tuner.tuners._bayesian import Oracle

        return Oracle(
            max_trials=plan.max_trials,
            num_initial_points=max(3, (plan.likely or plan.max_trials) // 3),
            **plan.arguments(),
        )
