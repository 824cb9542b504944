"""A Keras model that multiplies as an int8 file does: what it makes of that is measured here.

Verification has to know how far a right int8 file may be from its model. Rounded weights tell a
part of it only: the inputs and results of a product have 256 levels, too, over the range that
calibration saw, and where values are mostly small and seldom large that is most of the error. So
the model runs twice, op by op: to see the ranges of its products with weights, and with these
rounded.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rnn_zoo.export.hooks import Hook

Tensor = Any
# Which weight multiplies: its shape and first values.
Key = tuple[tuple[int, ...], bytes]

# Room beyond what was seen, as the quantizer of int8 leaves.
HEADROOM = 1.1
LEVELS = 255
# Through these Keras multiplies; the place of the weight among the arguments.
FUNCTIONS = {
    "matmul": 1,
    "tensordot": 1,
    "einsum": 2,
    "nn.convolution": 1,
    "nn.conv2d": 1,
    "nn.depthwise_conv2d": 1,
}


@dataclass
class _Range:
    """What passed, column by column."""

    low: np.ndarray
    high: np.ndarray

    def extend(self, values: np.ndarray) -> None:
        axes = tuple(range(values.ndim - 1))
        self.low = np.minimum(self.low, values.min(axis=axes))
        self.high = np.maximum(self.high, values.max(axis=axes))

    def rounded(self, values: Tensor, columns: bool) -> Tensor:
        """Rounds values to the levels of the range: of each column, or of all."""
        import tensorflow as tf

        low, high = self.low, self.high
        if not columns:
            low, high = np.minimum(low.min(), 0), np.maximum(high.max(), 0)
        step = np.maximum(HEADROOM * (high - low) / LEVELS, 1e-30).astype(np.float32)
        return tf.round(values / step) * step


class IntegerProducts:
    """The products of a model with its weights, seen and then rounded.

    Args:
        weights: The values of the weights that count.
        exact: Those of the last products, whose results are the answers: a file answers with float
            numbers.
    """

    def __init__(self, weights: Sequence[np.ndarray], exact: Sequence[np.ndarray]):
        outside = {_key(value) for value in exact}
        self._known = {_key(value) for value in weights if value.ndim > 1} - outside
        self._ranges: dict[Key, tuple[_Range, _Range]] = {}
        self._calls: dict[Key, int] = {}
        self._passes = 0

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        """Notes the range of each product until the block ends, which runs the model once."""
        self._passes += 1
        with _HOOK.installed(self._see):
            yield

    @contextlib.contextmanager
    def rounded(self) -> Iterator[None]:
        """Rounds the inputs and the result of each product until the block ends."""
        with _HOOK.installed(self._round):
            yield

    def _see(self, multiply: Callable[[Tensor], Tensor], x: Tensor, weight: Tensor) -> Tensor:
        result = multiply(x)
        key = _key(np.asarray(weight))
        if key in self._known:
            for place, values in enumerate((np.asarray(x), np.asarray(result))):
                if key not in self._ranges:
                    nothing = [np.full(s, np.inf) for s in (x.shape[-1], result.shape[-1])]
                    self._ranges[key] = (
                        _Range(nothing[0], -nothing[0]),
                        _Range(nothing[1], -nothing[1]),
                    )
                self._ranges[key][place].extend(values)
            self._calls[key] = self._calls.get(key, 0) + 1
        return result

    def _round(self, multiply: Callable[[Tensor], Tensor], x: Tensor, weight: Tensor) -> Tensor:
        key = _key(np.asarray(weight))
        if key not in self._ranges:
            return multiply(x)
        # What is computed once a call may have a scale for each column; what is in a loop has one.
        columns = self._calls[key] <= self._passes
        given, made = self._ranges[key]
        return made.rounded(multiply(given.rounded(x, columns)), columns)


def _key(weight: np.ndarray) -> Key:
    return weight.shape, np.ascontiguousarray(weight.reshape(-1)[:16], np.float32).tobytes()


Product = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]


def _functions() -> list[tuple[Any, str]]:
    import tensorflow as tf

    return [(tf.nn if path.startswith("nn.") else tf, path.split(".")[-1]) for path in FUNCTIONS]


def _multiplying(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    place = FUNCTIONS[name if name in FUNCTIONS else f"nn.{name}"]

    @functools.wraps(function)
    def multiplying(*args: Any, **keywords: Any) -> Any:
        product, both = _HOOK.here, args[place - 1 : place + 1]
        if product is None or len(both) < 2 or not all(map(_eager, both)):
            return function(*args, **keywords)
        before, after = args[: place - 1], args[place + 1 :]
        return product(lambda x: function(*before, x, both[1], *after, **keywords), *both)

    return multiplying


_HOOK: Hook[Product] = Hook("what becomes of products", _functions, _multiplying)


def _eager(value: Any) -> bool:
    return hasattr(value, "numpy") and getattr(value, "dtype", None) == "float32"
