"""One vector of a whole sequence: its maximum, its mean, or a mean whose weights are learned."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

KINDS = ("max", "mean", "attention")


@keras.saving.register_keras_serializable(package="keras_rnn_zoo")
class SequencePooling(keras.layers.Layer):  # type: ignore[misc]
    """Pools the time steps of a sequence; masked steps take no part.

    A padded sequence gives what the same one gives without its padding, and one whose steps are all
    masked gives zeros. (`keras.layers.GlobalMaxPooling1D` knows no mask, and
    `GlobalAveragePooling1D` divides by zero where all steps are masked.)

    `"attention"` weighs each step by the softmax, over the steps, of its product with a vector that
    is learned: one query for all sequences (after Raffel and Ellis, "Feed-forward networks with
    attention can solve some long-term memory problems", arXiv:1512.08756).

    Args:
        how: `"max"`, `"mean"` or `"attention"`.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        sequences: float `[batch, timesteps, features]`.
        mask: bool `[batch, timesteps]`, true where a step counts.

    Returns:
        `[batch, features]`.

    Raises:
        ValueError: There is no such way to pool.
    """

    def __init__(self, how: str = "max", **kwargs: Any):
        super().__init__(**kwargs)
        if how not in KINDS:
            raise ValueError(f"SequencePooling pools by {', '.join(KINDS)}. Received: how={how!r}")
        self.how = how
        self.supports_masking = True

    def build(self, sequences_shape: Any) -> None:
        """Makes the query of `"attention"`."""
        if self.how == "attention":
            # No bias: a softmax is the same for scores that are all larger by as much.
            self.query = self.add_weight(
                shape=(sequences_shape[-1], 1), initializer="glorot_uniform", name="query"
            )
        self.built = True

    def call(self, sequences: Any, mask: Any = None) -> Any:
        """Pools; see the class."""
        if mask is None:
            if self.how == "max":
                return ops.max(sequences, axis=1)
            if self.how == "mean":
                return ops.mean(sequences, axis=1)
            weights = ops.softmax(ops.matmul(sequences, self.query), axis=1)
            return ops.sum(sequences * weights, axis=1)
        mask = ops.expand_dims(mask, -1)
        real = ops.cast(mask, sequences.dtype)
        if self.how == "max":
            largest = ops.max(lowered(sequences, mask), axis=1)
            return ops.where(ops.any(mask, axis=1), largest, ops.zeros_like(largest))
        if self.how == "mean":
            return ops.sum(sequences * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1)
        scores = lowered(ops.matmul(sequences, self.query), mask)
        weights = ops.exp(scores - ops.max(scores, axis=1, keepdims=True)) * real
        # The largest score has the weight 1, so that 1 changes a sum of none alone.
        total = ops.maximum(ops.sum(weights, axis=1), 1)
        return ops.sum(sequences * weights, axis=1) / total

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns None: there are no time steps left."""
        return None

    def compute_output_shape(self, sequences_shape: Any) -> tuple[int | None, ...]:
        """Returns the shape of the output."""
        return (sequences_shape[0], sequences_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "how": self.how}


def lowered(sequences: Any, mask: Any) -> Any:
    """Returns sequences whose masked steps are no larger than any that counts.

    They get the least value that there is, not a large negative number: quantized values, too, have
    to tell the real ones apart.

    Args:
        sequences: `[batch, timesteps, features]`.
        mask: bool `[batch, timesteps, 1]`.
    """
    return ops.where(mask, sequences, ops.min(sequences, axis=1, keepdims=True))
