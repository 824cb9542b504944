"""What a model ends in: a sigmoid or softmax, and the product in front of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keras_rnn_zoo.export.keras_model.signature import (
    graph_of,
)


def last_weights(output: Any) -> list[Any]:
    """The weights of the product behind which an output is only scaled, moved or activated."""
    import keras

    while (history := getattr(output, "_keras_history", None)) is not None:
        operation = history.operation
        if isinstance(operation, keras.Model):
            if graph_of(operation) is None:
                return []
            output = keras.tree.flatten(operation.outputs)[history.tensor_index]
            continue
        layer = (
            operation.layer if isinstance(operation, keras.layers.TimeDistributed) else operation
        )
        if hasattr(layer, "kernel"):
            return [layer.kernel]
        inputs = operation._inbound_nodes[history.node_index].input_tensors
        if len(inputs) != 1 or isinstance(operation, keras.layers.RNN):
            return []
        output = inputs[0]
    return []


@dataclass(frozen=True)
class Head:
    """The end of a model: `apply(values of inputs)` gives the logits of one output."""

    inputs: list[Any]
    activation: str
    apply: Callable[[list[Any]], Any] = field(repr=False)


def head_of(output: Any) -> Head | None:
    """Returns the head of a symbolic output, or None where it has no sigmoid or softmax."""
    import keras

    history = output._keras_history
    operation = history.operation
    inputs = list(operation._inbound_nodes[history.node_index].input_tensors)
    if isinstance(operation, keras.Model):  # a model used as a layer
        if graph_of(operation) is None:
            return None
        inner = head_of(keras.tree.flatten(operation.outputs)[history.tensor_index])
        if inner is None:
            return None
        probe = keras.Model(list(operation.inputs), inner.inputs)
        return Head(
            inputs,
            inner.activation,
            lambda values: inner.apply(keras.tree.flatten(probe(values, training=False))),
        )
    layer = operation
    if isinstance(layer, keras.layers.TimeDistributed):
        layer = layer.layer
    if isinstance(layer, keras.layers.Softmax) or type(layer).__name__ in ("Sigmoid", "Softmax"):
        # The layer, or keras.ops.sigmoid and keras.ops.softmax in a functional model.
        return Head(inputs[:1], type(layer).__name__.lower(), lambda values: values[0])
    activation = getattr(layer, "activation", None)
    name = {keras.activations.sigmoid: "sigmoid", keras.activations.softmax: "softmax"}.get(
        activation
    )
    if name is None:
        return None
    if isinstance(layer, keras.layers.Activation):
        return Head(inputs, name, lambda values: values[0])
    if isinstance(layer, (keras.layers.Dense, keras.layers.EinsumDense)):

        def linear(values: list[Any]) -> Any:
            x = keras.ops.cast(values[0], layer.compute_dtype)
            kernel = keras.ops.cast(layer.kernel, x.dtype)
            if isinstance(layer, keras.layers.Dense):
                product = keras.ops.matmul(x, kernel)
            else:
                product = keras.ops.einsum(layer.equation, x, kernel)
            return product if layer.bias is None else product + keras.ops.cast(layer.bias, x.dtype)

        return Head(inputs, name, linear)
    return None


def output_activation(output: Any) -> str | None:
    """Returns `"sigmoid"`, `"softmax"` or None: what a symbolic output of a model ends in."""
    head = head_of(output)
    return head.activation if head is not None else None
