"""From a Keras model to a SavedModel that holds only what the converter can express."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_rnn_zoo.errors import ConversionError, ExportError, one_line, plain
from keras_rnn_zoo.export.keras_model.signature import (
    Timesteps,
    call_flat,
    fixed_shapes,
    input_specs,
    output_names,
    refuse_text,
)
from keras_rnn_zoo.export.lowering import FLOAT, LOWERINGS, Products
from keras_rnn_zoo.export.lowering.rewrite import Expressed, rewritten


def trace(
    model: Any,
    directory: Path,
    *,
    lowering: str,
    batch_size: int = 1,
    timesteps: Timesteps = None,
    products: Products = FLOAT,
    fold: bool = False,
) -> Expressed:
    """Writes the rewritten model as a SavedModel with the signature `serving_default`.

    Returns:
        How each recurrent layer is expressed.
    """
    import tensorflow as tf

    if LOWERINGS.get(lowering).open_sizes:
        specs = input_specs(model)
        refuse_text(specs)
    else:
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


def untraceable(error: Exception) -> ConversionError:
    """Returns the error for a model that does not even become a graph."""
    reason = one_line(error)
    return ConversionError(f"The model cannot be traced: {reason}", plain(error), "untraceable")
