"""What is on disk is whole, whenever the search is stopped."""

import json
from pathlib import Path

import keras_tuner
import pytest
import tiny

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import ConfigError, OutputError
from keras_rnn_zoo.tuner import (
    ENGINES,
    TUNERS,
    Algorithm,
    Engine,
    Plan,
    ZooHyperModel,
    durable,
    register_engine,
    register_tuner,
)


class Stopped(BaseException):
    """As sudden as a kill: nothing in the package catches it."""


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_a_stop_at_any_write_changes_nothing(tuner, instant_search, tmp_path, monkeypatch):
    trials = 4 if tuner == "bayesian" else 5
    arguments = {"tuner": tuner, "max_trials": trials}
    replace = Path.replace
    countdown = [10**9]

    def replace_or_stop(self, target):
        countdown[0] -= 1
        if countdown[0] < 0:
            raise Stopped
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_or_stop)
    instant_search(output=tmp_path / "undisturbed", **arguments)
    writes = 10**9 - countdown[0]
    expected = tiny.comparable(tmp_path / "undisturbed")
    assert len(expected) == trials
    # The tuners write the same files in the same order: each is stopped at its own quarter of the
    # writes, so that together they are stopped at all of them.
    for stop in range(TUNERS.names().index(tuner), writes, 4):
        directory = tmp_path / f"stopped_{stop}"
        countdown[0] = stop
        with pytest.raises(Stopped):
            instant_search(output=directory, **arguments)
        for file in directory.rglob("*.json"):
            json.loads(file.read_text())
        countdown[0] = 10**9
        instant_search.jobs.clear()
        ended_before = ended(directory)
        instant_search(output=directory, **arguments)
        assert tiny.comparable(directory) == expected
        assert not ended_before & {job.trial_id for job in instant_search.jobs}
        assert not list(directory.rglob("*.part"))


def ended(directory):
    """Returns the ids of the trials that the state says have ended."""
    state = directory / "tuner" / "oracle.json"
    if not state.exists():
        return set()
    trials = json.loads(state.read_text())["trials"]
    return {name for name, trial in trials.items() if trial["status"] != "RUNNING"}


def test_a_write_that_fails_leaves_the_state_as_it_was(instant_search, directory, monkeypatch):
    state = directory / "tuner" / "oracle.json"
    before = []
    replace = Path.replace

    def full(self, target):
        if Path(target).name == "oracle.json" and len(instant_search.jobs) == 2:
            before.append(state.read_text())
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OutputError, match="the disk is full"):
            instant_search()
    assert state.read_text() == before[0]
    assert ended(directory) == {"0"}
    instant_search.jobs.clear()
    instant_search()
    assert [job.trial_id for job in instant_search.jobs] == ["1", "2", "3"]


def test_plain_keras_tuner_reads_the_state(tiny_search, directory):
    result = tiny_search(max_trials=2, epochs=1)
    settled = {**tiny_config(result), "layers": 1}
    hypermodel = ZooHyperModel(["rnn", "gru"], config=settled, spaces=tiny.SPACES)
    reader = keras_tuner.RandomSearch(
        hypermodel,
        objective="val_accuracy",
        max_trials=2,
        directory=directory,
        project_name="tuner",
    )
    assert len(reader.oracle.trials) == 2
    (best,) = reader.oracle.get_best_trials()
    assert best.score == result.trials[0].score
    reader.results_summary()
    (model,) = reader.get_best_models()
    assert model.count_params() == result.best.metrics["parameters"]


def tiny_config(result):
    config = result.best.builder().config
    return {key: config[key] for key in ("features", "timesteps", "task", "outputs")}


def test_another_package_can_add_a_tuner(instant_search):
    @register_tuner
    class First(Algorithm):
        name = "first"
        description = "Only the defaults."

        def oracle(self, plan: Plan) -> keras_tuner.Oracle:
            class FirstOracle(keras_tuner.Oracle):
                def populate_space(self, trial_id):
                    if self.start_order:
                        return {"status": "STOPPED"}
                    return {"status": "RUNNING", "values": dict(self.hyperparameters.values)}

            return durable(FirstOracle)(max_trials=plan.max_trials, **plan.arguments())

    try:
        (trial,) = instant_search(tuner="first").trials
    finally:
        TUNERS.unregister("first")
    assert trial.hyperparameters["learning_rate"] == pytest.approx(0.001)


def test_what_could_not_be_used_is_not_registered():
    class Nameless(Algorithm):
        description = "Has no name, and proposes nothing."

    class Demanding(Engine):
        name = "demanding"
        description = "Wants to know more than a search can say."

        def __init__(self, workers, data, place, timeout, host):
            pass

        submit = wait = close = lambda self: None

    with pytest.raises(ConfigError, match=r"lacks a name and the method oracle: .*Nameless"):
        register_tuner(Nameless)
    with pytest.raises(ConfigError, match="a tuner lacks the base class Algorithm"):
        register_tuner(Nameless.__init__)
    with pytest.raises(ConfigError, match="lacks a default of the argument host"):
        register_engine(Demanding)
    assert "demanding" not in ENGINES


def test_a_part_that_a_kill_left_is_swept_away(instant_search, directory):
    instant_search()
    leftovers = [directory / ".trials.csv.x.part", directory / "tuner" / ".oracle.json.y.part"]
    for leftover in leftovers:
        leftover.write_text("half")
    for place in ("logs", "front"):
        (directory / place / ".trial_9.z.part").mkdir(parents=True)
    instant_search()
    assert not list(directory.rglob("*.part"))


def test_json_files_are_written_through_atomic_files(instant_search, directory, monkeypatch):
    written = []
    write = files.write_text

    def count(path, text):
        written.append(Path(path).name)
        write(path, text)

    monkeypatch.setattr(files, "write_text", count)
    instant_search()
    assert {"oracle.json", "tuner0.json", "trial.json"} <= set(written)
