"""Golden vectors: a few inputs as an app meets them, and what each file answers to them.

`golden.json` is for unit tests in any language. It holds

- `format`: 1; other keys may be added under the same number.
- `model`, `task`, `labels`: as in report.json; null for a bare `.keras` file.
- `samples`: for each, the raw input (`text`, `tokens` or `features`; neither for a bare `.keras`
  file), and `inputs`: name of the file's input -> what goes into it, without the batch axis. A
  text has its `tokens`, too: the ids before they are cut and padded.
- `files`: for each .tflite file its `file`, `quantization`, `tolerance` and `answers`, one a
  sample: `answer` as `predict` gives it, and `outputs`: name -> real values, without the batch
  axis. Numbers of `answer` and `outputs` may differ by `tolerance`, and so may labels whose scores
  are that close.

A file whose call takes some time steps has a `streaming`, too:

- `steps`: time steps of a call. Its `answers` are those of whole sequences: a sample is handed over
  in as many calls as it has `steps`, whose number is a multiple.
- `every_step`: names of the outputs that answer each time step; those of the calls, one behind the
  other, are the recorded one. Of the other outputs that of the last call is.
- `states`: `name`, `dtype` and `shape` of each state that goes in and comes out of a call, and the
  `offset` where it begins in `file`; none where the file keeps its states itself.
- `file`: `<name of the .tflite file>.initial_state.bin`, for clients that call one signature alone:
  the states before the first call, as the file stores them, one behind the other, little endian.
  null without `states`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import DataError, OpGateError, RunError
from keras_rnn_zoo.export.app.app import start_file
from keras_rnn_zoo.export.formats import FORMATS
from keras_rnn_zoo.export.formats.format import FileRecord
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.tflite.streams import initial_states
from keras_rnn_zoo.files import write_bytes, write_text
from keras_rnn_zoo.preprocessing.inputs import real_span, strip_padding
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.preprocessing.unicode import UnicodeTokenizer

GOLDEN_FILE = "golden.json"
FORMAT = 1
# Real rows that become samples; others are made of them.
ROWS = 2
# The file is to stay small: of inputs of more numbers there are fewer samples, or none.
MOST_NUMBERS = 100_000
# What clients may make of the same float32 file, which sum in another order: a share of the answer.
LEAST_TOLERANCE = 1e-4
# Whatever tokenizes a text has to get these right: capitals, accents, an apostrophe, other scripts,
# a letter that lower-cases into two characters, a character beyond 16 bits, digits that are none.
HARD_TEXT = "Ça N'EST pas… «ÉTÉ», naïve_İstanbul ΟΔΟΣ\t素晴らしい 😀 x² 7½ {word}!"
# And of every script: marks, joiners, emoji of several parts, letters that are written in two ways.
HARD_SCRIPTS = "फ़िल्म क्षि, می\u200cخواهم หนังดี don’t \u0958 e\u0301t\xe9 👨\u200d👩👍🏽🇩🇪❤\ufe0f "


def golden_vectors(
    name: str,
    preprocessor: Preprocessor | None,
    entries: Sequence[FileRecord],
    x: Arrays,
    directory: Path,
) -> dict[str, Any]:
    """Returns what `golden.json` holds; see this module.

    Args:
        name: The model's.
        preprocessor: Of its inputs and outputs; None for a bare `.keras` file.
        entries: The exported files; those that are no .tflite file are left out, and those that
            the installed interpreter does not run.
        x: Input name -> real encoded samples `[samples, ...]`.
        directory: Where the files lie.
    """
    most = MOST_NUMBERS // max(1, sum(values[0].size for values in x.values()))
    if preprocessor is None:
        samples: list[dict[str, Any]] = [{} for _ in range(min(ROWS, _count(x), most))]
        encoded = {key: values[: len(samples)] for key, values in x.items()}
    else:
        (key,) = x
        samples = raw_samples(preprocessor, x[key])[:most]
        rows = [_encoded(preprocessor, one) for one in samples]
        encoded = {key: np.concatenate([x[key][:0], *rows])}
    return {
        "format": FORMAT,
        "model": name,
        "task": preprocessor.task if preprocessor else None,
        "labels": list(preprocessor.labels) if preprocessor and preprocessor.labels else None,
        "samples": [
            {**sample, "inputs": {name: _plain(values[row]) for name, values in encoded.items()}}
            for row, sample in enumerate(samples)
        ],
        "files": [
            found
            for entry in entries
            if entry.format == "tflite"
            and (found := _answers(entry, preprocessor, encoded, directory)) is not None
        ],
    }


def write_starts(directory: Path, entries: Sequence[FileRecord]) -> None:
    """Writes the states that files start with, where a call takes them, beside each; see above."""
    for entry in entries:
        states = _starts(entry, directory)
        if states:
            content = b"".join(_little(values).tobytes() for values in states.values())
            write_bytes(directory / start_file(entry.file), content)


def _starts(entry: FileRecord, directory: Path) -> dict[str, np.ndarray]:
    streams = entry.streaming is not None
    return initial_states((directory / entry.file).read_bytes()) if streams else {}


def _little(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("<"))


def _streaming(entry: FileRecord, directory: Path) -> dict[str, Any]:
    """What golden.json says of the calls of a file; nothing where one takes everything."""
    if entry.streaming is None:
        return {}
    found, offset = [], 0
    for name, values in _starts(entry, directory).items():
        state = {"name": name, "dtype": values.dtype.name, "shape": list(values.shape)}
        found.append({**state, "offset": offset})
        offset += values.nbytes
    return {
        "streaming": {
            "steps": entry.streaming["steps"],
            "every_step": entry.streaming["every_step"],
            "states": found,
            "file": start_file(entry.file) if found else None,
        }
    }


def write_golden(directory: Path, golden: Mapping[str, Any]) -> None:
    """Writes `golden.json`: valid JSON with a sample or an answer a line, as people read it."""

    def lines(values: Sequence[Any], indent: str) -> str:
        return "[" + ",".join(f"\n{indent}{_json(value)}" for value in values) + "]"

    heads = {key: value for key, value in golden.items() if key not in ("samples", "files")}
    parts = [f"{_json(key)}: {_json(value)}" for key, value in heads.items()]
    parts.append(f'"samples": {lines(golden["samples"], "    ")}')
    entries = []
    for entry in golden["files"]:
        inner = [f"{_json(k)}: {_json(v)}" for k, v in entry.items() if k != "answers"]
        inner.append(f'"answers": {lines(entry["answers"], "      ")}')
        entries.append("{" + ", ".join(inner) + "}")
    parts.append('"files": [' + ",".join(f"\n    {entry}" for entry in entries) + "]")
    write_text(directory / GOLDEN_FILE, "{\n  " + ",\n  ".join(parts) + "\n}\n")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def raw_samples(preprocessor: Preprocessor, x: np.ndarray) -> list[dict[str, Any]]:
    """Returns inputs as an app meets them, made of encoded rows.

    The longest and the shortest row, one that is longer than the model takes; for texts one that is
    hard to tokenize, and for features one that ends, or begins, in what may be padding: zeros are
    where they were padding in training, and values where not.

    Args:
        preprocessor: That encoded them.
        x: Encoded rows.
    """
    real = x != 0 if x.ndim == 2 else (x != 0).any(axis=2)
    counts = real.sum(axis=1)
    chosen = dict.fromkeys([int(counts.argmax()), int(counts.argmin())])
    rows = [row for row in chosen if counts[row]] or [0]
    if preprocessor.kind == "features":
        found = [_features(preprocessor, x[row]) for row in rows]
        longest = found[0]
        repeats = 1 + math.ceil((preprocessor.timesteps + 1) / len(longest))
        found.append((longest * repeats)[: preprocessor.timesteps + max(2, len(longest) // 2)])
        filler = [[preprocessor.padding_value or 0.0] * len(longest[0])] * 2
        half = longest[: len(longest) // 2] or longest
        found.append(half + filler if preprocessor.padding == "post" else filler + half)
        return [{"features": value} for value in found]
    ids = [strip_padding(x[row]) for row in rows]
    ids.append(np.resize(ids[0], preprocessor.timesteps + 1 + len(ids[0]) // 2))
    if preprocessor.kind == "tokens":
        return [{"tokens": value.tolist()} for value in ids]
    return _texts(preprocessor, ids)


def _texts(preprocessor: Preprocessor, rows: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Texts of rows of ids, each with the ids of all its words."""
    vocabulary = preprocessor.vocabulary
    assert vocabulary is not None
    special = {0, vocabulary.unknown_id, vocabulary.start_id}
    texts = [
        vocabulary.tokenizer.text(
            [
                vocabulary.tokens[i] if i not in special else _stranger(vocabulary.index)
                for i in row
                if i not in (0, vocabulary.start_id)
            ]
        )
        for row in rows
    ]
    words = (vocabulary.tokens[i].upper() for row in rows for i in row if i not in special)
    # Of the tokenizer `cased_words`, MCQUEEN is another word than McQueen.
    known = (word for word in words if vocabulary.knows_any(vocabulary.encode(word)))
    hard = HARD_TEXT.format(word=next(known, vocabulary.tokens[-1].upper()))
    scripts = isinstance(vocabulary.tokenizer, UnicodeTokenizer)
    texts.append(HARD_SCRIPTS + hard if scripts else hard)
    found = []
    for text in texts:
        try:
            _encoded(preprocessor, {"text": text})
        except DataError:  # a row of unknown words alone, or a tokenizer that knows no words
            continue
        found.append({"text": text, "tokens": vocabulary.encode(text)})
    return found


def _stranger(index: Mapping[str, int]) -> str:
    """A word that is not in a vocabulary."""
    return next(word for n in range(len(index) + 1) if (word := f"unheardof{n}") not in index)


def _features(preprocessor: Preprocessor, row: np.ndarray) -> list[list[float]]:
    """The steps of an encoded row as they were measured, to six digits."""
    start, stop = real_span((row != 0).any(axis=1), preprocessor.padding)
    steps = row[start:stop].astype(np.float64)
    if preprocessor.scaling is not None:
        steps = steps * preprocessor.scaling["scale"] + preprocessor.scaling["mean"]
    return [[float(f"{value:.6g}") for value in step] for step in steps]


def _encoded(preprocessor: Preprocessor, sample: Mapping[str, Any]) -> np.ndarray:
    value = next(sample[key] for key in ("text", "features", "tokens") if key in sample)
    return preprocessor.encode_inputs([value])


def _answers(
    entry: FileRecord, preprocessor: Preprocessor | None, x: Arrays, directory: Path
) -> dict[str, Any] | None:
    """What a file answers; None where it does not run here."""
    try:
        outputs = FORMATS.get(entry.format).serve(directory / entry.file)(x)
    except (RunError, OpGateError):
        return None
    if not all(np.isfinite(values).all() for values in outputs.values()):
        return None  # to made inputs alone: real ones were looked at
    decoded: list[dict[str, Any]] = [{} for _ in range(_count(x))]
    if preprocessor is not None:
        (encoded,), (values,) = x.values(), outputs.values()
        decoded = [{"answer": answer} for answer in preprocessor.decode(values, encoded)]
    return {
        "file": entry.file,
        "quantization": entry.quantization,
        "tolerance": _tolerance(entry, outputs),
        **_streaming(entry, directory),
        "answers": [
            {
                **answer,
                "outputs": {name: _plain(values[row]) for name, values in outputs.items()},
            }
            for row, answer in enumerate(decoded)
        ],
    }


def _tolerance(entry: FileRecord, outputs: Arrays) -> float:
    """How far another client may be off: what the file's own rounding does to its answers.

    Clients round at other places and sum in another order. No right one is farther from the
    recorded answer than the file was from the Keras model on its samples, or the least tolerance.
    """
    largest = max(float(np.abs(values).max(initial=0.0)) for values in outputs.values())
    return float(f"{max(LEAST_TOLERANCE * max(1.0, largest), entry.parity['max_abs_output']):.2g}")


def _count(x: Arrays) -> int:
    return len(next(iter(x.values())))


def _plain(values: np.ndarray) -> Any:
    """A JSON value; float32 in as few digits as tell it from others."""
    if values.dtype == np.float32:
        if values.ndim:
            return [_plain(value) for value in values]
        return float(str(values))
    return values.tolist()
