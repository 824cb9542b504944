"""What report.json says of a bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from keras_rnn_zoo.export.bundle.records import FORMAT, BundleReport, FileRecord
from keras_rnn_zoo.export.bundle.rows import (
    RANDOM,
    Rows,
)
from keras_rnn_zoo.export.bundle.scoring import Labelled
from keras_rnn_zoo.export.bundle.source import Source
from keras_rnn_zoo.export.formats import BundleJob
from keras_rnn_zoo.export.verify.reference import sizes_proven
from keras_rnn_zoo.quantities import score, size
from keras_rnn_zoo.training.baseline import sentences

# Percentage points of accuracy that a file may lose before the report opens with it.
MOST_POINTS_LOST = 0.5


def report_of(
    source: Source,
    check: Rows,
    labelled: Labelled | None,
    entries: Sequence[FileRecord],
    job: BundleJob,
    command: str | None,
) -> BundleReport:
    """Returns what report.json says of the files written, before they are hashed."""
    from keras_rnn_zoo.provenance import provenance

    model, reference = job.model, job.reference
    info = source.info
    lengths = entries[0].parity["lengths"]
    return BundleReport(
        format=FORMAT,
        verdict=verdict(entries, check, labelled, info.get("verdict")),
        model={
            "name": info.get("model", model.name),
            "config": info.get("config"),
            # Of the model that was trained, whose head may be another one.
            "parameters": (info.get("metrics") or {}).get("parameters")
            or int(model.keras.count_params()),
            "inputs": [asdict(spec) for spec in reference.inputs],
            "outputs": [asdict(spec) for spec in reference.outputs],
        },
        source={"kind": source.kind, "name": source.path.name},
        target=job.options.target,
        options=job.options.to_dict(),
        names=model.renamed,
        notes=[*source.notes, *_notes(job), *_found(entries)],
        training={
            "hyperparameters": info.get("hyperparameters"),
            "metrics": info.get("metrics"),
            "data": source.data or None,
            "provenance": info.get("provenance"),
            "evaluation": info.get("evaluation") or None,
            "verdict": info.get("verdict"),
        },
        preprocessing=source.preprocessor.to_dict() if source.preprocessor else None,
        files=tuple(entries),
        samples={
            "origin": check.origin,
            "given": reference.given,
            "made": len(next(iter(reference.x.values()))) - reference.given,
            "shortest": min(lengths, default=None),
            "longest": max(lengths, default=None),
        },
        labelled=None
        if labelled is None
        else {
            "origin": labelled.origin,
            "rows": len(labelled.x),
            "task": labelled.task,
            "measure": labelled.measure,
            "keras": labelled.before,
        },
        provenance=provenance(command=command),
    )


def _notes(job: BundleJob) -> list[str]:
    """What differs from the Keras model as it is, and at which sizes files were compared."""
    given = {name: values[: job.reference.given] for name, values in job.reference.x.items()}
    sizes = [sizes_proven(given, job.references[1:])] if job.references[1:] else []
    return [*job.model.notes, *sizes]


def _found(entries: Sequence[FileRecord]) -> list[str]:
    """What a client finds in the files that have metadata, in a sentence."""
    known = next((entry.metadata for entry in entries if entry.metadata), None)
    if known is None:
        return []
    held = ", ".join(
        f"{name} ({found['lines']:,} lines, {size(found['bytes'])})"
        for name, found in known["files"].items()
    )
    return [f"In each .tflite file, for the client: {held}. {known['takes']} {known['answers']}"]


def verdict(
    entries: Sequence[FileRecord],
    check: Rows,
    labelled: Labelled | None,
    judged: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Says in a few sentences what the files of a bundle are worth.

    That the model is no better than the best answers without one comes first, then losses.
    """
    from keras_rnn_zoo.export.formats.tflite import larger_than_float32

    count = len(entries)
    # Where the float32 file is in the bundle, its size counts: the lowering may differ by mode.
    plain = [entry.bytes for entry in entries if entry.quantization == "none"]
    losses = [
        larger
        for entry in entries
        if entry.float32_bytes is not None  # a .tflite file
        and (
            larger := larger_than_float32(
                entry.file, entry.bytes, min(plain or [entry.float32_bytes])
            )
        )
    ]
    losses += [_loss(entry) for entry in entries if _points_lost(entry) > MOST_POINTS_LOST]
    text = (
        f"All {count} exports answer" if count > 1 else "The export answers"
    ) + " what the Keras model answers, within the tolerance of each mode."
    if labelled is not None:
        percent = labelled.measure == "accuracy"
        rows = len(labelled.x)
        after = [entry.labelled["after"] for entry in entries if entry.labelled]
        text += (
            f" {labelled.measure.replace('_', ' ').capitalize()} on {rows:,} rows: "
            f"{_range([labelled.before], percent)} before, {_range(after, percent)} after."
        )
        if percent and (worth := 100 / labelled.answers) > MOST_POINTS_LOST:
            text += (
                f" So few cannot show a loss of {MOST_POINTS_LOST:g} points: one answer is worth "
                f"{worth:.2g}. Give {math.ceil(100 / MOST_POINTS_LOST)} or more with --test-data."
            )
    elif check.origin == RANDOM:
        text += " Checked on random inputs only: try it on real ones."
    else:
        text += " Accuracy was not measured: there are no labels that fit the model."
    beats = None if judged is None else judged["beats_baseline"]
    worthless = sentences(judged) if judged is not None and not beats else None
    return {
        "passed": True,
        "text": " ".join([*([worthless] if worthless else []), *losses, text]),
        "losses": losses,
        "beats_baseline": beats,
        "baseline": worthless,
    }


def _points_lost(entry: FileRecord) -> float:
    """Percentage points of accuracy that a file is below the Keras model; 0 without labels."""
    scored = entry.labelled
    if scored is None or scored["measure"] != "accuracy":
        return 0.0
    # To a row: 0.005 is not exactly what is left of 0.805 - 0.8.
    return round(100 * float(scored["before"] - scored["after"]), 6)


def _loss(entry: FileRecord) -> str:
    scored = entry.labelled or {}
    before, after = (_range([scored[key]], percent=True) for key in ("before", "after"))
    return (
        f"{entry.file} loses {_points_lost(entry):.2f} points of accuracy: {after} on "
        f"{scored['rows']:,} rows, the Keras model {before}."
    )


def _range(values: list[float], percent: bool) -> str:
    low, high = (score(value, percent=percent) for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
