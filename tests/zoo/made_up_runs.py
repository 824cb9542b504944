"""What `run.json` says of runs as they might have been, without training: for tests of pages."""

from __future__ import annotations

import numpy as np

from keras_rnn_zoo.data.dataset import Spans, Split
from keras_rnn_zoo.training.baseline import verdict
from keras_rnn_zoo.training.kept import Windows, kept
from keras_rnn_zoo.training.metrics import by_label, by_label_of_several, scores

EVIL = "<script>alert(1)</script> & \"quoted\" 'too'"
LABELS = (
    "walking",
    EVIL,
    "جالس على الكرسي",
    "右手を上げる",
    "a name that is long, longer than most",
)


def _info(task, measure, metrics, baselines, found, rows=200, **data):
    judged = verdict(metrics, baselines, measure)
    return {
        "format": 1,
        "model": "gru",
        "schema_version": 1,
        "config": {"units": 8, "layers": None, "mask": True},
        "hyperparameters": {"epochs": 3, "batch_size": 32, "patience": None},
        "data": {
            "name": "made up.csv",
            "kind": "features",
            "rows": {"train": 800, "validation": 0, "test": rows},
            "held_out": "test",
            "baselines": baselines,
            "columns": ["a", "b"],
            "understood": {
                "kind": "features",
                "task": task,
                **({"targets": [0.0, 9.0]} if task == "regression" else {"labels": {"a": 3}}),
                "timesteps": 10,
                "cut": 0.0,
                "vocabulary_size": None,
                "unknown": None,
                "tokenizer": None,
                "split": "random",
                "notes": [],
            },
            **data,
        },
        "preprocessing": {"kind": "features", "task": task, "truncating": "pre"},
        "metrics": {**metrics, "epochs": 3, "best_epoch": 2, "seconds": 1.5, "parameters": 1234},
        "evaluation": {"test": found},
        "verdict": judged,
        "beats_baseline": judged and judged["beats_baseline"],
        "interrupted": False,
        "provenance": {"created": "2026-01-01", "command": "train", "versions": {"keras": "3"}},
    }


def _of_labels(task, y, outputs, found):
    figures = scores(outputs, y, task)
    metrics = {f"test_{name}": value for name, value in figures.items()} | {"test_loss": 0.4}
    usual = dict.fromkeys(figures) | {"accuracy": 0.4}
    text = f"always '{LABELS[1]}', the most frequent training label"
    baselines = [
        {"name": "majority", "text": text, "train": None, "validation": None, "test": usual}
    ]
    return _info(task, "accuracy", metrics, baselines, found)


def classes(labels=LABELS, *, rows=200, sure=3.0, task="multiclass", seed=0):
    """Returns a run that answers with one of several labels; more `sure`, more often rightly."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, len(labels), rows)
    scored = generator.normal(size=(rows, len(labels))) + sure * np.eye(len(labels))[y]
    outputs = np.exp(scored) / np.exp(scored).sum(axis=1, keepdims=True)
    if len(labels) == 2:
        outputs, task = outputs[:, 1:], "binary"
    return _of_labels(task, y, outputs, by_label(outputs, y, tuple(labels)))


def several_labels(labels=LABELS, rows=200, seed=0):
    """Returns a run of which any number of labels may apply."""
    generator = np.random.default_rng(seed)
    y = (generator.random((rows, len(labels))) < np.linspace(0.1, 0.6, len(labels))).astype(int)
    outputs = np.clip(0.7 * y + generator.normal(0.15, 0.3, y.shape), 0.01, 0.99)
    return _of_labels("multilabel", y, outputs, by_label_of_several(outputs, y, tuple(labels)))


def numbers(outputs=1, rows=300, seed=0):
    """Returns a regression."""
    generator = np.random.default_rng(seed)
    y = generator.normal(1000, 50, (rows, outputs))
    answers = y + generator.normal(0, 20, y.shape)
    return _regression(y, answers, kept(y, answers, None, apart=True), rows)


def forecasts(columns=("passengers",), ahead=12, steps=24, rows=40, dated=True):
    """Returns a forecast of series with a season and a trend."""
    t = np.arange(rows + steps + ahead)
    series = np.stack(
        [100 + 2 * t + 30 * np.sin(t / 12 * 2 * np.pi + i) for i in range(len(columns))], 1
    )
    start = np.arange(rows)
    times = np.datetime64("1950-01") + t if dated else None
    spans = Spans(np.zeros(rows, int), start, start + steps, start + steps + ahead, ("1",), times)
    x = np.stack([series[at : at + steps] for at in start])
    y = np.stack([series[at : at + ahead].reshape(-1) for at in start + steps])
    last = np.repeat(x[:, -1:], ahead, axis=1).reshape(rows, -1)
    part = Split(x, y, spans=spans, naive={"last value": last})
    asked = {"value_columns": list(columns), "label_column": list(columns), "horizon": ahead}
    answers = y * 0.98
    found = kept(y, answers, Windows.of(part, asked), apart=False)
    info = _regression(y, answers, found, rows, naive=last, **asked, window=steps)
    return info


def _regression(y, answers, found, rows, naive=None, **data):
    errors = np.abs(answers - y).mean(axis=0)
    if len(errors) > 1:
        found = {"mean_absolute_errors": errors.tolist(), **found}
    metrics = {
        "train_loss": 1.0,
        "train_mean_absolute_error": float(errors.mean()),
        "test_loss": 1.0,
        "test_mean_absolute_error": float(errors.mean()),
    }
    worth = np.abs(y - (y.mean(axis=0) if naive is None else naive)).mean()
    baselines = [
        {
            "name": "mean" if naive is None else "last value",
            "text": "always the mean" if naive is None else "the last value again",
            "train": None,
            "validation": None,
            "test": {"mean_absolute_error": float(worth)},
        }
    ]
    return _info("regression", "mean_absolute_error", metrics, baselines, found, rows, **data)


HISTORY = {
    "loss": [3.0, 2.0, 1.5],
    "val_loss": [3.1, 2.5, 2.6],
    "accuracy": [0.5, 0.7, 0.8],
    "val_accuracy": [0.5, 0.66, 0.64],
}
