"""Targets of a regression: scaled for training, and scaled back inside the model.

A model starts with answers near 0 and Adam moves each weight by about the learning rate in a step:
targets around 100 are thousands of steps away, and the model never gets there. So targets are
standardized for training (mean 0, deviation 1 over the training rows, each output for itself), and
afterwards scale and offset are folded into the linear head, exactly but for float32 rounding:

    (x W + b) * scale + mean  =  x (W * scale) + (b * scale + mean)

The model that is kept, and every file made of it, answers in the user's units without further ops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import DataError

if TYPE_CHECKING:
    import keras

# What deviates less from its mean than this, as a share of it, is constant: float64 rounding.
_CONSTANT = 1e-9


@dataclass(frozen=True)
class TargetScaling:
    """Mean and scale of each output's targets.

    Attributes:
        mean: Of the training targets, in the user's units.
        scale: Their standard deviation; of constant targets, a thousandth of the constant.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, y: np.ndarray) -> TargetScaling:
        """Returns the scaling of training targets.

        Args:
            y: float `[n, outputs]`.
        """
        mean = y.mean(axis=0, dtype=np.float64)
        scale = y.std(axis=0, dtype=np.float64)
        constant = scale <= _CONSTANT * np.abs(mean)
        # Small against the constant, so that a model that is not quite sure still answers it.
        scale[constant] = np.where(mean == 0, 1.0, 1e-3 * np.abs(mean))[constant]
        return cls(tuple(mean.tolist()), tuple(scale.tolist()))

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
        sizes = np.abs(self.mean) + np.abs(self.scale)
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

    def folded(self, model: keras.Model) -> keras.Model:
        """Returns a model of scaled targets as one that answers in the user's units.

        Args:
            model: Ends in a linear `Dense` layer, whose weights are changed; any other one gets a
                `Rescaling` layer.

        Raises:
            DataError: Its answers would be beyond float32.
        """
        head = _linear_head(model)
        if head is None:
            return self._rescaled(model)
        kernel, bias = (np.asarray(value, np.float64) for value in head.get_weights())
        with np.errstate(over="ignore"):
            values = [
                np.asarray(kernel * self.scale, np.float32),
                np.asarray(bias * self.scale + self.mean, np.float32),
            ]
        if not all(np.isfinite(value).all() for value in values):
            raise DataError(
                "The targets are so large that the model's answers would be beyond float32. Give "
                "them in a larger unit."
            )
        head.set_weights(values)
        return model

    def unfolded(self, model: keras.Model) -> keras.Model:
        """Returns the model that `folded` was given: one of scaled targets, to train it further."""
        import keras

        head = _linear_head(model)
        if head is not None:
            kernel, bias = (np.asarray(value, np.float64) for value in head.get_weights())
            head.set_weights([kernel / self.scale, (bias - self.mean) / self.scale])
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


def _linear_head(model: keras.Model) -> keras.layers.Dense | None:
    """Returns the layer that makes the answer, if scale and offset can go into its weights."""
    import keras

    last = model.layers[-1]
    try:
        makes_the_answer = last.output is model.outputs[0]
    except AttributeError:  # it is called several times
        return None
    if not (makes_the_answer and type(last) is keras.layers.Dense and last.use_bias):
        return None
    return last if last.activation is keras.activations.linear else None
