"""Pooling of a few steps."""

from __future__ import annotations

from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering.streaming.looking_back import (
    LookingBack,
    Tensor,
    Window,
    register_looking_back,
)


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


@register_looking_back("masked_pooling")
class MaskedPooling(LookingBack):
    """The pooling of `keras_rnn_zoo.layers`, by windows that do not reach into each other."""

    description: ClassVar[str] = "maxima of the steps of a window that count"
    layers: ClassVar[tuple[str, ...]] = ("MaskedMaxPooling1D",)

    def strides(self, layer: Any) -> int:
        """Returns how many steps become one."""
        return int(layer.pool_size)

    def keeps(self, layer: Any, in_front: int) -> int:
        """Keeps nothing: a call takes whole windows."""
        return 0

    def run(self, layer: Any, steps: Tensor, mask: Tensor | None) -> Tensor:
        """Builds the ops; see `LookingBack.run`."""
        return type(layer).call(layer, steps, mask)
