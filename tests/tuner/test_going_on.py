"""A finished search that goes on: more trials, more time, data that moved."""

from __future__ import annotations

import json
import shutil
import types
from pathlib import Path

import pytest
import tiny

from keras_rnn_zoo.data import Dataset
from keras_rnn_zoo.errors import ConfigError, OutputError
from keras_rnn_zoo.training.run import Run
from keras_rnn_zoo.tuner import TUNERS, Search, SearchOptions
from keras_rnn_zoo.tuner.engines.local import LocalEngine
from keras_rnn_zoo.tuner.study import extent, loop, study
from keras_rnn_zoo.tuner.study.directory import SearchDirectory

DEFAULT = SearchOptions.TRIALS


def ids(jobs):
    return [job.trial_id for job in jobs]


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by ten seconds with every trial."""
    now = [0.0]
    time = types.SimpleNamespace(monotonic=lambda: now[0], time=lambda: 1e9 + now[0])
    monkeypatch.setattr(extent, "time", time)
    monkeypatch.setattr(loop, "time", time)
    wait = tiny.Instant.wait

    def later(self, seconds):
        now[0] += 10.0
        return wait(self, seconds)

    monkeypatch.setattr(tiny.Instant, "wait", later)
    return now


# ------------------------------------------------------------------ more trials


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_more_trials_go_on_with_a_finished_search(instant_search, directory, tuner, capsys):
    before = instant_search(tuner=tuner, max_trials=4)
    kept = {trial.trial_id: trial.to_dict() for trial in before.trials}
    del instant_search.jobs[:]
    after = instant_search(tuner=tuner, max_trials=9, progress=True)
    assert "Going on after 4 of 9 trials" in capsys.readouterr().err
    assert len(instant_search.jobs) == 5
    assert len(after.trials) == 9
    assert {t.trial_id: t.to_dict() for t in after.trials if t.trial_id in kept} == kept
    best = max(after.trials, key=lambda trial: trial.score)
    assert after.info["status"] == "finished"
    assert after.info["best"]["trial_id"] == best.trial_id == after.trials[0].trial_id
    assert after.info["settings"]["max_trials"] == after.options.max_trials == 9
    # Once more changes nothing, and neither does leaving the number out.
    text = (directory / "search.json").read_text()
    del instant_search.jobs[:]
    instant_search(tuner=tuner, max_trials=9)
    instant_search(tuner=tuner, max_trials=None)
    assert not instant_search.jobs
    assert (directory / "search.json").read_text() == text


def test_a_random_search_that_goes_on_is_what_a_longer_one_would_have_been(instant_search):
    whole = instant_search(max_trials=9)
    other = whole.path.with_name("in_parts")
    for trials in (2, 5, 9):
        instant_search(max_trials=trials, output=other)
    assert tiny.comparable(other) == tiny.comparable(whole.path)


def test_bayesian_has_no_second_random_start(instant_search):
    tuner = TUNERS.get("bayesian")
    instant_search(tuner="bayesian", max_trials=9)
    made = []
    oracle = type(tuner).oracle

    def watched(self, plan):
        made.append(oracle(self, plan))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(tuner), "oracle", watched)
        instant_search(tuner="bayesian", max_trials=30)
    assert made[0].num_initial_points == 3


def test_the_winner_and_the_front_of_a_search_that_goes_on_are_those_of_all(tiny_search):
    first = tiny_search(max_trials=1, epochs=1)
    old = first.best.info["hyperparameters"]["trial_id"]
    result = tiny_search(max_trials=5, epochs=1)
    assert len(result.trials) == 5
    winner = result.trials[0].trial_id
    assert Run.load(result.path / "best").info["hyperparameters"]["trial_id"] == winner
    kept = {place.name for place in (result.path / "front").glob("*")}
    assert kept == set(result.front) - {winner}
    assert winner == old or len({trial.score for trial in result.trials}) > 1
    assert not list(result.path.rglob("*.part"))
    json.loads((result.path / "search.json").read_text())


def test_a_new_winner_takes_the_place_of_the_old_one(tiny_search, directory):
    tiny_search(max_trials=2, epochs=1)
    worse = directory / "tuner" / "oracle.json"
    state = json.loads(worse.read_text())
    for trial in state["trials"].values():  # whatever comes next is better
        trial["score"] = -1.0
    worse.write_text(json.dumps(state))
    result = tiny_search(max_trials=4, epochs=1)
    winner = result.info["best"]["trial_id"]
    assert winner in ("2", "3")
    assert result.best.info["hyperparameters"]["trial_id"] == winner
    assert result.best.metrics["validation_accuracy"] == pytest.approx(result.trials[0].score)


class Stopped(BaseException):
    """As sudden as a kill: nothing in the package catches it."""


@pytest.mark.parametrize("tuner", ["random", "hyperband"])
def test_a_stop_at_any_write_of_a_search_that_goes_on_changes_nothing(
    tuner, instant_search, tmp_path, monkeypatch
):
    finished, countdown, replace = tmp_path / "finished", [10**9], Path.replace

    def replace_or_stop(self, target):
        countdown[0] -= 1
        if countdown[0] < 0:
            raise Stopped
        return replace(self, target)

    instant_search(output=finished, tuner=tuner, max_trials=2)
    shutil.copytree(finished, tmp_path / "undisturbed")
    monkeypatch.setattr(Path, "replace", replace_or_stop)
    whole = instant_search(output=tmp_path / "undisturbed", tuner=tuner, max_trials=5)
    writes = 10**9 - countdown[0]
    expected = tiny.comparable(whole.path)
    assert len(expected) == 5
    for stop in range(0, writes, 3):
        directory = tmp_path / f"stopped_{stop}"
        shutil.copytree(finished, directory)
        countdown[0] = stop
        with pytest.raises(Stopped):
            instant_search(output=directory, tuner=tuner, max_trials=5)
        countdown[0] = 10**9
        again = instant_search(output=directory, tuner=tuner, max_trials=5)
        assert tiny.comparable(directory) == expected
        for name in ("status", "best", "front", "settings"):
            assert again.info[name] == whole.info[name], name


@pytest.mark.parametrize("moment", ["discarding", "saving"])
def test_a_stop_between_two_winners_leaves_the_new_one_in_the_end(
    tiny_search, directory, monkeypatch, moment
):
    tiny_search(max_trials=1, epochs=1)
    state = directory / "tuner" / "oracle.json"
    content = json.loads(state.read_text())
    content["trials"]["0"]["score"] = -1.0
    state.write_text(json.dumps(content))

    def stop(*_):
        raise Stopped

    def set_aside(_, place):
        place.rename(place.with_name(f".{place.name}.old.part"))
        raise Stopped

    with monkeypatch.context() as patch:
        if moment == "saving":  # the old winner is gone, the new one not there yet
            patch.setattr(study, "save_trial", stop)
        else:  # the old winner is out of the way, and not removed yet
            patch.setattr(SearchDirectory, "discard", set_aside)
        with pytest.raises(Stopped):
            tiny_search(max_trials=2, epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(LocalEngine, "submit", stop)
        result = tiny_search(max_trials=2, epochs=1)
    assert result.info["best"]["trial_id"] == "1"
    assert result.best.info["hyperparameters"]["trial_id"] == "1"
    assert not list(directory.rglob("*.part"))


def test_fewer_trials_than_before_are_refused(instant_search):
    instant_search(max_trials=4)
    with pytest.raises(
        OutputError, match=r"max_trials is 4 there and 3 here\. Give as many or more"
    ):
        instant_search(max_trials=3)
    assert len(instant_search(max_trials=5).trials) == 5


def test_a_space_that_is_exhausted_is_said_to_be(instant_search, capsys):
    arguments = {"tuner": "grid", "learning_rate": 0.01, "progress": True}
    instant_search(max_trials=20, **arguments)
    del instant_search.jobs[:]
    capsys.readouterr()
    result = instant_search(max_trials=30, **arguments)
    assert "The search space is exhausted after 8 trials." in capsys.readouterr().err
    assert len(result.trials) == 8 and not instant_search.jobs


def test_a_search_without_a_winner_may_find_one_in_more_trials(instant_search, directory):
    from keras_rnn_zoo.errors import SearchError

    arguments = {"tuner": "grid", "engine_options": {"fails": "rnn"}}
    with pytest.raises(SearchError, match="All 1 trials failed"):
        instant_search(max_trials=1, **arguments)
    assert Search.load(directory).info["status"] == "failed"
    result = instant_search(max_trials=2, **arguments)
    assert result.info["status"] == "finished" and result.info["message"] is None
    assert result.info["best"]["model"] == "gru"


def test_a_search_that_an_older_version_finished_goes_on(instant_search, directory):
    instant_search(max_trials=3)
    file = directory / "search.json"
    info = json.loads(file.read_text())
    del info["chosen"], info["exhausted"]
    file.write_text(json.dumps(info))
    del instant_search.jobs[:]
    instant_search(max_trials=3)
    assert not instant_search.jobs
    assert len(instant_search(max_trials=5).trials) == 5


def test_an_unfinished_search_of_an_older_version_goes_on_with_more_trials(
    instant_search, directory, monkeypatch
):
    wait = tiny.Instant.wait

    def stop(self, seconds):
        if len(instant_search.jobs) == 2:
            raise KeyboardInterrupt
        return wait(self, seconds)

    with monkeypatch.context() as patch:
        patch.setattr(tiny.Instant, "wait", stop)
        with pytest.raises(KeyboardInterrupt):
            instant_search(max_trials=4)
    file = directory / "search.json"
    info = json.loads(file.read_text())
    del info["chosen"], info["exhausted"]
    file.write_text(json.dumps(info))
    result = instant_search(max_trials=6)
    assert len(result.trials) == 6
    assert result.info["settings"]["max_trials"] == 6


def test_what_went_on_says_which_commands_made_it(instant_search):
    instant_search(max_trials=2, command="search first")
    result = instant_search(max_trials=3, command="search second")
    assert result.info["provenance"]["command"] == "search first"
    assert result.info["provenance"]["continued_by"] == ["search second"]


# ------------------------------------------------------------------ more time


def test_no_trial_starts_when_the_time_is_over(instant_search, clock, capsys):
    result = instant_search(max_trials=50, max_time=35, progress=True)
    assert len(result.trials) == 4  # at 0, 10, 20 and 30 seconds
    assert result.info["status"] == "finished"
    assert "The time of 35.0 s is over after 4 of 50 trials." in capsys.readouterr().err


def test_trials_that_run_when_the_time_is_over_are_finished(instant_search, clock):
    result = instant_search(max_trials=50, max_time=15, workers=3)
    # Three began at once, one more as the first of them ended.
    assert len(result.trials) == 4
    assert {trial.status for trial in result.trials} == {"completed"}


def test_one_trial_runs_however_short_the_time_is(instant_search, clock, monkeypatch):
    # Reading the data took longer than that.
    monkeypatch.setattr(extent, "time", types.SimpleNamespace(monotonic=lambda: -100.0))
    result = instant_search(max_trials=None, max_time=1, workers=2)
    assert len(result.trials) == 1 and result.info["best"]


def test_a_time_goes_on_with_a_finished_search(instant_search, clock, capsys):
    instant_search(max_trials=2)
    clock[0] = 1000.0
    result = instant_search(max_trials=None, max_time="1m", progress=True)
    assert len(result.trials) == 2 + 6
    said = capsys.readouterr().err
    assert "Going on after 2 trials in" in said and "trial 3  " in said
    # The same again is as long again.
    assert len(instant_search(max_trials=None, max_time="1m").trials) == 14
    # Without a time there is no more to do than the usual number of trials.
    assert len(instant_search(max_trials=None).trials) == 14
    assert len(instant_search(max_trials=16).trials) == 16


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_every_tuner_searches_for_a_time(instant_search, clock, tuner):
    result = instant_search(tuner=tuner, max_trials=None, max_time=75)
    assert len(result.trials) == 8
    assert result.info["settings"]["max_trials"] is None
    assert Search.load(result.path).options.max_trials is None


def test_an_unfinished_search_for_a_time_goes_on_to_the_usual_number(
    instant_search, clock, monkeypatch
):
    wait = tiny.Instant.wait

    def stop(self, seconds):
        if len(instant_search.jobs) == 3:
            raise KeyboardInterrupt
        return wait(self, seconds)

    with monkeypatch.context() as patch:
        patch.setattr(tiny.Instant, "wait", stop)
        with pytest.raises(KeyboardInterrupt):
            instant_search(max_trials=None, max_time=1000)
    assert len(instant_search(max_trials=None).trials) == DEFAULT


def test_a_winner_that_was_chosen_before_a_stop_is_chosen_anew_after_more_trials(
    instant_search, clock, monkeypatch
):
    outcome = tiny.Instant.outcome

    def better_than_all_before(self, job):
        found = outcome(self, job)
        metrics = {**found.metrics, "val_accuracy": int(job.trial_id) / 100}
        return type(found)(**{**vars(found), "metrics": metrics})

    def stop(*_):
        raise Stopped

    monkeypatch.setattr(tiny.Instant, "outcome", better_than_all_before)
    with monkeypatch.context() as patch:
        patch.setattr(study, "save_trial", stop)
        with pytest.raises(Stopped):
            instant_search(max_trials=None, max_time=15)
    result = instant_search(max_trials=None, max_time=100)
    assert len(result.trials) == 12
    assert int(result.info["best"]["trial_id"]) == 11


@pytest.mark.parametrize("given", [0, -5, "soon", "3 weeks", True, "1e999s"])
def test_times_that_make_no_sense_are_refused(given):
    with pytest.raises(ConfigError, match=r"max_time(: | is a number above 0)"):
        SearchOptions(max_time=given)


def test_times_are_read_with_their_units():
    times = {"90": 90, "90s": 90, "30m": 1800, "1.5 h": 5400, "2min": 120, 7: 7, 0.5: 0.5}
    assert {given: SearchOptions(max_time=given).max_time for given in times} == times


# ------------------------------------------------------------------ data that moved


def renamed(name, **changes):
    data = tiny.tiny_data(**changes)
    return Dataset(name, data.kind, data.train)


def test_the_same_rows_elsewhere_are_the_same_data(instant_search):
    instant_search(data=renamed("old/a.npz"), max_trials=2)
    result = instant_search(data=renamed("new/b.npz"), max_trials=3)
    assert len(result.trials) == 3
    with pytest.raises(OutputError, match="the data hold other rows"):
        instant_search(data=renamed("old/a.npz", seed=1), max_trials=3)
    with pytest.raises(OutputError, match=r"data is old/a.npz there and c.npz here"):
        instant_search(data=renamed("c.npz", seed=1), max_trials=3)


def test_a_file_that_moved_is_the_same_data(instant_search, tmp_path):
    import csv

    first, second = tmp_path / "reviews.csv", tmp_path / "elsewhere" / "renamed.csv"
    with first.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows([["good fun", "p"], ["a bore", "n"]] * 20)
    arguments = {"models": ["gru"], "spaces": {}, "config": {"layers": 1}}
    instant_search(data=first, max_trials=1, **arguments)
    second.parent.mkdir()
    shutil.move(first, second)
    assert len(instant_search(data=second, max_trials=2, **arguments).trials) == 2
    first.write_text("text,label\n" + "good fun,n\na bore,p\n" * 20)
    with pytest.raises(OutputError, match="the data hold other rows"):
        instant_search(data=first, max_trials=2, **arguments)
