"""Where replacements are registered, and what they share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

Tensor = Any
Replacement = Callable[..., Any]

# Type of a TensorFlow op -> what stands in for it.
REPLACEMENTS: dict[str, Replacement] = {}


def replaces(*types: str) -> Callable[[Replacement], Replacement]:
    """Registers what stands in for TensorFlow's ops of these types."""

    def decorate(function: Replacement) -> Replacement:
        REPLACEMENTS.update(dict.fromkeys(types, function))
        return function

    return decorate


def in_float32(function: Replacement) -> Replacement:
    """Computes in float32 what comes in float32 or half of it; float64 is left alone."""

    @functools.wraps(function)
    def compute(op: Any, *inputs: Tensor) -> Tensor | None:
        import tensorflow as tf

        dtype = op.outputs[0].dtype
        if dtype not in (tf.float32, tf.float16, tf.bfloat16):
            return None
        return tf.cast(function(op, *(tf.cast(x, tf.float32) for x in inputs)), dtype)

    return compute


def in_wider(op: Any, *inputs: Tensor) -> list[Tensor] | None:
    """Does the same in int32 or float32; None where the numbers are not narrow ones.

    Whole numbers wrap around when they go back, as those of TensorFlow do.
    """
    import tensorflow as tf
    from tensorflow.python.framework import op_def_library

    wider = dict.fromkeys((tf.int8, tf.int16, tf.uint8, tf.uint16), tf.int32)
    wider |= dict.fromkeys((tf.float16, tf.bfloat16), tf.float32)
    narrow = inputs[0].dtype
    if narrow not in wider:
        return None
    arguments = {
        definition.name: tf.cast(x, wider[narrow]) if x.dtype == narrow else x
        for definition, x in zip(op.op_def.input_arg, inputs, strict=True)
    }
    attributes = {
        definition.name: op.get_attr(definition.name)
        for definition in op.op_def.attr
        if definition.type in ("bool", "int", "float") and not definition.name.startswith("_")
    }
    found = op_def_library.apply_op(op.type, **arguments, **attributes)
    return [
        tf.cast(ours, theirs.dtype) for ours, theirs in zip(_listed(found), op.outputs, strict=True)
    ]


def _listed(outputs: Any) -> list[Tensor]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def sizes(*tensors: Tensor) -> bool:
    """Whether all sizes of the tensors are known."""
    return all(tensor.shape.is_fully_defined() for tensor in tensors)


def constant(tensor: Tensor) -> Any:
    """Returns the value of a tensor as NumPy has it; None where inputs or variables decide it."""
    import tensorflow as tf

    value = tf.get_static_value(tensor)
    if value is None and not _depends_on_more(tensor):
        with tf.compat.v1.Session(graph=tensor.graph) as session:
            value = session.run(tensor)
    return value


def _depends_on_more(tensor: Tensor) -> bool:
    """Whether constants alone do not decide a tensor."""
    seen, waiting = set(), [tensor.op]
    while waiting:
        op = waiting.pop()
        if op in seen:
            continue
        seen.add(op)
        if op.op_def.is_stateful or "Placeholder" in op.type or len(seen) > 100:
            return True
        waiting += [source.op for source in op.inputs]
    return False
