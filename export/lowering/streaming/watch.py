"""What each layer of a model answers, call after call, noted while the model runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rnn_zoo.export.keras_model.recurrent import inside_time_distributed, path_of
from keras_rnn_zoo.export.keras_model.signature import graph_of


@dataclass(frozen=True, eq=False)
class Seen:
    """A call of a layer, or of an operation of `keras.ops`.

    Attributes:
        name: Path of the layer, or name of the operation.
        kind: Its class.
        is_layer: It is a layer.
        inner: It has no layers of its own.
        took: Shape of its first input.
        answers: What it returned, flat; None for what is no tensor.
    """

    name: str
    kind: str
    is_layer: bool
    inner: bool
    took: tuple[int, ...]
    answers: tuple[np.ndarray | None, ...]

    @property
    def named(self) -> str:
        """What a message calls it."""
        return f"{'layer' if self.is_layer else 'operation'} '{self.name}' ({self.kind})"


class Watch:
    """Notes the calls of layers, from the inside out, and which one is running.

    Attributes:
        calls: What was called, in the order in which it returned.
        running: Names of what is running, from the outside in; where an error stopped the run,
            what it stopped in.
    """

    def __init__(self) -> None:
        self.calls: list[Seen] = []
        self.running: list[str] = []

    def on(self, layers: list[Any]) -> None:
        """Watches layers of a replica, and the operations between them.

        Args:
            layers: As `layers_of` returns them.
        """
        import keras

        within = {id(layer) for layer in inside_time_distributed(layers)}
        for layer in layers:
            if id(layer) in within or isinstance(layer, keras.layers.InputLayer):
                continue
            inner = not layer._layers or type(layer) is keras.layers.TimeDistributed
            layer.__dict__["call"] = self._noting(layer, path_of(layer), inner)
            graph = graph_of(layer)
            for operation in [] if graph is None else graph.operations:
                if not isinstance(operation, keras.Layer):
                    operation.__dict__["call"] = self._noting(operation, operation.name, True)

    def _noting(self, layer: Any, name: str, inner: bool) -> Callable[..., Any]:
        import keras

        call, kind, is_layer = layer.call, type(layer).__name__, isinstance(layer, keras.Layer)

        def noting(*arguments: Any, **keywords: Any) -> Any:
            self.running.append(Seen(name, kind, is_layer, inner, (), ()).named)
            answer = call(*arguments, **keywords)
            self.running.pop()
            took = [one for one in keras.tree.flatten(arguments) if hasattr(one, "shape")]
            self.calls.append(
                Seen(
                    name,
                    kind,
                    is_layer,
                    inner,
                    tuple(took[0].shape) if took else (),
                    tuple(
                        np.asarray(one) if hasattr(one, "shape") else None
                        for one in keras.tree.flatten(answer)
                    ),
                )
            )
            return answer

        return noting
