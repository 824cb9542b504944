"""Limits that a model must keep, and what a search optimizes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny

from keras_rnn_zoo.errors import ConfigError, RunError, SearchError, UnknownNameError
from keras_rnn_zoo.export import TFLiteModel, export_tflite
from keras_rnn_zoo.export.bundle.write import export_bundle
from keras_rnn_zoo.tuner import TUNERS, DeviceBudget
from keras_rnn_zoo.tuner.objectives import parse


def wide_space(hp):
    return {"units": hp.Choice("units", [2, 64])}


WIDE = {"models": ["gru"], "spaces": {"gru": wide_space}, "tuner": "grid", "learning_rate": 0.01}


# ------------------------------------------------------------------ limits


def test_a_model_over_budget_is_measured_and_not_trained(tiny_search, directory, capsys):
    budget = DeviceBudget(max_size=30_000, quantize="none")
    result = tiny_search(**WIDE, budget=budget, max_trials=2, progress=True)
    small, large = sorted(tiny.comparable(directory), key=lambda trial: trial["parameters"])
    assert small["status"] == "completed"
    assert large["status"] == "infeasible"
    assert large["score"] is None and large["epochs"] is None and large["metrics"] == {}
    assert large["bytes"] > 30_000
    assert large["excess"] == {"size": pytest.approx(large["bytes"] / 30_000)}
    assert (
        large["message"].startswith("over budget: size ")
        and "allowed 30.0 kB" in (large["message"])
    )
    assert "over budget: size" in capsys.readouterr().err
    assert result.trials[0]["trial_id"] == small["trial_id"]
    assert not (directory / "tuner" / f"trial_{large['trial_id']}" / "model.tflite").exists()


def test_too_many_parameters_are_seen_without_a_conversion(tiny_search, directory):
    tiny_search(**WIDE, budget=DeviceBudget(max_parameters=500), max_trials=2, epochs=1)
    (large,) = (t for t in tiny.comparable(directory) if t["status"] == "infeasible")
    assert large["bytes"] is None
    assert set(large["excess"]) == {"parameters"}
    assert large["message"].endswith(", allowed 500")


def test_a_latency_that_nothing_keeps_says_how_close_it_came(tiny_search, directory):
    budget = DeviceBudget(max_latency=1e-6)
    with pytest.raises(SearchError, match=r"None of the 2 trials keeps the limits. The closest,"):
        tiny_search(**WIDE, budget=budget, max_trials=2)
    assert json.loads((directory / "search.json").read_text())["status"] == "failed"
    assert all(trial["excess"]["latency"] > 1 for trial in tiny.comparable(directory))


def test_a_winner_that_is_too_slow_when_measured_again_gives_way(
    tiny_search, directory, monkeypatch, capsys
):
    from keras_rnn_zoo.tuner.study import search

    over, seen = search.over_budget, []

    def slow_at_first(tuner, trial, prepared, budget):
        seen.append(trial["trial_id"])
        return "over budget: latency" if len(seen) == 1 else over(tuner, trial, prepared, budget)

    monkeypatch.setattr(search, "over_budget", slow_at_first)
    budget = DeviceBudget(max_latency=1000.0)
    result = tiny_search(**WIDE, budget=budget, max_trials=2, epochs=1, progress=True)
    assert len(seen) == 2 and result.trials[0]["trial_id"] == seen[1]
    assert f"Trial {seen[0]} is not the winner" in capsys.readouterr().err


def test_a_winner_that_was_saved_is_not_judged_again(tiny_search, directory, monkeypatch):
    from keras_rnn_zoo.tuner.study import search

    save = search.save_trial

    def save_and_stop(*args):
        save(*args)
        raise KeyboardInterrupt

    arguments = {**WIDE, "budget": DeviceBudget(max_latency=1000.0), "max_trials": 2, "epochs": 1}
    with monkeypatch.context() as patch:
        patch.setattr(search, "save_trial", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            tiny_search(**arguments)
    saved = json.loads((directory / "best" / "run.json").read_text())
    assert json.loads((directory / "search.json").read_text())["status"] == "unfinished"
    monkeypatch.setattr(search, "over_budget", lambda *_: "over budget: latency")
    result = tiny_search(**arguments)
    assert result.trials[0]["trial_id"] == saved["hyperparameters"]["trial_id"]
    assert result.best.metrics == saved["metrics"]


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_every_tuner_goes_on_with_infeasible_trials(instant, directory, tuner):
    tiny.run_search(
        output=directory, tuner=tuner, engine="instant", budget=DeviceBudget(max_size=2_500)
    )
    trials = tiny.comparable(directory)
    assert {trial["status"] for trial in trials} <= {"completed", "infeasible"}
    state = json.loads((directory / "tuner" / "oracle.json").read_text())["trials"]
    scores = {
        status: [state[trial["trial_id"]]["score"] for trial in trials if trial["status"] == status]
        for status in ("completed", "infeasible")
    }
    assert len(trials) == 4
    if scores["infeasible"] and scores["completed"]:
        # KerasTuner's own readers must not take a penalty for the best.
        assert max(scores["infeasible"]) < min(scores["completed"])


@pytest.fixture
def instant(monkeypatch):
    from keras_rnn_zoo.tuner.engines import ENGINES
    from keras_rnn_zoo.tuner.study import search

    class Done(Exception):
        pass

    def no_winner(*_):
        raise Done

    run_search = tiny.run_search

    def run(**more):
        with pytest.raises(Done):
            run_search(**more)

    monkeypatch.setattr(search, "_finish", no_winner)
    monkeypatch.setattr(tiny, "run_search", run)
    ENGINES.register("instant", tiny.Instant)
    yield
    ENGINES.unregister("instant")


@pytest.mark.parametrize(
    ("budget", "error", "message"),
    [
        ({"max_size": 0}, ConfigError, "max_size is a number above 0. Received: 0"),
        ({"max_latency": -1.0}, ConfigError, "max_latency"),
        ({"max_parameters": True}, ConfigError, "max_parameters"),
        ({"quantize": "int9"}, UnknownNameError, "Did you mean 'int8'"),
        ({"target": "lightert"}, UnknownNameError, "Did you mean 'litert'"),
    ],
)
def test_limits_that_are_none_are_refused(tiny_search, directory, budget, error, message):
    with pytest.raises(error, match=message):
        tiny_search(data="no_such_file.csv", budget=DeviceBudget(**budget))
    assert not directory.exists()


# ------------------------------------------------------------------ what is recorded


def test_every_trial_records_its_figures(tiny_search):
    result = tiny_search(budget=DeviceBudget(quantize="int8"), max_trials=2)
    for trial in result.trials:
        assert trial["bytes"] > 1000 and trial["latency_ms"] > 0 and trial["parameters"] > 0
        assert 0 <= trial["metrics"]["quantized_accuracy"] <= 1
        assert trial["seconds"] > 0


def test_the_quantized_accuracy_is_that_of_the_file(tiny_search, tmp_path):
    result = tiny_search(budget=DeviceBudget(quantize="none"), max_trials=2, epochs=4)
    best = result.trials[0]
    # Nothing is quantized, so the file answers as the Keras model does.
    assert best["metrics"]["quantized_accuracy"] == pytest.approx(best["metrics"]["val_accuracy"])
    path = tmp_path / "model.tflite"
    export_tflite(result.best.load_model(), path, quantization="none")
    assert path.stat().st_size == pytest.approx(best["bytes"], rel=0.01)
    assert np.isfinite(TFLiteModel(path).predict(tiny.tiny_data().train.x[:2])).all()


# ------------------------------------------------------------------ the front


def test_any_member_of_the_front_can_be_exported(tiny_search, directory, tmp_path):
    result = tiny_search(max_trials=4)
    info = json.loads((directory / "search.json").read_text())
    assert info["front"] == result.front and result.front
    for trial in result.trials:
        name = trial["trial_id"]
        if name in result.front or name == info["best"]["trial_id"]:
            bundle = export_bundle(
                directory, tmp_path / name, trial=name, formats=["tflite"], quantize=["dynamic"]
            )
            (file,) = bundle.report["files"]
            assert file["bytes"] == pytest.approx(trial["bytes"], rel=0.01)
        else:
            with pytest.raises(RunError, match="keeps no trial"):
                export_bundle(directory, tmp_path / name, trial=name)
    with pytest.raises(RunError, match=r"keeps no trial '99'.*the winner first"):
        export_bundle(directory, tmp_path / "none", trial="99")


# ------------------------------------------------------------------ objectives


@pytest.mark.parametrize(
    ("text", "metric", "name", "direction", "terms"),
    [
        (None, "accuracy", "val_accuracy", "max", {"val_accuracy": 1}),
        (None, "mean_absolute_error", "val_mean_absolute_error", "min", None),
        ("accuracy", "accuracy", "val_accuracy", "max", {"val_accuracy": 1}),
        ("val_accuracy", "accuracy", "val_accuracy", "max", {"val_accuracy": 1}),
        ("val_loss", "accuracy", "val_loss", "min", {"val_loss": 1}),
        ("quantized_accuracy", "accuracy", "quantized_accuracy", "max", None),
        ("size", "accuracy", "size", "min", {"bytes": 1}),
        (
            " quantized_accuracy - 0.02*latency-1e-7 * size",
            "accuracy",
            "quantized_accuracy - 0.02*latency-1e-7 * size",
            "max",
            {"quantized_accuracy": 1, "latency_ms": -0.02, "bytes": -1e-7},
        ),
        ("-size", "accuracy", "-size", "max", {"bytes": -1}),
    ],
)
def test_objectives_mean_what_they_say(text, metric, name, direction, terms):
    objective = parse(text, metric)
    assert (objective.name, objective.direction) == (name, direction)
    assert objective.terms == (terms or {name: 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acuracy", "Unknown objective: 'acuracy'. Did you mean 'accuracy'"),
        ("mean_absolute_error", "Unknown objective"),
        ("accuracy latency", "a weighted sum such as"),
        ("accuracy - 0.1.2*size", "a weighted sum such as"),
        ("", "Name an objective"),
    ],
)
def test_objectives_that_mean_nothing_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text, "accuracy")


def test_a_search_optimizes_what_it_is_told(tiny_search, directory):
    result = tiny_search(**WIDE, objective="size", max_trials=2, epochs=1)
    sizes = [trial["bytes"] for trial in result.trials]
    assert sizes[0] < sizes[1]
    assert [trial["score"] for trial in result.trials] == sizes
    info = json.loads((directory / "search.json").read_text())
    assert info["objective"] == {"name": "size", "direction": "min"}


def test_a_weighted_sum_is_the_score(tiny_search):
    result = tiny_search(max_trials=2, epochs=1, objective="accuracy - 0.001*parameters")
    for trial in result.trials:
        expected = trial["metrics"]["val_accuracy"] - 0.001 * trial["parameters"]
        assert trial["score"] == pytest.approx(expected)
