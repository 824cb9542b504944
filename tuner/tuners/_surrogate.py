"""What the trials so far say about one that was not run: Gaussian processes over a search space.

Where a hyperparameter is inactive it has no value, and nothing may be made of one. Two points are
compared as in Swersky et al., "Raiders of the Lost Architecture" (arXiv:1409.4011): an active
hyperparameter is a place on an arc, an inactive one the arc's centre. So what is inactive in both
points counts for nothing, and what is inactive in one of them counts the same whatever its value
in the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    Hyperparameter,
    Kernel,
    NormalizedKernelMixin,
    StationaryKernelMixin,
    WhiteKernel,
)
from threadpoolctl import threadpool_limits

Values = Mapping[str, Any]
"""Name -> value of the active hyperparameters of a trial."""


def is_active(hp: Any, values: Values) -> bool:
    """Returns whether a hyperparameter of a space has a say in a trial."""
    for condition in hp.conditions:  # noqa: SIM110 (`all` takes longer, a million times a search)
        if not condition.is_active(values):
            return False
    return True


def choices(hp: Any) -> list[Any]:
    """Returns the values of a hyperparameter that have no order; empty where they have one."""
    unordered = isinstance(hp.default, str | bool) or not getattr(hp, "ordered", True)
    return list(hp.values) if unordered else []


def role(hp: Any) -> str:
    """Returns what a hyperparameter is called in its model: `units` of `lstm.units`."""
    return str(hp.name).rpartition(".")[2]


def _alike(one: Any, other: Any) -> bool:
    """Returns whether two hyperparameters are one and the same thing of different models."""

    def settings(hp: Any) -> dict[str, Any]:
        config = hp.get_config()
        return {key: value for key, value in config.items() if key not in ("name", "conditions")}

    return (
        type(one) is type(other)
        and role(one) == role(other)
        and settings(one) == settings(other)
        and any(
            first.name == second.name and not set(first.values) & set(second.values)
            for first in one.conditions
            for second in other.conditions
        )
    )


class Space:
    """Points of a search space: drawn by chance, and as rows of numbers.

    Hyperparameters are one axis where they are one and the same thing of different models, such as
    `lstm.units` and `gru.units`: named alike after the last dot, with the same range, and never
    both active. What was seen of one model then says something of the others.

    Args:
        hyperparameters: KerasTuner's, every one after those that its conditions name.

    Attributes:
        groups: The number of the axis that each column of `encode` belongs to.
    """

    def __init__(self, hyperparameters: Sequence[Any]):
        axes: list[list[Any]] = []
        for hp in hyperparameters:
            for axis in axes:
                if all(_alike(hp, member) for member in axis):
                    axis.append(hp)
                    break
            else:
                axes.append([hp])
        # With the others of its axis, and whether its values have an order.
        self._hyperparameters = [
            (hp, axis, not choices(hp))
            for hp in hyperparameters
            for axis in axes
            if any(hp is of for of in axis)
        ]
        self._axes: list[tuple[list[Any], dict[Any, np.ndarray] | None]] = []
        groups: list[int] = []
        for axis in axes:
            if hasattr(axis[0], "value"):  # settled
                continue
            names = choices(axis[0])
            corners = (np.eye(len(names)) - 1 / max(len(names), 1)) / np.sqrt(2)
            places = dict(zip(names, corners, strict=True)) if names else None
            groups += [len(self._axes)] * (len(names) or 2)
            self._axes.append((axis, places))
        self.groups = np.array(groups, dtype=np.intp)

    def draw(self, generator: np.random.Generator, near: Values | None = None) -> dict[str, Any]:
        """Returns a random point, or one that differs from another in a thing or two.

        Args:
            generator: Where chance comes from.
            near: The other point.
        """
        values: dict[str, Any] = {}
        for hp, axis, ordered in self._hyperparameters:
            if not is_active(hp, values):
                continue
            place = generator.random()
            given = [of for of in axis if of.name in near and is_active(of, near)] if near else ()
            if near and given:
                value = near[given[0].name]
                if generator.random() > 2 / len(near):
                    values[hp.name] = value
                    continue
                if ordered:
                    place = hp.value_to_prob(value) + generator.normal(scale=0.2)
            values[hp.name] = hp.prob_to_value(float(min(max(place, 0.0), 1 - 1e-9)))
        return values

    def encode(self, points: Sequence[Values]) -> np.ndarray:
        """Returns float64 of shape (points, columns).

        No two values of a hyperparameter are further than 1 apart.
        """
        rows = np.zeros((len(points), len(self.groups)))
        for row, values in zip(rows, points, strict=True):
            column = 0
            for axis, places in self._axes:
                width = 2 if places is None else len(places)
                for hp in axis:
                    if hp.name not in values or not is_active(hp, values):
                        continue
                    value = values[hp.name]
                    if places is None:
                        # KerasTuner's own scale: logarithmic where it samples so.
                        angle = np.pi * hp.value_to_prob(value)
                        row[column : column + 2] = np.cos(angle) / 2, np.sin(angle) / 2
                    else:
                        row[column : column + width] = places[value]
                column += width
        return rows


class Arcs(StationaryKernelMixin, NormalizedKernelMixin, Kernel):  # type: ignore[misc]
    """Matern 5/2 with one length for each axis, however many columns it takes.

    Args:
        length_scale: A length for each axis.
        groups: See `Space`.
        length_scale_bounds: Of every length.
    """

    def __init__(
        self,
        length_scale: np.ndarray,
        groups: np.ndarray,
        length_scale_bounds: tuple[float, float] = (0.05, 100.0),
    ):
        self.length_scale = length_scale
        self.groups = groups
        self.length_scale_bounds = length_scale_bounds
        self._apart: tuple[Any, Any] = None, None  # of the points that it is being fitted to

    @property
    def hyperparameter_length_scale(self) -> Hyperparameter:
        """The lengths, for scikit-learn to fit."""
        return Hyperparameter(
            "length_scale", "numeric", self.length_scale_bounds, np.size(self.length_scale)
        )

    def __call__(
        self, X: np.ndarray, Y: np.ndarray | None = None, eval_gradient: bool = False
    ) -> Any:
        """See `sklearn.gaussian_process.kernels.Kernel`."""
        lengths = np.atleast_1d(self.length_scale)  # scikit-learn makes one length a number
        if Y is not None:
            scales = lengths[self.groups]
            return _matern(cdist(X / scales, Y / scales))[0]
        if self._apart[0] is not X:
            columns = [X[:, self.groups == group] for group in range(len(lengths))]
            apart = [cdist(column, column, "sqeuclidean") for column in columns]
            self._apart = X, np.stack(apart, axis=2)
        parts = self._apart[1] / lengths**2
        values, slope = _matern(np.sqrt(parts.sum(axis=2)))
        return (values, parts * slope[:, :, None]) if eval_gradient else values


def _matern(distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns Matern 5/2, and its slope by the logarithm of a length per part of distance**2."""
    root = np.sqrt(5) * distance
    decay = np.exp(-root)
    return (1 + root + root**2 / 3) * decay, 5 / 3 * (1 + root) * decay


def _most_plausible(objective: Any, start: np.ndarray, bounds: np.ndarray) -> tuple[Any, float]:
    """Fits a kernel with a prior: lengths are learned from few trials."""

    def with_prior(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(theta)
        distance = theta - start
        return value + distance @ distance / 2, gradient + distance

    found = minimize(
        with_prior, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 30}
    )
    return found.x, found.fun


@contextmanager
def quietly() -> Iterator[None]:
    """Has sums of this size done by one thread, which is faster, and the fit not warn."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Predicted variances smaller than 0")  # by rounding
        yield


def expected(process: GaussianProcessRegressor, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the means of encoded points, and their standard deviations, which are above 0."""
    mean, deviation = process.predict(x, return_std=True)
    return mean, np.maximum(deviation, 1e-12)


def fit(
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    *,
    noise: float,
    alpha: float = 1e-10,
    ahead: np.ndarray | None = None,
) -> GaussianProcessRegressor:
    """Returns a Gaussian process of what was seen.

    Its deviations are those of the mean: without the noise of a single trial, from which nothing
    can be hoped for.

    Args:
        x: Of shape (points, columns); see `Space.encode`.
        y: Of shape (points,).
        groups: See `Space`.
        noise: Variance of the noise that is expected, in parts of the variance of `y`.
        alpha: Added to the diagonal, in the same unit.
        ahead: Points whose values will be known soon, and are taken for what is expected of them
            ("Kriging believer": Ginsbourger et al., 2010). Of shape (points, columns).
    """
    count = groups[-1] + 1
    lengths = np.full(count, np.sqrt(count) / 2)
    kernel = ConstantKernel(1.0, (0.05, 20.0)) * Arcs(lengths, groups)
    kernel += WhiteKernel(noise, (1e-6, 1.0))
    process = GaussianProcessRegressor(
        kernel, alpha=alpha, optimizer=_most_plausible, normalize_y=True
    )
    process.fit(x, y)
    if ahead is not None and len(ahead):
        process.set_params(kernel=process.kernel_, optimizer=None)
        process.fit(np.concatenate([x, ahead]), np.append(y, process.predict(ahead)))
    process.kernel_ = process.kernel_.k1
    return process
