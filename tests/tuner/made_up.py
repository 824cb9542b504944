"""A search as it might have been, without one: for the tests of what shows it."""

from __future__ import annotations

import math
import random

DEVICE = {
    "max_size": 400_000,
    "max_latency": 1.0,
    "max_parameters": None,
    "quantization": "int8",
    "target": "litert",
}
MODELS = ("lstm", "gru", "bilstm")


def _trial(number, chance):
    """A trial whose figures follow from its hyperparameters, as those of a real one would."""
    model = chance.choice(MODELS)
    units = chance.choice([16, 32, 64, 128])
    width = chance.choice([16, 32, 64, 128])
    rate = 10 ** chance.uniform(-4, -2)
    dropout = chance.choice([0.0, 0.2, 0.35, 0.5])
    gates, ways = (3 if model == "gru" else 4), (2 if model == "bilstm" else 1)
    recurrence = ways * gates * units * (width + units + 1)
    vocabulary = 5000
    parameters = vocabulary * width + recurrence + ways * units + 1
    size = 9000 + parameters + chance.randint(-800, 800)
    latency = round(0.12 + 200 * (recurrence / 38e6 + 0.0006 * ways), 4)
    excess = {
        name: value / limit
        for name, value, limit in (
            ("size", size, DEVICE["max_size"]),
            ("latency", latency, DEVICE["max_latency"]),
        )
        if value > limit
    }
    trial = {
        "trial_id": f"{number:04}",
        "status": "infeasible" if excess else "completed",
        "score": None,
        "model": model,
        "hyperparameters": {
            "model": model,
            "learning_rate": rate,
            f"{model}.units": units,
            f"{model}.dropout": dropout,
            f"{model}.embedding_dim": width,
        },
        "metrics": {},
        "bytes": size,
        "latency_ms": latency,
        "parameters": parameters,
        "excess": excess,
        "seconds": 0.0,
        "epochs": 0,
        "history": {},
        "message": None,
    }
    if excess:
        said = {
            "size": f"size {size / 1000:,.1f} kB, allowed 400.0 kB",
            "latency": f"latency {latency:.3g} ms, allowed 1 ms",
        }
        trial["message"] = "over budget: " + ", ".join(said[name] for name in excess)
        return trial
    top = 0.80 + 0.02 * math.log2(units / 8) - 0.06 * (math.log10(rate) + 2.7) ** 2
    top += {"lstm": 0.0, "gru": 0.004, "bilstm": 0.015}[model] + chance.gauss(0, 0.006)
    epochs = chance.randint(3, 6)
    history = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
    for epoch in range(epochs):
        got = top - 0.22 * math.exp(-1.1 * (epoch + 1)) + chance.gauss(0, 0.004)
        seen = min(0.99, got + 0.02 * epoch)
        history["accuracy"].append(seen)
        history["loss"].append(1.1 - seen)
        history["val_accuracy"].append(got)
        history["val_loss"].append(1.1 - got + 0.015 * max(0, epoch - 3))
    best = max(range(epochs), key=history["val_accuracy"].__getitem__)
    metrics = {name: values[best] for name, values in history.items()}
    metrics["quantized_accuracy"] = metrics["val_accuracy"] - abs(chance.gauss(0.002, 0.002))
    return {
        **trial,
        "score": metrics["val_accuracy"],
        "metrics": metrics,
        "history": history,
        "epochs": epochs,
        "seconds": round(epochs * (4 + units / 8) * ways, 2),
    }


def made_up_trials(completed=18, infeasible=5, failed=1, seed=0):
    """Returns so many trials of each kind, mixed, as JSON objects: see `TrialRecord.to_dict`."""
    chance = random.Random(seed)
    wanted = {"completed": completed, "infeasible": infeasible, "failed": failed}
    trials = []
    while any(wanted.values()):
        trial = _trial(len(trials), chance)
        status = trial["status"]
        if status == "completed" and wanted["failed"] and not wanted["completed"]:
            status = "failed"
            trial |= {
                "status": status,
                "score": None,
                "metrics": {},
                "epochs": 1,
                "history": {name: values[:1] for name, values in trial["history"].items()},
                "message": "Training diverged: loss became NaN or infinite in epoch 2 "
                f"(learning_rate {trial['hyperparameters']['learning_rate']:g}).",
            }
        if wanted[status]:
            wanted[status] -= 1
            trials.append(trial)
    return trials


def made_up_info(trials, **changes):
    """Returns what `search.json` says of such a search when it is finished."""
    completed = [trial for trial in trials if trial["score"] is not None]
    best = max(completed, key=lambda trial: trial["score"], default=None)
    return {
        "format": 2,
        "status": "finished" if best else "failed",
        "settings": {
            "models": list(MODELS),
            "tuner": "bayesian",
            "max_trials": len(trials),
            "config": {},
            "learning_rate": [1e-4, 1e-2],
            "epochs": 6,
            "batch_size": 64,
            "patience": 2,
            "seed": 0,
            "device": DEVICE,
            "data": {"name": "reviews.csv", "sha256": "0" * 64},
            "space": [{"class_name": "Choice"}],
        },
        "objective": {"name": "val_accuracy", "direction": "max"},
        "best": best
        and {
            "trial_id": best["trial_id"],
            "model": best["model"],
            "test_accuracy": best["score"] - 0.011,
            "test_loss": 0.4,
        },
        "message": None if best else f"All {len(trials)} trials failed.",
        "provenance": {
            "created": "2026-01-02T03:04:05+00:00",
            "command": "keras-rnn-zoo search lstm gru bilstm --data reviews.csv --tuner bayesian "
            f"--max-trials {len(trials)} --max-size 400kB --max-latency 1ms --quantization int8 "
            "-o searches/reviews",
            "seed": 0,
            "python": "3.11.2",
            "platform": "Linux x86_64",
            "versions": {"keras-rnn-zoo": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1"},
        },
        **changes,
    }
