"""The Pareto front: trials that no other one beats in quality, size and latency together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from keras_rnn_zoo.tasks import METRICS
from keras_rnn_zoo.tuner.results.records import COMPLETED, TrialRecord

FIGURES = ("bytes", "latency_ms")
"""What a model costs on a device, as fields of a trial: less is better."""


def quality(trials: Sequence[TrialRecord], direction: str) -> tuple[str, str, dict[str, float]]:
    """Returns how good the completed trials are, all by the same measure.

    Args:
        trials: Those that ended.
        direction: Of the score: `"max"` or `"min"`.

    Returns:
        The measure: that of the quantized file if any trial has one, else `"score"`; which way it
        is better; and trial id -> its value, for the trials where it is known.
    """
    completed = [trial for trial in trials if trial.status == COMPLETED]
    for metric, better in METRICS.items():
        name = f"quantized_{metric}"
        values = {trial.trial_id: trial.metrics.get(name) for trial in completed}
        if any(value is not None for value in values.values()):
            return name, better, _known(values)
    return "score", direction, _known({trial.trial_id: trial.score for trial in completed})


def front(
    trials: Sequence[TrialRecord], direction: str, figures: Sequence[str] = FIGURES
) -> list[str]:
    """Returns the completed trials that no other one dominates.

    A trial dominates another if it is as good in everything, quality and figures, and better in
    something. Latencies count to two digits: what is beyond these, the clock makes up. A figure
    that is not known is worse than any that is; two trials with the same figures do not dominate
    each other, so both stay.

    Args:
        trials: Those that ended.
        direction: Of the score: `"max"` or `"min"`; see `quality`.
        figures: What is weighed against the quality.

    Returns:
        Their ids, the best quality first; those with the same figures in the order given.
    """
    _, better, values = quality(trials, direction)
    sign = -1 if better == "max" else 1
    ranked = []
    for trial in trials:
        if trial.status == COMPLETED:
            name = trial.trial_id
            costs = _known({figure: trial[figure] for figure in figures})
            if "latency_ms" in costs:
                costs["latency_ms"] = float(f"{costs['latency_ms']:.2g}")
            worth = sign * values[name] if name in values else math.inf
            ranked.append(((worth, *(costs.get(figure, math.inf) for figure in figures)), name))
    ranked.sort(key=lambda item: item[0])
    # Whatever dominates a trial is sorted before it, and is on the front or dominated from there.
    found: list[tuple[tuple[float, ...], str]] = []
    for point, name in ranked:
        if not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True))
            for other, _ in found
        ):
            found.append((point, name))
    return [name for _, name in found]


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {
        name: value for name, value in values.items() if value is not None and math.isfinite(value)
    }
