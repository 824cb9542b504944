"""What the page of a search says in words and numbers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo.pages import plain, text_of
from keras_rnn_zoo.quantities import duration, rows_in_words
from keras_rnn_zoo.tuner.objectives import described
from keras_rnn_zoo.tuner.results import charts
from keras_rnn_zoo.tuner.results.charts import finite, format_measure, measure_label
from keras_rnn_zoo.tuner.results.findings import Findings
from keras_rnn_zoo.tuner.results.importance import common_names
from keras_rnn_zoo.tuner.results.records import COMPLETED, FAILED, INFEASIBLE, TrialRecord

NOTHING = "–"

Facts = list[tuple[str, str]]
"""Names and values for a person."""


def outcome(found: Findings) -> tuple[str, str, str]:
    """Returns the kind of the outcome, a mark for it, and the line that says it."""
    done = len(found.trials)
    if found.status == "failed" or (found.status == "finished" and found.winner is None):
        return "failed", "✗", found.info.get("message") or f"None of {done} trials completed."
    winner = None if found.winner is None else _introduced(found, found.winner)
    if found.status == "finished":
        return "", "✓", f"The winner is {winner}."
    total = found.settings.get("max_trials")
    of = f" of {total}" if total else ""
    text = f"Unfinished: {f'{done}{of} trials ended' if done else 'none ended yet'}."
    if done:
        text += " None completed." if winner is None else f" The best so far is {winner}."
    return "unfinished", "…", text


def warnings(found: Findings) -> list[str]:
    """Returns what to know before the winner is trusted, the worst first."""
    baseline, interval = found.baseline, found.interval
    said = [str(baseline)] if baseline is not None and not baseline.beaten else []
    return said + ([str(interval)] if interval is not None and interval.matters else [])


def _introduced(found: Findings, trial: TrialRecord) -> str:
    """Returns a trial with its measures, its size and latency, and whether these are allowed."""
    measures = ", ".join(f"{name} {value}" for name, value in _measures(found, trial))
    text = f"trial {trial.trial_id} ({trial.model}), {measures}"
    sizes = [
        charts.format_figure(name, trial[name])
        for name in charts.FIGURES
        if trial[name] is not None
    ]
    if sizes:
        text += f": {_and(sizes)} as {found.budget.quantization if found.budget else 'a file'}"
    limits = _limits(found)
    if limits:
        kept = "beyond" if trial.excess else "within"
        text += f", {kept} the limit{'s' if len(limits) > 1 else ''} of {_and(limits)}"
    return text


def _measures(found: Findings, trial: TrialRecord) -> Facts:
    """Returns the score and the measures of the file, as far as they are known."""
    known = {
        found.score: trial.score,
        **{name: trial.metrics.get(name) for name in found.quantized},
    }
    return [
        (measure_label(name), format_measure(name, value))
        for name, value in known.items()
        if value is not None
    ]


def _limits(found: Findings) -> list[str]:
    if found.budget is None:
        return []
    limits = [
        charts.format_figure(figure, limit)
        for figure, name in charts.LIMITS.items()
        if (limit := getattr(found.budget, name)) is not None
    ]
    if found.budget.max_latency is not None and found.budget.latency_core is not None:
        limits[-1] += f" (modelled, on a {found.budget.latency_core})"
    if found.budget.max_parameters is not None:
        limits.append(f"{found.budget.max_parameters:,} parameters")
    if found.budget.max_arena is not None:
        limits.append(f"{found.budget.max_arena / 1000:,.1f} kB of arena")
    return limits


def summary(found: Findings) -> str:
    """Returns what was done, in a sentence or three."""
    count = len(found.trials)
    words = {
        COMPLETED: "completed",
        INFEASIBLE: "over budget and so not trained",
        FAILED: "failed",
    }
    ways = [f"{found.counts[key]} {word}" for key, word in words.items() if found.counts[key]]
    text = f"{count} trial{'' if count == 1 else 's'}"
    if found.settings.get("tuner"):
        text += f" chosen by the tuner {found.settings['tuner']}"
    text += f": {_and(ways)}." if ways else "."
    seconds = sum(trial.seconds or 0.0 for trial in found.trials)
    if seconds:
        text += f" Training took {duration(seconds)} in all."
    tested = [
        f"{measure_label(measure)} is {format_measure(measure, value)}"
        for name, value in (found.info.get("best") or {}).items()
        if name.startswith("test_") and name != "test_loss" and finite(value) is not None
        for measure in [name.removeprefix("test_")]
    ]
    if tested:
        text += f" On test rows that no trial saw, the winner's {_and(tested)}."
    if found.baseline is not None and found.baseline.beaten:
        text += f" {found.baseline}"
    return text


def figures(found: Findings, trial: TrialRecord) -> Facts:
    """Returns what is known of a trial beside its hyperparameters."""
    facts = _measures(found, trial)
    for figure, (name, _, _) in charts.FIGURES.items():
        if trial[figure] is not None:
            facts.append((name, charts.format_figure(figure, trial[figure])))
    if trial.arena is not None:
        facts.append(("arena in tflite-micro", f"{trial.arena / 1000:,.1f} kB"))
    if trial.parameters is not None:
        facts.append(("parameters", f"{trial.parameters:,}"))
    if trial.seconds is not None and trial.epochs:
        epochs = f"{trial.epochs} epoch{'' if trial.epochs == 1 else 's'}"
        facts.append(("training", f"{duration(trial.seconds)}, {epochs}"))
    return facts


def hyperparameters(trial: TrialRecord) -> Facts:
    """Returns the hyperparameters of a trial beside the model."""
    values = common_names(trial)
    return [(name, short(value)) for name, value in values.items() if name != "model"]


def state(found: Findings, trial: TrialRecord) -> str:
    """Returns what a trial is: the winner, on the front, or how it ended."""
    if trial is found.winner:
        return best_trial(found)
    return "on the Pareto front" if trial.trial_id in found.front else trial.status


def best_trial(found: Findings) -> str:
    """Returns what the best trial is called."""
    return "the winner" if found.status == "finished" else "the best so far"


def export_command(found: Findings, directory: Path, trial_id: str) -> str:
    """Returns the command that exports a trial of the search in a directory."""
    words = ["keras-rnn-zoo", "export", str(directory), "--trial", trial_id]
    if found.budget is not None and found.budget.target != "litert":
        words += ["--target", found.budget.target]
    return shlex.join([*words, "-o", "BUNDLE"])


def made_with(found: Findings) -> Facts:
    """Returns how the search was made."""
    left_out = {"schema", "space", "data", "device", "objective"}
    settings = {key: value for key, value in found.settings.items() if key not in left_out}
    provenance = dict(found.info.get("provenance") or {})
    versions = provenance.pop("versions", None) or {}
    provenance.pop("seed", None)  # among the settings
    budget = found.budget
    made = {
        "command": provenance.pop("command", None),
        "data": _data(found),
        "objective": described(measure_label(found.score), found.direction),
        **settings,
        "quantization": budget and budget.quantization,
        "target": budget and budget.target,
        "limits": ", ".join(_limits(found)) or None,
        "latency": budget and budget.latency_core and f"modelled, on a {budget.latency_core}",
        **provenance,
        "versions": versions,
    }
    return plain(made)


def short(value: Any) -> str:
    """Returns a value of a hyperparameter with few digits."""
    if value is None:
        return NOTHING
    return f"{value:.3g}" if isinstance(value, float) else text_of(value)


def cut(text: str, most: int = 240) -> str:
    """Returns a text that is not too long for a cell."""
    return text if len(text) <= most else text[:most] + " …"


def _data(found: Findings) -> str | None:
    """Returns what the models learnt from, and how many rows each part of it has."""
    name = (found.settings.get("data") or {}).get("name")
    known: Mapping[str, Any] = next(iter((found.info.get("data") or {}).values()), {})
    rows = rows_in_words(known.get("rows") or {})
    return f"{name}: {rows}" if name and rows else name


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
