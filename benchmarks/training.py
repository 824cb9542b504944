"""What starting and training take: commands as whole processes, and epochs beside plain Keras.

    python benchmarks/training.py --texts imdb_train.csv.gz -o training.json --markdown training.md

`commands`: seconds of whole processes, and which heavy packages each imports. `imports`: what an
import takes by itself, of the process that trains. `epochs`: every model on the same arrays, fitted
by `keras.Model.fit` as Keras does it, by the same with `jit_compile=True`, and as `train` does it;
seconds of the first epoch, in which everything is traced and compiled, and of a further one, on the
clock and of all cores (the latter hardly changes with what else the machine does). Some rows stand
for all: `train` decides as for a training on `--whole` rows over its usual epochs.

Without `--texts` the texts are made up, with lengths like those of reviews.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.builder import get_builder
from keras_rnn_zoo.data import Dataset, Split, load_data
from keras_rnn_zoo.export.tflite.latency import machine
from keras_rnn_zoo.provenance import provenance
from keras_rnn_zoo.training import batches, xla
from keras_rnn_zoo.training.feed import Feed
from keras_rnn_zoo.training.prepare import prepare
from keras_rnn_zoo.training.schedules import steps_of

TEXT_MODELS = ("rnn", "lstm", "gru", "bilstm", "conv_gru")
SENSOR_MODELS = ("gru", "lstm", "conv_gru")
FEATURES, TIMESTEPS = 9, 128
BATCH_SIZE, USUAL_EPOCHS = 64, 6
HEAVY = ("numpy", "tensorflow", "keras", "keras_tuner", "sklearn")
COMMANDS = (
    "--version",
    "--help",
    "trian",
    "models",
    "models --json",
    "train --help",
    "search --help",
    "export --help",
    "train ltsm --data digits -o nowhere",
    "verify nowhere",
    "clients",
    "export run --plan",
    "predict run --input new.npz",
)
WAYS = ("keras", "jit_compile", "train")
TRAIN = "train gru --data sensors.npz --set units=16 --epochs 1 -o run"
IMPORTS = ("numpy", "keras_rnn_zoo", "keras_rnn_zoo.training.train", "tensorflow", "keras")


def seconds(arguments: Sequence[str], directory: Path, repeats: int) -> tuple[float, float]:
    """Returns the median times of whole processes: on the clock, and of all cores."""
    wall, cores = [], []
    for _ in range(repeats):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(arguments, cwd=directory, capture_output=True, check=False)
        wall.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cores.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(wall), statistics.median(cores)


def commands(repeats: int) -> list[dict[str, Any]]:
    """Times every command, and says what it imports."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        generator = np.random.default_rng(0)
        x = generator.normal(size=(600, 30, 3)).astype("float32")
        np.savez(directory / "sensors.npz", x=x, y=(x.mean((1, 2)) > 0).astype("int64"))
        np.savez(directory / "new.npz", x=x[:3])
        for command in (TRAIN, *COMMANDS):
            program = (
                f"import sys; from keras_rnn_zoo.cli import main; main({shlex.split(command)!r}); "
                f"print(*(m for m in {HEAVY!r} if m in sys.modules), file=open('imports', 'w'))"
            )
            subprocess.run([sys.executable, "-c", program], cwd=directory, capture_output=True)
            imports = (directory / "imports").read_text(encoding="utf-8").split()
            line = [sys.executable, "-m", "keras_rnn_zoo", *shlex.split(command)]
            if command == TRAIN:
                line[-1] = "another"
            wall, cores = seconds(line, directory, 1 if command == TRAIN else repeats)
            row = {"command": command, "seconds": wall, "cores": cores, "imports": imports}
            found.append(row)
            print(
                f"{command:60} {wall:6.2f} s, {cores:5.2f} s of cores  {' '.join(imports)}",
                flush=True,
            )
    return found


def imports(repeats: int) -> dict[str, float]:
    """Returns seconds of cores of the import of packages, less what Python itself takes."""
    here = Path.cwd()
    _, nothing = seconds([sys.executable, "-c", "pass"], here, repeats)
    return {
        name: seconds([sys.executable, "-c", f"import {name}"], here, repeats)[1] - nothing
        for name in IMPORTS
    }


def texts(path: Path | None, timesteps: int, model: str, rows: int) -> Feed:
    """Returns training rows of texts, as `train` encodes them."""
    if path is not None:
        dataset = load_data(str(path))
    else:
        generator = np.random.default_rng(0)
        lengths = np.clip(generator.lognormal(5.2, 0.65, 4 * rows), 10, None).astype(int)
        made = [" ".join(f"w{i}" for i in generator.zipf(1.3, n) % 20_000) for n in lengths]
        dataset = Dataset("made up", "text", Split(made, [str(i % 2) for i in range(4 * rows)]))
    prepared = prepare(dataset, {"timesteps": timesteps}, models=[model], baseline=False)
    builder = prepared.builder(model)
    feed = prepared.feed(builder.config, trims=builder.trims)
    (x, y), held = feed.train, feed.validation
    assert held is not None
    held = held[0][: rows // 8], held[1][: rows // 8]
    return Feed.of("binary", 1, (x[:rows], y[:rows]), held, trims=builder.trims)


def sensors(model: str, rows: int) -> Feed:
    """Returns training rows of features, all of one length."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows + rows // 8, TIMESTEPS, FEATURES)).astype("float32")
    y = (x[:, -1, 0] > 0).astype("int32")
    trims = get_builder(model, features=FEATURES, timesteps=TIMESTEPS).trims
    return Feed.of("binary", 1, (x[:rows], y[:rows]), (x[rows:], y[rows:]), trims=trims)


class Stopwatch:
    """Seconds of each epoch, on the clock and of all cores; a callback of Keras."""

    def __init__(self) -> None:
        import keras

        watch = self
        self.wall: list[float] = []
        self.cores: list[float] = []

        class Watch(keras.callbacks.Callback):  # type: ignore[misc]
            def on_train_begin(self, logs: Any = None) -> None:
                self.then = time.perf_counter(), time.process_time()

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                now = time.perf_counter(), time.process_time()
                watch.wall.append(now[0] - self.then[0])
                watch.cores.append(now[1] - self.then[1])
                self.then = now

        self.callback = Watch()


def epochs(model: str, feed: Feed, way: str, count: int, whole: int) -> dict[str, Any]:
    """Trains a fresh model in one of three ways, and returns what its epochs took."""
    import keras

    x = feed.train[0]
    shape = {"timesteps": x.shape[1], "features": x.shape[2] if x.ndim == 3 else None}
    keras.utils.set_random_seed(0)
    built, watch = get_builder(model, **shape).build(), Stopwatch()
    feed.compile(built, 1e-3)
    share = len(x) * count / (whole * USUAL_EPOCHS)
    plain = {**feed.arrays(), "batch_size": BATCH_SIZE, "epochs": count, "verbose": 0}
    done = "as it is"
    if way == "train":
        with (
            mock.patch.object(xla, "LEAST_STEPS", xla.LEAST_STEPS * share),
            mock.patch.object(batches, "LEAST_WINDOWS", batches.LEAST_WINDOWS * len(x) / whole),
        ):
            trimmed = batches.Batches(x, BATCH_SIZE)
            compiles = xla.pays(built, x.shape[1], steps_of(len(x), BATCH_SIZE, count))
            if feed.trims and trimmed.saved >= (xla.SAVED if compiles else batches.LEAST_SAVED):
                done = f"without {100 * trimmed.saved:.0f} % of the steps"
            elif compiles:
                done = "XLA"
            callbacks = [watch.callback]
            feed.fit(built, epochs=count, batch_size=BATCH_SIZE, callbacks=callbacks, seed=0)
    elif way == "jit_compile":
        with xla.compiled(built):
            built.fit(**plain, callbacks=[watch.callback])
    else:
        built.fit(**plain, callbacks=[watch.callback])
    return {
        "done": done,
        "first": watch.wall[0],
        "first_cores": watch.cores[0],
        "further": statistics.median(watch.wall[1:]),
        "further_cores": statistics.median(watch.cores[1:]),
    }


def markdown(result: dict[str, Any]) -> str:
    """Returns the tables of the documentation."""
    lines = ["| command | s | s of cores | imports |", "| --- | --- | --- | --- |"]
    for row in result["commands"]:
        words = ", ".join(row["imports"]) or "none of these"
        lines.append(
            f"| `{row['command']}` | {row['seconds']:.2f} | {row['cores']:.2f} | {words} |"
        )
    lines += ["", "| import | s of cores |", "| --- | --- |"]
    lines += [f"| `{name}` | {took:.2f} |" for name, took in result["imports"].items()]
    lines += [
        "",
        "| model | data | `train` | first epoch | with XLA | `train` | further | with XLA "
        "| `train` | s of cores | with XLA | `train` |",
        "| --- | --- | --- |" + " --- |" * 9,
    ]
    for row in result["epochs"]:
        ways = [row[way] for way in WAYS]
        times = [one[name] for name in ("first", "further", "further_cores") for one in ways]
        lines.append(
            f"| `{row['model']}` | {row['data']}, {row['timesteps']} steps | "
            f"{row['train']['done']} | " + " | ".join(f"{took:.2f}" for took in times) + " |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    parser.add_argument("--texts", type=Path, help="CSV with text and label")
    parser.add_argument("--rows", type=int, default=2000, help="of an epoch; no multiple of 64")
    parser.add_argument("--whole", type=int, default=22_500, help="rows that they stand for")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5, help="of each command; 0 for none")
    parser.add_argument("--models", nargs="*", default=[*TEXT_MODELS], help="on texts")
    parser.add_argument("--sensors", nargs="*", default=[*SENSOR_MODELS], help="on features")
    options = parser.parse_args()

    result: dict[str, Any] = {"commands": [], "imports": {}}
    if options.repeats:
        result |= {"commands": commands(options.repeats), "imports": imports(options.repeats)}
    cases = [("texts", model) for model in options.models]
    cases += [("sensors", model) for model in options.sensors]
    result["epochs"] = []
    for data, model in cases:
        steps = get_builder(model).config["timesteps"]
        feed = sensors(model, options.rows)
        if data == "texts":
            feed = texts(options.texts, steps, model, options.rows)
        row: dict[str, Any] = {"model": model, "data": data, "rows": options.rows}
        row["timesteps"] = feed.train[0].shape[1]
        for way in WAYS:
            row[way] = epochs(model, feed, way, options.epochs, options.whole)
            one = row[way]
            print(
                f"{model:10} {data:8} {way:12} first {one['first']:6.1f} s, further "
                f"{one['further']:6.2f} s, {one['further_cores']:6.2f} s of cores  {one['done']}",
                flush=True,
            )
        result["epochs"].append(row)
    command = shlex.join(["python", *sys.argv])
    result |= {"machine": machine(), "provenance": provenance(seed=0, command=command)}
    files.write_json(options.output, result)
    if options.markdown:
        files.write_text(options.markdown, markdown(result))


if __name__ == "__main__":
    main()
