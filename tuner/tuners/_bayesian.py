"""The oracle of `bayesian`; importing it imports TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner
import numpy as np
from scipy.stats import norm

from keras_rnn_zoo.tuner.tuners._durable import DurableOracle, durable
from keras_rnn_zoo.tuner.tuners._feasibility import Limits
from keras_rnn_zoo.tuner.tuners._surrogate import expected, fit, quietly

# Noise of the scores that is expected, in parts of their variance.
_NOISE = 1e-2


def robust_scores(oracle: DurableOracle) -> dict[str, float]:
    """Returns trial -> score, greater being better; a failed one is as bad as the worst.

    A far outlier on the bad side is drawn in: how bad it is says nothing of where the best are,
    and would make all others look alike. Trials over budget have no score.
    """
    found = oracle.maximized_scores()
    best, median = max(found.values(), default=0.0), float(np.median([*found.values()] or [0.0]))
    if best > median:
        least = median - 3 * (best - median)
        found = {name: max(score, least) for name, score in found.items()}
    worst = min(found.values(), default=0.0)
    failed = (name for name, trial in oracle.trials.items() if trial.status == "FAILED")
    return {**found, **dict.fromkeys(failed, worst)}


class _Posterior:
    """What the trials so far say of those that were not run.

    Args:
        oracle: Its trials that are running are taken for what is expected of them, so that none is
            proposed next to them.
    """

    def __init__(self, oracle: DurableOracle):
        self.limits = Limits(oracle)
        self.space = space = self.limits.space
        self.score = None
        known = robust_scores(oracle)
        if not known:
            return
        points = {name: trial.hyperparameters.values for name, trial in oracle.trials.items()}
        x, y = space.encode([points[name] for name in known]), np.array([*known.values()])
        running = [name for name, trial in oracle.trials.items() if trial.status == "RUNNING"]
        ahead = space.encode([points[name] for name in running])
        self.score = fit(x, y, space.groups, noise=_NOISE, alpha=oracle.alpha, ahead=ahead)
        self.best = float(self.score.predict(np.concatenate([x, ahead])).max())

    def acquisition(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Returns how much better than the best each point may be, if it keeps the limits.

        That is expected improvement times the probability of being feasible: Gardner et al.,
        "Bayesian optimization with inequality constraints" (ICML 2014). Until a trial within the
        budget is known, it is that probability alone.
        """
        x = self.space.encode(points)
        acquisition = self.limits.probability(points)
        if self.score is not None:
            mean, deviation = expected(self.score, x)
            z = (mean - self.best) / deviation
            acquisition = acquisition * deviation * (z * norm.cdf(z) + norm.pdf(z))
        return acquisition


class ConditionalBayesianOracle(keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    """KerasTuner's, with a posterior of its own and expected improvement in place of `beta`.

    A proposal follows from the trials so far and the seed alone.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `keras_tuner.Oracle.populate_space`."""
        initial = self.num_initial_points or max(3 * len(self.hyperparameters.space), 3)
        ended = [n for n, t in self.trials.items() if t.status in ("COMPLETED", "FAILED")]
        over = [name for name in ended if self.excess(name)]
        if not self._nonfixed_space() or (not over and len(ended) < initial):
            proposal: dict[str, Any] = self._random_populate_space()
            return proposal
        values = None
        with quietly():
            # What was over budget says nothing of the score: the random start goes on without.
            if len(ended) - len(over) < initial:
                generator = np.random.default_rng([self.seed, len(self.trials)])
                values = Limits(self).draw(generator)
            values = values or self._best_candidate()
        return {"status": "STOPPED" if values is None else "RUNNING", "values": values}

    def _best_candidate(self) -> dict[str, Any] | None:
        """Returns the best of many points that were not tried; None if all were.

        Random ones and neighbours of the ten best trials; then, twice, neighbours of the ten
        most promising of these.
        """
        generator = np.random.default_rng([self.seed, len(self.trials)])
        posterior = _Posterior(self)
        draw = posterior.space.draw
        known = robust_scores(self)
        tops = sorted(known, key=lambda name: -known[name])[:10]
        near = [self.trials[name].hyperparameters.values for name in tops]
        fresh = [draw(generator) for _ in range(1000)]
        fresh += [draw(generator, values) for values in near for _ in range(50)]
        pool: list[dict[str, Any]] = []
        acquisition: np.ndarray = np.zeros(0)
        for _ in range(3):
            fresh = [values for values in fresh if not self._duplicate(values)]
            if fresh:
                pool += fresh
                acquisition = np.append(acquisition, posterior.acquisition(fresh))
            near = [pool[index] for index in np.argsort(-acquisition, kind="stable")[:10]]
            fresh = [draw(generator, values) for values in near for _ in range(30)]
        return near[0] if near else None


Oracle = durable(ConditionalBayesianOracle)
