"""Files whose call takes a few time steps, run over whole sequences; see `streams`.

What comes out after the last step answers the sequence, or each step has an answer of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np

from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.export.tflite.file import INITIAL_STATE, RESET_STATE, read
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TensorInfo, TFLiteModel
from keras_rnn_zoo.export.tflite.streams import streaming_of
from keras_rnn_zoo.files import PathLike

# Of calibration: more show nothing new.
MOST_STEPS = 4096


def states_of(inputs: Mapping[str, TensorInfo], outputs: Mapping[str, TensorInfo]) -> list[str]:
    """Returns the names of the states of a step: those of inputs that are outputs, too."""
    return [name for name in inputs if name in outputs]


def of_sequences(
    tensors: Mapping[str, TensorInfo],
    states: Collection[str],
    every_step: Collection[str] | None = None,
) -> dict[str, TensorInfo]:
    """Returns the inputs or outputs of a sequence of steps: no states, any number of steps.

    Args:
        tensors: Those of a call.
        states: Names of its states.
        every_step: Names of those that have time steps; None where a file does not say: those of
            three axes and token ids.
    """

    def has_steps(name: str, info: TensorInfo) -> bool:
        if every_step is not None:
            return name in every_step
        return len(info.shape) > 2 or (len(info.shape) == 2 and info.dtype in ("int32", "int64"))

    return {
        name: replace(info, shape=(info.shape[0], None, *info.shape[2:]))
        if has_steps(name, info)
        else info
        for name, info in tensors.items()
        if name not in states
    }


class StepModel(TFLiteModel):
    """A file whose call takes a few time steps, which answers whole sequences; see `TFLiteModel`.

    Attributes:
        steps: Time steps that a call takes.
        streams: The file says so itself: it is for streams. One for TensorFlow Lite Micro does not.
        states: Name of each state -> what it is; none where the file keeps them.
    """

    def __init__(self, file: PathLike | bytes, threads: int = 1, *, keep_tensors: bool = False):
        super().__init__(file, threads, keep_tensors=keep_tensors)
        names = states_of(self.inputs, self.outputs)
        self._made = self.outputs
        self.states = {name: self.inputs[name] for name in names}
        self._takes = self.inputs
        said = streaming_of(file if isinstance(file, bytes) else read(self.path))
        self.streams = said is not None
        fed = [name for name in self.inputs if name not in names]
        self.inputs = of_sequences(self.inputs, names, fed)
        self.outputs = of_sequences(self.outputs, names, said.every_step if said else None)
        self._every_step = {name for name, info in self.outputs.items() if None in info.shape}
        self.steps = int(self._takes[fed[0]].shape[1] or 1)
        signatures = self.interpreter.get_signature_list()
        self._start: Arrays = {
            name: info.quantize(np.zeros([size or 1 for size in info.shape], np.float32))
            for name, info in self.states.items()
        }
        if INITIAL_STATE in signatures:
            self._start = self.interpreter.get_signature_runner(INITIAL_STATE)()
        self._starts_inside = RESET_STATE in signatures
        self._x: Arrays = {}

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
        """Returns what the calls of sequences take: inputs and states, `[samples * calls, ...]`.

        Args:
            x: Input name -> sequences `[samples, steps, ...]`.
            most: Calls to return, about; where there are more, of some of the sequences.
        """
        found: dict[str, list[np.ndarray]] = {name: [] for name in self._takes}
        total, steps = next(iter(x.values())).shape[:2]
        # Spread over all of them: the last ones may reach farther than the first.
        sequences = min(total, -(-most * self.steps // steps))
        rows = np.linspace(0, total - 1, sequences).round().astype(int)
        for _, batch in self.batches({name: values[rows] for name, values in x.items()}):
            self.set_inputs(batch)
            for _ in self._calls(found):
                pass
        return {name: np.concatenate(values) for name, values in found.items()}

    def open(self, name: str) -> bool:
        """Nothing is resized: there are more calls, or fewer."""
        return False

    def set_inputs(self, values: Mapping[str, np.ndarray]) -> None:
        """Keeps one batch of sequences.

        Raises:
            RunError: Their number of steps is no multiple of what a call takes.
        """
        for name, array in values.items():
            if array.shape[1] % self.steps or not array.shape[1]:
                raise RunError(
                    f"{self.path.name} takes {self.steps} time steps a call. Received as '{name}': "
                    f"{array.shape[1]}, which is no multiple of it. Cut the sequences."
                )
        self._x = {name: info.quantize(values[name]) for name, info in self.inputs.items()}

    def invoke(self) -> Arrays:
        """Runs all steps of the sequences that are set; returns name -> real values."""
        found: dict[str, list[np.ndarray]] = {name: [] for name in self._every_step}
        for _ in self._calls():
            for name, values in found.items():
                values.append(self._answer(name))
        return {
            name: np.concatenate(found[name], axis=1) if name in found else self._answer(name)
            for name in self.outputs
        }

    def each_answer(self, x: Arrays) -> Arrays:
        """Returns what every call of one batch of streams answers: name -> `[calls, batch, ...]`.

        Args:
            x: Input name -> streams `[batch, steps, ...]`.
        """
        self.set_inputs(x)
        found: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
        for _ in self._calls():
            for name, values in found.items():
                values.append(self._answer(name))
        return {name: np.stack(values) for name, values in found.items()}

    def _answer(self, name: str) -> np.ndarray:
        info = self.outputs[name]
        return info.dequantize(self.interpreter.get_tensor(info.index))

    def _calls(self, taken: Mapping[str, list[np.ndarray]] | None = None) -> Iterator[None]:
        """Makes the calls for the sequences that are set, one after the other.

        Args:
            taken: Name of an input or state -> where each call adds what it takes.
        """
        for name, info in self.states.items():
            self.interpreter.set_tensor(info.index, self._start[name])
        if self._starts_inside:
            # Not kept: while there is a runner, the interpreter lets nobody else call it.
            self.interpreter.get_signature_runner(RESET_STATE)()
        for step in range(0, next(iter(self._x.values())).shape[1], self.steps):
            for name, info in self.inputs.items():
                chunk = self._x[name][:, step : step + self.steps]
                self.interpreter.set_tensor(info.index, chunk)
            for name, values in (taken or {}).items():
                values.append(self.interpreter.get_tensor(self._takes[name].index).copy())
            self.interpreter.invoke()
            after = {n: self.interpreter.get_tensor(self._made[n].index) for n in self.states}
            for name, info in self.states.items():
                self.interpreter.set_tensor(info.index, after[name])
            yield
