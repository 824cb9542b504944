"""Files whose call is one time step, run over whole sequences.

Their signature is called `step`. An input and an output of the same name are a state before and
after the step: zero at first, and from then on what came out goes in. What comes out after the last
step answers the sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from keras_rnn_zoo.export.tflite.interpreter import Arrays, TensorInfo, TFLiteModel
from keras_rnn_zoo.files import PathLike

# Of calibration: more show nothing new.
MOST_STEPS = 4096


def states_of(inputs: Mapping[str, TensorInfo], outputs: Mapping[str, TensorInfo]) -> list[str]:
    """Returns the names of the states of a step: those of inputs that are outputs, too."""
    return [name for name in inputs if name in outputs]


def of_sequences(tensors: Mapping[str, TensorInfo], states: list[str]) -> dict[str, TensorInfo]:
    """Returns the inputs or outputs of a sequence of steps: no states, any number of steps."""
    return {
        name: replace(info, shape=(info.shape[0], None, *info.shape[2:]))
        if len(info.shape) > 2 or (len(info.shape) == 2 and info.dtype in ("int32", "int64"))
        else info
        for name, info in tensors.items()
        if name not in states
    }


class StepModel(TFLiteModel):
    """A file whose call is one time step, which answers whole sequences; see `TFLiteModel`.

    Attributes:
        states: Name of each state -> what it is.
    """

    def __init__(self, file: PathLike | bytes, threads: int = 1, *, keep_tensors: bool = False):
        super().__init__(file, threads, keep_tensors=keep_tensors)
        names = states_of(self.inputs, self.outputs)
        self._made = self.outputs
        self.states = {name: self.inputs[name] for name in names}
        self._takes = self.inputs
        self.inputs = of_sequences(self.inputs, names)
        self.outputs = of_sequences(self.outputs, names)
        self._x: Arrays = {}
        # Where not None, what each step takes is noted there.
        self._each: dict[str, list[np.ndarray]] | None = None

    @property
    def tensors(self) -> dict[str, list[TensorInfo]]:
        """What a call takes and makes."""
        own = [
            {n: i for n, i in t.items() if n not in self.states} for t in (self._takes, self._made)
        ]
        return {
            "inputs": list(own[0].values()),
            "outputs": list(own[1].values()),
            "states": list(self.states.values()),
        }

    def each_step(self, x: Arrays, most: int = MOST_STEPS) -> Arrays:
        """Returns what the steps of sequences take: inputs and states, `[samples * steps, ...]`.

        Args:
            x: Input name -> sequences `[samples, steps, ...]`.
            most: Steps to return; where there are more, of some of the sequences.
        """
        found: dict[str, list[np.ndarray]] = {name: [] for name in self._takes}
        count = 0
        for used, batch in self.batches(x):
            self.set_inputs(batch)
            self._each = found
            self.invoke()
            count += used * next(iter(batch.values())).shape[1]
            if count >= most:
                break
        self._each = None
        return {name: np.concatenate(values) for name, values in found.items()}

    def open(self, name: str) -> bool:
        """Nothing is resized: there are more calls, or fewer."""
        return False

    def set_inputs(self, values: Mapping[str, np.ndarray]) -> None:
        """Keeps one batch of sequences."""
        self._x = {name: info.quantize(values[name]) for name, info in self.inputs.items()}

    def invoke(self) -> Arrays:
        """Runs all steps of the sequences that are set; returns name -> real values."""
        for info in self.states.values():
            zeros = np.zeros([size or 1 for size in info.shape], np.float32)
            self.interpreter.set_tensor(info.index, info.quantize(zeros))
        found: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
        for step in range(next(iter(self._x.values())).shape[1]):
            for name, info in self.inputs.items():
                self.interpreter.set_tensor(info.index, self._x[name][:, step : step + 1])
            for name, values in (self._each or {}).items():
                values.append(self.interpreter.get_tensor(self._takes[name].index).copy())
            self.interpreter.invoke()
            after = {n: self.interpreter.get_tensor(self._made[n].index) for n in self.states}
            for name, info in self.states.items():
                self.interpreter.set_tensor(info.index, after[name])
            for name, info in self.outputs.items():
                found[name].append(info.dequantize(self.interpreter.get_tensor(info.index)))
        return {
            name: np.concatenate(values, axis=1) if values[-1].ndim > 2 else values[-1]
            for name, values in found.items()
        }
