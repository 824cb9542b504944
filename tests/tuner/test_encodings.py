"""Timesteps, vocabulary and batch size as part of a search: data are encoded as trials ask."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny

from keras_rnn_zoo.builder import get_builder
from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError, DataError, OutputError
from keras_rnn_zoo.tuner import DeviceBudget, SearchOptions
from keras_rnn_zoo.tuner.engines import ENGINES
from keras_rnn_zoo.tuner.study import data as study_data
from keras_rnn_zoo.tuner.study.data import Encodings
from keras_rnn_zoo.tuner.study.request import Request

WORDS = ["good fine fun film", "bad dull mess of a film", "fine", "poor dull thing"]
# No copies, which would be held out together: of words alone, each is in ten rows.
TEXTS = [f"{text}{' fine' * n}" for n in range(10) for text in WORDS]
TEXTS = Dataset("texts", "text", Split(TEXTS, ["p", "n", "p", "n"] * 10))
SPACES = {"rnn": lambda hp: {"units": hp.Choice("units", [2])}}


def encodings(dataset=TEXTS, models=("rnn",), **config):
    options = SearchOptions(config=config, validation_split=0.2)
    return Encodings(dataset, Request.of(models, options, DeviceBudget(), None, None))


@pytest.fixture
def encoded(monkeypatch):
    """Returns the sizes for which data are encoded, in order."""
    found, prepare = [], study_data.prepare

    def watched(dataset, config, **options):
        found.append((config.get("timesteps"), config.get("vocabulary_size")))
        return prepare(dataset, config, **options)

    monkeypatch.setattr(study_data, "prepare", watched)
    return found


def test_data_are_encoded_once_for_each_pair_of_sizes_and_not_before_they_are_asked_for(encoded):
    data = encodings(models=("rnn", "gru"), timesteps=[3, 5], vocabulary_size=[8, 5])
    assert encoded == [(3, 5)]
    for name in ("rnn", "gru", "rnn"):
        asked = get_builder(name, timesteps=5, vocabulary_size=8)
        key = data.key(asked.config)
        assert data[key]["x_train"].shape[1] == 5 and data[key]["x_train"].max() == 7
        assert data.fitted(asked).config["vocabulary_size"] == 8
    first = data.key({"timesteps": 3, "vocabulary_size": 5})
    assert data[first]["x_validation"].shape[1] == 3 and data[first]["x_train"].max() == 4
    assert encoded == [(3, 5), (5, 8)]
    assert set(data) == {key, first} and len(data) == 2


def test_only_a_few_encodings_stay_in_memory_and_what_fits_a_model_is_kept_for_all(
    encoded, monkeypatch
):
    monkeypatch.setattr(study_data, "KEPT", 1)
    data = encodings(timesteps=[2, 3, 4])
    for steps in (3, 4, 3):
        asked = get_builder("rnn", timesteps=steps)
        assert data.fitted(asked).config["timesteps"] == steps
    assert encoded[1:] == [(3, 10_000), (4, 10_000)]
    assert data.prepared(asked.config).x_train.shape[1] == 3
    assert encoded[3:] == [(3, 10_000)]


def test_a_model_has_no_more_ids_than_there_are_words():
    data = encodings()
    words = {word for text in WORDS for word in text.split()}
    assert data.config["rnn"]["vocabulary_size"] == len(words) + 2
    asked = get_builder("rnn", vocabulary_size=500, timesteps=80)
    assert data.fitted(asked).config["vocabulary_size"] == len(words) + 2


def test_features_have_their_own_timesteps_unless_others_are_searched():
    rows = tiny.tiny_data()
    assert encodings(rows).config["rnn"]["timesteps"] == 3
    data = encodings(rows, timesteps=[2, 3])
    assert data.config["rnn"]["timesteps"] == [2, 3]
    key = data.key(get_builder("rnn", timesteps=2, features=2).config)
    assert data[key]["x_train"].shape[1:] == (2, 2)
    with pytest.raises(ConfigError, match="vocabulary_size is of texts"):
        encodings(rows, vocabulary_size=[5, 9])


def test_too_few_ids_for_the_tokens_are_refused_before_any_trial():
    x = np.arange(120).reshape(40, 3) % 30
    rows = Dataset("ids", "tokens", Split(x, x[:, 0] % 2))
    assert encodings(rows, vocabulary_size=[30, 40]).config["rnn"]["vocabulary_size"] == [30, 40]
    with pytest.raises(DataError, match="holds the token id"):
        encodings(rows, vocabulary_size=[40, 20])


# ------------------------------------------------------------------------------ end to end


def test_the_winner_has_the_sizes_that_it_was_trained_with(tiny_search, directory):
    result = tiny_search(
        models=["rnn"],
        spaces=SPACES,
        data=TEXTS,
        config={"layers": 1, "embedding_dim": 2, "timesteps": [3, 6], "vocabulary_size": [6, 50]},
        batch_size=(8, 16),
        schedule="cosine",
        learning_rate=0.01,
        tuner="grid",
        max_trials=8,
        epochs=1,
    )
    chosen = [trial.hyperparameters for trial in result.trials]
    tried = {(c["rnn.timesteps"], c["rnn.vocabulary_size"], c["batch_size"]) for c in chosen}
    assert tried == {(t, v, b) for t in (3, 6) for v in (6, 50) for b in (8, 16)}
    words = {word for text in WORDS for word in text.split()}
    for run, trial in [(result.best, result.trials[0])]:
        values, config = trial.hyperparameters, run.info["config"]
        assert run.info["preprocessing"]["timesteps"] == values["rnn.timesteps"]
        assert config["timesteps"] == values["rnn.timesteps"]
        expected = min(values["rnn.vocabulary_size"], len(words) + 2)
        assert config["vocabulary_size"] == expected
        assert run.preprocessor.vocabulary_size == expected
        assert run.info["hyperparameters"]["batch_size"] == values["batch_size"]
        assert run.info["hyperparameters"]["schedule"] == "cosine"
        assert run.load_model().input_shape == (None, values["rnn.timesteps"])
        assert len(run.predict(["fine"])) == 1
    settings = json.loads((directory / "search.json").read_text())["settings"]
    assert settings["batch_size"] == [8, 16]
    assert settings["config"]["timesteps"] == [3, 6]


def test_a_trial_is_told_its_own_arrays_batch_size_and_schedule(tiny_search, monkeypatch):
    seen = []

    class Looking(tiny.Instant):
        def submit(self, job):
            super().submit(job)
            arrays = self.data[job.data]
            seen.append((job.config["timesteps"], arrays["x_train"].shape[1]))
            seen[-1] += (job.batch_size, job.schedule, job.schedule_epochs)

    monkeypatch.setitem(ENGINES._entries, "local", Looking)
    monkeypatch.setattr("keras_rnn_zoo.tuner.study.study.Study.finish", lambda self: None)
    monkeypatch.setattr("keras_rnn_zoo.tuner.study.study.Study.save_winner", lambda self: None)
    tiny_search(
        models=["rnn"],
        spaces=SPACES,
        config={"timesteps": [2, 3]},
        batch_size=[8, 16],
        schedule="linear",
        learning_rate=0.01,
        tuner="grid",
        max_trials=4,
    )
    assert sorted(seen) == [
        (steps, steps, rows, "linear", 2) for steps in (2, 3) for rows in (8, 16)
    ]


# ---------------------------------------------------------------------- older searches go on


def test_a_search_goes_on_that_was_begun_before_there_were_schedules(
    instant_search, directory, press
):
    press(2)
    with pytest.raises(KeyboardInterrupt):
        instant_search()
    file = directory / "search.json"
    info = json.loads(file.read_text())
    del info["settings"]["schedule"]
    file.write_text(json.dumps(info))
    press(None)
    for changed in ({"schedule": "cosine"}, {"batch_size": [32, 64]}):
        with pytest.raises(OutputError, match="holds a search with other settings"):
            instant_search(**changed)
    assert len(instant_search().trials) == 4


def test_a_search_of_all_models_goes_on_with_those_that_there_were(
    instant_search, directory, monkeypatch, press
):
    listed = "keras_rnn_zoo.tuner.study.request.list_models"
    monkeypatch.setattr(listed, lambda: ["rnn", "gru", "rnn_cell"])
    press(2)
    with pytest.raises(KeyboardInterrupt):
        instant_search(models=None)
    monkeypatch.setattr(listed, lambda: ["rnn", "gru", "rnn_cell", "lstm"])
    press(None)
    result = instant_search(models=None)
    assert {trial.model for trial in result.trials} <= {"rnn", "gru"} and len(result.trials) == 4
