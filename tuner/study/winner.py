"""From trials to runs: the winner, proven once more, and the other members of the front."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.artifacts import RUN_FILE
from keras_rnn_zoo.errors import SearchError
from keras_rnn_zoo.files import new_directory
from keras_rnn_zoo.training.feed import Feed
from keras_rnn_zoo.training.fit import Fitted, evaluate
from keras_rnn_zoo.training.run import Run
from keras_rnn_zoo.training.train import save_run
from keras_rnn_zoo.tuner.results.records import TrialRecord
from keras_rnn_zoo.tuner.trials.trial import LATENCY_ROWS, write_file

if TYPE_CHECKING:
    from keras_rnn_zoo.tuner.study.loop import ZooTuner

# Keras averages over batches; the restored model is evaluated in batches of another size.
RESTORED_TOLERANCE = 1e-3


def over_budget(tuner: ZooTuner, trial: TrialRecord) -> str | None:
    """Measures a trial's file once more, when nothing else runs.

    Returns:
        Which limits it exceeds, or None: the first measurement was right.
    """
    budget = tuner.request.budget
    if budget.max_latency is None or budget.latency_core is not None:
        return None  # what else is limited does not vary, nor does what is modelled
    from keras_rnn_zoo.export.formats.measure import median_latency
    from keras_rnn_zoo.export.keras_model.samples import as_samples

    prepared = tuner.prepared(trial.trial_id)
    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
        path = Path(scratch) / "model.tflite"
        tried = tuner.oracle.trials[trial.trial_id]
        model = tuner.load_model(tried)
        model = prepared.feed(tuner.builder(tried).config).finished(model)
        write_file(model, path, budget, prepared.x_train)
        samples = as_samples(model, prepared.x_train[:LATENCY_ROWS])
        latency = median_latency(path, samples, seconds=1.0, limit_ms=budget.max_latency)
    values: dict[str, Any] = {"size": trial.bytes, "latency": latency, "arena": trial.arena}
    values["parameters"] = trial.parameters
    excess = budget.excess(**values)
    return budget.explain(values, excess) if excess else None


def save_trial(directory: Path, tuner: ZooTuner, trial: TrialRecord) -> Run:
    """Restores a trial, evaluates it on rows that no trial saw, and leaves it as a run.

    Args:
        directory: The run's; one that is whole already is kept.

    Raises:
        SearchError: Its weights are missing, or do not answer as they did.
    """
    if (directory / RUN_FILE).is_file():
        return Run.load(directory)
    oracle, options = tuner.oracle, tuner.request.options
    tried, prepared = oracle.trials[trial.trial_id], tuner.prepared(trial.trial_id)
    builder = tuner.builder(tried)
    feed = prepared.feed(builder.config, options.class_weight, builder.trims)
    model = feed.finished(tuner.load_model(tried))
    evaluation = evaluate(prepared, model, feed)
    metrics = evaluation.metrics
    monitor = tuner.objective.monitor[0]
    expected = (trial.folds[0] if trial.folds else trial.metrics)[monitor]
    restored = metrics[f"validation_{monitor.removeprefix('val_')}"]
    if not abs(restored - expected) <= _tolerated(monitor, expected, feed):
        raise SearchError(
            f"Trial {trial['trial_id']} had a {monitor} of {expected:.6g}, and restored it has "
            f"{restored:.6g}: its weights are damaged. Search again in a new directory."
        )
    steps = [oracle.records[name] for name in _lineage(oracle, trial.trial_id)]
    history = {
        name: [value for step in steps for value in step["history"][name]]
        for name in steps[-1]["history"]
    }
    metrics["epochs"] = sum(step["epochs"] for step in steps)
    metrics["seconds"] = round(sum(step["seconds"] for step in steps), 3)
    metrics["parameters"] = int(model.count_params())
    hyperparameters: dict[str, Any] = {
        "learning_rate": trial.hyperparameters["learning_rate"],
        "schedule": options.schedule,
        "word_vectors": options.word_vectors,
        "epochs": options.epochs,
        "batch_size": tuner.batch_size(tried),
        "patience": options.patience or None,
        "class_weight": options.class_weight,
        "best_epoch": metrics["epochs"] - (trial.epochs or 0) + tried.best_step + 1,
        "tuner": options.tuner,
        "trial_id": trial.trial_id,
    }
    if options.folds is not None:
        hyperparameters["folds"] = options.folds
    fitted = Fitted(model, builder, history, metrics, hyperparameters, evaluation.parts)
    with new_directory(directory) as temporary:
        save_run(temporary, prepared, fitted, seed=options.seed, command=tuner.request.command)
    return Run.load(directory)


def _tolerated(monitor: str, expected: float, feed: Feed) -> float:
    """Returns how far the figure of a restored model may be from that in its trial."""
    if feed.scaling is None:
        return RESTORED_TOLERANCE * max(1.0, abs(expected))
    # Folding scale and offset into the weights rounds the answers once more.
    scaling, loss = feed.scaling, monitor == "val_loss"
    unit, rounding = scaling.unit, scaling.rounding
    if loss:
        unit, rounding = scaling.variance, rounding * (2 * np.sqrt(expected) + rounding)
    return float(RESTORED_TOLERANCE * max(unit, abs(expected)) + 4 * rounding)


def _lineage(oracle: Any, trial_id: str) -> list[str]:
    """Returns the trials whose training led to this one's weights, itself last."""
    parent = oracle.trials[trial_id].hyperparameters.values.get("tuner/trial_id")
    return [*(_lineage(oracle, parent) if parent else ()), trial_id]
