"""A bundle checked and timed again, from its own files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import (
    ExportError,
    RunError,
)
from keras_rnn_zoo.export.bundle.any_file import compare_isolated
from keras_rnn_zoo.export.bundle.records import REFERENCE_FILE, BundleReport, FileRecord
from keras_rnn_zoo.export.clients.prove import chosen, in_clients, told
from keras_rnn_zoo.export.progress import Progress
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.tflite.isolated import Isolated
from keras_rnn_zoo.export.verify.reference import (
    Reference,
)


class Written(Protocol):
    """As much of a `Bundle` as is looked at here."""

    path: Path
    report: BundleReport


def samples_of(path: Path) -> Arrays:
    """Returns the real samples that a bundle keeps, by input name."""
    reference = Reference.load(files.inside(path, REFERENCE_FILE))
    return {name: values[: reference.given] for name, values in reference.x.items()}


def verify(bundle: Written, say: Progress, clients: Sequence[str] = ()) -> dict[str, Any]:
    """Does what `verify_bundle` says."""
    asked = chosen(clients)
    damaged: dict[str, str] = {}
    for name, digest in bundle.report.sha256.items():
        file = bundle.path / name
        if not file.is_file():
            damaged[name] = f"{name} is missing"
        elif files.sha256(file) != digest:
            damaged[name] = f"{name} is not the file that was exported: its SHA-256 differs"
    place = files.inside(bundle.path, REFERENCE_FILE)
    reference = Reference.load(place)
    places = [files.inside(bundle.path, name) for name in bundle.report.references]
    checked: list[dict[str, Any]] = []
    for entry in bundle.report.files:
        name = entry.file
        say(f"Verifying {name}")
        problem = next(
            (damaged.pop(other) for other in list(damaged) if other.split("/")[0] == name), None
        )
        parity = None
        if problem is None:
            try:
                parity = _verify(bundle.path / name, entry, places)
            except (ExportError, RunError) as error:
                problem = str(error)
        checked.append(
            {"file": name, "passed": problem is None, "problem": problem, "parity": parity}
        )
    checked += [
        {"file": name, "passed": False, "problem": problem, "parity": None}
        for name, problem in damaged.items()
    ]
    failed = [item for item in checked if not item["passed"]]
    records = [
        record
        for entry, item in zip(bundle.report.files, checked, strict=False)
        if entry.format == "tflite" and item["passed"]
        for record in in_clients(
            bundle.path / entry.file,
            reference,
            QUANTIZATIONS.get(str(entry.quantization)),
            asked,
            say,
        )
    ]
    count = len(checked)
    intact = f"All {count} exports of {bundle.path} are unchanged and answer"
    if count == 1:
        intact = f"The export of {bundle.path} is unchanged and answers"
    text = (
        f"{bundle.path} does not hold what was exported: "
        + "; ".join(item["problem"].rstrip(".") for item in failed)
        + ". Take a complete copy, or export again."
        if failed
        else f"{intact} what the Keras model answers, on "
        f"{len(next(iter(reference.x.values())))} samples."
    )
    if asked and not failed:
        text = f"{text} {told(records, str(bundle.path))}"
    return {
        "passed": not failed and all(record.passed for record in records),
        "text": text,
        "files": checked,
        "clients": [record.to_dict() for record in records],
    }


def _resizable(entry: FileRecord) -> bool:
    return any(None in spec["shape"] for spec in entry.tensors.get("inputs", ()))


def _verify(path: Path, entry: FileRecord, places: list[Path]) -> dict[str, Any]:
    reference, *resized = places
    if entry.format != "tflite":
        with Isolated() as process:
            action = "keras_rnn_zoo.export.formats.format:verify"
            found, _ = process.ask(action, path, format=entry.format, reference=str(reference))
            return dict(found)
    mode = QUANTIZATIONS.get(str(entry.quantization))
    for other in resized if _resizable(entry) else []:
        compare_isolated(path, other, mode)
    return compare_isolated(path, reference, mode)
