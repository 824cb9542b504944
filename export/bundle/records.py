"""What report.json holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_rnn_zoo.export.formats.format import FileRecord as FileRecord
from keras_rnn_zoo.records import Record

FORMAT = 1
"""Version of report.json that this package writes."""

REFERENCE_FILE = "reference.npz"


@dataclass(frozen=True)
class BundleReport(Record):
    """What a bundle holds, how it compares with the Keras model, and what made it.

    `report["files"]` answers like `report.files`.

    Attributes:
        format: Version of the record.
        verdict: `passed`, `text` and `losses`: what the files are worth, in sentences;
            `beats_baseline`, whether the model is better than the best answers without one (None
            if not recorded), and `baseline`, the sentence that says that it is not.
        model: `name`, `config`, `parameters`, `inputs` and `outputs` of the Keras model.
        source: What was exported: `kind` and `name`.
        training: `hyperparameters`, `metrics`, `data`, `provenance`, `evaluation` and `verdict` of
            a run.
        preprocessing: How raw inputs are encoded; None for a bare `.keras` file.
        files: What was exported.
        samples: What they were compared on: `origin`, how many were `given` and `made`, and the
            `shortest` and `longest` of them.
        labelled: The rows with labels: `origin`, `rows`, `task`, `measure` and `keras`, what the
            Keras model reaches on them; None without.
        provenance: Versions, machine and command.
        target: The client that the files are for.
        options: What was asked: a `BundleOptions` as JSON.
        names: Keras' name of an input -> its name in the files, where that differs.
        notes: What differs from the Keras model as it is.
        references: Files with what the Keras model answered.
        sha256: File -> its SHA-256.
    """

    format: int
    verdict: Mapping[str, Any]
    model: Mapping[str, Any]
    source: Mapping[str, Any]
    training: Mapping[str, Any]
    preprocessing: Mapping[str, Any] | None
    files: tuple[FileRecord, ...]
    samples: Mapping[str, Any]
    labelled: Mapping[str, Any] | None
    provenance: Mapping[str, Any]
    target: str = "litert"
    options: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    references: Sequence[str] = (REFERENCE_FILE,)
    sha256: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BundleReport:
        """Returns what `to_dict` wrote, now or in an older version."""
        entries = tuple(FileRecord.from_dict(entry) for entry in values["files"])
        return super().from_dict({**values, "files": entries})
