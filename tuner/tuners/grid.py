"""Grid search."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from keras_rnn_zoo.tuner.tuners import Algorithm, Plan, register_tuner

if TYPE_CHECKING:
    import keras_tuner


@register_tuner
class Grid(Algorithm):
    """Every combination; ten values of a range without a step.

    The models take turns, and within a model the hyperparameter that was declared last varies
    fastest.
    """

    name = "grid"
    description = "Tries every combination, the models in turn."

    def oracle(self, plan: Plan) -> keras_tuner.Oracle:
        """Returns the oracle; see `Algorithm.oracle`."""
        from keras_rnn_zoo.tuner.tuners._grid import Oracle

        return Oracle(max_trials=plan.max_trials, **plan.arguments())

    def total(self, oracle: keras_tuner.Oracle) -> int:
        """Returns the number of combinations, or the most trials if there are more."""
        from keras_rnn_zoo.tuner.tuners._grid import combinations

        points = islice(combinations(oracle.hyperparameters.space), oracle.max_trials)
        return sum(1 for _ in points)
