"""Small bundles of every kind, for the tests of what an app needs."""

from __future__ import annotations

import importlib.util
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.export.bundle.bundle import Bundle
from keras_rnn_zoo.export.bundle.write import export_bundle
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.training.run import write_run

TEXTS = ["A wonderful, moving film!", "a moving story", "A DULL film", "boring, c'est la vie"] * 4
SETTINGS: dict[str, Any] = {"padding": "post", "truncating": "pre"}


def model(preprocessor: Preprocessor, layer: str = "GRU", mask: bool = True):
    """An untrained model whose answers are far apart."""
    import keras

    keras.utils.set_random_seed(3)
    wide = keras.initializers.RandomNormal(stddev=3.0, seed=1)
    per_step = preprocessor.task == "sequence_labelling"
    if preprocessor.kind == "features":
        inputs = keras.Input((preprocessor.timesteps, preprocessor.features), name="series")
        x = keras.layers.Masking()(inputs) if mask else inputs
    else:
        inputs = keras.Input((preprocessor.timesteps,), dtype="int32", name="tokens")
        size = preprocessor.vocabulary_size
        x = keras.layers.Embedding(size, 5, mask_zero=mask, embeddings_initializer=wide)(inputs)
    x = getattr(keras.layers, layer)(4, return_sequences=per_step)(x)
    activation = {"binary": "sigmoid", "multilabel": "sigmoid", "regression": None}.get(
        preprocessor.task, "softmax"
    )
    head = keras.layers.Dense(
        preprocessor.outputs, activation=activation, kernel_initializer=wide, name="answer"
    )
    return keras.Model(inputs, head(x), name="small")


def bundle_of(
    directory: Path, dataset: Dataset, settings: dict[str, Any], mask: bool = True, **options
) -> Bundle:
    """Exports an untrained model for a data set."""
    rows = len(dataset.train)
    fitted = Preprocessor.fit(dataset, **{**SETTINGS, **settings})
    x, y = fitted.encode_inputs(dataset.train.x), fitted.encode_labels(*_labels(dataset))
    (directory / "run").mkdir(parents=True)
    write_run(
        directory / "run",
        **{
            "model": model(fitted, "GRU" if mask else "LSTM", mask),
            "builder": SimpleNamespace(name="gru", schema_version=1, config={"units": 4}),
            "preprocessor": fitted,
            "history": {"loss": [0.5]},
            "metrics": {"test_accuracy": 0.5},
            "hyperparameters": {"epochs": 1},
            "data": {"name": dataset.name, "rows": {"train": rows}},
            "provenance": {"command": "train gru"},
            "samples": {"x": x, "y": y, "x_test": x[:6], "y_test": y[:6]},
        },
    )
    options = {"format": ("tflite",), "quantization": ("none",), "samples_count": 6, **options}
    return export_bundle(directory / "run", directory / "bundle", **options)


def _labels(dataset: Dataset) -> tuple[Any, Any]:
    return dataset.train.y, dataset.train.x


def texts(directory: Path, timesteps: int = 5, **options) -> Bundle:
    labels = ["good", "good", "bad", "bad"] * 4
    dataset = Dataset("films", "text", Split(TEXTS, labels))
    options = {"quantization": ("none", "int8"), **options}
    return bundle_of(directory, dataset, {"timesteps": timesteps}, **options)


def spelled(directory: Path, timesteps: int = 5, **options) -> Bundle:
    """Texts whose words are looked up as they are written."""
    labels = ["good", "good", "bad", "bad"] * 4
    texts = [TEXTS[0], "McQueen's MOVING story", *TEXTS[2:4]] * 4
    settings = {"timesteps": timesteps, "truncating": "post", "tokenizer": "cased_words"}
    return bundle_of(
        directory, Dataset("films", "text", Split(texts, labels)), settings, mask=False, **options
    )


def scripts(directory: Path, tokenizer: str) -> Bundle:
    """Texts of several scripts, and what is between words."""
    labels = ["good", "good", "bad", "bad"] * 4
    texts = [
        "A wonderful फ़िल्म, e\u0301te\u0301 İstanbul!",
        "หนังดี 素晴らしい story 👨\u200d👩\u200d👧 👍🏽 3.14",
        "A DULL film 🇩🇪❤\ufe0f οδός",
        "boring, c’est la vie: 1,000.50 재미",
    ]
    dataset = Dataset("films", "text", Split(texts * 4, labels))
    return bundle_of(directory, dataset, {"timesteps": 9, "tokenizer": tokenizer})


def vocabulary_file(bundle: Bundle) -> Path:
    """What an app reads."""
    known = bundle.path / "app" / "spellings.txt"
    return known if known.exists() else bundle.path / "vocab.txt"


def series(count: int = 12, steps: int = 9, features: int = 2) -> np.ndarray:
    x = np.random.default_rng(0).normal(3, 2, (count, steps, features)).astype("float32")
    x[::3, steps // 2 :] = 0
    x[1, 1] = 0  # in the middle: no padding
    return x


def sensors(directory: Path, settings: dict[str, Any] | None = None, **options) -> Bundle:
    labels = ["walk", 'sit "still" $x <b>\\', "run – été"] * 4
    dataset = Dataset("sensors", "features", Split(series(), labels))
    return bundle_of(directory, dataset, settings or {}, **options)


def padded(directory: Path, settings: dict[str, Any] | None = None, **options) -> Bundle:
    """Sensors whose short sequences begin in steps of -1."""
    x = series()
    x[::3, :4] = -1
    dataset = Dataset("sensors", "features", Split(x, ["a", "b", "c"] * 4), padding_value=-1.0)
    return bundle_of(directory, dataset, {"padding": "pre", **(settings or {})}, **options)


def regression(directory: Path) -> Bundle:
    y = np.random.default_rng(1).normal(0, 5, (12, 2)).astype("float32")
    dataset = Dataset("sensors", "features", Split(series(), y))
    return bundle_of(directory, dataset, {"timesteps": 6, "padding": "pre", "truncating": "post"})


def sounds(directory: Path) -> Bundle:
    """Any number of labels at once."""
    labels = [["rain"], ["rain", 'a "bark"'], [], ["wind", "rain"]] * 3
    dataset = Dataset("sounds", "features", Split(series(), labels), task="multilabel")
    return bundle_of(directory, dataset, {"timesteps": 6}, quantization=("none", "int8"))


def tags(directory: Path, **options) -> Bundle:
    generator = np.random.default_rng(2)
    rows = [generator.integers(1, 9, n).tolist() for n in generator.integers(2, 9, 16)]
    labels = [["odd" if i % 2 else "even" for i in row] for row in rows]
    dataset = Dataset("tags", "tokens", Split(rows, labels))
    return bundle_of(directory, dataset, {"timesteps": 6}, **options)


def several(directory: Path) -> Bundle:
    """A bare `.keras` file with two inputs and two outputs."""
    import keras

    keras.utils.set_random_seed(0)
    left = keras.Input((5, 2), name="left")
    right = keras.Input((4,), dtype="int32", name="right")
    embedded = keras.layers.Embedding(9, 4, mask_zero=True)(right)
    x = keras.layers.Concatenate()([keras.layers.LSTM(3)(left), keras.layers.GRU(3)(embedded)])
    heads = {name: keras.layers.Dense(2, name=name)(x) for name in ("first", "second")}
    directory.mkdir(parents=True, exist_ok=True)
    keras.Model([left, right], heads, name="pair").save(directory / "pair.keras")
    return export_bundle(
        directory / "pair.keras",
        directory / "bundle",
        format=("tflite",),
        quantization=("none",),
        samples_count=4,
    )


def pair(directory: Path) -> Bundle:
    """A bare `.keras` file with two inputs whose steps come together, and an output for each."""
    import keras

    keras.utils.set_random_seed(0)
    left = keras.Input((6, 2), name="left")
    right = keras.Input((6,), dtype="int32", name="right")
    x = keras.layers.Concatenate()([left, keras.layers.Embedding(9, 4)(right)])
    steps = keras.layers.GRU(3, return_sequences=True, name="gru")(x)
    heads = {
        "each": keras.layers.Dense(2, name="each")(steps),
        "last": keras.layers.Dense(2, name="last")(keras.layers.LSTM(3, name="lstm")(steps)),
    }
    directory.mkdir(parents=True, exist_ok=True)
    keras.Model([left, right], heads, name="pair").save(directory / "pair.keras")
    return export_bundle(
        directory / "pair.keras",
        directory / "bundle",
        format=("tflite",),
        quantization=("none",),
        samples_count=4,
        streaming=2,
    )


def arrays(directory: Path) -> Bundle:
    """A bare `.keras` file for a microcontroller, which answers each time step."""
    import keras

    inputs = keras.Input((6, 2), name="x")
    outputs = keras.layers.Dense(2, name="y")(keras.layers.GRU(3, return_sequences=True)(inputs))
    directory.mkdir(parents=True, exist_ok=True)
    keras.Model(inputs, outputs, name="gru").save(directory / "gru.keras")
    return export_bundle(
        directory / "gru.keras",
        directory / "bundle",
        format=("tflite",),
        quantization=("none",),
        samples_count=4,
        target="micro",
        streaming=3,
    )


def micro(directory: Path, integers: bool = True, make=sensors) -> Bundle:
    """Sensors for a microcontroller."""
    return make(
        directory,
        {"timesteps": 5},
        mask=False,
        target="micro",
        quantization=("int8" if integers else "none",),
        inference_type="int8" if integers else "float32",
    )


SCRIPTS = ["unicode_words", "words_and_punctuation", "characters"]
KINDS = [
    "texts",
    "spelled",
    *SCRIPTS,
    "sensors",
    "padded",
    "regression",
    "sounds",
    "tags",
    "several",
    "integers",
]
# Files whose call takes some time steps.
STREAMS = [
    "stream_sensors",
    "stream_inside",
    "stream_integers",
    "stream_texts",
    "stream_tags",
    "stream_pair",
]
MAKERS = {
    "stream_sensors": partial(sensors, streaming=True, quantization=("none", "int8")),
    "stream_inside": partial(sensors, mask=False, streaming=True, state="internal"),
    # 9 time steps, of which 8 are whole calls.
    "stream_integers": partial(
        sensors, streaming=2, quantization=("int8",), inference_type="int8", mask=False
    ),
    "stream_texts": partial(texts, timesteps=4, streaming=True, quantization=("none",)),
    # 6, of which 4 are.
    "stream_tags": partial(tags, streaming=4),
    "stream_pair": pair,
    "texts": texts,
    "spelled": spelled,
    **{name: partial(scripts, tokenizer=name) for name in SCRIPTS},
    "mediapipe": partial(spelled, target="mediapipe", quantization=("none", "float16")),
    "task_library": partial(spelled, timesteps=40, target="task_library"),
    "sensors": sensors,
    "padded": padded,
    "regression": regression,
    "sounds": sounds,
    "tags": tags,
    "several": several,
    "integers": partial(sensors, quantization=("int8",), inference_type="int8"),
    "micro_int8": micro,
    "micro_float32": partial(micro, integers=False),
    # 5 time steps, of which 4 are whole calls; the LSTM's states have the same size.
    "micro_steps": partial(
        sensors,
        settings={"timesteps": 5, "padding": "pre"},
        mask=False,
        target="micro",
        quantization=("int8",),
        inference_type="int8",
        streaming=2,
    ),
    "micro_arrays": arrays,
    "micro_padded": partial(micro, integers=False, make=padded),
}


def golden_of(bundle: Bundle) -> dict[str, Any]:
    return json.loads((bundle.path / "golden.json").read_text(encoding="utf-8"))


def raw(sample: dict[str, Any]) -> Any:
    """What an app is given: the raw input, or encoded arrays where there is none."""
    return next(sample[key] for key in ("text", "features", "tokens", "inputs") if key in sample)


def same(found: Any, expected: Any, tolerance: float) -> bool:
    """Whether an answer is a recorded one, numbers within a tolerance."""
    if isinstance(expected, dict):
        return set(found) == set(expected) and all(
            same(found[key], value, tolerance) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(
            same(one, other, tolerance) for one, other in zip(found, expected, strict=True)
        )
    if isinstance(expected, str):
        return bool(found == expected)
    return bool(abs(found - expected) <= tolerance)


def python_app(bundle: Bundle) -> Any:
    """The module `app/python/model.py` of a bundle."""
    spec = importlib.util.spec_from_file_location("model", bundle.path / "app/python/model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
