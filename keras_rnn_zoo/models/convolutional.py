"""A convolution and a stride in front of a recurrence: long texts in few steps.

The convolution finds short phrases, the pooling takes the strongest of every few steps, and the
recurrence reads a quarter of the steps: C-LSTM (Zhou et al., "A C-LSTM neural network for text
classification", arXiv:1511.08630), with a maximum over time behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from keras_rnn_zoo.builder import POOLINGS, Field, ModelBuilder, common_fields, register_model
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.tasks import get_task

if TYPE_CHECKING:
    import keras
    import keras_tuner


class _Convolutional(ModelBuilder):
    """Conv1D (relu), max pooling, a recurrence over what is left, pooling, dropout, head.

    Masks: the convolution reads zeros where there is padding, and a pooled step counts where any of
    its steps does. So with `mask=True` a text that is padded on the right is answered as without
    its padding. On the left, that holds for padding by whole windows of `pool_size` steps; other
    padding there has other steps pooled together.
    """

    fields = (
        *common_fields(timesteps=400, embedding_dim=32, layers=1, pooling="max"),
        Field("filters", int, 64, "filters of the convolution", least=1),
        Field("kernel_size", int, 5, "time steps that the convolution sees at once", least=1),
        Field(
            "pool_size",
            int,
            4,
            "time steps that become one behind the convolution, by their maximum",
            least=1,
        ),
        Field("bidirectional", bool, True, "the recurrence reads in both directions"),
        Field(
            "causal",
            bool,
            False,
            "the convolution sees no step to come; with bidirectional=false and pooling=last the "
            "model can be run step by step",
        ),
    )
    at_each_step: ClassVar[Mapping[str, Any]] = {"pooling": "last", "pool_size": 1}
    layer: ClassVar[str]
    """Name of the recurrent layer in `keras.layers`."""
    any_length = True

    def __init__(self, **config: Any):
        super().__init__(**config)
        pool_size, task = self.config["pool_size"], get_task(self.config["task"])
        if pool_size > 1 and task.per_timestep:
            raise ConfigError(
                f"pool_size={pool_size} makes one time step of {pool_size}, and the task "
                f"'{task.name}' answers every one. Leave pool_size out, or set it to 1."
            )

    def recurrence(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Runs what the convolution finds through the recurrence."""
        from keras import layers

        from keras_rnn_zoo.layers import MaskedConv1D, MaskedMaxPooling1D

        config = self.config
        x = MaskedConv1D(
            config["filters"],
            config["kernel_size"],
            activation="relu",
            padding="causal" if config["causal"] else "same",
            data_format="channels_last",
        )(x)
        if config["pool_size"] > 1:
            x = MaskedMaxPooling1D(config["pool_size"])(x)
        for number in range(config["layers"]):
            last = number == config["layers"] - 1
            inner = getattr(layers, self.layer)(
                config["units"], return_sequences=self.per_timestep or not last
            )
            x = (layers.Bidirectional(inner) if config["bidirectional"] else inner)(x)
        return x

    def head(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the answer to what is left of the vector by dropout."""
        from keras import layers

        return super().head(layers.Dropout(self.config["dropout"])(x))

    def search_space(self, hp: keras_tuner.HyperParameters) -> dict[str, Any]:
        """Adds the convolution, the pooling, and what keeps it from learning by heart."""
        space = {
            **super().search_space(hp),
            "filters": hp.Choice("filters", [32, 64, 128], default=64),
            "kernel_size": hp.Choice("kernel_size", [3, 5, 7], default=5),
            "spatial_dropout": hp.Choice("spatial_dropout", [0.0, 0.2, 0.4], default=0.0),
        }
        if self.config["features"] is None:
            space["word_dropout"] = hp.Choice("word_dropout", [0.0, 0.1], default=0.0)
        if not get_task(self.config["task"]).per_timestep:
            space["pooling"] = hp.Choice("pooling", list(POOLINGS), default="max")
            space["pool_size"] = hp.Choice("pool_size", [2, 4, 8], default=4)
        return space


@register_model
class ConvGRU(_Convolutional):
    """Conv1D, max pooling, GRU, maximum over time, Dropout, head."""

    name = "conv_gru"
    description = "a convolution and max pooling, then a GRU in both directions, pooled over time"
    layer = "GRU"


@register_model
class ConvLSTM(_Convolutional):
    """Conv1D, max pooling, LSTM, maximum over time, Dropout, head."""

    name = "conv_lstm"
    description = "a convolution and max pooling, then an LSTM in both directions, pooled over time"
    layer = "LSTM"
