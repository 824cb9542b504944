"""The limits that a model must keep to be of use on a device."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.export.cores.cores import modelled
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


def parse_latency(text: str) -> float | str:
    """Returns the limit of a latency as `DeviceBudget` takes it.

    Args:
        text: `"2ms"`, on this machine, or `"2ms@cortex-a55"`, modelled on an Arm core.

    Raises:
        ConfigError: It is neither, or the core's cycles are not modelled.
        UnknownNameError: There is no such core.
    """
    time, at, core = text.partition("@")
    found = parse_milliseconds(time)
    return f"{found!r}ms@{modelled(core).name}" if at else found


def _core(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{name} is the name of an Arm core. Received: {value!r}")
    return modelled(value).name


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
        max_latency: Milliseconds of a call, batch 1, one thread. A text such as `"2ms@cortex-a55"`
            says `latency_core`, too.
        latency_core: The Arm core that latencies are modelled for, at a clock that is common; None
            takes medians on this machine.
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
        "The longest call of it on one thread of this machine, such as 2ms; or, emulated and "
        "modelled, of an Arm core, such as 2ms@cortex-a55.",
        _limit,
        metavar="TIME",
        parse=parse_latency,
        shown_default="no limit",
    )
    latency_core: str | None = option(
        None, "The Arm core that latencies are modelled for.", _core, flag=""
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
        limit: Any = self.max_latency
        if isinstance(limit, str):
            time, at, core = str(parse_latency(limit)).partition("@")
            object.__setattr__(self, "max_latency", parse_milliseconds(time))
            if at and self.latency_core not in (None, core):
                raise ConfigError(
                    f"The core is said twice and differently: {core!r} and, as latency_core, "
                    f"{self.latency_core!r}. Say one."
                )
            object.__setattr__(self, "latency_core", core or self.latency_core)
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
        of = {"latency": f"modelled latency on a {self.latency_core}"} if self.latency_core else {}
        return "over budget: " + ", ".join(
            f"{of.get(name, name)} {written(values[name])}, allowed "
            f"{written(getattr(self, attribute))}"
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
