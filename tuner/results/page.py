"""A search as a page to read: one self-contained HTML file that needs no network.

Without JavaScript the table of trials is still there; the charts are drawn by plotly.js, which the
extra `report` brings, and `report.js` does the rest.
"""

from __future__ import annotations

import functools
import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from keras_rnn_zoo.errors import MissingExtraError
from keras_rnn_zoo.files import PathLike, write_bytes
from keras_rnn_zoo.pages import STYLE, facts_table, plain, text_of
from keras_rnn_zoo.quantities import duration
from keras_rnn_zoo.tuner.results import charts, records
from keras_rnn_zoo.tuner.results.charts import finite, measure_label, said
from keras_rnn_zoo.tuner.results.front import front, quality
from keras_rnn_zoo.tuner.results.importance import common_names, importance

REPORT_FILE = "report.html"

COMPLETED, INFEASIBLE, FAILED = "completed", "infeasible", "failed"

_COLORS = [f"--c{number}" for number in range(charts.COLORS)]
_THEME = ["--ink", "--soft", "--line", "--paper", "--bad", *_COLORS]

_STYLE = """
:root { --c0: #2f6fb0; --c1: #c4571a; --c2: #1f8a62; --c3: #a3448f; --c4: #8a6d00; --c5: #5a5fc4;
  --c6: #b3263f; --c7: #0d8494; --chosen: #fff4d6; }
@media (prefers-color-scheme: dark) { :root { --c0: #7ab3e8; --c1: #f0a06a; --c2: #63c9a0;
  --c3: #dc93cd; --c4: #d3b74e; --c5: #a3aef2; --c6: #f08a98; --c7: #5cc8d4; --chosen: #3a3320; } }
body { max-width: 92rem; }
html:not(.scripted) .scripted, html.scripted .unscripted { display: none; }
h1.unfinished .mark { color: var(--soft); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1rem; }
.chart { height: 23rem; min-width: 0; }
ul.legend { display: flex; flex-wrap: wrap; gap: .3rem .5rem; list-style: none; padding: 0;
  margin: .5rem 0; align-items: center; }
button, select { font: inherit; color: inherit; background: none; cursor: pointer; }
button:focus-visible, select:focus-visible { outline: 2px solid var(--bar); outline-offset: 1px; }
.legend button, .panel button, select { border: 1px solid var(--line); border-radius: .3rem;
  padding: .1rem .55rem; }
select { background: var(--paper); }
.legend button[aria-pressed=true] { background: var(--chosen); border-color: var(--soft); }
.legend i { font-style: normal; margin-right: .35rem; }
fieldset { border: 0; padding: 0; margin: .4rem 0; display: flex; flex-wrap: wrap;
  gap: .2rem 1.1rem; }
legend { float: left; color: var(--soft); padding: 0; margin-right: .2rem; }
label { cursor: pointer; }
.trials { overflow: auto; max-height: 36rem; border-bottom: 1px solid var(--line); }
.trials table { border-collapse: separate; border-spacing: 0; }
.trials thead th { position: sticky; top: 0; background: var(--paper); z-index: 1; }
.trials th:first-child, .trials td:first-child { position: sticky; left: 0; padding-left: .5rem;
  background: var(--paper); }
.trials thead th:first-child { z-index: 2; }
.trials th, .trials td { padding: .4rem .55rem; }
.trials th { white-space: normal; }
.trials .text { text-align: left; }
.trials td.why { white-space: normal; min-width: 14rem; max-width: 20rem;
  overflow-wrap: anywhere; }
th button { border: 0; padding: 0; font-weight: inherit; text-align: inherit; }
th[aria-sort] button::after { content: "\\a0▲"; font-size: .7em; }
th[aria-sort=descending] button::after { content: "\\a0▼"; }
html.scripted #trials tbody tr { cursor: pointer; }
#trials tbody tr:hover td { background: var(--tint); }
#trials tbody tr.chosen td { background: var(--chosen); }
#trials tr:not([data-status=completed]) td { color: var(--soft); }
button.pick { border: 0; padding: 0; font-variant-numeric: tabular-nums; }
html.scripted button.pick { text-decoration: underline dotted; text-underline-offset: .2em; }
.badge { color: var(--good); margin-left: .35rem; }
.over { color: var(--bad); }
table.shares { width: auto; }
.shares .size { width: min(24rem, 45vw); height: .8rem; vertical-align: middle; }
.panel { position: sticky; bottom: 0; z-index: 3; margin: 1.5rem -.75rem 0; padding: .8rem 1rem;
  max-height: 60vh; overflow: auto; background: var(--paper); border: 1px solid var(--soft);
  border-radius: .5rem; box-shadow: 0 2px 14px rgb(0 0 0 / .22); }
.panel h2 { margin: 0 3rem .2rem 0; }
.panel h2 [data-part=state] { font-weight: 400; color: var(--soft); margin-left: .5rem; }
.panel [data-part=close] { position: absolute; top: .7rem; right: .8rem; }
.panel dl { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: .4rem 0; }
.panel dt { color: var(--soft); font-size: .8rem; }
.panel dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.panel .row { display: flex; gap: .6rem; align-items: center; flex-wrap: wrap; }
.panel pre { flex: 1 1 20rem; }
.panel[hidden], .panel [hidden] { display: none; }
"""

# Nothing leaves the page, whatever is in it: the browser sees to that.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)

_PANEL = """
<aside id="details" class="panel" aria-live="polite" hidden>
<h2><span data-part="title"></span><span data-part="state"></span></h2>
<button type="button" data-part="close" aria-label="Close">✕</button>
<dl data-part="facts"></dl>
<p data-part="message" class="over"></p>
<div class="row" data-part="export"><pre data-part="command"></pre>
<button type="button" data-part="copy">Copy</button>
<span class="soft" role="status" data-part="copied"></span></div>
</aside>
"""


def write_report(path: PathLike, info: Mapping[str, Any], trials: Sequence[dict[str, Any]]) -> None:
    """Writes the page of a search, finished or not.

    Args:
        path: Of the page, in the search directory: the commands that it shows name that one.
        info: What `search.json` holds; see `searching`.
        trials: See `records.describe`: those that ended, in the order in which they started.

    Raises:
        MissingExtraError: Plotly is not installed.
        OutputError: The place cannot be written.
    """
    text = page(info, trials, Path(path).parent, _plotly())
    # A command line may hold bytes that are no UTF-8.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


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
    trials: Sequence[dict[str, Any]],
    directory: Path,
    plotly: str,
) -> str:
    """Returns the page of a search.

    Args:
        info: See `write_report`.
        trials: See `write_report`.
        directory: Of the search.
        plotly: The script of plotly.js.

    Returns:
        HTML that needs nothing else.
    """
    view = _View(info, trials, directory)
    kind, mark, outcome = view.outcome()
    drawn = view.charts()
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(f'{directory.resolve().name}: search report')}</title>",
        f"<style>{STYLE}{_STYLE}</style></head><body>",
        f'<h1 class="{kind}"><span class="mark">{mark}</span>{escape(outcome)}</h1>',
        f'<p class="soft">{escape(view.summary())}</p>',
        *view.trade_offs(drawn["charts"]),
        *view.table(),
        *view.curves(drawn["curves"]),
        *view.importance(),
        "<h2>Made with</h2>",
        facts_table(view.facts()),
        _PANEL,
        f'<script type="application/json" id="data">{_in_script(drawn)}</script>',
        f"<script>{plotly}</script>",
        f"<script>{_script()}</script>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def export_command(directory: Path, trial_id: str, target: str = "litert") -> str:
    """Returns the command that exports a trial of the search in a directory."""
    words = ["keras-rnn-zoo", "export", str(directory), "--trial", trial_id]
    if target != "litert":
        words += ["--target", target]
    return shlex.join([*words, "-o", "BUNDLE"])


class _View:
    """What the parts of the page say."""

    def __init__(self, info: Mapping[str, Any], trials: Sequence[dict[str, Any]], directory: Path):
        self.info = info
        self.trials = trials
        self.directory = directory
        self.settings = info["settings"]
        self.device = self.settings.get("device") or {}
        self.score: str = info["objective"]["name"]
        self.direction: str = info["objective"]["direction"]
        self.counts = Counter(trial["status"] for trial in trials)
        self.winner = self._winner()
        self.front = front(trials, self.direction)
        self.measure, _, self.quality = quality(trials, self.direction)
        self.models = sorted({str(trial["model"]) for trial in trials})
        self.names = list(dict.fromkeys(name for t in trials for name in common_names(t)))
        self.quantized = sorted(
            {name for t in trials for name in t["metrics"] if name.startswith("quantized_")}
            - {self.score}
        )

    def _winner(self) -> dict[str, Any] | None:
        named = (self.info.get("best") or {}).get("trial_id")
        for trial in self.trials:
            if trial["trial_id"] == named:
                return trial
        return records.best(self.trials, self.direction)

    # ------------------------------------------------------------------ words

    def outcome(self) -> tuple[str, str, str]:
        """Returns the kind of the outcome, a mark for it, and the line that says it."""
        status, done = self.info["status"], len(self.trials)
        asked = self.settings.get("max_trials")
        if status == "failed" or (status == "finished" and self.winner is None):
            text = self.info.get("message") or f"None of {done} trials completed."
            return "failed", "✗", text
        found = None if self.winner is None else self._praise(self.winner)
        if status == "finished":
            return "", "✓", f"The winner is {found}."
        of = f" of {asked}" if asked else ""
        text = f"Unfinished: {f'{done}{of} trials ended' if done else 'none ended yet'}."
        if done:
            text += " None completed." if found is None else f" The best so far is {found}."
        return "unfinished", "…", text

    def _praise(self, trial: Mapping[str, Any]) -> str:
        text = f"trial {trial['trial_id']} ({trial['model']}), {measure_label(self.score)} "
        text += said(self.score, trial["score"])
        for name in self.quantized:
            if trial["metrics"].get(name) is not None:
                text += f", {measure_label(name)} {said(name, trial['metrics'][name])}"
        sizes = [
            charts.amount(figure, trial[figure])
            for figure in charts.FIGURES
            if trial[figure] is not None
        ]
        if sizes:
            text += f": {' and '.join(sizes)} as {self.device.get('quantize', 'a file')}"
        limits = self._limits()
        if limits:
            kept = "beyond" if trial["excess"] else "within"
            text += f", {kept} the limit{'s' if len(limits) > 1 else ''} of {_and(limits)}"
        return text

    def _limits(self) -> list[str]:
        limits = [
            charts.amount(figure, self.device[limit])
            for figure, limit in charts.LIMITS.items()
            if self.device.get(limit) is not None
        ]
        if self.device.get("max_parameters") is not None:
            limits.append(f"{self.device['max_parameters']:,} parameters")
        return limits

    def summary(self) -> str:
        """Returns what was done, in a sentence or three."""
        count = len(self.trials)
        words = {
            COMPLETED: "completed",
            INFEASIBLE: "over budget and so not trained",
            FAILED: "failed",
        }
        ways = [f"{self.counts[key]} {word}" for key, word in words.items() if self.counts[key]]
        text = f"{count} trial{'' if count == 1 else 's'}"
        if self.settings.get("tuner"):
            text += f" chosen by the tuner {self.settings['tuner']}"
        text += f": {_and(ways)}." if ways else "."
        seconds = sum(trial["seconds"] or 0.0 for trial in self.trials)
        if seconds:
            text += f" Training took {duration(seconds)} in all."
        best = self.info.get("best") or {}
        for name, value in best.items():
            if name.startswith("test_") and name != "test_loss" and finite(value) is not None:
                measure = name.removeprefix("test_")
                text += (
                    f" On test rows that no trial saw, the winner's {measure_label(measure)} is "
                    f"{said(measure, value)}."
                )
        return text

    def describe(self, trial: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Returns the figures of a trial, then its hyperparameters; unknown ones are left out."""
        facts: list[tuple[str, str]] = []
        if trial["score"] is not None:
            facts.append((measure_label(self.score), said(self.score, trial["score"])))
        for name in self.quantized:
            if trial["metrics"].get(name) is not None:
                facts.append((measure_label(name), said(name, trial["metrics"][name])))
        for figure, (name, _, _) in charts.FIGURES.items():
            if trial[figure] is not None:
                facts.append((name, charts.amount(figure, trial[figure])))
        if trial["parameters"] is not None:
            facts.append(("parameters", f"{trial['parameters']:,}"))
        if trial["seconds"] is not None and trial["epochs"]:
            epochs = f"{trial['epochs']} epoch{'' if trial['epochs'] == 1 else 's'}"
            facts.append(("training", f"{duration(trial['seconds'])}, {epochs}"))
        return facts + self._chosen(trial)

    def _chosen(self, trial: Mapping[str, Any]) -> list[tuple[str, str]]:
        values = common_names(trial)
        return [(name, _short(value)) for name, value in values.items() if name != "model"]

    def _state(self, trial: Mapping[str, Any]) -> str:
        if trial is self.winner:
            return self._star()
        if trial["trial_id"] in self.front:
            return "on the Pareto front"
        return str(trial["status"])

    def _star(self) -> str:
        return "the winner" if self.info["status"] == "finished" else "the best so far"

    def _hover(self, trial: Mapping[str, Any]) -> str:
        chosen = [f"{name} {text}" for name, text in self._chosen(trial)]
        facts = self.describe(trial)[: -len(chosen) or None]
        lines = [
            f"<b>Trial {escape(trial['trial_id'])}</b> {escape(str(trial['model']))}, "
            f"{escape(self._state(trial))}",
            *(f"{escape(name)} {escape(text)}" for name, text in facts),
            *(escape(", ".join(chosen[at : at + 2])) for at in range(0, len(chosen), 2)),
        ]
        if trial["message"]:
            lines.append(escape(_cut(trial["message"])))
        return "<br>".join(lines)

    def _export(self, trial_id: str) -> str:
        return export_command(self.directory, trial_id, self.device.get("target", "litert"))

    def _details(self, trial: Mapping[str, Any]) -> dict[str, Any]:
        kept = trial is self.winner or trial["trial_id"] in self.front
        return {
            "title": f"Trial {trial['trial_id']}: {trial['model']}",
            "state": self._state(trial),
            "facts": self.describe(trial),
            "message": trial["message"],
            # The others were not trained, or leave no run.
            "command": self._export(trial["trial_id"]) if kept else None,
        }

    # ------------------------------------------------------------------ parts

    def charts(self) -> dict[str, Any]:
        """Returns all that report.js needs."""
        found = {
            f"chart-{name}": charts.trade_off(
                self.trials,
                figure,
                models=self.models,
                direction=self.direction,
                score=self.score,
                winner=self.winner["trial_id"] if self.winner else None,
                device=self.device,
                hover=self._hover,
            )
            for figure, (name, _, _) in charts.FIGURES.items()
        }
        return {
            "charts": {name: figure for name, figure in found.items() if figure},
            "curves": {
                name: charts.curves(self.trials, name, self.models)
                for name in charts.measures(self.trials, self.score)
            },
            "trials": {trial["trial_id"]: self._details(trial) for trial in self.trials},
            "colors": _THEME,
        }

    def trade_offs(self, drawn: Mapping[str, Any]) -> list[str]:
        """Returns the charts of quality against the figures of a device."""
        if not drawn:
            return []
        measure = measure_label(self.score if self.measure == "score" else self.measure)
        boxes = "".join(
            f'<div class="chart" id="{name}" role="img" aria-label="'
            f'{escape(measure)} against {name.removeprefix("chart-")}; the table has the figures">'
            "</div>"
            for name in drawn
        )
        return [
            "<h2>What more size or time buys</h2>",
            '<p class="soft">Outlined: the Pareto front; no trial is as good in quality, size and '
            "latency, and better in one. Dotted: the best that a size, or a time, buys. "
            f"★ {self._star()}. Hollow: over budget. Point at a trial to see it; click for the "
            "command that exports it.</p>",
            '<p class="unscripted">The charts need JavaScript; the table has all figures.</p>',
            self._legend(),
            f'<div class="pair scripted">{boxes}</div>',
        ]

    def _legend(self) -> str:
        items = []
        for model in self.models:
            color, symbol = charts.look(self.models, model)
            items.append(
                f'<li><button type="button" data-model="{escape(model)}" aria-pressed="false">'
                f'<i style="color:var({color})">{charts.SYMBOLS[symbol]}</i>{escape(model)}'
                "</button></li>"
            )
        return f'<ul class="legend scripted" aria-label="Models">{"".join(items)}</ul>'

    def curves(self, drawn: Mapping[str, Any]) -> list[str]:
        """Returns the learning curves."""
        if not drawn:
            return []
        options = "".join(
            f'<option value="{escape(name)}">{escape(measure_label(name))}</option>'
            for name in drawn
        )
        return [
            '<div class="scripted"><h2>Learning curves</h2>',
            f'<p><label class="soft">Measure <select id="measure" autocomplete="off">{options}'
            "</select></label></p>",
            self._legend(),
            '<div class="chart" id="curves" role="img" aria-label="Learning curves"></div></div>',
        ]

    def importance(self) -> list[str]:
        """Returns what decides about the score."""
        found = importance(self.trials)
        parts = ["<h2>What decides about the score</h2>"]
        if found.message:
            return [*parts, f'<p class="soft">{escape(found.message)}</p>']
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{100 * share:.0f} %</td>"
            f"<td class='text'><span class='size'><i style='width:{100 * share:.1f}%'></i></span>"
            "</td></tr>"
            for name, share in found.shares.items()
        )
        explained = max(0.0, found.explained or 0.0)
        return [
            *parts,
            '<p class="soft">Shares of the permutation importance in a random forest, which '
            f"foretells {100 * explained:.0f} % of the differences between trials that it was not "
            "fitted on. The lower that is, the less the shares mean.</p>",
            f'<div class="scroll"><table class="shares"><tbody>{rows}</tbody></table></div>',
        ]

    def facts(self) -> list[tuple[str, str]]:
        """Returns how the search was made."""
        left_out = {"space", "data", "device"}
        settings = {key: value for key, value in self.settings.items() if key not in left_out}
        provenance = dict(self.info.get("provenance") or {})
        versions = provenance.pop("versions", None) or {}
        provenance.pop("seed", None)  # among the settings
        made = {
            "command": provenance.pop("command", None),
            "data": (self.settings.get("data") or {}).get("name"),
            "objective": f"{self.score}, {self.direction}",
            **settings,
            **{key: self.device.get(key) for key in ("quantize", "target")},
            "limits": ", ".join(self._limits()) or None,
            **provenance,
            "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        }
        return plain({key: _joined(value) for key, value in made.items()})

    # ------------------------------------------------------------------ the table

    def table(self) -> list[str]:
        """Returns all trials, the best first, and what chooses among them."""
        counts = {"all": len(self.trials), "front": len(self.front), **self.counts}
        shown = {
            "all": "all",
            "front": "Pareto front",
            COMPLETED: COMPLETED,
            INFEASIBLE: INFEASIBLE,
            FAILED: FAILED,
        }
        choices = "".join(
            f'<label><input type="radio" name="show" value="{key}" autocomplete="off"'
            f"{' checked' if key == 'all' else ''}> {text} "
            f'<span class="soft">{counts.get(key, 0)}</span></label>'
            for key, text in shown.items()
        )
        up, down = "ascending", "descending"
        best_first = down if self.direction == "max" else up
        # Head, which way the first click sorts, and whether the cells are words.
        columns: list[tuple[str, str, bool]] = [
            ("trial", up, True),
            ("status", up, True),
            ("model", up, True),
            *((name, up, False) for name in self._searched()),
            (measure_label(self.score), best_first, False),
            *(
                (measure_label(name), down if charts.is_share(name) else up, False)
                for name in self.quantized
            ),
            *((name, up, False) for name, _, _ in charts.FIGURES.values()),
            ("parameters", up, False),
            ("training", up, False),
        ]
        sorted_by = measure_label(self.score)
        heads = "".join(
            f'<th scope="col"{" class=text" if words else ""} data-first="{first}"'
            f"{f' aria-sort={best_first}' if name == sorted_by else ''}>"
            f'<button type="button">{escape(name)}</button></th>'
            for name, first, words in columns
        )
        sign = -1 if self.direction == "max" else 1
        statuses = [COMPLETED, INFEASIBLE, FAILED]
        ordered = sorted(
            self.trials,
            key=lambda trial: (
                statuses.index(trial["status"]) if trial["status"] in statuses else 9,
                trial["score"] is None,
                sign * (trial["score"] or 0.0),
                trial is not self.winner,  # of equals, it has the least loss
            ),
        )
        return [
            "<h2>Trials</h2>",
            f'<fieldset class="scripted"><legend>Show</legend>{choices}</fieldset>',
            '<div class="trials" tabindex="0" role="region" aria-label="Trials">'
            f'<table id="trials"><thead><tr>{heads}</tr></thead><tbody>',
            *(self._row(trial) for trial in ordered),
            "</tbody></table></div>",
            f'<p class="soft">★ {self._star()}, ◆ on the Pareto front. Each of them is exported '
            f"by <code>{escape(self._export('TRIAL'))}</code>.</p>",
        ]

    def _searched(self) -> list[str]:
        return [name for name in self.names if name != "model"]

    def _row(self, trial: Mapping[str, Any]) -> str:
        key, over = trial["trial_id"], trial["excess"]
        badge = "★" if trial is self.winner else "◆" if key in self.front else ""
        values = common_names(trial)
        why = f"<small>{escape(_cut(trial['message']))}</small>" if trial["message"] else ""
        trained = trial["seconds"] if trial["epochs"] else None
        cells = [
            _cell(
                key,
                f'<button type="button" class="pick" data-trial="{escape(key)}">{escape(key)}'
                f"</button>{f'<span class=badge>{badge}</span>' if badge else ''}",
                "text",
            ),
            _cell(trial["status"], escape(trial["status"]) + why, "text why" if why else "text"),
            _cell(trial["model"], escape(str(trial["model"])), "text"),
            *(
                _cell(values.get(name), escape(_short(values.get(name))))
                for name in self._searched()
            ),
            _cell(trial["score"], said(self.score, trial["score"])),
            *(
                _cell(trial["metrics"].get(name), said(name, trial["metrics"].get(name)))
                for name in self.quantized
            ),
            *(
                _cell(
                    trial[figure],
                    "–" if trial[figure] is None else charts.amount(figure, trial[figure]),
                    "over" if name in over else "",
                )
                for figure, (name, _, _) in charts.FIGURES.items()
            ),
            _cell(
                trial["parameters"],
                "–" if trial["parameters"] is None else f"{trial['parameters']:,}",
                "over" if "parameters" in over else "",
            ),
            _cell(trained, "–" if trained is None else duration(trained)),
        ]
        return (
            f'<tr data-trial="{escape(key)}" data-status="{escape(trial["status"])}"'
            f"{' data-front' if key in self.front else ''}>{''.join(cells)}</tr>"
        )


def _cell(value: Any, text: str, kind: str = "") -> str:
    """Returns a cell of the table; it is sorted by `value`, and last where that is unknown."""
    sort = "" if value is None else f' data-value="{escape(str(value))}"'
    look = f' class="{kind}"' if kind else ""
    return f"<td{look}{sort}>{text}</td>"


def _short(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else text_of(value)


def _cut(text: str, most: int = 240) -> str:
    return text if len(text) <= most else text[:most] + " …"


def _joined(value: Any) -> Any:
    """Returns a list of plain values as a person writes it."""
    if isinstance(value, list | tuple):
        return ", ".join(text_of(item) for item in value)
    return value


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _in_script(value: Any) -> str:
    """Returns JSON that cannot end the script that it is in."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


@functools.lru_cache(maxsize=1)
def _script() -> str:
    return Path(__file__).with_name("report.js").read_text(encoding="utf-8")
