"""From a Keras model to a SavedModel that holds only what the converter can express."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.errors import ConversionError, ExportError, one_line, plain
from keras_rnn_zoo.export.lowering.carry_out import carried_out
from keras_rnn_zoo.export.lowering.device_ops import substituted
from keras_rnn_zoo.export.lowering.plan import Plan
from keras_rnn_zoo.export.lowering.products import Products

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel

# What states are called until the file is written.
STATE_IN, STATE_OUT = "state_before_step_", "state_after_step_"


def trace(model: KerasModel, plan: Plan, products: Products, directory: Path) -> None:
    """Carries a plan out, and writes a SavedModel with the signature `serving_default`.

    Args:
        model: The model that the plan is for.
        plan: What becomes of its layers.
        products: What matrix products will cost.
        directory: Where to write.

    Raises:
        ExportError: There is no room for temporary files.
        Exception: Whatever a layer, or TensorFlow on its behalf, raises.
    """
    import tensorflow as tf

    # The names of states are none that TensorFlow takes: see `write`.
    names = [output.name for output in plan.outputs]
    names += [f"{STATE_OUT}{number}" for number in range(len(plan.states))]
    states = [
        tf.TensorSpec(state.shape, tf.float32, name=f"{STATE_IN}{number}")
        for number, state in enumerate(plan.states)
    ]
    build = carried_out(model, plan, products)

    def function(*inputs: Any) -> dict[str, Any]:
        return dict(zip(names, build(*inputs), strict=True))

    module = tf.Module()
    # A function that closes over variables can be saved only by what owns them.
    module.variables_of_the_model = [variable.value for variable in model.keras.variables]
    with substituted():
        traced = tf.function(function, autograph=False).get_concrete_function(
            *(tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in plan.inputs),
            *states,
        )
    try:
        tf.saved_model.save(module, str(directory), signatures={"serving_default": traced})
    except (tf.errors.OpError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExportError(
            f"Cannot write temporary files in {directory.parent}: {reason}. Free some space, "
            "or let the environment variable TMPDIR name another place."
        ) from error


def untraceable(error: Exception) -> ConversionError:
    """Returns the error for a model that does not even become a graph."""
    reason = one_line(error)
    return ConversionError(f"The model cannot be traced: {reason}", plain(error), "untraceable")
