"""A streaming file, opened: its signatures, and an interpreter that runs them.

The signature `step` takes a chunk of time steps of each input and makes the answers to it. An input
and an output of the same name are a state before and after the chunk. Where the signature
`initial_state` is there, its outputs are the states at the start; without it they are zeros. A file
with the signature `reset` keeps its states in variables of the interpreter.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.artifacts import BUNDLE, FILE, TFLITE, kind_of, require
from keras_rnn_zoo.errors import ConfigError, DataError, RunError, listed
from keras_rnn_zoo.export.bundle.bundle import Bundle
from keras_rnn_zoo.export.tflite import tables
from keras_rnn_zoo.export.tflite.file import (
    INITIAL_STATE,
    RESET_STATE,
    STEP,
    open_interpreter,
    read,
)
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TensorInfo, tensor_info
from keras_rnn_zoo.export.tflite.isolated import Isolated
from keras_rnn_zoo.export.tflite.streams import streaming_of
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor


class Interpreter:
    """An interpreter of a streaming file; several threads may call it.

    Args:
        interpreter: Of `ai_edge_litert`, its tensors allocated.
        takes: Indices of the tensors that a call sets.
        makes: Indices of those that it returns.
        name: Of the file, for messages.
    """

    def __init__(self, interpreter: Any, takes: Sequence[int], makes: Sequence[int], name: str):
        self._interpreter = interpreter
        self._set, self._invoke, self._get = (
            interpreter.set_tensor,
            interpreter.invoke,
            interpreter.get_tensor,
        )
        self._takes, self._makes, self._name = tuple(takes), tuple(makes), name
        self._lock = threading.Lock()

    def step(self, values: Iterable[np.ndarray]) -> list[np.ndarray]:
        """Runs one chunk; returns what it makes, as stored.

        Raises:
            DataError: The interpreter refuses it.
        """
        put, get = self._set, self._get
        with self._lock:
            for index, value in zip(self._takes, values, strict=True):
                put(index, value)
            try:
                self._invoke()
            except RuntimeError as error:
                # What follows names an op of the file, which says nothing to a person.
                reason = str(error).partition("Node number")[0].strip().rstrip(".")
                raise DataError(
                    f"{self._name} cannot take this step ({reason or 'the interpreter refuses it'})"
                    ". Token ids have to be those that the model knows."
                ) from error
            return [get(index) for index in self._makes]

    def signature(self, key: str) -> Arrays:
        """Runs a signature without inputs; returns its outputs by name, as stored."""
        with self._lock:
            made: Arrays = self._interpreter.get_signature_runner(key)()
            return made


class StreamingModel:
    """A streaming file that runs, without TensorFlow: any number of streams share it.

    ```python
    model = StreamingModel("model.tflite")
    first, second = StreamingSession(model), StreamingSession(model)
    ```

    Args:
        source: A .tflite file that was exported with `streaming`, or a bundle with one.
        quantization: Which file of a bundle; None takes its first.
        threads: CPU threads of a step.

    Attributes:
        path: The file.
        preprocessor: Of the bundle; None of a file alone, and of a bundle of a bare `.keras` file.
        inputs: Name -> `TensorInfo` of a chunk, `[batch, chunk, ...]`.
        outputs: Name -> `TensorInfo` of the answers to it: of each step `[batch, steps, ...]`, or
            those so far `[batch, ...]`.
        states: Name -> `TensorInfo` of the states that a session carries; none where the file
            keeps them itself.
        chunk: Time steps of a call.
        batch_size: Streams of a call.
        every_step: Names of the outputs that answer each step, as the file says, or else those of
            more than two axes.
        is_internal: The file keeps its states in variables, so that each stream has an interpreter
            of its own.
        sha256: Of the file, in hexadecimal digits.

    Raises:
        RunError: There is no such file, it is damaged, or no streaming file.
        OpGateError: The interpreter lacks one of its ops.
        UnknownNameError: The bundle has no such file.
        ConfigError: `threads` is below 1, or a quantization is named for a file alone.
    """

    def __init__(self, source: PathLike, *, quantization: str | None = None, threads: int = 1):
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise ConfigError(f"threads is a whole number of at least 1. Received: {threads!r}")
        self.path, self.preprocessor, self._names = _file_of(source, quantization)
        self._content = read(self.path)
        self._threads = threads
        self.sha256 = hashlib.sha256(self._content).hexdigest()
        graphs = _signatures(self.path, self._content)
        if STEP not in graphs:
            raise RunError(
                f"{self.path} answers whole sequences (its signatures: {listed(graphs) or 'none'}),"
                " and a stream goes on step by step. Export the model with streaming=True "
                "(--streaming)."
            )
        if graphs[STEP] != 0:
            raise RunError(
                f"{self.path} has its steps in another subgraph than the first. Export it again "
                "with keras-rnn-zoo."
            )
        self.is_internal = RESET_STATE in graphs
        said = streaming_of(self._content)
        interpreter = self._opened()
        runner = interpreter.get_signature_runner(STEP)
        takes, makes = runner.get_input_details(), runner.get_output_details()
        before = {name: tensor_info(name, takes[name]) for name in takes}
        after = {name: tensor_info(name, makes[name]) for name in makes}
        self.states = {name: info for name, info in before.items() if name in after}
        self.inputs = {name: info for name, info in before.items() if name not in after}
        self.outputs = {name: info for name, info in after.items() if name not in before}
        self.every_step = frozenset(
            [name for name, info in self.outputs.items() if len(info.shape) > 2]
            if said is None
            else said.every_step
        )
        self.batch_size, self.chunk = self._sizes()
        for name, info in self.states.items():
            if _stored(info) != _stored(after[name]):
                raise self._wrong(f"its state '{name}' comes out otherwise than it goes in")
        self._takes = [info.index for info in (*self.inputs.values(), *self.states.values())]
        self._makes = [
            *(info.index for info in self.outputs.values()),
            *(after[name].index for name in self.states),
        ]
        self._shared = Interpreter(interpreter, self._takes, self._makes, self.path.name)
        self._is_free = True
        self._lock = threading.Lock()
        self.initial = self._initial(INITIAL_STATE in graphs)

    def interpreter(self) -> Interpreter:
        """Returns what runs the steps of a new stream: shared, or its own where states are inside.

        Raises:
            RunError: There is not enough memory for another.
        """
        if not self.is_internal:
            return self._shared
        with self._lock:
            if self._is_free:
                self._is_free = False
                return self._shared
        return Interpreter(self._opened(), self._takes, self._makes, self.path.name)

    def named(self, x: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns inputs by their names in the file, where Keras had others."""
        return {self._names.get(name, name): values for name, values in x.items()}

    def _opened(self) -> Any:
        return open_interpreter(self._content, threads=self._threads, path=self.path)

    def _initial(self, is_said: bool) -> list[np.ndarray]:
        """Returns the states at the start, as stored."""
        shapes = {name: _sizes_of(info) for name, info in self.states.items()}
        if not is_said:
            return [
                info.quantize(np.zeros(shapes[name], np.float32))
                for name, info in self.states.items()
            ]
        found = self._shared.signature(INITIAL_STATE)
        wanted = {name: (shapes[name], info.dtype) for name, info in self.states.items()}
        if {name: (one.shape, one.dtype.name) for name, one in found.items()} != wanted:
            raise self._wrong(f"its signature '{INITIAL_STATE}' does not make the states of a step")
        return [found[name] for name in self.states]

    def _sizes(self) -> tuple[int, int]:
        """Returns streams and time steps of a call."""
        sizes = {_sizes_of(info)[:2] for info in self.inputs.values()}
        if len(sizes) != 1:
            raise self._wrong("its inputs are not chunks of the same number of time steps")
        (found,) = sizes
        if len(found) != 2 or min(found) < 1:
            raise self._wrong(f"its inputs have the sizes {list(found)}, without time steps")
        return found[0], found[1]

    def _wrong(self, what: str) -> RunError:
        return RunError(
            f"{self.path} is no streaming file as keras-rnn-zoo writes them: {what}. Export it "
            "again."
        )


def _file_of(
    source: PathLike, quantization: str | None
) -> tuple[Path, Preprocessor | None, Mapping[str, str]]:
    """Returns a file, the preprocessor beside it, and Keras' names of inputs -> those of files."""
    if kind_of(source) not in (TFLITE, FILE):
        bundle = Bundle.load(require(source, BUNDLE, TFLITE))
        return bundle.checked_file(quantization), bundle.preprocessor, bundle.report.names
    path = Path(source)
    if quantization is not None:
        raise ConfigError(
            f"quantization chooses a file of a bundle, and {path} is a file. Leave it out. "
            f"Received: {quantization!r}"
        )
    return path, None, {}


def _signatures(path: Path, content: bytes) -> dict[str, int]:
    """Returns the name of each signature -> its subgraph."""
    with tables.reading(path):
        model = tables.schema().Model.GetRootAs(content, 0)
        found = tables.every(model.SignatureDefsLength, model.SignatureDefs)
        return {(one.SignatureKey() or b"").decode("utf-8"): one.SubgraphIndex() for one in found}


def _sizes_of(info: TensorInfo) -> tuple[int, ...]:
    """Returns the sizes of a tensor; 0 for those that are open."""
    return tuple(size or 0 for size in info.shape)


def _stored(info: TensorInfo) -> tuple[Any, ...]:
    return info.shape, info.dtype, info.scale, info.zero_point


def open_checked(source: PathLike, quantization: str | None = None) -> StreamingModel:
    """Opens a file of any origin, after a process of its own has taken a step with it.

    Args:
        source: See `StreamingModel`.
        quantization: See `StreamingModel`.

    Raises:
        RunError: See `StreamingModel`; also a file that crashes or hangs the interpreter.
        OpGateError, UnknownNameError, ConfigError: See `StreamingModel`.
    """
    with Isolated() as process:
        process.ask(f"{__name__}:step_once", _file_of(source, quantization)[0])
    return StreamingModel(source, quantization=quantization)


def step_once(path: str, x: Arrays | None = None) -> tuple[None, list[Arrays]]:
    """Takes a step of zeros, in the process of `open_checked`."""
    model = StreamingModel(path)
    zeros = {
        name: np.zeros(_sizes_of(info), np.float32 if "float" in info.dtype else info.dtype)
        for name, info in model.inputs.items()
    }
    model.interpreter().step([*zeros.values(), *model.initial])
    return None, []
