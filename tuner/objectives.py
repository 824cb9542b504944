"""What a search optimizes: one figure of a trial, or a weighted sum of several."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_rnn_zoo.errors import ConfigError, listed, nearest

# What a user writes -> which figure of a trial that is; more is better (1) or worse (-1).
_ALWAYS = {
    "loss": ("val_loss", -1),
    "size": ("bytes", -1),
    "latency": ("latency_ms", -1),
    "parameters": ("parameters", -1),
    "seconds": ("seconds", -1),
}
_BETTER = {"accuracy": 1, "mean_absolute_error": -1}

_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_TERM = re.compile(rf"\s*([+-])?\s*(?:({_NUMBER})\s*\*\s*)?([A-Za-z_]+)\s*")


@dataclass(frozen=True)
class Objective:
    """What a search optimizes.

    Attributes:
        name: As a user writes it; Keras' own name, such as `val_accuracy`, for the measure on the
            validation rows.
        direction: `"max"` or `"min"`.
        terms: Name of a trial's figure -> its weight in the score.
        monitor: The measure of Keras that says which epoch of a trial is best, and `"max"` or
            `"min"`.
    """

    name: str
    direction: str
    terms: dict[str, float]
    monitor: tuple[str, str]

    def score(self, figures: Mapping[str, Any]) -> float:
        """Returns the score of a trial.

        Args:
            figures: Its metrics, `bytes`, `latency_ms`, `parameters` and `seconds`.
        """
        return float(sum(weight * figures[name] for name, weight in self.terms.items()))


def parse(text: str | None, metric: str) -> Objective:
    """Returns the objective that a text describes.

    Args:
        text: `"accuracy"` (of the Keras model on the validation rows), `"quantized_accuracy"` (of
            its .tflite file), `"loss"`, `"size"` (bytes), `"latency"` (milliseconds),
            `"parameters"`, `"seconds"` (of training), or a weighted sum, the larger the better:
            `"quantized_accuracy - 0.02*latency"`. For a regression, `mean_absolute_error` instead
            of accuracy. None is the metric of the task.
        metric: Of the task: `"accuracy"` or `"mean_absolute_error"`.

    Raises:
        ConfigError: No such figure, or no such sum.
    """
    better = _BETTER[metric]
    quantized = f"quantized_{metric}"
    known = {metric: (f"val_{metric}", better), quantized: (quantized, better), **_ALWAYS}
    of_metric = f"val_{metric}", "max" if better > 0 else "min"
    text = metric if text is None else text.strip()
    text = text.removeprefix("val_") if text.removeprefix("val_") in known else text
    if text in known:
        figure, way = known[text]
        name = figure if figure.startswith("val_") else text
        monitor = ("val_loss", "min") if name == "val_loss" else of_metric
        return Objective(name, "max" if way > 0 else "min", {figure: 1.0}, monitor)
    terms: dict[str, float] = {}
    place = 0
    while place < len(text):
        match = _TERM.match(text, place)
        if match is None or (place and not match[1]):
            raise ConfigError(
                "An objective is one figure, or a weighted sum such as "
                f"'quantized_{metric} {'-+'[better < 0]} 0.02*latency'. Received: {text!r}. "
                f"Figures: {listed(known)}."
            )
        sign, weight, name = match.groups()
        if name not in known:
            raise ConfigError(
                f"Unknown objective: {name!r}.{nearest(name, known)} Known: {listed(known)}."
            )
        figure = known[name][0]
        value = float(weight or 1) * (-1 if sign == "-" else 1)
        terms[figure] = terms.get(figure, 0.0) + value
        place = match.end()
    if not terms:
        raise ConfigError(f"Name an objective. Known: {listed(known)}.")
    return Objective(" ".join(text.split()), "max", terms, of_metric)
