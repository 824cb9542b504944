"""What every layer that looks back is: a registered object that runs it over a few time steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from keras_rnn_zoo.registry import Registry, extends

Tensor = Any


class NotCausalError(Exception):
    """A layer cannot be run a few steps at a time; says which, why, and what to do."""


class LookingBack(ABC):
    """How a layer that reads steps before the present one is run over some steps.

    The last steps that it read are a state: they are put in front of the next ones, and the layer
    runs over all of them without any padding of its own.

    Attributes:
        name: What it is called.
        description: One line for a person.
        layers: Names of the classes of Keras layers that it runs.
    """

    name: str
    description: ClassVar[str]
    layers: ClassVar[tuple[str, ...]]

    def strides(self, layer: Any) -> int:
        """Returns how many steps become one."""
        return 1

    def puts_in_front(self, layer: Any) -> int:
        """Returns how many steps of zeros it puts in front of a sequence, and does nothing else."""
        return 0

    def refuses(self, layer: Any, in_front: int) -> str | None:
        """Says why a layer cannot be run so; None where it can.

        Args:
            layer: The Keras layer.
            in_front: Steps of zeros that the layer before has put in front of the sequence.

        Returns:
            What a sentence goes on with that begins with the layer, and after a semicolon what to
            do: "reads 2 steps to come (padding='same'); train it with padding='causal'".
        """
        return None

    @abstractmethod
    def keeps(self, layer: Any, in_front: int) -> int:
        """Returns how many steps it reads before the first one of some: those that are kept."""

    def reads(self, layer: Any, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """Returns what it reads, and keeps, of its inputs `[batch, steps, ...]`."""
        return inputs

    @abstractmethod
    def run(self, layer: Any, steps: Tensor, mask: Tensor | None) -> Tensor:
        """Builds the ops over steps, those that were kept in front.

        Args:
            layer: A layer of this export's own, whose attributes may be changed.
            steps: `[batch, kept + steps, ...]`.
            mask: bool `[batch, steps]` of a layer that takes a mask: true where a step counts.

        Returns:
            `[batch, steps / strides, ...]`.
        """


LOOKING_BACK: Registry[LookingBack] = Registry(
    "layer that looks back",
    "keras_rnn_zoo.export.lowering.streaming.layers",
    "keras_rnn_zoo.looking_back",
    extends(
        "layer that looks back",
        LookingBack,
        lambda entry: {"the class names of its layers": bool(getattr(entry, "layers", ()))},
    ),
)


def register_looking_back(name: str) -> Callable[[type[LookingBack]], type[LookingBack]]:
    """Registers a `LookingBack` under `name`."""
    return LOOKING_BACK.decorator(name)


def looking_back(layer: Any) -> LookingBack | None:
    """Returns how a layer that looks back is run; None for other layers.

    A subclass with a call of its own may compute something else.
    """
    known = {
        kind: one for one in map(LOOKING_BACK.get, LOOKING_BACK.names()) for kind in one.layers
    }
    for cls in type(layer).__mro__:
        if cls.__name__ in known:
            own = type(layer).call is not getattr(cls, "call", None)
            return None if own else known[cls.__name__]
    return None


class Window(LookingBack):
    """A layer that makes each step of a window of steps, those of the next one `strides` later.

    What Keras calls `padding="causal"` has as many zeros in front as make the first window end at
    the first step. `keras.layers.ZeroPadding1D` right before a layer that pads nothing may put them
    there, too.
    """

    @abstractmethod
    def width(self, layer: Any) -> int:
        """Returns how many steps lie between both ends of a window, these included."""

    def refuses(self, layer: Any, in_front: int) -> str | None:
        """Says what it reads that is yet to come; see `LookingBack.refuses`."""
        width, strides = self.width(layer), self.strides(layer)
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            return "has its channels first; take data_format='channels_last'"
        if layer.padding == "causal":
            return _unread(in_front)
        most, least = width - 1, max(0, width - strides)
        if layer.padding == "same" and width > strides and width > 1:
            return (
                f"reads time steps to come (padding='same', {width} of them at once); "
                f"{self.remedy(layer, least)}"
            )
        if in_front < least:
            return (
                f"answers nothing at the first time steps (padding='{layer.padding}', {width} of "
                f"them at once); {self.remedy(layer, least)}"
            )
        return None if in_front <= most else _unread(in_front - most)

    def remedy(self, layer: Any, least: int) -> str:
        """Says what to train instead."""
        return f"put ZeroPadding1D(({least}, 0)) before it, with padding='valid'"

    def keeps(self, layer: Any, in_front: int) -> int:
        """Returns how many steps are kept; see `LookingBack.keeps`."""
        return self.width(layer) - 1 if layer.padding == "causal" else in_front

    def run(self, layer: Any, steps: Tensor, mask: Tensor | None) -> Tensor:
        """Builds the ops; see `LookingBack.run`."""
        padding = layer.padding
        layer.__dict__["padding"] = "valid"
        try:
            return type(layer).call(layer, steps)
        finally:
            layer.__dict__["padding"] = padding


def _unread(in_front: int) -> str | None:
    if not in_front:
        return None
    return f"gets {in_front} time steps of padding in front, more than it reads; take them away"
