"""A model: a convolution in front of a GRU, for sensor data."""

from keras_rnn_zoo import ModelBuilder, common_fields, register_model


@register_model
class CausalConvGRU(ModelBuilder):
    """Conv1D, GRU, head."""

    name = "causal_conv_gru"
    description = "a convolution over 5 time steps, then a GRU"
    fields = common_fields(units=32, without=("mask",))

    def recurrence(self, x):
        """Runs the sequence through the convolution and the GRU."""
        from keras import layers

        x = layers.Conv1D(self.config["units"], 5, padding="causal", activation="relu")(x)
        return layers.GRU(self.config["units"], return_sequences=self.per_timestep)(x)
