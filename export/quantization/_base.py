"""What every quantization mode is."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from keras_rnn_zoo.export.gate import Weight
from keras_rnn_zoo.export.tap import Tap
from keras_rnn_zoo.export.verification import Tolerance
from keras_rnn_zoo.registry import Registry


class Quantization(ABC):
    """A quantization mode.

    Attributes:
        name: The name on the command line and in `export_tflite(quantization=...)`.
        file_name: The file of a bundle that holds the model in this mode.
        description: One line for a person.
        tolerance: How far the file may be from the Keras model, and why.
        needs_representative_data: Whether ranges of activations are calibrated on real inputs.
        integer_io: Whether the inputs and outputs of the file may be int8.
        converter_options: Settings of the converter: `optimize`, `float16`.
    """

    name: ClassVar[str]
    file_name: ClassVar[str]
    description: ClassVar[str]
    tolerance: ClassVar[Tolerance]
    needs_representative_data: ClassVar[bool] = False
    integer_io: ClassVar[bool] = False
    converter_options: ClassVar[Mapping[str, Any]] = {}

    def tap(self, calibrate: Callable[[Tap], None]) -> Tap:
        """Returns the tap to trace the model with.

        Args:
            calibrate: Runs the model on the representative data, through the tap it is given.
        """
        return Tap()

    def rough_tap(self, calibrate: Callable[[Tap], None]) -> Tap:
        """Returns a tap for a file that is measured, and whose answers nobody reads.

        Its size and speed must be those of the real one. Where calibrating takes long, and the
        ranges change neither, override this.
        """
        return self.tap(calibrate)

    def why_float32(self, weight: Weight) -> str | None:
        """Says why a weight of a file in this mode is stored in float32; None where all are."""
        return "the converter left it in float32"


QUANTIZATIONS: Registry[Quantization] = Registry(
    "quantization mode", "keras_rnn_zoo.export.quantization"
)


def register_quantization(name: str) -> Callable[[type[Quantization]], type[Quantization]]:
    """Registers a `Quantization` under `name`."""

    def decorate(cls: type[Quantization]) -> type[Quantization]:
        cls.name = name
        QUANTIZATIONS.register(name, cls())
        return cls

    return decorate
