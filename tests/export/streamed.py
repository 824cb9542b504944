"""Recurrent models that others published or reported, as they run on streams.

Rebuilt with their authors' choice of layers and sizes; what is left out or stands for something
else is said. Their trained weights are not here: random ones take their place, wide enough that the
answers depend on the inputs, small enough that no state grows without end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

WORDS, TAGS = 500, 12


class Streamed(NamedTuple):
    """A model that is run on streams.

    Attributes:
        build: Returns it with random weights, the same each time.
        inputs: Takes a number of sequences and one of time steps; returns name -> inputs.
    """

    build: Callable[[], Any]
    inputs: Callable[[int, int], dict[str, np.ndarray]]


def keyword_spotter() -> Any:
    """A convolution in front of two GRUs, at each step which keyword was just said.

    Arik et al., "Convolutional recurrent neural networks for small-footprint keyword spotting",
    arXiv:1703.05390: 40 features, a convolution over 20 frames with a stride of 8, two GRUs of 32,
    a dense layer of 64. There the convolution also runs over frequencies, and the GRUs in both
    directions; here both look back only, as in Rybakov et al., "Streaming keyword spotting on
    mobile devices", arXiv:2005.06720, whose strides are 2.
    """
    import keras
    from keras import layers

    frames = keras.Input((None, 40), name="frames")
    x = layers.Conv1D(32, 20, strides=2, padding="causal")(frames)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GRU(32, return_sequences=True)(x)
    x = layers.GRU(32, return_sequences=True)(x)
    x = layers.Dropout(0.2)(layers.Dense(64, activation="relu")(x))
    return _weighted(keras.Model(frames, layers.Dense(12, activation="softmax", name="word")(x)))


def noise_suppression() -> Any:
    """Gains of 22 bands and whether somebody speaks: RNNoise.

    Valin, "A hybrid DSP/deep learning approach to real-time full-band speech enhancement",
    arXiv:1709.08243, and `training/rnn_train.py` of its code: dense 24, GRUs of 24, 48 and 96.
    """
    import keras
    from keras import layers

    features = keras.Input((None, 42), name="features")
    dense = layers.Dense(24, activation="tanh", name="input_dense")(features)
    voice = layers.GRU(24, reset_after=False, return_sequences=True, name="vad_gru")(dense)
    speech = layers.Dense(1, activation="sigmoid", name="vad_output")(voice)
    x = layers.Concatenate()([dense, voice, features])
    # With relu, as there; over random weights it would grow without end, so they are small.
    noise = layers.GRU(
        48, activation="relu", reset_after=False, return_sequences=True, name="noise_gru"
    )(x)
    x = layers.Concatenate()([voice, noise, features])
    x = layers.GRU(96, reset_after=False, return_sequences=True, name="denoise_gru")(x)
    gains = layers.Dense(22, activation="sigmoid", name="denoise_output")(x)
    return _weighted(keras.Model(features, [gains, speech]), gain=0.5)


def speech_enhancement() -> Any:
    """Two masks, one behind the other, each of two LSTMs that hand on their states: DTLN.

    Westhausen and Meyer, "Dual-signal transformation LSTM network for real-time noise suppression",
    arXiv:2005.07551: a mask on 257 magnitudes, then one on 256 features of a frame of 512 samples
    that a convolution of width 1 learns, normalized frame by frame; LSTMs of 128. The transform
    back to samples between both is left out: the second stage is given the frame. Half of all
    sizes.
    """
    import keras
    from keras import layers

    magnitudes = keras.Input((None, 129), name="magnitudes")
    frame = keras.Input((None, 256), name="frame")
    x = magnitudes
    for number in (1, 2):
        x, *_ = layers.LSTM(64, return_sequences=True, return_state=True, name=f"first_{number}")(x)
    mask = layers.Dense(129, activation="sigmoid")(x)
    enhanced = layers.Multiply(name="magnitudes_out")([magnitudes, mask])
    encoded = layers.Conv1D(128, 1, use_bias=False)(frame)
    # Stands for what the frame would be made of: the first mask, brought to its size.
    encoded = layers.Multiply()([encoded, layers.Dense(128, activation="sigmoid")(mask)])
    x = layers.LayerNormalization(epsilon=1e-7)(encoded)
    for number in (1, 2):
        x, h, c = layers.LSTM(
            64, return_sequences=True, return_state=True, name=f"second_{number}"
        )(x)
    x = layers.Multiply()([encoded, layers.Dense(128, activation="sigmoid")(x)])
    out = layers.Conv1D(256, 1, padding="causal", use_bias=False, name="frame_out")(x)
    outputs = {"magnitudes_out": enhanced, "frame_out": out, "last_h": h, "last_c": c}
    return _weighted(keras.Model([magnitudes, frame], outputs))


def tagger() -> Any:
    """A tag for each word as it is read, words that are padding left out.

    The LSTM tagger of Huang, Xu and Yu, "Bidirectional LSTM-CRF models for sequence tagging",
    arXiv:1508.01991, in one direction and without the CRF.
    """
    import keras
    from keras import layers

    words = keras.Input((None,), dtype="int32", name="words")
    x = layers.Embedding(WORDS, 50, mask_zero=True)(words)
    x = layers.LSTM(64, return_sequences=True)(layers.SpatialDropout1D(0.1)(x))
    tags = layers.TimeDistributed(layers.Dense(TAGS, activation="softmax"), name="tags")(x)
    return _weighted(keras.Model(words, tags))


def feedback_forecaster() -> Any:
    """A forecast that reads the one before beside each new reading.

    The autoregressive LSTM of TensorFlow's tutorial "Time series forecasting" (`FeedBack`), whose
    cell reads its own last answer; here at every step, beside what is known by then.
    """
    import keras
    from keras import layers

    cell = _feedback_cell()(32, 3)
    readings = keras.Input((None, 19), name="readings")
    forecast = layers.RNN(cell, return_sequences=True, name="forecast")(readings)
    return _weighted(keras.Model(readings, forecast))


def residual_stack() -> Any:
    """Dilated causal convolutions and LSTMs, each with a path around it.

    The temporal blocks of Bai, Kolter and Koltun, arXiv:1803.01271, under the residual LSTMs of Wu
    et al., "Google's neural machine translation system", arXiv:1609.08144.
    """
    import keras
    from keras import layers

    readings = keras.Input((None, 9), name="readings")
    x = layers.Dense(32)(readings)
    for dilation in (1, 2, 4):
        y = layers.Conv1D(32, 3, dilation_rate=dilation, padding="causal", activation="relu")(x)
        x = layers.Add()([x, layers.LayerNormalization()(y)])
    for _ in range(3):
        x = layers.Add()([x, layers.LSTM(32, return_sequences=True)(x)])
    x = layers.AveragePooling1D(4, strides=1)(layers.ZeroPadding1D((3, 0))(x))
    return _weighted(
        keras.Model(readings, layers.Dense(6, activation="softmax", name="activity")(x))
    )


def _feedback_cell() -> Any:
    import keras

    @keras.saving.register_keras_serializable(package="tests")
    class FeedbackCell(keras.layers.Layer):
        """An LSTM cell that reads its own last answer, too."""

        def __init__(self, units: int, answers: int, **kwargs: Any):
            super().__init__(**kwargs)
            self.inner = keras.layers.LSTMCell(units)
            self.answer = keras.layers.Dense(answers)
            self.state_size = [units, units, answers]
            self.output_size = answers

        def build(self, shape: Any) -> None:
            self.inner.build((shape[0], shape[-1] + self.output_size))
            self.answer.build((shape[0], self.state_size[0]))

        def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
            h, c, last = states
            together = keras.ops.concatenate([inputs, last], axis=-1)
            output, (h, c) = self.inner(together, [h, c], training=training)
            answer = self.answer(output)
            return answer, [h, c, answer]

    return FeedbackCell


def _weighted(model: Any, gain: float = 1.0) -> Any:
    """Gives the model random weights, the same each time, and returns it."""
    generator = np.random.default_rng(5)
    for weight in model.weights:
        if weight.path.endswith(("gamma", "moving_variance")):
            values = generator.uniform(0.5, 1.5, weight.shape)
        elif len(weight.shape) < 2 or weight.path.endswith("/bias"):
            values = generator.normal(scale=0.1, size=weight.shape)
        else:
            values = generator.normal(size=weight.shape) * gain * np.prod(weight.shape[:-1]) ** -0.5
        weight.assign(values)
    return model


def _walks(features: int, seed: int) -> Callable[[int, int], np.ndarray]:
    """Readings that follow each other: half of each is the one before."""

    def make(count: int, steps: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        values = generator.normal(size=(count, steps, features))
        for step in range(1, steps):
            values[:, step] = 0.5 * values[:, step - 1] + 0.85 * values[:, step]
        return values.astype(np.float32)

    return make


def _named(
    **parts: Callable[[int, int], np.ndarray],
) -> Callable[[int, int], dict[str, np.ndarray]]:
    return lambda count, steps: {name: make(count, steps) for name, make in parts.items()}


def _texts(count: int, steps: int) -> np.ndarray:
    """Words, the frequent ones first, with padding in between now and then."""
    generator = np.random.default_rng(4)
    words = np.minimum(generator.zipf(1.4, (count, steps)), WORDS - 1)
    return np.where(generator.random((count, steps)) < 0.05, 0, words).astype(np.int32)


STREAMED = {
    "keyword_spotter": Streamed(keyword_spotter, _named(frames=_walks(40, 1))),
    "noise_suppression": Streamed(noise_suppression, _named(features=_walks(42, 2))),
    "speech_enhancement": Streamed(
        speech_enhancement,
        _named(
            magnitudes=lambda count, steps: np.abs(_walks(129, 3)(count, steps)),
            frame=_walks(256, 6),
        ),
    ),
    "tagger": Streamed(tagger, _named(words=_texts)),
    "feedback_forecaster": Streamed(feedback_forecaster, _named(readings=_walks(19, 7))),
    "residual_stack": Streamed(residual_stack, _named(readings=_walks(9, 8))),
}
