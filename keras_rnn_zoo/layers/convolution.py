"""A convolution and a pooling over time that take and pass on a mask, as Keras' own do not."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnn_zoo.layers.sequence_pooling import lowered


@keras.saving.register_keras_serializable(package="keras_rnn_zoo")
class MaskedConv1D(keras.layers.Conv1D):  # type: ignore[misc]
    """A Conv1D that reads zeros where steps are masked, and answers zeros there.

    Zeros are what `padding="same"` puts beyond both ends, so a sequence that is padded on either
    side is answered, step by step, as without its padding. The mask is passed on.

    Args:
        *args: Of `keras.layers.Conv1D`.
        padding: `"same"`: as many steps come out as go in.
        **kwargs: Of `keras.layers.Conv1D`; steps are taken one by one, without strides.

    Raises:
        ValueError: Another padding, strides, or channels first.
    """

    def __init__(self, *args: Any, padding: str = "same", **kwargs: Any):
        super().__init__(*args, padding=padding, **kwargs)
        self.supports_masking = True
        if (self.padding, self.strides, self.data_format) != ("same", (1,), "channels_last"):
            raise ValueError(
                "MaskedConv1D keeps all steps: padding is 'same', strides are 1, and channels come "
                f"last. Received: padding={self.padding!r}, strides={self.strides!r}, "
                f"data_format={self.data_format!r}"
            )

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Convolves; see the class."""
        if mask is None:
            return super().call(inputs)
        real = ops.cast(ops.expand_dims(mask, -1), inputs.dtype)
        return super().call(inputs * real) * real


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
        missing = -sequences.shape[1] % self.pool_size
        if missing:
            # The last step, once more, changes no maximum of which it is a part.
            sequences = ops.concatenate([sequences, *[sequences[:, -1:]] * missing], axis=1)
        return ops.max_pool(
            sequences, self.pool_size, self.pool_size, "valid", data_format="channels_last"
        )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Returns which pooled steps hold one that counts."""
        if mask is None:
            return None
        timesteps = mask.shape[1]
        mask = ops.pad(mask, [[0, 0], [0, -timesteps % self.pool_size]])
        windows = ops.reshape(mask, (-1, -(-timesteps // self.pool_size), self.pool_size))
        return ops.any(windows, axis=2)

    def compute_output_shape(self, sequences_shape: Any) -> tuple[int | None, ...]:
        """Returns the shape of the output."""
        batch, timesteps, features = sequences_shape
        return batch, -(-timesteps // self.pool_size), features

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "pool_size": self.pool_size}
