"""Bayesian optimization."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.tuner.tuners import TUNERS, Algorithm, Plan

if TYPE_CHECKING:
    import keras_tuner


@functools.lru_cache
def _oracle_class() -> Any:
    import keras_tuner
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning

    from keras_rnn_zoo.tuner.durable import durable

    class SeededBayesianOracle(keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
        """KerasTuner's, with proposals that follow from the trials so far and the seed alone."""

        def populate_space(self, trial_id: str) -> dict[str, Any]:
            # KerasTuner keeps this generator in memory only, so a resumed search would differ.
            self._random_state = np.random.RandomState(self.seed + len(self.trials))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                proposal: dict[str, Any] = super().populate_space(trial_id)
            if proposal.get("values") and self._duplicate(proposal["values"]):
                # To train the same again teaches nothing.
                proposal = self._random_populate_space()
            return proposal

    return durable(SeededBayesianOracle)


class Bayesian(Algorithm):
    """Gaussian process over the trials so far, upper confidence bound.

    The first third of the trials (at least 3) is random. KerasTuner's own choice, three times the
    number of hyperparameters, would leave a short search all random.
    """

    name = "bayesian"
    description = "Models the score as a Gaussian process and tries where it may be best."

    def oracle(self, plan: Plan) -> keras_tuner.Oracle:
        """Returns the oracle; see `Algorithm.oracle`."""
        return _oracle_class()(
            max_trials=plan.max_trials,
            num_initial_points=max(3, plan.max_trials // 3),
            **plan.arguments(),
        )


TUNERS.register(Bayesian.name, Bayesian())
