"""A search as a page to read: one self-contained HTML file that needs no network.

Without JavaScript the table of trials is still there; the charts are drawn by plotly.js, which is
in the page, and `templates/report.js` does the rest.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from keras_rnn_zoo.artifacts import RUN_FILE, WINNER
from keras_rnn_zoo.errors import MissingExtraError
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.pages import STYLE, environment, write_page
from keras_rnn_zoo.quantities import duration
from keras_rnn_zoo.training.answers import answers
from keras_rnn_zoo.tuner.results import charts, records, wording
from keras_rnn_zoo.tuner.results.charts import format_measure, measure_label
from keras_rnn_zoo.tuner.results.findings import Findings
from keras_rnn_zoo.tuner.results.importance import common_names, importance
from keras_rnn_zoo.tuner.results.records import COMPLETED, FAILED, INFEASIBLE, TrialRecord
from keras_rnn_zoo.tuner.results.wording import NOTHING

REPORT_FILE = "report.html"

_TEMPLATES = Path(__file__).with_name("templates")
_COLORS = [f"--c{number}" for number in range(charts.COLORS)]
_THEME = ["--ink", "--soft", "--line", "--paper", "--bad", *_COLORS]


def write_report(path: PathLike, info: Mapping[str, Any], trials: Sequence[TrialRecord]) -> None:
    """Writes the page of a search, finished or not.

    Args:
        path: Of the page, in the search directory: the commands that it shows name that one.
        info: What `search.json` holds.
        trials: Those that ended, in the order in which they started.

    Raises:
        MissingExtraError: Plotly is not installed.
        OutputError: The place cannot be written.
    """
    directory = Path(path).parent
    write_page(path, page(info, trials, directory, _plotly(), _winner(directory, info)))


def _winner(directory: Path, info: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns what `run.json` of the winner holds; None while there is none."""
    named = (info.get("best") or {}).get("trial_id")
    try:
        found: dict[str, Any] = json.loads((directory / WINNER / RUN_FILE).read_text("utf-8"))
        same = found["hyperparameters"]["trial_id"] == named
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the table of trials is worth a page without it
    return found if same else None


@functools.lru_cache(maxsize=1)
def _plotly() -> str:
    """Returns plotly.js.

    Raises:
        MissingExtraError: Plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtraError("plotly", "report", "The page of a search") from error
    script: str = get_plotlyjs()
    return script


def page(
    info: Mapping[str, Any],
    trials: Sequence[TrialRecord],
    directory: Path,
    plotly: str,
    winner: Mapping[str, Any] | None = None,
) -> str:
    """Returns the page of a search.

    Args:
        info: See `write_report`.
        trials: See `write_report`.
        directory: Of the search.
        plotly: The script of plotly.js.
        winner: What `run.json` of the winner holds, where there is one.

    Returns:
        HTML that needs nothing else.
    """
    from markupsafe import Markup

    found = Findings(info, trials)
    kind, mark, outcome = wording.outcome(found)
    text: str = _template().render(
        name=directory.resolve().name,
        style=Markup(STYLE + _file("report.css")),
        plotly=Markup(plotly),
        script=Markup(_file("report.js")),
        data=_data(found, directory),
        kind=kind,
        mark=mark,
        outcome=outcome,
        warnings=wording.warnings(found),
        summary=wording.summary(found),
        answers=answers(winner or {}),
        has_winner=found.winner is not None,
        best_trial=wording.best_trial(found),
        quality=measure_label(found.quality[0]),
        models=[_look(found, model) for model in found.models],
        filters=_filters(found),
        columns=list(_columns(found)),
        rows=[_row(found, trial) for trial in _best_first(found)],
        export=wording.export_command(found, directory, "TRIAL"),
        importance=importance(trials),
        facts=wording.made_with(found),
    )
    return text + "\n"


@functools.lru_cache(maxsize=1)
def _template() -> Any:
    found = environment(_TEMPLATES)
    found.filters["measure_label"] = measure_label
    found.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return found.get_template("report.html")


@functools.lru_cache
def _file(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _look(found: Findings, model: str) -> dict[str, str]:
    color, symbol = charts.color_and_symbol(found.models, model)
    return {"name": model, "color": color, "symbol": charts.SYMBOLS[symbol]}


# -------------------------------------------------------------------- what report.js needs


def _data(found: Findings, directory: Path) -> dict[str, Any]:
    figures = {
        f"chart-{name}": charts.trade_off(found, figure, lambda trial: _hover(found, trial))
        for figure, (name, _, _) in charts.FIGURES.items()
    }
    return {
        "charts": {name: figure for name, figure in figures.items() if figure},
        "curves": {
            measure: charts.curves(found.trials, measure, found.models)
            for measure in charts.measures(found.trials, found.score)
        },
        "trials": {trial.trial_id: _details(found, trial, directory) for trial in found.trials},
        "colors": _THEME,
    }


def _details(found: Findings, trial: TrialRecord, directory: Path) -> dict[str, Any]:
    """Returns what is shown of a trial that is chosen."""
    export = wording.export_command(found, directory, trial.trial_id)
    return {
        "title": f"Trial {trial.trial_id}: {trial.model}",
        "state": wording.state(found, trial),
        "facts": [*wording.figures(found, trial), *wording.hyperparameters(trial)],
        "message": trial.message,
        # The others were not trained, or leave no run.
        "command": export if found.is_kept(trial) else None,
    }


def _hover(found: Findings, trial: TrialRecord) -> str:
    """Returns what is shown at the pointer, as plotly's HTML."""
    chosen = [f"{name} {value}" for name, value in wording.hyperparameters(trial)]
    lines = [
        f"<b>Trial {escape(trial.trial_id)}</b> {escape(trial.model)}, "
        f"{escape(wording.state(found, trial))}",
        *(f"{escape(name)} {escape(value)}" for name, value in wording.figures(found, trial)),
        *(escape(", ".join(chosen[at : at + 2])) for at in range(0, len(chosen), 2)),
    ]
    if trial.message:
        lines.append(escape(wording.cut(trial.message)))
    return "<br>".join(lines)


# ------------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Column:
    """The head of a column.

    Attributes:
        name: What it says.
        first: Which way the first click sorts.
        words: Whether the cells are words.
        sorted: Whether the table is sorted by it at first.
    """

    name: str
    first: str = "ascending"
    words: bool = False
    sorted: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of the table.

    Attributes:
        value: What it is sorted by; one without a value comes last.
        text: What it says.
        kind: Its classes in the style sheet.
        small: What it says below, in small letters.
    """

    value: Any
    text: str
    kind: str = ""
    small: str = ""


def _filters(found: Findings) -> list[tuple[str, str, int]]:
    """Returns key, text and number of trials of each choice of trials."""
    return [
        ("all", "all", len(found.trials)),
        ("front", "Pareto front", len(found.front)),
        *((status, status, found.counts[status]) for status in (COMPLETED, INFEASIBLE, FAILED)),
    ]


def _columns(found: Findings) -> Iterator[Column]:
    up, down = "ascending", "descending"
    for name in ("trial", "status", "model"):
        yield Column(name, words=True)
    yield from map(Column, found.searched)
    best_first = down if found.direction == "max" else up
    yield Column(measure_label(found.score), best_first, sorted=True)
    for name in found.quantized:
        yield Column(measure_label(name), down if charts.is_share(name) else up)
    for name, _, _ in charts.FIGURES.values():
        yield Column(name)
    yield from map(Column, ("parameters", "training"))


def _row(found: Findings, trial: TrialRecord) -> dict[str, Any]:
    """Returns a row: the trial, and the cells after the first."""
    on_front = trial.trial_id in found.front
    return {
        "trial_id": trial.trial_id,
        "status": trial.status,
        "on_front": on_front,
        "badge": "★" if trial is found.winner else "◆" if on_front else "",
        "cells": list(_cells(found, trial)),
    }


def _cells(found: Findings, trial: TrialRecord) -> Iterator[Cell]:
    why = wording.cut(trial.message) if trial.message else ""
    yield Cell(trial.status, trial.status, "text why" if why else "text", why)
    yield Cell(trial.model, trial.model, "text")
    values = common_names(trial)
    for name in found.searched:
        yield Cell(values.get(name), wording.short(values.get(name)))
    yield Cell(trial.score, format_measure(found.score, trial.score))
    for name in found.quantized:
        yield Cell(trial.metrics.get(name), format_measure(name, trial.metrics.get(name)))
    for figure, (name, _, _) in charts.FIGURES.items():
        value = trial[figure]
        amount = NOTHING if value is None else charts.format_figure(figure, value)
        yield Cell(value, amount, "over" if name in trial.excess else "")
    count = NOTHING if trial.parameters is None else f"{trial.parameters:,}"
    yield Cell(trial.parameters, count, "over" if "parameters" in trial.excess else "")
    trained = trial.seconds if trial.epochs else None
    yield Cell(trained, NOTHING if trained is None else duration(trained))


def _best_first(found: Findings) -> list[TrialRecord]:
    """Returns the trials by status, then by score."""
    statuses = [COMPLETED, INFEASIBLE, FAILED]
    sign = -1 if found.direction == "max" else 1
    ranked = records.ranked(found.trials, found.direction)
    places = {trial.trial_id: place for place, trial in enumerate(ranked)}

    def key(trial: TrialRecord) -> tuple[Any, ...]:
        return (
            statuses.index(trial.status) if trial.status in statuses else len(statuses),
            trial.score is None,
            sign * (trial.score or 0.0),
            trial is not found.winner,  # of equals, an older version took another
            places.get(trial.trial_id, len(places)),
        )

    return sorted(found.trials, key=key)
