"""Keras models that the zoo did not build, one for each thing that an export can meet.

What a single recurrent layer can be told is in `combinations`.

Their weights are wide and random: an untrained model answers the same whatever comes in, and
parity measured on it proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

TIMESTEPS = 9
VOCABULARY = 40
FEATURES = 5


# Name -> input of the models that are built to be put together.
_shared: dict[str, Any] = {}
_sharing = False


def _input(name: str, shape: tuple[int, ...], dtype: str = "float32") -> Any:
    import keras

    if not _sharing:
        return keras.Input(shape, dtype=dtype, name=name)
    if name not in _shared:
        _shared[name] = keras.Input(shape, dtype=dtype, name=name)
    return _shared[name]


def _tokens() -> tuple[Any, Any]:
    import keras

    inputs = _input("tokens", (TIMESTEPS,), "int32")
    return inputs, keras.layers.Embedding(VOCABULARY, 12, mask_zero=True)(inputs)


def _features(masked: bool = True) -> tuple[Any, Any]:
    import keras

    inputs = _input("sensor", (TIMESTEPS, FEATURES))
    return inputs, keras.layers.Masking()(inputs) if masked else inputs


def _classified(inputs: Any, x: Any) -> Any:
    import keras

    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))


def simple_rnn() -> Any:
    from keras import layers

    inputs, x = _tokens()
    return _classified(inputs, layers.SimpleRNN(8)(x))


def two_lstms() -> Any:
    from keras import layers

    inputs, x = _tokens()
    return _classified(inputs, layers.LSTM(8)(layers.LSTM(8, return_sequences=True)(x)))


def two_grus() -> Any:
    from keras import layers

    inputs, x = _tokens()
    return _classified(inputs, layers.GRU(8)(layers.GRU(8, return_sequences=True)(x)))


def without_bias() -> Any:
    from keras import layers

    inputs, x = _features()
    x = layers.LSTM(8, use_bias=False, return_sequences=True)(x)
    x = layers.GRU(8, use_bias=False, return_sequences=True)(x)
    return _classified(inputs, layers.SimpleRNN(8, use_bias=False)(x))


def bilstm() -> Any:
    from keras import layers

    inputs, x = _tokens()
    return _classified(inputs, layers.Bidirectional(layers.LSTM(8))(x))


def bigru_sequence_sum() -> Any:
    from keras import layers

    inputs, x = _features()
    x = layers.Bidirectional(layers.GRU(8, return_sequences=True), merge_mode="sum")(x)
    return _classified(inputs, x)


def stacked_cells() -> Any:
    from keras import layers

    inputs, x = _tokens()
    cells = [layers.LSTMCell(8), layers.GRUCell(6), layers.SimpleRNNCell(4)]
    return _classified(inputs, layers.RNN(cells, return_sequences=True, go_backwards=True)(x))


def cell_loop() -> Any:
    from keras import layers

    from keras_rnn_zoo.layers import CellLoop

    inputs, x = _tokens()
    return _classified(inputs, CellLoop([layers.LSTMCell(8), layers.GRUCell(6)])(x))


def encoder_decoder() -> Any:
    from keras import layers

    inputs, x = _tokens()
    _, hidden, carry = layers.LSTM(8, return_state=True)(x)
    x = layers.LSTM(8, return_sequences=True)(x, initial_state=[hidden, carry])
    return _classified(inputs, x)


def two_inputs_two_outputs() -> Any:
    import keras
    from keras import layers

    tokens, x = _tokens()
    sensor, y = _features()
    both = layers.Concatenate()([layers.GRU(8)(x), layers.LSTM(8)(y)])
    return keras.Model(
        {"tokens": tokens, "sensor": sensor},
        {
            "class": layers.Dense(3, activation="softmax", name="class")(both),
            "value": layers.Dense(2, name="value")(both),
        },
    )


def sequential_with_convolution() -> Any:
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((TIMESTEPS, FEATURES)),
            layers.Conv1D(8, 3, activation="relu"),
            layers.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="tanh"),
            layers.LayerNormalization(),
            layers.Bidirectional(layers.LSTM(6, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(4)),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )


def attention() -> Any:
    from keras import layers

    inputs, x = _features(masked=False)
    x = layers.LSTM(8, return_sequences=True)(x)
    return _classified(inputs, layers.MultiHeadAttention(2, 4)(x, x))


def nested_and_shared() -> Any:
    import keras
    from keras import layers

    inputs, x = _features(masked=False)
    inner = keras.Sequential(
        [keras.Input((TIMESTEPS, FEATURES)), layers.LSTM(FEATURES, return_sequences=True)]
    )
    return _classified(inputs, layers.GRU(6)(inner(inner(x))))


def time_distributed() -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((3, TIMESTEPS, FEATURES))
    return keras.Model(inputs, layers.TimeDistributed(layers.LSTM(5))(inputs))


def cell_of_ones_own() -> Any:
    import keras
    from keras import layers

    class Cell(layers.Layer):
        def __init__(self, units: int):
            super().__init__()
            self.units = self.state_size = self.output_size = units

        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], self.units))
            self.recurrent_kernel = self.add_weight(shape=(self.units, self.units))

        def call(self, inputs: Any, states: Any) -> Any:
            output = keras.ops.tanh(inputs @ self.kernel + states[0] @ self.recurrent_kernel)
            return output, [output]

    inputs, x = _tokens()
    return _classified(inputs, layers.RNN(Cell(7), return_sequences=True)(x))


ARCHITECTURES = {
    function.__name__: function
    for function in (
        simple_rnn,
        without_bias,
        bilstm,
        bigru_sequence_sum,
        stacked_cells,
        cell_loop,
        encoder_decoder,
        two_inputs_two_outputs,
        sequential_with_convolution,
        attention,
        nested_and_shared,
        time_distributed,
        cell_of_ones_own,
    )
}


# What may share a file. Of LSTMs whose states nobody sees; of the others.
TOGETHER = {"lstms": ("bilstm", "sequential_with_convolution", "attention", "time_distributed")}
TOGETHER["others"] = tuple(name for name in ARCHITECTURES if name not in TOGETHER["lstms"])


def build(name: str | Callable[[], Any]) -> Any:
    """Returns the architecture with wide random weights, the same each time.

    Args:
        name: One of `ARCHITECTURES`, or a function that makes another one.
    """
    return _widened(name() if callable(name) else ARCHITECTURES[name]())


def build_together(names: Iterable[str | Callable[[], Any]]) -> Any:
    """Returns architectures side by side in one model, with outputs named after them.

    They share the inputs of the same name, and nothing else.
    """
    import keras

    global _sharing
    _sharing = True
    inputs, outputs = [], {}
    try:
        for name in names:
            model = name() if callable(name) else ARCHITECTURES[name]()
            title = name.__name__ if callable(name) else name
            inputs += [tensor for tensor in model.inputs if not any(tensor is i for i in inputs)]
            for place, output in enumerate(model.outputs):
                outputs[f"{title}_{place}"] = output
    finally:
        _sharing = False
        _shared.clear()
    return _widened(keras.Model(inputs, outputs))


def _widened(model: Any) -> Any:
    generator = np.random.default_rng(7)
    model.set_weights(
        [generator.normal(scale=0.4, size=weight.shape) for weight in model.get_weights()]
    )
    return model


def inputs_for(model: Any) -> dict[str, np.ndarray]:
    """Real-looking inputs: every true length from 0 to T, holes, and padding on the left."""
    from keras_rnn_zoo.export.keras_model.model import KerasModel

    generator = np.random.default_rng(11)
    count = TIMESTEPS + 3
    samples = {}
    for spec in KerasModel(model).inputs:
        if spec.dtype == "int32":
            values = generator.integers(1, VOCABULARY, (count, TIMESTEPS))
        else:
            values = generator.normal(size=(count, *spec.shape[1:]))
        if values.shape[1] == TIMESTEPS:
            for length in range(TIMESTEPS + 1):
                values[length, length:] = 0
            values[TIMESTEPS + 1, 3:5] = 0
            values[TIMESTEPS + 2, :4] = 0
        samples[spec.name] = values.astype(spec.dtype)
    return samples
