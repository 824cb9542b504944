"""What the code of an app has to know, from a bundle's report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_rnn_zoo.export.app.app import App, files_of
from keras_rnn_zoo.export.bundle.records import BundleReport
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor


def app_of(
    report: BundleReport,
    preprocessor: Preprocessor | None,
    golden: Mapping[str, Any],
    directory: Path,
) -> App:
    """Returns what the code of an app is generated from.

    Args:
        report: What report.json holds.
        preprocessor: Of the model's inputs and outputs; None for a bare `.keras` file.
        golden: What golden.json holds; nothing for a bundle of an older version.
        directory: The bundle.
    """
    inputs, outputs = (
        [str(spec["name"]) for spec in report.model[kind]] for kind in ("inputs", "outputs")
    )
    return App(
        model=str(report.model["name"]),
        files=files_of(report.files, inputs, outputs, report.target),
        preprocessor=preprocessor,
        golden=golden,
        directory=directory,
        target=report.target,
        classified=_classified(report),
    )


def _classified(report: BundleReport) -> bool:
    """Whether MediaPipe's TextClassifier opens the files: the Task Library's may have loops."""
    files = [entry for entry in report.files if entry.format == "tflite"]
    return bool(files) and all(
        entry.metadata is not None and entry.subgraphs == 1 for entry in files
    )
