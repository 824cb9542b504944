"""Functions of single numbers."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_rnn_zoo.export.lowering.device_ops._base import (
    Tensor,
    constant,
    in_float32,
    in_wider,
    replaces,
)


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Horner's scheme; the highest power comes first."""
    result = coefficients[0]
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result


@replaces("Tan")
@in_float32
def _tan(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.sin(x) / tf.cos(x)


@replaces("Atan")
@in_float32
def _atan(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.atan2(x, tf.ones_like(x))


@replaces("Asin")
@in_float32
def _asin(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.atan2(x, tf.sqrt((1 - x) * (1 + x)))


@replaces("Acos")
@in_float32
def _acos(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.atan2(tf.sqrt((1 - x) * (1 + x)), x)


@replaces("Cosh")
@in_float32
def _cosh(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    # Half of each exponential, so that the largest finite answers are not infinite on the way.
    log2 = math.log(2)
    return tf.exp(x - log2) + tf.exp(-x - log2)


@replaces("Sinh")
@in_float32
def _sinh(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    log2 = math.log(2)
    # Near 0 the exponentials cancel out: Taylor.
    small = x * _polynomial(x * x, [1 / math.factorial(n) for n in (9, 7, 5, 3, 1)])
    return tf.where(tf.abs(x) < 1, small, tf.exp(x - log2) - tf.exp(-x - log2))


@replaces("Asinh")
@in_float32
def _asinh(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    size = tf.abs(x)
    square = size * size
    near = tf.math.log1p(size + square / (1 + tf.sqrt(square + 1)))
    # The square of a large number is infinite.
    far = tf.math.log(size) + math.log(2)
    return tf.sign(x) * tf.where(size < 1e9, near, far)


@replaces("Acosh")
@in_float32
def _acosh(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    above = x - 1
    near = tf.math.log1p(above + tf.sqrt(above * (x + 1)))
    return tf.where(x < 1e9, near, tf.math.log(x) + math.log(2))


@replaces("Atanh")
@in_float32
def _atanh(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    return 0.5 * (tf.math.log1p(x) - tf.math.log1p(-x))


# The rational function by which XLA computes erf, exact to the last bits of float32.
_ERF_P = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_Q = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)
# erfc(x) = exp(-x^2) / x * polynomial(1 / x^2), for 1 <= x < 2 and above (Moshier, "Cephes").
_ERFC_NEAR = (
    2.326819970068386e-2,
    -1.387039388740657e-1,
    3.687424674597105e-1,
    -5.824733027278666e-1,
    6.210004621745983e-1,
    -4.944515323274145e-1,
    3.404879937665872e-1,
    -2.741127028184656e-1,
    5.638259427386472e-1,
)
_ERFC_FAR = (
    -1.047766399936249e1,
    1.297719955372516e1,
    -7.495518717768503e0,
    2.921019019210786e0,
    -1.015265279202700e0,
    4.218463358204948e-1,
    -2.820767439740514e-1,
    5.641895067754075e-1,
)
# Giles, "Approximating the erfinv function" (2010), for log(1 - x^2) above -5 and below.
_ERFINV_NEAR = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
_ERFINV_FAR = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


def _error_function(x: Tensor) -> Tensor:
    import tensorflow as tf

    x = tf.clip_by_value(x, -4.0, 4.0)
    square = x * x
    return x * _polynomial(square, _ERF_P) / _polynomial(square, _ERF_Q)


@replaces("Erf")
@in_float32
def _erf(op: Any, x: Tensor) -> Tensor:
    return _error_function(x)


@replaces("Erfc")
@in_float32
def _erfc(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    size = tf.maximum(tf.abs(x), 1.0)
    inverse = 1 / size
    square = inverse * inverse
    tail = tf.where(size < 2, _polynomial(square, _ERFC_NEAR), _polynomial(square, _ERFC_FAR))
    tail = tf.exp(-size * size) * inverse * tail
    return tf.where(tf.abs(x) < 1, 1 - _error_function(x), tf.where(x < 0, 2 - tail, tail))


@replaces("Mul")
def _multiply(op: Any, x: Tensor, y: Tensor) -> Any:
    """Gives the error function back where it makes a GELU, which the converter knows as a whole.

    That is `0.5 * x * erfc(-x / sqrt(2))`, or `0.5 * x * (1 + erf(x / sqrt(2)))`.
    """
    if x.dtype == y.dtype == "float32" and x.op.type == "Mul":
        erfc, (plus_one, rest) = _original(y, "Erfc"), _operands(y, "AddV2", 1)
        erf = _original(rest, "Erf") if plus_one else None
        half, features = _operands(x, "Mul", 0.5)
        if half and erfc is not None and _scale(erfc.op.inputs[0], features, -1):
            return x * erfc
        if half and erf is not None and _scale(erf.op.inputs[0], features, 1):
            return x * (1 + erf)
    return in_wider(op, x, y)


def _original(tensor: Tensor, kind: str) -> Tensor | None:
    """Returns the output of the op of that kind that a tensor stands in for."""
    name = tensor.op.name.rpartition("/")[0]
    with contextlib.suppress(KeyError, ValueError):
        found = tensor.graph.get_operation_by_name(name)
        return found.outputs[0] if found.type == kind else None
    return None


def _operands(tensor: Tensor, kind: str, value: float) -> tuple[bool, Tensor]:
    """Whether a tensor is `value` and something, and what that is."""
    if tensor.op.type == kind:
        for one, other in (tensor.op.inputs, reversed(tensor.op.inputs)):
            known = _static(one)
            if known is not None and np.size(known) == 1 and np.isclose(known, value):
                return True, other
    return False, tensor


def _static(tensor: Tensor) -> Any:
    import tensorflow as tf

    return tf.get_static_value(tensor)


def _scale(tensor: Tensor, features: Tensor, sign: int) -> bool:
    """Whether a tensor is the features, times the sign, over the square root of 2."""
    over, inner = _operands(tensor, "Mul", math.sqrt(0.5))
    if not over:
        over, inner = _operands(tensor, "RealDiv", math.sqrt(2))
    while over and inner.op.type == "Neg":
        sign, inner = -sign, inner.op.inputs[0]
    return over and sign > 0 and inner.name == features.name


@replaces("Erfinv")
@in_float32
def _erfinv(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    w = -tf.math.log((1 - x) * (1 + x))
    near = _polynomial(w - 2.5, _ERFINV_NEAR)
    far = _polynomial(tf.sqrt(w) - 3, _ERFINV_FAR)
    return x * tf.where(w < 5, near, tf.where(tf.abs(x) < 1, far, np.inf))


@replaces("BesselI0")
@in_float32
def _bessel_i0(op: Any, x: Tensor) -> Tensor:
    import tensorflow as tf

    fit: Any = np.polynomial.chebyshev.chebinterpolate
    # Smooth are i0(x) exp(-x) up to 8, and from there to 100, where float32 ends, the same times
    # sqrt(x) as a function of 8 / x.
    near = fit(lambda u: np.i0(4 * (u + 1)) * np.exp(-4 * (u + 1)), 18)

    def above(u: np.ndarray) -> np.ndarray:
        x = 8 / (0.54 + 0.46 * u)
        return np.asarray(np.i0(x) * np.exp(-x) * np.sqrt(x))

    size = tf.minimum(tf.abs(x), 100.0)
    low, high = tf.minimum(size, 8.0), tf.maximum(size, 8.0)
    tail = _chebyshev((8 / high - 0.54) / 0.46, fit(above, 8)) / tf.sqrt(high)
    # The root of the exponential, twice: the largest finite answers are not infinite on the way.
    root = tf.exp(size / 2)
    return root * (root * tf.where(size < 8, _chebyshev(low / 4 - 1, near), tail))


def _chebyshev(x: Tensor, coefficients: np.ndarray) -> Tensor:
    """Clenshaw's recurrence."""
    import tensorflow as tf

    one = two = tf.zeros_like(x)
    for coefficient in coefficients[:0:-1]:
        one, two = 2 * x * one - two + float(coefficient), one
    return x * one - two + float(coefficients[0])


@replaces("FloorDiv")
def _floor_div(op: Any, x: Tensor, y: Tensor) -> Any:
    """As TensorFlow computes it; TFLite's FLOOR_DIV stops at a division by zero."""
    import tensorflow as tf

    return tf.floor(x / y) if x.dtype == tf.float32 else in_wider(op, x, y)


@replaces("IsInf")
def _is_inf(op: Any, x: Tensor) -> Tensor:
    """The converter writes infinite constants as the largest finite number, here as well."""
    import tensorflow as tf

    return tf.abs(x) > x.dtype.max


@replaces("Equal", "NotEqual")
def _equal(op: Any, x: Tensor, y: Tensor) -> Any:
    """Comparison with infinity, as above."""
    import tensorflow as tf

    value = constant(y) if x.dtype == tf.float32 and y.shape.num_elements() == 1 else None
    if value is None or not np.isinf(value).all():
        return in_wider(op, x, y)
    positive = np.ravel(value)[0] > 0
    if op.type == "Equal":
        found = x > x.dtype.max if positive else x < x.dtype.min
    else:  # not the opposite, which the converter has NaN answer as well
        finite = x <= x.dtype.max if positive else x >= x.dtype.min
        found = tf.logical_or(finite, tf.math.is_nan(x))
    return tf.broadcast_to(found, op.outputs[0].shape)
