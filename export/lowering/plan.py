"""What an export does with each layer of a model, and why: decided before anything is built.

A plan is plain data, made of what was observed of the model and of what was asked for. Whatever
reads it (the code that carries it out, `--plan`, a report) finds everything said there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_rnn_zoo.errors import ExportError
from keras_rnn_zoo.export.keras_model.heads import output_activation
from keras_rnn_zoo.export.keras_model.recurrent import (
    cells_of,
    inside_time_distributed,
    is_recurrent,
    path_of,
)
from keras_rnn_zoo.export.keras_model.signature import InputSpec, Timesteps
from keras_rnn_zoo.export.lowering.cells import Cell, Chain, cell_of, side_by_side
from keras_rnn_zoo.export.lowering.products import FLOAT, Products
from keras_rnn_zoo.export.lowering.recurrence import LOWERINGS, Lookup, Lowering, Sequence
from keras_rnn_zoo.export.lowering.streaming.causal import refused_call
from keras_rnn_zoo.export.lowering.streaming.looking_back import looking_back
from keras_rnn_zoo.export.lowering.streaming.states import State, some_steps, states_of

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel
    from keras_rnn_zoo.export.keras_model.observe import EmbeddingCall, Observation, RecurrentCall


class Call(NamedTuple):
    """A call of a layer: the layer's place in the model, and how often it was called before."""

    layer: int
    number: int = 0


@dataclass(frozen=True)
class PlannedOutput:
    """An output of the model.

    Attributes:
        name: Its name in the signature.
        head: `"sigmoid"`, `"softmax"` or None: what it ends in.
        every_step: Where a call takes a few steps, whether it answers each of them, and not the
            sequence so far.
    """

    name: str
    head: str | None
    every_step: bool | None = None


@dataclass(frozen=True)
class PlannedRecurrence:
    """What becomes of a call of a recurrent layer.

    Attributes:
        at: The call.
        path: Path of the layer in the model.
        kind: Class of the layer.
        cells: Classes of its Keras cells, from the input to the output.
        units: Units of each cell; None of one that does not say.
        timesteps: Steps that it takes; None where the app sizes the inputs.
        features: Numbers that each step reads.
        backwards: It takes the last step first.
        masked: Steps may be masked.
        initial_states: It is given states to start with.
        parameters: Weights of its cells, by name -> shape.
        lowering: Name of the lowering that expresses it.
        fallback: Why the lowering that was asked for does not; None where it does.
        together: The call of the other direction of a Bidirectional, in whose steps it runs.
        below: The call whose sequence it takes step by step, in the same loop.
        embedding: The call of the embedding whose rows it reads, looked up step by step.
        folded: Embedding and input projection are one table.
    """

    at: Call
    path: str
    kind: str
    cells: tuple[str, ...]
    units: tuple[int | None, ...]
    timesteps: int | None
    features: int
    backwards: bool
    masked: bool
    initial_states: bool
    parameters: dict[str, tuple[int, ...]]
    lowering: str
    fallback: str | None = None
    together: Call | None = None
    below: Call | None = None
    embedding: Call | None = None
    folded: bool = False


@dataclass(frozen=True)
class PlannedLayer:
    """What becomes of another layer that is expressed otherwise than Keras does.

    Attributes:
        layer: Its place among the layers of the model.
        path: Its path.
        kind: Its class.
        how: `"gather"`, an embedding as one op; `"one_batch"`, the steps of a TimeDistributed
            at once; `"unrolled"`, the steps of a recurrence of another kind spelled out by Keras;
            `"buffer"`, the last steps that it read are carried from call to call.
    """

    layer: int
    path: str
    kind: str
    how: str


@dataclass(frozen=True)
class Plan:
    """What an export does with a model.

    Attributes:
        model: Name of the model.
        lowering: Name of the lowering that was asked for.
        open_sizes: The app sizes the inputs.
        inputs: The inputs of the file.
        outputs: Its outputs.
        recurrences: The calls of recurrent layers, in the order in which the model makes them.
        layers: The other layers that are expressed otherwise.
        steps: Time steps that a call takes, where states are carried from call to call; None where
            it takes a whole sequence.
        states: These states.
    """

    model: str
    lowering: str
    open_sizes: bool
    inputs: tuple[InputSpec, ...]
    outputs: tuple[PlannedOutput, ...]
    recurrences: tuple[PlannedRecurrence, ...]
    layers: tuple[PlannedLayer, ...]
    steps: int | None = None
    states: tuple[State, ...] = ()

    @property
    def lowerings(self) -> dict[str, str]:
        """Path of each recurrent layer -> name of the lowering that expresses it."""
        found = {one.path: one.lowering for one in self.recurrences}
        return found | {one.path: one.how for one in self.layers if one.how == "unrolled"}

    @property
    def fallbacks(self) -> dict[str, str]:
        """Path of a layer that the lowering refused -> why; another one takes it."""
        return {one.path: one.fallback for one in self.recurrences if one.fallback is not None}

    @property
    def folded(self) -> tuple[str, ...]:
        """Paths of the layers that look their projected inputs up."""
        return tuple(sorted({one.path for one in self.recurrences if one.folded}))

    def to_dict(self) -> dict[str, Any]:
        """Returns the plan as a JSON object."""
        return asdict(self)


def plan(
    model: KerasModel,
    *,
    lowering: str,
    fallback: str | None = None,
    products: Products = FLOAT,
    fold: bool = False,
    batch_size: int = 1,
    timesteps: Timesteps = None,
    steps: int | None = None,
) -> Plan:
    """Decides what an export does with a model.

    Args:
        model: The model, as `prepare` returns it.
        lowering: Name of the lowering for its recurrent layers.
        fallback: Name of the one for those that it cannot express; None for that which it names.
        products: What matrix products will cost.
        fold: Put an embedding and the input projection of the recurrence behind it into one table,
            larger than the embedding's.
        batch_size: Sequences that one call of the file answers.
        timesteps: Sizes that the model leaves open.
        steps: Time steps that a call takes, where the lowering carries states from call to call;
            of the states, those of recurrences: `streaming_plan` has all.

    Raises:
        UnknownNameError: No such lowering.
        ExportError: A size is open that a file needs fixed, or a layer takes no open one.
        Exception: Whatever a layer, or TensorFlow on its behalf, raises when it is traced.
    """
    chosen = LOWERINGS.get(lowering)
    layers = _other_layers(model, chosen)
    specs = model.traced_inputs(batch_size, timesteps, chosen.open_sizes)
    others = None if fallback is None else LOWERINGS.get(fallback)
    observation = model.observed(specs)
    planner = _Planner(model, observation, chosen, others, products, fold)
    recurrences = tuple(planner.recurrences())
    states: tuple[State, ...] = ()
    if chosen.steps:
        steps = steps or 1
        if reason := refused_call(observation, planner.cells):
            raise ExportError(f"Model '{model.name}' cannot be run step by step: {reason}.")
        total = specs[0].shape[1] or 1
        specs = [some_steps(spec, steps) for spec in specs]
        states = planner.states(batch_size)
        recurrences = tuple(
            replace(one, timesteps=(one.timesteps or 0) * steps // total)
            if one.lowering == lowering
            else one
            for one in recurrences
        )
    return Plan(
        model=model.name,
        lowering=lowering,
        open_sizes=chosen.open_sizes,
        inputs=tuple(specs),
        outputs=tuple(
            PlannedOutput(name, output_activation(tensor))
            for name, tensor in zip(model.outputs, model.symbolic_outputs, strict=True)
        ),
        recurrences=recurrences,
        layers=tuple(layers),
        steps=steps if chosen.steps else None,
        states=states,
    )


def _other_layers(model: KerasModel, chosen: Lowering) -> list[PlannedLayer]:
    from keras import layers

    found = []
    inner = {id(layer) for layer in inside_time_distributed(model.layers)}
    for place, layer in enumerate(model.layers):
        how = None
        if type(layer) is layers.Embedding:
            how = "gather"
        elif chosen.steps and id(layer) not in inner and looking_back(layer) is not None:
            how = "buffer"
        elif chosen.open_sizes and type(layer) is layers.TimeDistributed:
            how = "one_batch"
        elif isinstance(layer, layers.RNN) and not is_recurrent(layer):
            if chosen.open_sizes:
                raise ExportError(
                    f"Layer '{path_of(layer)}' ({type(layer).__name__}) loops over its time steps "
                    "by itself, and needs fixed sizes for that. Leave the lowering "
                    f"'{chosen.name}' out."
                )
            if chosen.name != "loop":
                # Its call is its own (ConvLSTM), but Keras can spell its steps out.
                how = "unrolled"
        if how is not None:
            found.append(PlannedLayer(place, path_of(layer), type(layer).__name__, how))
    return found


class _Planner:
    """Plans one recurrent call after the other, in the order in which the model makes them."""

    def __init__(
        self,
        model: KerasModel,
        observation: Observation,
        chosen: Lowering,
        others: Lowering | None,
        products: Products,
        fold: bool,
    ):
        self._model = model
        self._observation = observation
        self._chosen = chosen
        self._others = others
        self._products = products
        self._fold = fold
        self._embeddings = {one.output: one for one in observation.embeddings}
        self._sequences = {one.output: one for one in observation.recurrent}
        # What runs for a call: its own cell, or a chain with those below.
        self._cells: dict[Call, Cell] = {}
        self._planned: dict[Call, PlannedRecurrence] = {}
        self._directions = _directions(model)
        self._inner = {id(layer) for layer in inside_time_distributed(model.layers)}

    @property
    def cells(self) -> dict[tuple[int, int], Cell]:
        """Place of a layer and number of a call -> what runs there over time steps."""
        return {
            (at.layer, at.number): cell
            for at, cell in self._cells.items()
            if id(self._model.layers[at.layer]) not in self._inner
        }

    def states(self, batch: int) -> tuple[State, ...]:
        """Returns what is carried from one step to the next, in the order of the calls."""
        found: list[State] = []
        for (place, number), cell in self.cells.items():
            planned = self._planned[Call(place, number)]
            masked = planned.features if planned.masked else None
            found += states_of(planned.path, place, number, cell, batch, masked)
        return tuple(found)

    def recurrences(self) -> list[PlannedRecurrence]:
        """Returns what becomes of each call."""
        for seen in self._observation.recurrent:
            at = Call(seen.layer, seen.call)
            self._planned[at] = self._recurrence(at, seen)
        for forward, backward in self._pairs():
            self._planned[forward] = replace(self._planned[forward], together=backward)
            self._planned[backward] = replace(self._planned[backward], together=forward)
        return list(self._planned.values())

    def _recurrence(self, at: Call, seen: RecurrentCall) -> PlannedRecurrence:
        layer = self._model.layers[at.layer]
        path = path_of(layer)
        if seen.shape[-1] is None or (None in seen.shape and not self._chosen.open_sizes):
            raise ExportError(
                f"Layer '{path}' gets a sequence of shape {seen.shape}: what comes before "
                "it drops or adds entries, and a file has fixed sizes. Keep all steps: "
                "keras.ops.where(condition, x, 0) instead of a boolean mask."
            )
        own = cell_of(layer, path, self._products)
        embedding = self._embeddings.get(seen.inputs)
        if embedding is not None and not self._looked_up(embedding):
            embedding = None
        sequence = _sequence(layer, seen, embedding, self._model)
        lowering, fallback = self._chosen, None
        if lowering.steps and id(layer) in self._inner:
            fallback = "it runs over a sequence of its own at each time step"
            lowering = self._others or LOWERINGS.get(lowering.fallback)
        while (reason := lowering.refuses(own, sequence)) is not None:
            fallback = fallback or reason
            lowering = self._others or LOWERINGS.get(lowering.fallback)
        cell, below = own, self._below(layer, seen, own, lowering)
        if below is not None:
            cell = Chain((self._cells[below], own))
            source = self._planned[below].embedding
            embedding = self._embedding_at(source) if source is not None else None
        self._cells[at] = cell
        folded = False
        if embedding is not None and self._fold and lowering.folds:
            table = self._model.layers[embedding.layer].embeddings
            folded = bool(cell.fold(_rows(table)))
        keras_cells = cells_of(layer)
        return PlannedRecurrence(
            at=at,
            path=path,
            kind=type(layer).__name__,
            cells=tuple(type(one).__name__ for one in keras_cells),
            units=tuple(getattr(one, "units", None) for one in keras_cells),
            timesteps=seen.shape[1],
            features=int(seen.shape[-1] or 0),
            backwards=getattr(layer, "go_backwards", False),
            masked=seen.mask is not None,
            initial_states=seen.states is not None,
            parameters={str(one.path): tuple(one.shape) for one in layer.weights},
            lowering=lowering.name,
            fallback=fallback,
            below=below,
            embedding=None if embedding is None else Call(embedding.layer, embedding.call),
            folded=folded,
        )

    def _looked_up(self, embedding: EmbeddingCall) -> bool:
        """Whether an embedding's rows can be looked up step by step."""
        from keras import layers

        return embedding.rank == 2 and type(self._model.layers[embedding.layer]) is layers.Embedding

    def _embedding_at(self, call: Call) -> EmbeddingCall:
        return next(
            one for one in self._observation.embeddings if (one.layer, one.call) == tuple(call)
        )

    def _below(self, layer: Any, seen: RecurrentCall, own: Cell, lowering: Lowering) -> Call | None:
        """The call whose sequence this one takes step by step, and nobody else takes."""
        source = self._sequences.get(seen.inputs)
        if source is None or not source.only_reader or source.mask != seen.mask:
            return None
        call = Call(source.layer, source.call)
        planned, under = self._planned[call], self._model.layers[source.layer]
        if (
            not under.return_sequences
            or getattr(under, "return_state", False)
            or planned.backwards
            or getattr(layer, "go_backwards", False)
            or under.compute_dtype != "float32"
            or planned.lowering != lowering.name
            or not lowering.chains(Chain((self._cells[call], own)))
        ):
            return None
        return call

    def _pairs(self) -> list[tuple[Call, Call]]:
        """The calls of two directions that run together."""
        found = []
        seen = {Call(one.layer, one.call): one for one in self._observation.recurrent}
        for at, one in seen.items():
            other = self._directions.get(at.layer)
            if other is None:
                continue
            backward = Call(other, at.number)
            if backward not in seen:
                continue
            two = seen[backward]
            lowering = self._planned[at].lowering
            if (
                LOWERINGS.get(lowering).both_directions
                and self._planned[backward].lowering == lowering
                and (one.inputs, one.mask) == (two.inputs, two.mask)
                and one.states is None
                and two.states is None
                and self._join(at)
                and side_by_side(self._cells[at], self._cells[backward]) is not None
            ):
                found.append((at, backward))
        return found

    def _join(self, at: Call) -> bool:
        """Whether a copy of what is projected of both directions pays, where there is one."""
        planned, core = self._planned[at], self._products.core
        if self._products.pairs or planned.folded or core.joins:
            return True
        numbers = 2 * (planned.timesteps or 0) * self._cells[at].projected_size(planned.features)
        return 4 * numbers <= core.copies


def _directions(model: KerasModel) -> dict[int, int]:
    """Places of the layers of each Bidirectional whose two could run together."""
    from keras import layers

    place = {id(layer): number for number, layer in enumerate(model.layers)}
    found = {}
    for layer in model.layers:
        if type(layer) is not layers.Bidirectional:
            continue
        forward, backward = layer.forward_layer, layer.backward_layer
        if (
            all(is_recurrent(one) and len(cells_of(one)) == 1 for one in (forward, backward))
            and (forward.go_backwards, backward.go_backwards) == (False, True)
            and forward.return_sequences == backward.return_sequences
            and forward.compute_dtype == backward.compute_dtype == "float32"
        ):
            found[place[id(forward)]] = place[id(backward)]
    return found


def _rows(table: Any) -> Any:
    import numpy as np

    return np.asarray(table[:1], np.float32)


def _sequence(
    layer: Any, seen: RecurrentCall, embedding: EmbeddingCall | None, model: KerasModel
) -> Sequence:
    """What a lowering will run over, with `tf.TensorSpec`s where its tensors will be."""
    import numpy as np
    import tensorflow as tf

    lookup = None
    if embedding is not None:
        # As large as the table, and without its content, which nobody needs yet.
        shape = tuple(model.layers[embedding.layer].embeddings.shape)
        table = np.broadcast_to(np.float32(0), shape)
        ids = tf.TensorSpec(seen.shape[:2], tf.int32)
        lookup = Lookup(ids, lambda ids: ids, table)
    states = None
    if seen.states is not None:
        states = tuple(tf.TensorSpec(shape, tf.float32) for shape in seen.states)
    return Sequence(
        inputs=tf.TensorSpec(seen.shape, tf.float32),
        mask=None if seen.mask is None else tf.TensorSpec(seen.shape[:2], tf.bool),
        initial_states=states,
        go_backwards=getattr(layer, "go_backwards", False),
        return_sequences=layer.return_sequences,
        return_state=getattr(layer, "return_state", False),
        zero_output_for_mask=getattr(layer, "zero_output_for_mask", False),
        lookup=lookup,
    )
