"""Does the error of a quantized stream grow?

A state that is rounded at every step may wander off, where a few dozen steps show nothing. So a
file that takes some steps a call answers one long stream, beside the same file in float32, which
was proven against the Keras model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.tflite.micro import MicroModel
from keras_rnn_zoo.export.tflite.opened import open_model
from keras_rnn_zoo.export.tflite.steps import StepModel
from keras_rnn_zoo.export.verify.problems import ValuesError

STEPS, WINDOW = 10_000, 1_000
# How many times larger the error may be at the end, and what is no error to speak of, as a share of
# the standard deviation of the answers.
GROWTH, LEAST = 2.0, 0.02


@dataclass(frozen=True)
class Drift:
    """The error of a quantized stream against the same one in float32.

    Attributes:
        steps: How long the stream was.
        output: Name of the output whose error grows most.
        first: Average error over its first 1,000 steps, as a share of the standard deviation of
            its answers.
        last: The same of its last 1,000 steps.
    """

    steps: int
    output: str
    first: float
    last: float

    @property
    def text(self) -> str:
        """Says so in a sentence."""
        return (
            f"Over a stream of {self.steps:,} steps, '{self.output}' is off the float32 file by "
            f"{100 * self.first:.2g} % of its standard deviation in the first {WINDOW:,}, and "
            f"by {100 * self.last:.2g} % in the last {WINDOW:,}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the content as a JSON object."""
        return asdict(self)


def drift(path: Path, plain: Path, samples: Arrays) -> Drift | None:
    """Runs a long stream through a quantized file and the float32 file that it was made of.

    Args:
        path: The quantized file.
        plain: The float32 file.
        samples: Input name -> real sequences `[samples, steps, ...]`, which are put one behind the
            other, as often as it takes.

    Returns:
        What was found; None where the answers do not vary, or are whole numbers.

    Raises:
        ValuesError: The error grows.
    """
    exact, file = StepModel(plain), open_model(path)
    x = stream_of(samples, STEPS // exact.steps * exact.steps, exact.batch_size)
    assert isinstance(file, StepModel | MicroModel)
    wanted, found = exact.each_answer(x), file.each_answer(x)
    worst: Drift | None = None
    for name, values in wanted.items():
        if values.dtype.kind != "f":
            continue
        spread = float(values.std(axis=0).mean())
        if spread == 0:
            continue
        # Of answers to every few steps there are fewer; windows are the same share of them.
        error = np.abs(found[name] - values).reshape(len(values), -1).mean(axis=1) / spread
        window = max(1, len(error) * WINDOW // STEPS)
        one = Drift(STEPS, name, float(error[:window].mean()), float(error[-window:].mean()))
        if worst is None or one.last - one.first > worst.last - worst.first:
            worst = one
    if worst is not None and worst.last > max(LEAST, GROWTH * worst.first):
        raise ValuesError(
            f"The error of {path.name} grows: {worst.text} Choose a finer quantization: int16x8 "
            "where the target has it, dynamic, or none."
        )
    return worst


def stream_of(samples: Arrays, steps: int, batch: int) -> Arrays:
    """Returns sequences put one behind the other: name -> `[batch, steps, ...]`."""
    found: Arrays = {}
    for name, values in samples.items():
        one = values.reshape(-1, *values.shape[2:])
        rows = np.arange(steps) % len(one)
        found[name] = np.stack([np.roll(one, -7 * number, axis=0)[rows] for number in range(batch)])
    return found
