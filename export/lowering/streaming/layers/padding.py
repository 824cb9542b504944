"""Zeros in front of a sequence."""

from __future__ import annotations

from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering.streaming.looking_back import (
    LookingBack,
    Tensor,
    register_looking_back,
)


@register_looking_back("padding")
class Padding(LookingBack):
    """Zeros before the first step, which are where the state of the layer behind starts."""

    description: ClassVar[str] = "zeros before the first step, for the layer behind to look back on"
    layers: ClassVar[tuple[str, ...]] = ("ZeroPadding1D",)

    def puts_in_front(self, layer: Any) -> int:
        """Returns the zeros that it puts in front."""
        return int(layer.padding[0])

    def refuses(self, layer: Any, in_front: int) -> str | None:
        """Says what it reads that is yet to come; see `LookingBack.refuses`."""
        if layer.padding[1]:
            return "puts zeros behind the last time step; put all of them in front of the first one"
        return None

    def keeps(self, layer: Any, in_front: int) -> int:
        """Returns how many steps are kept; see `LookingBack.keeps`."""
        return 0

    def run(self, layer: Any, steps: Tensor, mask: Tensor | None) -> Tensor:
        """Builds the ops; see `LookingBack.run`."""
        import tensorflow as tf

        # Another tensor than what the layer got, which others may read.
        return tf.identity(steps)
