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
    TargetError,
    UnknownNameError,
    VerificationError,
    listed,
    nearest,
)
from keras_rnn_zoo.export.convert.converter import DEFAULT_TIMEOUT
from keras_rnn_zoo.export.convert.write import Form, Written, write
from keras_rnn_zoo.export.diagnose.diagnosis import diagnosed
from keras_rnn_zoo.export.formats import choose
from keras_rnn_zoo.export.formats.choose import Candidate, Choice
from keras_rnn_zoo.export.keras_model.prepare import Prepared, prepared
from keras_rnn_zoo.export.keras_model.samples import (
    Samples,
    as_samples,
    sizes_of,
    synthetic_samples,
    token_inputs,
)
from keras_rnn_zoo.export.keras_model.signature import (
    Timesteps,
    fixed_shapes,
    input_specs,
    renamed,
)
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.progress import Progress, teller
from keras_rnn_zoo.export.quantization import QUANTIZATIONS, Quantization
from keras_rnn_zoo.export.targets import TARGETS, Target
from keras_rnn_zoo.export.verify import compare
from keras_rnn_zoo.export.verify.reference import (
    Rounding,
    reference_of,
    resized_references,
    sizes_proven,
)
from keras_rnn_zoo.export.verify.tolerance import Tolerance

INFERENCE_TYPES = ("float32", "int8")

# Enough to see the range of each activation; more changes the ranges little and costs time.
CALIBRATION_SAMPLES = 256
# Each is answered by Keras and by the file three times over.
VERIFICATION_SAMPLES = 64


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
        float32_bytes: What it was before it was quantized.
        quantization: Name of the quantization mode.
        target: Name of the client that it is for.
        lowering: Path of each recurrent layer -> the lowering that expresses it.
        fallbacks: Path of a layer that the chosen lowering refused -> why.
        folded: Paths of the layers whose embedding and input projection are one table.
        choice: What else was tried, and why this was taken; None where nothing else was asked for.
        inference_type: Type of the file's inputs and outputs, token ids aside.
        ops: Builtin op -> how often the file holds it.
        unquantized: The weights that stayed in float32 in a mode that quantizes. Biases are none.
        parity: How the file's answers compare with the Keras model's; None with `verify=False`.
        synthetic: The samples were random, because none were given.
        names: Keras' name of an input or output -> its name in the file, where they differ.
        notes: What differs from the Keras model as it is, one sentence each: another dtype policy,
            states that it would keep. The first says so where the float32 file would be smaller.
    """

    path: Path
    bytes: int
    quantization: str
    lowering: dict[str, str]
    inference_type: str
    ops: dict[str, int]
    unquantized: tuple[Unquantized, ...] = ()
    parity: compare.Parity | None = None
    synthetic: bool = field(default=False)
    fallbacks: dict[str, str] = field(default_factory=dict)
    folded: tuple[str, ...] = ()
    choice: Choice | None = None
    target: str = "litert"
    names: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    float32_bytes: int = 0


def export_tflite(
    model: Any,
    path: files.PathLike,
    *,
    quantization: str | None = None,
    representative_data: Any = None,
    samples: Any = None,
    batch_size: int = 1,
    timesteps: Timesteps = None,
    target: str = "litert",
    lowering: str | Sequence[str] | None = None,
    fold_embedding: bool | None = None,
    size_limit: int = choose.SIZE_LIMIT,
    inference_type: str = "float32",
    verify: bool = True,
    tolerance: Tolerance | None = None,
    diagnose: bool | files.PathLike = True,
    progress: bool | Progress = True,
) -> TFLiteResult:
    """Writes a Keras model as a .tflite file of builtin ops and proves it on real samples.

    Takes any built model, functional, sequential or subclassed, that holds SimpleRNN, LSTM, GRU,
    RNN, Bidirectional or CellLoop layers, at any depth. The model itself is not changed. The file
    computes in float32, whatever the model's dtype policy, and starts from zero states in every
    call; it appears at `path` only when it holds builtin ops alone and answers what the model
    answers.

    Args:
        model: A built `keras.Model`; one with a `call` of its own was called on data before.
        path: File to write; one that exists is replaced.
        quantization: `None` or `"none"` (float32), `"float16"`, `"dynamic"` (int8 weights) or
            `"int8"` (int8 weights and matrix products, calibrated).
        representative_data: Inputs like those the model will meet, for `"int8"` and, where there
            are any, for `"dynamic"`, which answers finer with them: an array `[samples, ...]`, a
            list or dict of arrays for several inputs, or a callable that yields samples of batch
            1, as the TFLite converter takes. A few hundred are enough.
        samples: Inputs to verify on, in the same forms; the representative data where none are
            given, and random inputs where there is neither.
        batch_size: Sequences that one call of the file answers; any number with `"resizable"`.
        timesteps: Number of time steps where the model's inputs leave it open; by input name where
            they differ, `{"left": 20, "right": 30}`, and by axis where that is not the second one,
            `{"line": {2: 40}}`. Samples say it, too.
        target: The client that the file is for: see `keras_rnn_zoo.export.TARGETS`. It decides
            which lowerings and quantizations there are, and what the file may hold.
        lowering: How recurrences are expressed: see `keras_rnn_zoo.export.LOWERINGS`; None for
            what the target prefers, which for most is `"loop"`. A layer that it cannot express is
            left to another one, and the result says why. `"auto"`, or several names, writes each
            and takes what is fastest on this machine: `choice` says why, and how to pin it.
            `"resizable"` fixes neither the batch size nor what else the model leaves open: an app
            sizes the inputs (`resize_tensor_input`), and the file is proven at three sizes.
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
        UnknownNameError: No such quantization, target or lowering.
        ConfigError: The target does not take that quantization or lowering.
        ExportError: The model cannot be exported, or the inputs do not fit it.
        ConversionError: The model does not convert; the message names the layer to blame and what
            to do, `log` has all that the converter said.
        OpGateError: The file holds ops outside the builtin set; the message is as helpful.
        TargetError: The file holds what the target does not run.
        VerificationError: The file answers something else than the model.
        OutputError: `path` cannot be written.
    """
    mode = QUANTIZATIONS.get(quantization or "none")
    check_inference_type(inference_type, [mode])
    path = Path(path)
    if path.is_dir():
        raise ExportError(f"Cannot write {path}: it is a directory. Name a file, model.tflite say.")
    if (
        isinstance(batch_size, bool)
        or not isinstance(batch_size, (int, np.integer))
        or batch_size < 1
    ):
        raise ExportError(
            f"batch_size must be at least 1, a whole number. Received: {batch_size!r}"
        )
    if mode.needs_representative_data and representative_data is None:
        raise ExportError(
            f"Quantization '{mode.name}' calibrates on real inputs and there are none. Pass "
            "representative_data=..., a few hundred inputs like those the model will meet, or "
            "choose 'dynamic', which needs none."
        )
    # Refuses unknown names before any work.
    choose.candidates(lowering, fold_embedding, 1, target)
    client = TARGETS.get(target)
    client.check_quantization(mode.name)
    given = representative_data if samples is None else samples
    with prepared(model, given, timesteps) as ready:
        for note in ready.notes:
            teller(progress)(note)
        return _export(
            ready,
            path,
            mode,
            client,
            given,
            representative_data,
            batch_size,
            timesteps,
            lowering,
            fold_embedding,
            size_limit,
            inference_type,
            verify,
            tolerance,
            diagnose,
            progress,
        )


def _export(
    ready: Prepared,
    path: Path,
    mode: Quantization,
    client: Target,
    given: Any,
    representative_data: Any,
    batch_size: int,
    timesteps: Timesteps,
    lowering: str | Sequence[str] | None,
    fold_embedding: bool | None,
    size_limit: int,
    inference_type: str,
    verify: bool,
    tolerance: Tolerance | None,
    diagnose: bool | files.PathLike,
    progress: bool | Progress,
) -> TFLiteResult:
    """Does what `export_tflite` says, for what `prepared` made of its model."""
    model, target = ready.model, client.name
    proof = None
    if given is not None:
        proof = as_samples(model, given, limit=VERIFICATION_SAMPLES, timesteps=timesteps)
        timesteps = sizes_of(model, proof, timesteps)
    specs = fixed_shapes(model, batch_size, timesteps)
    longest = max((int(spec.shape[1] or 1) for spec in specs if len(spec.shape) > 1), default=1)
    considered = choose.candidates(lowering, fold_embedding, longest, target)
    form = Form(
        mode, considered[0].lowering, False, batch_size, timesteps, inference_type == "int8"
    )
    if form.integer_io:
        check_integer_inputs(model)
    if proof is None:
        proof = synthetic_samples(model, timesteps)
    calibration = None
    if mode.takes_representative_data and representative_data is not None:
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
                model, Path(scratch), form, calibration, considered, client
            )
        except (ConversionError, OpGateError) as error:
            if diagnose is False:
                raise
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
            times = choose.race({c: made.path for c, made in converted.items()}, proof)
            measured = {
                replace(c, bytes=made.info.bytes, median_ms=times[c]): made
                for c, made in converted.items()
            }
            order = choose.ranked(list(measured), fold_embedding, size_limit)
            converted = {c: measured[replace(c, problem=None)] for c in order}
        chosen, parity, failed = _first_true(
            {c: converted[c].path for c in order if c.problem is None},
            model,
            proof,
            mode,
            tolerance or mode.tolerance,
            verify,
        )
        made = converted[chosen]
        notes = ready.notes
        if form.integer_io and parity is not None:
            notes += tuple(compare.integer_answers(parity))
        if larger := larger_than_float32(path.name, made.info.bytes, made.float32_bytes):
            teller(progress)(larger)
            notes = (larger, *notes)
        if verify and LOWERINGS.get(chosen.lowering).open_sizes:
            resized = resized_references(model, proof, roundings([mode]))
            for reference in resized:
                compare.compare_tflite(
                    made.path, reference, tolerance or mode.tolerance, mode=mode.name
                )
            notes += (sizes_proven(proof, resized),)
        choice = None
        if len(considered) > 1:
            others = [c for c in considered if c.problem is not None]
            seen = [failed.get(c, c) for c in order]
            choice = choose.explain(chosen, [*seen, *others], fold_embedding)
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
        target=target,
        names=renamed(model),
        notes=notes,
        float32_bytes=made.float32_bytes,
    )


def larger_than_float32(name: str, size: int, float32: int) -> str | None:
    """Says so of a file that quantization has made larger, in one sentence; else None."""
    if size <= float32:
        return None
    return (
        f"{name} is larger than the same model in float32 ({size:,} and {float32:,} bytes), which "
        "answers more exactly: take quantization 'none'."
    )


def _convert_all(
    model: Any,
    directory: Path,
    form: Form,
    calibration: Samples | None,
    considered: list[Candidate],
    target: Target,
) -> tuple[dict[Candidate, Written], list[Candidate]]:
    """Writes the model in each way that is to be tried.

    Returns:
        What was written, and all that was considered; what was not written has its problem.

    Raises:
        ConversionError, OpGateError, TargetError: Nothing could be written.
        ExportError: There is nothing to fold, and that was asked for.
    """
    made: dict[Candidate, Written] = {}
    after: list[Candidate] = []
    failure: ConversionError | OpGateError | TargetError | None = None
    for number, candidate in enumerate(considered):
        problem = candidate.problem
        if problem is None:
            place = directory / str(number)
            place.mkdir()
            try:
                one = write(
                    model,
                    place,
                    replace(form, lowering=candidate.lowering, fold=candidate.fold_embedding),
                    calibration,
                    DEFAULT_TIMEOUT,
                )
                target.check_file(one.info, one.expressed.fallbacks)
            except (ConversionError, OpGateError, TargetError) as error:
                failure = failure or error
                problem = str(error)
            else:
                if candidate.fold_embedding and not one.expressed.folded:
                    problem = "no recurrent layer reads straight from an embedding"
                elif (
                    len(considered) > 1
                    # Where there is nothing to lower, the first is as good as any.
                    and (made or one.expressed.lowering)
                    and candidate.lowering not in set(one.expressed.lowering.values())
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
    mode: Quantization,
    tolerance: Tolerance,
    verify: bool,
) -> tuple[Candidate, compare.Parity | None, dict[Candidate, Candidate]]:
    """Returns the first candidate whose file answers what the model answers.

    Raises:
        VerificationError: None does; that of the first.
    """
    failed: dict[Candidate, Candidate] = {}
    failure: VerificationError | None = None
    reference = reference_of(model, proof, roundings=roundings([mode])) if verify else None
    for candidate, path in written.items():
        try:
            parity = None
            if reference is not None:
                parity = compare.compare_tflite(path, reference, tolerance, mode=mode.name)
        except VerificationError as error:
            failure = failure or error
            failed[candidate] = replace(candidate, problem=str(error))
        else:
            return candidate, parity, failed
    assert failure is not None
    raise failure


def roundings(modes: Sequence[Quantization]) -> dict[str, Rounding]:
    """Returns what `reference_of` has to know to judge files in these modes."""
    # Without rounding, always: it tells a model that amplifies any rounding.
    return {mode.name: mode for mode in (QUANTIZATIONS.get("none"), *modes)}


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
