"""What the process does that compares files of any origin: see `tflite.isolated`."""

from __future__ import annotations

from typing import Any

from keras_rnn_zoo.export.tflite import contents
from keras_rnn_zoo.export.verify.compare import compare_tflite
from keras_rnn_zoo.export.verify.reference import Reference
from keras_rnn_zoo.export.verify.tolerance import Tolerance


def verify(
    path: str, x: None, reference: str, tolerance: dict[str, Any], mode: str
) -> tuple[dict[str, Any], list[Any]]:
    """Compares a file with the reference at a path; returns what `Parity.to_dict` does."""
    contents.check_builtin_only(path)
    parity = compare_tflite(path, Reference.load(reference), Tolerance(**tolerance), mode=mode)
    return parity.to_dict(), []
