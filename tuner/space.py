"""What is searched over: models, their spaces, learning rates; checked without KerasTuner."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_rnn_zoo.builder import MODELS
from keras_rnn_zoo.errors import ConfigError, listed, nearest
from keras_rnn_zoo.options import whole

Space = Callable[[Any], Mapping[str, Any]]
"""Declares hyperparameters on what it is given, and returns the config values they choose."""

LearningRate = float | tuple[float, float]
BatchSize = int | tuple[int, ...]

# What the data say, of which there is one.
_DICTATED = ("features", "task", "outputs")


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


def several(value: Any) -> bool:
    """Whether a config value is several, to search among, and not one that settles the key."""
    return isinstance(value, list | tuple)


def check_values(models: Sequence[str], config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns config values checked one by one: of several, each once, and one alone as it is.

    Args:
        models: Names of the models.
        config: Key -> a value, or a list of those to search among.

    Raises:
        ConfigError: The message says which key, and what it may be.
    """
    from keras_rnn_zoo.training.prepare import (
        check_config,
    )  # brings NumPy, which options do without

    found = {}
    for key, value in config.items():
        values = list(dict.fromkeys(value)) if several(value) else [value]
        if not values:
            raise ConfigError(f"config holds no value for {key!r}. Give one, or several to search.")
        if len(values) > 1 and key in _DICTATED:
            raise ConfigError(
                f"{key} is what the data say, and cannot be searched over. Received: {value!r}"
            )
        for one in values:
            check_config(models, {key: one})
        found[key] = values if len(values) > 1 else values[0]
    return found


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


def check_batch_size(name: str, value: Any) -> BatchSize:
    """Returns rows per step, or the numbers of them to search among.

    Raises:
        ConfigError: It is neither.
    """
    values = list(dict.fromkeys(value)) if several(value) else [value]
    try:
        checked = [whole(least=1)(name, one) for one in values]
    except ConfigError:
        checked = []
    if not checked:
        raise ConfigError(
            f"{name} is a whole number of at least 1, or several to search among. Received: "
            f"{value!r}"
        )
    return checked[0] if len(checked) == 1 else tuple(checked)
