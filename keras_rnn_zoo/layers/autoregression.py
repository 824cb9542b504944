"""A forecast from the last values: what a recurrence reads of a series, and what it adds to them.

A series that grows leaves the range that a model was trained on, and a recurrence, whose gates
saturate there, answers what it has seen. So it reads how far each step is from the last one, and
answers how far the future will be from it (after Zeng et al., "Are transformers effective for time
series forecasting?", arXiv:2205.13504, the model NLinear). Beside it lies a linear path from the
steps to the answer, the autoregressive highway of LSTNet (Lai et al., "Modeling long- and
short-term temporal patterns with deep neural networks", arXiv:1703.07015): most of what can be
known of a season is linear, and found in few steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rnn_zoo")
class Changes(keras.layers.Layer):  # type: ignore[misc]
    """Takes the last step from every step; masked steps are zeros, and are not the last.

    Call arguments:
        sequences: float `[batch, timesteps, features]`.
        mask: bool `[batch, timesteps]`, true where a step counts.

    Returns:
        `[batch, timesteps, features]`, with the mask of `sequences`.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, sequences: Any, mask: Any = None) -> Any:
        """Subtracts; see the class."""
        return changes(sequences, last_step(sequences, mask), mask)

    def compute_output_shape(self, sequences_shape: Any) -> Any:
        """Returns the shape of the output, which is that of the input."""
        return sequences_shape


@keras.saving.register_keras_serializable(package="keras_rnn_zoo")
class Autoregression(keras.layers.Layer):  # type: ignore[misc]
    """Adds to an answer what the last steps say of it: their last values, and a linear path.

    ```
    answer + gain * last values + changes of the last values @ kernel
    ```

    Fresh, the kernel is zero and the gain is 1. The gain is not trained: it is what one unit of a
    feature is in units of the answer, which the data say; see `training.scaling`.

    Args:
        columns: Which features are forecast, in the order in which the answer has them at each
            step ahead.
        masked: A step of zeros is padding, as for `keras.layers.Masking`.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        answer: float `[batch, steps ahead * columns]`.
        sequences: float `[batch, timesteps, features]`: what the model is given.

    Returns:
        Like `answer`.

    Raises:
        ValueError: The answer does not have as many values for each column.
    """

    def __init__(self, columns: Sequence[int], masked: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.columns = tuple(columns)
        self.masked = masked

    def build(self, answer_shape: Any, sequences_shape: Any) -> None:
        """Makes the kernel of the linear path, and the gain."""
        outputs, columns = answer_shape[-1], len(self.columns)
        if outputs % columns:
            raise ValueError(
                f"Autoregression forecasts {columns} columns, and the answer has {outputs} values, "
                f"which is no multiple of that."
            )
        self.kernel = self.add_weight(
            shape=(sequences_shape[1] * columns, outputs), initializer="zeros", name="kernel"
        )
        self.gain = self.add_weight(
            shape=(outputs,), initializer="ones", trainable=False, name="gain"
        )
        self.built = True

    def call(self, answer: Any, sequences: Any) -> Any:
        """Adds; see the class."""
        mask = ops.any(ops.not_equal(sequences, 0), axis=-1) if self.masked else None
        steps, features = sequences.shape[1:]
        if self.columns != tuple(range(features)):
            # Slices: devices lack ops that gather.
            parts = [sequences[:, :, column : column + 1] for column in self.columns]
            sequences = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)
        last = last_step(sequences, mask)
        path = ops.reshape(changes(sequences, last, mask), (-1, steps * len(self.columns)))
        ahead = answer.shape[-1] // len(self.columns)
        again = last if ahead == 1 else ops.concatenate([last] * ahead, axis=-1)
        return answer + ops.matmul(path, self.kernel) + again * self.gain

    def compute_output_shape(self, answer_shape: Any, sequences_shape: Any) -> Any:
        """Returns the shape of the output, which is that of the answer."""
        return answer_shape

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "columns": list(self.columns), "masked": self.masked}


def last_step(sequences: Any, mask: Any = None) -> Any:
    """Returns the last step that counts, `[batch, features]`; zeros where none does."""
    if mask is None:
        return sequences[:, -1, :]
    numbers = ops.cast(ops.arange(1, sequences.shape[1] + 1), sequences.dtype)
    numbers = numbers * ops.cast(mask, sequences.dtype)
    # Where no step counts all are taken, and all are zeros.
    taken = ops.equal(numbers, ops.max(numbers, axis=1, keepdims=True))
    return ops.sum(sequences * ops.expand_dims(ops.cast(taken, sequences.dtype), -1), axis=1)


def changes(sequences: Any, last: Any, mask: Any = None) -> Any:
    """Returns how far each step is from the last one; masked steps are zeros."""
    found = sequences - ops.expand_dims(last, 1)
    return found if mask is None else found * ops.expand_dims(ops.cast(mask, found.dtype), -1)
