"""Bayesian optimization that knows inactive hyperparameters, budgets and failures."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.tuner.tuners import TUNERS, Algorithm, Plan

if TYPE_CHECKING:
    import keras_tuner
    import numpy as np

    from keras_rnn_zoo.tuner.durable import DurableOracle

# Limit -> what a trial's record calls that which is limited.
_FIGURES = {"size": "bytes", "latency": "latency_ms", "parameters": "parameters"}
# A trial within a limit is taken for this many times the limit where its record does not say.
_WITHIN = 0.8
# Last parts of the names of hyperparameters that the file of a model does not depend on.
_OF_TRAINING = ("learning_rate", "dropout", "recurrent_dropout")
# So many random points within the limits are compared for the one whose file is like no other.
_CANDIDATES = 10
# Noise that is expected, in parts of the variance: training is noisy, sizes are not.
_NOISE_OF_SCORES, _NOISE_OF_LIMITS = 1e-2, 1e-4


def goodness(oracle: DurableOracle) -> dict[str, float]:
    """Returns trial -> score, greater being better; a failed one is as bad as the worst.

    A far outlier on the bad side is drawn in: how bad it is says nothing of where the best are,
    and would make all others look alike. Trials over budget have no score.
    """
    import numpy as np

    found = oracle.goodness()
    best, median = max(found.values(), default=0.0), float(np.median([*found.values()] or [0.0]))
    if best > median:
        least = median - 3 * (best - median)
        found = {name: max(score, least) for name, score in found.items()}
    worst = min(found.values(), default=0.0)
    failed = (name for name, trial in oracle.trials.items() if trial.status == "FAILED")
    return {**found, **dict.fromkeys(failed, worst)}


def ratios(oracle: DurableOracle) -> dict[str, dict[str, float]]:
    """Returns limit -> trial -> how many times the limit it is, as far as is known.

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


class _Beliefs:
    """What the trials so far say of those that were not run.

    Args:
        oracle: Its trials that are running are taken for what is expected of them, so that none is
            proposed next to them.
    """

    def __init__(self, oracle: DurableOracle):
        import numpy as np

        from keras_rnn_zoo.tuner.surrogate import Space, fit, role

        hyperparameters = oracle.hyperparameters.space
        self.space = space = Space(hyperparameters)
        # Without what training alone knows: the file is the same whatever that is.
        self.files = files = Space([hp for hp in hyperparameters if role(hp) not in _OF_TRAINING])
        points = {name: trial.hyperparameters.values for name, trial in oracle.trials.items()}
        self.limits = []
        for times in ratios(oracle).values() if len(files.groups) else ():
            x, y = files.encode([points[name] for name in times]), np.log([*times.values()])
            self.limits.append(fit(x, y, files.groups, noise=_NOISE_OF_LIMITS))
        self.score = None
        known = goodness(oracle)
        if not known:
            return
        x, y = space.encode([points[name] for name in known]), np.array([*known.values()])
        running = [name for name, trial in oracle.trials.items() if trial.status == "RUNNING"]
        ahead = space.encode([points[name] for name in running])
        self.score = fit(
            x, y, space.groups, noise=_NOISE_OF_SCORES, alpha=oracle.alpha, ahead=ahead
        )
        self.best = float(self.score.predict(np.concatenate([x, ahead])).max())

    def promise(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Returns how much better than the best each point may be, if it keeps the limits.

        That is expected improvement times the probability of being feasible: Gardner et al.,
        "Bayesian optimization with inequality constraints" (ICML 2014). Until a trial within the
        budget is known, it is that probability alone.
        """
        import numpy as np
        from scipy.stats import norm

        x = self.space.encode(points)
        promise: np.ndarray = np.ones(len(x))
        if self.score is not None:
            mean, deviation = self.score.predict(x, return_std=True)
            z = (mean - self.best) / deviation
            promise = deviation * (z * norm.cdf(z) + norm.pdf(z))
        promise = promise * self.feasibility(points)
        return promise

    def feasibility(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Returns the probability of each point that it keeps all limits."""
        import numpy as np
        from scipy.stats import norm

        x = self.files.encode(points)
        probability: np.ndarray = np.ones(len(x))
        for limit in self.limits:
            mean, deviation = limit.predict(x, return_std=True)
            probability = probability * norm.cdf(-mean / deviation)
        return probability


@functools.lru_cache
def _oracle_class() -> Any:
    import keras_tuner
    import numpy as np
    from scipy.spatial.distance import cdist
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    from keras_rnn_zoo.tuner.durable import durable

    class ConditionalBayesianOracle(keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
        """KerasTuner's, with beliefs of its own and expected improvement in place of `beta`.

        A proposal follows from the trials so far and the seed alone.
        """

        def populate_space(self, trial_id: str) -> dict[str, Any]:
            """See `keras_tuner.Oracle.populate_space`."""
            initial = self.num_initial_points or max(3 * len(self.hyperparameters.space), 3)
            ended = [n for n, t in self.trials.items() if t.status in ("COMPLETED", "FAILED")]
            if len(ended) < initial or not self._nonfixed_space():
                proposal: dict[str, Any] = self._random_populate_space()
                return proposal
            # Threads that wait for each other take longer than these sums.
            with threadpool_limits(1), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                # What was over budget says nothing of the score: the random start goes on without.
                started = sum(not self.excess(name) for name in ended) >= initial
                values = self._most_promising() if started else self._likely_feasible()
            return {"status": "STOPPED" if values is None else "RUNNING", "values": values}

        def _likely_feasible(self) -> dict[str, Any] | None:
            """Returns a random point that was not tried and probably keeps the limits.

            Of a few, the one whose file is least like those that did ("best candidate": Mitchell,
            1991), so that a short search sees all kinds of what fits.
            """
            generator = np.random.default_rng([self.seed, len(self.trials)])
            beliefs = _Beliefs(self)
            pool = [beliefs.space.draw(generator) for _ in range(1000)]
            pool = [values for values in pool if not self._duplicate(values)]
            if not pool:
                return self._most_promising()
            probability = beliefs.feasibility(pool)
            candidates: list[int] = np.flatnonzero(probability >= 0.5)[:_CANDIDATES].tolist()
            likely = [pool[index] for index in candidates or [int(probability.argmax())]]
            within = [
                trial.hyperparameters.values
                for name, trial in self.trials.items()
                if not self.excess(name)
            ]
            if not within:
                return likely[0]
            encode = beliefs.files.encode
            unlike: np.ndarray = cdist(encode(likely), encode(within)).min(axis=1)
            return likely[int(unlike.argmax())]

        def _most_promising(self) -> dict[str, Any] | None:
            """Returns the best of many points that were not tried; None if all were.

            Random ones and neighbours of the ten best trials; then, twice, neighbours of the ten
            most promising of these.
            """
            generator = np.random.default_rng([self.seed, len(self.trials)])
            beliefs = _Beliefs(self)
            draw = beliefs.space.draw
            known = goodness(self)
            tops = sorted(known, key=lambda name: -known[name])[:10]
            near = [self.trials[name].hyperparameters.values for name in tops]
            fresh = [draw(generator) for _ in range(1000)]
            fresh += [draw(generator, values) for values in near for _ in range(50)]
            pool: list[dict[str, Any]] = []
            promise: np.ndarray = np.zeros(0)
            for _ in range(3):
                fresh = [values for values in fresh if not self._duplicate(values)]
                if fresh:
                    pool += fresh
                    promise = np.append(promise, beliefs.promise(fresh))
                near = [pool[index] for index in np.argsort(-promise, kind="stable")[:10]]
                fresh = [draw(generator, values) for values in near for _ in range(30)]
            return near[0] if near else None

    return durable(ConditionalBayesianOracle)


class Bayesian(Algorithm):
    """Gaussian processes over the trials so far: one of the score, one of every limit exceeded.

    The first third of the trials (at least 3) is random, and so are further ones that probably keep
    the limits, until so many have. KerasTuner's own choice, three times the number of
    hyperparameters, would leave a short search all random.
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
