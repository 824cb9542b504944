"""A Keras model as a TensorFlow SavedModel that plain `tf.saved_model.load` serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import ExportError, RunError, listed
from keras_rnn_zoo.export.formats.format import Format, bytes_of, register_format
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.keras_model.samples import synthetic_samples
from keras_rnn_zoo.export.keras_model.signature import Timesteps
from keras_rnn_zoo.export.quantization import roundings
from keras_rnn_zoo.export.quantization.modes.none import NoQuantization
from keras_rnn_zoo.export.tflite.interpreter import SIGNATURE, Arrays
from keras_rnn_zoo.export.verify.compare import INVOKES, Parity, compare_names, compare_values
from keras_rnn_zoo.export.verify.reference import Reference, reference_of

TOLERANCE = replace(
    NoQuantization.tolerance,
    reason="the same TensorFlow ops on the same float32 weights, compiled into one graph, which "
    "may order sums otherwise",
)


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
    verify: bool = True,
) -> SavedModelResult:
    """Writes a Keras model as a SavedModel and proves it on what was written.

    Its signature `serving_default` takes the model's inputs and gives the model's outputs, by
    name, for any number of sequences at once.

    Args:
        model: A built `keras.Model`, whatever its dtype policy; it is not changed.
        path: A new or empty directory.
        samples: Encoded inputs to verify on: an array `[samples, ...]`, a list or a dict of arrays
            for several inputs; random ones where none are given.
        timesteps: Number of time steps of the random inputs where the model leaves it open, or by
            input name.
        verify: Reload the directory and compare its answers with the model's.

    Returns:
        What was written and measured.

    Raises:
        ExportError: The model cannot be exported, or the samples do not fit it.
        VerificationError: The SavedModel answers something else than the model.
        OutputError: `path` holds something, or cannot be written.
    """
    files.check_new_directory(path)
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


def load_signature(path: Path) -> Any:
    """Returns the function `serving_default` of a SavedModel.

    Raises:
        RunError: The directory is missing, no SavedModel, or damaged.
    """
    import tensorflow as tf

    if not (path / "saved_model.pb").is_file():
        raise RunError(f"{path} is no SavedModel: it has no saved_model.pb. Export it again.")
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # protobuf, TensorFlow and the file system each have their own
        raise RunError(
            f"{path} cannot be loaded ({' '.join(str(error).split())[:200]}). Take a complete "
            "copy, or export it again."
        ) from error
    if SIGNATURE not in loaded.signatures:
        raise RunError(
            f"{path} has no signature '{SIGNATURE}'. Found: {listed(loaded.signatures)}. Export "
            "it again."
        )
    serve = loaded.signatures[SIGNATURE]
    serve.keep_alive = loaded  # a signature does not hold the variables that it reads
    return serve


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

    def compare(self, path: Path, reference: Reference) -> Parity:
        """See `compare_saved_model`."""
        return compare_saved_model(path, reference)

    def serve(self, path: Path) -> Callable[[Arrays], Arrays]:
        """Answers in TensorFlow."""
        signature = load_signature(path)
        fixed = next(iter(signature.structured_input_signature[1].values())).shape[0]
        return lambda x: serve_batches(signature, x, fixed or 256)
