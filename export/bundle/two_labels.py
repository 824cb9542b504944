"""A model that answers one probability, as one that answers two: an output for each label."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import VerificationError
from keras_rnn_zoo.export.keras_model.heads import output_activation
from keras_rnn_zoo.export.verify.reference import keras_answers

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel
    from keras_rnn_zoo.export.keras_model.samples import Samples
    from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor

# Rounding of float32 near 1, a few times over; anything wrong is a thousand times as large.
ROUNDING = 1e-6
NOTE = (
    "The files answer both probabilities, of '{0}' and of '{1}', where the Keras model answers "
    "that of '{1}' alone: the client wants an output for each label."
)


def with_two_outputs(model: Any) -> Any:
    """Returns a Keras model that answers `[1 - p, p]` where another one answers `[p]`.

    The last Dense layer becomes one of two units whose first is always 0: the sigmoid of z is the
    second of the softmax of 0 and z. So the answers are still compared by what goes into the end of
    the model. Of a model that ends otherwise, 1 - p is computed from p.

    Args:
        model: Functional, its only output `[batch, 1]`, probabilities; it is not changed.
    """
    import keras

    (output,) = keras.tree.flatten(model.outputs)
    layer = output._keras_history.operation
    if type(layer) is not keras.layers.Dense or output_activation(output) != "sigmoid":
        both = keras.ops.concatenate([1 - output, output], axis=-1)
        return keras.Model(model.inputs, both, name=model.name)
    (before,) = layer._inbound_nodes[output._keras_history.node_index].input_tensors
    head = keras.layers.Dense(2, "softmax", use_bias=layer.use_bias, name=layer.name)
    two = keras.Model(model.inputs, head(before), name=model.name)
    head.set_weights([np.concatenate([np.zeros_like(w), w], axis=-1) for w in layer.get_weights()])
    return two


def two_labels(preprocessor: Preprocessor) -> Preprocessor:
    """Returns the preprocessor of a model `with_two_outputs`."""
    return replace(preprocessor, task="multiclass", outputs=2)


def check_same(one: KerasModel, two: KerasModel, samples: Samples) -> None:
    """Compares a model with what `with_two_outputs` made of it.

    Raises:
        VerificationError: It answers something else.
    """
    (p,) = keras_answers(one, samples).values()
    (both,) = keras_answers(two, samples).values()
    difference = float(np.abs(np.concatenate([1 - p, p], axis=-1) - both).max())
    if not difference <= ROUNDING:
        raise VerificationError(
            f"The model with two outputs differs by {difference:.2g} from the one with one output, "
            "which is a bug of ours: report it, and export for another target."
        )
