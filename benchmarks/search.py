"""What a search costs beside its trials: seconds, memory, and what two workers gain.

    python benchmarks/search.py -o search.json

`overhead`: wall time of the search from the first trial to the last, less what the trials spent
building, training, measuring and scoring, per trial. `memory`: resident memory of the search's own
process after the first ten trials and after the last. `workers`: the wall time of the same trials,
each of which sleeps five seconds, with two workers and with one.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.export.tflite.latency import machine
from keras_rnn_zoo.provenance import provenance
from keras_rnn_zoo.tuner import TUNERS, search
from keras_rnn_zoo.tuner.study.loop import ZooTuner


def data() -> Dataset:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 10, 4)).astype("float32")
    return Dataset("made up", "features", Split(x, (x.mean((1, 2)) > 0).astype("int64")))


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def watched() -> Iterator[dict[str, Any]]:
    """Yields what is seen of a search: seconds of all trials together, memory after each."""
    seen: dict[str, Any] = {"memory_mb": []}
    run, end = ZooTuner.search, ZooTuner._end

    def timed(self: Any, engine: Any) -> None:
        start = time.perf_counter()
        run(self, engine)
        seen["wall"] = time.perf_counter() - start
        # What trials are forked from has started when the first trial is over.
        seen["seconds"] = time.perf_counter() - seen["first"]
        records = list(self.oracle.records.values())[1:]
        seen["timings"] = [record["timings"] for record in records]

    def remembered(self: Any, *args: Any) -> None:
        end(self, *args)
        seen.setdefault("first", time.perf_counter())
        seen["memory_mb"].append(memory_mb())

    ZooTuner.search, ZooTuner._end = timed, remembered  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        ZooTuner.search, ZooTuner._end = run, end  # type: ignore[method-assign]


def once(**changes: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch, watched() as seen:
        arguments = {
            "config": {"layers": 1},
            "epochs": 1,
            "output": Path(scratch) / "search",
            "progress": False,
            **changes,
        }
        search(["rnn", "lstm", "gru"], data(), **arguments)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--trials", type=int, default=200, help="of the search for memory")
    parser.add_argument("--tuners", nargs="*", choices=TUNERS.names(), default=TUNERS.names())
    parser.add_argument("--sleepers", type=int, default=12, help="trials that sleep")
    options = parser.parse_args()
    result: dict[str, Any] = {"overhead_seconds": {}, "memory_mb": {}, "workers": {}}

    for tuner in options.tuners:
        trials = options.trials if tuner == "random" else 20
        seen = once(tuner=tuner, max_trials=trials, learning_rate=(1e-5, 1e-1))
        spent = sum(sum(timings.values()) for timings in seen["timings"])
        overhead = (seen["seconds"] - spent) / len(seen["timings"])
        result["overhead_seconds"][tuner] = overhead
        print(f"{tuner:10} {len(seen['timings']) + 1:4d} trials  overhead {overhead:.3f} s a trial")
        if tuner == "random":
            memory = seen["memory_mb"]
            result["memory_mb"] = {"after_10": memory[9], "after_all": memory[-1]}
            print(f"memory: {memory[9]:.0f} MB after 10 trials, {memory[-1]:.0f} MB after all")

    walls = {}
    for workers in (1, 2):
        seen = once(
            tuner="random",
            max_trials=options.sleepers,
            workers=workers,
            callbacks="search_hooks:sleeping",
        )
        walls[workers] = seen["wall"]
        print(f"{workers} worker{'s' * (workers > 1)}: {walls[workers]:.1f} s", flush=True)
    result["workers"] = {"one_s": walls[1], "two_s": walls[2], "ratio": walls[2] / walls[1]}
    print(f"two workers take {walls[2] / walls[1]:.2f} of the time of one")
    command = shlex.join(["python", *sys.argv])
    made = {"machine": machine(), "provenance": provenance(seed=0, command=command)}
    files.write_json(options.output, {**result, **made})


if __name__ == "__main__":
    main()
