"""MODEL_CARD.md: what whoever gets a bundle should know of its model, from report.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_rnn_zoo.export.bundle.records import BundleReport, FileRecord
from keras_rnn_zoo.export.bundle.steps import step_facts, timed
from keras_rnn_zoo.pages import fill, text_of
from keras_rnn_zoo.quantities import milliseconds, score, size
from keras_rnn_zoo.training.baseline import PARTS, best_of
from keras_rnn_zoo.training.metrics import DIRECTIONS, SHARES, better

CARD_FILE = "MODEL_CARD.md"
NAMES = {"f1": "F1", "auc": "AUC"}
NOTHING = "–"


def card(report: BundleReport) -> str:
    """Returns the model card of a bundle, in Markdown.

    What follows Mitchell et al., "Model Cards for Model Reporting" (2019): the model, data,
    metrics, limits. It holds no more than the report knows, and names what it does not.

    Args:
        report: What report.json holds.
    """
    training, known = report.training, report.preprocessing
    data = training.get("data") or {}
    return fill(
        Path(__file__).with_name("templates") / "MODEL_CARD.md.jinja",
        {"plain": plain},
        name=plain(report.model["name"]),
        purpose=_purpose(report),
        config=_settings(report.model["config"]),
        licence=plain(report.options.get("license") or ""),
        parameters=f"{report.model['parameters']:,}",
        data=data,
        rows={
            part: f"{data['rows'][part]:,}" for part in PARTS if (data.get("rows") or {}).get(part)
        },
        name_of_data=plain(data.get("name", "")),
        worthless=plain(report.verdict.get("baseline") or ""),
        metrics=metrics(report),
        baselines=[
            f"{plain(one['name'])}: {plain(one['text'])}" for one in data.get("baselines") or ()
        ],
        labels=_each_label(report),
        labelled=_labelled(report),
        files=[_file(entry) for entry in report.files],
        steps=[f"{name.capitalize()}: {plain(text)}." for name, text in step_facts(report)],
        timed=timed(report).removesuffix(","),
        machine=next((plain(e.latency["machine"]) for e in report.files if e.latency), None),
        verdict=plain(
            report.verdict["text"].removeprefix(report.verdict.get("baseline") or "").strip()
        ),
        limits=limits(known) if known else [],
        source=plain(f"{report.source['kind']} {report.source['name']}"),
        hyperparameters=_settings(training.get("hyperparameters")),
        made=[
            _made(what, provenance)
            for what, provenance in (
                ("Trained", training.get("provenance")),
                ("Exported", report.provenance),
            )
            if provenance
        ],
        notes=[plain(note) for note in report.notes],
    )


def metrics(report: BundleReport) -> list[dict[str, str]]:
    """Returns the figures of each part of the data beside what no model at all reaches.

    Args:
        report: The report; nothing is known of a bare `.keras` file.
    """
    data, found = report.training.get("data") or {}, report.training.get("metrics") or {}
    least: Mapping[str, Any] = data.get("baseline") or {}
    rows = []
    for part in PARTS:
        for measure in DIRECTIONS:
            value = found.get(f"{part}_{measure}")
            if value is None or measure == "loss":
                continue
            percent, beside = measure in SHARES, least.get(f"{part}_{measure}")
            name = ""
            # A bundle of an older run knows what one answer is worth, and no other baseline.
            if (best := best_of(data.get("baselines") or (), part, measure)) is not None:
                beside, name = best[1], f" ({plain(best[0]['name'])})"
            beats = beside is not None and better(measure, value, beside)
            rows.append(
                {
                    "part": part,
                    "measure": NAMES.get(measure, measure.replace("_", " ")),
                    "model": score(value, percent=percent),
                    "baseline": NOTHING
                    if beside is None
                    else score(beside, percent=percent) + name,
                    "remark": "" if beside is None or beats else "no better than the baseline",
                }
            )
    return rows


def _each_label(report: BundleReport) -> dict[str, Any] | None:
    """What becomes of each label, on the test rows or else those for validation."""
    evaluation = report.training.get("evaluation") or {}
    part = next((part for part in ("test", "validation") if part in evaluation), None)
    found = evaluation[part].get("labels") if part else None
    if not found:
        return None
    shares = ("precision", "recall", "f1")
    return {
        "part": part,
        "rows": [
            [plain(name), f"{one['rows']:,}", *(score(one[key], percent=True) for key in shares)]
            for name, one in found.items()
        ],
    }


def limits(known: Mapping[str, Any]) -> list[str]:
    """Returns what the way inputs are encoded keeps a model from, a sentence each.

    Args:
        known: The report's `preprocessing`.
    """
    end = "end" if known["truncating"] == "pre" else "beginning"
    said = []
    if known["kind"] == "features":
        said += [
            f"Takes {known['features']} features a time step and keeps the {end} of sequences of "
            f"more than {known['timesteps']:,} steps.",
            "Features are scaled by mean and deviation of the training rows: values of another "
            "unit or range were never seen.",
        ]
    else:
        tokenizer = known["tokenizer"] or {}
        word = "words" if known["kind"] == "text" else "token ids"
        word = "tokens" if "unseen" in tokenizer else word
        said.append(f"Keeps the {end} of inputs of more than {known['timesteps']:,} {word}.")
        if known["kind"] == "text":
            said += [
                f"Knows {known['vocabulary_size']:,} tokens, those most frequent in the training "
                "rows; every other word is the same to it, so texts of another language or subject "
                "are mostly unknown words. A text without a known word is refused.",
            ]
            lowered = tokenizer.get("lower_case")
            if "unseen" in tokenizer:
                said.append(f"{tokenizer['unseen'].capitalize()} are not seen.")
            elif lowered:
                capitals = "Capitals, punctuation" if lowered is True else "Punctuation"
                said.append(f"{capitals} and spacing are not seen.")
    if known["task"] == "multilabel":
        said.append("Each label applies where its score is above one half; none may.")
    elif known["labels"]:
        said.append(
            "Answers with one of its labels whatever it is given; there is none for inputs that "
            "fit no label."
        )
    return said


def plain(text: Any) -> str:
    """Returns text that Markdown takes as it is, in one line."""
    line = " ".join(str(text).split())
    return "".join(f"\\{c}" if c in "\\`*[]<>|#" else c for c in line)


def _purpose(report: BundleReport) -> str:
    known = report.preprocessing
    if known is None:
        takes, answers = (
            ", ".join(plain(spec["name"]) for spec in report.model[kind])
            for kind in ("inputs", "outputs")
        )
        return f"It came as a bare .keras file: takes {takes} and answers {answers}, encoded."
    takes = {
        "text": "a text",
        "tokens": "a sequence of token ids",
        "features": f"a sequence of {known['features']} features",
    }[known["kind"]]
    if known["task"] == "regression":
        return f"Answers {takes} with {known['outputs']} number(s)."
    which = ", ".join(map(plain, known["labels"]))
    if known["task"] == "multilabel":
        return f"Answers {takes} with any number of {len(known['labels'])} labels: {which}."
    every = "each time step of " if known["task"] == "sequence_labelling" else ""
    return f"Answers {every}{takes} with one of {len(known['labels'])} labels: {which}."


def _settings(values: Mapping[str, Any] | None) -> str:
    given = {name: value for name, value in (values or {}).items() if value is not None}
    return ", ".join(f"{plain(name)} {plain(text_of(value))}" for name, value in given.items())


def _made(what: str, provenance: Mapping[str, Any]) -> str:
    """Says when something was made, with what, by which command; as far as that was recorded."""
    seed, versions = provenance.get("seed"), provenance.get("versions") or {}
    text = " ".join(filter(None, [what, plain(provenance.get("created") or "")]))
    text += "" if seed is None else f", seed {seed}"
    if versions:
        text += ", with " + ", ".join(f"{plain(name)} {plain(v)}" for name, v in versions.items())
    command = provenance.get("command")
    return text + (f": {plain(command)}" if command else "")


def _labelled(report: BundleReport) -> str | None:
    labelled = report.labelled
    if labelled is None:
        return None
    measure, origin = labelled["measure"].replace("_", " "), plain(labelled["origin"])
    return f"{measure} on {labelled['rows']:,} rows ({origin})"


def _file(entry: FileRecord) -> dict[str, str]:
    scored, percent = entry.labelled, (entry.labelled or {}).get("measure") == "accuracy"
    return {
        "name": plain(entry.file),
        "description": plain(entry.description),
        "size": size(entry.bytes),
        "latency": milliseconds(entry.latency["median_ms"]) if entry.latency else NOTHING,
        "difference": f"{entry.parity['max_abs_output']:.2g}",
        "before": score(scored["before"], percent=percent) if scored else NOTHING,
        "after": score(scored["after"], percent=percent) if scored else NOTHING,
        "changed": f"{scored['changed_answers']:,}"
        if scored and scored["changed_answers"] is not None
        else NOTHING,
    }
