"""What is searched over: models, their spaces, learning rates; checked without KerasTuner."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_rnn_zoo.builder import MODELS
from keras_rnn_zoo.errors import ConfigError, listed, nearest

Space = Callable[[Any], Mapping[str, Any]]
"""Declares hyperparameters on what it is given, and returns the config values they choose."""

LearningRate = float | tuple[float, float]


def check_models(models: Sequence[str] | str) -> tuple[str, ...]:
    """Returns the names of the models to search over.

    Raises:
        UnknownNameError: No such model; the message has the nearest.
        ConfigError: There are none, or one is named twice.
    """
    names = (models,) if isinstance(models, str) else tuple(models)
    if not names:
        raise ConfigError(f"Name at least one model. Known: {listed(MODELS.names())}.")
    for name in names:
        MODELS.get(name)
    if len(set(names)) != len(names):
        raise ConfigError(f"Name each model once. Received: {', '.join(names)}")
    return names


def check_spaces(models: Sequence[str], spaces: Mapping[str, Space] | None) -> None:
    """Refuses search spaces of models that are not searched, and what cannot be called.

    Raises:
        ConfigError: The message says which.
    """
    for name, space in (spaces or {}).items():
        if name not in models:
            raise ConfigError(
                f"spaces holds {name!r}, which is not searched.{nearest(name, models)} "
                f"Searched: {listed(models)}."
            )
        if not callable(space):
            raise ConfigError(
                f"The search space of '{name}' is a function that takes the hyperparameters and "
                f"returns a dict of config values. Received: {space!r}"
            )


def check_learning_rate(learning_rate: Any) -> LearningRate:
    """Returns a learning rate to use, or the least and the greatest to search between.

    Raises:
        ConfigError: It is neither.
    """
    single = isinstance(learning_rate, str) or not hasattr(learning_rate, "__iter__")
    try:
        rates = [learning_rate] if single else [float(rate) for rate in learning_rate]
        if single and 0 < learning_rate < math.inf:
            return float(learning_rate)
        if len(rates) == 2 and 0 < rates[0] < rates[1] < math.inf:
            return rates[0], rates[1]
    except (TypeError, ValueError):
        pass
    raise ConfigError(
        "learning_rate is a number above 0, or two such numbers to search between, the smaller "
        f"first. Received: {learning_rate!r}"
    )
