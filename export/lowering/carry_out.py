"""A plan carried out: a model whose recurrent layers build the ops that the plan says.

The model is a replica of its own, so nothing of the given one changes. Its code decides what is
called when and with which mask; so functional, sequential, nested and shared layers, wrappers and
everything in between stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.export.keras_model.recurrent import is_recurrent, layers_of, path_of
from keras_rnn_zoo.export.keras_model.replica import replica
from keras_rnn_zoo.export.keras_model.signature import call_flat
from keras_rnn_zoo.export.lowering.cells import (
    Cell,
    Chain,
    cell_of,
    side_by_side,
    states_at_start,
)
from keras_rnn_zoo.export.lowering.plan import Call, Plan, PlannedRecurrence
from keras_rnn_zoo.export.lowering.products import Products
from keras_rnn_zoo.export.lowering.recurrence import LOWERINGS, Lookup, Result, Sequence

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel

Tensor = Any


def carried_out(model: KerasModel, plan: Plan, products: Products) -> Callable[..., list[Tensor]]:
    """Returns a function from flat inputs to flat outputs that builds what a plan says.

    Args:
        model: The model that the plan is for.
        plan: What becomes of its layers.
        products: What matrix products will cost.

    Returns:
        Where a call is a step, it takes the states behind the inputs, and returns those after it
        behind the outputs.
    """
    import keras

    own = replica(model.keras)
    layers = layers_of(own)
    execution = _Execution(layers, plan, products)
    if plan.states:
        for layer in layers:
            if isinstance(layer, keras.Model):
                layer.input_spec = None  # the number of time steps, which is one here
    for planned in plan.layers:
        layer = layers[planned.layer]
        if planned.how == "gather":
            layer.__dict__["call"] = execution.embedding(planned.layer)
        elif planned.how == "one_batch":
            layer.__dict__["call"] = _one_batch(layer)
        else:
            layer.__dict__["unroll"] = True
    for place, layer in enumerate(layers):
        if is_recurrent(layer):
            layer.__dict__["call"] = execution.recurrence(place)

    def function(*inputs: Tensor) -> list[Tensor]:
        fed = len(plan.inputs)
        execution.start(inputs[fed:])
        with model.computing():
            return [*call_flat(own, list(inputs[:fed])), *execution.after]

    return function


@dataclass(frozen=True)
class _Made:
    """What ran for a call: the cell, those below included, and over what."""

    cell: Cell
    sequence: Sequence


class _Execution:
    """Builds the ops of one recurrent call after the other, and keeps what later ones need."""

    def __init__(self, layers: list[Any], plan: Plan, products: Products):
        self._layers = layers
        self._default = LOWERINGS.get(plan.lowering)
        self._planned: dict[Call, PlannedRecurrence] = {one.at: one for one in plan.recurrences}
        # Now, while NumPy may read the weights: in a graph it may not.
        self._cells: dict[int, Cell] = {
            place: cell_of(layer, path_of(layer), products)
            for place, layer in enumerate(layers)
            if is_recurrent(layer)
        }
        self._states = plan.states
        self.start()

    @property
    def after(self) -> list[Tensor]:
        """The states after a step, in the order of those before."""
        calls = dict.fromkeys(Call(state.layer, state.call) for state in self._states)
        return [value for at in calls for value in self._after[at]]

    def start(self, states: Iterable[Tensor] = ()) -> None:
        """Forgets what an earlier run made.

        Args:
            states: Those before a step.
        """
        self._before: dict[Call, list[Tensor]] = {}
        for state, value in zip(self._states, states, strict=False):
            self._before.setdefault(Call(state.layer, state.call), []).append(value)
        self._after: dict[Call, tuple[Tensor, ...]] = {}
        self._calls: dict[int, int] = {}
        self._lookups: dict[Call, Lookup] = {}
        self._made: dict[Call, _Made] = {}
        self._other_direction: dict[Call, Result] = {}

    def _next(self, place: int) -> Call:
        self._calls[place] = self._calls.get(place, -1) + 1
        return Call(place, self._calls[place])

    def recurrence(self, place: int) -> Callable[..., Any]:
        """Returns the call of a recurrent layer."""
        layer = self._layers[place]

        def call(
            sequences: Tensor,
            initial_state: Any = None,
            mask: Tensor = None,
            training: bool | None = None,
        ) -> Any:
            import keras
            import tensorflow as tf

            states: tuple[Tensor, ...] | None = None
            if initial_state is not None:
                flat = keras.tree.flatten(initial_state)
                states = tuple(tf.cast(state, tf.float32) for state in flat)
            sequence = Sequence(
                inputs=tf.cast(sequences, tf.float32),
                mask=mask,
                initial_states=states,
                go_backwards=getattr(layer, "go_backwards", False),
                return_sequences=layer.return_sequences,
                return_state=getattr(layer, "return_state", False),
                zero_output_for_mask=getattr(layer, "zero_output_for_mask", False),
            )
            result = self._run(self._next(place), sequence)
            output = tf.cast(result.output, layer.compute_dtype)
            if not sequence.return_state:
                return output
            final = list(result.states[-len(self._cells[place].state_shapes) :])
            return (output, *keras.tree.pack_sequence_as(states_at_start(layer.cell, 1), final))

        return call

    def _run(self, at: Call, sequence: Sequence) -> Result:
        planned, cell = self._planned.get(at), self._cells[at.layer]
        if planned is None:  # a call that was not there when the plan was made
            return self._default.run(cell, sequence)
        if at in self._other_direction:
            return self._other_direction.pop(at)
        lowering = LOWERINGS.get(planned.lowering)
        if planned.below is not None:
            cell, sequence = _on_top(self._made[planned.below], cell, sequence)
        elif planned.embedding is not None:
            lookup = self._lookups[planned.embedding]
            sequence = replace(sequence, lookup=lookup, fold=planned.folded)
        if at in self._before:
            result = lowering.run(cell, replace(sequence, initial_states=tuple(self._before[at])))
            self._after[at] = result.states
            return result
        self._made[at] = _Made(cell, sequence)
        if planned.together is None or planned.backwards:  # unless asked for before the other
            return lowering.run(cell, sequence)
        other = self._layers[planned.together.layer]
        both = side_by_side(cell, self._cells[planned.together.layer])
        assert both is not None, "planned to run together"
        backward = replace(
            sequence,
            go_backwards=True,
            zero_output_for_mask=getattr(other, "zero_output_for_mask", False),
        )
        result, self._other_direction[planned.together] = lowering.run_both(
            both, sequence, backward
        )
        return result

    def embedding(self, place: int) -> Callable[..., Tensor]:
        """Returns the call of an embedding: a plain GATHER.

        What Keras emits accepts negative ids too, with ops that TFLM lacks.
        """
        layer = self._layers[place]
        table = np.asarray(layer.embeddings, np.float32)

        def call(inputs: Tensor) -> Tensor:
            import tensorflow as tf

            def vectors(ids: Tensor) -> Tensor:
                rows = tf.gather(tf.constant(table), ids)
                return tf.cast(tf.cast(rows, layer.compute_dtype), tf.float32)

            ids = inputs if inputs.dtype in (tf.int32, tf.int64) else tf.cast(inputs, tf.int32)
            self._lookups[self._next(place)] = Lookup(ids, vectors, table)
            return tf.cast(vectors(ids), layer.compute_dtype)

        return call


def _on_top(below: _Made, cell: Cell, sequence: Sequence) -> tuple[Cell, Sequence]:
    """Returns a recurrence with `cell` on top of it; the sequence between is needed by nobody."""
    first, batch = below.sequence, below.sequence.inputs.shape[0]
    states = None
    if first.initial_states is not None or sequence.initial_states is not None:
        states = (first.initial_states or below.cell.initial_states(batch)) + (
            sequence.initial_states or cell.initial_states(batch)
        )
    return Chain((below.cell, cell)), replace(
        sequence,
        inputs=first.inputs,
        lookup=first.lookup,
        fold=first.fold,
        initial_states=states,
    )


def _one_batch(layer: Any) -> Callable[..., Tensor]:
    """All time steps as one batch: Keras loops over them, with a number of rows that is known."""

    def call(inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        import tensorflow as tf

        if None not in inputs.shape or (mask is not None and layer.layer._call_has_mask_arg):
            return type(layer).call(layer, inputs, training=training, mask=mask)
        output = layer.layer(tf.reshape(inputs, [-1, *inputs.shape[2:]]), training=training)
        return tf.reshape(output, tf.concat([tf.shape(inputs)[:2], output.shape[1:]], axis=0))

    return call
