"""What every quantization mode is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from keras_rnn_zoo.export.lowering import FLOAT, Products
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import FileInfo, Weight
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.verify.tolerance import Tolerance
from keras_rnn_zoo.registry import Registry, extends


class Quantization(ABC):
    """A quantization mode: what becomes of the float32 file that the converter wrote.

    Attributes:
        name: The name on the command line and in `export_tflite(quantization=...)`.
        file_name: The file of a bundle that holds the model in this mode.
        description: One line for a person.
        tolerance: How far the file may be from the Keras model, and why.
        takes_representative_data: Whether it is better where there are real inputs.
        needs_representative_data: Whether ranges of activations are calibrated on them.
        integer_io: Whether the inputs and outputs of the file may be integers.
        products: What its matrix products cost, for the lowering.
        integer_products: Inputs and results of products with weights are rounded, too; see
            `export.rounding`.
        by_chance: `disturbed` moves weights up or down by chance.
        integer_type: What they are then.
        targets: Names of the targets that it is for; None for all.
    """

    name: ClassVar[str]
    file_name: ClassVar[str]
    description: ClassVar[str]
    tolerance: ClassVar[Tolerance]
    takes_representative_data: ClassVar[bool] = False
    needs_representative_data: ClassVar[bool] = False
    integer_io: ClassVar[bool] = False
    products: ClassVar[Products] = FLOAT
    integer_products: ClassVar[bool] = False
    by_chance: ClassVar[bool] = False
    integer_type: ClassVar[str] = "int8"
    targets: ClassVar[tuple[str, ...] | None] = None

    def check_available(self) -> None:  # noqa: B027 most modes need nothing
        """Refuses a mode whose files cannot be proven here, as something is not installed.

        Raises:
            ZooError: The message says what to install.
        """

    def quantized(self, content: bytes, calibration: Sequence[Arrays], integer_io: bool) -> bytes:
        """Returns a float32 file in this mode; see `apply`."""
        model = fb.unpack(content)
        self.apply(model, content, calibration, integer_io)
        return fb.pack(model)

    @abstractmethod
    def apply(
        self, model: fb.Model, content: bytes, calibration: Sequence[Arrays], integer_io: bool
    ) -> None:
        """Quantizes a file.

        Args:
            model: The float32 file, which is changed.
            content: The same as it was written.
            calibration: Input name -> samples, a group for each length; empty where there are none
                and the mode needs none.
            integer_io: Inputs and outputs become integers.
        """

    @abstractmethod
    def disturbed(self, weight: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns a weight as this mode stores it, or as far from it as its rounding is.

        Verification has the Keras model answer with such weights, and so learns how much the model
        makes of the rounding, before it judges the file.
        """

    def disturbed_input(self, values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns float inputs as far from what they were as this mode takes them."""
        return one_place(values, generator)

    def why_float32(self, weight: Weight) -> str | None:
        """Says why a weight of a file in this mode is stored in float32; None where all are."""
        return "the op that takes it has no such weights"


def one_place(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Moves floats by one unit in the last place, up or down."""
    up = generator.random(values.shape) < 0.5
    return np.asarray(np.nextafter(values, np.where(up, np.inf, -np.inf).astype(values.dtype)))


QUANTIZATIONS: Registry[Quantization] = Registry(
    "quantization mode",
    "keras_rnn_zoo.export.quantization.modes",
    "keras_rnn_zoo.quantizations",
    extends(
        "quantization mode",
        Quantization,
        lambda entry: {
            "a file_name that ends in .tflite": str(getattr(entry, "file_name", "")).endswith(
                ".tflite"
            ),
            "a tolerance": isinstance(getattr(entry, "tolerance", None), Tolerance),
        },
    ),
)


def register_quantization(name: str) -> Callable[[type[Quantization]], type[Quantization]]:
    """Registers a `Quantization` under `name`."""
    return QUANTIZATIONS.decorator(name)


def roundings(modes: Sequence[Quantization]) -> Mapping[str, Quantization]:
    """Returns what `reference_of` has to know to judge files in these modes."""
    # Without rounding, always: it tells a model that amplifies any rounding.
    return {mode.name: mode for mode in (QUANTIZATIONS.get("none"), *modes)}


def held_quantization(info: FileInfo, tensors: Sequence[Mapping[str, Any]]) -> str:
    """Returns the mode that writes what a file holds.

    Args:
        info: What `contents.inspect` returns.
        tensors: `TensorInfo`s of its inputs and outputs, as mappings.
    """
    if info.quantized_weight_bytes:
        # Weights alone, or what is multiplied by them, too.
        whole = "QUANTIZE" in info.ops or any(tensor["scale"] for tensor in tensors)
        if whole and info.tensors.get("INT16") and info.weights.get("INT64"):
            return "int16x8"
        return "int8" if whole else "dynamic"
    return "float16" if info.weights.get("FLOAT16") else "none"
