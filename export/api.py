"""Export of any Keras model with recurrent layers, proven on the file that was written."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import ConversionError, ExportError, UnknownNameError, listed, nearest
from keras_rnn_zoo.export import gate, verification
from keras_rnn_zoo.export.converting import CONVERTER
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.quantization import QUANTIZATIONS, Quantization
from keras_rnn_zoo.export.reference import make_lengths
from keras_rnn_zoo.export.running import TFLiteModel
from keras_rnn_zoo.export.samples import as_samples, synthetic_samples, token_inputs
from keras_rnn_zoo.export.tap import Tap
from keras_rnn_zoo.export.tracing import fixed_shapes, input_specs, run_eagerly, trace

INFERENCE_TYPES = ("float32", "int8")

# Enough to see the range of each activation; more changes the ranges little and costs time.
CALIBRATION_SAMPLES = 256
# Each is answered by Keras and by the file three times over.
VERIFICATION_SAMPLES = 32


@dataclass(frozen=True)
class Unquantized:
    """A weight that a quantized file stores in float32.

    Attributes:
        name: Its name in the file.
        shape: Its shape.
        bytes: What it takes in the file.
        reason: Why it was not quantized.
    """

    name: str
    shape: tuple[int, ...]
    bytes: int
    reason: str


@dataclass(frozen=True)
class TFLiteResult:
    """What `export_tflite` wrote and how it was proven.

    Attributes:
        path: The file.
        bytes: Its size.
        quantization: Name of the quantization mode.
        lowering: Path of each recurrent layer -> the lowering that expresses it.
        fallbacks: Path of a layer that the chosen lowering refused -> why.
        inference_type: Type of the file's inputs and outputs, token ids aside.
        ops: Builtin op -> how often the file holds it.
        unquantized: The weights that stayed in float32 in a mode that quantizes. Biases are none.
        parity: How the file's answers compare with the Keras model's; None with `verify=False`.
        synthetic: The samples were random, because none were given.
    """

    path: Path
    bytes: int
    quantization: str
    lowering: dict[str, str]
    inference_type: str
    ops: dict[str, int]
    unquantized: tuple[Unquantized, ...] = ()
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
    inference_type: str = "float32",
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
        inference_type: Type of the file's inputs and outputs: `"float32"`, or with `"int8"` also
            `"int8"`, real value = scale * (stored - zero point). Token ids stay int32.
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
    check_inference_type(inference_type, [mode])
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
    integer_io = inference_type == "int8"
    if integer_io:
        check_integer_inputs(model)

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
        run_eagerly(model, data, lowering, tap, integer_io=integer_io)

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
            integer_io=integer_io,
        )
        options = {**mode.converter_options, "integer_io": integer_io}
        CONVERTER.convert(saved_model, written, options)
        info = gate.check_builtin_only(written)
        if integer_io:
            _check_integer_io(written)
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
        inference_type=inference_type,
        ops=info.ops,
        unquantized=tuple(
            Unquantized(weight.name, weight.shape, weight.bytes, reason)
            for weight in info.float32_weights
            if (reason := mode.why_float32(weight)) is not None
        ),
        parity=parity,
        synthetic=given is None,
    )


def check_inference_type(inference_type: str, modes: Sequence[Quantization]) -> None:
    """Refuses a type of inputs and outputs that none of the modes can give a file.

    Raises:
        UnknownNameError: No such type.
        ExportError: None of the modes computes in integers.
    """
    if inference_type not in INFERENCE_TYPES:
        raise UnknownNameError(
            f"Unknown inference type: {inference_type!r}."
            f"{nearest(inference_type, INFERENCE_TYPES)} Known: {listed(INFERENCE_TYPES)}."
        )
    if inference_type == "int8" and not any(mode.integer_io for mode in modes):
        raise ExportError(
            "inference_type='int8' needs quantization 'int8'. Received: "
            f"{listed(mode.name for mode in modes) or 'no .tflite file'}, which takes and answers "
            "float32. Choose 'int8', or leave inference_type at 'float32'."
        )


def check_integer_inputs(model: Any) -> None:
    """Refuses a model with token ids as floats: 256 levels cannot tell them apart.

    Raises:
        ExportError: An embedding takes a float input.
    """
    tokens = token_inputs(model)
    for spec in input_specs(model):
        if spec.name in tokens and "int" not in spec.dtype:
            raise ExportError(
                f"Input '{spec.name}' of model '{model.name}' is {spec.dtype} and holds token ids, "
                "which int8 cannot. Build the model with keras.Input(..., dtype='int32') and the "
                "same weights, or leave inference_type at 'float32'."
            )


def _check_integer_io(path: Path) -> None:
    file = TFLiteModel(path)
    for kind, tensors in (("input", file.inputs), ("output", file.outputs)):
        for name, info in tensors.items():
            if "float" in info.dtype:
                raise ConversionError(
                    f"The TFLite converter left the {kind} '{name}' in {info.dtype}. Leave "
                    "inference_type at 'float32'."
                )
