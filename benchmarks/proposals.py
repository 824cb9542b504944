"""How long a Bayesian proposal takes: ours, with and without a budget, and KerasTuner's own.

    python benchmarks/proposals.py -o proposals.json

Two models of four hyperparameters each, their choice and the learning rate: ten hyperparameters.
A proposal is made after 10, 50, 100 and 200 trials with made-up scores; the median of a few.
`ours, budget` has trials over a limit of size and one of latency, and so a model of each.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras_tuner
import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.export.tflite.latency import machine
from keras_rnn_zoo.provenance import provenance
from keras_rnn_zoo.tuner import TUNERS, Plan, ZooHyperModel
from keras_rnn_zoo.tuner.tuners._durable import durable

TRIALS = (10, 50, 100, 200)
CONTENDERS = ("ours", "ours, budget", "KerasTuner")
OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")


def space() -> Any:
    def of_a_model(hp: Any) -> dict[str, Any]:
        hp.Int("units", 8, 128, step=8)
        hp.Float("dropout", 0.0, 0.6)
        hp.Choice("embedding_dim", [16, 32, 64, 128])
        hp.Boolean("layer_norm")
        return {}

    models = ["lstm", "gru"]
    config = {"vocabulary_size": 1000, "timesteps": 20}
    return ZooHyperModel(models, config=config, spaces=dict.fromkeys(models, of_a_model)).space()


def oracle_with(contender: str, trials: int, directory: Path) -> Any:
    """An oracle that was told of so many random trials."""
    plan = Plan(OBJECTIVE, trials + 1, 4, seed=1)
    if contender == "KerasTuner":
        cls = durable(keras_tuner.oracles.BayesianOptimizationOracle)
        oracle = cls(max_trials=plan.max_trials, **plan.arguments())
    else:
        oracle = TUNERS.get("bayesian").oracle(plan)
    oracle._set_project_dir(str(directory), "tuner")
    oracle.update_space(space())
    oracle.num_initial_points = trials
    generator = np.random.default_rng(0)
    with oracle.one_step():
        for _ in range(trials):
            trial = oracle.create_trial("0")
            values = trial.hyperparameters.values
            units = values[f"{values['model']}.units"]
            rate = math.log10(values["learning_rate"])
            score = 0.9 - 0.05 * (rate + 2.5) ** 2 - 0.0005 * abs(units - 64)
            record = {"bytes": 1000 + units**2, "latency_ms": units / 50}
            excess = {"size": record["bytes"] / 9000, "latency": record["latency_ms"]}
            over = {limit: times for limit, times in excess.items() if times > 1}
            record["excess"] = over if contender == "ours, budget" else {}
            oracle.records[trial.trial_id] = record
            noisy = score + generator.normal(scale=0.004)
            oracle.update_trial(trial.trial_id, {OBJECTIVE.name: noisy})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
    return oracle


def seconds(oracle: Any, repeats: int) -> list[float]:
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        proposal = oracle.populate_space("next")
        found.append(time.perf_counter() - start)
        assert proposal["status"] == "RUNNING"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", type=int, nargs="*", default=TRIALS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # KerasTuner's model does not always converge
    print(f"{len(space().space)} hyperparameters; seconds per proposal, the median (the slowest)\n")
    print(f"{'trials':>6}  " + "  ".join(f"{name:>16}" for name in CONTENDERS))
    rows = []
    for trials in options.trials:
        cells = []
        for contender in CONTENDERS:
            with tempfile.TemporaryDirectory() as directory:
                oracle = oracle_with(contender, trials, Path(directory))
                times = seconds(oracle, options.repeats)
            rows.append({"trials": trials, "contender": contender, "seconds": times})
            cells.append(f"{f'{np.median(times):.2f} ({max(times):.2f})':>16}")
        print(f"{trials:>6}  " + "  ".join(cells), flush=True)
    files.write_json(
        options.output,
        {
            "rows": rows,
            "machine": machine(),
            "provenance": provenance(seed=0, command=shlex.join(["python", *sys.argv])),
        },
    )


if __name__ == "__main__":
    main()
