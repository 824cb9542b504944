"""A convolution and a pooling over time that take and pass on a mask, as Keras' own do not."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnn_zoo.layers.sequence_pooling import lowered


@keras.saving.register_keras_serializable(package="keras_rnn_zoo")
class MaskedConv1D(keras.layers.Conv1D):  # type: ignore[misc]
    """A Conv1D that reads zeros where steps are masked, and answers zeros there.

    Zeros are what `padding="same"` puts beyond both ends, and `padding="causal"` before the first
    step, so a sequence that is padded on either side is answered, step by step, as without its
    padding. The mask is passed on.

    Args:
        *args: Of `keras.layers.Conv1D`.
        padding: `"same"` or, to see no step to come, `"causal"`: as many steps come out as go in.
        **kwargs: Of `keras.layers.Conv1D`; steps are taken one by one, without strides.

    Raises:
        ValueError: Another padding, strides, or channels first.
    """

    def __init__(self, *args: Any, padding: str = "same", **kwargs: Any):
        super().__init__(*args, padding=padding, **kwargs)
        self.supports_masking = True
        keeps = self.padding in ("same", "causal") and self.strides == (1,)
        if not keeps or self.data_format != "channels_last":
            raise ValueError(
                "MaskedConv1D keeps all steps: padding is 'same' or 'causal', strides are 1, and "
                f"channels come last. Received: padding={self.padding!r}, "
                f"strides={self.strides!r}, data_format={self.data_format!r}"
            )

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Convolves; see the class."""
        if mask is None:
            return super().call(inputs)
        real = ops.cast(ops.expand_dims(mask, -1), inputs.dtype)
        return super().call(inputs * real) * real


@keras.saving.register_keras_serializable(package="keras_rnn_zoo")
class PooledMask(keras.Operation):  # type: ignore[misc]
    """Says which windows of steps hold one that counts.

    A mask is part of a model's graph. Spelled out there, the operations would be for the number of
    time steps that the model was built with; this one takes any.

    Args:
        pool_size: Steps of a window.
        name: Of the operation.

    Call arguments:
        mask: bool `[batch, timesteps]`.

    Returns:
        bool `[batch, ceil(timesteps / pool_size)]`.
    """

    def __init__(self, pool_size: int, name: str | None = None):
        super().__init__(name=name)
        self.pool_size = pool_size

    def call(self, mask: Any) -> Any:
        """Pools; see the class."""
        timesteps = ops.shape(mask)[1]
        mask = ops.pad(mask, [[0, 0], [0, -timesteps % self.pool_size]])
        windows = ops.reshape(mask, (-1, -(-timesteps // self.pool_size), self.pool_size))
        return ops.any(windows, axis=2)

    def compute_output_spec(self, mask: Any) -> Any:
        """Returns shape and dtype of the output."""
        batch, timesteps = mask.shape
        return keras.KerasTensor((batch, -(-timesteps // self.pool_size)), dtype="bool")

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the operation."""
        return {"pool_size": self.pool_size, "name": self.name}


@keras.saving.register_keras_serializable(package="keras_rnn_zoo")
class MaskedMaxPooling1D(keras.layers.Layer):  # type: ignore[misc]
    """The maximum of every few steps; masked ones take no part.

    The steps are taken together from the first one on, and the last ones that fill no window have a
    smaller one. A pooled step is masked where all of its steps are: padding on the right changes
    nothing, and neither does padding on the left by whole windows.

    Args:
        pool_size: Steps that become one.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        sequences: float `[batch, timesteps, features]`, the time steps fixed.
        mask: bool `[batch, timesteps]`, true where a step counts.

    Returns:
        `[batch, ceil(timesteps / pool_size), features]`.

    Raises:
        ValueError: `pool_size` is below 1, or the number of time steps is open.
    """

    def __init__(self, pool_size: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        if pool_size < 1:
            raise ValueError(f"pool_size is at least 1. Received: pool_size={pool_size!r}")
        self.pool_size = pool_size
        self.supports_masking = True

    def build(self, sequences_shape: Any) -> None:
        """Refuses an open number of time steps."""
        if sequences_shape[1] is None:
            raise ValueError(
                f"Layer '{self.name}' pools a fixed number of time steps. Give the model's Input "
                f"one. Received: shape {tuple(sequences_shape)}"
            )
        self.built = True

    def call(self, sequences: Any, mask: Any = None) -> Any:
        """Pools; see the class."""
        if mask is not None:
            sequences = lowered(sequences, ops.expand_dims(mask, -1))
        timesteps, size = sequences.shape[1], self.pool_size
        # Where training leaves the number open, one too many at most: it fills no window.
        missing = size - 1 if timesteps is None else -timesteps % size
        if missing:
            # The last step, once more, changes no maximum of which it is a part.
            sequences = ops.concatenate([sequences, *[sequences[:, -1:]] * missing], axis=1)
        return ops.max_pool(
            sequences, self.pool_size, self.pool_size, "valid", data_format="channels_last"
        )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Returns which pooled steps hold one that counts."""
        # One operation, which in a graph counts the steps that there are then: see `PooledMask`.
        return None if mask is None else PooledMask(self.pool_size)(mask)

    def compute_output_shape(self, sequences_shape: Any) -> tuple[int | None, ...]:
        """Returns the shape of the output."""
        batch, timesteps, features = sequences_shape
        return batch, -(-timesteps // self.pool_size), features

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "pool_size": self.pool_size}
