"""Graphs of ops that devices have: what TensorFlow Lite lacks, said in what it has.

TensorFlow builds every op of a graph in one place, whoever asks: `keras.ops`, a layer, a cell, a
`Lambda`, or plain `tf`. There, and only for the thread and the time of `substituted`, an op with a
replacement is followed by ops that compute the same; nobody takes its own outputs any more, and the
converter drops it. Models, Keras and eager TensorFlow stay as they are.

A file here is a family of ops. A replacement gets the op as TensorFlow made it, with its inputs
converted and its attributes complete, and its inputs; it returns the outputs, or None to leave the
op alone.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from keras_rnn_zoo.export.hooks import Hook
from keras_rnn_zoo.export.lowering.device_ops import (
    elementwise,
    images,
    integers,
    narrow,
    products,
    selection,
)
from keras_rnn_zoo.export.lowering.device_ops._base import REPLACEMENTS

__all__ = [
    "REPLACEMENTS",
    "elementwise",
    "images",
    "integers",
    "narrow",
    "products",
    "selection",
    "substituted",
]


@contextlib.contextmanager
def substituted() -> Iterator[None]:
    """Has the graphs that this thread builds until the block ends hold ops that devices have."""
    with _HOOK.installed(True):
        yield


def _functions() -> list[tuple[Any, str]]:
    from tensorflow.python.framework import op_def_library

    return [(op_def_library, "_apply_op_helper")]


def _substituting(name: str, build: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(build)
    def substituting(op_type_name: str, name: str | None = None, **keywords: Any) -> Any:
        made = build(op_type_name, name, **keywords)
        replacement = REPLACEMENTS.get(op_type_name) if _HOOK.here else None
        if replacement is None:
            return made
        structure, stateful, op, _ = made
        outputs = _replaced(op, replacement)
        return made if outputs is None else (structure, stateful, outputs[0].op, outputs)

    return substituting


_HOOK: Hook[bool] = Hook("build graphs of ops that devices have", _functions, _substituting)


def _replaced(op: Any, replacement: Callable[..., Any]) -> list[Any] | None:
    import tensorflow as tf
    from tensorflow.python.eager import execute

    if execute.must_record_gradient():  # a tape wants the op itself
        return None
    with op.graph.as_default(), tf.name_scope(f"{op.name}/"):
        found = replacement(op, *op.inputs)
    if found is None:
        return None
    outputs = list(found) if isinstance(found, (list, tuple)) else [found]
    for ours, theirs in zip(outputs, op.outputs, strict=True):
        ours.set_shape(theirs.shape)
        if ours.dtype != theirs.dtype:
            raise TypeError(f"{op.type}: {ours.dtype.name} stands in for {theirs.dtype.name}")
    return outputs
