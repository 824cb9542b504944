"""The limits that a model must keep to be of use on a device."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.options import Options, one_of, option
from keras_rnn_zoo.quantities import parse_bytes, parse_milliseconds

# Attribute -> what is limited, and how an amount of it is written for a person.
_LIMITS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "max_size": ("size", lambda value: f"{value / 1000:,.1f} kB"),
    "max_latency": ("latency", lambda value: f"{value:.3g} ms"),
    "max_parameters": ("parameters", lambda value: f"{value:,}"),
    "max_arena": ("arena", lambda value: f"{value / 1000:,.1f} kB"),
}


def _limit(name: str, value: Any) -> Any:
    if value is None:
        return None
    found = value.item() if hasattr(value, "item") else value
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < math.inf:
        raise ConfigError(f"{name} is a number above 0. Received: {value!r}")
    return found


@dataclass(frozen=True)
class DeviceBudget(Options):
    """Limits of a model on a device, and the .tflite file that has to keep them.

    Attributes:
        max_size: Bytes of the .tflite file; None sets no limit.
        max_latency: Milliseconds of a call: median, batch 1, one thread of this machine.
        max_parameters: Of the Keras model.
        max_arena: Bytes of RAM that the file needs in TensorFlow Lite Micro, for the target micro.
        quantization: Quantization mode of the file; see `keras_rnn_zoo.export.QUANTIZATIONS`.
        target: The client that the file is for; see `keras_rnn_zoo.export.TARGETS`.

    Raises:
        ConfigError: A limit is not a number above 0, or the target does not take the mode.
        UnknownNameError: No such quantization mode or target.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"quantize": "quantization"}

    max_size: int | None = option(
        None,
        "The largest .tflite file, such as 300KB.",
        _limit,
        metavar="SIZE",
        parse=parse_bytes,
        shown_default="no limit",
    )
    max_latency: float | None = option(
        None,
        "The longest call of it on one thread of this machine, such as 2ms.",
        _limit,
        metavar="TIME",
        parse=parse_milliseconds,
        shown_default="no limit",
    )
    max_parameters: int | None = option(
        None, "The most parameters of the model.", _limit, metavar="N", shown_default="no limit"
    )
    max_arena: int | None = option(
        None,
        "The largest tensor arena of it in TensorFlow Lite Micro, such as 16KB.",
        _limit,
        metavar="SIZE",
        parse=parse_bytes,
        shown_default="no limit",
    )
    quantization: str = option(
        "dynamic", "Which file is measured.", one_of(QUANTIZATIONS), metavar="NAME"
    )
    target: str = option(
        "litert", "The client that the file is for.", one_of(TARGETS), metavar="NAME"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        TARGETS.get(self.target).check_quantization(self.quantization)
        TARGETS.get(self.target).check_arena(self.max_arena)

    @property
    def quantize(self) -> str:
        """The old name of `quantization`."""
        warnings.warn("quantize is called quantization now.", FutureWarning, stacklevel=2)
        return self.quantization

    def excess(
        self,
        *,
        size: int | None,
        latency: float | None,
        parameters: int | None,
        arena: int | None = None,
    ) -> dict[str, float]:
        """Returns by what factor a model exceeds each limit that it does not keep.

        Args:
            size: Bytes of its file, None where they are not known.
            latency: Milliseconds of a call, or None.
            parameters: Of the model, or None.
            arena: Bytes of RAM, or None.

        Returns:
            `"size"`, `"latency"`, `"parameters"`, `"arena"` -> above 1; empty for one that fits.
        """
        given = {"size": size, "latency": latency, "parameters": parameters, "arena": arena}
        found = {}
        for attribute, (name, _) in _LIMITS.items():
            limit, value = getattr(self, attribute), given[name]
            if limit is not None and value is not None and value > limit:
                found[name] = value / limit
        return found

    def explain(self, values: Mapping[str, Any], excess: Mapping[str, float]) -> str:
        """Returns a line that names the limits that are exceeded, and by what.

        Args:
            values: `"size"`, `"latency"`, `"parameters"`, `"arena"` -> of the model.
            excess: Returned by `excess`.
        """
        return "over budget: " + ", ".join(
            f"{name} {written(values[name])}, allowed {written(getattr(self, attribute))}"
            for attribute, (name, written) in _LIMITS.items()
            if name in excess
        )


def _with_old_names(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def accepting(self: DeviceBudget, *args: Any, **values: Any) -> None:
        for old, new in self.RENAMED.items():
            if old in values:
                warnings.warn(f"{old} is called {new} now.", FutureWarning, stacklevel=2)
                values[new] = values.pop(old)
        init(self, *args, **values)

    return accepting


DeviceBudget.__init__ = _with_old_names(DeviceBudget.__init__)  # type: ignore[method-assign]
