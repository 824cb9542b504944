"""How long a .tflite file takes on this machine, one call after the other."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TFLiteModel
from keras_rnn_zoo.export.tflite.micro import MicroModel
from keras_rnn_zoo.export.tflite.opened import open_model
from keras_rnn_zoo.export.tflite.steps import StepModel
from keras_rnn_zoo.files import PathLike

# Fewer say little about the slowest tenth; more than this says nothing new.
MIN_REPEATS, MAX_REPEATS = 20, 10_000


def benchmark_tflite(
    path: PathLike,
    samples: np.ndarray | Mapping[str, np.ndarray] | None = None,
    *,
    threads: int = 1,
    warmup: int = 5,
    repeats: int | None = None,
    seconds: float = 1.0,
) -> dict[str, Any]:
    """Measures the latency of a .tflite file: set the inputs, invoke, get the outputs.

    Args:
        path: The file.
        samples: Encoded inputs `[samples, ...]` (name -> array for several inputs), taken in turn:
            a file may answer short sequences sooner. None makes full-length ones.
        threads: CPU threads of an invoke.
        warmup: Invokes that do not count.
        repeats: Invokes that count; None runs for `seconds`, at least 20 times.
        seconds: How long to measure where `repeats` is None.

    Returns:
        `median_ms`, `p90_ms` and `min_ms` of a call (a batch of the file's batch size),
        `repeats`, `threads`, `batch_size`, `machine`, and of a file that streams `steps`, the time
        steps of a call.

    Raises:
        ConfigError: An argument is out of range.
        RunError: The file is missing or damaged, or does not take such inputs.
    """
    if warmup < 0 or (repeats is not None and repeats < 1) or not seconds > 0:
        raise ConfigError(
            "A benchmark takes warmup >= 0, repeats >= 1 and seconds > 0. Received: "
            f"warmup={warmup}, repeats={repeats}, seconds={seconds}"
        )
    model = open_model(path, threads)
    samples = samples_of(model, samples)
    steps = model.steps if isinstance(model, StepModel) and model.streams else None
    if steps is not None:  # what an app waits for is one call
        samples = {name: values[:, :steps] for name, values in samples.items()}
    batches = [batch for _, batch in model.batches(samples)]
    if repeats is not None:
        least, most = repeats, repeats
    else:
        least, most = MIN_REPEATS, MAX_REPEATS
    if isinstance(model, MicroModel):
        times = _micro_times(model, batches, warmup=warmup, least=least, most=most, seconds=seconds)
    else:
        (times,) = time_calls(
            [model], batches, warmup=warmup, least=least, most=most, seconds=seconds
        )
    milliseconds = np.array(times) * 1e3
    return {
        "median_ms": float(np.median(milliseconds)),
        "p90_ms": float(np.percentile(milliseconds, 90)),
        "min_ms": float(milliseconds.min()),
        "repeats": len(times),
        "threads": threads,
        "batch_size": model.batch_size,
        "machine": machine() + (", tflite-micro" if isinstance(model, MicroModel) else ""),
        **({} if steps is None else {"steps": steps}),
    }


def samples_of(model: TFLiteModel, samples: np.ndarray | Mapping[str, np.ndarray] | None) -> Arrays:
    """Returns what a file is measured on.

    Args:
        model: The file.
        samples: As `benchmark_tflite` takes them; None makes one batch of full-length ones.

    Returns:
        Input name -> samples.

    Raises:
        ConfigError: None are given, and the file says not how long they are.
    """
    if samples is not None:
        if isinstance(samples, Mapping):
            return dict(samples)
        return {next(iter(model.inputs)): np.asarray(samples)}
    sizes = {
        name: [size for size in info.shape[1:] if size is not None]
        for name, info in model.inputs.items()
    }
    if isinstance(model, StepModel):
        sizes = {name: [model.steps, *others] for name, others in sizes.items()}
    elif any(None in info.shape[1:] for info in model.inputs.values()):
        raise ConfigError(
            f"{model.path.name} takes inputs of any length, and how long they are decides how long "
            "it takes: give samples (on the command line --data)."
        )
    return {
        name: np.ones(
            (model.batch_size, *sizes[name]),
            np.dtype("float32") if info.scale else np.dtype(info.dtype),
        )
        for name, info in model.inputs.items()
    }


def _micro_times(
    model: MicroModel,
    batches: Sequence[Arrays],
    *,
    warmup: int,
    least: int,
    most: int,
    seconds: float,
) -> list[float]:
    """Times calls in tflite-micro, whose kernels here are the portable ones."""
    calls = [batches[number % len(batches)] for number in range(warmup + least)]
    times = model.seconds(calls)[warmup:]
    more = int(min(most, seconds / max(float(np.median(times)), 1e-6))) - least
    if more > 0:
        times += model.seconds([batches[number % len(batches)] for number in range(more)])
    return times


def time_calls(
    models: Sequence[TFLiteModel],
    batches: Sequence[Arrays],
    *,
    warmup: int,
    least: int,
    most: int,
    seconds: float,
) -> list[list[float]]:
    """Times calls of one file, or of several in turn: what slows the machine slows them all.

    Args:
        models: The files.
        batches: Inputs of a call each, taken in turn.
        warmup: Calls of each that do not count.
        least: Calls of each that count, at least.
        most: At most.
        seconds: When to stop in between.

    Returns:
        For each file the seconds of its calls: set the inputs, invoke, get the outputs.
    """
    times: list[list[float]] = [[] for _ in models]
    end = math.inf
    for number in range(-warmup, most):
        if number == 0:
            end = time.perf_counter() + seconds
        if number >= least and time.perf_counter() > end:
            break
        batch = batches[number % len(batches)]
        for model, own in zip(models, times, strict=True):
            start = time.perf_counter()
            model.set_inputs(batch)
            model.invoke()
            if number >= 0:
                own.append(time.perf_counter() - start)
    return times


@cache
def machine() -> str:
    """Returns what the times were measured on: processor, architecture, number of CPUs."""
    processor = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model") and value.strip():
                processor = value.strip()
                break
    parts = [processor, platform.machine(), f"{os.cpu_count()} CPUs"]
    return ", ".join(dict.fromkeys(part for part in parts if part))
