"""Whole numbers and their bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnn_zoo.export.lowering.device_ops._base import Tensor, constant, in_wider, replaces

SIGN = np.int32(-(2**31))


@replaces("BitwiseAnd")
def _bitwise_and(op: Any, x: Tensor, y: Tensor) -> Any:
    import tensorflow as tf

    return _and(x, y) if x.dtype == tf.int32 else in_wider(op, x, y)


def _and(x: Tensor, y: Tensor) -> Tensor:
    import tensorflow as tf

    for one, other in ((x, y), (y, x)):
        mask = constant(one)
        if mask is not None and (mask == SIGN).all():
            return tf.where(other < 0, one, 0)
    # x + y = (x ^ y) + 2 (x & y), modulo 2^32: all bits but the first.
    twice = (x + y) - tf.bitwise.bitwise_xor(x, y)
    rest = tf.bitwise.right_shift(twice, tf.ones_like(twice))
    first = tf.logical_and(x < 0, y < 0)
    same = tf.equal(rest < 0, first)
    return tf.where(same, rest, tf.bitwise.bitwise_xor(rest, tf.fill(tf.shape(rest), SIGN)))


@replaces("BitwiseOr")
def _bitwise_or(op: Any, x: Tensor, y: Tensor) -> Any:
    import tensorflow as tf

    if x.dtype != tf.int32:
        return in_wider(op, x, y)
    return tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(x, y), _and(x, y))


@replaces("Invert")
def _invert(op: Any, x: Tensor) -> Any:
    import tensorflow as tf

    if x.dtype != tf.int32:
        return in_wider(op, x)
    return tf.bitwise.bitwise_xor(x, tf.fill(tf.shape(x), tf.constant(-1, x.dtype)))


@replaces("LeftShift")
def _left_shift(op: Any, x: Tensor, y: Tensor) -> Any:
    import tensorflow as tf

    if x.dtype != tf.int32:
        return in_wider(op, x, y)
    powers = np.left_shift(np.int32(1), np.arange(32, dtype=np.int32))
    return x * tf.gather(powers, tf.clip_by_value(y, 0, 31))


@replaces("BiasAdd")
def _bias_add(op: Any, x: Tensor, y: Tensor) -> Tensor | None:
    """What `keras.ops.add` makes of a vector; the converter knows it for float32 alone.

    And, where channels come first, for images alone.
    """
    import tensorflow as tf

    first = op.get_attr("data_format") == b"NCHW"
    if x.dtype == tf.float32 and not (first and len(x.shape) != 4):
        return None
    return x + (tf.reshape(y, [-1, *[1] * (len(x.shape) - 2)]) if first else y)


@replaces("Abs")
def _absolute(op: Any, x: Tensor) -> Any:
    import tensorflow as tf

    return tf.maximum(x, -x) if x.dtype == tf.int64 else in_wider(op, x)
