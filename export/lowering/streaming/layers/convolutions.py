"""Convolutions over time."""

from __future__ import annotations

from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering.streaming.looking_back import Window, register_looking_back


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


def _number(value: Any) -> int:
    return int(value if isinstance(value, int) else value[0])
