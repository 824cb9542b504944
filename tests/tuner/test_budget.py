"""Limits that a model must keep, and what a search optimizes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny

from keras_rnn_zoo.builder import get_builder
from keras_rnn_zoo.errors import (
    ConfigError,
    MissingClientError,
    RunError,
    SearchError,
    UnknownNameError,
)
from keras_rnn_zoo.export import TFLiteModel, export_tflite
from keras_rnn_zoo.export.bundle.write import export_bundle
from keras_rnn_zoo.export.cores import installation
from keras_rnn_zoo.tuner import TUNERS, DeviceBudget, Search
from keras_rnn_zoo.tuner.trials.job import Job
from keras_rnn_zoo.tuner.trials.trial import run_job


def wide_space(hp):
    return {"units": hp.Choice("units", [2, 64])}


WIDE = {"models": ["gru"], "spaces": {"gru": wide_space}, "tuner": "grid", "learning_rate": 0.01}


# ------------------------------------------------------------------ limits


def run_trial(place, units, callbacks="trial_hooks:eager", **device):
    """Runs a trial of a GRU in this process; returns its outcome."""
    builder = get_builder(
        "gru", features=2, timesteps=3, units=units, layers=1, task="binary", outputs=1
    )
    job = Job(
        trial_id="0",
        model="gru",
        config=builder.config,
        learning_rate=0.01,
        seed=0,
        epochs=1,
        initial_epoch=0,
        batch_size=64,
        patience=None,
        objective=("val_accuracy", "max"),
        data="tiny",
        device=DeviceBudget(**device).to_dict(),
        callbacks=callbacks,
    )
    split = tiny.tiny_data().train
    arrays = {"x_train": split.x, "y_train": split.y}
    arrays |= {"x_validation": split.x[:10], "y_validation": split.y[:10]}
    return run_job(job, arrays, place, None, lambda text: None)


def test_a_model_over_budget_is_measured_and_not_trained(tiny_search, directory, capsys):
    budget = DeviceBudget(max_size=30_000, quantization="none")
    result = tiny_search(**WIDE, budget=budget, max_trials=2, epochs=1, progress=True)
    small, large = sorted(tiny.comparable(directory), key=lambda trial: trial["parameters"])
    assert small["status"] == "completed"
    assert large["status"] == "infeasible"
    assert large["score"] is None and large["epochs"] is None and large["metrics"] == {}
    assert large["bytes"] > 30_000
    assert large["excess"] == {"size": pytest.approx(large["bytes"] / 30_000)}
    assert large["message"].startswith("over budget: size ")
    assert "allowed 30.0 kB" in large["message"]
    assert "over budget: size" in capsys.readouterr().err
    assert result.trials[0].trial_id == small["trial_id"]
    assert not (directory / "tuner" / f"trial_{large['trial_id']}" / "model.tflite").exists()


def test_too_many_parameters_are_seen_without_a_conversion(tmp_path):
    outcome = run_trial(tmp_path, 64, max_parameters=500, max_size=10**9)
    assert outcome.status == "infeasible"
    assert outcome.bytes is None
    assert set(outcome.excess) == {"parameters"}
    assert outcome.message.endswith(", allowed 500")


def test_a_latency_over_the_limit_is_measured(tmp_path):
    outcome = run_trial(tmp_path, 2, max_latency=1e-6)
    assert outcome.status == "infeasible"
    assert set(outcome.excess) == {"latency"} and outcome.excess["latency"] > 1
    assert outcome.history == {} and not list(tmp_path.iterdir())


def test_limits_that_nothing_keeps_say_how_close_it_came(instant_search, directory):
    with pytest.raises(SearchError, match=r"None of the 4 trials keeps the limits. The closest,"):
        instant_search(budget=DeviceBudget(max_size=1))
    info = Search.load(directory).info
    assert info["status"] == "failed" and "None of the 4 trials" in info["message"]


def test_a_winner_that_is_too_slow_when_measured_again_gives_way_and_stays_the_winner(
    tiny_search, directory, monkeypatch, capsys
):
    from keras_rnn_zoo.tuner.study import study

    over, save, seen = study.over_budget, study.save_trial, []

    def slow_at_first(tuner, trial):
        seen.append(trial.trial_id)
        return "over budget: latency" if len(seen) == 1 else over(tuner, trial)

    def save_and_stop(*args):
        save(*args)
        raise KeyboardInterrupt

    budget = DeviceBudget(max_latency=1000.0)
    arguments = {**WIDE, "budget": budget, "max_trials": 2, "epochs": 1, "progress": True}
    with monkeypatch.context() as patch:
        patch.setattr(study, "over_budget", slow_at_first)
        patch.setattr(study, "save_trial", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            tiny_search(**arguments)
    assert len(seen) == 2
    assert f"Trial {seen[0]} is not the winner" in capsys.readouterr().err
    assert json.loads((directory / "search.json").read_text())["status"] == "unfinished"
    saved = json.loads((directory / "best" / "run.json").read_text())
    assert saved["hyperparameters"]["trial_id"] == seen[1]
    # It is not judged again.
    monkeypatch.setattr(study, "over_budget", lambda *_: "over budget: latency")
    result = tiny_search(**arguments)
    assert result.trials[0].trial_id == seen[1]
    assert result.best.metrics == saved["metrics"]


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_every_tuner_goes_on_with_infeasible_trials(instant_search, directory, tuner):
    instant_search(tuner=tuner, budget=DeviceBudget(max_size=2_500))
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


@pytest.mark.parametrize(
    ("budget", "error", "message"),
    [
        ({"max_size": 0}, ConfigError, "max_size is a number above 0. Received: 0"),
        ({"max_latency": -1.0}, ConfigError, "max_latency"),
        ({"max_parameters": True}, ConfigError, "max_parameters"),
        ({"quantization": "int9"}, UnknownNameError, "Did you mean 'int8'"),
        ({"target": "lightert"}, UnknownNameError, "Did you mean 'litert'"),
    ],
)
def test_limits_that_are_none_are_refused(tiny_search, directory, budget, error, message):
    with pytest.raises(error, match=message):
        tiny_search(data="no_such_file.csv", budget=DeviceBudget(**budget))
    assert not directory.exists()


def test_a_limit_may_be_one_on_an_arm_core():
    budget = DeviceBudget(max_latency="2ms@A55")
    assert (budget.max_latency, budget.latency_core) == (2.0, "cortex-a55")
    assert budget == DeviceBudget(max_latency=2.0, latency_core="a55")
    assert DeviceBudget.from_dict(json.loads(json.dumps(budget.to_dict()))) == budget
    assert budget.excess(size=1, latency=3.0, parameters=1) == {"latency": 1.5}
    said = budget.explain({"latency": 3.0}, {"latency": 1.5})
    assert said == "over budget: modelled latency on a cortex-a55 3 ms, allowed 2 ms"
    here = DeviceBudget(max_latency="500us")
    assert (here.max_latency, here.latency_core) == (0.5, None)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"max_latency": "2ms@a57"}, UnknownNameError, "Unknown core: 'a57'.*'cortex-a55'"),
        ({"max_latency": "2ms@"}, UnknownNameError, "Unknown core: ''"),
        ({"max_latency": "soon@a55"}, ConfigError, "A time is a number.*Received: 'soon'"),
        ({"max_latency": "2ms@a78"}, ConfigError, "cycles are not modelled.*Take cortex-a76"),
        (
            {"max_latency": 2.0, "latency_core": 55},
            ConfigError,
            "name of an Arm core. Received: 55",
        ),
        ({"max_latency": "2ms@a55", "latency_core": "a76"}, ConfigError, "said twice"),
    ],
)
def test_a_limit_on_a_core_that_is_none_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        DeviceBudget(**given)


def test_a_limit_on_an_arm_core_is_refused_up_front_where_nothing_emulates_it(
    tiny_search, directory, monkeypatch, tmp_path
):
    monkeypatch.setenv("KERAS_RNN_ZOO_ARM", str(tmp_path / "nowhere"))
    with pytest.raises(
        MissingClientError, match=r"not set up in .*nowhere\. Set it up with: python"
    ):
        tiny_search(data="no_such_file.csv", budget=DeviceBudget(max_latency="2ms@a55"))
    assert not directory.exists()


@pytest.mark.slow
def test_trials_are_measured_on_the_core(tmp_path):
    if installation.find() is None:
        pytest.skip(f"the emulator is not set up: {installation.COMMAND}")
    for name in ("a55", "a76"):
        (tmp_path / name).mkdir()
    outcome = run_trial(tmp_path, 2, max_latency="1us@a55")
    assert outcome.status == "infeasible" and set(outcome.excess) == {"latency"}
    small, fast = (run_trial(tmp_path / c, 2, latency_core=c) for c in ("a55", "a76"))
    assert small.status == fast.status == "completed", (small.message, fast.message)
    assert outcome.latency_ms == pytest.approx(small.latency_ms, rel=0.1)
    # In order at 2.0 GHz, out of order at 2.4.
    assert small.latency_ms > 1.5 * fast.latency_ms


def test_the_old_name_of_the_quantization_still_answers():
    with pytest.warns(FutureWarning, match="quantize is called quantization now"):
        budget = DeviceBudget(quantize="int8")
    assert budget == DeviceBudget(quantization="int8")
    with pytest.warns(FutureWarning, match="quantize is called quantization now"):
        assert budget.quantize == "int8"
    assert DeviceBudget.from_dict({"max_size": 5, "quantize": "int8"}) == budget.replace(max_size=5)


# ------------------------------------------------------------------ what is recorded


def test_a_trial_records_the_figures_of_its_file(tmp_path):
    outcome = run_trial(tmp_path, 3, quantization="int8")
    assert outcome.status == "completed"
    assert outcome.bytes > 1000 and outcome.latency_ms > 0 and outcome.parameters > 0
    assert 0 <= outcome.metrics["quantized_accuracy"] <= 1
    assert outcome.seconds["train"] > 0


def test_the_quantized_accuracy_is_that_of_the_file(tiny_search, tmp_path):
    budget = DeviceBudget(quantization="none")
    result = tiny_search(budget=budget, max_trials=1, epochs=4)
    (best,) = result.trials
    # Nothing is quantized, so the file answers as the Keras model does.
    assert best.metrics["quantized_accuracy"] == pytest.approx(best.metrics["val_accuracy"])
    path = tmp_path / "model.tflite"
    export_tflite(result.best.load_model(), path, quantization="none")
    assert path.stat().st_size == pytest.approx(best.bytes, rel=0.01)
    assert np.isfinite(TFLiteModel(path).predict(tiny.tiny_data().train.x[:2])).all()


# ------------------------------------------------------------------ the front


def test_any_member_of_the_front_can_be_exported(tiny_search, directory, tmp_path):
    result = tiny_search(max_trials=3, epochs=1)
    info = json.loads((directory / "search.json").read_text())
    assert info["front"] == result.front and result.front
    for trial in result.trials:
        name = trial.trial_id
        if name in result.front or name == info["best"]["trial_id"]:
            bundle = export_bundle(
                directory, tmp_path / name, trial=name, formats=["tflite"], quantize=["dynamic"]
            )
            (file,) = bundle.report["files"]
            assert file["bytes"] == pytest.approx(trial.bytes, rel=0.01)
        else:
            with pytest.raises(RunError, match="keeps no trial"):
                export_bundle(directory, tmp_path / name, trial=name)
    with pytest.raises(RunError, match=r"keeps no trial '99'.*the winner first"):
        export_bundle(directory, tmp_path / "none", trial="99")
