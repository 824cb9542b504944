"""A Keras model whose layers compute, for a while, with ops that devices have.

Each layer that needs it gets another `call`, on the instance, for the time of a `with` block. The
model's own code decides what is called when and with which mask, so functional, sequential,
nested and shared layers, wrappers and everything in between stay as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ExportError
from keras_rnn_zoo.export.keras_model.recurrent import cells_of, is_recurrent, layers_of, path_of
from keras_rnn_zoo.export.lowering import FLOAT, LOWERINGS, Lowering, Products
from keras_rnn_zoo.export.lowering.cells import Cell, Chain, describe, side_by_side, states_at_start
from keras_rnn_zoo.export.lowering.device_ops import substituted
from keras_rnn_zoo.export.lowering.recurrence import Lookup, Result, Sequence

Tensor = Any


Call = Callable[..., Any]


@dataclass(frozen=True)
class Expressed:
    """How the recurrent layers of a model are expressed; complete once the model was called.

    Attributes:
        lowering: Path of each recurrent layer -> name of the lowering that expresses it.
        fallbacks: Path of a layer that the chosen lowering refused -> why; another one took it.
        folded: Paths of the layers that look their projected inputs up.
    """

    lowering: dict[str, str] = field(default_factory=dict)
    fallbacks: dict[str, str] = field(default_factory=dict)
    folded: set[str] = field(default_factory=set)


# Attribute of a tensor that an embedding made: the `Lookup` behind it.
LOOKUP = "_keras_rnn_zoo_lookup"


# Attribute of a sequence that a recurrent layer made: the `Below` of the layer on top of it.
BELOW = "_keras_rnn_zoo_below"


@dataclass(frozen=True)
class Below:
    """A recurrence whose outputs are a sequence: the next one may run in the same steps.

    The sequence between the two is then needed by nobody, and its ops are pruned.
    """

    layer: Any
    cell: Cell
    sequence: Sequence
    lowering: Lowering

    def feeds_only(self, layer: Any, sequence: Sequence) -> bool:
        """Whether all that becomes of the outputs is that `layer` takes them, step by step."""
        if (
            getattr(self.layer, "return_state", False)
            or self.sequence.go_backwards
            or sequence.go_backwards
            or sequence.mask is not self.sequence.mask
            or self.layer.compute_dtype != "float32"
        ):
            return False
        operation = self.layer
        while operation is not layer:  # what lies between passed the tensor on as it is
            nodes = operation._outbound_nodes
            if len(nodes) != 1:
                return False
            operation = nodes[0].operation
        return True

    def extended(self, cell: Cell, sequence: Sequence) -> tuple[Cell, Sequence]:
        """Returns this recurrence with `cell` on top of it."""
        batch = self.sequence.inputs.shape[0]
        states = None
        if self.sequence.initial_states is not None or sequence.initial_states is not None:
            states = (self.sequence.initial_states or self.cell.initial_states(batch)) + (
                sequence.initial_states or cell.initial_states(batch)
            )
        chain = Chain((self.cell, cell))
        return chain, replace(
            sequence,
            inputs=self.sequence.inputs,
            lookup=self.sequence.lookup,
            initial_states=states,
        )


@contextlib.contextmanager
def rewritten(
    model: Any, lowering: str, products: Products = FLOAT, fold: bool = False
) -> Iterator[Expressed]:
    """Gives the layers of `model` that need it another `call` until the block ends.

    Args:
        model: A built `keras.Model`.
        lowering: Name of the lowering for its recurrent layers.
        products: What matrix products will cost.
        fold: Replace an embedding and the input projection of the recurrence behind it by one
            table, larger than the embedding's.

    Yields:
        How each recurrent layer is expressed.

    Raises:
        UnknownNameError: No such lowering.
        ExportError: A layer gets a sequence of an unknown size, once it is called.
    """
    from keras.layers import RNN, Embedding, TimeDistributed

    chosen = LOWERINGS.get(lowering)
    expressed = Expressed()
    patched: list[Any] = []
    unrolled: list[tuple[Any, bool]] = []
    layers = layers_of(model)
    partners = _partners(layers, products)
    try:
        for layer in layers:
            call = _recurrent_call(
                layer, chosen, products, fold, partners.get(id(layer)), expressed
            )
            if call is not None:
                expressed.lowering[path_of(layer)] = chosen.name
            elif type(layer) is Embedding:
                call = _embedding(layer)
            elif chosen.open_sizes and isinstance(layer, RNN):
                raise ExportError(
                    f"Layer '{path_of(layer)}' ({type(layer).__name__}) loops over its time steps "
                    f"by itself, which takes fixed sizes. Leave the lowering '{lowering}' out."
                )
            elif chosen.open_sizes and type(layer) is TimeDistributed:
                call = _time_distributed(layer)
            elif isinstance(layer, RNN) and lowering != "loop":
                # Its call is its own (ConvLSTM), but Keras can spell its steps out.
                unrolled.append((layer, layer.unroll))
                layer.__dict__["unroll"] = True
                expressed.lowering[path_of(layer)] = "unrolled"
            if call is not None:
                layer.__dict__["call"] = call
                patched.append(layer)
        with substituted():
            yield expressed
    finally:
        for layer in patched:
            del layer.__dict__["call"]
        for layer, value in unrolled:
            layer.__dict__["unroll"] = value


class Both:
    """The two directions of a Bidirectional, run together when the first is asked for.

    Args:
        forward: The Keras layer that is asked first.
        backward: The one that reads the same steps in the opposite direction.
        cell: Their cells side by side.
    """

    def __init__(self, forward: Any, backward: Any, cell: Cell):
        self.forward, self.backward, self.cell = forward, backward, cell
        self._made: tuple[Tensor, Tensor, Result] | None = None

    def run(
        self, layer: Any, lowering: Lowering, sequence: Sequence, inputs: Tensor
    ) -> Result | None:
        """Returns what one of the layers makes of the inputs; None where it has to run alone."""
        if layer is self.backward:
            made, self._made = self._made, None
            if made is not None and made[0] is inputs and made[1] is sequence.mask:
                return made[2]
            return None
        if sequence.initial_states is not None:
            return None
        backward = replace(
            sequence,
            go_backwards=True,
            zero_output_for_mask=getattr(self.backward, "zero_output_for_mask", False),
        )
        result, other = lowering.run_both(self.cell, sequence, backward)
        self._made = inputs, sequence.mask, other
        return result


def _partners(layers: list[Any], products: Products) -> dict[int, Both]:
    """The id of each layer that runs together with another -> the two."""
    from keras.layers import Bidirectional

    found: dict[int, Both] = {}
    for layer in layers:
        if type(layer) is not Bidirectional:
            continue
        pair = forward, backward = layer.forward_layer, layer.backward_layer
        if (
            all(is_recurrent(one) and len(cells_of(one)) == 1 for one in pair)
            and (forward.go_backwards, backward.go_backwards) == (False, True)
            and forward.return_sequences == backward.return_sequences
            and forward.compute_dtype == backward.compute_dtype == "float32"
        ):
            first, second = (describe(path_of(one), cells_of(one)[0], products) for one in pair)
            cell = side_by_side(first, second)
            if cell is not None:
                both = Both(forward, backward, cell)
                found |= {id(forward): both, id(backward): both}
    return found


def _recurrent_call(
    layer: Any,
    chosen: Lowering,
    products: Products,
    fold: bool,
    both: Both | None,
    expressed: Expressed,
) -> Call | None:
    if not is_recurrent(layer):
        return None
    path = path_of(layer)
    keras_cells = cells_of(layer)
    cells = [
        describe(path if len(keras_cells) == 1 else f"{path}/{number}", cell, products)
        for number, cell in enumerate(keras_cells)
    ]
    own = cells[0] if len(cells) == 1 else Chain(tuple(cells))

    def call(
        sequences: Tensor,
        initial_state: Any = None,
        mask: Tensor = None,
        training: bool | None = None,
    ) -> Any:
        import keras
        import tensorflow as tf

        inputs = tf.cast(sequences, tf.float32)
        if inputs.shape[-1] is None or (None in inputs.shape and not chosen.open_sizes):
            raise ExportError(
                f"Layer '{path}' gets a sequence of shape {tuple(inputs.shape)}: what comes before "
                "it drops or adds entries, and a file has fixed sizes. Keep all steps: "
                "keras.ops.where(condition, x, 0) instead of a boolean mask."
            )
        given: tuple[Tensor, ...] | None = None
        if initial_state is not None:
            given = tuple(tf.cast(state, tf.float32) for state in keras.tree.flatten(initial_state))
        cell = own
        sequence = Sequence(
            inputs=inputs,
            mask=mask,
            initial_states=given,
            go_backwards=getattr(layer, "go_backwards", False),
            return_sequences=layer.return_sequences,
            return_state=getattr(layer, "return_state", False),
            zero_output_for_mask=getattr(layer, "zero_output_for_mask", False),
            lookup=getattr(sequences, LOOKUP, None),
            fold=fold,
        )
        lowering = chosen
        while (reason := lowering.refuses(cell, sequence)) is not None:
            lowering = LOWERINGS.get(lowering.otherwise)
            expressed.lowering[path] = lowering.name
            expressed.fallbacks.setdefault(path, reason)
        below: Below | None = getattr(sequences, BELOW, None)
        if (
            below is not None
            and below.lowering is lowering
            and lowering.chains(Chain((below.cell, own)))
            and below.feeds_only(layer, sequence)
        ):
            cell, sequence = below.extended(own, sequence)
        lookup = sequence.lookup if fold and lowering.folds else None
        if lookup is not None and cell.fold(lookup.table[:1]):
            expressed.folded.add(path)
        result = None
        if both is not None and lowering.both_directions:
            result = both.run(layer, lowering, sequence, sequences)
        if result is None:
            result = lowering.run(cell, sequence)
        output = tf.cast(result.output, layer.compute_dtype)
        if sequence.return_sequences and not tf.executing_eagerly():
            setattr(output, BELOW, Below(layer, cell, sequence, lowering))
        if not sequence.return_state:
            return output
        final = list(result.states[-len(own.state_shapes) :])
        return (output, *keras.tree.pack_sequence_as(states_at_start(layer.cell, 1), final))

    return call


def _time_distributed(layer: Any) -> Call:
    """All time steps as one batch: Keras loops over them, with a number of rows that is known."""

    def call(inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        import tensorflow as tf

        if None not in inputs.shape or (mask is not None and layer.layer._call_has_mask_arg):
            return type(layer).call(layer, inputs, training=training, mask=mask)
        output = layer.layer(tf.reshape(inputs, [-1, *inputs.shape[2:]]), training=training)
        return tf.reshape(output, tf.concat([tf.shape(inputs)[:2], output.shape[1:]], axis=0))

    return call


def _embedding(layer: Any) -> Call:
    """A plain GATHER: what Keras emits accepts negative ids too, with ops that TFLM lacks."""
    table = np.asarray(layer.embeddings, np.float32)

    def call(inputs: Tensor) -> Tensor:
        import tensorflow as tf

        def vectors(ids: Tensor) -> Tensor:
            rows = tf.gather(tf.constant(table), ids)
            return tf.cast(tf.cast(rows, layer.compute_dtype), tf.float32)

        ids = inputs if inputs.dtype in (tf.int32, tf.int64) else tf.cast(inputs, tf.int32)
        output = tf.cast(vectors(ids), layer.compute_dtype)
        if len(ids.shape) == 2 and not tf.executing_eagerly():
            # Layers that compute nothing in inference (Dropout, Masking) hand this very tensor on.
            setattr(output, LOOKUP, Lookup(ids, vectors, table))
        return output

    return call
