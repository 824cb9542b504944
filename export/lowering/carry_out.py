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

from keras_rnn_zoo.export.keras_model.recurrent import (
    inside_time_distributed,
    is_recurrent,
    layers_of,
    path_of,
)
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
from keras_rnn_zoo.export.lowering.streaming.looking_back import (
    LookingBack,
    NotCausalError,
    looking_back,
)
from keras_rnn_zoo.export.lowering.streaming.states import State, name_of

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel
    from keras_rnn_zoo.export.lowering.streaming.watch import Watch

Tensor = Any


class CarriedOut:
    """A function from flat inputs to flat outputs that builds what a plan says.

    Where a call takes a few steps, it takes the states behind the inputs, and returns those after
    it behind the outputs.
    """

    def __init__(self, model: KerasModel, own: Any, execution: _Execution, plan: Plan):
        self._model = model
        self._own = own
        self._execution = execution
        self._fed = len(plan.inputs)

    @property
    def states(self) -> tuple[State, ...]:
        """Those of the plan, and those that layers turned out to need beside them."""
        return self._execution.states

    @property
    def refused(self) -> str | None:
        """The reason of the last `NotCausalError`, whose text Keras changes on its way."""
        return self._execution.refused

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Builds the ops."""
        self._execution.start(inputs[self._fed :])
        with self._model.computing():
            outputs = call_flat(self._own, list(inputs[: self._fed]))
        return [*outputs, *self._execution.after]


def carried_out(
    model: KerasModel, plan: Plan, products: Products, watch: Watch | None = None
) -> CarriedOut:
    """Returns a function that builds what a plan says; see `CarriedOut`.

    Args:
        model: The model that the plan is for.
        plan: What becomes of its layers.
        products: What matrix products will cost.
        watch: Sees what each layer makes.
    """
    import keras

    own = replica(model.keras)
    layers = layers_of(own)
    execution = _Execution(layers, plan, products)
    if plan.steps is not None:
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
        elif plan.steps is not None and not execution.is_inner(place):
            kind = looking_back(layer)
            if kind is not None:
                layer.__dict__["call"] = execution.looking_back(place, kind)
    if watch is not None:
        watch.on(layers)
    return CarriedOut(model, own, execution, plan)


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
        # Of what runs for each time step by itself, nothing is carried to the next.
        self._inner = {id(layer) for layer in inside_time_distributed(layers)}
        self._batch = plan.inputs[0].shape[0] or 1
        self._planned: dict[Call, PlannedRecurrence] = {one.at: one for one in plan.recurrences}
        # Now, while NumPy may read the weights: in a graph it may not.
        self._cells: dict[int, Cell] = {
            place: cell_of(layer, path_of(layer), products)
            for place, layer in enumerate(layers)
            if is_recurrent(layer)
        }
        self.states = plan.states
        self.refused: str | None = None
        self.start()

    def is_inner(self, place: int) -> bool:
        """Whether a layer runs for each time step by itself."""
        return id(self._layers[place]) in self._inner

    @property
    def after(self) -> list[Tensor]:
        """The states after a step, in the order of those before."""
        if unread := list(self._in_front.values()):
            name, count, _ = unread[0]
            self._refuse(
                f"layer '{name}' puts {count} time steps of zeros in front of the sequence, which "
                "only a convolution or a pooling right behind it can look back on; take "
                "padding='causal' instead"
            )
        calls = dict.fromkeys(Call(state.layer, state.call) for state in self.states)
        return [value for at in calls for value in self._after[at]]

    def start(self, states: Iterable[Tensor] = ()) -> None:
        """Forgets what an earlier run made.

        Args:
            states: Those before a step.
        """
        self._before: dict[Call, list[Tensor]] = {}
        # Tensor that has steps of zeros in front -> by which layer, how many; and the tensor, so
        # that no other one gets its id.
        self._in_front: dict[int, tuple[str, int, Tensor]] = {}
        for state, value in zip(self.states, states, strict=False):
            self._before.setdefault(Call(state.layer, state.call), []).append(value)
        self._after: dict[Call, tuple[Tensor, ...]] = {}
        self._calls: dict[int, int] = {}
        self._lookups: dict[Call, Lookup] = {}
        self._made: dict[Call, _Made] = {}
        self._other_direction: dict[Call, Result] = {}

    def _refuse(self, reason: str) -> None:
        self.refused = reason
        raise NotCausalError(reason)

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
            first = self._planned.get(Call(at.layer))
            lowering = self._default if first is None else LOWERINGS.get(first.lowering)
            return lowering.run(cell, sequence)
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

    def looking_back(self, place: int, kind: LookingBack) -> Callable[..., Tensor]:
        """Returns the call of a layer that looks back: over what was kept and what is new."""
        layer = self._layers[place]
        path = path_of(layer)

        def call(inputs: Tensor, mask: Tensor = None, **_: Any) -> Tensor:
            import tensorflow as tf

            at = self._next(place)
            in_front = self._in_front.pop(id(inputs), ("", 0, None))[1]
            if reason := kind.refuses(layer, in_front):
                self._refuse(f"layer '{path}' ({type(layer).__name__}) {reason}")
            steps = read = kind.reads(layer, inputs, mask)
            if keeps := kind.keeps(layer, in_front):
                if at not in self._before:
                    sizes = (self._batch, keeps, *read.shape[2:])
                    state = State(name_of(path, at.number, "buffer"), place, at.number, sizes)
                    self.states = (*self.states, state)
                    self._before[at] = [tf.zeros(sizes)]
                steps = tf.concat([tf.cast(self._before[at][0], read.dtype), read], axis=1)
                self._after[at] = (tf.cast(steps[:, -keeps:], tf.float32),)
            output = kind.run(layer, steps, mask)
            if puts := kind.puts_in_front(layer):
                self._in_front[id(output)] = path, in_front + puts, output
            return output

        return call

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
