"""What was understood of the data, in words: said before a model is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.preprocessing.inputs import strip_padding
from keras_rnn_zoo.preprocessing.labels import label_name
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor

# Of labels, the most that are counted out.
_MOST = 8
_KINDS = {"text": "texts", "tokens": "token ids", "features": "sequences of numbers"}


def understanding(
    dataset: Dataset, preprocessor: Preprocessor, x: np.ndarray, way: str
) -> dict[str, Any]:
    """Returns what was understood of training data, JSON-able.

    Args:
        dataset: As it was read.
        preprocessor: Fitted on it.
        x: Its encoded training rows.
        way: How rows are held out.

    Returns:
        `kind`, `task`, `labels` (name -> rows, or time steps) or `targets` (the least and the
        greatest), `timesteps`, `cut` (the part of the rows that are longer), `unknown` (the part
        of the words that are not known; None of features), `tokenizer`, `split`, `tests_given`
        (whether rows to test on came as such) and `notes`.
    """
    vocabulary = preprocessor.vocabulary
    words = x[x != 0] if preprocessor.features is None else None
    unknown = None
    if words is not None and vocabulary is not None and len(words):
        unknown = float((words == vocabulary.unknown_id).mean())
    return {
        "kind": dataset.kind,
        "task": preprocessor.task,
        **_answers(dataset.train, preprocessor),
        "timesteps": preprocessor.timesteps,
        "cut": _cut(dataset, preprocessor),
        "vocabulary_size": preprocessor.vocabulary_size,
        "unknown": unknown,
        "tokenizer": vocabulary.tokenizer_name if vocabulary is not None else None,
        "split": way,
        "tests_given": dataset.test is not None and "held_out" not in dataset.description,
        "notes": list(dataset.notes),
    }


def _answers(train: Split, preprocessor: Preprocessor) -> dict[str, Any]:
    if preprocessor.task == "regression":
        values = np.asarray(train.y, dtype=np.float64)
        return {"targets": [float(values.min()), float(values.max())]}
    rows: Iterable[Any] = train.y
    if preprocessor.task in ("sequence_labelling", "multilabel"):
        rows = (label for labels in train.y for label in labels)
        if preprocessor.task == "multilabel" and isinstance(train.y, np.ndarray):
            rows = (place for labels in train.y for place in np.flatnonzero(labels))
    counts = Counter(label_name(label, row) for row, label in enumerate(rows))
    return {"labels": {name: counts[name] for name in preprocessor.labels or () if counts[name]}}


def _cut(dataset: Dataset, preprocessor: Preprocessor) -> float:
    """Returns which part of the training rows have more steps than the model reads."""
    x, vocabulary = dataset.train.x, preprocessor.vocabulary
    if dataset.kind == "text":
        assert vocabulary is not None
        # Every text would be cut into words once more; a part of them tells as much.
        some = x[:: max(1, len(x) // 2000)]
        lengths: Sequence[int] = [len(vocabulary.encode(text)) for text in some]
    elif dataset.kind == "tokens":
        lengths = [len(strip_padding(np.asarray(row))) for row in x]
    else:
        lengths = [len(row) for row in x]
    return float(np.mean(np.asarray(lengths) > preprocessor.timesteps))


def told(data: Mapping[str, Any], truncating: str) -> list[tuple[str, str]]:
    """Returns what was understood as names and sentences, for a person.

    Args:
        data: What `prepare` says of the data; `understood` in it is what `understanding` returns.
        truncating: `"pre"` or `"post"`.
    """
    found = data["understood"]
    lines = [("Data", f"{data['name']}: {_KINDS[found['kind']]}{_columns(data)}")]
    if "labels" in found:
        counts = found["labels"]
        some = sorted(counts.items(), key=lambda item: -item[1])[:_MOST]
        words = ", ".join(f"{name} ({count:,})" for name, count in some)
        more = f" and {len(counts) - _MOST} more" if len(counts) > _MOST else ""
        per = {"sequence_labelling": " (time steps)", "multilabel": " (rows with it)"}
        lines.append(("Task", f"{found['task']}{per.get(found['task'], '')}: {words}{more}"))
    else:
        least, most = found["targets"]
        lines.append(("Task", f"{found['task']}: values from {least:.6g} to {most:.6g}"))
    steps = f"{found['timesteps']} a row"
    if found["cut"]:
        end = "beginning" if truncating == "pre" else "end"
        steps += f"; {percent(found['cut'])} of the rows are longer and lose their {end}"
    lines.append(("Time steps", steps))
    if found["tokenizer"] is not None:
        words = f"{found['vocabulary_size']:,} known, by the tokenizer {found['tokenizer']}"
        if found["unknown"] is not None:
            words += f"; {percent(found['unknown'])} of the words are unknown"
        lines.append(("Words", words))
    rows = data["rows"]
    parts = {"train": "to train on", "validation": "to validate", "test": "to test"}
    held = {"random": "at random", "time": "the last in time", "group": "other recordings"}
    if data.get("group_column"):
        held["group"] = f"by {data['group_column']}"
    said = {part: f"{rows[part]:,} {words}" for part, words in parts.items() if rows[part]}
    # A file with tests, or one of an archive, is held out by whoever made it.
    last = "validation" if found.get("tests_given") else list(said)[-1]
    if rows["validation"] and last in said:
        said[last] += f" (held out: {held[found['split']]})"
    lines.append(("Rows", ", ".join(said.values())))
    return lines + [("Note", note) for note in found["notes"]]


def _columns(data: Mapping[str, Any]) -> str:
    values = data.get("value_columns") or data.get("text_column")
    if not values:
        return ""
    names = values if isinstance(values, list) else [values]
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    labels = data.get("label_column")
    labels = ", ".join(labels) if isinstance(labels, list) else labels
    ahead = data.get("horizon")
    asked = f"the next {ahead} steps of" if ahead else "labels in"
    asked = "the next step of" if ahead == 1 else asked
    window = f", windows of {data['window']} steps" if data.get("window") else ""
    return f" in {shown}{window}; {asked} {labels}"


def percent(part: float) -> str:
    """Returns a part of a whole as people say it."""
    return "less than 1 %" if 0 < part < 0.01 else f"{100 * part:.0f} %"
