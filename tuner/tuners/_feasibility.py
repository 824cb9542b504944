"""A model of which points keep the limits of a budget, learned from the trials so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import norm

from keras_rnn_zoo.tuner.tuners._surrogate import Space, expected, fit, role

if TYPE_CHECKING:
    from keras_rnn_zoo.tuner.tuners._durable import DurableOracle

# Limit -> what a trial's record calls that which is limited.
_FIGURES = {
    "size": "bytes",
    "latency": "latency_ms",
    "parameters": "parameters",
    "arena": "arena",
}
# A trial within a limit is taken for this many times the limit where its record does not say.
_WITHIN = 0.8
# Last parts of the names of hyperparameters that the file of a model does not depend on.
_OF_TRAINING = (
    "learning_rate",
    "batch_size",
    "dropout",
    "recurrent_dropout",
    "spatial_dropout",
    "word_dropout",
)
# Noise that is expected, in parts of the variance: sizes are exact, latencies nearly.
_NOISE = 1e-4
# So many random points that may keep the limits are compared.
_CANDIDATES = 50
# A point with less than this part of the greatest probability is none of them.
_HOPE = 0.05


def ratios(oracle: DurableOracle) -> dict[str, dict[str, float]]:
    """Returns limit -> trial -> its figure as a multiple of the limit, as far as is known.

    Limits that every trial kept are left out: there is nothing to learn.
    """
    found: dict[str, dict[str, float]] = {}
    limits: dict[str, float] = {}
    for name in oracle.trials:
        for limit, times in oracle.excess(name).items():
            found.setdefault(limit, {})[name] = times
            figure = oracle.records[name].get(_FIGURES.get(limit, ""))
            if figure:
                limits[limit] = figure / times
    for limit, known in found.items():
        for name, trial in oracle.trials.items():
            figure = oracle.records.get(name, {}).get(_FIGURES.get(limit, ""))
            if name in known or trial.status != "COMPLETED":
                continue
            if figure and limit in limits:
                known[name] = figure / limits[limit]
            elif not oracle.excess(name):
                known[name] = _WITHIN
    return found


class Limits:
    """A Gaussian process of each limit that a trial was over.

    Args:
        oracle: Its trials are what is known.

    Attributes:
        space: That of the oracle.
    """

    def __init__(self, oracle: DurableOracle):
        hyperparameters = oracle.hyperparameters.space
        self.space = Space(hyperparameters)
        # Without what training alone knows: the file is the same whatever that is.
        self._files = Space([hp for hp in hyperparameters if role(hp) not in _OF_TRAINING])
        self._oracle = oracle
        self._processes = []
        for times in ratios(oracle).values() if len(self._files.groups) else ():
            points = [oracle.trials[name].hyperparameters.values for name in times]
            x, same = np.unique(self._files.encode(points), axis=0, return_inverse=True)
            y = np.bincount(same.ravel(), np.log([*times.values()])) / np.bincount(same.ravel())
            self._processes.append(fit(x, y, self._files.groups, noise=_NOISE))

    def probability(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Returns the probability of each point that it keeps all limits."""
        x = self._files.encode(points)
        probability: np.ndarray = np.ones(len(x))
        for process in self._processes:
            mean, deviation = expected(process, x)
            probability = probability * norm.cdf(-mean / deviation)
        return probability

    def draw(self, generator: np.random.Generator) -> dict[str, Any] | None:
        """Returns a random point that was not tried and probably keeps the limits.

        Of those that may, the one where the probability times the distance of its file from those
        of the trials that did is largest (after "best candidate": Mitchell, 1991), so that a short
        search sees all kinds of what fits. One over a limit costs far less than a trial that
        trains. None if there are no points left.
        """
        pool = [self.space.draw(generator) for _ in range(1000)]
        pool = [values for values in pool if not self._oracle._duplicate(values)]
        if not pool:
            return None
        probability = self.probability(pool)
        likely = np.flatnonzero(probability >= _HOPE * probability.max())[:_CANDIDATES]
        worth = probability[likely]
        within = [
            trial.hyperparameters.values
            for name, trial in self._oracle.trials.items()
            if not self._oracle.excess(name)
        ]
        if within:
            points = self._files.encode([pool[index] for index in likely])
            worth = worth * cdist(points, self._files.encode(within)).min(axis=1)
        return pool[int(likely[worth.argmax()])]
