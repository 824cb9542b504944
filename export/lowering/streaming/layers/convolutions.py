"""Convolutions over time."""

from __future__ import annotations

from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering.streaming.looking_back import (
    Tensor,
    Window,
    register_looking_back,
)


@register_looking_back("convolution")
class Convolution(Window):
    """A convolution whose windows end at the present step."""

    description: ClassVar[str] = "convolutions over time that look back"
    layers: ClassVar[tuple[str, ...]] = ("Conv1D", "DepthwiseConv1D", "SeparableConv1D")

    def strides(self, layer: Any) -> int:
        """Returns how many steps become one."""
        return _number(layer.strides)

    def width(self, layer: Any) -> int:
        """Returns the steps that a window spans."""
        return (_number(layer.kernel_size) - 1) * _number(layer.dilation_rate) + 1

    def remedy(self, layer: Any, least: int) -> str:
        """Says what to train instead; see `Window.remedy`."""
        if type(layer).__name__ == "Conv1D":
            return "train it with padding='causal'"
        return super().remedy(layer, least)


@register_looking_back("masked_convolution")
class MaskedConvolution(Convolution):
    """The convolution of `keras_rnn_zoo.layers`: zeros in and out where steps are masked."""

    description: ClassVar[str] = "convolutions that look back and skip masked steps"
    layers: ClassVar[tuple[str, ...]] = ("MaskedConv1D",)

    def remedy(self, layer: Any, least: int) -> str:
        """Says what to train instead; see `Window.remedy`."""
        return "build and train the model with causal=True (--set causal=true)"

    def reads(self, layer: Any, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """Returns zeros for masked steps."""
        return inputs if mask is None else inputs * _real(mask)

    def run(self, layer: Any, steps: Tensor, mask: Tensor | None) -> Tensor:
        """Builds the ops; see `LookingBack.run`."""
        output = super().run(layer, steps, None)
        return output if mask is None else output * _real(mask)


def _real(mask: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.cast(mask, tf.float32)[..., tf.newaxis]


def _number(value: Any) -> int:
    return int(value if isinstance(value, int) else value[0])
