"""What a training is worth, by all rows: repeated without each part of them, which is asked then.

A validation on 30 rows says little. With folds (Stone, "Cross-validatory choice and assessment of
statistical predictions", 1974) each row is answered once, by a model that did not see it: what is
fitted to data, the words and the scaling too, is fitted to the other rows, and so is the choice of
the best epoch, by rows for validation among these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.data import Dataset
from keras_rnn_zoo.data.folds import Fold, folds_of, units_of
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.labels import infer_task
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.training.baseline import HELD_OUT, best_of, verdict
from keras_rnn_zoo.training.feed import BATCH_SIZE
from keras_rnn_zoo.training.fit import fit_and_evaluate, of_labels
from keras_rnn_zoo.training.intervals import of_mean, wilson
from keras_rnn_zoo.training.metrics import (
    DIRECTIONS,
    SHARES,
    as_probabilities,
    metrics_of,
    real_answers,
    scores,
)
from keras_rnn_zoo.training.options import DataOptions, TrainOptions
from keras_rnn_zoo.training.prepare import Parts, Prepared, parts_of, prepare

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class CrossValidation:
    """How a training did in its folds.

    Attributes:
        record: What `run.json` says of it: see `cross_validate`.
        rows: float `[n]`: what each row that was held out, in the order of the folds, makes of the
            figure that the model is judged by: their mean is the figure.
        units: int `[n]`: which of these rows count as one: see `folds.units_of`.
    """

    record: dict[str, Any]
    rows: np.ndarray
    units: np.ndarray


def cross_validate(
    model: str,
    dataset: Dataset,
    config: Mapping[str, Any] | None,
    options: TrainOptions,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
) -> CrossValidation:
    """Trains a model once for each fold, without it, and has it answer the fold.

    The folds of a data set are the same for every model.

    Args:
        model: A name of `list_models()`.
        dataset: Its training rows are cut into folds; test rows take no part.
        config: Config keys of the model.
        options: How to train; `folds` says how often.
        callbacks: Further Keras callbacks.
        progress: Write a line per epoch to stderr.

    Returns:
        Of which `record` has `count` and `split`; `rows` that were held out, `units` of them that
        share nothing, and `right` ones, where there is one answer a row; the `measure` that the
        model is judged by, its `value` over all these rows, `mean` and `deviation` over the folds,
        and the 95 % `interval` of the value, None where it is not known; `metrics` and
        `evaluation` of all these rows, `baselines` and `verdict` on them; and `each` fold. The
        models of the folds share training rows, so that the interval is a little narrow (Bengio
        and Grandvalet, JMLR 5, 2004).

    Raises:
        ConfigError: Options contradict the data, or a training diverged.
        DataError: There are too few rows for so many folds.
    """
    assert options.folds is not None
    task = infer_task(dataset, options.task or (config or {}).get("task"))
    way = options.split or dataset.split
    encoding = DataOptions.part_of(options).keywords()
    rows = dataset.train
    answered: list[_Answered] = []
    for fold in folds_of(rows, options.folds, options.seed, way, task):
        parts = _parts(fold, dataset, options, way, task)
        prepared = prepare(dataset, config, models=[model], parts=parts, **encoding)
        fitted = fit_and_evaluate(
            prepared,
            prepared.builder(model, config),
            options,
            callbacks=callbacks,
            progress=progress,
            title=f"{model}, {fold}",
        )
        assert prepared.test is not None
        outputs = fitted.model.predict(prepared.test[0], batch_size=BATCH_SIZE, verbose=0)
        answered.append(_Answered(fold, prepared, outputs, fitted.metrics))
    return _summed(
        answered, way, options, units_of(rows.spans, _all(one.fold.held for one in answered))
    )


@dataclass(frozen=True)
class _Answered:
    """A fold, and what a model that did not see it answers."""

    fold: Fold
    prepared: Prepared
    outputs: np.ndarray
    metrics: Mapping[str, Any]

    @property
    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """The inputs and labels that were held out."""
        assert self.prepared.test is not None
        return self.prepared.test

    def to_dict(self) -> dict[str, Any]:
        """Returns what `run.json` says of the fold."""
        rows = dict(self.prepared.data["rows"])
        names = ("loss", *metrics_of(self.prepared.preprocessor.task))
        return {
            "rows": {
                "train": rows["train"],
                "validation": rows["validation"],
                HELD_OUT: rows["test"],
            },
            "metrics": {name: self.metrics.get(f"test_{name}") for name in names},
            **{name: self.metrics[name] for name in ("epochs", "best_epoch", "seconds")},
        }


def _parts(fold: Fold, dataset: Dataset, options: TrainOptions, way: str, task: str) -> Parts:
    try:
        parts = parts_of(dataset.train, options, way, task, among=fold.kept)
    except DataError as error:
        raise DataError(f"In {fold}, of the rows that are left: {error}") from error
    return replace(parts, test=fold.held)


def _all(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(arrays))


def _summed(
    answered: Sequence[_Answered], way: str, options: TrainOptions, units: np.ndarray
) -> CrossValidation:
    """Returns the figures of all folds together."""
    preprocessor = answered[0].prepared.preprocessor
    task = get_task(preprocessor.task)
    measure = task.metric if options.class_weight is None else "balanced_accuracy"
    x, y = (_all(one.pair[i] for one in answered) for i in (0, 1))
    outputs = _all(one.outputs for one in answered)
    figures: dict[str, Any] = scores(outputs, y, task.name, real_answers(x, y, task.name))
    evaluation = {} if task.name == "regression" else of_labels(preprocessor, (x, y), outputs)[1]
    rows, right = _of_rows(outputs, x, y, task.name, measure == "balanced_accuracy")
    each = [one.to_dict() for one in answered]
    found = [one["metrics"][measure] for one in each if one["metrics"][measure] is not None]
    baselines = _baselines(answered)
    metrics = {f"{HELD_OUT}_{name}": value for name, value in figures.items()}
    interval = _interval(measure, figures[measure], rows, units)
    record = {
        "count": len(answered),
        "split": way,
        "rows": len(rows),
        "units": len(np.unique(units)),
        "right": right,
        "measure": measure,
        "value": figures[measure],
        "mean": float(np.mean(found)) if found else None,
        "deviation": float(np.std(found, ddof=1)) if len(found) > 1 else None,
        "interval": interval and list(interval),
        "metrics": figures,
        "evaluation": evaluation,
        "baselines": baselines,
        "verdict": verdict(metrics, baselines, measure, evaluation.get("always")),
        "each": each,
    }
    return CrossValidation(record, rows, units)


def _of_rows(
    outputs: np.ndarray, x: np.ndarray, y: np.ndarray, task: str, balanced: bool
) -> tuple[np.ndarray, int | None]:
    """Returns what each row makes of the figure, whose mean is the figure; and how many are right.

    Args:
        outputs: Of models, `[n, ...]`.
        x: Encoded inputs.
        y: Encoded labels, or targets.
        task: Name of the task.
        balanced: Each label counts alike.

    Returns:
        float `[n]`; the number is None where a row has several answers, or a target.
    """
    if task == "regression":
        return np.abs(outputs.astype(np.float64) - y.reshape(outputs.shape)).mean(axis=1), None
    if get_task(task).several:
        return ((outputs > 0.5) == (y > 0)).mean(axis=1), None
    right = as_probabilities(outputs).argmax(axis=-1).reshape(y.shape) == y
    real = real_answers(x, y, task)
    counts = np.ones(y.shape, bool) if real is None else real
    weights = counts / counts.sum()
    if balanced:
        of_label = np.bincount(y[counts])
        weights = counts / np.maximum(of_label[y], 1) / (of_label > 0).sum()
    rows = (right * weights).reshape(len(y), -1).sum(axis=1) * len(y)
    return rows, int(right.sum()) if real is None else None


def _interval(
    measure: str, value: float, rows: np.ndarray, units: np.ndarray
) -> tuple[float, float] | None:
    # A share near 0 or 1 is not spread evenly around its mean.
    return wilson(value, len(np.unique(units))) if measure == "accuracy" else of_mean(rows, units)


def _baselines(answered: Sequence[_Answered]) -> list[dict[str, Any]]:
    """Returns what answers without a model are worth, fitted in each fold: averages over the rows.

    One that a fold lacks is left out.
    """
    in_folds = [{one["name"]: one for one in fold.prepared.data["baselines"]} for fold in answered]
    weights = [len(fold.fold.held) for fold in answered]
    found = []
    for name, first in in_folds[0].items():
        figures = [fold.get(name, {}).get("test") for fold in in_folds]
        if any(one is None for one in figures):
            continue
        averages = {
            measure: None
            if any(one[measure] is None for one in figures)
            else float(np.average([one[measure] for one in figures], weights=weights))
            for measure in first["test"]
        }
        texts = {fold[name]["text"] for fold in in_folds}
        text = texts.pop() if len(texts) == 1 else "as the training rows of each fold have it"
        found.append({"name": name, "text": text, HELD_OUT: averages})
    return found


def best_of_folds(found: Iterable[CrossValidation]) -> CrossValidation:
    """Returns the best of the same folds of several models; of equals, the first."""
    found = list(found)
    sign = 1 if DIRECTIONS[found[0].record["measure"]] == "max" else -1
    return max(found, key=lambda one: sign * one.record["value"])


def sentence(record: Mapping[str, Any]) -> str:
    """Returns what folds say of a training, for a person.

    Args:
        record: See `cross_validate`.
    """
    measure, value = record["measure"], record["value"]
    percent = measure in SHARES

    def number(figure: float) -> str:
        return f"{100 * figure:.1f}" if percent else f"{figure:.4g}"

    unit = " %" if percent else ""
    text = f"{measure.replace('_', ' ')} {number(value)}{unit}"
    if record["deviation"] is not None:
        text += f" ± {number(record['deviation'])}"
    rows = f"{record['rows']:,} rows"
    if record["right"] is not None and measure == "accuracy":
        rows = f"{record['right']:,} of {rows} right"
    text += f" in {record['count']} folds ({rows}"
    if record["interval"] is not None:
        low, high = map(number, record["interval"])
        text += f", 95 % interval {low} to {high}{unit}"
        if record["units"] < record["rows"]:
            text += f", which counts {record['units']:,} that share little"
    best = best_of(record["baselines"], HELD_OUT, measure)
    if best is not None:
        text += f"; {best[0]['name']} {number(best[1])}{unit}"
    return f"{text})"
