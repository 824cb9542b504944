"""The charts of report.html, as figures of plotly.js: plain JSON-able values.

Whose colour depends on the theme is said as `--name`, a custom property of the page's style sheet;
report.js puts the colour in. `customdata` of a point is the id of its trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from keras_rnn_zoo.pages import bytes_of
from keras_rnn_zoo.tuner.results.front import front, quality

COLORS = 8
"""Colours `--c0`, `--c1`, ... in the style sheet; then they come again with other symbols."""

SYMBOLS = {"circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲"}

MANY_POINTS = 600
"""Points of learning curves above which only the lines are drawn."""

# Key of a trial -> what it is called, its unit, and how many of the trial's are one of these.
FIGURES = {"bytes": ("size", "kB", 1000.0), "latency_ms": ("latency", "ms", 1.0)}
LIMITS = {"bytes": "max_size", "latency_ms": "max_latency"}

Figure = dict[str, Any]


def look(models: Sequence[str], model: str | None) -> tuple[str, str]:
    """Returns the colour and the plotly symbol of a model, the same in all charts."""
    number = models.index(str(model))
    symbols = list(SYMBOLS)
    return f"--c{number % COLORS}", symbols[number // COLORS % len(symbols)]


def is_share(measure: str) -> bool:
    """Whether a measure is said in percent."""
    return measure.endswith("accuracy")


def measure_label(measure: str) -> str:
    """Returns the name of a measure for a person: `val_accuracy` is "validation accuracy"."""
    words = measure.replace("_", " ")
    return "validation " + words.removeprefix("val ") if words.startswith("val ") else words


def amount(figure: str, value: float) -> str:
    """Returns a figure of `FIGURES` with its unit."""
    return bytes_of(int(value)) if figure == "bytes" else f"{value:.3g} ms"


def finite(value: Any) -> float | None:
    """Returns a number that JSON can hold, else None."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def trade_off(
    trials: Sequence[Mapping[str, Any]],
    figure: str,
    *,
    models: Sequence[str],
    direction: str,
    score: str,
    winner: str | None,
    device: Mapping[str, Any],
    hover: Callable[[Mapping[str, Any]], str],
) -> Figure | None:
    """Returns quality against a figure of the device, with the front and the limit.

    Trials that were not trained have no quality: they are in a strip below, hollow.

    Args:
        trials: See `records.describe`.
        figure: Key of `FIGURES`.
        models: All, in the order of their colours.
        direction: Of the score.
        score: Its name.
        winner: Id of the best trial.
        device: See `budget.DeviceBudget.to_dict`; empty without limits.
        hover: Returns what is said about a trial, as plotly's HTML.

    Returns:
        The figure, or None if no trial has both a quality and the figure.
    """
    name, unit, scale = FIGURES[figure]
    measure, better, worth = quality(trials, direction)
    measure = score if measure == "score" else measure
    percent = 100.0 if is_share(measure) else 1.0
    best = set(front(trials, direction))
    known = {t["trial_id"]: t for t in trials if finite(t[figure]) is not None}
    drawn = {key: trial for key, trial in known.items() if key in worth}
    if not drawn:
        return None
    outside = {key: trial for key, trial in known.items() if trial["status"] == "infeasible"}

    def x_of(key: str) -> float:
        return float(known[key][figure]) / scale

    step = sorted((key for key in front(trials, direction, [figure]) if key in drawn), key=x_of)
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x_of(key) for key in step],
            "y": [worth[key] * percent for key in step],
            "line": {"color": "--soft", "width": 1.5, "dash": "dot", "shape": "hv"},
            "hoverinfo": "skip",
        }
    ]
    for model in models:
        color, symbol = look(models, model)
        mine = sorted(
            (key for key, trial in drawn.items() if trial["model"] == model),
            key=lambda key: (key == winner, key in best),  # what is drawn last is on top
        )
        hollow = [key for key, trial in outside.items() if trial["model"] == model]
        common = {"type": "scatter", "mode": "markers", "name": model, "hoverinfo": "text"}
        traces.append(
            {
                **common,
                "x": [x_of(key) for key in mine],
                "y": [worth[key] * percent for key in mine],
                "customdata": mine,
                "hovertext": [hover(drawn[key]) for key in mine],
                "marker": {
                    "color": color,
                    "symbol": ["star" if key == winner else symbol for key in mine],
                    "size": [17 if key == winner else 12 if key in best else 8 for key in mine],
                    "opacity": [1.0 if key in best or key == winner else 0.55 for key in mine],
                    "line": {
                        "color": "--ink",
                        "width": [1.5 if key in best or key == winner else 0 for key in mine],
                    },
                },
            }
        )
        traces.append(
            {
                **common,
                "x": [x_of(key) for key in hollow],
                "y": [0 for _ in hollow],
                "yaxis": "y2",
                "customdata": hollow,
                "hovertext": [hover(outside[key]) for key in hollow],
                "marker": {"color": color, "symbol": f"{symbol}-open", "size": 9},
            }
        )
    limit = finite(device.get(LIMITS[figure]))
    marks = [x_of(key) for key in (*drawn, *outside)]
    layout: Figure = {
        "xaxis": {
            **_axis(f"{name}, {unit} (less is better)"),
            **_range([*marks, *([] if limit is None else [limit / scale])]),
        },
        "yaxis": {
            **_axis(
                f"{measure_label(measure)}{', %' if percent > 1 else ''}"
                f"{'' if better == 'max' else ' (less is better)'}"
            ),
            "domain": [0.15 if outside else 0, 1],
        },
    }
    if outside:
        layout["xaxis"]["anchor"] = "y2"
        layout["yaxis2"] = {
            "domain": [0, 0.08],
            "range": [-1, 1],
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "tickvals": [0],
            "ticktext": ["not<br>trained"],
            "color": "--soft",
        }
    if limit is not None:
        layout["shapes"] = [
            {
                "type": "line",
                "x0": limit / scale,
                "x1": limit / scale,
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "line": {"color": "--bad", "width": 1.5, "dash": "dash"},
                "label": {
                    "text": f"limit {amount(figure, limit)}",
                    "textposition": "end",
                    "textangle": 0,
                    "xanchor": "right",
                    "yanchor": "top",
                    "font": {"color": "--bad", "size": 12},
                },
            }
        ]
    return {"data": traces, "layout": layout, "meta": {"picked": "markers"}}


def measures(trials: Sequence[Mapping[str, Any]], score: str) -> list[str]:
    """Returns the measures that there are learning curves of, the most telling first."""
    names = sorted({name for trial in trials for name in trial["history"]})
    return sorted(
        names, key=lambda name: (name != score, not name.startswith("val_"), name.endswith("loss"))
    )


def curves(trials: Sequence[Mapping[str, Any]], measure: str, models: Sequence[str]) -> Figure:
    """Returns the learning curves of all trials: a trace per model, with gaps between trials.

    Args:
        trials: See `records.describe`.
        measure: A name of `measures`.
        models: All, in the order of their colours.
    """
    percent = 100.0 if is_share(measure) else 1.0
    known = [trial for trial in trials if trial["history"].get(measure)]
    points = sum(len(trial["history"][measure]) for trial in known)
    traces: list[Figure] = []
    for model in models:
        color, symbol = look(models, model)
        x: list[int | None] = []
        y: list[float | None] = []
        keys: list[str | None] = []
        texts: list[str | None] = []
        dots: list[int] = []
        for trial in known:
            if trial["model"] != model:
                continue
            values = [finite(value) for value in trial["history"][measure]]
            name = escape(trial["trial_id"])
            x += [*range(1, len(values) + 1), None]
            y += [*(None if value is None else value * percent for value in values), None]
            keys += [*([trial["trial_id"]] * len(values)), None]
            # A trial of one epoch is a point, and no line.
            dots += [5 if points <= MANY_POINTS or len(values) == 1 else 0] * (len(values) + 1)
            texts += [
                *(
                    f"<b>Trial {name}</b> {escape(model)}<br>epoch {epoch}: {said(measure, value)}"
                    for epoch, value in enumerate(values, start=1)
                ),
                None,
            ]
        traces.append(
            {
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
        )
    longest = max((len(trial["history"][measure]) for trial in known), default=1)
    return {
        "data": traces,
        "layout": {
            "xaxis": {
                **_axis("epoch"),
                "range": [0.5, longest + 0.5],
                **({"dtick": 1} if longest <= 12 else {}),
            },
            "yaxis": _axis(f"{measure_label(measure)}{', %' if percent > 1 else ''}"),
        },
        "meta": {"picked": "lines+markers"},
    }


def said(measure: str, value: float | None) -> str:
    """Returns a value of a measure for a person."""
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if is_share(measure) else f"{value:.4g}"


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
