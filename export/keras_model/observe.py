"""What a model does with its sequences, seen in one run through its layers.

The model is traced once on symbolic inputs, whatever code of its own it has, and each call of an
embedding or a recurrent layer is noted: which tensor it reads, which it makes, who else
reads that. A plan is made from this; nothing else has to look into the graph again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from keras_rnn_zoo.export.keras_model.recurrent import cells_of, is_recurrent, layers_of
from keras_rnn_zoo.export.keras_model.replica import replica
from keras_rnn_zoo.export.keras_model.signature import InputSpec, call_flat

# A tensor, by number: equal numbers are the same tensor.
Number = int
# TensorFlow ops that hand on the numbers that they are given.
_PASSING = ("Cast", "Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "StridedSlice")


@dataclass(frozen=True)
class EmbeddingCall:
    """A call of an embedding, or of a layer derived from it.

    Attributes:
        layer: Its place among the model's layers.
        call: How often the layer was called before.
        rank: Axes of the ids.
        source: The model's input that the ids come from unchanged; None where they do not.
        output: The vectors.
    """

    layer: int
    call: int
    rank: int
    source: str | None
    output: Number


@dataclass(frozen=True)
class RecurrentCall:
    """A call of a recurrent layer.

    Attributes:
        layer: Its place among the model's layers.
        call: How often the layer was called before.
        inputs: The sequence that it reads.
        shape: Shape of that, batch included; None for sizes that are open.
        mask: What says which steps count; None where all do.
        states: Shapes of the states that it is given; None where it starts with its own.
        output: What it makes: a sequence, or the answer of the last step.
        only_reader: No other op reads that sequence.
    """

    layer: int
    call: int
    inputs: Number
    shape: tuple[int | None, ...]
    mask: Number | None
    states: tuple[tuple[int | None, ...], ...] | None
    output: Number
    only_reader: bool = False


@dataclass(frozen=True)
class Observation:
    """The calls of layers that matter to sequences, in the order in which they were made."""

    embeddings: tuple[EmbeddingCall, ...]
    recurrent: tuple[RecurrentCall, ...]


def observe(model: Any, specs: Sequence[InputSpec]) -> Observation:
    """Traces a functional or sequential Keras model, which is not changed.

    Args:
        model: The model.
        specs: Its inputs; sizes may be open where the model's own code takes that.

    Raises:
        Exception: Whatever a layer, or TensorFlow on its behalf, raises.
    """
    import tensorflow as tf

    own = replica(model)
    watch = _Watch()
    for place, layer in enumerate(layers_of(own)):
        call = watch.instead(place, layer)
        if call is not None:
            layer.__dict__["call"] = call

    def function(*inputs: Any) -> list[Any]:
        watch.sources.update(
            {tensor.name: spec.name for tensor, spec in zip(inputs, specs, strict=True)}
        )
        return call_flat(own, list(inputs))

    tf.function(function, autograph=False).get_concrete_function(
        *(tf.TensorSpec(spec.shape, spec.dtype) for spec in specs)
    )
    return watch.observation()


class _Watch:
    """Notes the calls of layers while a model is traced."""

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}
        self._embeddings: list[EmbeddingCall] = []
        self._recurrent: list[tuple[dict[str, Any], Any]] = []
        self._numbers: dict[int, Number] = {}
        # So that no other tensor gets the id of one that is gone.
        self._tensors: list[Any] = []
        self._readers: dict[Number, Any] = {}
        self._calls: dict[int, int] = {}

    def instead(self, place: int, layer: Any) -> Callable[..., Any] | None:
        """Returns the call for a layer that is watched."""
        from keras import layers

        if is_recurrent(layer):
            return self._recurrent_call(place, layer)
        if isinstance(layer, layers.Embedding):
            return self._embedding_call(place, layer)
        return None

    def observation(self) -> Observation:
        """Returns what was seen."""
        calls = []
        for values, output in self._recurrent:
            readers = output.consumers() if hasattr(output, "consumers") else []
            reader = self._readers.get(values["output"])
            only = reader is not None and len(readers) == 1 and readers[0] is reader
            calls.append(RecurrentCall(**values, only_reader=only))
        return Observation(tuple(self._embeddings), tuple(calls))

    def _number(self, tensor: Any) -> Number:
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self._tensors)
            self._tensors.append(tensor)
        return self._numbers[id(tensor)]

    def _count(self, place: int) -> int:
        self._calls[place] = self._calls.get(place, -1) + 1
        return self._calls[place]

    def _source(self, tensor: Any) -> str | None:
        while getattr(tensor, "op", None) is not None and tensor.op.type in _PASSING:
            tensor = tensor.op.inputs[0]
        return self.sources.get(getattr(tensor, "name", ""))

    def _embedding_call(self, place: int, layer: Any) -> Callable[..., Any]:
        def call(inputs: Any, **arguments: Any) -> Any:
            output = type(layer).call(layer, inputs, **arguments)
            self._embeddings.append(
                EmbeddingCall(
                    place,
                    self._count(place),
                    len(inputs.shape),
                    self._source(inputs),
                    self._number(output),
                )
            )
            return output

        return call

    def _recurrent_call(self, place: int, layer: Any) -> Callable[..., Any]:
        def call(
            sequences: Any,
            initial_state: Any = None,
            mask: Any = None,
            training: bool | None = None,
        ) -> Any:
            import keras
            import tensorflow as tf

            inputs = self._number(sequences)
            read = tf.identity(sequences)
            # Several readers are no only one.
            self._readers[inputs] = None if inputs in self._readers else read.op
            states = None
            if initial_state is not None:
                states = tuple(tuple(state.shape) for state in keras.tree.flatten(initial_state))
            answer = _answer(layer, read, initial_state, mask)
            output = keras.tree.flatten(answer)[0]
            self._recurrent.append(
                (
                    {
                        "layer": place,
                        "call": self._count(place),
                        "inputs": inputs,
                        "shape": tuple(sequences.shape),
                        "mask": None if mask is None else self._number(mask),
                        "states": states,
                        "output": self._number(output),
                    },
                    output,
                )
            )
            return answer

        return call


def _answer(layer: Any, sequences: Any, initial_state: Any, mask: Any) -> Any:
    """Returns a tensor like what a layer makes; what it computes matters to nobody here."""
    import tensorflow as tf
    from keras import layers

    known = (layers.SimpleRNNCell, layers.LSTMCell, layers.GRUCell)
    if getattr(layer, "return_state", False) or any(
        type(cell) not in known for cell in cells_of(layer)
    ):
        arguments = {"mask": mask}
        if initial_state is not None:
            arguments["initial_state"] = initial_state
        return type(layer).call(layer, sequences, **arguments)
    batch, timesteps, _ = sequences.shape
    shape = [batch, *([timesteps] if layer.return_sequences else []), cells_of(layer)[-1].units]
    return tf.compat.v1.placeholder(layer.compute_dtype, shape)
