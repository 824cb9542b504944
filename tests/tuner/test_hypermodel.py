"""The search space, by itself and in the hands of plain KerasTuner."""

import subprocess
import sys

import keras
import keras_tuner
import numpy as np
import pytest
import tiny

from keras_rnn_zoo.errors import ConfigError, UnknownNameError
from keras_rnn_zoo.tuner import ZooHyperModel

CONFIG = {"features": 2, "timesteps": 3, "layers": 1}
TUNERS = {
    "RandomSearch": {"max_trials": 2},
    "Hyperband": {"max_epochs": 3},
    "BayesianOptimization": {"max_trials": 4, "num_initial_points": 3},
    "GridSearch": {"max_trials": 2},
}

RNN = {"rnn": tiny.rnn_space}


def names(hp):
    return [entry.name for entry in hp.space]


@pytest.mark.parametrize("tuner", TUNERS)
def test_plain_keras_tuner_takes_it(tmp_path, tuner):
    data = tiny.tiny_data().train
    hypermodel = ZooHyperModel(["rnn", "gru"], config=CONFIG, spaces=tiny.SPACES)
    searcher = getattr(keras_tuner, tuner)(
        hypermodel, objective="val_accuracy", directory=tmp_path, seed=1, **TUNERS[tuner]
    )
    assert names(searcher.oracle.get_space()) == names(hypermodel.space())

    arguments = {} if tuner == "Hyperband" else {"epochs": 1}
    searcher.search(
        data.x[:40],
        data.y[:40],
        validation_data=(data.x[40:], data.y[40:]),
        batch_size=64,
        verbose=0,
        **arguments,
    )

    trials = searcher.oracle.trials.values()
    assert {trial.status for trial in trials} == {"COMPLETED"}
    for trial in trials:
        values = trial.hyperparameters.values
        own = {"rnn": {"rnn.units"}, "gru": {"gru.units", "gru.dropout"}}[values["model"]]
        assert {name for name in values if "tuner/" not in name} == {"model", "learning_rate", *own}
    (model,) = searcher.get_best_models()
    assert model.predict(data.x, verbose=0).shape == (60, 1)


def test_it_takes_token_ids_and_labels_per_time_step(tmp_path):
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 20, (30, 4)), generator.integers(0, 3, (30, 4))
    config = {
        "vocabulary_size": 20,
        "timesteps": 4,
        "task": "sequence_labelling",
        "outputs": 3,
        "embedding_dim": 2,
        "units": 2,
    }
    hypermodel = ZooHyperModel("bigru", config=config)
    searcher = keras_tuner.RandomSearch(
        hypermodel, objective="val_accuracy", max_trials=1, directory=tmp_path
    )
    searcher.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    assert searcher.get_best_models()[0].output_shape == (None, 4, 3)


def test_all_hyperparameters_are_found_without_building_a_model(monkeypatch):
    monkeypatch.setattr(keras, "Model", None)
    hypermodel = ZooHyperModel(["lstm", "bilstm"], config={"timesteps": 5})
    assert names(hypermodel.space()) == [
        "model",
        "learning_rate",
        "lstm.units",
        "lstm.dropout",
        "lstm.embedding_dim",
        "bilstm.units",
        "bilstm.dropout",
        "bilstm.embedding_dim",
    ]


def test_a_space_of_ones_own_may_have_conditions():
    def space(hp):
        values = {"mask": hp.Boolean("mask")}
        with hp.conditional_scope("mask", [True]):
            values["units"] = hp.Int("units", 2, 4)
        values["dropout"] = hp.Float("dropout", 0.0, 0.5, parent_name="mask", parent_values=[True])
        return values

    hypermodel = ZooHyperModel(["rnn"], config=CONFIG, spaces={"rnn": space})
    found = hypermodel.space()
    assert names(found) == ["model", "learning_rate", "rnn.mask", "rnn.units", "rnn.dropout"]
    hp = found.copy()
    assert "rnn.units" not in hp
    assert hypermodel.builder(hp).config["units"] == 64  # the model's default
    hp = keras_tuner.HyperParameters()
    hp.values = {"rnn.mask": True, "rnn.units": 3}
    assert hypermodel.builder(hp).config["units"] == 3
    assert "rnn.dropout" in hp

    for mask, active in ((True, True), (False, False)):
        settled = ZooHyperModel(["rnn"], config={**CONFIG, "mask": mask}, spaces={"rnn": space})
        assert ("rnn.units" in names(settled.space())) == active


def test_a_config_may_be_for_one_model_alone():
    hypermodel = ZooHyperModel(
        ["rnn", "gru"], config={**CONFIG, "units": 5, "gru": {"units": 7, "timesteps": 9}}
    )
    hp = keras_tuner.HyperParameters()
    assert hypermodel.builder(hp).config["units"] == 5
    hp = keras_tuner.HyperParameters()
    hp.Fixed("model", "gru")
    builder = hypermodel.builder(hp)
    assert (builder.name, builder.config["units"], builder.config["timesteps"]) == ("gru", 7, 9)


def test_a_list_in_the_config_is_searched_among_instead_of_the_models_own_values():
    config = {**CONFIG, "timesteps": [3, 5], "units": [7, 9], "gru": {"dropout": [0.0, 0.1]}}
    hypermodel = ZooHyperModel(["rnn", "gru"], config=config, spaces=tiny.SPACES)
    space = {entry.name: entry for entry in hypermodel.space().space}
    assert set(space) == {
        *("model", "learning_rate", "rnn.timesteps", "rnn.units"),
        *("gru.timesteps", "gru.units", "gru.dropout"),
    }
    assert space["rnn.timesteps"].values == [3, 5] and space["gru.units"].values == [7, 9]
    assert space["gru.dropout"].values == [0.0, 0.1]
    hp = keras_tuner.HyperParameters()
    hp.values = {"model": "gru", "gru.timesteps": 5, "gru.units": 9, "gru.dropout": 0.1}
    config = hypermodel.builder(hp).config
    assert (config["timesteps"], config["units"], config["dropout"]) == (5, 9, 0.1)


def test_the_scopes_of_a_space_may_hang_on_what_is_searched_among():
    def space(hp):
        with hp.conditional_scope("units", [9]):
            return {"units": hp.Choice("units", [1]), "dropout": hp.Choice("dropout", [0.0, 0.1])}

    hypermodel = ZooHyperModel(["rnn"], config={**CONFIG, "units": [7, 9]}, spaces={"rnn": space})
    assert names(hypermodel.space()) == ["model", "learning_rate", "rnn.units", "rnn.dropout"]


def test_one_value_in_a_list_is_settled():
    hypermodel = ZooHyperModel(["rnn"], config={**CONFIG, "units": [5]}, spaces=RNN)
    assert "rnn.units" not in names(hypermodel.space())


def test_the_batch_size_is_searched_among_several(monkeypatch):
    hypermodel = ZooHyperModel(["rnn"], config=CONFIG, batch_size=[16, 32], spaces=RNN)
    hp = hypermodel.space()
    assert names(hp) == ["model", "learning_rate", "batch_size", "rnn.units"]
    hp.values["batch_size"] = 32
    given = {}

    class Model:
        def fit(self, *args, **kwargs):
            given.update(kwargs)
            return keras.callbacks.History()

    monkeypatch.setattr(keras.callbacks.History, "history", {}, raising=False)
    hypermodel.fit(hp, Model(), batch_size=3)
    assert given["batch_size"] == 3
    hypermodel.fit(hp, Model())
    assert given["batch_size"] == 32
    assert ZooHyperModel(["rnn"], config=CONFIG, batch_size=8).batch_size_of(hp) == 8


def test_the_learning_rate_reaches_the_optimizer():
    hypermodel = ZooHyperModel(["rnn"], config=CONFIG, learning_rate=0.03)
    model = hypermodel.build(keras_tuner.HyperParameters())
    assert float(model.optimizer.learning_rate) == pytest.approx(0.03)
    hp = ZooHyperModel(["rnn"], config=CONFIG).space()
    assert hp.get("learning_rate") == pytest.approx(0.001)


def test_a_diverged_model_is_a_failed_trial():
    hypermodel = ZooHyperModel(["rnn"], config=CONFIG)
    hp = keras_tuner.HyperParameters()
    model = hypermodel.build(hp)
    data = tiny.tiny_data().train
    with pytest.raises(keras_tuner.errors.FailedTrialError, match=r"loss became NaN .* epoch 1"):
        hypermodel.fit(hp, model, data.x * np.nan, data.y, epochs=3, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"models": []}, ConfigError, "at least one model"),
        ({"models": ["gruu"]}, UnknownNameError, "Did you mean 'gru'"),
        ({"models": ["gru", "gru"]}, ConfigError, "each model once"),
        ({"config": {"unit": 3}}, ConfigError, "Did you mean 'units'"),
        ({"config": {"units": [3, 0]}}, ConfigError, "units is .*Received: 0"),
        ({"config": {"units": []}}, ConfigError, "no value for 'units'"),
        ({"config": {"outputs": [1, 2]}}, ConfigError, "outputs is what the data say"),
        (
            {"config": {"task": "sequence_labelling", "outputs": 3, "pooling": ["last", "max"]}},
            ConfigError,
            "pooling='max' makes one answer",
        ),
        ({"batch_size": [16, 0]}, ConfigError, r"batch_size is .*Received: \[16, 0\]"),
        ({"config": {"lstm": {}}}, ConfigError, "'lstm', which is not searched"),
        ({"config": {"gru": {"units": 0}}}, ConfigError, "Received: 0"),
        ({"spaces": {"lstm": tiny.gru_space}}, ConfigError, "'lstm', which is not searched"),
        ({"learning_rate": (1, 2, 3)}, ConfigError, r"Received: \(1, 2, 3\)"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ZooHyperModel(**{"models": ["gru", "rnn"], **arguments})


def test_names_and_checks_do_not_wait_for_tensorflow():
    code = """
import sys
import keras_rnn_zoo.tuner as tuner
assert tuner.TUNERS.names() == ["bayesian", "grid", "hyperband", "random"]
for bad in ({"tuner": "x"}, {"max_trials": 0}, {"learning_rate": -1}, {"spaces": {"x": 1}}):
    try:
        tuner.search(["lstm"], "nothing.csv", output="/nonexistent-place/search", **bad)
    except ValueError:
        pass
    except LookupError:
        pass
assert not {"tensorflow", "keras", "keras_tuner"} & set(sys.modules)
assert "search" in dir(tuner)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
