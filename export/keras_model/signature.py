"""The inputs and outputs of a Keras model: names, sizes, dtypes, and how it is called."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from keras_rnn_zoo.errors import ExportError, listed, nearest

# Sizes that a model leaves open: of every input, or by its name; by axis if it is no time axis.
Timesteps: TypeAlias = int | Mapping[str, int | Mapping[int, int]] | None


@dataclass(frozen=True)
class InputSpec:
    """An input of the exported function.

    Attributes:
        name: Its name in the signature.
        shape: Static shape, batch included; None where the model leaves a size open.
        dtype: NumPy name of its type.
        original: Its name in the Keras model.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    original: str


def inputs_of(model: Any) -> tuple[InputSpec, ...]:
    """Returns the inputs of a built functional or sequential Keras model, with unique names.

    Raises:
        ExportError: The model is not built, or has no symbolic inputs (a subclassed model), or
            Keras runs on another backend than TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"Keras runs on '{keras.backend.backend()}', and TFLite and SavedModel are written "
            "with TensorFlow. Save the model as a .keras file, set the environment variable "
            "KERAS_BACKEND to tensorflow, and export from there."
        )
    if not isinstance(model, keras.Model):
        raise ExportError(
            f"Expected a built keras.Model. Received: {type(model).__module__}."
            f"{type(model).__qualname__}"
        )
    try:
        inputs = keras.tree.flatten(model.inputs)
    except (AttributeError, ValueError):
        inputs = []
    if not inputs:
        raise ExportError(
            f"Model '{model.name}' has no known inputs. Build it first (call it on data, or start "
            "it with keras.Input); wrap a subclassed model: "
            "keras.Model(inputs, model(inputs)) with inputs = keras.Input(...)."
        )
    originals = [tensor.name for tensor in inputs]
    originals = _keys(getattr(model, "_inputs_struct", None), originals)
    return tuple(
        InputSpec(name, tuple(tensor.shape), str(tensor.dtype), original)
        for name, tensor, original in zip(
            legal_names(originals, "input"), inputs, originals, strict=True
        )
    )


def outputs_of(model: Any) -> list[str]:
    """Returns the Keras names of the outputs: their keys, or the layers that make them."""
    import keras

    outputs = keras.tree.flatten(model.outputs)
    # A sequential model names no outputs: its last layer makes the only one.
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    if len(names) != len(outputs):
        names = [f"output_{number}" for number in range(len(outputs))]
    return _keys(getattr(model, "_outputs_struct", None), names)


def _keys(structure: Any, names: list[str]) -> list[str]:
    """Returns the names of flat tensors: the keys where the structure holds dicts."""
    import keras

    if structure is None:
        return list(names)
    keys = [
        "_".join(key for key in path if isinstance(key, str))
        for path, _ in keras.tree.flatten_with_path(structure)
    ]
    return [key or name for key, name in zip(keys, names, strict=True)]


def legal_names(names: list[str], kind: str) -> list[str]:
    """Returns for each name one that TensorFlow and Python keyword arguments take, all different.

    Args:
        names: Any names; those that are legal stay as they are.
        kind: `"input"` or `"output"`: what the name of one without a letter begins with.
    """
    # TensorFlow does not tell upper from lower case.
    taken = {name.lower() for name in names if _legal(name, kind) == name}
    kept: set[str] = set()
    unique = []
    for name in names:
        legal = found = _legal(name, kind)
        number = 0
        while found.lower() in kept or (found.lower() in taken and (found != name or number)):
            number += 1
            found = f"{legal}_{number}"
        kept.add(found.lower())
        unique.append(found)
    return unique


def _legal(name: str, kind: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        letters = unicodedata.normalize("NFKD", name)
        letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
        name = re.sub(r"[^A-Za-z0-9_]+", "_", letters).strip("_") or kind
        if name[0].isdigit():
            name = f"{kind}_{name}"
    # An argument of TensorFlow's own functions is called self.
    return f"{name}_" if keyword.iskeyword(name) or name == "self" else name


def graph_of(operation: Any) -> Any:
    """Returns the graph of a functional or sequential model; None for everything else."""
    graph = getattr(operation, "_functional", None) or operation
    # A model with a call of its own may do anything with its layers.
    own = not type(operation).call.__module__.startswith("keras.")
    return graph if hasattr(graph, "_nodes_by_depth") and not own else None


def refuse_text(specs: Sequence[InputSpec]) -> None:
    """Refuses inputs that are strings.

    Raises:
        ExportError: One is.
    """
    for spec in specs:
        if spec.dtype == "string":
            raise ExportError(
                f"Input '{spec.name}' takes text, and the files written here take numbers. Encode "
                "text before the model, and export the part behind the layer that does it now: "
                "keras.Model(that_layer.output, model.outputs)."
            )


def fixed(
    name: str, specs: Sequence[InputSpec], batch_size: int, timesteps: Timesteps
) -> list[InputSpec]:
    """Returns inputs with every size fixed.

    Args:
        name: Of the model.
        specs: Its inputs.
        batch_size: Sequences that one call of the file answers.
        timesteps: Sizes that the model leaves open: see `sized`.

    Raises:
        ExportError: A size is open and not given, or given and contradicted by the model; or the
            model takes text.
    """
    found = []
    refuse_text(specs)
    for own, spec in zip(specs, sized(name, specs, timesteps), strict=True):
        if own.shape[0] not in (None, batch_size):
            raise ExportError(
                f"Input '{own.name}' of model '{name}' has a fixed batch size of "
                f"{own.shape[0]}. Received: batch_size={batch_size}. Pass "
                f"batch_size={own.shape[0]}."
            )
        if None in spec.shape[1:]:
            raise ExportError(
                f"Input '{own.name}' of model '{name}' has the shape {own.shape}, and a file "
                f"for a device has fixed sizes. Pass {how_to_size(own)}, or samples of that size; "
                "with lowering='resizable' as well, if the app is to size the inputs."
            )
        found.append(replace(spec, shape=(batch_size, *spec.shape[1:])))
    return found


def how_to_size(spec: InputSpec) -> str:
    """Returns what to pass for the sizes that an input leaves open."""
    axes = [axis for axis, size in enumerate(spec.shape) if axis and size is None]
    if len(axes) == 1:
        python, line = f"... or {{'{spec.name}': ...}}", f"N or {spec.name}=N"
    else:
        python = f"{{'{spec.name}': {{{', '.join(f'{axis}: ...' for axis in axes)}}}}}"
        line = ",".join(f"{spec.name}:{axis}=N" for axis in axes)
    return f"timesteps={python} (on the command line --timesteps {line})"


def sized(name: str, specs: Sequence[InputSpec], timesteps: Timesteps) -> list[InputSpec]:
    """Returns inputs with the sizes that are given for what the model leaves open.

    Args:
        name: Of the model.
        specs: Its inputs.
        timesteps: Number of time steps (axis 1, or the only axis that is open) of every input that
            leaves it open; or input name -> that, or input name -> axis -> size.

    Raises:
        ExportError: An unknown input, or a size that the model contradicts.
    """
    if timesteps is None:
        return list(specs)
    if isinstance(timesteps, Mapping):
        return _sized_by_name(name, specs, timesteps)
    lengths = {spec.name: spec.shape[1] for spec in specs if len(spec.shape) > 1}
    if not any(_open_axis(spec) for spec in specs) and timesteps not in lengths.values():
        fixed = ", ".join(f"'{one}' {length}" for one, length in lengths.items())
        raise ExportError(
            f"Model '{name}' has fixed time steps (input {fixed}). Received: "
            f"timesteps={timesteps}. Leave timesteps out, or build and train the model with "
            f"timesteps={timesteps}."
        )
    return [
        _with_size(spec, axis, timesteps) if (axis := _open_axis(spec)) else spec for spec in specs
    ]


def _sized_by_name(
    model: str, specs: Sequence[InputSpec], timesteps: Mapping[str, int | Mapping[int, int]]
) -> list[InputSpec]:
    known = {spec.original: spec for spec in specs} | {spec.name: spec for spec in specs}
    for name in timesteps:
        if name not in known:
            raise ExportError(
                f"Model '{model}' has no input '{name}' to give a size for."
                f"{nearest(name, known)} Its inputs: {listed(spec.name for spec in specs)}."
            )
    given = {known[name].name: sizes for name, sizes in timesteps.items()}
    result = []
    for spec in specs:
        sizes = given.get(spec.name, {})
        if not isinstance(sizes, Mapping):
            sizes = {_open_axis(spec) or 1: sizes}
        for axis, size in sizes.items():
            spec = _with_size(spec, axis, size)
        result.append(spec)
    return result


def _open_axis(spec: InputSpec) -> int | None:
    """The axis that a number of time steps alone means: the first, or the only one open."""
    axes = [axis for axis, size in enumerate(spec.shape) if axis and size is None]
    return axes[0] if axes and (axes[0] == 1 or len(axes) == 1) else None


def _with_size(spec: InputSpec, axis: int, size: int) -> InputSpec:
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise ExportError(
            f"timesteps must be at least 1, a whole number. Received for input '{spec.name}': "
            f"{size!r}"
        )
    if not 0 < axis < len(spec.shape) or spec.shape[axis] not in (None, size):
        raise ExportError(
            f"Input '{spec.name}' has the shape {spec.shape}. Received: the size {size} for axis "
            f"{axis}. Only the sizes that are None can be chosen, that of the batch aside: it is "
            "batch_size."
        )
    return replace(spec, shape=(*spec.shape[:axis], int(size), *spec.shape[axis + 1 :]))


def call_flat(model: Any, inputs: list[Any]) -> list[Any]:
    """Calls the model for inference on flat inputs; returns flat outputs."""
    import keras

    structure = getattr(model, "_inputs_struct", None)
    if structure is None:  # Sequential
        structure = model.inputs if len(inputs) > 1 else model.inputs[0]
    packed = keras.tree.pack_sequence_as(structure, inputs)
    return list(keras.tree.flatten(model(packed, training=False)))
