"""Folds: each row is held out once, from a model that saw nothing of it."""

import csv
import html
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.data.dataset import Spans
from keras_rnn_zoo.data.folds import Fold, folds_of, units_of
from keras_rnn_zoo.errors import ConfigError, DataError
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.training import compare as comparing
from keras_rnn_zoo.training import cross_validation
from keras_rnn_zoo.training.cross_validation import cross_validate, sentence
from keras_rnn_zoo.training.intervals import chance_of_difference, of_mean
from keras_rnn_zoo.training.metrics import scores
from keras_rnn_zoo.training.options import TrainOptions
from keras_rnn_zoo.training.run import Run
from keras_rnn_zoo.training.train import train

TINY = {"units": 2, "embedding_dim": 2, "timesteps": 6, "layers": 1}


def windows(recordings=1, count=120, width=20, stride=5, ahead=0, seed=0):
    """Windows of a clock that overlap, with a label drawn for each stretch of four of them."""
    generator = np.random.default_rng(seed)
    which = np.repeat(np.arange(recordings), count)
    start = np.tile(np.arange(count) * stride, recordings)
    stop = start + width + ahead
    names = tuple(map(str, range(recordings)))
    spans = Spans(which, start, start + width if ahead else start, stop, names)
    x = (start[:, None] + np.arange(width))[:, :, None].astype(np.float32)
    labels = generator.integers(0, 2, (recordings, count // 4 + 1))
    return Split(x, labels[which, np.tile(np.arange(count) // 4, recordings)], spans)


def touching(spans, rows, others):
    """How many of some windows share a row of the table with what others are asked."""
    return sum(
        bool(
            (
                (spans.recording[others] == spans.recording[row])
                & (spans.start[row] < spans.stop[others])
                & (spans.stop[row] > spans.asked[others])
            ).any()
        )
        for row in rows
    )


# ------------------------------------------------------------------------------ which rows


def test_each_row_is_held_out_once_and_each_label_is_in_every_fold():
    labels = np.repeat(np.arange(9), 30)
    rows = Split(np.zeros((270, 1)), labels)
    folds = folds_of(rows, 5, 3, "random", "multiclass")
    assert [str(fold) for fold in folds] == [f"fold {i}/5" for i in range(1, 6)]
    assert sorted(np.concatenate([fold.held for fold in folds]).tolist()) == list(range(270))
    for fold in folds:
        assert not set(fold.kept) & set(fold.held)
        assert np.bincount(labels[fold.held]).tolist() == [6] * 9
    again, other = (folds_of(rows, 5, seed, "random", "multiclass") for seed in (3, 4))
    assert all((a.held == b.held).all() for a, b in zip(folds, again, strict=True))
    assert any((a.held != b.held).any() for a, b in zip(folds, other, strict=True))


@pytest.mark.parametrize("count", [5, 7, 23])
def test_targets_are_held_out_over_their_whole_range(count):
    targets = np.arange(count, dtype=np.float64)
    folds = folds_of(Split(np.zeros((count, 1)), targets), 5, 0, "random", "regression")
    assert sorted(np.concatenate([fold.held for fold in folds]).tolist()) == list(range(count))
    if count == 23:
        assert all(np.ptp(targets[fold.held]) >= 11 for fold in folds)  # of 22


@pytest.mark.parametrize(
    ("split", "recordings"),
    [("random", 1), ("random", 6), ("group", 6), ("time", 1), ("time", 3)],
)
@pytest.mark.parametrize("ahead", [0, 3])
def test_windows_that_overlap_are_never_on_both_sides_of_a_fold(split, recordings, ahead):
    rows = windows(recordings, ahead=ahead)
    spans = rows.spans
    folds = folds_of(rows, 4, 0, split, "regression" if ahead else "binary")
    held = np.concatenate([fold.held for fold in folds])
    assert len(set(held.tolist())) == len(held)
    if split != "time":
        assert len(held) == len(rows)
    for fold in folds:
        assert len(fold.kept) and not touching(spans, fold.kept, fold.held)
        if split == "group":
            assert not set(spans.recording[fold.kept]) & set(spans.recording[fold.held])
        if split == "time":
            for number in set(spans.recording):
                kept, asked = (
                    part[spans.recording[part] == number] for part in (fold.kept, fold.held)
                )
                assert spans.stop[kept].max() <= spans.asked[asked].min()
    # The check is one that a fold can fail: rows dealt out by their labels alone.
    careless = folds_of(Split(rows.x, rows.y), 4, 0, "random", "binary")[0]
    assert touching(spans, careless.kept, careless.held) > 50


def test_copies_and_the_recordings_of_a_person_are_in_one_fold():
    texts = [f"text {i // 2}" for i in range(80)]
    rows = Split(texts, ["a" if i // 2 % 2 else "b" for i in range(80)])
    folds = folds_of(rows, 4, task="binary")
    assert sorted(np.concatenate([fold.held for fold in folds])) == list(range(80))
    for fold in folds:
        assert not {texts[i] for i in fold.kept} & {texts[i] for i in fold.held}
    rows = windows(8)
    people = rows.spans.recording // 2
    rows = replace(rows, spans=replace(rows.spans, groups=people))
    for fold in folds_of(rows, 4, split="group", task="binary"):
        assert not set(people[fold.kept]) & set(people[fold.held])
    with pytest.raises(DataError, match="folds to 4"):
        folds_of(rows, 5, split="group", task="binary")


def test_in_time_a_fold_is_held_out_from_what_came_before():
    rows = Split(np.zeros((12, 1)), np.arange(12) % 2)
    folds = folds_of(rows, 3, 0, "time", "binary")
    assert [(len(fold.kept), fold.held.tolist()) for fold in folds] == [
        (3, [3, 4, 5]),
        (6, [6, 7, 8]),
        (9, [9, 10, 11]),
    ]


@pytest.mark.parametrize(
    ("rows", "count", "split", "task", "kind", "message"),
    [
        (
            Split([0] * 6, ["a"] * 4 + ["b"] * 2),
            3,
            "random",
            "binary",
            DataError,
            "The rarest label, 'b', has 2 rows, and 3 folds need one in each. Set folds to 2, or",
        ),
        (
            Split([0] * 6, ["a"] * 5 + ["b"]),
            2,
            "random",
            "binary",
            DataError,
            "The label 'b' has 1 row, and folds need 2 of each label",
        ),
        (
            Split([0] * 3, [1.0, 2.0, 3.0]),
            5,
            "random",
            "regression",
            DataError,
            "5 folds of 3 rows are too many. Set folds to 3 or fewer.",
        ),
        (windows(3), 4, "group", "binary", DataError, "There are 3 recordings, and 4 folds"),
        (windows(1), 2, "group", "binary", DataError, "1 recording, .* Take split time or random"),
        (windows(1, 8), 5, "random", "binary", DataError, "too few rows .8. for 5 folds"),
        (Split([0] * 4, [0, 1] * 2), 2, "group", "binary", ConfigError, "these data have none"),
    ],
)
def test_folds_that_cannot_be_are_refused_with_what_can(rows, count, split, task, kind, message):
    with pytest.raises(kind, match=message):
        folds_of(rows, count, 0, split, task)


@pytest.mark.parametrize("count", [0, 1, -3, 2.5, "5", True])
def test_fewer_than_two_folds_are_none(count):
    with pytest.raises(ConfigError, match=r"folds is how many parts .* 2 or more, usually 5"):
        TrainOptions(folds=count)
    assert TrainOptions(folds=2).folds == 2


def test_windows_that_overlap_count_as_one():
    spans = windows(2).spans
    units = units_of(spans, np.arange(len(spans)))
    # 120 windows of 20 steps, 5 steps apart, are 30 that share nothing; of two recordings.
    assert len(np.unique(units)) == 60
    assert len(np.unique(units_of(None, np.arange(7)))) == 7


# ------------------------------------------------------------------------------ what they say


class Neighbour:
    """Answers as the training row that is most like the one it is asked."""

    def __init__(self, prepared):
        self.task = get_task(prepared.preprocessor.task)
        self.outputs = prepared.preprocessor.outputs
        self.x, self.y = prepared.x_train, prepared.y_train

    def predict(self, x, batch_size, verbose):
        known, asked = (rows.reshape(len(rows), -1).astype(float) for rows in (self.x, x))
        nearest = ((asked[:, None] - known[None]) ** 2).sum(axis=2).argmin(axis=1)
        y = self.y[nearest]
        if self.task.name == "regression" or self.task.several:
            return y.reshape(len(y), -1).astype(float)
        return y[..., None].astype(float) if self.outputs == 1 else np.eye(self.outputs)[y]


class Constant(Neighbour):
    """Answers every row with the label of the first."""

    def predict(self, x, batch_size, verbose):
        return np.repeat(super().predict(self.x[:1], batch_size, verbose), len(x), axis=0)


@pytest.fixture
def eager(recwarn):
    """Tracing a graph takes longer than training these models for an epoch."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def seen(monkeypatch):
    """Has folds 'trained' in no time: by what was learnt by heart. Returns what each one saw."""
    found = []

    def fit(prepared, builder, options, *, callbacks=(), progress=True, title=None):
        found.append((title, prepared))
        model = (Constant if builder.name == "gru" else Neighbour)(prepared)
        x, y = prepared.test or prepared.validation
        figures = scores(model.predict(x, 1, 0), y, prepared.preprocessor.task)
        metrics = {f"test_{name}": value for name, value in figures.items()}
        return SimpleNamespace(
            model=model,
            metrics={**metrics, "epochs": 1, "best_epoch": 1, "seconds": 0.1},
            hyperparameters={},
        )

    monkeypatch.setattr(cross_validation, "fit_and_evaluate", fit)
    monkeypatch.setattr(comparing, "fit_and_evaluate", fit)
    return found


def validated(dataset, model="rnn", config=TINY, **options):
    return cross_validate(model, dataset, config, TrainOptions(**options), progress=False)


def test_one_split_of_few_rows_misleads_and_folds_do_not(seen):
    generator = np.random.default_rng(11)
    x = generator.normal(size=(40, 3, 2)).astype(np.float32)
    dataset = Dataset("noise", "features", Split(x, generator.integers(0, 2, 40)))
    config = {"units": 2}
    lucky = None
    for seed in range(20):  # one of the splits into 36 rows and 4
        prepared = cross_validation.prepare(dataset, config, seed=seed)
        right = Neighbour(prepared).predict(prepared.x_validation, 1, 0)[:, 0]
        if (right == prepared.y_validation).all():
            lucky = seed
    assert lucky is not None
    record = validated(dataset, config=config, folds=5, seed=lucky).record
    assert record["rows"] == 40 and len(record["each"]) == 5
    low, high = record["interval"]
    # There is nothing to learn.
    assert low < 0.5 < high < 0.75
    assert record["verdict"]["beats_baseline"] is False
    assert record["verdict"]["part"] == "held-out"


def test_a_leak_between_folds_would_be_seen_and_is_not_there(seen, monkeypatch):
    rows = windows(count=200)
    dataset = Dataset("log", "features", rows, split="random")
    honest = validated(dataset, config={}, folds=4).record

    def careless(rows, count, seed, split, task):
        whole = folds_of(Split(rows.x, rows.y), count, seed, "random", task)
        return [Fold(f.number, f.count, f.kept, f.held) for f in whole]

    monkeypatch.setattr(cross_validation, "folds_of", careless)
    monkeypatch.setattr(
        cross_validation,
        "parts_of",
        lambda rows, options, way, task, among: cross_validation.Parts(among, among[:1]),
    )
    leaky = validated(dataset, config={}, folds=4).record
    # Windows beside each other have mostly the same label, those that share nothing by chance
    # alone: 0.7 is nearly three deviations of 50 draws above one half.
    assert leaky["value"] > 0.8
    assert honest["value"] < 0.7
    assert honest["units"] == 50 < honest["rows"] == 200


def test_what_is_fitted_to_data_is_fitted_to_the_other_rows(seen):
    x = [f"film word{i}" for i in range(40)]
    dataset = Dataset("texts", "text", Split(x, ["pos", "neg"] * 20))
    validated(dataset, config={"timesteps": 2}, folds=4, validation_split=0.2)
    assert [title for title, _ in seen] == [f"rnn, fold {i}/4" for i in range(1, 5)]
    for _, prepared in seen:
        unknown = prepared.preprocessor.vocabulary.unknown_id
        # Every row has a word of its own: those that were held out are unknown.
        assert (prepared.x_test[:, 1] == unknown).all()
        assert (prepared.x_validation[:, 1] == unknown).all()
        assert len(set(prepared.x_train[:, 1].tolist())) == 24
        assert prepared.data["rows"] == {"train": 24, "validation": 6, "test": 10}
    seen.clear()
    loud = np.arange(40, dtype=np.float32).reshape(40, 1, 1) ** 3
    dataset = Dataset("loud", "features", Split(loud, [0, 1] * 20))
    validated(dataset, config={}, folds=2, validation_split=0)
    for _, prepared in seen:
        assert prepared.x_train.mean() == pytest.approx(0, abs=1e-5)
        assert abs(prepared.x_test.mean()) > 1e-3


@pytest.mark.parametrize(
    "task", ["binary", "multiclass", "multilabel", "sequence_labelling", "regression"]
)
def test_folds_of_every_task_are_figures_over_all_rows(task, seen):
    generator = np.random.default_rng(0)
    x = generator.integers(1, 4, (60, 5))
    x[::3, 3:] = 0
    y = {
        "binary": x[:, 0] % 2,
        "multiclass": x[:, 0],
        "multilabel": [[str(i) for i in range(1, 4) if i in row] for row in x],
        "sequence_labelling": x + 10,
        "regression": x[:, 0] * 1.5,
    }[task]
    dataset = Dataset("d", "tokens", Split(x, y), task=task)
    found = validated(dataset, folds=3)
    record = found.record
    assert len(found.rows) == len(found.units) == record["rows"] == 60
    # What each row makes of the figure: 1e-9, as sums may be taken in another order.
    assert found.rows.mean() == pytest.approx(record["value"], abs=1e-9)
    assert record["metrics"][get_task(task).metric] == record["value"]
    assert (record["right"] is not None) == (task in ("binary", "multiclass"))
    if record["right"] is not None:
        assert record["value"] == pytest.approx(record["right"] / 60)
    low, high = record["interval"]
    assert low <= record["value"] <= high
    assert {one["name"] for one in record["baselines"]} >= {record["verdict"]["name"]}
    json.dumps(record, allow_nan=False)
    assert " in 3 folds (" in sentence(record)


def test_labels_that_count_alike_are_judged_alike(seen):
    x = np.random.default_rng(0).normal(size=(60, 3, 1)).astype(np.float32)
    y = np.array([0] * 48 + [1] * 12)
    dataset = Dataset("rare", "features", Split(x, y))
    found = validated(dataset, "gru", {}, folds=3, class_weight="balanced")
    assert found.record["measure"] == "balanced_accuracy"
    assert found.rows.mean() == pytest.approx(found.record["value"]) == pytest.approx(0.5)
    assert found.record["metrics"]["accuracy"] > 0.7
    assert found.record["verdict"]["beats_baseline"] is False
    assert found.record["evaluation"]["always"] == "0"


def test_the_sentence_says_what_is_known():
    record = {
        "count": 5,
        "rows": 270,
        "units": 270,
        "right": 260,
        "measure": "accuracy",
        "value": 260 / 270,
        "deviation": 0.012,
        "interval": [0.9331, 0.9798],
        "baselines": [{"name": "majority", "text": "", "held-out": {"accuracy": 31 / 270}}],
    }
    assert sentence(record) == (
        "accuracy 96.3 % ± 1.2 in 5 folds (260 of 270 rows right, 95 % interval 93.3 to 98.0 %; "
        "majority 11.5 %)"
    )
    assert "93.3 to 98.0 %, which counts 90 that share little" in sentence({**record, "units": 90})


# ------------------------------------------------------------------------------ intervals


def test_the_chance_of_a_difference_is_that_of_the_books():
    # McNemar's exact test: of 9 rows that one of two models answers rightly, 8 are the first's.
    first, second = np.array([1.0] * 8 + [0] + [1] * 50), np.array([0.0] * 8 + [1] + [1] * 50)
    exact = 2 * (1 + 9) / 2**9
    # Of 10,000 exchanges: four deviations.
    assert chance_of_difference(first, second, np.arange(59)) == pytest.approx(exact, abs=0.008)
    assert chance_of_difference(first, first, np.arange(59)) == 1.0
    # The same rows ten times are not ten times as sure.
    often = [np.repeat(one, 10) for one in (first, second, np.arange(59))]
    assert chance_of_difference(*often) == pytest.approx(exact, abs=0.008)
    assert chance_of_difference(*often[:2], np.arange(590)) < 0.001


def test_the_interval_of_a_mean_knows_rows_that_count_as_one():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    # 1.96 standard errors of a mean of four.
    reach = 1.959964 * values.std(ddof=1) / 2
    assert of_mean(values, np.arange(4)) == pytest.approx((2.5 - reach, 2.5 + reach))
    twice = of_mean(np.repeat(values, 2), np.repeat(np.arange(4), 2))
    assert twice == pytest.approx((2.5 - reach, 2.5 + reach))
    assert of_mean(values, np.zeros(4, int)) is None


# ------------------------------------------------------------------------------ commands


def test_models_are_compared_on_the_same_folds_and_chance_is_said(
    seen, texts, tmp_path, monkeypatch
):
    def save(directory, prepared, fitted, *, seed, command, folds):
        (directory / "model.keras").touch()
        metrics = {"train_loss": 0.5, "train_accuracy": 0.5}
        return {"metrics": metrics, "provenance": {}, "verdict": folds["verdict"]}

    monkeypatch.setattr(comparing, "save_run", save)
    monkeypatch.setattr(comparing, "_plot", lambda *_: None)
    monkeypatch.setattr(comparing, "comparison_page", lambda *_: "")
    rows = comparing.compare(
        ["gru", "rnn", "lstm"],
        texts,
        config=TINY,
        output=tmp_path / "c",
        folds=4,
        progress=False,
        baseline=False,
    )
    held = {
        model: [p.data["rows"] for title, p in seen if title and title.startswith(model)]
        for model in ("gru", "rnn")
    }
    assert held["gru"] == held["rnn"] and len(held["rnn"]) == 4
    constant, first, same = rows
    assert first["folds"]["value"] > 0.8 and constant["folds"]["value"] == 0.5
    assert first["chance"] is None and same["chance"] == 1.0 and constant["chance"] < 0.01
    assert first["beats_baseline"] is True and constant["beats_baseline"] is False
    with (tmp_path / "c" / "compare.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert float(table[1]["folds_value"]) == first["folds"]["value"]
    assert float(table[1]["folds_low"]) == first["folds"]["interval"][0]
    assert json.loads((tmp_path / "c" / "compare.json").read_text())["models"] == rows


def test_a_run_keeps_what_its_folds_say_and_its_model_is_the_one_without_them(
    texts, tmp_path, capsys, eager
):
    options = {"config": TINY, "epochs": 1}
    run = train("rnn", texts, **options, folds=2, output=tmp_path / "run")
    said = capsys.readouterr().err
    assert "rnn, fold 2/2: epoch 1/1" in said and "rnn: epoch 1/1" in said
    record = Run.load(tmp_path / "run").folds
    assert record == run.folds and record["count"] == 2 and record["rows"] == 40
    assert [one["rows"] for one in record["each"]] == [
        {"train": 18, "validation": 2, "held-out": 20}
    ] * 2
    assert run.info["verdict"] == record["verdict"]
    assert run.info["data"]["rows"] == {"train": 36, "validation": 4, "test": 0}
    page = (tmp_path / "run" / "report.html").read_text()
    assert sentence(record) in html.unescape(page) and "40 held-out rows" in page
    alone = train("rnn", texts, **options, progress=False)
    assert alone.folds is None
    # 1e-6: float32 sums may be taken in another order.
    assert alone.metrics["train_loss"] == pytest.approx(run.metrics["train_loss"], rel=1e-6)
    with pytest.raises(ConfigError, match="resume goes on with the one model of a run"):
        train("rnn", texts, **options, folds=2, resume=True, output=tmp_path / "run")
