"""int8 weights and activations, calibrated on representative data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from keras_rnn_zoo.export.gate import Weight
from keras_rnn_zoo.export.quantization._base import Quantization, register_quantization
from keras_rnn_zoo.export.tap import Tap
from keras_rnn_zoo.export.verification import Tolerance

Tensor = Any

HEADROOM = 1.25


class Observer(Tap):
    """Records the smallest and largest value that passes each site. For eager execution."""

    quantizes = True
    rows = 8
    weight_bytes = 1
    shares_inputs = True

    def __init__(self) -> None:
        self.ranges: dict[str, tuple[float, float]] = {}

    def activation(
        self, site: str, tensor: Tensor, bounds: tuple[float, float] | None = None
    ) -> Tensor:
        """Records the range and passes the tensor on."""
        values = tensor.numpy()
        # Zero is always a value: padding, initial states.
        low, high = self.ranges.get(site, (0.0, 0.0))
        self.ranges[site] = (min(low, float(values.min())), max(high, float(values.max())))
        return tensor


class FakeQuantizer(Tap):
    """Inserts the fake-quantization that the converter turns into int8 arithmetic.

    Activations are asymmetric with the range seen in calibration, weights symmetric, both per
    tensor, as in Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", 2018.
    """

    quantizes = True
    rows = 8
    weight_bytes = 1
    shares_inputs = True

    def __init__(self, ranges: dict[str, tuple[float, float]]):
        self.ranges = ranges

    def activation(
        self, site: str, tensor: Tensor, bounds: tuple[float, float] | None = None
    ) -> Tensor:
        """Rounds to 256 levels of the range seen at the site, or of its bounds."""
        import tensorflow as tf

        low, high = bounds or self.ranges[site]
        if bounds is None and site.endswith("/outputs"):
            # What a layer without a bound answers goes beyond what a few hundred inputs showed.
            low, high = HEADROOM * low, HEADROOM * high
        if low == high:  # only zeros passed here; any scale represents them
            high = 1.0
        return tf.quantization.fake_quant_with_min_max_args(tensor, low, high, num_bits=8)

    def weight(self, site: str, value: np.ndarray) -> Tensor:
        """Rounds to 255 levels, zero in the middle."""
        import tensorflow as tf

        largest = float(np.abs(value).max()) or 1.0
        return tf.quantization.fake_quant_with_min_max_args(
            tf.constant(value), -largest, largest, num_bits=8, narrow_range=True
        )


class GuessedRanges(dict[str, tuple[float, float]]):
    """A range for every site, without a calibration.

    The ranges differ where those of a calibration do, so that the file requantizes in the same
    places: what a layer takes is mostly what the one below it gave, everything else differs.
    """

    def __missing__(self, site: str) -> tuple[float, float]:
        kinds = {"projected": 3.0, "recurrent": 2.0, "outputs": 4.0}
        largest = kinds.get(site.rsplit("/", 1)[-1], 1.0)
        return -largest, largest


@register_quantization("int8")
class Int8(Quantization):
    """Matrix products, convolutions and embeddings in int8; gates and the LSTM's cell in float32.

    The converter's own calibration crashes on WHILE loops, so calibration is ours: the model runs
    on the representative data in TensorFlow, step by step, and the ranges seen there go into the
    graph. What a cell carries from step to step stays in float32: rounded to 8 bits, it would
    lose what small updates add over a long sequence.
    """

    file_name = "model_int8.tflite"
    description = "int8 weights and matrix products, calibrated on representative data"
    tolerance = Tolerance(
        output=None,
        logit=0.5,
        average=0.02,
        reason="weights, inputs and results of each product are rounded to 256 levels of the "
        "range seen in calibration. Over 200 steps a trained model amplifies that on a few inputs "
        "(measured: up to 0.19 of the largest logit), so the average is what is held tight "
        "(measured: 0.001 to 0.004)",
    )
    needs_representative_data = True
    integer_io = True
    converter_options: ClassVar[Mapping[str, Any]] = {"optimize": True}

    def tap(self, calibrate: Callable[[Tap], None]) -> Tap:
        """Calibrates, and returns the tap that rounds to what was seen."""
        observer = Observer()
        calibrate(observer)
        return FakeQuantizer(observer.ranges)

    def rough_tap(self, calibrate: Callable[[Tap], None]) -> Tap:
        """Returns the tap without running the model, which takes long: ranges are guessed."""
        return FakeQuantizer(GuessedRanges())

    def why_float32(self, weight: Weight) -> str | None:
        """Names the layers that are calibrated: all others keep their weights."""
        return "only embeddings, Dense, Conv1D, Conv2D and Keras' own cells become int8"
