"""Recurrent models that others published, rebuilt with their authors' choice of layers.

Full-size; only the losses, and the audio front end of the keyword spotters (framing, mel filters
and DCT, which hold no weights), are left out. Their trained weights are not here: random ones take
their place, wide enough that the answers depend on the inputs. These look like what each model was
made for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

FRAMES, COEFFICIENTS, KEYWORDS = 49, 20, 12
WINDOW = 64


class Published(NamedTuple):
    """A published model.

    Attributes:
        build: Returns it with random weights, the same each time.
        inputs: Takes a number of samples and returns as many, float32.
        timesteps: Size of axis 1 where the model leaves it open.
    """

    build: Callable[[], Any]
    inputs: Callable[[int], np.ndarray]
    timesteps: int | None = None


def captcha_ocr() -> Any:
    """Characters of a line of text, for CTC: "OCR model for reading Captchas".

    A_K_Nain, 2020, for Keras 3 by Sitam Meur, 2024. keras.io/examples/vision/captcha_ocr

    An image of 200 x 50, its width as the time; two convolutions of 3 x 3 with 32 and 64 filters,
    each with a pooling of 2 x 2; 50 steps of 768 features to 64; two bidirectional LSTMs of 128 and
    64 units; 19 characters, an unknown one and CTC's blank.
    """
    import keras
    from keras import layers

    image = keras.Input((200, 50, 1), name="image")
    x = image
    for filters in (32, 64):
        x = layers.Conv2D(filters, (3, 3), activation="relu", padding="same")(x)
        x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Reshape((200 // 4, 50 // 4 * 64))(x)
    x = layers.Dropout(0.2)(layers.Dense(64, activation="relu")(x))
    for units in (128, 64):
        recurrent = layers.LSTM(units, return_sequences=True, dropout=0.25)
        x = layers.Bidirectional(recurrent)(x)
    x = layers.Dense(19 + 2, activation="softmax")(x)
    return _weighted(keras.Model(image, x, name="captcha_ocr"))


def keyword_crnn() -> Any:
    """A spoken keyword: the `crnn` of "Streaming keyword spotting on mobile devices".

    Rybakov et al., 2020, arxiv.org/abs/2005.06720; google-research/google-research on GitHub,
    kws_streaming/models/crnn.py, set as in kws_streaming/experiments,
    kws_experiments_paper_12_labels.md.

    49 frames of 20 coefficients; convolutions of 3 x 3 and 5 x 3 with 16 filters, without padding;
    a GRU of 256 units; dense layers of 128 (linear), 256 (ReLU) and 12 labels, no softmax.
    """
    import keras
    from keras import layers

    features = keras.Input((FRAMES, COEFFICIENTS), name="features")
    x = keras.ops.expand_dims(features, -1)
    for size in ((3, 3), (5, 3)):
        x = layers.Conv2D(16, size, activation="relu")(x)
    x = layers.Reshape((-1, x.shape[2] * x.shape[3]))(x)
    x = keras.ops.expand_dims(layers.GRU(256)(x), 1)
    x = layers.Dropout(0.1)(layers.Flatten()(x))
    x = layers.Dense(128, activation="linear")(x)
    x = layers.Dense(256, activation="relu")(x)
    return _weighted(keras.Model(features, layers.Dense(KEYWORDS)(x), name="keyword_crnn"))


def keyword_attention() -> Any:
    """A spoken keyword: the `att_rnn` of the same paper and repository.

    kws_streaming/models/att_rnn.py, after de Andrade et al., 2018, arxiv.org/abs/1808.08929.

    Convolutions of 5 x 1 over time with 10 filters and 1, each with a batch normalization; two
    bidirectional GRUs of 128 units, unrolled by Keras; the step in the middle asks all steps for
    what matters (dot product, softmax); dense layers of 64 (ReLU), 32 (linear) and 12 labels.
    """
    import keras
    from keras import layers

    features = keras.Input((FRAMES, COEFFICIENTS), name="features")
    x = keras.ops.expand_dims(features, -1)
    for filters in (10, 1):
        x = layers.Conv2D(filters, (5, 1), activation="relu", padding="same")(x)
        x = layers.BatchNormalization()(x)
    x = layers.Reshape((-1, x.shape[2] * x.shape[3]))(x)
    for _ in range(2):
        x = layers.Bidirectional(layers.GRU(128, return_sequences=True, unroll=True))(x)
    query = layers.Dense(x.shape[-1])(x[:, x.shape[1] // 2, :])
    weights = layers.Softmax()(layers.Dot(axes=[1, 2])([query, x]))
    x = layers.Dropout(0.1)(layers.Dot(axes=[1, 1])([weights, x]))
    x = layers.Dense(64, activation="relu")(x)
    x = layers.Dense(32, activation="linear")(x)
    return _weighted(keras.Model(features, layers.Dense(KEYWORDS)(x), name="keyword_attention"))


def sunspots() -> Any:
    """The next month's sunspots: course "Sequences, Time Series and Prediction", week 4, lesson 5.

    Laurence Moroney, deeplearning.ai, 2019; lmoroney/dlaicourse on GitHub, "TensorFlow In
    Practice/Course 4 - S+P/S+P Week 4 Lesson 5.ipynb".

    Raw counts of 64 months, their number left open; a causal convolution of 5 months with 32
    filters; two LSTMs of 64 units; dense layers of 30, 10 and 1 at every step; times 400.
    """
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((None, 1), name="months"),
            layers.Conv1D(32, 5, strides=1, padding="causal", activation="relu"),
            layers.LSTM(64, return_sequences=True),
            layers.LSTM(64, return_sequences=True),
            layers.Dense(30, activation="relu"),
            layers.Dense(10, activation="relu"),
            layers.Dense(1),
            layers.Lambda(lambda x: x * 400),
        ],
        name="sunspots",
    )
    _weighted(model)
    # Counts go up to some hundred, and what the convolution makes of them must not saturate gates.
    convolution = model.layers[0]
    convolution.kernel.assign(convolution.kernel / 100)
    return model


def _weighted(model: Any) -> Any:
    """Gives the model random weights, the same each time, and returns it."""
    generator = np.random.default_rng(5)
    for weight in model.weights:
        if weight.path.endswith(("gamma", "moving_variance")):
            values = generator.uniform(0.5, 1.5, weight.shape)
        elif len(weight.shape) < 2 or weight.path.endswith("/bias"):
            values = generator.normal(scale=0.1, size=weight.shape)
        else:
            gain = 1 if weight.path.endswith("recurrent_kernel") else 1.5
            values = generator.normal(size=weight.shape) * gain * np.prod(weight.shape[:-1]) ** -0.5
        weight.assign(values)
    return model


def _images(count: int) -> np.ndarray:
    """Five dark glyphs of random strokes on bright paper, a line through them, some noise."""
    generator = np.random.default_rng(1)
    images = np.ones((count, 200, 50), np.float32)
    for image in images:
        for left in range(20, 160, 30):
            glyph = generator.integers(0, 2, (4, 5)).repeat(5, axis=0).repeat(6, axis=1)
            top = generator.integers(5, 15)
            image[left : left + 20, top : top + 30] -= 0.9 * glyph
        heights = np.linspace(*generator.uniform(5, 45, 2), 200).astype(int)
        image[np.arange(200), heights] = 0.2
    images += generator.normal(scale=0.03, size=images.shape)
    return images.clip(0, 1)[..., np.newaxis].astype(np.float32)


def _speech(count: int) -> np.ndarray:
    """Cepstra: loud in the middle of a quiet second, slowly changing, smaller the higher."""
    generator = np.random.default_rng(2)
    walks = generator.normal(size=(count, FRAMES, COEFFICIENTS)).cumsum(axis=1)
    walks -= walks.mean(axis=1, keepdims=True)
    times = np.arange(FRAMES)[:, np.newaxis]
    middle = generator.uniform(15, 35, (count, 1, 1))
    loudness = np.exp(-(((times - middle) / 8) ** 2))
    cepstra = walks * loudness / np.sqrt(1 + np.arange(COEFFICIENTS))
    cepstra[..., 0] += 6 * loudness[..., 0] - 4
    return cepstra.astype(np.float32)


def _months(count: int) -> np.ndarray:
    """Cycles of eleven years of different heights, never below zero, with noise."""
    generator = np.random.default_rng(3)
    months = np.arange(WINDOW) + generator.uniform(0, 1500, (count, 1))
    heights = generator.uniform(60, 220, (count, 1))
    cycles = heights * np.sin(np.pi * months / 132) ** 2
    noise = generator.normal(scale=0.15, size=cycles.shape) * (cycles + 10)
    return (cycles + noise).clip(min=0)[..., np.newaxis].astype(np.float32)


PUBLISHED = {
    "captcha_ocr": Published(captcha_ocr, _images),
    "keyword_crnn": Published(keyword_crnn, _speech),
    "keyword_attention": Published(keyword_attention, _speech),
    "sunspots": Published(sunspots, _months, WINDOW),
}
