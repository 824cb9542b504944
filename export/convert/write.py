"""One way to write a model: traced, converted, and checked, in a scratch directory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ConversionError, RunError, ZooError
from keras_rnn_zoo.export.convert import converter
from keras_rnn_zoo.export.convert.trace import trace, untraceable
from keras_rnn_zoo.export.keras_model.samples import Samples, synthetic_samples
from keras_rnn_zoo.export.keras_model.sequences import make_lengths, paddings
from keras_rnn_zoo.export.keras_model.signature import Timesteps, fixed_shapes
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.lowering.rewrite import Expressed
from keras_rnn_zoo.export.quantization import Quantization
from keras_rnn_zoo.export.tflite import contents
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.verify.reference import resized


@dataclass(frozen=True)
class Form:
    """How a file is to be written, whatever the model; see `export_tflite`."""

    mode: Quantization
    lowering: str
    fold: bool = False
    batch_size: int = 1
    timesteps: Timesteps = None
    integer_io: bool = False

    def attempt(self, part: Any, seconds: float) -> None:
        """Converts a part of a model, for the search for the layer to blame."""
        data = synthetic_samples(part) if self.mode.needs_representative_data else None
        form = replace(self, timesteps=None, integer_io=False)
        with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
            write(part, Path(scratch), form, data, seconds)

    def settings(self) -> dict[str, Any]:
        """Returns the arguments of `export_tflite` that say the same."""
        return {
            "quantization": self.mode.name,
            "lowering": self.lowering,
            "batch_size": self.batch_size,
            "timesteps": self.timesteps,
        }


@dataclass(frozen=True)
class Written:
    """A file in a scratch directory.

    Attributes:
        path: The file.
        expressed: How each recurrent layer is expressed.
        info: What the file holds.
        float32_bytes: Size of the same file before it was quantized.
    """

    path: Path
    expressed: Expressed
    info: contents.FileInfo
    float32_bytes: int


def write(
    model: Any,
    directory: Path,
    form: Form,
    calibration: Samples | None,
    seconds: float = converter.DEFAULT_TIMEOUT,
) -> Written:
    """Writes a model into a scratch directory.

    Args:
        model: A built functional or sequential model.
        directory: An empty one.
        form: How.
        calibration: Inputs like those that it will meet, where the mode needs them.
        seconds: The most that the converter may take.

    Raises:
        ExportError: The model cannot be exported.
        ConversionError: It does not convert, or the interpreter does not load the file.
        OpGateError: The file holds ops outside the builtin set.
    """
    written, saved_model = directory / "model.tflite", directory / "saved_model"
    try:
        expressed = trace(
            model,
            saved_model,
            lowering=form.lowering,
            batch_size=form.batch_size,
            timesteps=form.timesteps,
            products=form.mode.products,
            fold=form.fold,
        )
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # whatever a layer, or TensorFlow on its behalf, raises
        raise untraceable(error) from error
    converter.convert(saved_model, written, seconds)
    if LOWERINGS.get(form.lowering).open_sizes:
        sizes = fixed_shapes(model, form.batch_size, form.timesteps)
        written.write_bytes(fb.sized(written.read_bytes(), {s.name: s.shape for s in sizes}))
    try:
        contents.check_builtin_only(written)
        groups = [] if calibration is None else [calibration]
        if groups and LOWERINGS.get(form.lowering).open_sizes:
            groups += resized(model, groups[0])
        # Lengths that the data lack have ranges too, which those of long inputs are not.
        groups = [_with_lengths(group, paddings(model)) for group in groups]
        plain = written.read_bytes()
        written.write_bytes(form.mode.quantized(plain, groups, form.integer_io))
        info = contents.check_builtin_only(written)
    except RunError as error:  # whose advice is for files that were damaged on their way
        reason = " ".join(str(error.__cause__ or error).split())
        raise ConversionError(
            f"The interpreter does not load what the converter wrote: {reason}",
            reason,
            "unloadable",
        ) from error
    return Written(written, expressed, info, len(plain))


def _with_lengths(x: Samples, padding: Mapping[str, float]) -> Samples:
    made = make_lengths(x, padding)
    return {name: np.concatenate([x[name], made[name]]) for name in x}
