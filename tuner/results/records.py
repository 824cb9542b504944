"""The table of trials: what every trial was, how it ended, and which is the best."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo.files import write_json, write_text

INTERNAL = "tuner/"
"""How the names of KerasTuner's own bookkeeping begin among the hyperparameters."""


def hyperparameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the hyperparameters of a trial that a person chose to search: the active ones."""
    return {name: value for name, value in values.items() if not name.startswith(INTERNAL)}


def describe(trial: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a trial as JSON-able values.

    Args:
        trial: KerasTuner's, ended.
        record: Of `durable.DurableOracle.records`.

    Returns:
        `trial_id`; `status`: `"completed"`, `"infeasible"` (over budget, and not trained) or
        `"failed"`; `score`: the objective in the best epoch, None unless it completed; `model`;
        `hyperparameters`: the active ones; `metrics`: of the best epoch, as Keras names them, and
        `quantized_accuracy` (or `quantized_mean_absolute_error`) of the .tflite file on the
        validation rows; `bytes` and `latency_ms` of that file; `parameters` of the model;
        `excess`: `"size"`, `"latency"` or `"parameters"` -> how many times the limit; `seconds`
        of training; `epochs` trained; `history`: a value per epoch for each measure; `message`:
        why it failed, or what it exceeds. What is not known is None, or empty.
    """
    values = hyperparameters(trial.hyperparameters.values)
    completed = trial.status == "COMPLETED" and not record.get("excess")
    return {
        "trial_id": trial.trial_id,
        "status": "infeasible" if record.get("excess") else trial.status.lower(),
        "score": float(trial.score) if completed else None,
        "model": values.get("model"),
        "hyperparameters": values,
        "metrics": dict(record.get("metrics", {})) if completed else {},
        "bytes": record.get("bytes"),
        "latency_ms": record.get("latency_ms"),
        "parameters": record.get("parameters"),
        "excess": record.get("excess", {}),
        "seconds": record.get("seconds"),
        "epochs": record.get("epochs"),
        "history": record.get("history", {}),
        "message": record.get("message") or trial.message,
    }


def ended(oracle: Any) -> list[dict[str, Any]]:
    """Returns the trials that ended, in the order in which they started; see `describe`."""
    return [
        describe(oracle.trials[name], oracle.records.get(name, {}))
        for name in oracle.start_order
        if oracle.trials[name].status in ("COMPLETED", "FAILED")
    ]


def ranked(trials: Sequence[dict[str, Any]], direction: str) -> list[dict[str, Any]]:
    """Returns the trials that have a score, the best first; of equals, the one with less loss.

    Args:
        trials: See `describe`.
        direction: `"max"` or `"min"`.
    """
    sign = -1 if direction == "max" else 1
    return sorted(
        (trial for trial in trials if trial["score"] is not None),
        key=lambda trial: (sign * trial["score"], trial["metrics"].get("val_loss", math.inf)),
    )


def best(trials: Sequence[dict[str, Any]], direction: str) -> dict[str, Any] | None:
    """Returns the first of `ranked`, or None."""
    return next(iter(ranked(trials, direction)), None)


def write_tables(directory: Path, trials: Sequence[dict[str, Any]]) -> None:
    """Writes `trials.json` and `trials.csv`, each whole or not at all.

    In the CSV every hyperparameter and every metric has a column; inactive ones are empty.

    Raises:
        OutputError: The place cannot be written.
    """
    write_json(directory / "trials.json", list(trials))
    groups = ("hyperparameters", "metrics")
    names = {
        group: sorted({name for trial in trials for name in trial[group]} - {"model"})
        for group in groups
    }
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = ("trial_id", "status", "score", "model")
    tail = ("bytes", "latency_ms", "parameters", "seconds", "epochs")
    writer.writerow(
        [*head, *names["hyperparameters"], *names["metrics"], *tail, "message"],
    )
    for trial in trials:
        middle = [trial[group].get(name) for group in groups for name in names[group]]
        writer.writerow(
            [
                *(trial[name] for name in head),
                *middle,
                *(trial[name] for name in tail),
                trial["message"],
            ]
        )
    write_text(directory / "trials.csv", stream.getvalue())
