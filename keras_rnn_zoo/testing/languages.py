"""Whether a language writes the code that an app needs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from keras_rnn_zoo.testing.claims import claim, working

LABELS = ("first_label", "second_label", "third_label")


def check_language(name: str) -> None:
    """Asserts that a language writes code for each kind of model, or says what keeps it from it.

    Whether the code compiles and answers right is for tests of its own: golden.json says what.

    Args:
        name: A name of `LANGUAGES`.

    Raises:
        AssertionError: It does not; the message says in what.
    """
    from keras_rnn_zoo.export.app.language import LANGUAGES, code_files

    language = LANGUAGES.get(name)
    written = 0
    with tempfile.TemporaryDirectory() as place:
        for what, app in _apps(Path(place)):
            who = f"Language '{name}' of {what}"
            reason = language.refuses(app)
            if reason is not None:
                claim(
                    reason and reason[0].islower() and not reason.endswith("."),
                    f"{who} is refused with {reason!r}. Say it as a clause whose subject is the "
                    "model, without capital or full stop.",
                )
                continue
            with working(f"{who}: writing code"):
                files = code_files(language, app)
            _check_files(who, files, app, language.classifies(app) is not None)
            written += 1
    claim(written, f"Language '{name}' writes code for no model.")


def _check_files(who: str, files: dict[str, str], app: Any, classifies: bool) -> None:
    claim(files, f"{who} writes no file.")
    for path, text in files.items():
        parts = PurePosixPath(path).parts
        claim(
            parts and ".." not in parts and not path.startswith("/"),
            f"{who} writes to {path!r}, which is not below its folder.",
        )
        claim(isinstance(text, str) and text.endswith("\n"), f"{who}: {path} ends in no line end.")
        for mark in ("{{", "{%", "%}"):
            claim(mark not in text, f"{who}: {path} holds {mark!r}, which a template left.")
    everything = "\n".join(files.values())
    known = app.preprocessor
    if classifies:
        claim("TextClassifier" in everything, f"{who} does not use MediaPipe's TextClassifier.")
    if known is None or classifies:
        return
    if known.padding_value is not None:
        number = str(known.padding_value)
        claim(number in everything, f"{who} does not know that {number} is padding.")
    for label in known.labels or ():
        claim(label in everything, f"{who} lacks the label {label!r}.")
    if app.steps:
        claim(
            re.search(rf"\b{app.steps}\b", everything),
            f"{who} does not say that a call takes {app.steps} time steps.",
        )
    claim(str(known.timesteps) in everything, f"{who} does not say how many steps are taken.")
    for number in (known.scaling or {}).get("mean", ()):
        claim(str(number) in everything, f"{who} lacks the mean {number} of a feature.")


def _apps(place: Path) -> Iterator[tuple[str, Any]]:
    """Yields models of every kind, in words and as what is known of them."""
    from keras_rnn_zoo.export.app.app import App, File, Tensor
    from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
    from keras_rnn_zoo.preprocessing.vocabulary import PAD, UNKNOWN, Vocabulary

    vocabulary = Vocabulary([PAD, UNKNOWN, "film"])
    tokens, features = Tensor("tokens", (1, 77), "int32"), Tensor("series", (1, 77, 2), "float32")
    scaling = {"mean": [12.5, 13.5], "scale": [2.0, 4.0]}
    text: dict[str, Any] = {"kind": "text", "vocabulary": vocabulary, "vocabulary_size": 3}
    series: dict[str, Any] = {"kind": "features", "features": 2, "scaling": scaling}
    cases: list[tuple[str, dict[str, Any], Tensor, int]] = [
        ("texts, two labels", {**text, "task": "binary", "labels": LABELS[:2]}, tokens, 1),
        ("series, three labels", {**series, "task": "multiclass", "labels": LABELS}, features, 3),
        ("series, two numbers", {**series, "task": "regression"}, features, 2),
        (
            "series, any of three labels",
            {**series, "task": "multilabel", "labels": LABELS},
            features,
            3,
        ),
        (
            "token ids, labels per step",
            {"kind": "tokens", "vocabulary_size": 9, "task": "sequence_labelling"}
            | {"labels": LABELS, "padding": "pre", "truncating": "post"},
            tokens,
            3,
        ),
    ]
    for what, settings, taken, outputs in cases:
        shape = (1, 77, outputs) if "per step" in what else (1, outputs)
        known = Preprocessor(timesteps=77, outputs=outputs, **settings)
        for quantized in (False, True):
            scale = 0.5 if quantized and taken.dtype != "int32" else 0.0
            given = Tensor(taken.name, taken.shape, "int8" if scale else taken.dtype, scale, 3)
            answer = Tensor(
                "answer", shape, *(("int8", 0.004, -128) if quantized else ("float32",))
            )
            file = File("model.tflite", "int8", (given,), (answer,), {"FULLY_CONNECTED": 1})
            (place / file.name).write_bytes(_content(file))
            words = f"{what}{', in int8' if quantized else ''}"
            yield words, App("m", (file,), known, {}, place)
            golden = _golden(file, taken)
            yield f"{words}, micro", App("m", (file,), known, golden, place, "micro")
            for steps in (1, 7):
                for states in ((Tensor("cell/h", (1, 4), "float32"),), ()):
                    streaming = replace(
                        file,
                        inputs=(replace(given, shape=(1, steps, *given.shape[2:])),),
                        outputs=(replace(answer, shape=(1, steps, outputs)),)
                        if "per step" in what
                        else (answer,),
                        steps=steps,
                        every_step=("answer",) if "per step" in what else (),
                        states=states,
                        keeps=not states,
                    )
                    called = f"{words}, {steps} steps a call, {'states' if states else 'kept'}"
                    yield called, App("m", (streaming,), known, {}, place)
    yield from _spelled(tokens, place)
    pair = File("model.tflite", "none", (features, tokens), (Tensor("a", (1, 2), "float32"),))
    yield "two inputs", App("m", (pair,))
    yield "arrays", App("m", (File("model.tflite", "none", (features,), pair.outputs),))
    yield "no files", App("m", ())


def _spelled(taken: Any, place: Path) -> Iterator[tuple[str, Any]]:
    """Yields models of texts whose words are looked up as they are written."""
    from keras_rnn_zoo.export.app.app import App, File, Tensor
    from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
    from keras_rnn_zoo.preprocessing.vocabulary import PAD, UNKNOWN, Vocabulary

    known = Preprocessor(
        kind="text",
        task="multiclass",
        labels=LABELS[:2],
        outputs=2,
        timesteps=77,
        vocabulary=Vocabulary([PAD, UNKNOWN, "film"], "cased_words"),
        vocabulary_size=3,
    )
    file = File("model.tflite", "none", (taken,), (Tensor("answer", (1, 2), "float32"),))
    yield "texts, words as they are written", App("m", (file,), known, {}, place)
    for cut in ("unicode_words", "words_and_punctuation", "characters"):
        scripts = replace(known, vocabulary=Vocabulary([PAD, UNKNOWN, "film"], cut))
        yield f"texts, cut by {cut}", App("m", (file,), scripts, {}, place)
    padded = replace(known, kind="features", vocabulary=None, vocabulary_size=None, features=2)
    given = Tensor("series", (1, 77, 2), "float32")
    files = (replace(file, inputs=(given,)),)
    for side in ("post", "pre"):
        known = replace(padded, padding=side, padding_value=-1.5)
        yield f"series padded with a number, {side}", App("m", files, known, {}, place)
    app = App("m", (file,), known, {}, place, "mediapipe", classified=True)
    yield "texts for MediaPipe", app


def _golden(file: Any, taken: Any) -> dict[str, Any]:
    """One recorded answer, as golden.json has it."""
    outputs = {file.outputs[0].name: [0.5] * file.outputs[0].size}
    entry = {"file": file.name, "tolerance": 0.1, "answers": [{"outputs": outputs}]}
    return {"samples": [{"inputs": {taken.name: [1] * taken.size}}], "files": [entry]}


def _content(file: Any) -> bytes:
    """A .tflite file of the inputs and outputs alone."""
    from keras_rnn_zoo.export.tflite import flatbuffer as fb

    schema = fb.schema
    model, graph, signature = schema.ModelT(), schema.SubGraphT(), schema.SignatureDefT()
    tensors = [*file.inputs, *file.outputs]
    graph.tensors = [schema.TensorT() for _ in tensors]
    graph.operators = []
    graph.inputs = np.arange(len(file.inputs), dtype=np.int32)
    graph.outputs = np.arange(len(file.inputs), len(tensors), dtype=np.int32)
    maps = []
    for number, tensor in enumerate(tensors):
        one = schema.TensorMapT()
        one.name, one.tensorIndex = tensor.name, number
        maps.append(one)
    signature.signatureKey = "serving_default"
    signature.inputs, signature.outputs = maps[: len(file.inputs)], maps[len(file.inputs) :]
    model.buffers, model.operatorCodes = [schema.BufferT()], []
    model.version, model.subgraphs, model.signatureDefs = 3, [graph], [signature]
    return fb.pack(model)
