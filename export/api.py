"""Export of any Keras model with recurrent layers, proven on the file that was written."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import (
    ConversionError,
    ExportError,
    OpGateError,
    RunError,
    ZooError,
)
from keras_rnn_zoo.export import gate, verification
from keras_rnn_zoo.export.converting import CONVERTER, DEFAULT_TIMEOUT
from keras_rnn_zoo.export.diagnosing import diagnosed
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.progress import Progress, teller
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.quantization._base import Quantization
from keras_rnn_zoo.export.reference import make_lengths
from keras_rnn_zoo.export.remedies import untraceable
from keras_rnn_zoo.export.samples import Samples, as_samples, synthetic_samples
from keras_rnn_zoo.export.tap import Tap
from keras_rnn_zoo.export.tracing import fixed_shapes, run_eagerly, trace

# Enough to see the range of each activation; more changes the ranges little and costs time.
CALIBRATION_SAMPLES = 256
# Each is answered by Keras and by the file three times over.
VERIFICATION_SAMPLES = 32


@dataclass(frozen=True)
class TFLiteResult:
    """What `export_tflite` wrote and how it was proven.

    Attributes:
        path: The file.
        bytes: Its size.
        quantization: Name of the quantization mode.
        lowering: Path of each recurrent layer -> the lowering that expresses it.
        ops: Builtin op -> how often the file holds it.
        parity: How the file's answers compare with the Keras model's; None with `verify=False`.
        synthetic: The samples were random, because none were given.
    """

    path: Path
    bytes: int
    quantization: str
    lowering: dict[str, str]
    ops: dict[str, int]
    parity: verification.Parity | None = None
    synthetic: bool = field(default=False)


def export_tflite(
    model: Any,
    path: files.PathLike,
    *,
    quantization: str | None = None,
    representative_data: Any = None,
    samples: Any = None,
    batch_size: int = 1,
    timesteps: int | None = None,
    lowering: str = "loop",
    verify: bool = True,
    tolerance: verification.Tolerance | None = None,
    diagnose: bool | files.PathLike = True,
    progress: bool | Progress = True,
) -> TFLiteResult:
    """Writes a Keras model as a .tflite file of builtin ops and proves it on real samples.

    Takes any built functional or sequential model that holds SimpleRNN, LSTM, GRU, RNN,
    Bidirectional or CellLoop layers, at any depth. The model itself is not changed. The file
    appears at `path` only when it holds builtin ops alone and answers what the model answers.

    Args:
        model: A built `keras.Model`.
        path: File to write; one that exists is replaced.
        quantization: `None` or `"none"` (float32), `"float16"`, `"dynamic"` (int8 weights) or
            `"int8"` (int8 weights and matrix products, calibrated).
        representative_data: Inputs like those the model will meet, for `"int8"`: an array
            `[samples, ...]`, a list or dict of arrays for several inputs, or a callable that
            yields samples of batch 1, as the TFLite converter takes. A few hundred are enough.
        samples: Inputs to verify on, in the same forms; the representative data where none are
            given, and random inputs where there is neither.
        batch_size: Sequences that one call of the file answers.
        timesteps: Number of time steps where the model's input leaves it open.
        lowering: How recurrences are expressed: see `keras_rnn_zoo.export.LOWERINGS`.
        verify: Compare the file's answers with the model's.
        tolerance: Differences to accept instead of those of the quantization mode.
        diagnose: Where a model does not convert, look for the layer to blame (about 45 s at
            most) and write what a bug report needs to the directory `<stem>.failure` beside
            `path`, or to the directory that is named here. False does neither.
        progress: Print what that search tries to stderr, or call this with each line.

    Returns:
        What was written and measured.

    Raises:
        UnknownNameError: No such quantization or lowering.
        ExportError: The model cannot be exported, or the inputs do not fit it.
        ConversionError: The model does not convert; the message names the layer to blame and what
            to do, `log` has all that the converter said.
        OpGateError: The file holds ops outside the builtin set; the message is as helpful.
        VerificationError: The file answers something else than the model.
        OutputError: `path` cannot be written.
    """
    mode = QUANTIZATIONS.get(quantization or "none")
    LOWERINGS.get(lowering)
    path = Path(path)
    if path.is_dir():
        raise ExportError(f"Cannot write {path}: it is a directory. Name a file, model.tflite say.")
    if batch_size < 1:
        raise ExportError(f"batch_size must be at least 1. Received: {batch_size}")
    if mode.needs_representative_data and representative_data is None:
        raise ExportError(
            f"Quantization '{mode.name}' calibrates on real inputs and there are none. Pass "
            "representative_data=..., a few hundred inputs like those the model will meet, or "
            "choose 'dynamic', which needs none."
        )
    fixed_shapes(model, batch_size, timesteps)
    given = representative_data if samples is None else samples
    if given is not None:
        proof = as_samples(model, given, limit=VERIFICATION_SAMPLES, timesteps=timesteps)
    else:
        proof = synthetic_samples(model, timesteps)
    calibration = None
    if mode.needs_representative_data:
        calibration = as_samples(
            model,
            representative_data,
            what="representative data",
            limit=CALIBRATION_SAMPLES,
            timesteps=timesteps,
        )

    def attempt(part: Any, seconds: float) -> None:
        data = synthetic_samples(part) if mode.needs_representative_data else None
        with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
            _convert(part, Path(scratch), mode, data, lowering, batch_size, None, seconds)

    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
        try:
            written, lowered, info = _convert(
                model,
                Path(scratch),
                mode,
                calibration,
                lowering,
                batch_size,
                timesteps,
                DEFAULT_TIMEOUT,
            )
        except (ConversionError, OpGateError) as error:
            if diagnose is False:
                raise
            raise diagnosed(
                error,
                model,
                attempt,
                path.with_name(f"{path.stem}.failure") if diagnose is True else Path(diagnose),
                {
                    "quantization": mode.name,
                    "lowering": lowering,
                    "batch_size": batch_size,
                    "timesteps": timesteps,
                },
                teller(progress),
            ) from error
        parity = None
        if verify:
            parity = verification.verify_tflite(written, model, proof, tolerance or mode.tolerance)
        files.write_bytes(path, written.read_bytes())
    return TFLiteResult(
        path=path,
        bytes=info.bytes,
        quantization=mode.name,
        lowering=lowered,
        ops=info.ops,
        parity=parity,
        synthetic=given is None,
    )


def _convert(
    model: Any,
    directory: Path,
    mode: Quantization,
    calibration: Samples | None,
    lowering: str,
    batch_size: int,
    timesteps: int | None,
    seconds: float,
) -> tuple[Path, dict[str, str], gate.FileInfo]:
    """Writes a model into a scratch directory; returns the file, the lowerings, what it holds."""

    def calibrate(tap: Tap) -> None:
        assert calibration is not None
        # Lengths that the data lack have ranges too: those of a short input are not a long one's.
        made = make_lengths(calibration)
        data = {name: np.concatenate([calibration[name], made[name]]) for name in made}
        run_eagerly(model, data, lowering, tap)

    written, saved_model = directory / "model.tflite", directory / "saved_model"
    try:
        lowered = trace(
            model,
            saved_model,
            lowering=lowering,
            batch_size=batch_size,
            timesteps=timesteps,
            tap=mode.tap(calibrate),
        )
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # whatever a layer, or TensorFlow on its behalf, raises
        raise untraceable(error) from error
    CONVERTER.convert(saved_model, written, dict(mode.converter_options), seconds)
    try:
        info = gate.check_builtin_only(written)
    except RunError as error:  # whose advice is for files that were damaged on their way
        reason = " ".join(str(error.__cause__ or error).split())
        raise ConversionError(
            f"The interpreter does not load what the converter wrote: {reason}",
            reason,
            "unloadable",
        ) from error
    return written, lowered, info
