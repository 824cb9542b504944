"""What an answer without a model is worth: the least that a model has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor

# The inputs and the encoded labels of a part of the data; None where there is no such part.
Part = tuple[np.ndarray, np.ndarray] | None


def baseline(preprocessor: Preprocessor, parts: Mapping[str, Part]) -> dict[str, Any]:
    """Returns what always giving the same answer is worth.

    Args:
        preprocessor: That encoded the rows.
        parts: `"train"`, `"validation"` and `"test"`.

    Returns:
        `label`, the most frequent one of the training rows (of the real time steps, where these are
        labelled), and its share of each part as `{train,validation,test}_accuracy`; for a
        regression `values`, the mean of the training targets, and
        `{train,validation,test}_mean_absolute_error`.
    """
    answers = {name: None if part is None else _labels(*part) for name, part in parts.items()}
    train = answers["train"]
    assert train is not None
    if preprocessor.task == "regression":
        mean = train.mean(axis=0, dtype=np.float64)
        return {"values": mean.tolist()} | {
            f"{name}_mean_absolute_error": None
            if values is None
            else float(np.abs(values - mean).mean())
            for name, values in answers.items()
        }
    assert preprocessor.labels is not None
    best = int(np.bincount(train, minlength=len(preprocessor.labels)).argmax())
    return {"label": preprocessor.labels[best]} | {
        f"{name}_accuracy": None if values is None else float((values == best).mean())
        for name, values in answers.items()
    }


def _labels(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The answers of a part: targets, or labels; of time steps, those that are no padding."""
    if y.dtype.kind == "f" or y.ndim == 1:
        return y
    real = x != 0 if x.ndim == 2 else (x != 0).any(axis=2)
    return np.asarray(y[real])
