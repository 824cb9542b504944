"""Bidirectional recurrences (Schuster and Paliwal, 1997): LSTM and GRU."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from keras_rnn_zoo.builder import ModelBuilder, common_fields, register_model

if TYPE_CHECKING:
    import keras


class _Bidirectional(ModelBuilder):
    """Reads the sequence in both directions; dropout on what the head reads."""

    fields = common_fields(timesteps=200, embedding_dim=128, layers=1)
    layer: ClassVar[str]
    any_length = True

    def recurrence(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Runs the sequence through both directions and concatenates what they found."""
        from keras import layers

        layer = getattr(layers, self.layer)
        for number in range(self.config["layers"]):
            last = number == self.config["layers"] - 1
            inner = layer(self.config["units"], return_sequences=self.per_timestep or not last)
            x = layers.Bidirectional(inner)(x)
        return x

    def head(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the answer to what is left of the vector, or of each step, by dropout."""
        from keras import layers

        return super().head(layers.Dropout(self.config["dropout"])(x))


@register_model
class BiLSTM(_Bidirectional):
    """Bidirectional(LSTM), Dropout, head."""

    name = "bilstm"
    description = "LSTM in both directions, dropout before the head"
    layer = "LSTM"


@register_model
class BiGRU(_Bidirectional):
    """Bidirectional(GRU), Dropout, head."""

    name = "bigru"
    description = "GRU in both directions, dropout before the head"
    layer = "GRU"
