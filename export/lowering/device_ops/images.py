"""Images and volumes: pooling, resizing, colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnn_zoo.export.lowering.device_ops._base import (
    Tensor,
    constant,
    in_float32,
    replaces,
    sizes,
)


@replaces("MaxPool3D", "AvgPool3D")
def _pool(op: Any, x: Tensor) -> Tensor | None:
    """Pools planes, then what came of them: a maximum or mean of a box is one of its layers'."""
    import tensorflow as tf

    if not sizes(x):
        return None
    first = op.get_attr("data_format") == b"NCDHW"
    spatial = slice(2, 5) if first else slice(1, 4)
    (deep, *plane), (down, *across) = (op.get_attr(name)[spatial] for name in ("ksize", "strides"))
    padding = op.get_attr("padding").decode()
    pool2d = tf.nn.max_pool2d if op.type == "MaxPool3D" else tf.nn.avg_pool2d
    if first:
        x = tf.transpose(x, [0, 2, 3, 4, 1])
    batch, depth, *_, channels = x.shape
    planes = pool2d(tf.reshape(x, [batch * depth, *x.shape[2:]]), plane, across, padding)
    high, wide = planes.shape[1:3]
    columns = tf.reshape(planes, [batch, depth, high * wide, channels])
    columns = pool2d(columns, [deep, 1], [down, 1], padding)
    x = tf.reshape(columns, [batch, -1, high, wide, channels])
    return tf.transpose(x, [0, 4, 1, 2, 3]) if first else x


@replaces("ResizeBicubic")
def _resize_bicubic(op: Any, images: Tensor, size: Tensor) -> Tensor | None:
    import tensorflow as tf

    wanted = constant(size)
    if wanted is None or not sizes(images):
        return None

    def resized(basis: np.ndarray, axis: int) -> Any:
        return tf.raw_ops.ResizeBicubic(
            images=basis,
            size=_along(axis, wanted, 1),
            align_corners=op.get_attr("align_corners"),
            half_pixel_centers=op.get_attr("half_pixel_centers"),
        )

    return _mapped(images, resized)


@replaces("ScaleAndTranslate")
def _scale_and_translate(
    op: Any, images: Tensor, size: Tensor, scale: Tensor, translation: Tensor
) -> Tensor | None:
    import tensorflow as tf

    wanted, factors, moves = (constant(tensor) for tensor in (size, scale, translation))
    if wanted is None or factors is None or moves is None or not sizes(images):
        return None

    def resized(basis: np.ndarray, axis: int) -> Any:
        return tf.raw_ops.ScaleAndTranslate(
            images=basis,
            size=_along(axis, wanted, 1),
            scale=_along(axis, factors, 1),
            translation=_along(axis, moves, 0),
            kernel_type=op.get_attr("kernel_type").decode(),
            antialias=op.get_attr("antialias"),
        )

    return _mapped(images, resized)


def _along(axis: int, values: np.ndarray, other: int) -> np.ndarray:
    made = np.full_like(values, other)
    made[axis] = values[axis]
    return made


def _mapped(images: Tensor, resized: Any) -> Tensor:
    """Multiplies rows and columns by what the op itself makes of an image of one bright point."""
    import tensorflow as tf

    images = tf.cast(images, tf.float32)
    batch, rows, columns, channels = images.shape
    with tf.init_scope():
        points = np.eye(rows, dtype=np.float32)[:, :, np.newaxis, np.newaxis]
        vertical = np.asarray(resized(points, 0))[:, :, 0, 0].T
        points = np.eye(columns, dtype=np.float32)[:, np.newaxis, :, np.newaxis]
        horizontal = np.asarray(resized(points, 1))[:, 0, :, 0].T
    x = tf.matmul(vertical, tf.reshape(images, [batch, rows, columns * channels]))
    high = vertical.shape[0]
    x = tf.matmul(horizontal, tf.reshape(x, [batch * high, columns, channels]))
    return tf.reshape(x, [batch, high, horizontal.shape[0], channels])


@replaces("RGBToHSV")
@in_float32
def _rgb_to_hsv(op: Any, images: Tensor) -> Tensor:
    import tensorflow as tf

    red, green, blue = tf.unstack(images, axis=-1)
    value = tf.reduce_max(images, axis=-1)
    span = value - tf.reduce_min(images, axis=-1)
    saturation = tf.where(value > 0, span / tf.where(value > 0, value, 1.0), 0.0)
    norm = 1 / (6 * tf.where(span > 0, span, 1.0))
    hue = tf.where(
        tf.equal(red, value),
        norm * (green - blue),
        tf.where(
            tf.equal(green, value),
            norm * (blue - red) + 2 / 6,
            norm * (red - green) + 4 / 6,
        ),
    )
    hue = tf.where(span > 0, hue, 0.0)
    hue = tf.where(hue < 0, hue + 1, hue)
    return tf.stack([hue, saturation, value], axis=-1)


@replaces("HSVToRGB")
@in_float32
def _hsv_to_rgb(op: Any, images: Tensor) -> Tensor:
    import tensorflow as tf

    hue, saturation, value = tf.unstack(images, axis=-1)
    sixth = hue * 6
    weights = (tf.abs(sixth - 3) - 1, 2 - tf.abs(sixth - 2), 2 - tf.abs(sixth - 4))
    parts = [
        ((1 - saturation) + saturation * tf.clip_by_value(weight, 0.0, 1.0)) * value
        for weight in weights
    ]
    return tf.stack(parts, axis=-1)
