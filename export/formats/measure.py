"""What a model will cost on a device, measured before it is trained; and what it then answers.

For a search: a trial is a process of its own, so models are converted in it, see
`converting.in_this_process`. Training changes neither the size nor the speed of a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.export.convert.converter import in_this_process
from keras_rnn_zoo.export.convert.write import Form, write
from keras_rnn_zoo.export.cores.measure import milliseconds_on
from keras_rnn_zoo.export.formats.tflite import TFLiteResult, export_tflite
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.replica import replica
from keras_rnn_zoo.export.keras_model.samples import Samples, as_samples
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.export.tflite.latency import benchmark_tflite
from keras_rnn_zoo.export.verify.scores import evaluate_tflite
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.tasks import get_task

# As many as a bundle is measured on.
SAMPLES = 128
# Medians of a file that is too slow, before it is believed: the machine may have been busy.
MEDIANS = 3
# A file whose best call is this many times over the limit is not measured again.
HOPELESS = 2.0
# Seconds to wait for a measurement of another process; one takes less than a second.
PATIENCE = 10.0


@dataclass(frozen=True)
class Measurement:
    """What a model costs on a device.

    Attributes:
        bytes: Size of its .tflite file.
        latency_ms: Time of a call of it, batch 1, one thread: see `latency_of`.
        parameters: Of the Keras model.
        arena: Bytes of the least tensor arena in tflite-micro; None where that is not known.
    """

    bytes: int
    latency_ms: float
    parameters: int
    arena: int | None = None


def measure(
    model: Any,
    *,
    quantization: str,
    target: str,
    samples: np.ndarray | Mapping[str, np.ndarray],
    seconds: float = 0.2,
    limit_ms: float | None = None,
    core: str | None = None,
) -> Measurement:
    """Writes the .tflite file of a model that need not be trained, and measures it.

    The file is not verified, and int8 is not calibrated: its answers mean nothing. The lowering is
    the one that the target prefers.

    Args:
        model: A built `keras.Model`; it is not changed.
        quantization: Name of the quantization mode.
        target: Name of the client that the file is for.
        samples: Encoded inputs `[n, ...]`, or name -> inputs: a file may answer short sequences
            sooner, so they should be as long as those of the device.
        seconds: How long to measure.
        limit_ms: A median above it is measured again, up to three times; the least counts.
        core: The Arm core that the time is modelled for; None measures this machine.

    Raises:
        UnknownNameError: No such quantization or target.
        ConfigError: The target does not take that quantization.
        ExportError: The model cannot be exported, or the samples do not fit it.
        ConversionError: It does not convert.
        OpGateError: Its file holds ops outside the builtin set.
        TargetError: Its file holds what the target does not run.
        MissingClientError: The emulator of Arm cores is not set up.
    """
    mode, client = QUANTIZATIONS.get(quantization), TARGETS.get(target)
    client.check_quantization(quantization)
    ready = KerasModel(_with_distinct_weights(model))
    data = as_samples(ready, samples, limit=SAMPLES)
    lengths = [array.shape[1] for array in data.values() if array.ndim > 1]
    form = Form(mode, client.preferred(ready), timesteps=max(lengths, default=None), target=target)
    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch, in_this_process():
        calibration = data if mode.needs_representative_data else None
        planned = form.plan(ready)
        client.check_plan(planned)
        written = write(ready, planned, Path(scratch), form, calibration)
        client.check_file(written.info, written.plan.fallbacks)
        latency = latency_of(written.path, data, core=core, seconds=seconds, limit_ms=limit_ms)
        arena = client.arena_of(written.path)
    return Measurement(written.info.bytes, latency, int(model.count_params()), arena)


def latency_of(
    path: PathLike,
    samples: Samples,
    *,
    core: str | None,
    seconds: float,
    limit_ms: float | None = None,
) -> float:
    """Returns the milliseconds of a call: modelled on an Arm core, or measured on this machine.

    Args:
        path: A .tflite file.
        samples: Input name -> encoded samples.
        core: The Arm core; None for this machine.
        seconds: How long to measure on this machine.
        limit_ms: See `measure`.
    """
    if core is not None:
        return milliseconds_on(core, path, samples)
    return median_latency(path, samples, seconds=seconds, limit_ms=limit_ms)


def median_latency(
    path: PathLike,
    samples: Samples,
    *,
    seconds: float,
    limit_ms: float | None = None,
    benchmark: Callable[..., dict[str, Any]] = benchmark_tflite,
) -> float:
    """Returns the median time of a call in milliseconds, while nobody else measures.

    Args:
        path: A .tflite file.
        samples: Input name -> encoded samples.
        seconds: How long to measure.
        limit_ms: See `measure`.
        benchmark: What measures once: see `benchmark_tflite`.
    """
    least = math.inf
    with _alone():
        for _ in range(MEDIANS):
            times = benchmark(path, samples, seconds=seconds)
            least = min(least, times["median_ms"])
            if limit_ms is None or least <= limit_ms or times["min_ms"] > HOPELESS * limit_ms:
                break
    return least


def write_trained(
    model: Any, path: PathLike, *, quantization: str, target: str, representative_data: Any
) -> TFLiteResult:
    """Writes the .tflite file of a trained model, unverified, and converted in this process.

    Args:
        model: A built `keras.Model`.
        path: File to write.
        quantization: Name of the quantization mode.
        target: Name of the client that the file is for.
        representative_data: Encoded inputs to calibrate on, where the mode does.

    Raises:
        ZooError: As `export_tflite` does.
    """
    with in_this_process():
        return export_tflite(
            model,
            path,
            quantization=quantization,
            target=target,
            representative_data=representative_data,
            verify=False,
            diagnose=False,
        )


def score(path: PathLike, x: np.ndarray, y: np.ndarray, task: str) -> dict[str, float]:
    """Scores a .tflite file on encoded rows, as the report of a bundle does.

    Args:
        path: A file with one input and one output.
        x: Encoded inputs `[n, ...]`.
        y: Encoded labels `[n]`, `[n, timesteps]`, or targets `[n, outputs]`.
        task: Name of the task.

    Returns:
        The task's measure, `"accuracy"` or `"mean_absolute_error"` -> its value. The padded steps
        of sequence labelling do not count.

    Raises:
        RunError: The file is missing or damaged, or does not take such inputs.
    """
    return {get_task(task).metric: evaluate_tflite(path, x, y, task)}


def _with_distinct_weights(model: Any) -> Any:
    """Returns a replica with weights that differ, as those of a trained model.

    Of biases that are all zero, as they are before training, the converter makes a smaller file:
    it stores equal constants once, and drops what adds zero. And columns of a kernel that are
    equally large, as before training, need no scales of their own when they become int8.
    """
    generator = np.random.default_rng(0)
    own = replica(model, model.weights)
    for variable in own.weights:
        value = np.array(variable)
        if not np.issubdtype(value.dtype, np.floating):
            continue
        if value.ndim < 2 or value.min() == value.max():
            # Above 0, as a variance has to stay.
            variable.assign(value + generator.uniform(0.001, 0.01, value.shape))
        else:
            variable.assign(value * generator.uniform(0.3, 1.0, value.shape[-1]))
    return own


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Lets one process of a user measure at a time; where that cannot be had, all of them."""
    path = Path(tempfile.gettempdir()) / f"keras-rnn-zoo-measuring-{os.getuid()}.lock"
    handle = None
    try:
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        end = time.monotonic() + PATIENCE
        while handle is not None and time.monotonic() < end:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break
        yield
    finally:
        if handle is not None:
            os.close(handle)
