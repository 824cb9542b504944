"""One way to write a model: traced, converted, and through the op gate, in a scratch directory."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ConversionError, RunError, ZooError
from keras_rnn_zoo.export import converting, gate
from keras_rnn_zoo.export.quantization import Quantization
from keras_rnn_zoo.export.reference import make_lengths
from keras_rnn_zoo.export.remedies import untraceable
from keras_rnn_zoo.export.rewriting import Expressed
from keras_rnn_zoo.export.running import TFLiteModel
from keras_rnn_zoo.export.samples import Samples, synthetic_samples
from keras_rnn_zoo.export.tap import Tap
from keras_rnn_zoo.export.tracing import Timesteps, run_eagerly, trace


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
            write(part, Path(scratch), form, calibrated(part, form, data), seconds)

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
    """

    path: Path
    expressed: Expressed
    info: gate.FileInfo


def calibrated(model: Any, form: Form, calibration: Samples | None, *, rough: bool = False) -> Tap:
    """Returns what the quantization mode wants to see the model through, calibrated.

    Args:
        model: What is to be written.
        form: How.
        calibration: Inputs like those that it will meet, where the mode needs them.
        rough: Only the size and the speed of the file matter; see `Quantization.rough_tap`.

    Raises:
        ExportError: A layer does not take the inputs.
    """

    def calibrate(tap: Tap) -> None:
        assert calibration is not None
        # Lengths that the data lack have ranges too: those of a short input are not a long one's.
        made = make_lengths(calibration)
        data = {name: np.concatenate([calibration[name], made[name]]) for name in made}
        run_eagerly(model, data, form.lowering, tap, integer_io=form.integer_io)

    try:
        return (form.mode.rough_tap if rough else form.mode.tap)(calibrate)
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # whatever a layer raises
        raise untraceable(error) from error


def write(
    model: Any, directory: Path, form: Form, tap: Tap, seconds: float = converting.DEFAULT_TIMEOUT
) -> Written:
    """Writes a model into a scratch directory.

    Args:
        model: A built functional or sequential model.
        directory: An empty one.
        form: How.
        tap: Returned by `calibrated`.
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
            tap=tap,
            fold=form.fold,
            integer_io=form.integer_io,
        )
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # whatever a layer, or TensorFlow on its behalf, raises
        raise untraceable(error) from error
    options = {**form.mode.converter_options, "integer_io": form.integer_io}
    converting.convert(saved_model, written, options, seconds)
    try:
        info = gate.check_builtin_only(written)
    except RunError as error:  # whose advice is for files that were damaged on their way
        reason = " ".join(str(error.__cause__ or error).split())
        raise ConversionError(
            f"The interpreter does not load what the converter wrote: {reason}",
            reason,
            "unloadable",
        ) from error
    if form.integer_io:
        _check_integer_io(written)
    return Written(written, expressed, info)


def _check_integer_io(path: Path) -> None:
    file = TFLiteModel(path)
    for kind, tensors in (("input", file.inputs), ("output", file.outputs)):
        for name, info in tensors.items():
            if "float" in info.dtype:
                raise ConversionError(
                    f"The TFLite converter left the {kind} '{name}' in {info.dtype}. Leave "
                    "inference_type at 'float32'."
                )
