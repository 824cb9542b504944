"""Export of any Keras model with recurrent layers, proven on the file that was written."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import ExportError
from keras_rnn_zoo.export import gate, verification
from keras_rnn_zoo.export.converting import CONVERTER
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.reference import make_lengths
from keras_rnn_zoo.export.samples import as_samples, synthetic_samples
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
        fallbacks: Path of a layer that the chosen lowering refused -> why.
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
    fallbacks: dict[str, str] = field(default_factory=dict)


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
    fold_embedding: bool = False,
    verify: bool = True,
    tolerance: verification.Tolerance | None = None,
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
        lowering: How recurrences are expressed: see `keras_rnn_zoo.export.LOWERINGS`. A layer that
            it cannot express is left to another one, and the result says why.
        verify: Compare the file's answers with the model's.
        tolerance: Differences to accept instead of those of the quantization mode.

    Returns:
        What was written and measured.

    Raises:
        UnknownNameError: No such quantization or lowering.
        ExportError: The model cannot be exported, or the inputs do not fit it.
        ConversionError: The converter failed or crashed.
        OpGateError: The file holds ops outside the builtin set.
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

    def calibrate(tap: Tap) -> None:
        data = as_samples(
            model,
            representative_data,
            what="representative data",
            limit=CALIBRATION_SAMPLES,
            timesteps=timesteps,
        )
        # Lengths that the data lack have ranges too: those of a short input are not a long one's.
        made = make_lengths(data)
        data = {name: np.concatenate([data[name], made[name]]) for name in data}
        run_eagerly(model, data, lowering, tap)

    given = representative_data if samples is None else samples
    if given is not None:
        proof = as_samples(model, given, limit=VERIFICATION_SAMPLES, timesteps=timesteps)
    else:
        proof = synthetic_samples(model, timesteps)

    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
        written = Path(scratch) / "model.tflite"
        saved_model = Path(scratch) / "saved_model"
        expressed = trace(
            model,
            saved_model,
            lowering=lowering,
            batch_size=batch_size,
            timesteps=timesteps,
            tap=mode.tap(calibrate),
            fold=fold_embedding,
        )
        CONVERTER.convert(saved_model, written, dict(mode.converter_options))
        info = gate.check_builtin_only(written)
        parity = None
        if verify:
            parity = verification.verify_tflite(written, model, proof, tolerance or mode.tolerance)
        files.write_bytes(path, written.read_bytes())
    return TFLiteResult(
        path=path,
        bytes=info.bytes,
        quantization=mode.name,
        lowering=expressed.lowering,
        fallbacks=expressed.fallbacks,
        ops=info.ops,
        parity=parity,
        synthetic=given is None,
    )
