"""What is on disk is whole, whenever the search is stopped."""

import json
from pathlib import Path

import keras_tuner
import pytest
import tiny

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import OutputError, SearchError
from keras_rnn_zoo.tuner import TUNERS, Algorithm, Plan, ZooHyperModel
from keras_rnn_zoo.tuner.engines import ENGINES
from keras_rnn_zoo.tuner.study import search
from keras_rnn_zoo.tuner.tuners._durable import durable


class Stopped(BaseException):
    """As sudden as a kill: nothing in the package catches it."""


@pytest.fixture
def no_training(monkeypatch):
    """Trials take no time, and there is no winner; yields the ids of the trials that ran."""

    def no_winner(*_):
        raise SearchError("done")

    monkeypatch.setattr(search, "_finish", no_winner)
    monkeypatch.setattr(tiny.Instant, "runs", [])
    run_search = tiny.run_search
    monkeypatch.setattr(tiny, "run_search", lambda **more: run_search(engine="instant", **more))
    ENGINES.register("instant", tiny.Instant)
    yield tiny.Instant.runs
    ENGINES.unregister("instant")


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_a_stop_at_any_write_changes_nothing(tuner, no_training, tmp_path, monkeypatch):
    trials = 4 if tuner == "bayesian" else 5

    def run(directory):
        with pytest.raises(SearchError, match="done"):
            tiny.run_search(output=directory, tuner=tuner, max_trials=trials)

    replace = Path.replace
    countdown = [10**9]

    def replace_or_stop(self, target):
        countdown[0] -= 1
        if countdown[0] < 0:
            raise Stopped
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_or_stop)
    run(tmp_path / "undisturbed")
    writes = 10**9 - countdown[0]
    expected = tiny.comparable(tmp_path / "undisturbed")
    assert len(expected) == trials
    # Every other write, or every fifth where a proposal takes time, from the first to the last.
    for stop in range(0, writes, 5 if tuner == "bayesian" else 2):
        directory = tmp_path / f"stopped_{stop}"
        countdown[0] = stop
        with pytest.raises(Stopped):
            tiny.run_search(output=directory, tuner=tuner, max_trials=trials)
        for file in directory.rglob("*.json"):
            json.loads(file.read_text())
        countdown[0] = 10**9
        no_training.clear()
        ended_before = ended(directory)
        run(directory)
        assert tiny.comparable(directory) == expected
        assert not ended_before & set(no_training)
        assert not list(directory.rglob("*.part"))


def ended(directory):
    """Returns the ids of the trials that the state says have ended."""
    state = directory / "tuner" / "oracle.json"
    if not state.exists():
        return set()
    trials = json.loads(state.read_text())["trials"]
    return {name for name, trial in trials.items() if trial["status"] != "RUNNING"}


def test_a_write_that_fails_leaves_the_state_as_it_was(no_training, directory, monkeypatch):
    state = directory / "tuner" / "oracle.json"
    before = []
    replace = Path.replace

    def full(self, target):
        if Path(target).name == "oracle.json" and len(no_training) == 2:
            before.append(state.read_text())
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OutputError, match="the disk is full"):
            tiny.run_search(output=directory)
    assert state.read_text() == before[0]
    assert ended(directory) == {"0"}
    no_training.clear()
    with pytest.raises(SearchError, match="done"):
        tiny.run_search(output=directory)
    assert no_training == ["1", "2", "3"]


def test_plain_keras_tuner_reads_the_state(directory):
    result = tiny.run_search(output=directory, max_trials=2)
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
    assert best.score == result.trials[0]["score"]
    reader.results_summary()
    (model,) = reader.get_best_models()
    assert model.count_params() == result.best.metrics["parameters"]


def tiny_config(result):
    config = result.best.builder().config
    return {key: config[key] for key in ("features", "timesteps", "task", "outputs")}


def test_another_package_can_add_a_tuner(directory):
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

    TUNERS.register(First.name, First())
    try:
        result = tiny.run_search(output=directory, tuner="first", epochs=1)
    finally:
        TUNERS.unregister("first")
    (trial,) = result.trials
    assert trial["hyperparameters"]["learning_rate"] == pytest.approx(0.001)


def test_a_part_that_a_kill_left_is_swept_away(no_training, directory):
    with pytest.raises(SearchError, match="done"):
        tiny.run_search(output=directory)
    leftovers = [directory / ".trials.csv.x.part", directory / "tuner" / ".oracle.json.y.part"]
    for leftover in leftovers:
        leftover.write_text("half")
    for place in ("logs", "front"):
        (directory / place / ".trial_9.z.part").mkdir(parents=True)
    with pytest.raises(SearchError, match="done"):
        tiny.run_search(output=directory)
    assert not list(directory.rglob("*.part"))


def test_json_files_are_written_through_atomic_files(no_training, directory, monkeypatch):
    written = []
    write = files.write_text

    def count(path, text):
        written.append(Path(path).name)
        write(path, text)

    monkeypatch.setattr(files, "write_text", count)
    with pytest.raises(SearchError, match="done"):
        tiny.run_search(output=directory)
    assert {"oracle.json", "tuner0.json", "trial.json"} <= set(written)
