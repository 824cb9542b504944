"""Targets of a regression: scaled for training, and scaled back inside the model.

A model starts with answers near 0 and Adam moves each weight by about the learning rate in a step:
targets around 100 are thousands of steps away, and the model never gets there. So targets are
standardized for training (mean 0, deviation 1 over the training rows, each output for itself), and
afterwards scale and offset are folded into the linear head, exactly but for float32 rounding:

    (x W + b) * scale + mean  =  x (W * scale) + (b * scale + mean)

The model that is kept, and every file made of it, answers in the user's units without further ops.

A forecast goes on from the last values (`layers.Autoregression`), and what it learns are changes,
which may be a hundredth of the values: the closing price of tomorrow. So its scale is that of the
changes, and the layer's gain brings the last values, scaled as features, to that scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.builder import forecast_columns
from keras_rnn_zoo.errors import DataError

if TYPE_CHECKING:
    import keras

    from keras_rnn_zoo.layers import Autoregression

# What deviates less from its mean than this, as a share of it, is constant: float64 rounding.
_CONSTANT = 1e-9


@dataclass(frozen=True)
class LastValues:
    """What a forecast goes on from: the last values of features, in the user's units.

    Attributes:
        columns: Which features.
        mean: Of each, which was subtracted when it was encoded.
        scale: Of each, by which it was divided.
        masked: A step of zeros is padding.
    """

    columns: tuple[int, ...]
    mean: np.ndarray
    scale: np.ndarray
    masked: bool

    @classmethod
    def of(cls, config: Mapping[str, Any], scaling: np.ndarray | None) -> LastValues | None:
        """Returns what a model goes on from; None if it does not.

        Args:
            config: Of its builder.
            scaling: Mean and scale of each feature, float64 `[2, features]`; None for token ids.
        """
        columns = forecast_columns(config)
        if columns is None or scaling is None:
            return None
        mean, scale = scaling[:, list(columns)]
        return cls(columns, mean, scale, bool(config.get("mask")))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Returns the last values of encoded rows, float64 `[n, columns]`."""
        step = np.full(len(x), x.shape[1] - 1)
        if self.masked:
            real: np.ndarray = np.any(x != 0, axis=2)
            step = np.where(real.any(axis=1), step - real[:, ::-1].argmax(axis=1), step)
        last = x[np.arange(len(x)), step][:, list(self.columns)]
        return np.asarray(last.astype(np.float64) * self.scale + self.mean)


@dataclass(frozen=True)
class TargetScaling:
    """Mean and scale of each output's targets.

    Attributes:
        mean: Of the training targets, in the user's units; of a forecast, of the features.
        scale: Their standard deviation; of constant targets, a thousandth of the constant. Of a
            forecast, the root of the mean square of how far they are from the last values.
        gain: Of a forecast, what one unit of an encoded feature is in units of the scaled targets;
            else empty.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    gain: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls, y: np.ndarray, x: np.ndarray | None = None, last: LastValues | None = None
    ) -> TargetScaling:
        """Returns the scaling of training targets.

        Args:
            y: float `[n, outputs]`.
            x: The encoded rows; needed with `last` alone.
            last: What a forecast goes on from.
        """
        if last is not None and x is not None:
            ahead = y.shape[1] // len(last.columns)
            mean, unit = np.tile(last.mean, ahead), np.tile(last.scale, ahead)
            scale = np.sqrt(np.square(y - np.tile(last(x), ahead)).mean(axis=0))
        else:
            mean = y.mean(axis=0, dtype=np.float64)
            scale = y.std(axis=0, dtype=np.float64)
        constant = scale <= _CONSTANT * np.abs(mean)
        # Small against the constant, so that a model that is not quite sure still answers it.
        scale[constant] = np.where(mean == 0, 1.0, 1e-3 * np.abs(mean))[constant]
        gain = () if last is None else tuple((unit / scale).tolist())
        return cls(tuple(mean.tolist()), tuple(scale.tolist()), gain)

    def to_dict(self) -> dict[str, list[float]]:
        """Returns `mean` and `scale`, JSON-able."""
        return {"mean": list(self.mean), "scale": list(self.scale)}

    @property
    def variance(self) -> float:
        """The average variance of the outputs: what turns a loss into the square of a unit."""
        return float(np.mean(np.square(self.scale)))

    @property
    def unit(self) -> float:
        """The average scale of the outputs: the size of an error that is no small one."""
        return float(np.mean(self.scale))

    @property
    def rounding(self) -> float:
        """How far float32 may round an answer."""
        # Last values are a few deviations of a feature from its mean.
        gain = 1.0 + 4 * np.asarray(self.gain or 0.0)
        sizes = np.abs(self.mean) + np.abs(self.scale) * gain
        return float(np.finfo(np.float32).eps * sizes.max())

    def scaled(self, y: np.ndarray) -> np.ndarray:
        """Returns targets as a model is trained on them, float32 `[n, outputs]`."""
        values = (np.asarray(y, np.float64) - self.mean) / self.scale
        return values.astype(np.float32)

    def loss(self, outputs: np.ndarray, y: np.ndarray) -> float:
        """Returns the mean squared error that training makes small, in the user's units.

        Of one output that is the mean squared error. Several outputs count alike, whatever their
        scales: each error is divided by its output's scale, and the average is multiplied by the
        average variance.

        Args:
            outputs: Answers in the user's units, `[n, outputs]`.
            y: Targets in the user's units.
        """
        wrong = (np.asarray(outputs, np.float64) - np.asarray(y, np.float64)) / self.scale
        return float(np.mean(np.square(wrong))) * self.variance

    def metric(self, name: str) -> keras.metrics.Metric:
        """Returns the mean absolute error in the user's units, of a model of scaled targets."""
        import keras

        scale = np.asarray(self.scale, np.float32)

        class InUnits(keras.metrics.MeanAbsoluteError):  # type: ignore[misc]
            def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
                return super().update_state(y_true * scale, y_pred * scale, sample_weight)

        return InUnits(name=name)

    def losses_in_units(self) -> keras.callbacks.Callback:
        """Returns a callback that has `loss` and `val_loss` in the user's units at epochs' ends.

        The factor is the same in every epoch, so the best one stays the best. Put it before
        whatever looks at them.
        """
        import keras

        factor = self.variance

        class InUnits(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
                for name in ("loss", "val_loss"):
                    if logs is not None and name in logs:
                        logs[name] *= factor

        return InUnits()

    # ------------------------------------------------------------------ the model

    def begun(self, model: keras.Model) -> None:
        """Has a model go on from last values as the targets that it is trained on are scaled."""
        path = _autoregression(model)
        if path is not None and self.gain:
            path.gain.assign(self.gain)

    def folded(self, model: keras.Model) -> keras.Model:
        """Returns a model of scaled targets as one that answers in the user's units.

        Args:
            model: Ends in a linear `Dense` layer, whose weights are changed, maybe with
                `layers.Autoregression` behind it; any other one gets a `Rescaling` layer.

        Raises:
            DataError: Its answers would be beyond float32.
        """
        head, path = _linear_head(model), _autoregression(model)
        if head is None:
            return self._rescaled(model)
        values = [_weights(layer) for layer in (head, path) if layer is not None]
        values = [[value * self.scale for value in one] for one in values]
        values[0][1] = values[0][1] + self.mean
        with np.errstate(over="ignore"):
            stored = [[np.asarray(value, np.float32) for value in one] for one in values]
        if not all(np.isfinite(value).all() for one in stored for value in one):
            raise DataError(
                "The targets are so large that the model's answers would be beyond float32. Give "
                "them in a larger unit."
            )
        head.set_weights(stored[0])
        if path is not None:
            path.set_weights(stored[1])
        return model

    def unfolded(self, model: keras.Model) -> keras.Model:
        """Returns the model that `folded` was given: one of scaled targets, to train it further."""
        import keras

        head, path = _linear_head(model), _autoregression(model)
        if head is not None:
            kernel, bias = _weights(head)
            head.set_weights([kernel / self.scale, (bias - self.mean) / self.scale])
            if path is not None:
                path.set_weights([value / self.scale for value in _weights(path)])
            return model
        last = model.layers[-1]
        assert isinstance(last, keras.layers.Rescaling)
        return keras.Model(model.input, last.input, name=model.name)

    def _rescaled(self, model: keras.Model) -> keras.Model:
        import keras

        names = {layer.name for layer in model.layers}
        name = next(name for name in ("answer", "answer_in_units") if name not in names)
        layer = keras.layers.Rescaling(list(self.scale), list(self.mean), name=name)
        return keras.Model(model.input, layer(model.output), name=model.name)


def _weights(layer: keras.layers.Layer) -> list[np.ndarray]:
    return [np.asarray(value, np.float64) for value in layer.get_weights()]


def _answers(layer: keras.layers.Layer, tensor: keras.KerasTensor) -> bool:
    """Whether a layer makes a tensor, and is called for that alone."""
    try:
        return layer.output is tensor
    except AttributeError:  # it is called several times
        return False


def _autoregression(model: keras.Model) -> Autoregression | None:
    """Returns the layer that adds last values to the answer; None without one."""
    from keras_rnn_zoo.layers import Autoregression

    last = model.layers[-1]
    ends = isinstance(last, Autoregression) and _answers(last, model.outputs[0])
    return last if ends else None


def _linear_head(model: keras.Model) -> keras.layers.Dense | None:
    """Returns the layer that makes the answer, if scale and offset can go into its weights."""
    import keras

    path = _autoregression(model)
    answer = model.outputs[0] if path is None else path.input[0]
    for layer in model.layers:
        if type(layer) is keras.layers.Dense and layer.use_bias and _answers(layer, answer):
            return layer if layer.activation is keras.activations.linear else None
    return None
