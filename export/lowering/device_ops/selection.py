"""Counting, searching, running products, and picking entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnn_zoo.export.lowering.device_ops._base import Tensor, constant, replaces, sizes


@replaces("Cumprod")
def _cumulative_product(op: Any, x: Tensor, axis: Tensor) -> Tensor | None:
    """In log2(n) products (Hillis and Steele, "Data parallel algorithms", 1986)."""
    import tensorflow as tf

    place = constant(axis)
    if place is None or x.shape[int(place)] is None or not x.shape.rank:
        return None
    place = int(place) % x.shape.rank
    count = int(x.shape[place])
    reverse, exclusive = op.get_attr("reverse"), op.get_attr("exclusive")

    def shifted(values: Tensor, steps: int) -> Tensor:
        kept = count - steps
        begin, size = [0] * x.shape.rank, [-1] * x.shape.rank
        begin[place], size[place] = steps if reverse else 0, kept
        paddings = [[0, 0]] * x.shape.rank
        paddings[place] = [0, steps] if reverse else [steps, 0]
        one = tf.ones([], x.dtype)
        return tf.pad(tf.slice(values, begin, size), paddings, constant_values=one)

    if exclusive:
        x = shifted(x, 1)
    steps = 1
    while steps < count:
        x = x * shifted(x, steps)
        steps *= 2
    return x


@replaces("LowerBound", "UpperBound")
def _bound(op: Any, sequences: Tensor, values: Tensor) -> Tensor | None:
    """`[rows, n]` ascending, `[rows, m]` -> how many entries lie below each value."""
    import tensorflow as tf

    below = tf.less if op.type == "LowerBound" else tf.less_equal
    found = below(tf.expand_dims(sequences, 1), tf.expand_dims(values, 2))
    return tf.reduce_sum(tf.cast(found, op.get_attr("out_type")), axis=2)


@replaces("InTopKV2")
def _in_top_k(op: Any, predictions: Tensor, targets: Tensor, k: Tensor) -> Tensor:
    import tensorflow as tf

    classes = predictions.shape[-1]
    own = tf.one_hot(targets, classes, True, False, dtype=tf.bool)
    score = tf.reduce_sum(tf.where(own, predictions, 0.0), axis=-1, keepdims=True)
    above = tf.reduce_sum(tf.cast(predictions > score, tf.int32), axis=-1)
    known = tf.logical_and(targets >= 0, targets < classes)
    return tf.logical_and(known, above < tf.cast(k, tf.int32))


@replaces("DenseBincount")
def _bincount(op: Any, x: Tensor, size: Tensor, weights: Tensor) -> Tensor | None:
    import tensorflow as tf

    count = _fixed(size)
    if count is None or not sizes(x, weights):
        return None
    dtype = op.outputs[0].dtype
    hits = tf.one_hot(x, count, dtype=dtype)
    if op.get_attr("binary_output"):
        return tf.reduce_max(hits, axis=-2)
    if weights.shape.num_elements():
        hits *= tf.expand_dims(weights, -1)
    return tf.reduce_sum(hits, axis=-2)


def _fixed(size: Tensor) -> int | None:
    """Returns a size that is known, or held between two limits that are the same."""
    value = constant(size)
    if value is not None:
        return int(value)
    limits: dict[str, int] = {}
    while size.op.type in ("Minimum", "Maximum"):
        known = [(constant(tensor), tensor) for tensor in size.op.inputs]
        values = [value for value, _ in known if value is not None]
        rest = [tensor for value, tensor in known if value is None]
        if len(values) != 1:
            break
        limits.setdefault(size.op.type, int(values[0]))
        size = rest[0]
    low, high = limits.get("Maximum"), limits.get("Minimum")
    return high if low is not None and low == high else None


@replaces("MatrixDiagPartV3")
def _diagonal(op: Any, x: Tensor, k: Tensor, padding: Tensor) -> Tensor | None:
    import tensorflow as tf

    offsets = constant(k)
    if offsets is None or not sizes(x) or len(set(np.ravel(offsets).tolist())) != 1:
        return None
    offset = int(np.ravel(offsets)[0])
    rows, columns = x.shape[-2:]
    steps = np.arange(min(rows + min(offset, 0), columns - max(offset, 0)))
    places = (steps - min(offset, 0)) * columns + steps + max(offset, 0)
    flat = tf.reshape(x, [*x.shape[:-2], rows * columns])
    return tf.gather(flat, places.astype(np.int32), axis=-1)


@replaces("ExtractImagePatches")
def _patches(op: Any, images: Tensor) -> Tensor | None:
    import tensorflow as tf

    if not sizes(images):
        return None
    (_, high, wide, _), (_, down, right, _), (_, dilate, spread, _) = (
        op.get_attr(name) for name in ("ksizes", "strides", "rates")
    )
    _, rows, columns, _ = op.outputs[0].shape
    if op.get_attr("padding") == b"SAME":
        fields = (
            ((rows - 1) * down + (high - 1) * dilate + 1, images.shape[1]),
            (
                (columns - 1) * right + (wide - 1) * spread + 1,
                images.shape[2],
            ),
        )
        missing = [max(0, field - size) for field, size in fields]
        paddings = [[n // 2, n - n // 2] for n in missing]
        images = tf.pad(images, [[0, 0], *paddings, [0, 0]])
    parts = [
        images[
            :,
            y * dilate : y * dilate + (rows - 1) * down + 1 : down,
            x * spread : x * spread + (columns - 1) * right + 1 : right,
        ]
        for y in range(high)
        for x in range(wide)
    ]
    return tf.concat(parts, axis=-1)
