"""What a page shows first of a trained model: is it good, and where does it fail?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_rnn_zoo import pictures
from keras_rnn_zoo.quantities import score
from keras_rnn_zoo.training.baseline import HELD_OUT, PARTS, best_of, sentences
from keras_rnn_zoo.training.intervals import Z, wilson
from keras_rnn_zoo.training.metrics import DIRECTIONS, SHARES
from keras_rnn_zoo.training.understanding import percent

NAMES = {"f1": "F1", "auc": "AUC"}
NOTHING = "–"
# Of a regression with more outputs, the first ones are drawn; of a forecast so many pictures.
MOST_OUTPUTS = 6

Table = list[list[str]]
"""Rows of text, the head first."""


@dataclass(frozen=True)
class Answers:
    """What `templates/answers.html` shows; what is not known of a run is left out.

    Attributes:
        verdict: Whether the model beats its best baseline, and the sentence that says so.
        bars: The figure that the model is judged by, beside those of its baselines.
        bars_note: What it is.
        figures: All figures.
        figures_note: What some of them are.
        fails: Which rows the pictures are of.
        confused: Which labels are most often taken for which.
        heat_map: The confusion matrix.
        hits: Of labels of which any number may apply.
        forecasts: Whether `plots` are of a series.
        naive: What the forecast without a model is called.
        plots: Predicted against true values, or series with their forecasts.
        labels: Precision, recall and F1 of each label.
        errors: Of each output of a regression.
    """

    verdict: tuple[bool, str] | None = None
    bars: pictures.Bars | None = None
    bars_note: str = ""
    figures: Table = field(default_factory=list)
    figures_note: str = ""
    fails: str = ""
    confused: Sequence[tuple[str, str, str]] = ()
    heat_map: pictures.HeatMap | None = None
    hits: Sequence[pictures.Hits] = ()
    forecasts: bool = False
    naive: str = ""
    plots: Sequence[pictures.Plot] = ()
    labels: Table = field(default_factory=list)
    errors: Table = field(default_factory=list)


def answers(info: Mapping[str, Any]) -> Answers:
    """Returns what to show of a run.

    Args:
        info: `metrics`, `data`, `evaluation`, `verdict` and `folds` as `run.json` has them; what an
            older version did not know may be None or missing.
    """
    metrics, data = info.get("metrics") or {}, info.get("data") or {}
    baselines = data.get("baselines") or []
    judged = info.get("verdict")
    part, found = held_out(info.get("evaluation") or {})
    bars, note = _bars(info, judged, found)
    folds = info.get("folds")
    if folds and folds["evaluation"].get("labels"):  # of all rows, and not of a few
        part, found = HELD_OUT, folds["evaluation"]
        data = {**data, "rows": {**data["rows"], HELD_OUT: folds["rows"]}}
    return Answers(
        verdict=None if judged is None else (bool(judged["beats_baseline"]), sentences(judged)),
        bars=bars,
        bars_note=note,
        figures=figures(metrics, baselines),
        figures_note=" F1, balanced accuracy and AUC are averages in which every label counts "
        "alike."
        if any(f"{part}_f1" in metrics for part in PARTS)
        else "",
        **(_fails(part, found, data) if part else _nothing_held_out(data)),
    )


def held_out(evaluation: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Returns which rows say most of how a model answers new ones, and what is known of them.

    Args:
        evaluation: See `fit.Evaluation`.
    """
    part = next((part for part in ("test", "validation") if evaluation.get(part)), "")
    return part, evaluation.get(part) or {}


def words(measure: str) -> str:
    """Returns the name of a measure for a person."""
    return NAMES.get(measure, measure.replace("_", " "))


def written(measure: str, value: float | None) -> str:
    """Returns a figure for a person; a dash where there is none."""
    return NOTHING if value is None else score(value, percent=measure in SHARES)


def figures(metrics: Mapping[str, Any], baselines: Sequence[Mapping[str, Any]]) -> Table:
    """Returns each figure of a model beside that of each baseline.

    Args:
        metrics: See `fit.Fitted`.
        baselines: See `baseline.baselines`.
    """
    rows = [
        [
            f"{part}, {words(measure)}",
            written(measure, metrics[key]),
            *(written(measure, (one.get(part) or {}).get(measure)) for one in baselines),
        ]
        for part in PARTS
        for measure in DIRECTIONS
        if metrics.get(key := f"{part}_{measure}") is not None
    ]
    return [["Rows", "Model", *(one["name"] for one in baselines)], *rows] if rows else []


# ------------------------------------------------------------------------------- is it good?


def interval(
    measure: str,
    value: float,
    rows: int | None,
    found: Mapping[str, Any],
) -> tuple[float, float] | None:
    """Returns the 95 % interval of a figure; None where it is not known.

    Of the share of right answers it is Wilson's; of a mean absolute error it is that of a mean of
    many rows.

    Args:
        measure: What the figure is of.
        value: The figure.
        rows: In which it was seen.
        found: What is known of the answers to them: see `fit.Evaluation`.
    """
    if measure == "accuracy" and rows and 0 <= value <= 1:
        return wilson(value, rows)
    deviation = found.get("standard_error")
    if measure == "mean_absolute_error" and deviation is not None:
        return max(0.0, value - Z * deviation), value + Z * deviation
    return None


def reach_in_words(measure: str, reach: tuple[float, float] | None) -> str:
    """Returns an interval for a person."""
    if reach is None:
        return ""
    low, high = (written(measure, value).removesuffix(" %") for value in reach)
    if measure in SHARES:
        low, high = (f"{100 * value:.1f}" for value in reach)
    return f"{low} to {high}{' %' if measure in SHARES else ''}"


def beside(info: Mapping[str, Any], part: str) -> tuple[int | None, Sequence[Mapping[str, Any]]]:
    """Returns how many rows a part of the data has, and the baselines that were asked them.

    Args:
        info: What `run.json` holds.
        part: Of the data, or what folds held out.
    """
    folds, data = info.get("folds"), info.get("data") or {}
    if folds and part == HELD_OUT:
        return folds["rows"], folds["baselines"]
    return (data.get("rows") or {}).get(part), data.get("baselines") or []


def reach_of(
    info: Mapping[str, Any], part: str, measure: str, value: float, found: Mapping[str, Any]
) -> tuple[float, float] | None:
    """Returns the 95 % interval of a model's figure; None where it is not known.

    Args:
        info: What `run.json` holds.
        part: Of the data, or what folds held out.
        measure: What the figure is of.
        value: The figure.
        found: See `interval`.
    """
    folds = info.get("folds")
    if folds and part == HELD_OUT:
        return folds["interval"] and tuple(folds["interval"])
    # Of the rows that it was trained on, no number of them makes a figure sure.
    return None if part == "train" else interval(measure, value, beside(info, part)[0], found)


def _bars(
    info: Mapping[str, Any], judged: Mapping[str, Any] | None, found: Mapping[str, Any]
) -> tuple[pictures.Bars | None, str]:
    if judged is None:
        return None, ""
    measure, part, value = judged["measure"], judged["part"], judged["model"]
    rows, baselines = beside(info, part)
    reach = reach_of(info, part, measure, value, found)
    bars = pictures.bars(
        [
            (
                "the model",
                written(measure, value),
                value,
                "best",
                reach_in_words(measure, reach),
                reach,
            ),
            *baseline_bars(baselines, part, measure),
        ],
        judged["baseline"],
        1.0 if measure in SHARES else None,
    )
    return bars, bars_note(measure, part, rows, reach is not None)


def baseline_bars(
    baselines: Sequence[Mapping[str, Any]], part: str, measure: str
) -> list[tuple[str, str, float, str, str, tuple[float, float] | None]]:
    """Returns the baselines as `pictures.bars` takes them, the best first.

    Args:
        baselines: See `baseline.baselines`.
        part: Of the data.
        measure: What they are judged by.
    """
    known = [
        (one, one[part][measure])
        for one in baselines
        if (one.get(part) or {}).get(measure) is not None
    ]
    known.sort(key=lambda pair: pair[1], reverse=DIRECTIONS[measure] == "max")
    return [
        (one["name"], written(measure, value), value, "baseline", one["text"], None)
        for one, value in known
    ]


def bars_note(measure: str, part: str, rows: int | None, reach: bool) -> str:
    """Returns what bars show, in a sentence or two."""
    better = "more" if DIRECTIONS[measure] == "max" else "less"
    which = f"the {part} rows" if not rows else f"{rows:,} {part} rows"
    text = f"{words(measure).capitalize() if measure not in NAMES else words(measure)} on {which}; "
    text += f"{better} is better. The upright line is the best answer without a recurrent model."
    if part == "train":
        text += " These rows were trained on, and say little of new ones."
    if reach:
        text += " The thin line is the 95 % interval that so many rows allow."
    return text


# ----------------------------------------------------------------------- where does it fail?


def _nothing_held_out(data: Mapping[str, Any]) -> dict[str, Any]:
    rows = data.get("rows") or {}
    if not rows or rows.get("validation") or rows.get("test"):
        return {}
    return {
        "fails": "Not known: no rows were held out. --validation-split or --test-data gives some."
    }


def _fails(part: str, found: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    rows = (data.get("rows") or {}).get(part)
    which = f"the {rows:,} {part} rows" if rows else f"the {part} rows"
    if found.get("labels"):
        return _labels(part, found, which, data)
    if found.get("windows"):
        return _forecasts(part, found, which, data)
    if found.get("values"):
        return _values(part, found, which, data)
    if found.get("mean_absolute_errors"):
        return {"fails": f"On {which}.", "errors": _errors(found, data)}
    return {}


def _labels(
    part: str, found: Mapping[str, Any], which: str, data: Mapping[str, Any]
) -> dict[str, Any]:
    labels, counts = found["labels"], found.get("confusion")
    steps = (data.get("understood") or {}).get("task") == "sequence_labelling"
    each = "time steps" if steps else "rows"
    head = [f"{part} {each}", each.capitalize(), "Precision", "Recall", "F1"]
    table = [head] + [
        [
            name,
            f"{one['rows']:,}",
            *(score(one[key], percent=True) for key in ("precision", "recall", "f1")),
        ]
        for name, one in labels.items()
    ]
    if counts is None:
        return {
            "fails": f"Of {which}: how often each label was found where it applies, missed, and "
            "answered where it does not apply.",
            "hits": pictures.hits(labels),
            "labels": table,
        }
    names = list(labels)
    right = sum(row[i] for i, row in enumerate(counts))
    total = sum(map(sum, counts))
    text = f"{total - right:,} of {total:,} {part} {each} are answered wrongly. "
    heat_map = pictures.heat_map(names, counts)
    if heat_map is not None:
        text += "Of each right label the matrix has a row, of each answer a column; shares are of "
        text += "the row."
    else:
        text += f"{len(names)} labels are too many for a matrix."
    confused = [
        (right, answered, f"{count:,} {'time' if count == 1 else 'times'}, {percent(share)}")
        for right, answered, count, share in pictures.most_confused(names, counts)
    ]
    return {"fails": text, "heat_map": heat_map, "confused": confused, "labels": table}


def _values(
    part: str, found: Mapping[str, Any], which: str, data: Mapping[str, Any]
) -> dict[str, Any]:
    true, predicted = found["values"]["true"], found["values"]["predicted"]
    outputs, names = len(true[0]), _outputs(data, len(true[0]))
    errors = found.get("mean_absolute_errors")
    plots = [
        pictures.scatter(
            [row[i] for row in true],
            [row[i] for row in predicted],
            title=names[i],
            note=f"mean absolute error {score(errors[i], percent=False)}" if errors else "",
        )
        for i in range(min(outputs, MOST_OUTPUTS))
    ]
    some = f"{len(true)} of {which}" if f" {len(true):,} " not in which else which
    text = f"Predicted against true values of {some}: on the dashed line an answer is right."
    if errors and len(errors) > len(plots):
        text += f" The first {len(plots)} of {len(errors)} outputs."
    return {"fails": text, "plots": plots, "errors": _errors(found, data)}


def _outputs(data: Mapping[str, Any], count: int) -> list[str]:
    """Names of the outputs of a regression, as far as the data have any."""
    names = data.get("label_column")
    names = [names] if isinstance(names, str) else list(names or ())
    if len(names) == count:
        return names
    return [""] if count == 1 else [f"output {i}" for i in range(1, count + 1)]


def _errors(found: Mapping[str, Any], data: Mapping[str, Any]) -> Table:
    errors = found.get("mean_absolute_errors")
    if not errors:
        return []
    scale = (data.get("targets") or {}).get("scale") or []
    ahead, columns = data.get("horizon"), found.get("columns") or []
    names = _outputs(data, len(errors))
    if ahead and len(columns) * ahead == len(errors):
        names = [
            f"{column}, {step} step{'s' if step > 1 else ''} ahead"
            for step in range(1, ahead + 1)
            for column in columns
        ]
    columns_of = {"Mean absolute error": errors, "Deviation of the targets": scale}
    known = {head: values for head, values in columns_of.items() if len(values) == len(names)}
    return [["", *known]] + [
        [name, *(score(values[i], percent=False) for values in known.values())]
        for i, name in enumerate(names)
    ]


def _forecasts(
    part: str, found: Mapping[str, Any], which: str, data: Mapping[str, Any]
) -> dict[str, Any]:
    windows, columns = found["windows"], found["columns"]
    naive = _best_naive(part, windows, data)
    # Of several columns fewer windows: a page of pictures says less.
    shown = columns[:MOST_OUTPUTS]
    count = max(1, MOST_OUTPUTS // len(shown))
    step = max(1, len(windows) // count)
    plots = [
        _forecast(window, place, column if len(columns) > 1 else "", naive)
        for window in windows[::step][:count]
        for place, column in enumerate(shown)
    ]
    text = f"Forecasts of {', '.join(columns[:MOST_OUTPUTS])} that lie evenly over {which}."
    if len(columns) > len(shown):
        text += f" The first {len(shown)} of {len(columns)} columns."
    errors = _errors(found, data)
    return {
        "fails": text,
        "forecasts": True,
        "naive": naive and f"without a model: {naive}",
        "plots": plots,
        "errors": errors,
    }


def _best_naive(part: str, windows: Sequence[Mapping[str, Any]], data: Mapping[str, Any]) -> str:
    """Returns the name of the forecast without a model that is best on the part."""
    known = list(windows[0].get("naive") or ())
    baselines = [one for one in data.get("baselines") or () if one["name"] in known]
    best = best_of(baselines, part, "mean_absolute_error")
    return best[0]["name"] if best else known[0] if known else ""


def _forecast(window: Mapping[str, Any], place: int, column: str, naive: str) -> pictures.Plot:
    """Returns the picture of a column of a window."""

    def of(values: Sequence[Sequence[float]]) -> list[float]:
        return [row[place] for row in values]

    true, predicted = of(window["true"]), of(window["predicted"])
    ahead = len(true)
    history = of(window.get("history") or [])[-max(12, 3 * ahead) :]
    without = of((window.get("naive") or {}).get(naive) or [])
    before: list[float | None] = [None] * max(0, len(history) - 1)
    # From the last known value on, so that one step ahead is a line, too.
    last: list[float | None] = list(history[-1:])
    lines: dict[str, Sequence[float | None]] = {}
    if without:
        lines["naive"] = [*before, *last, *without]
    lines["true"] = [*history, *true]
    lines["predicted"] = [*before, *last, *predicted]
    times = (window.get("times") or [])[-(len(history) + ahead) :]
    error = sum(abs(a - b) for a, b in zip(true, predicted, strict=True)) / ahead
    note = f"mean absolute error {score(error, percent=False)}"
    if without:
        other = sum(abs(a - b) for a, b in zip(true, without, strict=True)) / ahead
        note += f"; {naive} {score(other, percent=False)}"
    since = len(history) - 1 if history else None
    if times:
        labels = {0: times[0], len(times) - 1: times[-1]}
        start = times[len(history)]
    else:
        labels = {0: f"−{len(history) - 1}", len(history) + ahead - 1: f"+{ahead}"}
        if history:
            labels[len(history) - 1] = "0"
        else:
            labels[0] = "+1"
        start = ""
    title = " ".join(filter(None, [column, f"from {start}" if start else ""]))
    return pictures.series(
        lines, labels, since=since, title=title, note=note, x_title="" if times else "steps"
    )
