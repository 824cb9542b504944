"""The charts of report.html, as figures of plotly.js: plain JSON-able values.

A colour that depends on the theme is given as `--name`, a custom property of the style sheet;
report.js puts the colour in. `customdata` of a point is the id of its trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.quantities import score, size
from keras_rnn_zoo.training.metrics import SHARES
from keras_rnn_zoo.tuner.results.front import front
from keras_rnn_zoo.tuner.results.records import INFEASIBLE, TrialRecord

if TYPE_CHECKING:
    from keras_rnn_zoo.tuner.results.findings import Findings

COLORS = 8
"""Colours `--c0`, `--c1`, ... in the style sheet; then they come again with other symbols."""

SYMBOLS = {"circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲"}

MANY_POINTS = 600
"""Points of learning curves above which only the lines are drawn."""

# Key of a trial -> what it is called, its unit, and how many of the trial's are one of these.
FIGURES = {"bytes": ("size", "kB", 1000.0), "latency_ms": ("latency", "ms", 1.0)}
LIMITS = {"bytes": "max_size", "latency_ms": "max_latency"}

Figure = dict[str, Any]


def color_and_symbol(models: Sequence[str], model: str | None) -> tuple[str, str]:
    """Returns the colour and the plotly symbol of a model, the same in all charts."""
    number = models.index(str(model))
    symbols = list(SYMBOLS)
    return f"--c{number % COLORS}", symbols[number // COLORS % len(symbols)]


def is_share(measure: str) -> bool:
    """Whether a measure is shown in percent."""
    # Of validation rows, or of the file; a sum that ends in an accuracy is none.
    return measure.removeprefix("val_").removeprefix("quantized_") in SHARES


def measure_label(measure: str) -> str:
    """Returns the name of a measure for a person: `val_accuracy` is "validation accuracy"."""
    words = measure.replace("_", " ")
    return "validation " + words.removeprefix("val ") if words.startswith("val ") else words


def format_figure(figure: str, value: float) -> str:
    """Returns a figure of `FIGURES` with its unit."""
    return size(value) if figure == "bytes" else f"{value:.3g} ms"


def finite(value: Any) -> float | None:
    """Returns a number that JSON can hold, else None."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def trade_off(found: Findings, figure: str, hover: Callable[[TrialRecord], str]) -> Figure | None:
    """Returns quality against a figure of the device, with the front and the limit.

    Trials that were not trained have no quality: they are in a strip below, hollow.

    Args:
        found: What the search found.
        figure: Key of `FIGURES`.
        hover: Returns what is said about a trial, as plotly's HTML.

    Returns:
        The figure, or None if no trial has both a quality and the figure.
    """
    name, unit, scale = FIGURES[figure]
    measure, better, values = found.quality
    measured = [trial for trial in found.trials if finite(trial[figure]) is not None]
    trained = [trial for trial in measured if trial.trial_id in values]
    untrained = [trial for trial in measured if trial.status == INFEASIBLE]
    if not trained:
        return None
    percent = 100.0 if is_share(measure) else 1.0
    points = {
        trial.trial_id: (trial[figure] / scale, percent * values.get(trial.trial_id, 0))
        for trial in measured
    }
    traces = [_front_line(found, figure, points)]
    for model in found.models:
        mine = [trial for trial in trained if trial.model == model]
        hollow = [trial for trial in untrained if trial.model == model]
        traces.append(_solid(found, model, mine, points, hover))
        # A trace on an axis that the layout lacks would bring one of its own.
        if untrained:
            traces.append(_hollow(found, model, hollow, points, hover))
    limit = finite(getattr(found.budget, LIMITS[figure], None))
    marks = [points[trial.trial_id][0] for trial in (*trained, *untrained)]
    layout: Figure = {
        "xaxis": {
            **_axis(f"{name}, {unit} (less is better)"),
            **_range([*marks, *([] if limit is None else [limit / scale])]),
        },
        "yaxis": {
            **_axis(
                f"{measure_label(measure)}{', %' if percent > 1 else ''}"
                # In one line with a long name, it would be longer than the axis.
                f"{'' if better == 'max' else '<br>(less is better)'}"
            ),
            "domain": [0.15 if untrained else 0, 1],
        },
    }
    if untrained:
        layout["xaxis"]["anchor"] = "y2"
        layout["yaxis2"] = _UNTRAINED_AXIS
    if limit is not None:
        layout["shapes"] = [_limit_line(limit / scale, f"limit {format_figure(figure, limit)}")]
    return {"data": traces, "layout": layout, "meta": {"picked": "markers"}}


Points = Mapping[str, tuple[float, float]]
"""Trial id -> where its point is."""


def _front_line(found: Findings, figure: str, points: Points) -> Figure:
    """Returns the dotted line: the best quality that each amount of a figure buys."""
    worth = found.quality[2]
    members = [key for key in front(found.trials, found.direction, [figure]) if key in worth]
    steps = sorted((points[key] for key in members if key in points), key=lambda point: point[0])
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for x, _ in steps],
        "y": [y for _, y in steps],
        "line": {"color": "--soft", "width": 1.5, "dash": "dot", "shape": "hv"},
        "hoverinfo": "skip",
    }


def _markers(
    model: str,
    trials: Sequence[TrialRecord],
    points: Points,
    hover: Callable[[TrialRecord], str],
    marker: Figure,
) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": model,
        "hoverinfo": "text",
        "x": [points[trial.trial_id][0] for trial in trials],
        "y": [points[trial.trial_id][1] for trial in trials],
        "customdata": [trial.trial_id for trial in trials],
        "hovertext": [hover(trial) for trial in trials],
        "marker": marker,
    }


def _solid(
    found: Findings,
    model: str,
    trials: Sequence[TrialRecord],
    points: Points,
    hover: Callable[[TrialRecord], str],
) -> Figure:
    """Returns the trained trials of a model; the winner is a star, the front outlined."""
    color, symbol = color_and_symbol(found.models, model)
    best = set(found.front)
    # What is drawn last is on top.
    ordered = sorted(trials, key=lambda trial: (trial is found.winner, trial.trial_id in best))
    stars = [trial is found.winner for trial in ordered]
    kept = [star or trial.trial_id in best for star, trial in zip(stars, ordered, strict=True)]
    marker = {
        "color": color,
        "symbol": ["star" if star else symbol for star in stars],
        "size": [
            17 if star else 12 if trial.trial_id in best else 8
            for star, trial in zip(stars, ordered, strict=True)
        ],
        "opacity": [1.0 if outlined else 0.55 for outlined in kept],
        "line": {"color": "--ink", "width": [1.5 if outlined else 0 for outlined in kept]},
    }
    return _markers(model, ordered, points, hover, marker)


def _hollow(
    found: Findings,
    model: str,
    trials: Sequence[TrialRecord],
    points: Points,
    hover: Callable[[TrialRecord], str],
) -> Figure:
    """Returns the trials of a model that were over budget, in the strip below."""
    color, symbol = color_and_symbol(found.models, model)
    marker = {"color": color, "symbol": f"{symbol}-open", "size": 9}
    below = {trial.trial_id: (points[trial.trial_id][0], 0.0) for trial in trials}
    return {**_markers(model, trials, below, hover, marker), "yaxis": "y2"}


_UNTRAINED_AXIS: Figure = {
    "domain": [0, 0.08],
    "range": [-1, 1],
    "fixedrange": True,
    "showgrid": False,
    "zeroline": False,
    "tickvals": [0],
    "ticktext": ["not<br>trained"],
    "color": "--soft",
}


def _limit_line(x: float, text: str) -> Figure:
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": "--bad", "width": 1.5, "dash": "dash"},
        "label": {
            "text": text,
            "textposition": "end",
            "textangle": 0,
            "xanchor": "right",
            "yanchor": "top",
            "font": {"color": "--bad", "size": 12},
        },
    }


def measures(trials: Sequence[TrialRecord], score: str) -> list[str]:
    """Returns the measures that there are learning curves of, the most telling first."""
    names = sorted({name for trial in trials for name in trial.history})
    return sorted(
        names, key=lambda name: (name != score, not name.startswith("val_"), name.endswith("loss"))
    )


def curves(trials: Sequence[TrialRecord], measure: str, models: Sequence[str]) -> Figure:
    """Returns the learning curves of all trials: a trace per model, with gaps between trials.

    Args:
        trials: Those that ended.
        measure: A name of `measures`.
        models: All, in the order of their colours.
    """
    known = [trial for trial in trials if trial.history.get(measure)]
    dense = sum(len(trial.history[measure]) for trial in known) > MANY_POINTS
    traces = [_model_curves(known, model, measure, models, dense) for model in models]
    longest = max((len(trial.history[measure]) for trial in known), default=1)
    return {
        "data": traces,
        "layout": {
            "xaxis": {
                **_axis("epoch"),
                "range": [0.5, longest + 0.5],
                **({"dtick": 1} if longest <= 12 else {}),
            },
            "yaxis": _axis(f"{measure_label(measure)}{', %' if is_share(measure) else ''}"),
        },
        "meta": {"picked": "lines+markers"},
    }


def _model_curves(
    known: Sequence[TrialRecord], model: str, measure: str, models: Sequence[str], dense: bool
) -> Figure:
    """Returns the curves of one model as one trace, with gaps between trials."""
    color, symbol = color_and_symbol(models, model)
    percent = 100.0 if is_share(measure) else 1.0
    x: list[int | None] = []
    y: list[float | None] = []
    keys: list[str | None] = []
    texts: list[str | None] = []
    dots: list[int] = []
    for trial in known:
        if trial.model != model:
            continue
        values = [finite(value) for value in trial.history[measure]]
        name = escape(trial.trial_id)
        x += [*range(1, len(values) + 1), None]
        y += [*(None if value is None else value * percent for value in values), None]
        keys += [*([trial.trial_id] * len(values)), None]
        # A trial of one epoch is a point, and no line.
        dots += [0 if dense and len(values) > 1 else 5] * (len(values) + 1)
        texts += [
            *(
                f"<b>Trial {name}</b> {escape(model)}<br>epoch {epoch}: "
                f"{format_measure(measure, value)}"
                for epoch, value in enumerate(values, start=1)
            ),
            None,
        ]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": model,
        "x": x,
        "y": y,
        "customdata": keys,
        "hovertext": texts,
        "hoverinfo": "text",
        "opacity": 0.85,
        "line": {"color": color, "width": 1.5 if len(known) <= 40 else 0.75},
        "marker": {"color": color, "symbol": symbol, "size": dots},
    }


def format_measure(measure: str, value: float | None) -> str:
    """Returns a value of a measure for a person."""
    return "–" if value is None else score(value, percent=is_share(measure))


def _axis(title: str) -> Figure:
    return {
        "title": {"text": title, "standoff": 8},
        "automargin": True,
        "zeroline": False,
        "gridcolor": "--line",
        "linecolor": "--line",
        "color": "--soft",
    }


def _range(values: Sequence[float]) -> Figure:
    """Returns the type and the range of an axis: logarithmic where values are far apart."""
    low, high = min(values), max(values)
    if low > 0 and high > 10 * low:
        room = 0.06 * math.log10(high / low)
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        return {
            "type": "log",
            "range": [math.log10(low) - room, math.log10(high) + room],
            "tickvals": ticks,
            "ticktext": [f"{tick:,.6g}" for tick in ticks],
        }
    room = 0.06 * (high - low) or 0.1 * high or 1.0
    return {"range": [low - room, high + room]}
