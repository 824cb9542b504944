"""Pooling of a few steps."""

from __future__ import annotations

from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering.streaming.looking_back import Window, register_looking_back


@register_looking_back("pooling")
class Pooling(Window):
    """The maximum or the average of a window of steps."""

    description: ClassVar[str] = "maxima and averages of a few steps"
    layers: ClassVar[tuple[str, ...]] = ("MaxPooling1D", "AveragePooling1D")

    def strides(self, layer: Any) -> int:
        """Returns how many steps become one."""
        strides = layer.strides
        return int(strides if isinstance(strides, int) else strides[0])

    def width(self, layer: Any) -> int:
        """Returns the steps that a window spans."""
        size = layer.pool_size
        return int(size if isinstance(size, int) else size[0])
