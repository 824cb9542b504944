"""From a Keras model to a SavedModel that holds only what the converter can express."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_rnn_zoo.errors import ExportError
from keras_rnn_zoo.export.lowering import FLOAT, Products
from keras_rnn_zoo.export.rewriting import Expressed, rewritten


@dataclass(frozen=True)
class InputSpec:
    """An input of the exported function.

    Attributes:
        name: Its name in the signature.
        shape: Static shape, batch included; None where the model leaves a size open.
        dtype: NumPy name of its type.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def input_specs(model: Any) -> list[InputSpec]:
    """Returns the inputs of a built functional or sequential model, with unique names.

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
    names = _unique([_plain(tensor.name) for tensor in inputs])
    return [
        InputSpec(name, tuple(tensor.shape), str(tensor.dtype))
        for name, tensor in zip(names, inputs, strict=True)
    ]


def output_names(model: Any) -> list[str]:
    """Returns one unique name for each output of the model, from the layers that make them."""
    import keras

    outputs = keras.tree.flatten(model.outputs)
    # A sequential model names no outputs: its last layer makes the only one.
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    if len(names) != len(outputs):
        names = [f"output_{number}" for number in range(len(outputs))]
    return _unique([_plain(name) for name in names])


def _plain(name: str) -> str:
    return name.split(":")[0].replace("/", "_")


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        count = seen[name] = seen.get(name, 0) + 1
        unique.append(name if count == 1 else f"{name}_{count - 1}")
    return unique


def refuse_text(specs: list[InputSpec]) -> None:
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


def fixed_shapes(model: Any, batch_size: int, timesteps: int | None) -> list[InputSpec]:
    """Returns the inputs with every size fixed.

    Args:
        model: A built functional or sequential model.
        batch_size: Sequences that one call of the file answers.
        timesteps: Size of axis 1 where the model leaves it open.

    Raises:
        ExportError: A size is open and not given, or given and contradicted by the model; or the
            model takes text.
    """
    fixed = []
    specs = input_specs(model)
    refuse_text(specs)
    if timesteps is not None:
        _check_timesteps(model, specs, timesteps)
    for spec in specs:
        shape = list(spec.shape)
        if shape[0] not in (None, batch_size):
            raise ExportError(
                f"Input '{spec.name}' of model '{model.name}' has a fixed batch size of "
                f"{shape[0]}. Received: batch_size={batch_size}. Pass batch_size={shape[0]}."
            )
        shape[0] = batch_size
        if len(shape) > 1 and shape[1] is None:
            shape[1] = timesteps
        if None in shape:
            raise ExportError(
                f"Input '{spec.name}' of model '{model.name}' has the shape {spec.shape}: a file "
                "for a device has fixed sizes. Pass timesteps=... for axis 1, or build the model "
                "with fixed sizes."
            )
        fixed.append(InputSpec(spec.name, tuple(shape), spec.dtype))
    return fixed


def _check_timesteps(model: Any, specs: list[InputSpec], timesteps: int) -> None:
    if timesteps < 1:
        raise ExportError(f"timesteps must be at least 1. Received: {timesteps}")
    lengths = {spec.name: spec.shape[1] for spec in specs if len(spec.shape) > 1}
    if lengths and None not in lengths.values() and timesteps not in lengths.values():
        fixed = ", ".join(f"'{name}' {length}" for name, length in lengths.items())
        raise ExportError(
            f"Model '{model.name}' has fixed time steps (input {fixed}). Received: "
            f"timesteps={timesteps}. Leave timesteps out, or build and train the model with "
            f"timesteps={timesteps}."
        )


def call_flat(model: Any, inputs: list[Any]) -> list[Any]:
    """Calls the model for inference on flat inputs; returns flat outputs."""
    import keras

    structure = getattr(model, "_inputs_struct", None)
    if structure is None:  # Sequential
        structure = model.inputs if len(inputs) > 1 else model.inputs[0]
    packed = keras.tree.pack_sequence_as(structure, inputs)
    return list(keras.tree.flatten(model(packed, training=False)))


def trace(
    model: Any,
    directory: Path,
    *,
    lowering: str,
    batch_size: int = 1,
    timesteps: int | None = None,
    products: Products = FLOAT,
    fold: bool = False,
) -> Expressed:
    """Writes the rewritten model as a SavedModel with the signature `serving_default`.

    Returns:
        How each recurrent layer is expressed.
    """
    import tensorflow as tf

    specs = fixed_shapes(model, batch_size, timesteps)
    names = output_names(model)

    def function(*inputs: Any) -> dict[str, Any]:
        return dict(zip(names, call_flat(model, list(inputs)), strict=True))

    module = tf.Module()
    # A function that closes over variables can be saved only by what owns them.
    module.variables_of_the_model = [variable.value for variable in model.variables]
    with rewritten(model, lowering, products, fold) as expressed:
        traced = tf.function(function, autograph=False).get_concrete_function(
            *(tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in specs)
        )
        try:
            tf.saved_model.save(module, str(directory), signatures={"serving_default": traced})
        except (tf.errors.OpError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ExportError(
                f"Cannot write temporary files in {directory.parent}: {reason}. Free some space, "
                "or let the environment variable TMPDIR name another place."
            ) from error
    return expressed
