"""The table of trials: what each trial was, how it ended, and which is the best."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_rnn_zoo.files import write_json, write_text
from keras_rnn_zoo.records import Record

TABLE_FILE = "trials.json"
COMPLETED, INFEASIBLE, FAILED = "completed", "infeasible", "failed"

INTERNAL = "tuner/"
"""How the names of KerasTuner's own bookkeeping begin among the hyperparameters."""


@dataclass(frozen=True)
class TrialRecord(Record):
    """A trial that ended; what is not known of it is None, or empty.

    `record["score"]` answers like `record.score`.

    Attributes:
        trial_id: KerasTuner's id, such as `"07"`.
        status: `"completed"`, `"infeasible"` (over budget, and not trained) or `"failed"`.
        score: The objective in the best epoch; None unless it completed.
        model: Name of the model.
        hyperparameters: Name -> value of the active ones.
        metrics: Of the best epoch, as Keras names them, and `quantized_accuracy` (or
            `quantized_mean_absolute_error`) of the .tflite file on the validation rows.
        bytes: Size of that file.
        latency_ms: Milliseconds of a call of it, batch 1, one thread: the median on that machine,
            or modelled on an Arm core, where the budget says one.
        arena: Bytes of the least tensor arena of it in tflite-micro, for the target micro.
        parameters: Of the Keras model.
        excess: `"size"`, `"latency"`, ... -> by what factor it exceeds that limit.
        seconds: Of training.
        epochs: Trained.
        history: Measure -> a value per epoch.
        message: Why it failed, or which limits it exceeds.
        folds: The metrics of each fold, of which `metrics` are the averages over the rows; all
            else is that of the first. Empty without folds.
    """

    trial_id: str
    status: str
    score: float | None = None
    model: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    bytes: int | None = None
    latency_ms: float | None = None
    arena: int | None = None
    parameters: int | None = None
    excess: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    epochs: int | None = None
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    message: str | None = None
    folds: Sequence[Mapping[str, float]] = ()

    @classmethod
    def of(cls, trial: Any, extra: Mapping[str, Any]) -> TrialRecord:
        """Returns the record of a trial of KerasTuner that ended.

        Args:
            trial: A `keras_tuner` trial.
            extra: What KerasTuner does not keep of it: see `DurableOracle.records`.
        """
        chosen = {
            name: value
            for name, value in trial.hyperparameters.values.items()
            if not name.startswith(INTERNAL)
        }
        excess = extra.get("excess") or {}
        completed = trial.status == "COMPLETED" and not excess
        measured = {name: extra.get(name) for name in _MEASURED}
        return cls(
            trial_id=trial.trial_id,
            status=INFEASIBLE if excess else trial.status.lower(),
            score=float(trial.score) if completed else None,
            model=str(chosen.get("model")),
            hyperparameters=chosen,
            metrics=dict(extra.get("metrics", {})) if completed else {},
            excess=excess,
            history=extra.get("history", {}),
            message=extra.get("message") or trial.message,
            folds=extra.get("folds", ()) if completed else (),
            **measured,
        )


_MEASURED = ("bytes", "latency_ms", "arena", "parameters", "seconds", "epochs")


def ended(oracle: Any) -> list[TrialRecord]:
    """Returns the trials of an oracle that ended, in the order in which they started."""
    return [
        TrialRecord.of(oracle.trials[name], oracle.records.get(name, {}))
        for name in oracle.start_order
        if oracle.trials[name].status in ("COMPLETED", "FAILED")
    ]


def ranked(trials: Iterable[TrialRecord], direction: str) -> list[TrialRecord]:
    """Returns the trials that have a score, the best first.

    Few rows have few accuracies, so that good and middling models often have the same. Of equals,
    the one with the lower validation loss comes first, where losses count to a tenth; then the one
    with the smaller file, then the faster, then the older. Latencies
    count to two digits, and files of the same model and size are equally fast: what a clock makes
    of them must not decide, or the same search would have another winner when it is run again.

    Args:
        trials: In the order in which they started.
        direction: `"max"` or `"min"`.
    """
    sign = -1 if direction == "max" else 1
    scored = [trial for trial in trials if trial.score is not None]
    latencies: dict[tuple[Any, ...], float] = {}
    for trial in scored:
        latency = math.inf if trial.latency_ms is None else float(f"{trial.latency_ms:.2g}")
        latencies.setdefault(_file(trial), latency)

    def key(trial: TrialRecord) -> tuple[float, float, float, float]:
        assert trial.score is not None
        size = math.inf if trial.bytes is None else trial.bytes
        loss = round(trial.metrics.get("val_loss", math.inf), 1)
        return sign * trial.score, loss, size, latencies[_file(trial)]

    return sorted(scored, key=key)


def _file(trial: TrialRecord) -> tuple[Any, ...]:
    """Returns what trials have in common whose files differ in the values of weights alone."""
    return trial.model, trial.parameters, trial.bytes


def best(trials: Iterable[TrialRecord], direction: str) -> TrialRecord | None:
    """Returns the first of `ranked`, or None."""
    return next(iter(ranked(trials, direction)), None)


def write_tables(directory: Path, trials: Sequence[TrialRecord]) -> None:
    """Writes `trials.json` and `trials.csv`, each whole or not at all.

    In the CSV every hyperparameter and every metric has a column; inactive ones are empty.

    Raises:
        OutputError: The place cannot be written.
    """
    write_json(directory / TABLE_FILE, [trial.to_dict() for trial in trials])
    chosen = sorted({name for trial in trials for name in trial.hyperparameters} - {"model"})
    metrics = sorted({name for trial in trials for name in trial.metrics})
    head = ("trial_id", "status", "score", "model")
    tail = (*_MEASURED, "message")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*head, *chosen, *metrics, *tail])
    for trial in trials:
        writer.writerow(
            [
                *(trial[name] for name in head),
                *(trial.hyperparameters.get(name) for name in chosen),
                *(trial.metrics.get(name) for name in metrics),
                *(trial[name] for name in tail),
            ]
        )
    write_text(directory / "trials.csv", stream.getvalue())
