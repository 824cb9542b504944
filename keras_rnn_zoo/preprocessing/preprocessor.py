"""What stands between raw data and a model, in both directions.

A `Preprocessor` is fitted on training rows only and travels with the model: it turns texts, token
ids or features into padded arrays, labels into numbers, and a model's outputs into labels. It
needs numpy alone, so that it also works beside a `.tflite` file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError, DataError, RunError, nearest
from keras_rnn_zoo.files import PathLike, inside, write_text
from keras_rnn_zoo.options import takes
from keras_rnn_zoo.preprocessing.demands import demands_of
from keras_rnn_zoo.preprocessing.inputs import (
    check_texts,
    feature_rows,
    is_words,
    real_span,
    short,
    strip_padding,
    token_row,
    token_rows,
)
from keras_rnn_zoo.preprocessing.labels import (
    as_targets,
    fit_labels,
    infer_task,
    label_names,
    label_sets,
    some,
    step_labels,
)
from keras_rnn_zoo.preprocessing.options import SIDES, EncodingOptions
from keras_rnn_zoo.preprocessing.text_needs import needed_tokenizer
from keras_rnn_zoo.preprocessing.vocabulary import Vocabulary, check_size
from keras_rnn_zoo.tasks import TASKS, get_task

if TYPE_CHECKING:
    from keras_rnn_zoo.data import Dataset

VOCABULARY_FILE, LABELS_FILE = "vocab.txt", "labels.txt"
DEFAULT_TIMESTEPS, DEFAULT_VOCABULARY_SIZE = 200, 10_000

# A real step that scaling takes to exactly 0 would be masked as padding.
_NOT_PADDING = np.float32(1e-6)


@dataclass(frozen=True, eq=False)
class Preprocessor:
    """Raw inputs to arrays, labels to numbers, outputs to labels.

    Args:
        kind: `"text"`, `"tokens"` or `"features"`.
        task: Name of a task: see `keras_rnn_zoo.tasks.TASKS`.
        timesteps: Every encoded input has this many.
        padding: `"post"` fills short inputs on the right with 0, `"pre"` on the left.
        padding_value: What fills up raw sequences of features at that side, beside NaN; None if
            every number is a value.
        truncating: `"pre"` cuts the beginning of long inputs, `"post"` the end.
        vocabulary: Of texts, and of token ids that have one.
        vocabulary_size: Ids are below this; None for features.
        features: Values per time step; None for texts and tokens.
        labels: Label names in the order of the model's outputs; None for regression. A binary
            model's one output is the probability of the second.
        scaling: `{"mean": [...], "scale": [...]}` per feature; None for texts and tokens.
        outputs: Units of the model's head.
        reading: How the files of the training data were read, where that had to be said: options of
            `ReadOptions` by name.
    """

    kind: str
    task: str
    timesteps: int
    padding: str = "post"
    truncating: str = "pre"
    vocabulary: Vocabulary | None = None
    vocabulary_size: int | None = None
    features: int | None = None
    labels: tuple[str, ...] | None = None
    scaling: dict[str, list[float]] | None = None
    outputs: int = 1
    padding_value: float | None = None
    reading: dict[str, Any] = field(default_factory=dict)

    # ------------------------------------------------------------------ fitting

    @classmethod
    @takes(EncodingOptions)
    def fit(
        cls,
        dataset: Dataset,
        *,
        timesteps: int | None = None,
        vocabulary_size: int | None = None,
        rows: np.ndarray | None = None,
        **options: Any,
    ) -> Preprocessor:
        """Fits vocabulary, scaling and labels on the training split.

        Args:
            dataset: Only its training split is read.
            timesteps: None takes the data's own for features, 200 otherwise.
            vocabulary_size: The most ids; None takes 10,000, or what token ids need.
            rows: The training rows to fit vocabulary and scaling on; None takes all. (Labels are
                always taken from all.)

        Raises:
            ConfigError: An argument is out of range.
            DataError: The data cannot be learnt from; the message names the row.
        """
        chosen = EncodingOptions.of(options)
        if timesteps is not None and (
            isinstance(timesteps, bool) or not isinstance(timesteps, int) or timesteps < 1
        ):
            raise ConfigError(f"timesteps is a whole number of at least 1. Received: {timesteps!r}")
        if vocabulary_size is not None:
            check_size(vocabulary_size)
        x, y = dataset.train.x, dataset.train.y
        task = infer_task(dataset, chosen.task)
        demands_of(chosen.target).check(
            str(chosen.target), "Choose another target", kind=dataset.kind, task=task
        )
        filler = dataset.padding_value
        labels = None if task == "regression" else fit_labels(y, x, task, chosen.padding, filler)
        if task == "regression":
            outputs = as_targets(y).shape[1]
        else:
            outputs = 1 if task == "binary" else len(labels or ())
        settings: dict[str, Any] = {
            "kind": dataset.kind,
            "task": task,
            "padding": chosen.padding,
            "truncating": chosen.truncating,
            "labels": labels,
            "outputs": outputs,
            "reading": dict(dataset.description.get("reading", {})),
        }
        if dataset.kind == "features":
            sequences = feature_rows(x, None, chosen.padding, filler)
            timesteps = timesteps or max(len(row) for row in sequences)
            features = sequences[0].shape[1]
            unscaled = cls(**settings, timesteps=timesteps, features=features, padding_value=filler)
            return unscaled._with_scaling(sequences, rows)
        if dataset.kind not in ("text", "tokens"):
            raise DataError(
                f"Data are 'text', 'tokens' or 'features'. Received kind: {dataset.kind!r}"
            )
        vocabulary = dataset.vocabulary
        if dataset.kind == "text":
            check_texts(x)
            fitted = x if rows is None else (x[i] for i in rows)
            size = vocabulary_size or DEFAULT_VOCABULARY_SIZE
            tokenizer = chosen.tokenizer or needed_tokenizer(x)[0]
            vocabulary = Vocabulary.from_texts(fitted, size, tokenizer)
        if vocabulary is not None:
            if vocabulary_size is not None:
                vocabulary = vocabulary.truncated(vocabulary_size)
            size = len(vocabulary)
        else:
            size = vocabulary_size or 1 + max(int(max(row, default=0)) for row in token_rows(x))
        return cls(
            **settings,
            timesteps=timesteps or DEFAULT_TIMESTEPS,
            vocabulary=vocabulary,
            vocabulary_size=max(size, 2),
        )

    def _with_scaling(
        self, sequences: Sequence[np.ndarray], rows: np.ndarray | None
    ) -> Preprocessor:
        chosen = range(len(sequences)) if rows is None else rows
        real = np.concatenate([sequences[i] for i in chosen])
        mean = real.mean(axis=0, dtype=np.float64)
        scale = real.std(axis=0, dtype=np.float64)
        # A constant feature says nothing; dividing by its deviation of 0 would make it infinite.
        scale[scale <= 1e-9 * np.abs(mean)] = 1.0
        return replace(self, scaling={"mean": mean.tolist(), "scale": scale.tolist()})

    # ------------------------------------------------------------------ inputs

    def encode_inputs(self, x: Sequence[Any] | np.ndarray, *, strict: bool = True) -> np.ndarray:
        """Encodes raw inputs.

        Args:
            x: Texts, rows of token ids, or features `[n, timesteps, features]` (or a list of
                `[timesteps, features]`), of any number of timesteps.
            strict: Refuse a text without a known word. Otherwise it becomes one `<UNKNOWN>`, as
                suits a few bad rows among many.

        Returns:
            int32 `[n, timesteps]`, or float32 `[n, timesteps, features]`.

        Raises:
            DataError: An input is of the wrong kind or shape, empty, NaN or infinite; the message
                names its row, counting from 1.
        """
        if isinstance(x, str):
            raise DataError("Give a list of inputs, one per answer. Received one text.")
        if self.kind == "features":
            return self._encode_features(
                feature_rows(x, self.features, self.padding, self.padding_value)
            )
        encoded = np.zeros((len(x), self.timesteps), dtype=np.int32)
        for row, value in enumerate(x):
            ids = self._ids(value, row, strict)
            self._place(encoded[row], ids)
        return encoded

    def _ids(self, value: Any, row: int, strict: bool) -> Sequence[int] | np.ndarray:
        if isinstance(value, str) or is_words(value):
            if self.vocabulary is None:
                raise DataError(
                    f"Row {row + 1} is a text, and the model was trained on token ids without a "
                    "vocabulary. Give token ids."
                )
            ids = self.vocabulary.encode(value)
            if self.vocabulary.knows_any(ids):
                return ids
            if strict:
                text = value if isinstance(value, str) else " ".join(value)
                what = "has no words" if not text.strip() else "has no word that the model knows"
                raise DataError(
                    f"Row {row + 1} {what}: {text[:40]!r}. Give a text with words like those of "
                    "the training data."
                )
            return ids if self.vocabulary.unknown_id in ids else [*ids, self.vocabulary.unknown_id]
        if self.kind == "text":
            raise DataError(f"Row {row + 1} is not a text. Received: {short(value)}")
        return self._known(strip_padding(token_row(value, row)), f"Row {row + 1}")

    def _known(self, ids: np.ndarray, what: str) -> np.ndarray:
        """Returns token ids, those beyond the vocabulary as unknown."""
        assert self.vocabulary_size is not None
        if ids.size and (ids.min() < 0 or ids.max() >= self.vocabulary_size):
            if ids.min() < 0 or self.vocabulary is None:
                wrong = ids[(ids < 0) | (ids >= self.vocabulary_size)][0]
                raise DataError(
                    f"{what} holds the token id {wrong}; the ids of this model are 0 to "
                    f"{self.vocabulary_size - 1}. Give such ids, or train with a larger "
                    "vocabulary_size."
                )
            ids = np.where(ids < self.vocabulary_size, ids, self.vocabulary.unknown_id)
        return ids

    def _encode_features(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        assert self.features is not None
        encoded = np.zeros((len(sequences), self.timesteps, self.features), dtype=np.float32)
        for row, sequence in enumerate(sequences):
            self._place(encoded[row], self._scaled(sequence))
        return encoded

    @cached_property
    def _mean_and_scale(self) -> tuple[np.ndarray, np.ndarray] | None:
        if self.scaling is None:
            return None
        mean, scale = (np.asarray(self.scaling[key], np.float32) for key in ("mean", "scale"))
        return mean, scale

    def _scaled(self, steps: np.ndarray) -> np.ndarray:
        """Returns real steps, float32 `[..., features]`, as the model was trained on them."""
        if self._mean_and_scale is None:
            return steps
        mean, scale = self._mean_and_scale
        steps = (steps - mean) / scale
        if not (real := steps.any(axis=-1)).all():
            steps[~real, 0] = _NOT_PADDING
        return steps

    def encode_steps(self, steps: np.ndarray) -> np.ndarray:
        """Encodes time steps of a stream: no padding, nothing cut.

        Args:
            steps: Token ids, integers of any shape, or features, float32 `[..., features]`, without
                NaN.

        Returns:
            The same shape: ids, those beyond the vocabulary as unknown, or scaled features.

        Raises:
            DataError: A token id is negative, or beyond ids that have no vocabulary.
        """
        return self._scaled(steps) if self.kind == "features" else self._known(steps, "A step")

    def encode_part(self, text: str | list[str], begins: bool) -> list[int]:
        """Encodes a part of a text that comes bit by bit; each id is a time step.

        The parts of a text are cut between its tokens, as words are at white space.

        Args:
            text: The next part, or a list of words.
            begins: It is the first part: `<START>` comes before it where the vocabulary has that.

        Returns:
            Token ids; none where the part holds no token, as bare punctuation may not.

        Raises:
            DataError: The model was trained on features, or on token ids without a vocabulary.
        """
        if self.vocabulary is None:
            raise DataError(
                f"The model takes no texts: it was trained on {self.kind}. Received: {short(text)}"
            )
        if isinstance(text, str) and not self.vocabulary.tokenizer.tokens(text):
            return []
        ids = self.vocabulary.encode(text)
        started = isinstance(text, str) and self.vocabulary.start_id is not None
        return ids[1:] if started and not begins else ids

    def _place(self, target: np.ndarray, values: Sequence[Any] | np.ndarray) -> None:
        """Truncates `values` to the target's length and writes them at its unpadded side."""
        if len(values) > len(target):
            cut = len(values) - len(target)
            values = values[cut:] if self.truncating == "pre" else values[: len(target)]
        if len(values):
            if self.padding == "post":
                target[: len(values)] = values
            else:
                target[-len(values) :] = values

    # ------------------------------------------------------------------ labels and targets

    def encode_labels(self, y: Any, x: Any = None) -> np.ndarray:
        """Encodes labels or regression targets.

        Args:
            y: Labels `[n]`, labels per time step, several labels a row (see `label_sets`), or
                targets `[n]` or `[n, outputs]`.
            x: The raw inputs, which say how labels per time step are padded; needed for
                `"sequence_labelling"` alone.

        Returns:
            int32 `[n]`, int32 `[n, timesteps]` (0 where the input is padding), int32
            `[n, labels]` (1 for each label that applies), or float32 `[n, outputs]`.

        Raises:
            DataError: A label was not in the training data, or a target is no finite number; the
                message names its row, counting from 1.
        """
        if self.task == "regression":
            targets = as_targets(y)
            if targets.shape[1] != self.outputs:
                raise DataError(
                    f"The targets have {targets.shape[1]} values per row and the training data "
                    f"had {self.outputs}. Give as many."
                )
            return targets
        assert self.labels is not None
        numbers = {label: i for i, label in enumerate(self.labels)}
        if self.task == "sequence_labelling":
            encoded = np.zeros((len(y), self.timesteps), dtype=np.int32)
            for row, names in enumerate(step_labels(y, x, self.padding, self.padding_value)):
                named = [self._number(name, numbers, row) for name in names]
                if self.vocabulary is not None and is_words(x[row]):
                    named = self._spread(named, self.vocabulary.places(x[row]))
                self._place(encoded[row], named)
            return encoded
        if get_task(self.task).several:
            applies = np.zeros((len(y), len(self.labels)), dtype=np.int32)
            for row, names in enumerate(label_sets(y)):
                applies[row, [self._number(name, numbers, row) for name in names]] = 1
            return applies
        labels = label_names(y)
        return np.array([self._number(n, numbers, i) for i, n in enumerate(labels)], dtype=np.int32)

    def _spread(self, numbers: Sequence[int], places: Sequence[int]) -> list[int]:
        """Returns labels of tokens, from those of words; of `B-` what follows is `I-`."""
        assert self.labels is not None
        spread = []
        for number, start, stop in zip(numbers, places, places[1:], strict=False):
            label = self.labels[number]
            inside = f"I-{label[2:]}" if label.startswith("B-") else label
            rest = self.labels.index(inside) if inside in self.labels else number
            spread += [number, *[rest] * (stop - start - 1)]
        return spread

    def _number(self, label: str, numbers: dict[str, int], row: int) -> int:
        try:
            return numbers[label]
        except KeyError:
            raise DataError(
                f"Row {row + 1} has the label {label!r}, which the training data do not have."
                f"{nearest(label, numbers)} Labels: {some(list(numbers))}."
            ) from None

    def decode(self, outputs: np.ndarray, inputs: np.ndarray | None = None) -> list[dict[str, Any]]:
        """Turns a model's outputs into answers.

        Args:
            outputs: float `[n, outputs]`, or `[n, timesteps, outputs]` for sequence labelling.
            inputs: The encoded inputs; with them, sequence labelling leaves out padding.

        Returns:
            One dict per row: `{"label", "score", "scores": {label: probability}}`; for sequence
            labelling `{"labels", "scores"}`, a label and its probability per step; where several
            may apply `{"labels", "scores": {label: probability}}`, those above one half; for
            regression `{"values"}`.
        """
        outputs = np.asarray(outputs, dtype=np.float64)
        if self.task == "regression":
            return [{"values": row.tolist()} for row in outputs.reshape(len(outputs), -1)]
        assert self.labels is not None
        if self.task == "sequence_labelling":
            answers = []
            for row, steps in enumerate(outputs):
                if inputs is not None:
                    real = inputs[row] != 0
                    real = real if real.ndim == 1 else real.any(axis=1)
                    start, stop = real_span(real, self.padding)
                    steps = steps[start:stop]
                labels = [self.labels[i] for i in steps.argmax(axis=-1)]
                answers.append({"labels": labels, "scores": steps.max(axis=-1).tolist()})
            return answers
        if get_task(self.task).several:
            rows = [dict(zip(self.labels, row.tolist(), strict=True)) for row in outputs]
            return [
                {"labels": [name for name in row if row[name] > 0.5], "scores": row} for row in rows
            ]
        if self.task == "binary":
            second = outputs.reshape(len(outputs), 1)
            outputs = np.concatenate([1.0 - second, second], axis=1)
        answers = []
        for row in outputs:
            best = int(row.argmax())  # the first label at exactly one half, as in Keras' accuracy
            scores = dict(zip(self.labels, row.tolist(), strict=True))
            answers.append(
                {"label": self.labels[best], "score": float(row[best]), "scores": scores}
            )
        return answers

    def answer(
        self,
        x: Sequence[Any] | np.ndarray,
        model: Callable[[np.ndarray], np.ndarray],
        strict: bool = True,
    ) -> list[dict[str, Any]]:
        """Has a model answer raw inputs, whatever it is that computes: Keras or a file.

        Args:
            x: As `encode_inputs` takes them.
            model: From encoded inputs to the model's outputs; not called without inputs.
            strict: Refuse all if one cannot be encoded. Otherwise its answer is
                `{"error": message}`, unless none can be.

        Returns:
            An answer for each input; see `decode`. That of a text with labels per time step has
            its `tokens`, too.

        Raises:
            DataError: An input cannot be encoded; the message names its row.
        """
        errors = {} if strict else self._refused(x)
        good = [row for row in range(len(x)) if row not in errors] if errors else None
        some = x if good is None else [x[row] for row in good]
        answers: list[dict[str, Any]] = []
        if len(some):
            encoded = self.encode_inputs(some)
            answers = self.decode(model(encoded), encoded)
        if self.task == "sequence_labelling" and self.vocabulary is not None:
            answers = [
                self._of_words(answer, value) for answer, value in zip(answers, some, strict=True)
            ]
        if good is None:
            return answers
        found = dict(zip(good, answers, strict=True))
        return [found.get(row) or {"error": errors[row]} for row in range(len(x))]

    def _refused(self, x: Sequence[Any] | np.ndarray) -> dict[int, str]:
        """Returns the rows that cannot be encoded, and why."""
        try:
            self.encode_inputs(x)
            return {}
        except DataError:
            pass
        errors = {}
        for row, value in enumerate(x):
            try:
                self.encode_inputs([value])
            except DataError as error:
                errors[row] = str(error).replace("Row 1", f"Row {row + 1}", 1)
        if len(errors) == len(x):
            raise DataError(errors[0])
        return errors

    def _of_words(self, answer: dict[str, Any], value: Any) -> dict[str, Any]:
        """Returns an answer with the tokens that its labels belong to; None of token ids.

        Of a list of words these are the words, each with the label of its first token.
        """
        assert self.vocabulary is not None
        if isinstance(value, str):
            words = self.vocabulary.tokenizer.tokens(value)
            places = list(range(len(words) + 1))
        elif is_words(value):
            words, places = value, self.vocabulary.places(value)
        else:
            return {**answer, "tokens": None}
        count = len(answer["labels"])
        cut = places[-1] - count if self.truncating == "pre" else 0
        kept = [
            (word, place - cut)
            for word, place in zip(words, places, strict=False)
            if 0 <= place - cut < count
        ]
        labels, scores = answer["labels"], answer["scores"]
        return {
            "labels": [labels[place] for _, place in kept],
            "scores": [scores[place] for _, place in kept],
            "tokens": [word for word, _ in kept],
        }

    # ------------------------------------------------------------------ travelling

    def model_config(self) -> dict[str, Any]:
        """Returns the config keys of a model that the data dictate."""
        config: dict[str, Any] = {
            "features": self.features,
            "timesteps": self.timesteps,
            "task": self.task,
            "outputs": self.outputs,
        }
        if self.vocabulary_size is not None:
            config["vocabulary_size"] = self.vocabulary_size
        return config

    def to_dict(self) -> dict[str, Any]:
        """Returns a JSON-able description; the vocabulary is named and not held."""
        return {
            "kind": self.kind,
            "task": self.task,
            "timesteps": self.timesteps,
            "padding": self.padding,
            "truncating": self.truncating,
            "padding_value": self.padding_value,
            "vocabulary": VOCABULARY_FILE if self.vocabulary else None,
            "vocabulary_size": self.vocabulary_size,
            "tokenizer": self.vocabulary.tokenizer.describe() if self.vocabulary else None,
            "features": self.features,
            "scaling": self.scaling,
            "labels": list(self.labels) if self.labels else None,
            "outputs": self.outputs,
            "reading": self.reading,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], directory: PathLike) -> Preprocessor:
        """Returns the preprocessor of `to_dict`, with the vocabulary of `directory`.

        Raises:
            RunError: A value or the vocabulary is missing or damaged.
        """
        try:
            name, labels = values["vocabulary"], values["labels"]
            if not isinstance(labels, list | None):
                raise TypeError(f"labels={short(labels)}")
            made = cls(
                kind=values["kind"],
                task=values["task"],
                timesteps=values["timesteps"],
                padding=values["padding"],
                truncating=values["truncating"],
                # Before there was a choice, zeros were padding.
                padding_value=values.get("padding_value", 0.0),
                vocabulary=Vocabulary.load(inside(directory, name)) if name is not None else None,
                vocabulary_size=values["vocabulary_size"],
                features=values["features"],
                labels=tuple(labels) if labels else None,
                scaling=values["scaling"],
                outputs=values["outputs"],
                reading=values.get("reading", {}),
            )
            made._check()
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(
                f"The preprocessing of {directory} is damaged ({error!r}). Take a complete copy, "
                "or train again."
            ) from error
        return made

    def _check(self) -> None:
        """Refuses what `fit` never makes: it would fail anywhere, later.

        Raises:
            ValueError: A value is of the wrong type, or contradicts another.
        """

        def count(value: object) -> bool:
            return isinstance(value, int) and not isinstance(value, bool) and value >= 1

        numbers: list[Any] = []
        if self.scaling is not None:
            numbers = [*self.scaling["mean"], *self.scaling["scale"]]
        tokens = self.kind != "features"
        labels = self.labels or ()
        wanted = {"regression": 0, "binary": 2}.get(self.task, self.outputs)
        right = {
            "kind": self.kind in ("text", "tokens", "features"),
            "task": self.task in TASKS,
            "timesteps": count(self.timesteps),
            "padding": self.padding in SIDES,
            "truncating": self.truncating in SIDES,
            "padding_value": self.padding_value is None
            or (isinstance(self.padding_value, (int, float)) and math.isfinite(self.padding_value)),
            "vocabulary": self.vocabulary is not None or self.kind != "text",
            "vocabulary_size": count(self.vocabulary_size) == tokens,
            "features": count(self.features) != tokens,
            "labels": len(labels) == wanted and all(isinstance(label, str) for label in labels),
            "scaling": all(
                isinstance(number, (int, float)) and math.isfinite(number) for number in numbers
            )
            and (not numbers or (not tokens and len(numbers) == 2 * (self.features or 0))),
            "outputs": count(self.outputs),
            "reading": isinstance(self.reading, dict),
        }
        for name, is_right in right.items():
            if not is_right:
                raise ValueError(f"{name}={short(getattr(self, name))}")

    def save(self, directory: PathLike) -> None:
        """Writes `vocab.txt` and `labels.txt` where there are any."""
        directory = Path(directory)
        if self.vocabulary is not None:
            self.vocabulary.save(directory / VOCABULARY_FILE)
        if self.labels is not None:
            write_text(directory / LABELS_FILE, "".join(f"{label}\n" for label in self.labels))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Preprocessor)
            and self.to_dict() == other.to_dict()
            and self.vocabulary == other.vocabulary
        )

    __hash__ = None  # type: ignore[assignment]
