"""Export of any Keras model with recurrent layers, proven on the file that was written."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import (
    ConversionError,
    ExportError,
    OpGateError,
    RunError,
    UnknownNameError,
    VerificationError,
    ZooError,
    listed,
    nearest,
)
from keras_rnn_zoo.export import choosing, gate, verification
from keras_rnn_zoo.export.choosing import Candidate, Choice
from keras_rnn_zoo.export.converting import CONVERTER, DEFAULT_TIMEOUT
from keras_rnn_zoo.export.diagnosing import diagnosed
from keras_rnn_zoo.export.progress import Progress, teller
from keras_rnn_zoo.export.quantization import QUANTIZATIONS, Quantization
from keras_rnn_zoo.export.reference import make_lengths
from keras_rnn_zoo.export.remedies import untraceable
from keras_rnn_zoo.export.rewriting import Expressed
from keras_rnn_zoo.export.running import TFLiteModel
from keras_rnn_zoo.export.samples import Samples, as_samples, synthetic_samples, token_inputs
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
        folded: Paths of the layers whose embedding and input projection are one table.
        choice: What else was tried, and why this was taken; None where nothing else was asked for.
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
    folded: tuple[str, ...] = ()
    choice: Choice | None = None


def export_tflite(
    model: Any,
    path: files.PathLike,
    *,
    quantization: str | None = None,
    representative_data: Any = None,
    samples: Any = None,
    batch_size: int = 1,
    timesteps: int | None = None,
    lowering: str | Sequence[str] = "loop",
    fold_embedding: bool | None = None,
    size_limit: int = choosing.SIZE_LIMIT,
    inference_type: str = "float32",
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
        lowering: How recurrences are expressed: see `keras_rnn_zoo.export.LOWERINGS`. A layer that
            it cannot express is left to another one, and the result says why. `"auto"`, or
            several names, writes each and takes what is fastest on this machine: `choice` says
            why, and how to pin it.
        fold_embedding: Replace an embedding and the input projection of the recurrence right
            behind it by one table: faster, and larger. None leaves it to `"auto"`, and folds
            nothing without; True has the result compare both.
        size_limit: Bytes that a file may have for `"auto"` to fold.
        inference_type: Type of the file's inputs and outputs: `"float32"`, or with `"int8"` also
            `"int8"`, real value = scale * (stored - zero point). Token ids stay int32.
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
    choosing.candidates(lowering, fold_embedding, 1)  # refuses unknown names before any work
    specs = fixed_shapes(model, batch_size, timesteps)
    longest = max((int(spec.shape[1] or 1) for spec in specs if len(spec.shape) > 1), default=1)
    considered = choosing.candidates(lowering, fold_embedding, longest)
    form = _Form(mode, "loop", False, batch_size, timesteps, inference_type == "int8")
    if form.integer_io:
        check_integer_inputs(model)
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

    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
        try:
            converted, considered = _convert_all(
                model, Path(scratch), form, calibration, considered
            )
        except (ConversionError, OpGateError) as error:
            if diagnose is False:
                raise
            form = replace(form, lowering=considered[0].lowering)
            raise diagnosed(
                error,
                model,
                form.attempt,
                path.with_name(f"{path.stem}.failure") if diagnose is True else Path(diagnose),
                form.settings(),
                teller(progress),
            ) from error
        order = list(converted)
        if len(converted) > 1:
            times = choosing.race({c: made.path for c, made in converted.items()}, proof)
            measured = {
                replace(c, bytes=made.info.bytes, median_ms=times[c]): made
                for c, made in converted.items()
            }
            order = choosing.ranked(list(measured), fold_embedding, size_limit)
            converted = {c: measured[replace(c, problem=None)] for c in order}
        chosen, parity, failed = _first_true(
            {c: converted[c].path for c in order if c.problem is None},
            model,
            proof,
            tolerance or mode.tolerance,
            verify,
        )
        made = converted[chosen]
        choice = None
        if len(considered) > 1:
            others = [c for c in considered if c.problem is not None]
            seen = [failed.get(c, c) for c in order]
            choice = choosing.explain(chosen, [*seen, *others], fold_embedding)
        files.write_bytes(path, made.path.read_bytes())
    return TFLiteResult(
        path=path,
        bytes=made.info.bytes,
        quantization=mode.name,
        lowering=made.expressed.lowering,
        fallbacks=made.expressed.fallbacks,
        folded=tuple(sorted(made.expressed.folded)),
        choice=choice,
        inference_type=inference_type,
        ops=made.info.ops,
        unquantized=tuple(
            Unquantized(weight.name, weight.shape, weight.bytes, reason)
            for weight in made.info.float32_weights
            if (reason := mode.why_float32(weight)) is not None
        ),
        parity=parity,
        synthetic=given is None,
    )


@dataclass(frozen=True)
class _Form:
    """How a file is to be written, whatever the model."""

    mode: Quantization
    lowering: str
    fold: bool
    batch_size: int
    timesteps: int | None
    integer_io: bool

    def attempt(self, part: Any, seconds: float) -> None:
        """Converts a part of a model, for the search for the layer to blame."""
        data = synthetic_samples(part) if self.mode.needs_representative_data else None
        form = replace(self, timesteps=None, integer_io=False)
        with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
            _convert(part, Path(scratch), form, _tap(part, form, data), seconds)

    def settings(self) -> dict[str, Any]:
        """Returns the arguments of `export_tflite` that say the same."""
        return {
            "quantization": self.mode.name,
            "lowering": self.lowering,
            "batch_size": self.batch_size,
            "timesteps": self.timesteps,
        }


@dataclass(frozen=True)
class _Converted:
    path: Path
    expressed: Expressed
    info: gate.FileInfo


def _tap(model: Any, form: _Form, calibration: Samples | None) -> Tap:
    """Returns what the quantization mode wants to see the model through, calibrated."""

    def calibrate(tap: Tap) -> None:
        assert calibration is not None
        # Lengths that the data lack have ranges too: those of a short input are not a long one's.
        made = make_lengths(calibration)
        data = {name: np.concatenate([calibration[name], made[name]]) for name in made}
        run_eagerly(model, data, form.lowering, tap, integer_io=form.integer_io)

    try:
        return form.mode.tap(calibrate)
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # whatever a layer raises
        raise untraceable(error) from error


def _convert(model: Any, directory: Path, form: _Form, tap: Tap, seconds: float) -> _Converted:
    """Writes a model into a scratch directory."""
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
    CONVERTER.convert(saved_model, written, options, seconds)
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
    return _Converted(written, expressed, info)


def _convert_all(
    model: Any,
    directory: Path,
    form: _Form,
    calibration: Samples | None,
    considered: list[Candidate],
) -> tuple[dict[Candidate, _Converted], list[Candidate]]:
    """Writes the model in each way that is to be tried.

    Returns:
        What was written, and all that was considered; what was not written has its problem.

    Raises:
        ConversionError, OpGateError: Nothing could be written.
        ExportError: There is nothing to fold, and that was asked for.
    """
    tap = _tap(model, form, calibration)
    made: dict[Candidate, _Converted] = {}
    after: list[Candidate] = []
    failure: ConversionError | OpGateError | None = None
    for number, candidate in enumerate(considered):
        problem = candidate.problem
        if problem is None:
            place = directory / str(number)
            place.mkdir()
            try:
                one = _convert(
                    model,
                    place,
                    replace(form, lowering=candidate.lowering, fold=candidate.fold_embedding),
                    tap,
                    DEFAULT_TIMEOUT,
                )
            except (ConversionError, OpGateError) as error:
                failure = failure or error
                problem = str(error)
            else:
                if candidate.fold_embedding and not one.expressed.folded:
                    problem = "no recurrent layer reads straight from an embedding"
                elif len(considered) > 1 and candidate.lowering not in set(
                    one.expressed.lowering.values()
                ):
                    problem = "expresses no layer of this model"
                else:
                    made[candidate] = one
        after.append(replace(candidate, problem=problem))
    if failure is not None and not made:
        raise failure
    if not any(c.fold_embedding for c in made) and all(
        c.fold_embedding for c in considered if c.wanted
    ):
        raise ExportError(
            f"There is nothing to fold in model '{model.name}': no recurrent layer reads straight "
            "from an embedding. Leave fold_embedding out."
        )
    return made, after


def _first_true(
    written: dict[Candidate, Path],
    model: Any,
    proof: Samples,
    tolerance: verification.Tolerance,
    verify: bool,
) -> tuple[Candidate, verification.Parity | None, dict[Candidate, Candidate]]:
    """Returns the first candidate whose file answers what the model answers.

    Raises:
        VerificationError: None does; that of the first.
    """
    failed: dict[Candidate, Candidate] = {}
    failure: VerificationError | None = None
    for candidate, path in written.items():
        try:
            parity = verification.verify_tflite(path, model, proof, tolerance) if verify else None
        except VerificationError as error:
            failure = failure or error
            failed[candidate] = replace(candidate, problem=str(error))
        else:
            return candidate, parity, failed
    assert failure is not None
    raise failure


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
