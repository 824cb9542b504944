"""Runs a .tflite file, with numpy and `ai_edge_litert` alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from keras_rnn_zoo.errors import ConfigError, RunError, listed
from keras_rnn_zoo.export.tflite.file import RESET, STEP, description, open_interpreter, read
from keras_rnn_zoo.files import PathLike

Arrays: TypeAlias = dict[str, np.ndarray]
SIGNATURE = "serving_default"


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a file.

    Attributes:
        name: Its name in the signature.
        index: Its tensor index.
        shape: Its shape, batch included; None where an input can be resized.
        dtype: NumPy name of its type.
        scale: Real value of one quantization step; 0 where it is not quantized.
        zero_point: The stored number that stands for 0.
    """

    name: str
    index: int
    shape: tuple[int | None, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Returns float or integer values in the dtype that the tensor stores."""
        if self.scale:
            limits = np.iinfo(self.dtype)
            values = np.rint(values / self.scale) + self.zero_point
            values = values.clip(limits.min, limits.max)
        return values.astype(self.dtype, copy=False)

    def dequantize(self, stored: np.ndarray) -> np.ndarray:
        """Returns the real values of what the tensor stores."""
        if self.scale:
            return ((stored.astype(np.float32) - self.zero_point) * self.scale).astype(np.float32)
        return stored


class TFLiteModel:
    """A .tflite file that runs, without TensorFlow.

    A file that says so is reset before each call, as its client has to do.

    Args:
        file: The file, or what it holds.
        threads: CPU threads of an invoke.
        keep_tensors: See `contents.open_interpreter`.

    Attributes:
        path: The file.
        inputs: Name -> `TensorInfo`.
        outputs: Name -> `TensorInfo`.
        batch_size: Sequences that one invoke answers, where the inputs cannot be resized.

    Raises:
        RunError: The file is missing or damaged.
        OpGateError: The interpreter lacks one of its ops.
    """

    def __init__(self, file: PathLike | bytes, threads: int = 1, *, keep_tensors: bool = False):
        self.path = Path("the file") if isinstance(file, bytes) else Path(file)
        if threads < 1:
            raise ConfigError(f"threads must be at least 1. Received: {threads}")
        content = file if isinstance(file, bytes) else read(self.path)
        self.interpreter = open_interpreter(
            content if isinstance(file, bytes) else self.path,
            threads=threads,
            keep_tensors=keep_tensors,
        )
        self._resets = description(content) == RESET
        signatures = self.interpreter.get_signature_list()
        first = next(iter(signatures), None)
        key = next((known for known in (SIGNATURE, STEP) if known in signatures), first)
        if key is None:
            inputs = {plain_name(d["name"]): d for d in self.interpreter.get_input_details()}
            outputs = {plain_name(d["name"]): d for d in self.interpreter.get_output_details()}
        else:
            runner = self.interpreter.get_signature_runner(key)
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
        self.inputs = {name: tensor_info(name, inputs[name]) for name in inputs}
        self.outputs = {name: tensor_info(name, outputs[name]) for name in outputs}
        first = next(iter(self.inputs.values()), None)
        self.batch_size = (first.shape[0] if first is not None and first.shape else None) or 1
        # The sizes that the inputs have now.
        self._sizes = {
            name: tuple(details["shape"]) for name, details in inputs.items() if self.open(name)
        }

    @property
    def tensors(self) -> dict[str, list[TensorInfo]]:
        """What a call takes and makes: `inputs` and `outputs`."""
        return {"inputs": list(self.inputs.values()), "outputs": list(self.outputs.values())}

    def open(self, name: str) -> bool:
        """Returns whether an input can be resized."""
        return None in self.inputs[name].shape

    def set_inputs(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets one batch of inputs, quantized as the file stores them, and resizes what is open."""
        sizes = {name: values[name].shape for name in self._sizes}
        if sizes != self._sizes:
            for name, shape in sizes.items():
                self.interpreter.resize_tensor_input(self.inputs[name].index, shape)
            try:
                self.interpreter.allocate_tensors()
            except RuntimeError as error:
                self._sizes = dict.fromkeys(sizes, ())
                reason = " ".join(str(error).split())
                raise RunError(
                    f"{self.path.name} leaves sizes open, but does not take inputs of the shapes "
                    f"{ {name: list(shape) for name, shape in sizes.items()} }: {reason}"
                ) from error
            self._sizes = sizes
        for name, info in self.inputs.items():
            self.interpreter.set_tensor(info.index, info.quantize(values[name]))

    def invoke(self) -> Arrays:
        """Runs the file once on the inputs that are set; returns name -> real values."""
        if self._resets:
            self.interpreter.reset_all_variables()
        self.interpreter.invoke()
        return {
            name: info.dequantize(self.interpreter.get_tensor(info.index))
            for name, info in self.outputs.items()
        }

    def batches(self, x: Arrays, batch_size: int | None = None) -> Iterator[tuple[int, Arrays]]:
        """Yields batches of the file's size and how many rows of each count; the last is filled.

        Args:
            x: Input name -> samples.
            batch_size: Another size, for inputs that can be resized.

        Raises:
            RunError: Inputs that the file does not take.
        """
        if set(x) != set(self.inputs):
            raise RunError(
                f"{self.path.name} takes the inputs {listed(self.inputs)}. Received: {listed(x)}."
            )
        for name, info in self.inputs.items():
            if not fits(info.shape, x[name].shape):
                sizes = ["samples", *("?" if size is None else size for size in info.shape[1:])]
                raise RunError(
                    f"{self.path.name} takes arrays of the shape {sizes} as '{name}'. Received: "
                    f"{list(x[name].shape)}"
                )
        count = len(next(iter(x.values())))
        if batch_size is None or not all(
            info.shape[:1] == (None,) for info in self.inputs.values()
        ):
            batch_size = self.batch_size
        for start in range(0, count, batch_size):
            used = min(batch_size, count - start)
            rows = np.arange(start, start + batch_size).clip(max=count - 1)
            yield used, {name: array[rows] for name, array in x.items()}

    def answer(self, x: Arrays, invokes: int = 1, batch_size: int | None = None) -> list[Arrays]:
        """Answers each batch of inputs several times in a row.

        Args:
            x: Input name -> samples.
            invokes: How often; more than once shows state that the file keeps.
            batch_size: See `batches`.

        Returns:
            For each invoke, output name -> answers to all samples.

        Raises:
            RunError: Inputs that the file does not take.
        """
        parts: list[dict[str, list[np.ndarray]]] = [
            {name: [] for name in self.outputs} for _ in range(invokes)
        ]
        for used, batch in self.batches(x, batch_size):
            self.set_inputs(batch)
            for part in parts:
                for name, values in self.invoke().items():
                    part[name].append(values[:used])
        return [
            {
                name: np.concatenate(values)
                if values
                else np.zeros([0, *(size or 0 for size in self.outputs[name].shape[1:])])
                for name, values in part.items()
            }
            for part in parts
        ]

    def predict(self, x: np.ndarray | Arrays) -> Any:
        """Answers encoded inputs, whatever their number.

        Args:
            x: An array `[samples, ...]`, or name -> array for several inputs.

        Returns:
            An array `[samples, ...]`, or name -> array for several outputs.

        Raises:
            RunError: Inputs that the file does not take.
        """
        if not isinstance(x, Mapping):
            if len(self.inputs) != 1:
                raise RunError(
                    f"{self.path.name} has the inputs {listed(self.inputs)}: pass a dict of "
                    "arrays by name."
                )
            x = {next(iter(self.inputs)): np.asarray(x)}
        (answers,) = self.answer(dict(x))
        return answers if len(answers) != 1 else next(iter(answers.values()))


def fits(shape: tuple[int | None, ...], actual: tuple[int | None, ...]) -> bool:
    """Returns whether sizes behind the batch axis are the same, or open in one of the two."""
    return len(shape) == len(actual) and all(
        one is None or other is None or one == other
        for one, other in zip(shape[1:], actual[1:], strict=True)
    )


def plain_name(name: str) -> str:
    """Returns the name of an input or output in a file without signatures."""
    return name.removeprefix(f"{SIGNATURE}_").split(":")[0]


def tensor_info(name: str, details: dict[str, Any]) -> TensorInfo:
    """Returns the description of a tensor from the interpreter's details of it."""
    parameters = details["quantization_parameters"]
    quantized = len(parameters["scales"]) == 1
    return TensorInfo(
        name=name,
        index=int(details["index"]),
        shape=tuple(
            None if size < 0 else int(size)
            for size in details.get("shape_signature", details["shape"])
        ),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(parameters["scales"][0]) if quantized else 0.0,
        zero_point=int(parameters["zero_points"][0]) if quantized else 0,
    )
