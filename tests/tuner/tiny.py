"""A search that takes a few seconds, and an engine whose trials take no time."""

from __future__ import annotations

import json

import numpy as np

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.tuner import search
from keras_rnn_zoo.tuner.engines import Engine
from keras_rnn_zoo.tuner.results import importance, page
from keras_rnn_zoo.tuner.trials.job import (
    CHECKPOINT,
    COMPLETED,
    FAILED,
    INFEASIBLE,
    Ended,
    Outcome,
)


def tiny_data(task="binary", rows=60, seed=0):
    """Sequences of 3 steps of 2 features, whose mean the label tells."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 3, 2)).astype(np.float32)
    means = x.mean(axis=(1, 2))
    y = means.astype(np.float32) if task == "regression" else (means > 0).astype(np.int64)
    return Dataset("tiny", "features", Split(x, y))


def rnn_space(hp):
    return {"units": hp.Choice("units", [2, 3])}


def gru_space(hp):
    return {"units": hp.Int("units", 2, 4), "dropout": hp.Choice("dropout", [0.0, 0.2])}


SPACES = {"rnn": rnn_space, "gru": gru_space}
ROWS = {"train": 38, "validation": 10, "test": 12}


def run_search(**changes):
    """Searches `rnn` and `gru` in four trials of two epochs, or Hyperband's one and three."""
    arguments = {
        "models": ["rnn", "gru"],
        "data": tiny_data(),
        "spaces": SPACES,
        "config": {"layers": 1},
        "max_trials": 4,
        "epochs": 3 if changes.get("tuner") == "hyperband" else 2,
        "patience": 3,
        "batch_size": 64,
        "learning_rate": (1e-4, 1e-2),
        "validation_split": 0.2,
        "callbacks": "trial_hooks:eager",
        "progress": False,
        **changes,
    }
    return search(arguments.pop("models"), arguments.pop("data"), **arguments)


def shorten_pages(setattr):
    """Has pages written without what takes their time: plotly.js, and most of the forest."""
    setattr(page, "_plotly", str)
    setattr(importance, "TREES", 3)


def comparable(directory):
    """Returns what two searches that are the same have in common: all but how long it took."""
    trials = json.loads((directory / "trials.json").read_text())
    return [{**trial, "seconds": None, "latency_ms": None} for trial in trials]


class Instant(Engine):
    """Trials whose figures follow from their settings, in no time.

    Args:
        fails: Name of a model whose trials fail.
    """

    name = "instant"
    description = "For tests."
    jobs: list = []  # noqa: RUF012 (the tests look at it)

    def __init__(self, *args, fails=None, **options):
        super().__init__(*args, **options)
        self.fails = fails
        self.waiting = []

    def submit(self, job):
        self.jobs.append(job)
        self.waiting.append(job)

    def wait(self, seconds):
        job = self.waiting.pop(0)
        return [Ended(job.trial_id, self.outcome(job))]

    def outcome(self, job):
        (self.trial_directory(job.trial_id) / CHECKPOINT).write_text("weights")
        if job.model == self.fails:
            return Outcome(FAILED, "ValueError: too warm in here")
        score = job.seed % 1000 / 1000 + job.learning_rate
        size = 1000 * job.config["units"]
        limit = job.device["max_size"]
        if limit and size > limit:
            excess = {"size": size / limit}
            return Outcome(INFEASIBLE, "over budget", bytes=size, excess=excess)
        metric = get_task(job.config["task"]).metric
        metrics = {f"val_{metric}": score, "val_loss": 1 - score, f"quantized_{metric}": score}
        epochs = job.epochs - job.initial_epoch
        columns = {"loss": 0.5, f"val_{metric}": score, "val_loss": 1 - score}
        return Outcome(
            COMPLETED,
            metrics=metrics,
            history={name: [value] * epochs for name, value in columns.items()},
            parameters=size,
            bytes=size,
            latency_ms=1.0,
            seconds={"train": 0.5},
        )

    def close(self):
        self.waiting.clear()
