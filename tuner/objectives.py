"""What a search optimizes: one figure of a trial, or a weighted sum of several, and which way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_rnn_zoo.errors import ConfigError, listed, nearest
from keras_rnn_zoo.tasks import METRICS

# What a user writes -> which figure of a trial that is; less of any of these is better.
_COSTS = {
    "loss": "val_loss",
    "size": "bytes",
    "latency": "latency_ms",
    "arena": "arena",
    "parameters": "parameters",
    "seconds": "seconds",
}
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_TERM = re.compile(rf"\s*([+-])?\s*(?:({_NUMBER})\s*\*\s*)?([A-Za-z_][A-Za-z_0-9]*)\s*")
_DIRECTION = re.compile(r"\s*([A-Za-z]*)\s*:(.*)", re.DOTALL)


@dataclass(frozen=True)
class Objective:
    """What a search optimizes.

    Attributes:
        name: As a user writes it, without the direction; Keras' own name, such as `val_accuracy`,
            for the measure on the validation rows.
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
            figures: Its metrics, `bytes`, `latency_ms`, `arena`, `parameters` and `seconds`.
        """
        return float(sum(weight * figures[name] for name, weight in self.terms.items()))


def described(name: str, direction: str) -> str:
    """Returns an objective and its direction in words: `size, less is better`."""
    return f"{name}, {'more' if direction == 'max' else 'less'} is better"


def parse(text: str | None, metrics: str | Sequence[str], *, begun: str | None = None) -> Objective:
    """Returns the objective that a text describes.

    Every figure has a direction: more of an accuracy is better, less of a loss, of an error, and of
    what a model costs. That of a sum follows where its parts agree: `quantized_accuracy -
    0.02*latency` is maximized, `mean_absolute_error + 0.01*latency` minimized. Where they disagree,
    the text says it: `max: accuracy + 0.01*loss`.

    Args:
        text: `"accuracy"` (of the Keras model on the validation rows), `"quantized_accuracy"` (of
            its .tflite file), `"loss"`, `"size"` (bytes), `"latency"` (milliseconds), `"arena"`
            (bytes), `"parameters"`, `"seconds"` (of training), or a weighted sum; `"max: "` or
            `"min: "` may come first. For a regression, `mean_absolute_error` instead of accuracy.
            None is the metric of the task.
        metrics: Of the task, as in `tasks.METRICS`; the first is what a trial is judged by.
        begun: The direction of a search that was begun with this text, which it keeps: once, the
            larger of any sum was the better. None deduces it.

    Raises:
        ConfigError: No such figure or no such sum, or it is not clear which way is better.
    """
    metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    figures = {name: f"val_{name}" for name in metrics}
    figures |= {f"quantized_{metrics[0]}": f"quantized_{metrics[0]}"} | _COSTS
    better = {name: METRICS.get(name.removeprefix("quantized_"), "min") for name in figures}
    asked, text = _asked(metrics[0] if text is None else text)
    weights = _weights(text, figures, better[metrics[0]])
    direction = begun or _direction(text, weights, better, asked)
    terms = {figures[name]: weight for name, weight in weights.items()}
    name = text
    if len(terms) == 1 and (bare := text.removeprefix("val_")) in figures:
        name = figures[bare] if figures[bare].startswith("val_") else bare
    watched = name.removeprefix("val_")
    if watched not in (*metrics, "loss"):
        # Of a sum, a figure that has to be asked for comes before the usual one.
        parts = [name for name in reversed(metrics) if name in weights]
        watched = (parts or metrics)[0]
    monitor = f"val_{watched}", better[watched]
    return Objective(name, direction, terms, monitor)


def _asked(text: str) -> tuple[str | None, str]:
    """Returns the direction that a text begins with, if it does, and the rest of it."""
    match = _DIRECTION.fullmatch(text)
    asked, rest = (match[1].lower(), match[2]) if match else (None, text)
    if asked not in (None, "max", "min"):
        raise ConfigError(
            f"What comes before the colon of an objective is max or min. Received: {text!r}"
        )
    return asked, " ".join(rest.split())


def _weights(text: str, figures: Mapping[str, str], better: str) -> dict[str, float]:
    """Returns name -> weight of the parts of a sum; one figure is a sum of itself.

    Args:
        text: Of the sum.
        figures: Their names are what a part may be called.
        better: The direction of the first of them, for the example in the message.
    """
    weights: dict[str, float] = {}
    place = 0
    while place < len(text):
        match = _TERM.match(text, place)
        if match is None or (place and not match[1]):
            example = f"{next(iter(figures))} {'-' if better == 'max' else '+'} 0.02*latency"
            raise ConfigError(
                f"An objective is one figure, or a weighted sum such as {example!r}. Received: "
                f"{text!r}. Figures: {listed(figures)}."
            )
        sign, weight, name = match.groups()
        name = name.removeprefix("val_") if name.removeprefix("val_") in figures else name
        if name not in figures:
            raise ConfigError(
                f"Unknown objective: {name!r}.{nearest(name, figures)} Known: {listed(figures)}."
            )
        value = float(weight or 1) * (-1 if sign == "-" else 1)
        weights[name] = weights.get(name, 0.0) + value
        place = match.end()
    if not weights:
        raise ConfigError(f"Name an objective. Known: {listed(figures)}.")
    return weights


def _direction(
    text: str, weights: Mapping[str, float], better: Mapping[str, str], asked: str | None
) -> str:
    """Returns `"max"` or `"min"`: what all parts of a sum want, or else what was asked for."""
    wanted: dict[str, list[str]] = {"max": [], "min": []}
    for name, weight in weights.items():
        if weight:
            wanted["max" if (weight > 0) == (better[name] == "max") else "min"].append(name)
    ways = [way for way, names in wanted.items() if names]
    if not ways:
        raise ConfigError(f"The weights of the objective {text!r} are all 0. Give one another.")
    if len(ways) == 2 and asked is None:
        turned = {
            name: -weight if name in wanted["min"] else weight for name, weight in weights.items()
        }
        raise ConfigError(
            f"The parts of the objective {text!r} disagree: the larger it is, the better by "
            f"{listed(wanted['max'])} and the worse by {listed(wanted['min'])}. Write "
            f"{_written(turned)!r}, or say which way it is better: 'max: {text}' or 'min: {text}'."
        )
    if len(ways) == 1 and asked not in (None, ways[0]):
        raise ConfigError(
            f"The objective '{asked}: {text}' asks for the worst: by all its parts, "
            f"{'more' if ways[0] == 'max' else 'less'} is better. Write '{ways[0]}: {text}'."
        )
    return asked or ways[0]


def _written(weights: Mapping[str, float]) -> str:
    """Returns a weighted sum as a user would write it."""
    parts = []
    for name, weight in weights.items():
        amount = name if abs(weight) == 1 else f"{abs(weight):g}*{name}"
        parts.append(("- " if weight < 0 else "+ ") + amount)
    text = " ".join(parts)
    return text.removeprefix("+ ") if text.startswith("+") else text.replace("- ", "-", 1)
