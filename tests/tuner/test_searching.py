"""The search from end to end."""

import csv
import fcntl
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tiny

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import (
    ConfigError,
    OutputError,
    RunError,
    SearchError,
    UnknownNameError,
)
from keras_rnn_zoo.training.run import Run
from keras_rnn_zoo.tuner import TUNERS, DeviceBudget, Search, SearchOptions, search
from keras_rnn_zoo.tuner.engines import ENGINES
from keras_rnn_zoo.tuner.engines.local import LocalEngine
from keras_rnn_zoo.tuner.trials.job import CHECKPOINT


def no_training(*_):
    raise AssertionError("trained again")


@pytest.fixture
def submitted(monkeypatch):
    """Returns the ids of the trials that are run."""
    submit, found = LocalEngine.submit, []

    def watch(self, job):
        found.append(job.trial_id)
        submit(self, job)

    monkeypatch.setattr(LocalEngine, "submit", watch)
    return found


# ------------------------------------------------------------------ end to end


# Hyperband goes on from checkpoints; for the others, what is restored is the same.
@pytest.mark.parametrize("tuner", ["random", "hyperband"])
def test_a_search_leaves_its_winner_as_a_run(undisturbed, tuner):
    result = undisturbed(tuner)
    info = json.loads((result.path / "search.json").read_text())
    winner, best = result.trials[0], result.best

    assert len(result.trials) == 4
    assert info["status"] == "finished"
    assert info["best"]["trial_id"] == winner.trial_id
    assert winner.score == max(trial.score for trial in result.trials)
    assert best.path == result.path / "best"
    assert best.model_name == winner.model
    # The same weights on the same rows; batches of another size add up in another order.
    assert best.metrics["validation_accuracy"] == pytest.approx(winner.score, abs=1e-6)
    assert best.metrics["validation_loss"] == pytest.approx(winner.metrics["val_loss"], abs=1e-5)
    assert best.metrics["parameters"] == winner.parameters
    assert best.info["data"]["rows"] == tiny.ROWS
    assert best.metrics["test_accuracy"] is not None
    assert best.info["hyperparameters"]["trial_id"] == winner.trial_id
    assert len(best.predict(tiny.tiny_data().train.x[:2])) == 2


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_only_the_chosen_models_hyperparameters_are_active(instant_search, tuner):
    trials = instant_search(tuner=tuner).trials
    assert len(trials) == 4
    for trial in trials:
        names = {"rnn": {"rnn.units"}, "gru": {"gru.units", "gru.dropout"}}[trial.model]
        assert set(trial.hyperparameters) == {"model", "learning_rate", *names}


def test_only_the_checkpoints_of_the_best_and_of_the_front_stay(instant_search, directory):
    result = instant_search(max_trials=9, keep=1)
    kept = {path.parent.name for path in directory.glob(f"tuner/*/{CHECKPOINT}")}
    assert kept == {f"trial_{name}" for name in {result.trials[0].trial_id, *result.front}}
    assert len(kept) < 9


def test_hyperband_trains_the_best_on(undisturbed):
    trials = tiny.comparable(undisturbed("hyperband").path)
    first, last = trials[:3], trials[3]
    assert [trial["epochs"] for trial in trials] == [1, 1, 1, 2]
    best = max(first, key=lambda trial: trial["score"])
    assert last["hyperparameters"] == best["hyperparameters"]


def test_hyperband_leaves_out_a_bracket_that_the_trials_do_not_suffice_for(instant_search):
    trials = instant_search(tuner="hyperband", max_trials=2, models=["rnn"], spaces={}).trials
    assert [trial.epochs for trial in trials] == [3, 3]


def test_a_grid_gives_each_model_its_turn_and_ends_with_the_space(instant_search, capsys):
    result = instant_search(tuner="grid", learning_rate=0.01, max_trials=50, progress=True)
    trials = tiny.comparable(result.path)
    assert [trial["model"] for trial in trials] == ["rnn", "gru", "rnn", *["gru"] * 5]
    assert len({str(trial["hyperparameters"]) for trial in trials}) == 8
    assert {trial["hyperparameters"]["learning_rate"] for trial in trials} == {0.01}
    errors = capsys.readouterr().err
    assert "trial 8/8" in errors and "The search space is exhausted after 8 trials." in errors


def test_a_regression_is_judged_by_its_error(tiny_search):
    result = tiny_search(data=tiny.tiny_data("regression"), max_trials=2, epochs=1)
    scores = [trial.score for trial in result.trials]
    assert scores == sorted(scores)
    assert result.best.metrics["validation_mean_absolute_error"] == pytest.approx(scores[0])
    info = json.loads((result.path / "search.json").read_text())
    assert info["objective"] == {"name": "val_mean_absolute_error", "direction": "min"}


@pytest.mark.parametrize("tuner", ["random", "hyperband"])
def test_targets_far_from_zero_are_learnt_restored_and_scored_in_their_units(tiny_search, tuner):
    data = tiny.tiny_data("regression")
    hectopascals = (990 + 8 * data.train.y / data.train.y.std()).astype("float32")
    data = Dataset("pressure", "features", Split(data.train.x, hectopascals))
    result = tiny_search(data=data, tuner=tuner, max_trials=4, learning_rate=0.02)
    winner, best = result.trials[0], result.best
    assert best.metrics["validation_mean_absolute_error"] == pytest.approx(winner.score, rel=1e-3)
    # Without scaling, a few steps leave an error of 990. The file answers in the same units.
    assert all(trial.score < 25 for trial in result.trials)
    for trial in result.trials:
        quantized = trial.metrics["quantized_mean_absolute_error"]
        assert quantized == pytest.approx(trial.score, rel=0.25)
    assert {one["name"] for one in best.info["data"]["baselines"]} == {"mean", "median"}
    answers = [answer["values"][0] for answer in best.predict(data.train.x)]
    assert all(900 < answer < 1080 for answer in answers)


def test_a_search_of_unscaled_targets_by_an_older_version_is_not_mixed_with_this(
    tiny_search, directory
):
    data = tiny.tiny_data("regression")
    done = tiny_search(data=data, max_trials=1, epochs=1)
    place = directory / "search.json"
    info = json.loads(place.read_text())
    assert info.pop("scaled_targets") is True
    place.write_text(json.dumps(info))
    again = tiny_search(data=data, max_trials=1, epochs=1)  # finished: what it found stays
    assert again.trials[0].score == done.trials[0].score
    place.write_text(json.dumps({**info, "status": "unfinished"}))
    with pytest.raises(SearchError, match=r"older version.*new directory"):
        tiny_search(data=data, max_trials=1, epochs=1)


def test_labels_can_be_balanced_and_targets_not(tiny_search, directory):
    best = tiny_search(class_weight="balanced", max_trials=1, epochs=1).best
    assert best.info["hyperparameters"]["class_weight"] == "balanced"
    assert best.info["verdict"]["measure"] == "balanced_accuracy"
    with pytest.raises(ConfigError, match="weighs labels"):
        tiny.run_search(
            data=tiny.tiny_data("regression"),
            class_weight="balanced",
            output=directory.with_name("other"),
        )
    assert not directory.with_name("other").exists()


def test_an_epoch_of_a_trial_can_be_the_best_by_what_keras_does_not_compute(tmp_path):
    from keras_rnn_zoo.builder import get_builder
    from keras_rnn_zoo.training.metrics import OF_LABELS, scores
    from keras_rnn_zoo.tuner.trials.job import Job
    from keras_rnn_zoo.tuner.trials.trial import Trial, load_weights

    x, y = tiny.tiny_data().train.x, tiny.tiny_data().train.y
    config = {"features": 2, "timesteps": 3, "units": 3, "layers": 1}
    arrays = {"x_train": x[:40], "y_train": y[:40], "x_validation": x[40:], "y_validation": y[40:]}
    for name in OF_LABELS:
        job = Job(
            trial_id="0",
            model="rnn",
            config=get_builder("rnn", **config).config,
            learning_rate=0.05,
            seed=1,
            epochs=3,
            initial_epoch=0,
            batch_size=8,
            patience=None,
            objective=(f"val_{name}", "max"),
            data="rnn",
            device=DeviceBudget().to_dict(),
        )
        trial = Trial(job, arrays, tmp_path, None, lambda line: None)
        outcome = trial.run()
        assert outcome.status == "completed", outcome.message
        values = outcome.history[f"val_{name}"]
        losses = outcome.history["val_loss"]
        # Of epochs that are as good the one with the lowest loss.
        best = max(range(3), key=lambda epoch: (values[epoch], -losses[epoch]))
        assert outcome.best_epoch == best and len(values) == 3
        model = trial._build()
        load_weights(model, tmp_path / CHECKPOINT)
        kept = scores(model.predict(x[40:], verbose=0), y[40:], "binary")
        assert kept[name] == pytest.approx(max(values))


def test_a_trial_starts_from_word_vectors(tmp_path, tiny_search):
    from keras_rnn_zoo.builder import get_builder
    from keras_rnn_zoo.training.word_vectors import SPREAD
    from keras_rnn_zoo.tuner.trials.job import Job
    from keras_rnn_zoo.tuner.trials.trial import Trial, load_weights

    x, y = np.random.default_rng(0).integers(2, 9, (50, 4)), np.arange(50) % 2
    arrays = {"x_train": x[:40], "y_train": y[:40], "x_validation": x[40:], "y_validation": y[40:]}
    config = {"vocabulary_size": 9, "timesteps": 4, "embedding_dim": 3, "units": 2, "layers": 1}
    job = Job(
        trial_id="0",
        model="rnn",
        config=get_builder("rnn", **config).config,
        learning_rate=1e-9,  # nothing moves
        seed=1,
        epochs=1,
        initial_epoch=0,
        batch_size=8,
        patience=None,
        objective=("val_loss", "min"),
        data="rnn",
        device=DeviceBudget().to_dict(),
        word_vectors="cooccurrence",
    )
    trial = Trial(job, arrays, tmp_path, None, lambda line: None)
    assert trial.run().status == "completed"
    model = trial._build()
    load_weights(model, tmp_path / CHECKPOINT)
    vectors = np.array(model.weights[0])[2:]
    assert np.square(vectors).mean() == pytest.approx(SPREAD**2, rel=1e-4)
    with pytest.raises(ConfigError, match="word_vectors are of texts"):
        tiny_search(word_vectors="cooccurrence")  # of features


def test_a_test_split_is_left_alone(instant_search):
    test = tiny.tiny_data(rows=20, seed=1).train
    train = tiny.tiny_data(rows=30).train
    info = instant_search(data=Dataset("two", "features", train, test), max_trials=1).info
    for data in info["data"].values():
        assert data["rows"] == {"train": 24, "validation": 6, "test": 20}


def test_what_the_config_sets_is_not_searched(instant_search):
    result = instant_search(config={"units": 3, "layers": 1}, max_trials=2)
    for trial in result.trials:
        assert not {"rnn.units", "gru.units"} & trial.hyperparameters.keys()
    assert {job.config["units"] for job in instant_search.jobs} == {3}


def test_each_model_sees_its_own_number_of_timesteps(tiny_search, directory, monkeypatch):
    seen = {}

    class Looking(tiny.Instant):
        def submit(self, job):
            steps = self.data[job.data]["x_train"].shape[1]
            seen[job.model] = steps, job.config["timesteps"]
            raise SearchError("seen" if len(seen) < 2 else "seen both")

    monkeypatch.setitem(ENGINES._entries, "local", Looking)
    texts = Dataset("texts", "text", Split(["good fun", "bad"] * 20, ["p", "n"] * 20))
    for name in ("lstm", "bilstm"):
        with pytest.raises(SearchError, match="seen"):
            tiny_search(
                models=[name, "gru"],
                spaces={},
                data=texts,
                config={},
                tuner="grid",
                output=directory / name,
            )
    assert seen == {"lstm": (80, 80), "bilstm": (200, 200)}


def test_progress_goes_to_stderr_a_line_per_trial(instant_search, capsys):
    instant_search(max_trials=2, progress=True)
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("trial ")]
    assert captured.out == ""
    assert len(lines) == 2
    assert lines[0].startswith("trial 1/2  ")
    assert "learning_rate=" in lines[0] and "units=" in lines[0]
    assert re.search(r"val_accuracy \d.* %  .*best \d.* %", lines[1]) and lines[1].endswith(" s")


def test_a_terminal_shows_how_far_a_trial_is(tiny_search, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    tiny_search(max_trials=1, epochs=1, progress=True)
    assert "0/1 done; 0 rnn: epoch 1/1, batch 1/1" in capsys.readouterr().err


def test_early_stopping_ends_a_trial(tiny_search):
    result = tiny_search(max_trials=1, epochs=30, patience=1, learning_rate=0.5)
    assert result.trials[0].epochs < 30


# ------------------------------------------------------------------ the table and the logs


def test_the_table_holds_every_trial(undisturbed):
    result = undisturbed("random")
    trials = json.loads((result.path / "trials.json").read_text())
    with (result.path / "trials.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(map(str, trials)) == sorted(str(trial.to_dict()) for trial in result.trials)
    assert [row["trial_id"] for row in rows] == [trial["trial_id"] for trial in trials]
    for row, trial in zip(rows, trials, strict=True):
        assert float(row["score"]) == trial["score"] == trial["metrics"]["val_accuracy"]
        for name in ("rnn.units", "gru.units", "learning_rate"):
            assert row[name] == str(trial["hyperparameters"].get(name, ""))
        assert int(row["epochs"]) == trial["epochs"] == 2
        assert float(row["seconds"]) > 0
        assert row["status"] == "completed" and row["message"] == ""


def test_hparams_shows_the_trials(undisturbed):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams import api_pb2, metadata
    from tensorboard.util import tensor_util

    result = undisturbed("random")

    def read(log):
        (file,) = (result.path / "logs" / log).iterdir()
        plugin, scalars = {}, {}
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                data = value.metadata.plugin_data
                if data.plugin_name == metadata.PLUGIN_NAME:
                    plugin[value.tag] = data.content
                elif value.tag:
                    numbers = tensor_util.make_ndarray(value.tensor)
                    scalars.setdefault(value.tag, []).append(float(numbers))
        return plugin, scalars

    plugin, _ = read("search")
    experiment = metadata.parse_experiment_plugin_data(plugin[metadata.EXPERIMENT_TAG])
    declared = {info.name: info for info in experiment.hparam_infos}
    assert set(declared) == {"model", "learning_rate", "rnn.units", "gru.units", "gru.dropout"}
    assert {v.string_value for v in declared["model"].domain_discrete.values} == {"rnn", "gru"}
    assert declared["learning_rate"].domain_interval.max_value == 0.01
    assert {info.name.tag for info in experiment.metric_infos} == {
        *("score", "val_loss", "quantized_accuracy"),
        *("bytes", "latency_ms", "parameters", "seconds"),
    }
    for trial in result.trials:
        plugin, scalars = read(f"trial_{trial.trial_id}")
        start = metadata.parse_session_start_info_plugin_data(
            plugin[metadata.SESSION_START_INFO_TAG]
        )
        end = metadata.parse_session_end_info_plugin_data(plugin[metadata.SESSION_END_INFO_TAG])
        shown = {
            name: value.string_value or value.number_value for name, value in start.hparams.items()
        }
        assert shown == trial.hyperparameters
        assert end.status == api_pb2.STATUS_SUCCESS
        for name in ("score", "bytes", "latency_ms", "parameters", "seconds"):
            assert scalars[name] == [pytest.approx(trial[name])]
        quantized = trial.metrics["quantized_accuracy"]
        assert scalars["quantized_accuracy"] == [pytest.approx(quantized)]
        assert len(scalars["val_loss"]) == trial.epochs


# ------------------------------------------------------------------ stopping and going on


# The others are stopped at every write, with trials that take no time: see test_durable.
def test_an_interrupted_search_goes_on_as_if_nothing_had_been(
    undisturbed, tiny_search, directory, press, submitted, capsys
):
    tuner = "hyperband"
    press(2)
    with pytest.raises(KeyboardInterrupt):
        tiny_search(tuner=tuner, progress=True)
    assert "Stopped after 2 of 4 trials" in capsys.readouterr().err
    kept = tiny.comparable(directory)
    assert len(kept) == 2
    press(None)
    del submitted[:]

    result = tiny_search(tuner=tuner, progress=True)

    assert "Going on after 2 of 4 trials" in capsys.readouterr().err
    assert len(submitted) == 2
    expected = undisturbed(tuner)
    assert tiny.comparable(directory) == tiny.comparable(expected.path)
    for name in ("test_accuracy", "test_loss", "train_loss"):
        assert result.best.metrics[name] == expected.best.metrics[name]
    logs = {path.name for path in (directory / "logs").iterdir()}
    assert logs == {"search", *(f"trial_{trial.trial_id}" for trial in result.trials)}


def test_a_finished_search_is_not_run_again(undisturbed, tiny_search, monkeypatch):
    before = undisturbed("random")
    monkeypatch.setattr(LocalEngine, "submit", no_training)
    written = (before.path / "best" / "model.keras").stat().st_mtime_ns
    after = tiny_search(output=before.path)
    assert after.trials == before.trials
    assert after.best.metrics == before.best.metrics
    assert (before.path / "best" / "model.keras").stat().st_mtime_ns == written


def test_a_winner_that_is_gone_is_restored(undisturbed, tiny_search, directory, monkeypatch):
    before = undisturbed("random")
    winner = before.trials[0].trial_id
    shutil.copytree(before.path, directory)
    shutil.rmtree(directory / "best")
    monkeypatch.setattr(LocalEngine, "submit", no_training)
    assert tiny_search().best.metrics == before.best.metrics
    shutil.rmtree(directory / "best")
    (directory / "tuner" / f"trial_{winner}" / CHECKPOINT).unlink()
    with pytest.raises(SearchError, match=rf"Cannot restore trial {winner}.*missing or damaged"):
        tiny_search()


def test_another_seed_makes_another_search(instant_search, directory):
    instant_search(max_trials=1)
    instant_search(max_trials=1, seed=1, output=directory.with_name("other"))
    one, other = (tiny.comparable(directory.with_name(name)) for name in ("search", "other"))
    assert one[0]["hyperparameters"] != other[0]["hyperparameters"]
    assert len({job.seed for job in instant_search.jobs}) == 2


# ------------------------------------------------------------------ trials that fail


def test_a_failed_trial_is_recorded_and_the_search_goes_on(instant_search, directory, capsys):
    result = instant_search(tuner="grid", engine_options={"fails": "gru"}, progress=True)
    trials = tiny.comparable(directory)
    assert [trial["status"] for trial in trials] == ["completed", "failed"] * 2
    assert trials[1]["message"] == "ValueError: too warm in here"
    assert trials[1]["score"] is None and trials[1]["metrics"] == {}
    assert result.info["best"]["model"] == "rnn"
    assert [trial.status for trial in result.trials] == ["completed"] * 2 + ["failed"] * 2
    assert "failed: ValueError: too warm in here" in capsys.readouterr().err
    assert "ValueError: too warm in here" in (directory / "trials.csv").read_text()
    kept = {path.parent.name for path in directory.glob(f"tuner/*/{CHECKPOINT}")}
    assert kept == {f"trial_{t['trial_id']}" for t in trials if t["status"] == "completed"}


def test_a_search_in_which_all_fail_says_why(instant_search, directory):
    arguments = {"models": ["gru"], "spaces": {}, "max_trials": 2}
    with pytest.raises(SearchError, match=r"All 2 .* too warm in here\. Change the"):
        instant_search(engine_options={"fails": "gru"}, **arguments)
    assert json.loads((directory / "search.json").read_text())["status"] == "failed"
    instant_search.jobs.clear()
    with pytest.raises(SearchError, match="All 2 trials failed"):
        instant_search(**arguments)
    assert not instant_search.jobs


def test_a_full_disk_ends_the_search_and_it_can_go_on(tiny_search, directory, monkeypatch):
    with pytest.raises(OutputError, match="the disk is full"):
        tiny_search(max_trials=1, epochs=1, callbacks="trial_hooks:finds_the_disk_full")
    (trial,) = tiny_search(max_trials=1, epochs=1).trials
    assert trial.status == "completed"


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"models": ["lstn"]}, UnknownNameError, "Did you mean 'lstm'"),
        ({"models": ["rnn", "rnn"]}, ConfigError, "each model once"),
        ({"tuner": "hyperbant"}, UnknownNameError, "Unknown tuner.*Did you mean 'hyperband'"),
        ({"max_trials": 0}, ConfigError, "max_trials is a whole number.*Received: 0"),
        ({"max_trials": 2.5}, ConfigError, "max_trials is a whole number.*Received: 2.5"),
        ({"epochs": 0}, ConfigError, "epochs"),
        ({"patience": -1}, ConfigError, "patience"),
        ({"batch_size": "x"}, ConfigError, "batch_size"),
        ({"seed": -1}, ConfigError, "seed.*Received: -1"),
        ({"validation_split": 0}, ConfigError, "validation_split is above 0"),
        ({"config": {"unit": 3}}, ConfigError, "Did you mean 'units'"),
        ({"config": {"units": "many"}}, ConfigError, "units.*Received: 'many'"),
        ({"learning_rate": 0}, ConfigError, "learning_rate.*Received: 0"),
        ({"learning_rate": (0.1, 0.01)}, ConfigError, "the smaller first"),
        ({"learning_rate": "fast"}, ConfigError, "Received: 'fast'"),
        ({"spaces": {"lstm": tiny.rnn_space}}, ConfigError, "'lstm', which is not searched"),
        ({"spaces": {"rnn": {"units": 3}}}, ConfigError, "search space of 'rnn' is a function"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_read(
    tiny_search, directory, changes, error, message
):
    with pytest.raises(error, match=message):
        tiny_search(**{"data": "no_such_file.csv", **changes})
    assert not directory.exists()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (lambda hp: 1 / 0, "search space of 'gru' failed: ZeroDivisionError"),
        (lambda hp: 64, "returns a dict of config values. Received: 64"),
        (lambda hp: {"unit": 64}, "'gru' has no setting 'unit'. Did you mean 'units'"),
        (lambda hp: {"units": hp.Float("units", 1, 2)}, "units is a whole number"),
    ],
)
def test_a_bad_search_space_is_refused_before_the_first_trial(
    tiny_search, directory, space, message
):
    with pytest.raises(ConfigError, match=message):
        tiny_search(spaces={"gru": space})
    assert not directory.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_trials": 3}, "max_trials is 4 there and 3 here"),
        ({"models": ["rnn"], "spaces": {}}, "models is"),
        ({"config": {"units": 2}}, "config is"),
        ({"data": tiny.tiny_data(seed=1)}, "the data hold other rows"),
        ({"spaces": {}}, "search spaces of the models differ"),
        ({"tuner": "grid", "seed": 3}, "seed is 0 there and 3 here; tuner is 'random' there"),
    ],
)
def test_another_search_in_the_same_directory_is_refused(
    undisturbed, tiny_search, changes, message
):
    with pytest.raises(OutputError, match=f"holds a search with other settings.*{message}"):
        tiny_search(output=undisturbed("random").path, **changes)


def test_a_search_goes_on_with_the_tokenizer_that_it_began_with(instant_search, directory):
    texts = Dataset("t", "text", Split(["मुझे यह", "फ़िल्म यह"] * 8, ["x", "y"] * 8))
    instant_search(data=texts, max_trials=1, tokenizer="words")  # as all searches once had it
    found = instant_search(data=texts, max_trials=1)
    assert found.info["settings"]["tokenizer"] == "words"
    with pytest.raises(OutputError, match="tokenizer is 'words' there and 'characters' here"):
        instant_search(data=texts, max_trials=1, tokenizer="characters")


def test_a_directory_with_something_else_is_refused(tiny_search, directory):
    directory.mkdir()
    (directory / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match="already holds something"):
        tiny_search(data="no_such_file.csv")
    assert (directory / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "search.json is damaged"),
        ("[]", "search.json is damaged"),
        ('{"format": 2}', "search.json is damaged"),
        ('{"format": 1}', "an older keras-rnn-zoo"),
        ('{"format": 99}', "a newer keras-rnn-zoo"),
    ],
)
def test_a_damaged_search_file_is_refused(tiny_search, directory, content, message):
    directory.mkdir()
    (directory / "search.json").write_text(content)
    with pytest.raises(OutputError, match=message):
        tiny_search()
    with pytest.raises(RunError, match=message.removeprefix("search.json ")):
        Search.load(directory)


def test_damaged_state_is_refused(instant_search, directory, press):
    press(1)
    with pytest.raises(KeyboardInterrupt):
        instant_search()
    (directory / "tuner" / "oracle.json").write_text("{")
    with pytest.raises(SearchError, match=r"oracle.json is damaged"):
        instant_search()


def test_two_processes_do_not_search_in_one_directory(undisturbed, tiny_search):
    place = undisturbed("random").path
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(SearchError, match="Another process"):
            tiny_search(output=place)
    finally:
        os.close(handle)


def test_the_winner_can_be_loaded_as_a_run(undisturbed):
    run = Run.load(undisturbed("random").path / "best")
    assert run.load_model().count_params() == run.metrics["parameters"]
    assert len(run.samples()["x_test"]) == tiny.ROWS["test"]


# ------------------------------------------------------------------ opened again


def test_a_search_is_opened_as_far_as_it_is(instant_search, directory, press):
    press(2)
    with pytest.raises(KeyboardInterrupt):
        instant_search(tuner="grid", budget=DeviceBudget(max_size=10**6, quantization="int8"))
    found = Search.load(directory)
    assert found.info["status"] == "unfinished" and found.front == []
    assert sorted(trial.trial_id for trial in found.trials) == ["0", "1"]
    assert found.trials[0].score == found.trials[0]["score"] >= found.trials[1].score
    assert dict(found.trials[0]) == found.trials[0].to_dict()
    assert (found.options.tuner, found.options.max_trials) == ("grid", 4)
    assert found.budget == DeviceBudget(max_size=10**6, quantization="int8")
    with pytest.raises(RunError, match=r"has no winner yet\. Run the same search again"):
        found.best.load_model()
    with pytest.raises(RunError, match=r"is not a search: it has no search.json"):
        Search.load(directory / "logs")


def test_a_finished_search_is_opened_without_tensorflow(undisturbed):
    program = """
import sys
from keras_rnn_zoo.tuner import Search
found = Search.load(sys.argv[1])
assert found.best.metrics["test_accuracy"] is not None
assert found.options.epochs == 2 and found.front
print(found.trials[0].trial_id)
assert not {"tensorflow", "keras", "keras_tuner"} & set(sys.modules)
"""
    search = undisturbed("random")
    done = subprocess.run(
        [sys.executable, "-c", program, search.path], capture_output=True, text=True
    )
    assert done.stdout.strip() == search.info["best"]["trial_id"], done.stderr


def test_the_search_of_an_older_version_goes_on(instant_search, directory, press):
    budget = DeviceBudget(max_size=10**6, quantization="int8")
    press(2)
    with pytest.raises(KeyboardInterrupt):
        instant_search(budget=budget)
    file = directory / "search.json"
    info = json.loads(file.read_text())
    device = info["settings"]["device"]
    device["quantize"] = device.pop("quantization")
    del device["schema"], device["latency_core"], info["settings"]["schema"]
    file.write_text(json.dumps(info))
    assert Search.load(directory).budget == budget
    press(None)
    del instant_search.jobs[:]
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # it was not written today
        assert len(instant_search(budget=budget).trials) == 4
    assert [job.trial_id for job in instant_search.jobs] == ["2", "3"]
    assert "<td>int8</td>" in (directory / "report.html").read_text()


def test_options_say_the_same_as_keyword_arguments():
    options = SearchOptions(tuner="grid", learning_rate=(1e-3, 1e-2), config={"units": 3})
    assert SearchOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options
    shown = inspect.signature(search).parameters
    assert set(SearchOptions.about()) < set(shown)
    assert shown["workers"].default == SearchOptions().workers == 1
    with pytest.raises(ConfigError, match="Did you mean 'max_trials'"):
        search(["gru"], "nothing.csv", output="nowhere", max_trial=3)
