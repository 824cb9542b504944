"""Words that are not seen while a model is trained."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rnn_zoo")
class WordDropout(keras.layers.Layer):  # type: ignore[misc]
    """Replaces token ids by that of unknown words while training, and does nothing otherwise.

    What a model learns then hangs less on single words, and the embedding of unknown words is
    trained as well (after Iyyer et al., "Deep unordered composition rivals syntactic methods for
    text classification", ACL 2015, which drops the words). Padding stays padding.

    Args:
        rate: Part of the ids that are replaced, drawn anew for each text and step.
        unknown_id: What they become.
        seed: Of the random choice.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        tokens: Whole numbers `[batch, timesteps]`; 0 is padding.
        training: Whether ids are replaced.

    Returns:
        Such numbers of the same shape and dtype.

    Raises:
        ValueError: The rate is not from 0 to below 1.
    """

    def __init__(self, rate: float, unknown_id: int = 1, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate is at least 0 and below 1. Received: rate={rate!r}")
        self.rate, self.unknown_id, self.seed = rate, unknown_id, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        """Replaces some ids; see the class."""
        if not training:
            return tokens
        chance = keras.random.uniform(ops.shape(tokens), seed=self.seed_generator)
        dropped = ops.logical_and(chance < self.rate, tokens != 0)
        return ops.where(dropped, ops.cast(self.unknown_id, tokens.dtype), tokens)

    def compute_output_shape(self, tokens_shape: Any) -> Any:
        """Returns the shape of the output: that of the input."""
        return tokens_shape

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        own = {"rate": self.rate, "unknown_id": self.unknown_id, "seed": self.seed}
        return {**super().get_config(), **own}
