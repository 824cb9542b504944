"""What answers without a model are worth: the least that a model has to beat."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.quantities import score
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.training.metrics import DIRECTIONS, SHARES, better, real_answers, scores

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# The inputs and the encoded labels of a part of the data; None where there is no such part.
Part = tuple[np.ndarray, np.ndarray] | None

# More rows and words make a bag of words slow, and hardly better.
MOST_ROWS, MOST_WORDS = 30_000, 20_000
# A label with so large a share of the rows is answered for want of anything better.
MOSTLY = 2 / 3
PARTS = ("train", "validation", "test")
HELD_OUT = "held-out"
"""The rows that each fold of a cross-validation held out, all together."""
_FORECASTS = {
    "last value": "the last value again",
    "seasonal": "the value one period before",
}


@dataclass(frozen=True)
class Raw:
    """The rows of each part as they were read, where a baseline needs more than what is encoded.

    Attributes:
        kind: `"text"`, `"tokens"` or `"features"`.
        x: `"train"`, `"validation"`, `"test"` -> the inputs; None where there is no such part.
        naive: The same parts -> forecasts that need no model, by name; see `Split.naive`.
        seed: Of the choice of rows, where there are too many.
    """

    kind: str
    x: Mapping[str, Sequence[Any] | np.ndarray | None]
    naive: Mapping[str, Mapping[str, np.ndarray]]
    seed: int = 0


def baseline(preprocessor: Preprocessor, parts: Mapping[str, Part]) -> dict[str, Any]:
    """Returns what always giving the same answer is worth.

    Args:
        preprocessor: That encoded the rows.
        parts: `"train"`, `"validation"` and `"test"`.

    Returns:
        `label`, the most frequent one of the training rows (of the real time steps, where these are
        labelled), and its share of each part as `{train,validation,test}_accuracy`; for a
        regression `values`, the mean of the training targets, and
        `{train,validation,test}_mean_absolute_error`.
    """
    steps = get_task(preprocessor.task).per_timestep
    answers = {
        name: None if part is None else _labels(*part, steps) for name, part in parts.items()
    }
    train = answers["train"]
    assert train is not None
    if preprocessor.task == "regression":
        mean = train.mean(axis=0, dtype=np.float64)
        return {"values": mean.tolist()} | {
            f"{name}_mean_absolute_error": None
            if values is None
            else float(np.abs(values - mean).mean())
            for name, values in answers.items()
        }
    assert preprocessor.labels is not None
    if get_task(preprocessor.task).several:
        usual = _usual(train)
        label = ", ".join(np.asarray(preprocessor.labels)[usual]) or "none"
        return {"label": label} | {
            f"{name}_accuracy": None if values is None else float((values == usual).mean())
            for name, values in answers.items()
        }
    best = int(np.bincount(train, minlength=len(preprocessor.labels)).argmax())
    return {"label": preprocessor.labels[best]} | {
        f"{name}_accuracy": None if values is None else float((values == best).mean())
        for name, values in answers.items()
    }


def _usual(applies: np.ndarray) -> np.ndarray:
    """Which labels apply to most rows, bool `[labels]`."""
    return np.asarray(applies.mean(axis=0) > 0.5)


def _labels(x: np.ndarray, y: np.ndarray, per_timestep: bool = True) -> np.ndarray:
    """The answers of a part: targets, or labels; of time steps, those that are no padding."""
    if y.dtype.kind == "f" or y.ndim == 1 or not per_timestep:
        return y
    real = x != 0 if x.ndim == 2 else (x != 0).any(axis=2)
    return np.asarray(y[real])


# ---------------------------------------------------------------------- all of them

# From the name of a part to outputs as a model's: `[n, ...]`; None where it has none for the part.
Answers = Callable[[str], np.ndarray | None]


def baselines(
    preprocessor: Preprocessor, parts: Mapping[str, Part], raw: Raw, *, words: bool = True
) -> list[dict[str, Any]]:
    """Returns what each way to answer without a recurrent model is worth.

    - `majority`: always the most frequent label of the training rows.
    - `mean`, `median`: always that of the training targets.
    - `last value`, `seasonal`: of a forecast, the last one known, and the one a period before.
    - `most frequent label of each word`, for labels per time step of tokens.
    - `bag of words`: for texts, a linear model of which words are in them, whatever their order:
      TF-IDF with logistic regression, or ridge regression.

    Args:
        preprocessor: That encoded the rows.
        parts: `"train"`, `"validation"` and `"test"`, encoded.
        raw: The same, as they were read.
        words: Whether to fit a bag of words, which takes seconds.

    Returns:
        For each `name`, `text` (what it does, a clause), and for each part its figures as
        `metrics.scores` has them, or None. The first is always there.
    """
    found: list[tuple[str, str, Answers]] = _constants(preprocessor, parts)
    if preprocessor.task == "regression":
        found += _forecasts(raw)
    if words and raw.kind in ("text", "tokens"):
        found += _words(preprocessor, parts, raw)
    result = []
    for name, text, answers in found:
        figures: dict[str, Any] = {}
        for part in PARTS:
            pair = parts.get(part)
            outputs = None if pair is None else answers(part)
            figures[part] = None
            if pair is not None and outputs is not None:
                real = real_answers(*pair, preprocessor.task)
                figures[part] = scores(outputs, pair[1], preprocessor.task, real)
        result.append({"name": name, "text": text, **figures})
    return result


def _constants(
    preprocessor: Preprocessor, parts: Mapping[str, Part]
) -> list[tuple[str, str, Answers]]:
    train = parts["train"]
    assert train is not None

    def always(answer: np.ndarray) -> Answers:
        def answers(part: str) -> np.ndarray:
            pair = parts[part]
            assert pair is not None
            rows = pair[1].shape if get_task(preprocessor.task).per_timestep else pair[1].shape[:1]
            return np.broadcast_to(answer, (*rows, len(answer)))

        return answers

    if preprocessor.task == "regression":
        targets = train[1].astype(np.float64)
        return [
            (
                name,
                f"always the {name} of the training targets, {_numbers(values)}",
                always(values),
            )
            for name, values in (
                ("mean", targets.mean(axis=0)),
                ("median", np.median(targets, axis=0)),
            )
        ]
    assert preprocessor.labels is not None
    if get_task(preprocessor.task).several:
        usual = _usual(train[1])
        names = ", ".join(np.asarray(preprocessor.labels)[usual])
        text = f"always {names or 'no label'}: what applies to most training rows"
        return [("majority", text, always(usual.astype(np.float64)))]
    counts = np.bincount(_labels(*train), minlength=len(preprocessor.labels))
    text = f"always '{preprocessor.labels[counts.argmax()]}', the most frequent training label"
    # As probabilities: a score of which the area under the ROC curve is one half.
    return [("majority", text, always(np.eye(len(counts))[counts.argmax()]))]


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in values[:4]) + (", ..." if len(values) > 4 else "")


def _forecasts(raw: Raw) -> list[tuple[str, str, Answers]]:
    """Returns the forecasts of those who do not compute: see `Split.naive`."""

    def known(name: str) -> Answers:
        return lambda part: raw.naive[part].get(name)

    return [(name, _FORECASTS.get(name, name), known(name)) for name in raw.naive["train"]]


# ---------------------------------------------------------------------- words


def _words(
    preprocessor: Preprocessor, parts: Mapping[str, Part], raw: Raw
) -> list[tuple[str, str, Answers]]:
    if preprocessor.task == "sequence_labelling":
        text = "the label that each word most often has in the training rows"
        return [
            ("most frequent label of each word", text, _label_of_each_word(preprocessor, parts))
        ]
    return _bag_of_words(preprocessor, parts, raw)


def _label_of_each_word(preprocessor: Preprocessor, parts: Mapping[str, Part]) -> Answers:
    train = parts["train"]
    assert train is not None and preprocessor.labels is not None
    assert preprocessor.vocabulary_size is not None
    x, y = train
    real = x != 0
    counts = np.zeros((preprocessor.vocabulary_size, len(preprocessor.labels)))
    np.add.at(counts, (x[real], y[real]), 1)
    # A word that the training rows lack has what all words have.
    counts += counts.sum(axis=0) / (counts.sum() * 1e6)
    shares = counts / counts.sum(axis=1, keepdims=True)

    def answers(part: str) -> np.ndarray:
        pair = parts[part]
        assert pair is not None
        return np.asarray(shares[pair[0]])

    return answers


def _bag_of_words(
    preprocessor: Preprocessor, parts: Mapping[str, Part], raw: Raw
) -> list[tuple[str, str, Answers]]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    train, x = parts["train"], raw.x["train"]
    assert train is not None and x is not None
    y = train[1]
    chosen = np.arange(len(y))
    if len(y) > MOST_ROWS:
        chosen = np.sort(np.random.default_rng(raw.seed).permutation(len(y))[:MOST_ROWS])
    # Whole texts, though a model may see a part: it is a model's choice not to look.
    # In the words of the model, or texts without spaces would be bags of whole sentences.
    vocabulary = preprocessor.vocabulary
    analyzer: Any = _token_ids
    if raw.kind == "text":
        analyzer = "word" if vocabulary is None else vocabulary.tokenizer.tokens
    bag = TfidfVectorizer(analyzer=analyzer, max_features=MOST_WORDS, sublinear_tf=True)
    try:
        rows: csr_matrix = bag.fit_transform([x[i] for i in chosen.tolist()])
    except ValueError:  # no text has a word
        return []

    def encoded(part: str) -> csr_matrix | None:
        texts = raw.x[part]
        if part == "train" and len(chosen) == len(y):
            return rows  # cutting them into words takes most of the time
        return None if texts is None else bag.transform(texts)

    if preprocessor.task == "regression":
        mean, scale = y[chosen].mean(axis=0), np.maximum(y[chosen].std(axis=0), 1e-30)
        ridge = Ridge(random_state=raw.seed).fit(rows, (y[chosen] - mean) / scale)

        def values(part: str) -> np.ndarray | None:
            words = encoded(part)
            if words is None:
                return None
            found = np.asarray(ridge.predict(words)).reshape(words.shape[0], -1)
            return np.asarray(found * scale + mean)

        return [("bag of words", "ridge regression on which words a text has (TF-IDF)", values)]
    if len(np.unique(y[chosen])) < 2:
        return []
    several = get_task(preprocessor.task).several
    model: Any = LogisticRegression(C=10.0, max_iter=200, random_state=raw.seed)
    if several:
        model = OneVsRestClassifier(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label that applies to all rows, or none; the last steps
        model.fit(rows, y[chosen])
    assert preprocessor.labels is not None
    labels = len(preprocessor.labels)

    def probabilities(part: str) -> np.ndarray | None:
        words = encoded(part)
        if words is None:
            return None
        if several:
            return np.asarray(model.predict_proba(words))
        found = np.zeros((words.shape[0], labels))
        found[:, model.classes_] = model.predict_proba(words)
        return found

    text = "logistic regression on which words a text has (TF-IDF)"
    return [("bag of words", text, probabilities)]


def _token_ids(row: Any) -> list[int]:
    return [int(token) for token in row if token]


# ---------------------------------------------------------------------- the verdict


def best_of(
    found: Sequence[Mapping[str, Any]], part: str, measure: str
) -> tuple[Mapping[str, Any], float] | None:
    """Returns the baseline that is best on a part of the data, and its figure.

    Args:
        found: What `baselines` returned.
        part: `"train"`, `"validation"` or `"test"`.
        measure: One of `metrics.DIRECTIONS`.
    """
    known = [
        (one, one[part][measure])
        for one in found
        if one.get(part) is not None and one[part].get(measure) is not None
    ]
    if not known:
        return None
    best = max if DIRECTIONS[measure] == "max" else min
    return best(known, key=lambda pair: pair[1])


def _has_rare_labels(found: Sequence[Mapping[str, Any]], part: str) -> bool:
    """Whether the most frequent label has so many rows that answering it always pays."""
    majority = next((one for one in found if one["name"] == "majority"), {})
    return bool((majority.get(part) or {}).get("accuracy", 0.0) > MOSTLY)


def verdict(
    metrics: Mapping[str, Any],
    found: Sequence[Mapping[str, Any]],
    measure: str,
    always: str | None = None,
) -> dict[str, Any] | None:
    """Returns whether a model is better than the best answers without one.

    Args:
        metrics: Of the model: see `fit.Fitted`.
        found: What `baselines` returned.
        measure: What the model is judged by.
        always: The label that the model answers to every held-out row, if it does.

    Returns:
        `beats_baseline`, `part` (what folds held out, or else the test rows, those for
        validation, or the training rows), `measure`, `model` and `baseline` (the figures), `name`
        and `text` of the best baseline, `always`, and `rare`: whether that is the label of most
        rows by far; None where there is nothing to compare.
    """
    for part in (HELD_OUT, "test", "validation", "train"):
        value = metrics.get(f"{part}_{measure}")
        beside = best_of(found, part, measure)
        if value is not None and beside is not None:
            best, figure = beside
            return {
                "beats_baseline": better(measure, value, figure),
                "part": part,
                "measure": measure,
                "model": value,
                "baseline": figure,
                "name": best["name"],
                "text": best["text"],
                "always": always,
                "rare": always is not None and _has_rare_labels(found, part),
            }
    return None


def sentences(judged: Mapping[str, Any]) -> str:
    """Returns a verdict for a person: what the model reaches, and what answers without it do.

    Args:
        judged: What `verdict` returned.
    """
    measure = judged["measure"]
    model, other = (score(judged[key], percent=measure in SHARES) for key in ("model", "baseline"))
    words, part = measure.replace("_", " "), judged["part"]
    if judged["beats_baseline"]:
        return (
            f"Better than the baseline: {words} {model} on the {part} rows; {judged['name']} "
            f"({judged['text']}) has {other}."
        )
    text = (
        f"No better than the baseline: {words} {model} on the {part} rows; {judged['name']} "
        f"({judged['text']}) has {other}."
    )
    if judged.get("always") is not None:
        text += f" The model answers every row with '{judged['always']}'."
    if judged.get("always") is not None and measure == "accuracy" and judged.get("rare"):
        text += " Train with class_weight balanced, or give more rows of the other labels."
    return text
