"""What a search optimizes, and which way: what a text means, and that a search follows it."""

from __future__ import annotations

import json

import pytest
import tiny

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.tuner import TUNERS, DeviceBudget, Search
from keras_rnn_zoo.tuner.objectives import parse

ERROR = "mean_absolute_error"


@pytest.mark.parametrize(
    ("text", "metric", "name", "direction", "terms"),
    [
        (None, "accuracy", "val_accuracy", "max", {"val_accuracy": 1}),
        (None, ERROR, "val_mean_absolute_error", "min", None),
        ("accuracy", "accuracy", "val_accuracy", "max", {"val_accuracy": 1}),
        ("val_accuracy", "accuracy", "val_accuracy", "max", {"val_accuracy": 1}),
        ("val_loss", "accuracy", "val_loss", "min", {"val_loss": 1}),
        ("quantized_accuracy", "accuracy", "quantized_accuracy", "max", None),
        ("size", "accuracy", "size", "min", {"bytes": 1}),
        ("arena", "accuracy", "arena", "min", {"arena": 1}),
        (
            " quantized_accuracy - 0.02*latency-1e-7 * size",
            "accuracy",
            "quantized_accuracy - 0.02*latency-1e-7 * size",
            "max",
            {"quantized_accuracy": 1, "latency_ms": -0.02, "bytes": -1e-7},
        ),
        ("-size", "accuracy", "-size", "max", {"bytes": -1}),
        # More of a sum of errors and costs is worse.
        (
            f"{ERROR} + 0.01*latency",
            ERROR,
            f"{ERROR} + 0.01*latency",
            "min",
            {f"val_{ERROR}": 1, "latency_ms": 0.01},
        ),
        (f"-{ERROR} - size", ERROR, f"-{ERROR} - size", "max", None),
        ("val_loss + 2*size", "accuracy", "val_loss + 2*size", "min", {"val_loss": 1, "bytes": 2}),
        ("0.01*latency - accuracy", "accuracy", "0.01*latency - accuracy", "min", None),
        # What has no weight has no say.
        ("accuracy + 0*latency", "accuracy", "accuracy + 0*latency", "max", None),
        # It may be said; where the parts disagree, it has to be.
        (f"min: {ERROR} + 0.01*latency", ERROR, f"{ERROR} + 0.01*latency", "min", None),
        ("Max :accuracy", "accuracy", "val_accuracy", "max", {"val_accuracy": 1}),
        ("max: accuracy + loss", "accuracy", "accuracy + loss", "max", None),
        ("min: accuracy + loss", "accuracy", "accuracy + loss", "min", None),
    ],
)
def test_objectives_mean_what_they_say(text, metric, name, direction, terms):
    objective = parse(text, metric)
    assert (objective.name, objective.direction) == (name, direction)
    if terms or " " not in name:
        assert objective.terms == (terms or {name: 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acuracy", "Unknown objective: 'acuracy'. Did you mean 'accuracy'"),
        (ERROR, "Unknown objective"),
        ("accuracy latency", "a weighted sum such as 'accuracy - 0.02\\*latency'"),
        ("accuracy - 0.1.2*size", "a weighted sum such as"),
        ("", "Name an objective"),
        ("max:", "Name an objective"),
        ("least: size", "before the colon of an objective is max or min. Received: 'least: size'"),
        ("0*accuracy", "The weights of the objective '0\\*accuracy' are all 0"),
        (
            "accuracy + 0.02*latency",
            "disagree: the larger it is, the better by 'accuracy' and the worse by 'latency'. "
            "Write 'accuracy - 0.02\\*latency', or say which way it is better: "
            "'max: accuracy \\+ 0.02\\*latency' or 'min: accuracy \\+ 0.02\\*latency'",
        ),
        ("max: loss", "'max: loss' asks for the worst: .* less is better. Write 'min: loss'"),
        ("min: accuracy - size", "asks for the worst: by all its parts, more is better"),
    ],
)
def test_objectives_that_mean_nothing_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text, "accuracy")


@pytest.mark.parametrize("text", ["accuracy + 0.02*latency", "-accuracy - 2*size - loss"])
def test_what_a_message_advises_works(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, "accuracy")
    advised = str(caught.value).split("'")[1::2]
    for advice in advised[3 if text.startswith("acc") else 4 :]:
        assert parse(advice, "accuracy").direction in ("max", "min")


def test_a_task_may_have_further_metrics():
    objective = parse("f1 - 0.5*latency", ["accuracy", "f1"])
    assert objective.direction == "max"
    assert objective.terms == {"val_f1": 1, "latency_ms": -0.5}
    # A figure that has to be asked for says which epoch is best.
    assert objective.monitor == ("val_f1", "max")
    assert parse("accuracy + f1", ["accuracy", "f1"]).monitor[0] == "val_f1"
    assert parse("f1", ["accuracy", "f1"]).name == "val_f1"
    with pytest.raises(ConfigError, match="Unknown objective: 'f1'"):
        parse("f1", "accuracy")


def test_a_search_optimizes_what_it_is_told(instant_search):
    result = instant_search(objective="size")
    sizes = [trial.bytes for trial in result.trials]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    assert [trial.score for trial in result.trials] == sizes
    assert result.info["objective"] == {"name": "size", "direction": "min"}


def test_a_weighted_sum_is_the_score(instant_search):
    for trial in instant_search(objective="accuracy - 0.001*parameters").trials:
        expected = trial.metrics["val_accuracy"] - 0.001 * trial.parameters
        assert trial.score == pytest.approx(expected)


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_the_least_sum_of_an_error_and_a_cost_wins(instant_search, directory, tuner, capsys):
    text = f"{ERROR} + 0.01*latency"
    result = instant_search(
        data=tiny.tiny_data("regression"),
        objective=text,
        tuner=tuner,
        max_trials=8,
        progress=True,
    )
    scores = [trial.score for trial in result.trials]
    assert scores == sorted(scores) and scores[0] < scores[-1]
    winner = result.info["best"]["trial_id"]
    errors = {trial.trial_id: trial.metrics[f"val_{ERROR}"] for trial in result.trials}
    assert errors[winner] == min(errors.values())
    assert winner in result.front
    assert result.info["objective"] == {"name": text, "direction": "min"}
    said = capsys.readouterr().err.splitlines()
    assert f"Objective: {text}, less is better." in said
    assert f"best {scores[0]:.4f}" in said[-1]
    page = (directory / "report.html").read_text()
    assert f"<td>objective</td><td>{text.replace('_', ' ')}, less is better</td>" in page
    if tuner == "hyperband":
        promoted = [job for job in instant_search.jobs if job.parent]
        first = [job.trial_id for job in instant_search.jobs if not job.initial_epoch]
        of_first_bracket = first[:3]  # three trials of one epoch, the best of which goes on
        assert promoted[0].parent == min(of_first_bracket, key=errors.__getitem__)


def test_a_search_of_an_older_version_keeps_the_meaning_of_its_sum(instant_search, directory):
    arguments = {"data": tiny.tiny_data("regression"), "objective": f"{ERROR} + 0.01*latency"}
    instant_search(max_trials=3, **arguments)
    file = directory / "search.json"
    info = json.loads(file.read_text())
    info["objective"]["direction"] = "max"  # once, the larger of any sum was the better
    file.write_text(json.dumps(info))
    result = instant_search(max_trials=6, **arguments)
    scores = [trial.score for trial in result.trials]
    assert scores == sorted(scores, reverse=True)
    assert result.info["objective"]["direction"] == "max"
    assert Search.load(directory).trials[0].trial_id == result.info["best"]["trial_id"]


def test_an_old_sum_whose_parts_disagree_goes_on(instant_search, directory):
    instant_search(max_trials=2, objective="max: accuracy + 0.001*latency")
    file = directory / "search.json"
    info = json.loads(file.read_text())
    info["settings"]["objective"] = "accuracy + 0.001*latency"  # as it was written once
    file.write_text(json.dumps(info))
    assert len(instant_search(max_trials=3, objective="accuracy + 0.001*latency").trials) == 3


def test_a_sum_whose_parts_disagree_is_refused_before_the_first_trial(instant_search, directory):
    with pytest.raises(ConfigError, match="disagree"):
        instant_search(objective="accuracy + 0.02*latency")
    assert not directory.exists()


def test_an_arena_is_optimized_where_there_is_one(instant_search, directory, monkeypatch):
    with pytest.raises(ConfigError, match=r"the target 'litert' has none\. Choose .*'micro'"):
        instant_search(objective="accuracy - 1e-6*arena")
    assert not directory.exists()
    outcome = tiny.Instant.outcome

    def with_an_arena(self, job):
        found = outcome(self, job)
        return type(found)(**{**vars(found), "arena": 10 * found.bytes})

    monkeypatch.setattr(tiny.Instant, "outcome", with_an_arena)
    monkeypatch.setattr("keras_rnn_zoo.export.tflite.micro.needed", lambda purpose: "python")
    budget = DeviceBudget(target="micro", quantization="int8")
    result = instant_search(objective="arena", budget=budget, config={"layers": 1, "mask": False})
    assert [trial.score for trial in result.trials] == sorted(t.arena for t in result.trials)
