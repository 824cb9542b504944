"""A run and a comparison as pages to read: self-contained HTML without scripts or network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_rnn_zoo import pictures
from keras_rnn_zoo.pages import TEMPLATES, plain, render
from keras_rnn_zoo.quantities import duration, rows_in_words, size
from keras_rnn_zoo.training.answers import (
    answers,
    bars_note,
    baseline_bars,
    beside,
    held_out,
    reach_in_words,
    reach_of,
    words,
    written,
)
from keras_rnn_zoo.training.baseline import HELD_OUT, PARTS, best_of
from keras_rnn_zoo.training.cross_validation import sentence
from keras_rnn_zoo.training.intervals import UNLIKELY
from keras_rnn_zoo.training.metrics import DIRECTIONS, SHARES
from keras_rnn_zoo.training.understanding import told

PAGE_FILE = "report.html"

Facts = list[tuple[str, str]]


def run_page(info: Mapping[str, Any], history: Mapping[str, Sequence[float]], count: int) -> str:
    """Returns the page of a run.

    Args:
        info: What `run.json` holds.
        history: A list of values per epoch for each measure.
        count: Bytes of its `.keras` file.

    Returns:
        HTML that needs nothing else.
    """
    metrics, found = info["metrics"], answers(info)
    return render(
        TEMPLATES / "run.html",
        title=f"{info['model']}: training report",
        found=found,
        summary=_summary(info),
        curves=curves(history),
        validated="val_loss" in history,
        cost=_run_cost(metrics, count),
        data=data_facts(info),
        training=training_facts(info),
        made=made_with(info.get("provenance") or {}),
    )


def _run_cost(metrics: Mapping[str, Any], count: int) -> Facts:
    """What a run took, as far as whoever wrote it said so."""
    facts = [("model.keras", f"{size(count)}, with what it takes to train it further")]
    if "parameters" in metrics:
        facts.insert(0, ("parameters", f"{metrics['parameters']:,}"))
    if "seconds" in metrics and "epochs" in metrics:
        facts.append(("training", f"{duration(metrics['seconds'])}, {_epochs(metrics['epochs'])}"))
    return facts


def _summary(info: Mapping[str, Any]) -> str:
    data = info.get("data") or {}
    text = f"Model {info['model']}"
    if "name" in data:
        text += f" on {data['name']}"
    text += f": {rows_in_words(data['rows'])}." if "rows" in data else "."
    if info.get("interrupted"):
        text += " The training was stopped before its last epoch."
    if info.get("folds"):
        text += f" Cross-validated: {sentence(info['folds'])}."
    return text


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count != 1 else ''}"


def curves(history: Mapping[str, Sequence[float]]) -> list[pictures.Plot]:
    """Returns the course of a training: a picture for each measure, what people read first.

    Args:
        history: A list of values per epoch for each measure.
    """
    names = [name for name in history if not name.startswith("val_") and name in DIRECTIONS]
    names.sort(key=lambda name: name == "loss")
    epochs = max((len(values) for values in history.values()), default=0)
    if epochs < 2:
        return []
    labels = {0: "1", epochs - 1: f"{epochs}"}
    if epochs > 4:
        labels[(epochs - 1) // 2] = f"{(epochs - 1) // 2 + 1}"
    return [
        pictures.series(
            {
                "seen": history[name],
                **({"checked": history[f"val_{name}"]} if f"val_{name}" in history else {}),
            },
            labels,
            title=words(name),
            percent=name in SHARES,
            x_title="epoch",
        )
        for name in names
    ]


# ------------------------------------------------------------------------------- facts


def data_facts(info: Mapping[str, Any]) -> Facts:
    """Returns what a run learnt from, in words.

    Args:
        info: `data` and `preprocessing` as `run.json` has them.
    """
    data, known = info.get("data") or {}, info.get("preprocessing") or {}
    facts: Facts = []
    if data.get("understood"):
        facts += told(data, known.get("truncating", "pre"))
    elif data.get("rows"):
        facts.append(("Rows", rows_in_words(data["rows"])))
    said = {"understood", "baseline", "baselines", "targets", "rows", "name", "kind", "horizon"}
    said |= {"value_columns", "text_column", "label_column", "window", "held_out"}
    if not data.get("understood"):
        said -= {"name", "kind"}
    return facts + plain({name: value for name, value in data.items() if name not in said})


def training_facts(info: Mapping[str, Any]) -> Facts:
    """Returns how a model was trained, in words.

    Args:
        info: `hyperparameters`, `config`, `metrics` and `provenance` as `run.json` has them.
    """
    metrics = info.get("metrics") or {}
    made = {
        **(info.get("hyperparameters") or {}),
        "epochs trained": metrics.get("epochs"),
        "best_epoch": metrics.get("best_epoch"),
        "model's settings": info.get("config"),
        "command": (info.get("provenance") or {}).get("command"),
    }
    return plain(made)


def made_with(provenance: Mapping[str, Any]) -> Facts:
    """Returns when and with what something was made.

    Args:
        provenance: See `keras_rnn_zoo.provenance.provenance`.
    """
    return plain({name: value for name, value in provenance.items() if name != "command"})


# ------------------------------------------------------------------------------- a comparison


def ranked(
    infos: Mapping[str, Mapping[str, Any]],
) -> tuple[str, str, list[tuple[str, Mapping[str, Any], float]]]:
    """Returns what models are judged by, on which rows, and the models, the best first.

    Args:
        infos: Model -> what `run.json` of its run holds.
    """
    first = next(iter(infos.values()))
    metrics, judged = first["metrics"], first.get("verdict") or {}
    if folds := first.get("folds"):
        measure = folds["measure"]
        found = [(name, info, info["folds"]["value"]) for name, info in infos.items()]
        found.sort(key=lambda one: one[2], reverse=DIRECTIONS[measure] == "max")
        return measure, HELD_OUT, found
    usual = (name.removeprefix("train_") for name in metrics if name.startswith("train_"))
    measure = judged.get("measure") or next(name for name in usual if name != "loss")
    known_in = (part for part in reversed(PARTS) if metrics.get(f"{part}_{measure}") is not None)
    part = next(known_in, "train")
    known = [
        (name, info, value)
        for name, info in infos.items()
        if (value := info["metrics"].get(f"{part}_{measure}")) is not None
    ]
    known.sort(key=lambda one: one[2], reverse=DIRECTIONS[measure] == "max")
    return measure, part, known


def comparison_page(
    infos: Mapping[str, Mapping[str, Any]],
    counts: Mapping[str, int],
    chances: Mapping[str, float | None] | None = None,
) -> str:
    """Returns the page of a comparison.

    Args:
        infos: Model -> what `run.json` of its run holds.
        counts: Model -> bytes of its `.keras` file.
        chances: Of folds, model -> how likely it would be so far behind the best if it were as
            good; None of that one.

    Returns:
        HTML that needs nothing else.
    """
    measure, part, models = ranked(infos)
    best, info, _ = models[0]
    data = info["data"]
    rows, baselines = beside(info, part)
    reaches = {
        name: reach_of(one, part, measure, figure, held_out(one.get("evaluation") or {})[1])
        for name, one, figure in models
    }
    beaten = bool((info.get("verdict") or {}).get("beats_baseline"))
    least = best_of(baselines, part, measure)
    figures = [
        (
            name,
            written(measure, figure),
            figure,
            "best" if name == best else "model",
            reach_in_words(measure, reaches[name]),
            reaches[name],
        )
        for name, _, figure in models
    ]
    return render(
        TEMPLATES / "comparison.html",
        title=f"{data['name']}: comparison",
        beaten=beaten,
        outcome=_outcome(measure, part, models, least, beaten),
        near=_near_in_folds(chances, rows) if chances else _near(measure, reaches[best], models),
        summary=f"{_models(len(infos))} on {data['name']}: {rows_in_words(data['rows'])}.",
        bars=pictures.bars(
            [*figures, *baseline_bars(baselines, part, measure)],
            None if least is None else least[1],
            1.0 if measure in SHARES else None,
        ),
        bars_note=bars_note(measure, part, rows, any(reaches.values())),
        cost=_cost(measure, part, models, counts),
        best=best,
        found=answers(info),
        data=data_facts(info),
        made=plain(info.get("provenance") or {}),
    )


def _models(count: int) -> str:
    return f"{count} model{'s' if count != 1 else ''}"


def _outcome(
    measure: str,
    part: str,
    models: Sequence[tuple[str, Mapping[str, Any], float]],
    least: tuple[Mapping[str, Any], float] | None,
    beaten: bool,
) -> str:
    name, _, value = models[0]
    figure = f"{words(measure)} {written(measure, value)} on the {part} rows"
    beside = "" if least is None else f"{least[0]['name']} ({least[0]['text']}) has "
    beside += "" if least is None else written(measure, least[1])
    if not beaten and beside:
        return f"No model is better than the baseline: {beside}; the best, {name}, has {figure}."
    among = f"The best of {len(models)} is {name}" if len(models) > 1 else f"{name} is trained"
    text = f"{among}: {figure}"
    return f"{text}. Better than the baseline: {beside}." if beside else f"{text}."


def _near(
    measure: str,
    reach: tuple[float, float] | None,
    models: Sequence[tuple[str, Mapping[str, Any], float]],
) -> str:
    """Says which models may be as good as the best."""
    if reach is None:
        return ""
    low, high = reach
    others = [name for name, _, value in models[1:] if low <= value <= high]
    if not others:
        return ""
    return (
        f"On so few rows {', '.join(others)} cannot be told apart from it: the 95 % interval of "
        f"the best is {reach_in_words(measure, reach)}."
    )


def _near_in_folds(chances: Mapping[str, float | None], rows: int | None) -> str:
    """Says which models may be as good as the best, by the rows that all of them were asked."""
    others = [name for name, chance in chances.items() if chance is not None and chance >= UNLIKELY]
    if not others:
        return ""
    return (
        f"Over {rows:,} rows, how far {', '.join(others)} "
        f"{'is' if len(others) == 1 else 'are'} behind it cannot be told from chance."
    )


def _cost(
    measure: str,
    part: str,
    models: Sequence[tuple[str, Mapping[str, Any], float]],
    counts: Mapping[str, int],
) -> list[list[str]]:
    """Returns a table, its head first: what each model costs and reaches."""
    seen = [f"{each} {words(measure)}" for each in dict.fromkeys(("train", part))]
    rows = [["Model", *seen, "Training", "Epochs", "Parameters", "model.keras"]]
    for name, info, value in models:
        metrics = {f"{part}_{measure}": value, **info["metrics"]}
        rows.append(
            [
                name,
                *(
                    written(measure, metrics.get(f"{each}_{measure}"))
                    for each in dict.fromkeys(("train", part))
                ),
                duration(metrics["seconds"]),
                str(metrics["epochs"]),
                f"{metrics['parameters']:,}",
                size(counts[name]),
            ]
        )
    return rows
