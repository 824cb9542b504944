"""TensorBoard logs: the curves of every trial, and the trials side by side in HParams.

Show them with `tensorboard --logdir DIR/logs`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo.files import new_directory
from keras_rnn_zoo.tuner.results.records import COMPLETED, TrialRecord

EXPERIMENT = "search"
"""The log that declares the hyperparameters; the others are called `trial_<id>`."""

_FIGURES = ("bytes", "latency_ms", "parameters", "seconds")


def _domain(hp: Any) -> Any:
    """Returns what a KerasTuner hyperparameter may be, in TensorBoard's terms."""
    import keras_tuner
    from tensorboard.plugins.hparams import api

    kinds = keras_tuner.engine.hyperparameters
    if isinstance(hp, kinds.Int) and hp.step is None:
        return api.IntInterval(hp.min_value, hp.max_value)
    if isinstance(hp, kinds.Float) and hp.step is None:
        return api.RealInterval(hp.min_value, hp.max_value)
    return api.Discrete(list(hp.values))


def _write(directory: Path, summaries: Sequence[Any], scalars: Mapping[str, list[float]]) -> None:
    """Writes one log, whole or not at all."""
    import tensorflow as tf

    if directory.exists():
        return
    with new_directory(directory) as temporary:
        writer = tf.summary.create_file_writer(str(temporary))
        with writer.as_default():
            for summary in summaries:
                tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=0)
            for name, values in scalars.items():
                for step, value in enumerate(values):
                    tf.summary.scalar(name, value, step=step)
        writer.close()


def write_logs(
    directory: Path,
    space: Sequence[Any],
    objective: str,
    measure: str,
    trials: Sequence[TrialRecord],
    kept: Mapping[str, dict[str, Any]],
) -> None:
    """Writes the logs that are missing, and removes those of trials that did not end.

    Args:
        directory: Where the logs are.
        space: KerasTuner's hyperparameters, of all models.
        objective: Name of the score.
        measure: Of the task: `"accuracy"` or `"mean_absolute_error"`.
        trials: Those that ended.
        kept: Trial id -> what KerasTuner does not keep of it: see `DurableOracle.records`.

    Raises:
        OutputError: The place cannot be written.
    """
    from tensorboard.plugins.hparams import api, api_pb2, summary, summary_v2

    legal = {EXPERIMENT, *(f"trial_{trial.trial_id}" for trial in trials)}
    for log in directory.glob("*") if directory.is_dir() else ():
        if log.name not in legal:
            shutil.rmtree(log, ignore_errors=True)
    declared = summary_v2.hparams_config_pb(
        hparams=[api.HParam(hp.name, _domain(hp)) for hp in space],
        metrics=[
            api.Metric("score", display_name=f"best {objective}"),
            api.Metric("val_loss", display_name="last val_loss"),
            *map(api.Metric, (f"quantized_{measure}", *_FIGURES)),
        ],
    )
    _write(directory / EXPERIMENT, [declared], {})
    for trial in trials:
        record = kept.get(trial.trial_id, {})
        started = record.get("started", 0.0)
        completed = trial.status == COMPLETED
        status = api_pb2.STATUS_SUCCESS if completed else api_pb2.STATUS_FAILURE
        scalars = {name: list(values) for name, values in record.get("history", {}).items()}
        for name in ("score", *_FIGURES):
            if trial[name] is not None:
                scalars[name] = [trial[name]]
        for name in trial.metrics.keys() - scalars.keys():
            scalars[name] = [trial.metrics[name]]
        summaries = [
            summary_v2.hparams_pb(trial.hyperparameters, trial.trial_id, started),
            summary.session_end_pb(status, started + (trial.seconds or 0.0)),
        ]
        _write(directory / f"trial_{trial.trial_id}", summaries, scalars)
