"""A Keras model as a TensorFlow SavedModel that plain `tf.saved_model.load` serves."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import ExportError, RunError, listed
from keras_rnn_zoo.export.convert.trace import STATE_IN
from keras_rnn_zoo.export.formats.format import (
    BundleJob,
    FileRecord,
    Format,
    bytes_of,
    register_format,
)
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.keras_model.samples import (
    as_samples,
    synthetic_samples,
    whole_chunks,
)
from keras_rnn_zoo.export.keras_model.signature import Timesteps
from keras_rnn_zoo.export.lowering import FLOAT
from keras_rnn_zoo.export.lowering.carry_out import carried_out
from keras_rnn_zoo.export.lowering.plan import Plan
from keras_rnn_zoo.export.lowering.streaming.probe import streaming_plan
from keras_rnn_zoo.export.options import FileOptions
from keras_rnn_zoo.export.quantization import roundings
from keras_rnn_zoo.export.quantization.modes.none import NoQuantization
from keras_rnn_zoo.export.tflite.file import INITIAL_STATE, STEP
from keras_rnn_zoo.export.tflite.interpreter import SIGNATURE, Arrays
from keras_rnn_zoo.export.verify.compare import INVOKES, Parity, compare_names, compare_values
from keras_rnn_zoo.export.verify.reference import Reference, reference_of

TOLERANCE = replace(
    NoQuantization.tolerance,
    reason="the same TensorFlow ops on the same float32 weights, compiled into one graph, which "
    "may order sums otherwise",
)
# Sequences that a streaming SavedModel is compared on, real and made, and calls of random ones.
STREAMS, SYNTHETIC_CALLS = 8, 32
# What a streaming SavedModel says of its steps, where TensorFlow lets other things lie.
ABOUT = "assets.extra/keras_rnn_zoo_streaming.json"


@dataclass(frozen=True)
class SavedModelResult:
    """What `export_saved_model` wrote and how it was proven.

    Attributes:
        path: The directory.
        bytes: Size of all its files.
        inputs: Names of the inputs of `serving_default`.
        outputs: Names of its outputs.
        parity: How its answers compare with the Keras model's; None with `verify=False`.
        names: Keras' name of an input or output -> its name here, where they differ.
        notes: What differs from the Keras model as it is, one sentence each.
    """

    path: Path
    bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parity: Parity | None = None
    names: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def export_saved_model(
    model: Any,
    path: files.PathLike,
    *,
    samples: Any = None,
    timesteps: Timesteps = None,
    streaming: int | bool = False,
    verify: bool = True,
) -> SavedModelResult:
    """Writes a Keras model as a SavedModel and proves it on what was written.

    Its signature `serving_default` takes the model's inputs and gives the model's outputs, by
    name, for any number of sequences at once. With `streaming`, the signature `step` takes the
    next time steps of one sequence and, by name, the states before them (`<layer>/h`), and gives
    the states after them by the same names; `initial_state` gives those to start with, float32.

    Args:
        model: A built `keras.Model`, whatever its dtype policy; it is not changed.
        path: A new or empty directory.
        samples: Encoded inputs to verify on: an array `[samples, ...]`, a list or a dict of arrays
            for several inputs; random ones where none are given.
        timesteps: Number of time steps of the random inputs where the model leaves it open, or by
            input name.
        streaming: Time steps that a call takes, True for as few as can be; False for whole
            sequences.
        verify: Reload the directory and compare its answers with the model's.

    Returns:
        What was written and measured.

    Raises:
        ExportError: The model cannot be exported, or cannot be run a few steps at a time, or the
            samples do not fit it.
        VerificationError: The SavedModel answers something else than the model.
        OutputError: `path` holds something, or cannot be written.
    """
    files.check_new_directory(path)
    if streaming:
        return _export_streaming(model, Path(path), samples, streaming, verify)
    ready = prepare(model, samples, timesteps, keep_states=True)
    reference = None
    with ready.states_put_back() as stateful:
        if verify:
            given = synthetic_samples(ready, timesteps) if samples is None else samples
            reference = reference_of(ready, given, roundings=roundings([]), keep_states=True)
    with files.new_directory(path) as directory:
        write_saved_model(ready, directory)
        parity = None
        if reference is not None:
            parity = compare_saved_model(directory, reference, stateful=stateful)
    return SavedModelResult(
        path=Path(path),
        bytes=bytes_of(Path(path)),
        inputs=tuple(spec.name for spec in ready.inputs),
        outputs=tuple(ready.outputs),
        parity=parity,
        names=ready.renamed,
        notes=ready.notes,
    )


def _export_streaming(
    model: Any, path: Path, samples: Any, streaming: int | bool, verify: bool
) -> SavedModelResult:
    ready = prepare(model, samples)
    plan = streaming_plan(ready, steps=FileOptions(streaming=streaming).steps)
    assert plan.steps is not None
    ready = ready.open_in_time
    reference = None
    if verify:
        given = (
            synthetic_samples(ready, SYNTHETIC_CALLS * plan.steps)
            if samples is None
            else whole_chunks(as_samples(ready, samples, limit=STREAMS), plan.steps)
        )
        reference = reference_of(ready, given, roundings=roundings([]))
    with files.new_directory(path) as directory:
        write_streaming(ready, plan, directory)
        parity = None if reference is None else compare_saved_model(directory, reference)
    return SavedModelResult(
        path=path,
        bytes=bytes_of(path),
        inputs=tuple(spec.name for spec in ready.inputs),
        outputs=tuple(ready.outputs),
        parity=parity,
        names=ready.renamed,
        notes=ready.notes,
    )


def write_streaming(model: KerasModel, plan: Plan, directory: Path) -> None:
    """Writes a model that is run a few time steps at a time into an existing directory.

    Args:
        model: The model, open in time.
        plan: What `streaming_plan` returned.
        directory: Where to write.
    """
    import tensorflow as tf

    build = carried_out(model, plan, FLOAT)
    names = [*(spec.name for spec in plan.inputs), *(state.name for state in plan.states)]
    made = [*(output.name for output in plan.outputs), *(state.name for state in plan.states)]

    def step(*inputs: Any) -> dict[str, Any]:
        return dict(zip(made, build(*inputs), strict=True))

    def start() -> dict[str, Any]:
        return {state.name: tf.constant(state.at_start()) for state in plan.states}

    traced = tf.function(step, autograph=False).get_concrete_function(
        *(tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in plan.inputs),
        *(
            tf.TensorSpec(state.shape, tf.float32, name=f"{STATE_IN}{number}")
            for number, state in enumerate(plan.states)
        ),
    )
    # Of the arguments of a graph; in a signature the names of states may have any sign.
    traced._arg_keywords = names
    signatures = {STEP: traced}
    if plan.states:
        signatures[INITIAL_STATE] = tf.function(start, autograph=False).get_concrete_function()
    module = tf.Module()
    module.held = [variable.value for variable in model.keras.variables]
    with _about_names_of_states():
        tf.saved_model.save(module, str(directory), signatures=signatures)
    every_step = [output.name for output in plan.outputs if output.every_step]
    (directory / ABOUT).parent.mkdir()
    files.write_json(directory / ABOUT, {"steps": plan.steps, "every_step": every_step})


def write_saved_model(model: KerasModel, directory: Path) -> None:
    """Writes a Keras model into an existing directory.

    Raises:
        ExportError: TensorFlow cannot save it.
    """
    import keras
    import tensorflow as tf

    def serve(*inputs: Any) -> dict[str, Any]:
        return dict(zip(model.outputs, model(list(inputs)), strict=True))

    module = tf.Module()
    # The model itself would bring its optimizer and every function that it ever traced.
    module.held = [variable.value for variable in model.keras.variables]
    for layer in model.keras._flatten_layers():
        module.held += [state.value for state in keras.tree.flatten(_states(layer))]
        if (table := getattr(layer, "lookup_table", None)) is not None:
            module.held.append(table)
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in model.inputs]
    try:
        traced = tf.function(serve, autograph=False).get_concrete_function(*signature)
        tf.saved_model.save(module, str(directory), signatures={SIGNATURE: traced})
    except (TypeError, ValueError, AssertionError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ExportError(
            f"Model '{model.name}' cannot be saved as a SavedModel: {reason}"
        ) from error


def _states(layer: Any) -> Any:
    return getattr(layer, "states", None) or []


def compare_saved_model(
    path: files.PathLike, reference: Reference, *, stateful: bool = False
) -> Parity:
    """Reloads a SavedModel and compares it with what the Keras model answered.

    Args:
        path: The directory.
        reference: What the Keras model answered.
        stateful: It goes on from call to call, as the Keras model did: each sample is answered
            once, in turn.

    Raises:
        RunError: The directory is missing or damaged.
        VerificationError: Names or values differ.
    """
    path = Path(path)
    serve = load_signature(path)
    if isinstance(serve, Stream):
        return _compare_stream(path, serve, reference)
    inputs = list(serve.structured_input_signature[1])
    compare_names(path.name, "input", [spec.name for spec in reference.inputs], inputs)
    outputs = list(serve.structured_outputs)
    compare_names(path.name, "output", [spec.name for spec in reference.outputs], outputs)
    batch = reference.inputs[0].shape[0]
    count = 1 if stateful else INVOKES
    invokes = [serve_batches(serve, reference.x, batch) for _ in range(count)]
    # One sequence at a time must give what all of them together gave.
    if batch is None and not stateful:
        invokes[-1] = {
            name: np.concatenate([serve_batches(serve, reference.x, 1, only=1)[name], values[1:]])
            for name, values in invokes[-1].items()
        }
    return compare_values(path.name, reference, TOLERANCE, invokes, repeat_tolerance=1e-5)


def _compare_stream(path: Path, stream: Stream, reference: Reference) -> Parity:
    """Compares on some real and some made samples: a step takes TensorFlow 0.3 ms by itself."""
    total = len(next(iter(reference.x.values())))
    rows = np.zeros(total, bool)
    rows[: min(STREAMS, reference.given)] = rows[reference.given :][:STREAMS] = True
    some = reference.only(rows)
    compare_names(path.name, "input", [spec.name for spec in some.inputs], list(stream.inputs))
    compare_names(path.name, "output", [spec.name for spec in some.outputs], list(stream.outputs))
    answers = stream.answer(some.x)
    again = stream.answer({name: values[:1] for name, values in some.x.items()})
    second = {name: np.concatenate([again[name], answers[name][1:]]) for name in answers}
    return compare_values(path.name, some, TOLERANCE, [answers, second], repeat_tolerance=1e-5)


class Stream:
    """The signatures `step` and `initial_state` of a SavedModel, run over whole sequences.

    Attributes:
        inputs: Names of the inputs that are no states.
        outputs: Names of the outputs that are no states.
        steps: Time steps that a call takes.
    """

    def __init__(self, loaded: Any, every_step: Collection[str]):
        self._every_step = every_step
        self._loaded = loaded  # a signature does not hold what it reads
        self._step = loaded.signatures[STEP]
        start = loaded.signatures.get(INITIAL_STATE) if INITIAL_STATE in loaded.signatures else None
        self._start: dict[str, Any] = {} if start is None else dict(start())
        specs = {
            spec.name: spec
            for spec in self._step.structured_input_signature[1].values()
            if spec.name not in self._start
        }
        self.inputs = list(specs)
        self.outputs = [name for name in self._step.structured_outputs if name not in self._start]
        first = next(iter(specs.values()))
        self.batch, self.steps = int(first.shape[0]), int(first.shape[1])

    def answer(self, x: Arrays) -> Arrays:
        """Answers sequences `[samples, time steps, ...]`; see `TFLiteModel.answer`.

        Raises:
            RunError: Their number of time steps is no multiple of what a call takes.
        """
        import tensorflow as tf

        count, total = next(iter(x.values())).shape[:2]
        if total % self.steps or not total:
            raise RunError(
                f"The SavedModel takes {self.steps} time steps a call. Received: {total}, which is "
                "no multiple of it. Cut the sequences."
            )
        parts: list[Arrays] = []
        for first in range(0, count, self.batch):
            rows = np.arange(first, first + self.batch).clip(max=count - 1)
            states = dict(self._start)
            found: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
            for step in range(0, total, self.steps):
                chunk = {n: tf.constant(v[rows, step : step + self.steps]) for n, v in x.items()}
                made = self._step(**chunk, **states)
                states = {name: made[name] for name in states}
                for name, values in found.items():
                    values.append(made[name].numpy())
            used = min(count - first, self.batch)
            joined = {
                name: np.concatenate(values, axis=1) if name in self._every_step else values[-1]
                for name, values in found.items()
            }
            parts.append({name: values[:used] for name, values in joined.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}


def load_signature(path: Path) -> Any:
    """Returns the function `serving_default` of a SavedModel, or the `Stream` of one with `step`.

    Raises:
        RunError: The directory is missing, no SavedModel, or damaged.
    """
    import tensorflow as tf

    if not (path / "saved_model.pb").is_file():
        raise RunError(f"{path} is no SavedModel: it has no saved_model.pb. Export it again.")
    try:
        with _about_names_of_states():
            loaded = tf.saved_model.load(str(path))
    except Exception as error:  # protobuf, TensorFlow and the file system each have their own
        raise RunError(
            f"{path} cannot be loaded ({' '.join(str(error).split())[:200]}). Take a complete "
            "copy, or export it again."
        ) from error
    if STEP in loaded.signatures:
        return Stream(loaded, _every_step(path))
    if SIGNATURE not in loaded.signatures:
        raise RunError(
            f"{path} has no signature '{SIGNATURE}'. Found: {listed(loaded.signatures)}. Export "
            "it again."
        )
    serve = loaded.signatures[SIGNATURE]
    serve.keep_alive = loaded  # a signature does not hold the variables that it reads
    return serve


@contextlib.contextmanager
def _about_names_of_states() -> Iterator[None]:
    """Keeps TensorFlow from warning that the names of states are none of Python's, until it ends.

    They need not be: a signature takes its arguments by name, `step(**states)`.
    """
    logger = logging.getLogger("absl")

    def other(record: logging.LogRecord) -> bool:
        return "not a valid tf.function parameter name" not in record.getMessage()

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


def _every_step(path: Path) -> list[str]:
    """Returns the names of the outputs that answer every step.

    Raises:
        RunError: What says so is missing or damaged.
    """
    try:
        known = json.loads((path / ABOUT).read_text(encoding="utf-8"))
        return [str(name) for name in known["every_step"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path / ABOUT} is missing or damaged. Take a complete copy, or export it again."
        ) from error


def serve_batches(
    serve: Any, x: Arrays, batch: int | None = None, only: int | None = None
) -> Arrays:
    """Runs a signature on encoded inputs, all at once or in batches of a fixed size.

    Args:
        serve: What `load_signature` returned.
        x: Input name -> samples.
        batch: Rows of a call, the last filled up; None for all.
        only: Answer the first rows only.
    """
    import tensorflow as tf

    count = only or len(next(iter(x.values())))
    parts: list[Arrays] = []
    for start in range(0, count, batch or count):
        rows = np.arange(start, start + (batch or count)).clip(max=count - 1)
        answers = serve(**{name: tf.constant(values[rows]) for name, values in x.items()})
        used = min(count - start, len(rows))
        parts.append({name: value.numpy()[:used] for name, value in answers.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@register_format("saved_model")
class SavedModel(Format):
    """A directory that `tf.saved_model.load` and TensorFlow Serving take."""

    description = "for TensorFlow: tf.saved_model.load, TensorFlow Serving"
    file_name = "saved_model"

    def export(self, model: Any, path: Any, **options: Any) -> SavedModelResult:
        """See `export_saved_model`."""
        return export_saved_model(model, path, **options)

    def write(self, model: KerasModel, path: Path) -> None:
        """See `write_saved_model`."""
        path.mkdir()
        write_saved_model(model, path)

    def write_part(self, part: str, directory: Path, job: BundleJob) -> FileRecord:
        """Writes the SavedModel; of one that takes a few steps a call no rows are scored."""
        if not job.options.streaming:
            return super().write_part(part, directory, job)
        path = directory / self.file_name
        path.mkdir()
        plan = streaming_plan(job.model, steps=job.options.steps)
        write_streaming(job.model.open_in_time, plan, path)
        parity = self.compare(path, job.reference)
        states = [state.name for state in plan.states]
        signatures = {
            STEP: {"inputs": [*parity.inputs, *states], "outputs": [*parity.outputs, *states]},
            INITIAL_STATE: {"inputs": [], "outputs": states},
        }
        return FileRecord(
            file=self.file_name,
            format=self.name,
            description=self.description,
            bytes=bytes_of(path),
            signatures=signatures,
            parity=parity.to_dict(),
        )

    def compare(self, path: Path, reference: Reference) -> Parity:
        """See `compare_saved_model`."""
        return compare_saved_model(path, reference)

    def serve(self, path: Path) -> Callable[[Arrays], Arrays]:
        """Answers in TensorFlow."""
        signature = load_signature(path)
        if isinstance(signature, Stream):
            return signature.answer
        fixed = next(iter(signature.structured_input_signature[1].values())).shape[0]
        return lambda x: serve_batches(signature, x, fixed or 256)
