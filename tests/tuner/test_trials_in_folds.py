"""Trials that are scored by their mean over folds, and how long trials are trained by default."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError, DataError, OutputError
from keras_rnn_zoo.tuner import DeviceBudget, SearchOptions
from keras_rnn_zoo.tuner.results import cautions
from keras_rnn_zoo.tuner.results.records import TrialRecord
from keras_rnn_zoo.tuner.study.course import told, with_course
from keras_rnn_zoo.tuner.study.data import Encodings
from keras_rnn_zoo.tuner.study.request import Request
from keras_rnn_zoo.tuner.trials.job import ARRAYS, Job, fold_key
from keras_rnn_zoo.tuner.trials.trial import Trial

WORDS = [f"word{i} {'good' if i % 2 else 'bad'}" for i in range(50)]
TEXTS = Dataset(
    "texts", "text", Split(WORDS, [i % 2 for i in range(50)]), Split(WORDS[:4], [0, 1] * 2)
)


# ------------------------------------------------------------------------------ folds


def test_each_fold_has_arrays_and_words_of_its_own():
    options = SearchOptions(config={"timesteps": 2}, folds=3)
    data = Encodings(TEXTS, Request.of(["rnn"], options, DeviceBudget(), None, None))
    hypermodel_config = {"timesteps": 2, "vocabulary_size": data.config["rnn"]["vocabulary_size"]}
    asked = SimpleNamespace(name="rnn", config=hypermodel_config)
    key = data.key(asked.config)
    arrays = data[key]
    assert set(arrays) == {*ARRAYS, *(fold_key(n, name) for n in (2, 3) for name in ARRAYS)}
    held = [arrays["x_validation"], *(arrays[fold_key(n, "x_validation")] for n in (2, 3))]
    assert sum(map(len, held)) == 50
    fitted = SimpleNamespace(config={**asked.config, "units": 2})
    configs = [fitted.config, *data.configs_in_folds(asked, fitted)]
    for config, x in zip(configs, held, strict=True):
        assert config["units"] == 2
        # Each text has a word of its own, which is unknown where the text is held out.
        unknown = data.preprocessor(asked.config).vocabulary.unknown_id
        assert (x == unknown).sum() == len(x)
        # Padding, unknown, good and bad are four more; no fold has more than the first.
        assert config["vocabulary_size"] == min(54 - len(x), fitted.config["vocabulary_size"])
    assert {len(x) for x in held} == {16, 17}
    assert data.first["rnn"].data["folds"] == {"count": 3, "rows": 50, "units": 50}


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """Returns a trial in three folds, of 10, 20 and 30 rows, that are trained in no time."""

    def train(self, model, callbacks):
        rows = len(self.arrays["x_validation"])
        seen.append((rows, self.job.config["units"], self.directory, dict(self.job.device)))
        if rows == fails:
            raise ValueError("too warm in here")
        return {
            "val_accuracy": [rows / 100, rows / 100],
            "val_loss": [0.2, 0.1],
            "loss": [1.0, 1.0],
        }

    def score(self, model):
        self.found |= {"bytes": 1000 + len(self.arrays["x_validation"]), "latency_ms": 1.0}
        self.found["metrics"] |= {"quantized_accuracy": self.found["metrics"]["val_accuracy"]}

    seen: list = []
    fails = None
    monkeypatch.setattr(Trial, "_build", lambda self: SimpleNamespace(count_params=lambda: 3))
    monkeypatch.setattr(Trial, "_measure", lambda *_: None)
    monkeypatch.setattr(Trial, "_train", train)
    monkeypatch.setattr(Trial, "_score", score)
    arrays = {}
    for number, rows in ((1, 10), (2, 20), (3, 30)):
        for name in ARRAYS:
            arrays[name if number == 1 else fold_key(number, name)] = np.zeros((rows, 2))

    def run(failing=None):
        nonlocal fails
        fails = failing
        job = Job(
            trial_id="0",
            model="rnn",
            config={"units": 1},
            learning_rate=0.01,
            seed=1,
            epochs=2,
            initial_epoch=0,
            batch_size=8,
            patience=None,
            objective=("val_accuracy", "max"),
            data="all",
            device=DeviceBudget(max_size=2000).to_dict(),
            folds=({"units": 2}, {"units": 3}),
        )
        job = Job.from_dict(json.loads(json.dumps(job.to_dict())))
        return Trial(job, arrays, tmp_path, None, said.append).run(), seen, tmp_path

    said: list = []
    return run


def test_a_trial_is_the_average_of_its_folds_over_the_rows_and_keeps_the_first(trial):
    outcome, seen, directory = trial()
    assert outcome.status == "completed", outcome.message
    assert [(rows, units) for rows, units, *_ in seen] == [(10, 1), (20, 2), (30, 3)]
    expected = (10 * 0.1 + 20 * 0.2 + 30 * 0.3) / 60
    assert outcome.metrics["val_accuracy"] == pytest.approx(expected)
    assert outcome.metrics["quantized_accuracy"] == pytest.approx(expected)
    assert [fold["val_accuracy"] for fold in outcome.folds] == [0.1, 0.2, 0.3]
    assert outcome.bytes == 1010 and outcome.history["val_accuracy"] == [0.1, 0.1]
    # Of epochs with the same accuracy the one with the lower loss is the best.
    assert outcome.best_epoch == 1
    # The budget is that of the first; the others leave nothing behind.
    assert seen[0][3]["max_size"] == 2000 and seen[1][3]["max_size"] is None
    assert seen[0][2] == directory != seen[1][2] and not list(directory.iterdir())


def test_a_fold_that_fails_is_a_trial_that_fails(trial):
    outcome, *_ = trial(failing=20)
    assert outcome.status == "failed"
    assert outcome.message == "In fold 2/3: ValueError: too warm in here"


def test_a_search_in_folds_goes_on_and_with_others_is_refused(instant_search, directory):
    first = instant_search(folds=3, validation_split=0.1, max_trials=2)
    assert all(len(job.folds) == 2 for job in instant_search.jobs)
    assert first.info["settings"]["folds"] == 3
    assert len(instant_search(folds=3, validation_split=0.1, max_trials=3).trials) == 3
    with pytest.raises(OutputError, match="folds is 3 there and 4 here"):
        instant_search(folds=4, validation_split=0.1, max_trials=3)
    with pytest.raises(OutputError, match="folds is 3 there and None here"):
        instant_search(validation_split=0.1, max_trials=3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"folds": 3, "tuner": "hyperband"},
            ConfigError,
            "'hyperband' trains models on .* Choose the tuner 'bayesian', 'grid', 'random', or",
        ),
        ({"folds": 3, "validation_split": 0.2}, ConfigError, "leave nothing to validation_split"),
        ({"folds": 1}, ConfigError, "folds is how many parts"),
        ({"folds": 50}, DataError, "The rarest label.* and 50 folds need one in each"),
    ],
)
def test_folds_that_a_search_cannot_have_are_refused(
    instant_search, directory, changes, error, message
):
    with pytest.raises(error, match=message):
        instant_search(**{"validation_split": 0.1, **changes})
    assert not directory.exists()


def test_a_winner_of_folds_is_as_sure_as_all_their_rows():
    trials = [TrialRecord("0", "completed", 0.96, "gru", {"gru.units": 2})]
    info = {
        "objective": {"name": "val_accuracy", "direction": "max"},
        "data": {
            "gru": {"rows": {"validation": 54}, "folds": {"count": 5, "rows": 270, "units": 270}}
        },
    }
    said = cautions.interval(info, trials, trials[0])
    assert said is not None and not said.matters
    assert str(said).startswith("Chosen on 270 validation rows in 5 folds: its accuracy of 96.00 %")
    overlapping = {**info["data"]["gru"], "folds": {"count": 5, "rows": 270, "units": 30}}
    wider = cautions.interval({**info, "data": {"gru": overlapping}}, trials, trials[0])
    assert wider is not None and wider.rows == 270 and wider.matters
    assert (
        cautions.interval(
            {**info, "data": {"gru": {"rows": {"validation": 54}}}}, trials, trials[0]
        ).rows
        == 54
    )


# ------------------------------------------------------------------------------ the course


def test_trials_are_trained_as_long_as_train_would_by_the_rows():
    few = with_course(SearchOptions(), 243)
    assert (few.epochs, few.batch_size, few.patience) == (250, 32, 42)
    assert few.learning_rate == pytest.approx((3e-4, 3e-2))
    assert told(few) == (
        "up to 250 epochs of 32 rows a step, learning rate 0.0003 to 0.03; stops after 42 without "
        "a better validation loss"
    )
    many = with_course(SearchOptions(), 25_000)
    assert (many.epochs, many.batch_size, many.patience) == (6, 64, 2)
    assert many.learning_rate == pytest.approx((1e-4, 1e-2))
    said = SearchOptions(epochs=3, batch_size=(8, 16), patience=1, learning_rate=0.01, folds=2)
    assert with_course(said, 243) == said
    assert told(said).startswith("up to 3 epochs of 8 or 16 rows a step, learning rate 0.01; stops")
    assert told(said).endswith("; in 2 folds, so 2 times")
    # Epochs that were asked for are all trained, as `train` has it.
    assert with_course(SearchOptions(epochs=3), 243).patience == 0


def test_a_search_says_what_it_chose_and_goes_on_with_that(instant_search, directory, capsys):
    left_out = {"epochs": None, "batch_size": None, "patience": None, "learning_rate": None}
    instant_search(**left_out, max_trials=1, progress=True)
    # 38 rows are two steps an epoch.
    assert "Each trial  up to 500 epochs of 32 rows a step" in capsys.readouterr().err
    assert instant_search.jobs[0].epochs == 500 and instant_search.jobs[0].patience == 84
    settings = json.loads((directory / "search.json").read_text())["settings"]
    assert (settings["epochs"], settings["batch_size"], settings["patience"]) == (500, 32, 84)
    assert len(instant_search(**left_out, max_trials=2).trials) == 2
    with pytest.raises(OutputError, match="epochs is 500 there and 4 here"):
        instant_search(**{**left_out, "epochs": 4}, max_trials=2)


@pytest.mark.parametrize("missing", [(), ("epochs", "batch_size", "patience", "learning_rate")])
@pytest.mark.parametrize("patience", [2, None])
def test_an_old_search_goes_on_with_what_it_had(instant_search, directory, missing, patience):
    old = {"epochs": 4, "batch_size": 64, "patience": 2, "learning_rate": (1e-4, 1e-2)}
    if patience is None and not missing:
        old["patience"] = 0  # which was written as null
    instant_search(**old, max_trials=1)
    file = directory / "search.json"
    info = json.loads(file.read_text())
    assert info["settings"]["patience"] == (old["patience"] or None)
    for name in (*missing, "folds"):
        del info["settings"][name]
    file.write_text(json.dumps(info))
    result = instant_search(**dict.fromkeys(old), max_trials=2)
    job = instant_search.jobs[-1]
    assert len(result.trials) == 2
    assert (job.epochs, job.batch_size, job.patience) == (4, 64, old["patience"] or None)
    assert 1e-4 <= job.learning_rate <= 1e-2
