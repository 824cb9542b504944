"""A Keras model as an export sees it: its graph, and all that has to be known of it, seen once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from keras_rnn_zoo.export.keras_model.observe import Observation, observe
from keras_rnn_zoo.export.keras_model.recurrent import layers_of
from keras_rnn_zoo.export.keras_model.replica import replica
from keras_rnn_zoo.export.keras_model.signature import (
    InputSpec,
    Timesteps,
    call_flat,
    fixed,
    inputs_of,
    legal_names,
    outputs_of,
    refuse_text,
    sized,
)


class KerasModel:
    """A functional or sequential model, with what is known of it.

    Args:
        model: The Keras model, built; it is not changed.
        notes: What differs from the user's model, one sentence each.
        float32: It was made of a model with another dtype policy: what its layers make without
            saying a dtype is float32, too.

    Attributes:
        inputs: Its inputs, with names that a signature can have.

    Raises:
        ExportError: It is not built, has no symbolic inputs (a subclassed model), or Keras runs on
            another backend than TensorFlow.
    """

    def __init__(self, model: Any, notes: tuple[str, ...] = (), float32: bool = False):
        self.keras = model
        self.notes = notes
        self.inputs: tuple[InputSpec, ...] = inputs_of(model)
        self._float32 = float32
        self._opened = False
        self._takes: dict[tuple[tuple[int, ...], ...], bool] = {}
        self._observations: dict[tuple[InputSpec, ...], Observation] = {}

    @classmethod
    def of(cls, model: Any) -> KerasModel:
        """Returns the same for a Keras model or for what is one of these already."""
        return model if isinstance(model, cls) else cls(model)

    def __call__(self, inputs: list[Any]) -> list[Any]:
        """Calls the model for inference on flat inputs; returns flat outputs."""
        with self.computing():
            return call_flat(self.keras, inputs)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Has what its layers make be float32 until the block ends, where that is needed."""
        with float32_by_default() if self._float32 else contextlib.nullcontext():
            yield

    @property
    def name(self) -> str:
        """Name of the Keras model."""
        return str(self.keras.name)

    @property
    def has_fixed_sizes(self) -> bool:
        """Whether it leaves no size but that of the batch open."""
        return not any(None in spec.shape[1:] for spec in self.inputs)

    @cached_property
    def open_in_time(self) -> KerasModel:
        """The same model, for sequences of any number of time steps, as far as its layers go."""
        import keras

        if self._opened:
            return self
        own = replica(self.keras)
        for layer in layers_of(own):
            if isinstance(layer, keras.Model):
                layer.input_spec = None  # the number of time steps that it was built with
            elif type(layer) is keras.layers.Reshape:
                _keep_steps(layer)
        for tensor in keras.tree.flatten(own.inputs):
            if len(tensor.shape) > 1:
                tensor.__dict__["_shape"] = (tensor.shape[0], None, *tensor.shape[2:])
        opened = KerasModel(own, self.notes, self._float32)
        opened._opened = True
        return opened

    @cached_property
    def outputs(self) -> list[str]:
        """One unique name for each output: its key, or the layer that makes it."""
        return legal_names(outputs_of(self.keras), "output")

    @cached_property
    def renamed(self) -> dict[str, str]:
        """Keras' name of an input or output -> its name in the signature, where they differ."""
        pairs = [(spec.original, spec.name) for spec in self.inputs]
        pairs += zip(outputs_of(self.keras), self.outputs, strict=True)
        return {original: name for original, name in pairs if original != name}

    @cached_property
    def symbolic_outputs(self) -> list[Any]:
        """The `KerasTensor`s of the outputs."""
        import keras

        return list(keras.tree.flatten(self.keras.outputs))

    @cached_property
    def layers(self) -> list[Any]:
        """Every layer at every depth, each once, recurrent layers' own parts left out."""
        return layers_of(self.keras)

    @cached_property
    def embeddings(self) -> list[Any]:
        """The embeddings among its layers."""
        from keras import layers

        return [layer for layer in self.layers if isinstance(layer, layers.Embedding)]

    def sized(self, timesteps: Timesteps) -> list[InputSpec]:
        """Returns the inputs with the sizes that are given; see `signature.sized`."""
        return sized(self.name, self.inputs, timesteps)

    def fixed(self, batch_size: int, timesteps: Timesteps) -> list[InputSpec]:
        """Returns the inputs with every size fixed; see `signature.fixed`."""
        return fixed(self.name, self.inputs, batch_size, timesteps)

    def traced_inputs(
        self, batch_size: int, timesteps: Timesteps, open_sizes: bool
    ) -> list[InputSpec]:
        """Returns the inputs of what is traced: fixed, or as open as the model leaves them."""
        if not open_sizes:
            return self.fixed(batch_size, timesteps)
        refuse_text(self.inputs)
        return list(self.inputs)

    def takes(self, x: Mapping[str, np.ndarray]) -> bool:
        """Returns whether the model answers inputs of such sizes, which it is asked once.

        A convolution, or the positions of an attention, may not take them.

        Args:
            x: Input name -> samples.
        """
        import tensorflow as tf

        arrays = [x[spec.name] for spec in self.inputs]
        key = tuple(array.shape[1:] for array in arrays)
        if key not in self._takes:
            try:
                self([tf.constant(array[: self.inputs[0].shape[0] or 1]) for array in arrays])
                self._takes[key] = True
            except Exception:  # whatever a layer, or TensorFlow on its behalf, raises
                self._takes[key] = False
        return self._takes[key]

    def observed(self, specs: list[InputSpec]) -> Observation:
        """Returns what the model does with its sequences; see `observe`."""
        key = tuple(specs)
        if key not in self._observations:
            with self.computing():
                self._observations[key] = observe(self.keras, specs)
        return self._observations[key]

    @cached_property
    def vocabularies(self) -> dict[str, int]:
        """Name of each input that goes straight into embeddings -> ids that they all have."""
        sizes: dict[str, int] = {}

        def note(source: str, layer: Any) -> None:
            sizes[source] = min(sizes.get(source, layer.input_dim), layer.input_dim)

        inside = False
        for layer in self.embeddings:
            tensors = [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
            inside = inside or not any(id(tensor) in self._by_tensor for tensor in tensors)
            for tensor in tensors:
                if id(tensor) in self._by_tensor:
                    note(self._by_tensor[id(tensor)], layer)
        if inside:  # of a layer, or of a model with a call of its own
            # What cannot be traced is told, with its reason, when it is exported.
            with contextlib.suppress(Exception):
                for call in self.observed(list(self.inputs)).embeddings:
                    if call.source is not None:
                        note(call.source, self.layers[call.layer])
        return sizes

    @cached_property
    def tokens(self) -> set[str]:
        """Names of the inputs that hold token ids, as whole numbers or as floats."""
        # Keras' inputs are float32 unless said otherwise, those of token ids too.
        return {spec.name for spec in self.inputs if "int" in spec.dtype} | set(self.vocabularies)

    @cached_property
    def paddings(self) -> dict[str, float]:
        """Name of each input that a Masking layer reads -> the value that is padding there."""
        from keras import layers

        found: dict[str, float] = {}
        for layer in self.keras._flatten_layers():
            if isinstance(layer, layers.Masking):
                for node in layer._inbound_nodes:
                    for tensor in node.input_tensors:
                        if id(tensor) in self._by_tensor:
                            found[self._by_tensor[id(tensor)]] = float(layer.mask_value)
        return found

    @cached_property
    def _by_tensor(self) -> dict[int, str]:
        import keras

        tensors = keras.tree.flatten(self.keras.inputs)
        return {id(t): spec.name for t, spec in zip(tensors, self.inputs, strict=True)}

    @property
    def stateful(self) -> bool:
        """Whether a layer keeps its states from one call to the next."""
        return any(getattr(layer, "stateful", False) for layer in self.keras._flatten_layers())

    @contextlib.contextmanager
    def states_put_back(self) -> Iterator[bool]:
        """Gives stateful layers the states that they had, once the block ends.

        Yields:
            Whether there are any.
        """
        import keras

        states = [
            (variable, np.array(variable))
            for variable in {
                id(variable): variable
                for layer in self.keras._flatten_layers()
                if layer.__dict__.get("stateful") is True
                for variable in keras.tree.flatten(getattr(layer, "states", None) or [])
            }.values()
        ]
        try:
            yield bool(states)
        finally:
            for variable, value in states:
                variable.assign(value)


def _keep_steps(reshape: Any) -> None:
    """Has a Reshape that keeps the time steps that it was built for keep any number of them."""
    first, *others = reshape.target_shape
    lengths = {node.input_tensors[0].shape[1:2] for node in reshape._inbound_nodes}
    if lengths == {(first,)} and -1 not in others:
        reshape.__dict__["target_shape"] = (-1, *others)


_LOCK = threading.Lock()
_open = 0
_kept = "float32"


@contextlib.contextmanager
def float32_by_default() -> Iterator[None]:
    """Has layers and tensors that say no dtype be float32.

    Keras keeps the dtype policy for each thread and the float type for all of them, so that goes
    back once no thread needs it any more.
    """
    import keras

    global _open, _kept
    policy = keras.config.dtype_policy()
    with _LOCK:
        if not _open:
            _kept = keras.config.floatx()
            keras.config.set_floatx("float32")
        _open += 1
    try:
        keras.config.set_dtype_policy("float32")
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        with _LOCK:
            _open -= 1
            if not _open:
                keras.config.set_floatx(_kept)
