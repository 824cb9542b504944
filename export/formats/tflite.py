"""Export of any Keras model with recurrent layers, proven on the file that was written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import (
    ConversionError,
    ExportError,
    OpGateError,
    TargetError,
    VerificationError,
    listed,
)
from keras_rnn_zoo.export.convert import converter
from keras_rnn_zoo.export.convert.write import Form, Written, write
from keras_rnn_zoo.export.diagnose.diagnosis import diagnosed
from keras_rnn_zoo.export.formats import choose
from keras_rnn_zoo.export.formats.choose import Candidate, Choice
from keras_rnn_zoo.export.formats.format import BundleJob, FileRecord, Format, register_format
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.keras_model.samples import (
    Samples,
    as_samples,
    sizes_of,
    synthetic_samples,
    whole_chunks,
)
from keras_rnn_zoo.export.keras_model.signature import Timesteps
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.lowering.plan import Plan
from keras_rnn_zoo.export.options import AUTO, BundleOptions, ExportOptions, FileOptions
from keras_rnn_zoo.export.progress import Progress, teller
from keras_rnn_zoo.export.quantization import (
    QUANTIZATIONS,
    Quantization,
    held_quantization,
    roundings,
)
from keras_rnn_zoo.export.targets import TARGETS, Target
from keras_rnn_zoo.export.tflite import contents
from keras_rnn_zoo.export.tflite.file import RESET_STATE, STEP
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TensorInfo
from keras_rnn_zoo.export.tflite.latency import benchmark_tflite
from keras_rnn_zoo.export.tflite.opened import open_model
from keras_rnn_zoo.export.tflite.runtimes import parse_runtime
from keras_rnn_zoo.export.tflite.steps import StepModel
from keras_rnn_zoo.export.tflite.streams import streaming_of
from keras_rnn_zoo.export.verify import compare
from keras_rnn_zoo.export.verify.drift import Drift, drift
from keras_rnn_zoo.export.verify.reference import (
    Reference,
    reference_of,
    resized_references,
    sizes_proven,
)
from keras_rnn_zoo.export.verify.scores import check_losses
from keras_rnn_zoo.options import takes

# What a bundle holds where nothing is said.
MODES = ("none", "float16", "dynamic", "int8")
LATENCY_SECONDS = 0.5
# Enough to see the range of each activation; more changes the ranges little and costs time.
CALIBRATION_SAMPLES = 256
# Each is answered by Keras and by the file three times over.
VERIFICATION_SAMPLES = 64
# Of random sequences that come a few steps at a time, at least.
SYNTHETIC_STEPS = 32


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
        plan: What became of each layer, and why.
        choice: What else was tried, and why this was taken; None where nothing else was asked for.
        inference_type: Type of the file's inputs and outputs, token ids aside.
        ops: Builtin op -> how often the file holds it.
        min_runtime: The oldest TensorFlow Lite that knows all of these, such as `"2.9"`; None where
            that is not known.
        unquantized: The weights that stayed in float32 in a mode that quantizes. Biases are none.
        parity: How the file's answers compare with the Keras model's; None with `verify=False`.
        synthetic: The samples were random, because none were given.
        names: Keras' name of an input or output -> its name in the file, where they differ.
        arena: Bytes of the least tensor arena in tflite-micro, where that is installed and the
            target has one; a 32-bit machine needs less.
        drift: Whether the error of a quantized file that takes some time steps a call grows; None
            of other files, and with `verify=False`.
        notes: What differs from the Keras model as it is, one sentence each: another dtype policy,
            states that it would keep. The first says so where the float32 file would be smaller.
    """

    path: Path
    bytes: int
    quantization: str
    plan: Plan
    inference_type: str
    ops: dict[str, int]
    float32_bytes: int
    target: str
    min_runtime: str | None = None
    unquantized: tuple[Unquantized, ...] = ()
    parity: compare.Parity | None = None
    synthetic: bool = False
    choice: Choice | None = None
    names: dict[str, str] = field(default_factory=dict)
    arena: int | None = None
    drift: Drift | None = None
    notes: tuple[str, ...] = ()

    @property
    def lowering(self) -> dict[str, str]:
        """Path of each recurrent layer -> the lowering that expresses it."""
        return self.plan.lowerings

    @property
    def fallbacks(self) -> dict[str, str]:
        """Path of a layer that the chosen lowering refused -> why."""
        return self.plan.fallbacks

    @property
    def folded(self) -> tuple[str, ...]:
        """Paths of the layers whose embedding and input projection are one table."""
        return self.plan.folded


@takes(ExportOptions)
def export_tflite(
    model: Any,
    path: files.PathLike,
    *,
    representative_data: Any = None,
    samples: Any = None,
    diagnose: bool | files.PathLike = True,
    progress: bool | Progress = True,
    **options: Any,
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
        representative_data: Inputs like those the model will meet, for `"int8"` and, where there
            are any, for `"dynamic"`, which answers finer with them: an array `[samples, ...]`, a
            list or dict of arrays for several inputs, or a callable that yields samples of batch
            1, as the TFLite converter takes. A few hundred are enough.
        samples: Inputs to verify on, in the same forms; the representative data where none are
            given, and random inputs where there is neither.
        diagnose: Where a model does not convert, look for the layer to blame (about 45 s at
            most) and write what a bug report needs to the directory `<stem>.failure` beside
            `path`, or to the directory that is named here. False does neither.
        progress: Print what that search tries to stderr, or call this with each line.

    Returns:
        What was written and measured.

    Raises:
        UnknownNameError: No such quantization, target or lowering.
        ConfigError: An option is out of range, or the target does not take that quantization or
            lowering.
        ExportError: The model cannot be exported, or the inputs do not fit it.
        ConversionError: The model does not convert; the message names the layer to blame and what
            to do, `log` has all that the converter said.
        OpGateError: The file holds ops outside the builtin set; the message is as helpful.
        TargetError: The file holds what the target, or the oldest runtime that was asked for, does
            not run.
        VerificationError: The file answers something else than the model.
        OutputError: `path` cannot be written.

    Example:
        ```python
        result = export_tflite(model, "model.tflite", quantization="dynamic", samples=x_test)
        print(result.bytes, result.parity.max_abs_output)
        ```
    """
    chosen = ExportOptions.of(options)
    mode = QUANTIZATIONS.get(chosen.quantization)
    check_inference_type(chosen.inference_type, [mode])
    path = Path(path)
    if path.is_dir():
        raise ExportError(f"Cannot write {path}: it is a directory. Name a file, model.tflite say.")
    # Refuses what the target does not take before any work.
    choose.candidates(chosen, 1)
    client = TARGETS.get(chosen.target)
    client.check_quantization(mode.name)
    client.check_options(inference_type=chosen.inference_type, batch_size=chosen.batch_size)
    client.check_arena(chosen.max_arena)
    if mode.needs_representative_data and representative_data is None:
        other = "dynamic" if client.quantizations(["dynamic"]) else "none"
        raise ExportError(
            f"Quantization '{mode.name}' calibrates on real inputs and there are none. Pass "
            "representative_data=..., a few hundred inputs like those the model will meet, or "
            f"choose '{other}', which needs none."
        )
    say = teller(progress)
    given = representative_data if samples is None else samples
    ready = prepare(model, given, chosen.timesteps)
    for note in ready.notes:
        say(note)
    steps = steps_of_a_call(ready, chosen, client)
    if steps is not None:
        ready = ready.open_in_time
    data = _Data.of(ready, chosen, given, representative_data, steps)
    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
        writer = _Writer(ready, chosen, data, client, Path(scratch))
        try:
            writer.convert()
        except (ConversionError, OpGateError) as error:
            if diagnose is False:
                raise
            place = path.with_name(f"{path.stem}.failure") if diagnose is True else Path(diagnose)
            form = writer.form
            raise diagnosed(error, ready, form.attempt, place, form.settings(), say) from error
        result = writer.result(path)
        files.write_bytes(path, writer.chosen.path.read_bytes())
    if result.bytes > result.float32_bytes:
        say(result.notes[0])
    return result


@takes(ExportOptions)
def plan(model: Any, *, samples: Any = None, **options: Any) -> Plan:
    """Says what `export_tflite` does with each recurrent layer of a model, and why.

    Nothing is converted, which takes a second instead of many. With lowering `"auto"`, or several
    names, it is the plan of the first that would be tried.

    Args:
        model: A built `keras.Model`; it is not changed.
        samples: Inputs, as `export_tflite` takes them: they say what a subclassed model takes, and
            how long sequences are where the model leaves that open.

    Returns:
        The plan, as plain data.

    Raises:
        ConfigError, ExportError: See `export_tflite`.
        ConversionError: The model cannot be traced.

    Example:
        ```python
        for layer in plan(model, lowering="fused").recurrences:
            print(layer.path, layer.lowering, layer.fallback or "")
        ```
    """
    chosen = ExportOptions.of(options)
    mode = QUANTIZATIONS.get(chosen.quantization)
    TARGETS.get(chosen.target).check_quantization(mode.name)
    ready = prepare(model, samples, chosen.timesteps, compare=False)
    return plans(ready, chosen, [mode], samples)[mode.name]


def plans(
    model: KerasModel, options: FileOptions, modes: Sequence[Quantization], samples: Any = None
) -> dict[str, Plan]:
    """Returns name of each quantization mode -> what an export does with a model in it."""
    timesteps = options.timesteps
    if samples is not None:
        given = as_samples(model, samples, limit=1, timesteps=timesteps)
        timesteps = sizes_of(model, given, timesteps)
    first = choose.candidates(options, 1, model)[0]
    form = Form(
        QUANTIZATIONS.get("none"),
        first.lowering,
        bool(options.fold_embedding),
        options.batch_size,
        timesteps,
        target=options.target,
        steps=options.steps,
        core=options.core,
        optimize=options.optimize,
    )
    return {mode.name: replace(form, mode=mode).plan(model) for mode in modes}


def steps_made(steps: int) -> int:
    """Returns how many time steps random sequences have, of calls of so many."""
    return -(-max(SYNTHETIC_STEPS, 3 * steps) // steps) * steps


def steps_of_a_call(model: KerasModel, options: FileOptions, client: Target) -> int | None:
    """Returns how many time steps a call takes; None for a whole sequence.

    Raises:
        ExportError: A call is to take a few, and a layer looks at others.
    """
    if options.streaming:
        lowering = STEP
    elif isinstance(options.lowering, str):
        lowering = options.lowering
    else:
        lowering = client.preferred(model) if options.lowering is None else AUTO
    if lowering == AUTO or not LOWERINGS.get(lowering).steps:
        return None
    form = Form(QUANTIZATIONS.get("none"), lowering, batch_size=options.batch_size)
    return replace(form, target=client.name, steps=options.steps).plan(model).steps


@dataclass(frozen=True)
class _Data:
    """The inputs that a file is made and judged with.

    Attributes:
        proof: Name -> samples to verify on.
        calibration: Name -> samples to calibrate on; None where the mode takes none.
        timesteps: Sizes that the model leaves open, as the samples say them.
        synthetic: The samples are random.
        cut: Time steps of the samples that fill no call.
    """

    proof: Samples
    calibration: Samples | None
    timesteps: Timesteps
    synthetic: bool
    cut: int = 0

    @classmethod
    def of(
        cls,
        model: KerasModel,
        options: ExportOptions,
        given: Any,
        representative_data: Any,
        steps: int | None,
    ) -> _Data:
        """Brings what the user gave into one form; of what streams, whole chunks of `steps`."""
        mode, timesteps = QUANTIZATIONS.get(options.quantization), options.timesteps
        proof, cut = None, 0
        if given is not None:
            proof = as_samples(model, given, limit=VERIFICATION_SAMPLES, timesteps=timesteps)
            if steps is not None:
                cut = next(iter(proof.values())).shape[1] % steps
                proof = whole_chunks(proof, steps)
            timesteps = sizes_of(model, proof, timesteps)
        elif steps is not None:
            timesteps = timesteps or steps_made(steps)
        model.fixed(options.batch_size, timesteps)
        if options.inference_type != "float32":
            check_integer_inputs(model)
        calibration = None
        if mode.takes_representative_data and representative_data is not None:
            calibration = as_samples(
                model,
                representative_data,
                what="representative data",
                limit=CALIBRATION_SAMPLES,
                timesteps=None if steps is not None else timesteps,
            )
            calibration = calibration if steps is None else whole_chunks(calibration, steps)
        if proof is None:
            proof = synthetic_samples(model, timesteps)
        return cls(proof, calibration, timesteps, given is None, cut)


class _Writer:
    """Writes a model in each way that is to be tried, and finds the one to keep.

    Attributes:
        form: How a file is written, before its lowering is chosen.
        chosen: The file to keep, once there is a `result`.
    """

    def __init__(
        self,
        model: KerasModel,
        options: ExportOptions,
        data: _Data,
        target: Target,
        directory: Path,
    ):
        self._model = model
        self._options = options
        self._data = data
        self._target = target
        self._directory = directory
        self._mode = QUANTIZATIONS.get(options.quantization)
        specs = model.fixed(options.batch_size, data.timesteps)
        longest = max((int(spec.shape[1] or 1) for spec in specs if len(spec.shape) > 1), default=1)
        self._considered = choose.candidates(options, longest, model)
        self._made: dict[Candidate, Written] = {}
        self.form = Form(
            self._mode,
            self._considered[0].lowering,
            False,
            options.batch_size,
            data.timesteps,
            options.inference_type != "float32",
            options.target,
            steps=options.steps,
            state=options.state or (target.states or ("external",))[0],
            core=options.core,
        )
        self.chosen: Written

    def convert(self) -> None:
        """Writes the model in each way that is to be tried.

        Raises:
            ConversionError, OpGateError, TargetError: Nothing could be written.
            ExportError: There is nothing to fold, and that was asked for.
        """
        failure: ConversionError | OpGateError | TargetError | None = None
        after: list[Candidate] = []
        for number, candidate in enumerate(self._considered):
            made = {one.lowering for one in self._made}
            if self._options.lowering is None and made and candidate.lowering not in made:
                break  # the others were for want of this one
            problem = candidate.problem
            if problem is None:
                try:
                    problem = self._convert(candidate, self._directory / str(number))
                except (ConversionError, OpGateError, TargetError) as error:
                    # Of those that were not named, the last is what remains to be said.
                    failure = failure if failure and self._options.lowering else error
                    problem = str(error)
            after.append(replace(candidate, problem=problem))
        if failure is not None and not self._made:
            raise failure
        if not any(c.fold_embedding for c in self._made) and all(
            c.fold_embedding for c in self._considered if c.wanted
        ):
            raise ExportError(
                f"There is nothing to fold in model '{self._model.name}': no recurrent layer reads "
                "straight from an embedding. Leave fold_embedding out."
            )
        self._considered = after

    def _convert(self, candidate: Candidate, place: Path) -> str | None:
        """Writes one file; returns why it need not be tried, where the plan shows that."""
        form = replace(
            self.form,
            lowering=candidate.lowering,
            fold=candidate.fold_embedding,
            optimize=candidate.optimize,
        )
        planned = form.plan(self._model)
        self._target.check_plan(planned)
        if candidate.fold_embedding and not planned.folded:
            return "no recurrent layer reads straight from an embedding"
        # Where there is nothing to lower, the first is as good as any.
        several = len({one.lowering for one in self._considered}) > 1
        compared = several and (self._made or planned.lowerings)
        if compared and candidate.lowering not in planned.lowerings.values():
            reason = next(iter(planned.fallbacks.values()), None)
            return "expresses no layer of this model" + (f": {reason}" if reason else "")
        place.mkdir()
        seconds = converter.DEFAULT_TIMEOUT
        made = write(self._model, planned, place, form, self._data.calibration, seconds=seconds)
        self._target.check_file(made.info, planned.fallbacks)
        if self._options.min_runtime is not None:
            runtime = parse_runtime(self._options.min_runtime)
            contents.check_runtime(made.info, runtime, planned.lowerings.values())
        most = self._options.max_arena
        if most is not None and (arena := self._target.arena_of(made.path) or 0) > most:
            raise TargetError(
                f"The file needs an arena of {arena:,} bytes in tflite-micro, and {most:,} are "
                "allowed. Take fewer units or time steps, or a quantization of fewer bits (none, "
                "int16x8, int8)."
            )
        self._made[candidate] = made
        return None

    def result(self, path: Path) -> TFLiteResult:
        """Finds the fastest file that answers what the model answers, and describes it.

        Raises:
            VerificationError: None does; that of the best.
        """
        ranked, made = list(self._made), dict(self._made)
        if len(made) > 1:
            core = choose.decides(self._options.core)
            times = choose.race({c: one.path for c, one in made.items()}, self._data.proof, core)
            measured = {
                replace(c, bytes=one.info.bytes, median_ms=times[c]): one for c, one in made.items()
            }
            ranked = choose.ranked(list(measured), self._options)
            made = {c: measured[replace(c, problem=None)] for c in ranked}
        tried = [candidate for candidate in ranked if candidate.problem is None]
        winner, parity, failed = self._first_true(tried, made)
        one = self.chosen = made[winner]
        choice = None
        if len(self._considered) > 1:
            others = [c for c in self._considered if c.problem is not None]
            choice = choose.explain(
                winner, [*(failed.get(c, c) for c in ranked), *others], self._options.core
            )
        drifted = None
        if self._options.verify and one.plain is not None and self._mode.name != "none":
            drifted = drift(one.path, one.plain, self._data.proof)
        return TFLiteResult(
            path=path,
            bytes=one.info.bytes,
            quantization=self._mode.name,
            plan=one.plan,
            choice=choice,
            inference_type=self._options.inference_type,
            ops=one.info.ops,
            min_runtime=one.info.min_runtime,
            unquantized=tuple(
                Unquantized(weight.name, weight.shape, weight.bytes, reason)
                for weight in one.info.float32_weights
                if (reason := self._mode.why_float32(weight)) is not None
            ),
            parity=parity,
            synthetic=self._data.synthetic,
            target=self._target.name,
            names=self._model.renamed,
            arena=self._target.arena_of(one.path),
            drift=drifted,
            notes=self._notes(path.name, one, parity, drifted),
            float32_bytes=one.float32_bytes,
        )

    def _notes(
        self, name: str, made: Written, parity: compare.Parity | None, drifted: Drift | None
    ) -> tuple[str, ...]:
        notes = [*self._model.notes, *self._target.notes(made.info)]
        if drifted is not None:
            notes.append(drifted.text)
        if self._data.cut:
            notes.append(
                f"A call takes {made.plan.steps} time steps: {self._data.cut} of the samples' fill "
                "none, and were left out."
            )
        if self.form.integer_io and parity is not None:
            notes += compare.integer_answers(parity)
        if larger := larger_than_float32(name, made.info.bytes, made.float32_bytes):
            notes.insert(0, larger)
        if self._options.verify and made.plan.open_sizes:
            proof = self._data.proof
            resized = resized_references(self._model, proof, roundings([self._mode]))
            for reference in resized:
                self._compare(made.path, reference)
            notes.append(sizes_proven(proof, resized))
        if self._target.encodes:
            notes.append(
                f"The target '{self._target.name}' opens the file once it has metadata, as those "
                "in the bundle of a run have: train with this target, and export the run."
            )
        return tuple(notes)

    def _first_true(
        self, candidates: Sequence[Candidate], made: dict[Candidate, Written]
    ) -> tuple[Candidate, compare.Parity | None, dict[Candidate, Candidate]]:
        """Returns the first candidate whose file answers what the model answers, and the failed."""
        if not self._options.verify:
            return candidates[0], None, {}
        failed: dict[Candidate, Candidate] = {}
        failure: VerificationError | None = None
        reference = reference_of(self._model, self._data.proof, roundings=roundings([self._mode]))
        for candidate in candidates:
            try:
                return candidate, self._compare(made[candidate].path, reference), failed
            except VerificationError as error:
                failure = failure or error
                failed[candidate] = replace(candidate, problem=str(error))
        assert failure is not None
        raise failure

    def _compare(self, path: Path, reference: Reference) -> compare.Parity:
        tolerance = self._options.tolerance or self._mode.tolerance
        return compare.compare_tflite(path, reference, tolerance, mode=self._mode.name)


def larger_than_float32(name: str, size: int, float32: int) -> str | None:
    """Says so of a file that quantization has made larger, in one sentence; else None."""
    if size <= float32:
        return None
    return (
        f"{name} is larger than the same model in float32 ({size:,} and {float32:,} bytes), which "
        "answers more exactly: take quantization 'none'."
    )


def check_inference_type(inference_type: str, modes: Sequence[Quantization]) -> None:
    """Refuses a type of inputs and outputs that none of the modes can give a file.

    Raises:
        ExportError: None of the modes computes in integers.
    """
    if inference_type != "float32" and not any(
        mode.integer_io and mode.integer_type == inference_type for mode in modes
    ):
        able = "int16x8" if inference_type == "int16" else inference_type
        raise ExportError(
            f"inference_type='{inference_type}' needs quantization '{able}'. Received: "
            f"{listed(mode.name for mode in modes) or 'no .tflite file'}, which takes and answers "
            f"something else. Choose '{able}', or leave inference_type at 'float32'."
        )


def check_integer_inputs(model: KerasModel) -> None:
    """Refuses a model with token ids as floats: 256 levels cannot tell them apart.

    Raises:
        ExportError: An embedding takes a float input.
    """
    for spec in model.inputs:
        if spec.name in model.tokens and "int" not in spec.dtype:
            raise ExportError(
                f"Input '{spec.name}' of model '{model.name}' is {spec.dtype} and holds token ids, "
                "which int8 cannot. Build the model with keras.Input(..., dtype='int32') and the "
                "same weights, or leave inference_type at 'float32'."
            )


@register_format("tflite")
class TFLite(Format):
    """A .tflite file for each quantization mode."""

    description = "for devices: TensorFlow Lite and LiteRT"
    file_name = "model.tflite"

    def export(self, model: Any, path: Any, **options: Any) -> TFLiteResult:
        """See `export_tflite`."""
        return export_tflite(model, path, **options)

    def write(self, model: KerasModel, path: Path) -> None:
        """Writes a float32 file."""
        export_tflite(model, path, verify=False)

    def compare(self, path: Path, reference: Reference) -> compare.Parity:
        """See `compare_tflite`; the mode is that of what the file holds."""
        file = open_model(path)
        ends = [asdict(one) for one in (*file.inputs.values(), *file.outputs.values())]
        mode = QUANTIZATIONS.get(held_quantization(contents.inspect(path), ends))
        return compare.compare_tflite(path, reference, mode.tolerance, mode=mode.name)

    def serve(self, path: Path) -> Callable[[Arrays], Arrays]:
        """Answers in the interpreter."""
        file = open_model(path)
        if isinstance(file, StepModel):
            return lambda x: file.answer(whole_chunks(x, file.steps))[0]
        return lambda x: file.answer(x)[0]

    def described(self, part: str) -> str:
        """Says which file a mode has, and what it does."""
        mode = QUANTIZATIONS.get(part)
        return f"{mode.file_name}: {mode.description}"

    def parts(self, options: BundleOptions) -> list[str]:
        """One for each quantization mode."""
        if options.quantization is not None:
            return list(options.quantization)
        return TARGETS.get(options.target).quantizations(MODES)

    def write_part(self, part: str, directory: Path, job: BundleJob) -> FileRecord:
        """Writes the file of a quantization mode, proven, timed and scored."""
        mode, options = QUANTIZATIONS.get(part), job.options
        path, client = directory / mode.file_name, TARGETS.get(options.target)
        lowering, several = options.lowering, isinstance(options.lowering, tuple)
        keywords = {name: getattr(options, name) for name in FileOptions.about()}
        given = {name: values[: job.reference.given] for name, values in job.reference.x.items()}
        written = export_tflite(
            job.model,
            path,
            representative_data=job.calibration if mode.takes_representative_data else None,
            samples=given,
            diagnose=job.diagnose,
            progress=job.say,
            **{
                **keywords,
                "quantization": part,
                "inference_type": _inference_type(mode, options.inference_type),
                # Of several candidates each has to be true; the one file is compared below.
                # A long stream is compared with the float32 file, which is gone afterwards.
                "verify": bool(options.fold_embedding or options.streaming)
                or lowering == AUTO
                or several,
            },
        )
        if client.encodes and job.preprocessor is not None and job.about is not None:
            finished = client.finished(path.read_bytes(), job.preprocessor, job.about)
            files.write_bytes(path, finished)
        parity = compare.compare_tflite(path, job.reference, mode.tolerance, mode=mode.name)
        file = open_model(path)
        if any(map(file.open, file.inputs)):
            for other in job.references[1:]:
                compare.compare_tflite(path, other, mode.tolerance, mode=mode.name)
        info = contents.inspect(path)
        scored = None
        if job.score is not None:
            scored = job.score(file.predict(job.labelled_inputs))
            check_losses(path.name, scored["losses"], mode.tolerance)
        integers = _inference_type(mode, options.inference_type) != "float32"
        return FileRecord(
            file=path.name,
            format=self.name,
            quantization=mode.name,
            description=mode.description,
            bytes=info.bytes,
            float32_bytes=written.float32_bytes,
            ops=info.ops,
            min_runtime=info.min_runtime,
            subgraphs=info.subgraphs,
            weights=info.weights,
            unquantized=[asdict(weight) for weight in written.unquantized],
            variables=info.variables,
            signatures=info.signatures,
            tensors={
                kind: [_tensor(info) for info in tensors] for kind, tensors in file.tensors.items()
            },
            lowering=written.lowering,
            folded=written.folded,
            choice=None if written.choice is None else written.choice.to_dict(),
            fallbacks=written.fallbacks,
            plan=written.plan.to_dict(),
            notes=[
                *TARGETS.get(options.target).notes(info),
                *([] if written.drift is None else [written.drift.text]),
                *(compare.integer_answers(parity) if integers else ()),
            ],
            parity=parity.to_dict(),
            latency=benchmark_tflite(path, given, seconds=LATENCY_SECONDS),
            arena=written.arena,
            streaming=_streaming(info),
            drift=None if written.drift is None else written.drift.to_dict(),
            labelled=scored,
            metadata=client.found(path.read_bytes()),
        )


def _inference_type(mode: Quantization, wanted: str) -> str:
    """What of several files in different modes one takes and answers."""
    return wanted if mode.integer_io and mode.integer_type == wanted else "float32"


def _streaming(info: contents.FileInfo) -> dict[str, Any] | None:
    """What a client must know to call a file step by step; None where a call takes everything."""
    said = streaming_of(info.path.read_bytes())
    if said is None:
        return None
    state = "internal" if RESET_STATE in info.signatures else "external"
    return {"steps": said.steps, "every_step": list(said.every_step), "state": state}


def _tensor(info: TensorInfo) -> dict[str, Any]:
    """What a client must know to fill an input or to read an output."""
    known: dict[str, Any] = {"name": info.name, "shape": info.shape, "dtype": info.dtype}
    if info.scale:
        known |= {"scale": info.scale, "zero_point": info.zero_point}
    return known
