"""The limits that a model must keep to be of use on a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from keras_rnn_zoo.errors import ConfigError

# Attribute -> what is limited, and how a person says an amount of it.
_LIMITS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "max_size": ("size", lambda value: f"{value / 1000:,.1f} kB"),
    "max_latency": ("latency", lambda value: f"{value:.3g} ms"),
    "max_parameters": ("parameters", lambda value: f"{value:,}"),
}


@dataclass(frozen=True)
class DeviceBudget:
    """Limits of a model on a device, and the file that has to keep them.

    Attributes:
        max_size: Bytes of the .tflite file; None sets no limit.
        max_latency: Milliseconds of a call, median, batch 1, one thread of this machine.
        max_parameters: Of the Keras model.
        quantize: Quantization mode of the file.
        target: The client that the file is for; see `keras_rnn_zoo.export.TARGETS`.
    """

    max_size: int | None = None
    max_latency: float | None = None
    max_parameters: int | None = None
    quantize: str = "dynamic"
    target: str = "litert"

    def check(self) -> None:
        """Refuses limits that are none, and unknown modes and targets.

        Raises:
            ConfigError: A limit is no number above 0, or the target does not take the mode.
            UnknownNameError: No such quantization mode or target.
        """
        from keras_rnn_zoo.export.quantization import QUANTIZATIONS
        from keras_rnn_zoo.export.targets import TARGETS

        for attribute in _LIMITS:
            value = getattr(self, attribute)
            if value is not None and (isinstance(value, bool) or not value > 0):
                raise ConfigError(f"{attribute} is a number above 0. Received: {value!r}")
        QUANTIZATIONS.get(self.quantize)
        TARGETS.get(self.target).check_quantization(self.quantize)

    def to_dict(self) -> dict[str, Any]:
        """Returns the content as a JSON object."""
        return asdict(self)

    def excess(
        self, *, size: int | None, latency: float | None, parameters: int | None
    ) -> dict[str, float]:
        """Returns how many times each limit a model is that exceeds it.

        Args:
            size: Bytes of its file, None where they are not known.
            latency: Milliseconds of a call, or None.
            parameters: Of the model, or None.

        Returns:
            `"size"`, `"latency"`, `"parameters"` -> above 1; empty for one that fits.
        """
        given = {"size": size, "latency": latency, "parameters": parameters}
        found = {}
        for attribute, (name, _) in _LIMITS.items():
            limit, value = getattr(self, attribute), given[name]
            if limit is not None and value is not None and value > limit:
                found[name] = value / limit
        return found

    def explain(self, values: Mapping[str, Any], excess: Mapping[str, float]) -> str:
        """Returns a line that says which limits are exceeded, and by what.

        Args:
            values: `"size"`, `"latency"`, `"parameters"` -> of the model.
            excess: Returned by `excess`.
        """
        return "over budget: " + ", ".join(
            f"{name} {say(values[name])}, allowed {say(getattr(self, attribute))}"
            for attribute, (name, say) in _LIMITS.items()
            if name in excess
        )
