"""What the tuners propose: asked and told, without training anything."""

import itertools
import json
import math
import random

import keras_tuner
import numpy as np
import pytest

from keras_rnn_zoo.tuner import TUNERS, Plan, ZooHyperModel
from keras_rnn_zoo.tuner.tuners import _bayesian as bayesian
from keras_rnn_zoo.tuner.tuners._durable import DurableOracle
from keras_rnn_zoo.tuner.tuners._feasibility import Limits, ratios
from keras_rnn_zoo.tuner.tuners._surrogate import Arcs, Space, is_active

TEXT = {"vocabulary_size": 1000, "timesteps": 20}


def zoo():
    """Three models that share the learning rate alone."""
    return ZooHyperModel(["lstm", "gru", "bilstm"], config=TEXT).space()


def nested():
    """Two models, the second of whose layers is there only if it is asked for."""

    def space(hp):
        hp.Int("units", 8, 128, step=8)
        hp.Float("dropout", 0.0, 0.6)
        hp.Int("layers", 1, 2)
        with hp.conditional_scope("layers", [2]):
            hp.Int("units_2", 8, 128, step=8)
            hp.Boolean("residual")
        return {}

    return ZooHyperModel(["lstm", "gru"], config=TEXT, spaces={"lstm": space, "gru": space}).space()


def small():
    """Twelve combinations."""
    hp = keras_tuner.HyperParameters()
    hp.Choice("model", ["a", "b"])
    hp.Choice("units", [1, 2, 3])
    hp.Boolean("wide")
    return hp


def accuracy(values):
    """Has its best, about 0.87, where a person would expect it, and lies on a ridge."""
    model = values["model"]
    best_rate, best_units, score = {
        "lstm": (-2.5, 6, 0.84),
        "gru": (-2.8, 5, 0.86),
        "bilstm": (-2.4, 6, 0.87),
    }[model]
    score -= 0.06 * (math.log10(values["learning_rate"]) - best_rate) ** 2
    score -= 0.02 * abs(math.log2(values[f"{model}.units"]) - best_units) ** 1.5
    score -= 0.6 * (values[f"{model}.dropout"] - 0.3) ** 2
    score -= 0.01 * abs(math.log2(values.get(f"{model}.embedding_dim", 64)) - 6)
    score -= 0.01 * abs(math.log2(values.get(f"{model}.units_2", 48) / 48))
    return score


def size(values):
    """About the bytes of an int8 model."""
    model = values["model"]
    units, inputs = values[f"{model}.units"], values.get(f"{model}.embedding_dim", 32)
    count = units * (units + inputs)
    if f"{model}.units_2" in values:
        count += values[f"{model}.units_2"] * (values[f"{model}.units_2"] + units)
    return 2000 * inputs + {"lstm": 4, "gru": 3, "bilstm": 8}[model] * count


def any_score(values):
    """A score for any values, the same at every call."""
    return random.Random(str(sorted(values.items()))).random()


def make(tuner, directory, space, *, trials=12, epochs=9, seed=1, direction="max"):
    """Returns an oracle; one that is there already is taken up again."""
    objective = keras_tuner.Objective("val_accuracy", direction)
    oracle = TUNERS.get(tuner).oracle(Plan(objective, trials, epochs, seed))
    oracle._set_project_dir(str(directory), "tuner")
    oracle.update_space(space)
    if (directory / "tuner" / "oracle.json").exists():
        oracle.reload()
    return oracle


def tell(oracle, trial, value=None, excess=None, failed=False, figures=None):
    """Ends a trial as the search does."""
    with oracle.one_step():
        oracle.records[trial.trial_id] = {"excess": excess or {}, **(figures or {})}
        if failed:
            trial.status, trial.message = "FAILED", "crashed"
        else:
            value = oracle.penalty(excess) if excess else value
            oracle.update_trial(trial.trial_id, {"val_accuracy": value})
            trial.status = "COMPLETED"
        oracle.end_trial(trial)


def proposals(oracle):
    return [dict(oracle.trials[name].hyperparameters.values) for name in oracle.start_order]


def run(oracle, outcome, workers=1, seed=0):
    """Runs trials to the end of the search; with workers, they end in any order.

    Args:
        outcome: Takes a trial's values, and returns the arguments of `tell`.
    """
    generator = random.Random(seed)
    running = {}
    while True:
        for worker in map(str, range(workers)):
            if worker in running:
                continue
            trial = oracle.create_trial(worker)
            if trial.status != "RUNNING":
                assert trial.status == "STOPPED" or running, "it waits for nothing"
                break
            running[worker] = trial
        if not running:
            return oracle
        worker = generator.choice(sorted(running))
        trial = running.pop(worker)
        tell(oracle, trial, **outcome(trial.hyperparameters.values))


@pytest.fixture
def in_memory(monkeypatch):
    """Searches whose files nobody reads need not write them."""
    monkeypatch.setattr(DurableOracle, "save", lambda self: None)
    monkeypatch.setattr(DurableOracle, "_save_trial", lambda self, trial: None)


# ---------------------------------------------------------------------- over budget, failed


def mixed(values):
    """Some trials score, some are over budget, some fail."""
    number = any_score({**values, "of": "kind"})
    if number < 0.3:
        return {"excess": {"size": 1 + 3 * number, "latency": 1.1}}
    return {"failed": True} if number < 0.5 else {"value": 100 * any_score(values) - 50}


@pytest.mark.parametrize("direction", ["max", "min"])
@pytest.mark.parametrize("tuner", TUNERS.names())
def test_a_trial_over_budget_is_never_ranked_before_one_within(tuner, direction, tmp_path):
    oracle = make(tuner, tmp_path, zoo(), trials=14, direction=direction)
    seen = []

    def outcome(values):
        result = mixed(values)
        best = [t for t in oracle.get_best_trials(99) if t.status == "COMPLETED"]
        over = [bool(oracle.excess(trial.trial_id)) for trial in best]
        assert over == sorted(over)
        seen.append(over)
        return result

    run(oracle, outcome)
    assert any(True in over and False in over for over in seen)
    reader = keras_tuner.oracles.RandomSearchOracle(oracle.objective, max_trials=14)
    reader._set_project_dir(str(tmp_path), "tuner")
    reader.reload()
    completed = sum(trial.status == "COMPLETED" for trial in oracle.trials.values())
    names = [trial.trial_id for trial in oracle.get_best_trials(completed)]
    assert [trial.trial_id for trial in reader.get_best_trials(completed)] == names


@pytest.mark.parametrize("direction", ["max", "min"])
def test_a_penalty_is_worse_the_further_over_budget_and_of_the_order_of_the_scores(
    direction, tmp_path
):
    oracle = make("random", tmp_path, zoo(), direction=direction)
    assert math.isfinite(oracle.penalty({"size": 2.0}))
    for value in (0.70, 0.72, 0.75):
        tell(oracle, oracle.create_trial("0"), value)
    sign = 1 if direction == "max" else -1
    worst = 0.70 if direction == "max" else 0.75
    penalties = [sign * oracle.penalty({"size": times}) for times in (1.01, 1.5, 4.0)]
    assert sign * worst > penalties[0] > penalties[1] > penalties[2] > sign * worst - 0.2
    assert sign * oracle.penalty({"size": 1.5, "latency": 1.5}) < penalties[1]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("tuner", TUNERS.names())
def test_a_score_that_is_no_number_is_a_failure_and_ends_nothing(tuner, value, tmp_path):
    oracle = run(make(tuner, tmp_path, zoo(), trials=8), lambda values: {"value": value})
    assert len(oracle.end_order) == len(set(oracle.end_order)) == 8
    assert {trial.status for trial in oracle.trials.values()} == {"FAILED"}
    assert {trial.message for trial in oracle.trials.values()} == {
        "val_accuracy became NaN or infinite."
    }


def test_a_metric_that_is_no_number_costs_itself_only(tmp_path):
    oracle = make("random", tmp_path, zoo())
    trial = oracle.create_trial("0")
    oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5, "loss": math.nan})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    again = make("random", tmp_path, zoo()).trials[trial.trial_id]
    assert (again.score, again.metrics.exists("loss")) == (0.5, False)


# ---------------------------------------------------------------------- several at once


def comparable(oracle):
    """Returns what must be different in every trial."""
    bookkeeping = ("tuner/epochs", "tuner/initial_epoch", "tuner/bracket", "tuner/trial_id")
    return [
        tuple(sorted((key, value) for key, value in values.items() if key not in bookkeeping))
        for values in proposals(oracle)
    ]


@pytest.mark.parametrize("outcome", [mixed, lambda values: {"value": any_score(values)}])
@pytest.mark.parametrize("tuner", TUNERS.names())
def test_parallel_proposals_are_all_different(tuner, outcome, tmp_path, in_memory):
    oracle = run(make(tuner, tmp_path, nested(), trials=16), outcome, workers=4)
    assert len(oracle.end_order) == len(set(comparable(oracle))) == 16
    assert not oracle.ongoing_trials


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("tuner", TUNERS.names())
def test_a_small_space_is_tried_out_once(tuner, workers, tmp_path, in_memory):
    oracle = make(tuner, tmp_path, small(), trials=40, epochs=1)
    run(oracle, lambda values: {"value": any_score(values)}, workers)
    assert len(oracle.trials) == len(set(comparable(oracle))) == 12


@pytest.mark.parametrize("tuner", TUNERS.names())
def test_all_that_were_running_are_run_again_in_their_order(tuner, tmp_path):
    oracle = make(tuner, tmp_path, zoo())
    tell(oracle, oracle.create_trial("0"), 0.5)
    trials = [oracle.create_trial(str(worker)) for worker in range(4)]
    tell(oracle, trials[2], 0.6)
    del trials[2]
    # Once more in the middle of it: one of the three is running, two wait.
    again = make(tuner, tmp_path, zoo())
    assert again.create_trial("0").trial_id == trials[0].trial_id
    again = make(tuner, tmp_path, zoo())
    found = [again.create_trial(str(worker)) for worker in range(4)]
    assert [trial.trial_id for trial in found[:3]] == [trial.trial_id for trial in trials]
    for before, after in zip(trials, found, strict=False):
        assert after.hyperparameters.values == before.hyperparameters.values
        assert (after.status, after.score, after.metrics.metrics) == ("RUNNING", None, {})
    assert found[3].trial_id not in oracle.trials


@pytest.mark.parametrize("outcome", [mixed, lambda values: {"value": any_score(values)}])
@pytest.mark.parametrize("tuner", TUNERS.names())
def test_a_search_that_is_stopped_again_and_again_proposes_the_same(tuner, outcome, tmp_path):
    space, trials = zoo(), 12 if tuner == "hyperband" else 8
    undisturbed = run(make(tuner, tmp_path / "whole", space, trials=trials), outcome)
    while True:
        oracle = make(tuner, tmp_path / "parts", space, trials=trials)
        oracle.create_trial("0")  # it is running when the search is stopped
        oracle = make(tuner, tmp_path / "parts", space, trials=trials)
        trial = oracle.create_trial("0")
        if trial.status == "STOPPED":
            break
        tell(oracle, trial, **outcome(trial.hyperparameters.values))
    assert proposals(oracle) == proposals(undisturbed)
    assert oracle.get_state()["trials"] == undisturbed.get_state()["trials"]


def test_grid_depends_on_the_number_of_a_trial_alone(tmp_path):
    alone = run(make("grid", tmp_path / "1", zoo()), lambda values: {"value": 0.5})
    four = run(make("grid", tmp_path / "4", zoo()), mixed, workers=4)
    assert proposals(alone) == proposals(four)


# ---------------------------------------------------------------------- Hyperband


def rounds(oracle):
    """Returns bracket -> round -> ids."""
    found = {}
    for name in oracle.start_order:
        values = oracle.trials[name].hyperparameters.values
        bracket = found.setdefault(values["tuner/bracket"], {})
        bracket.setdefault(values["tuner/round"], []).append(name)
    return found


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("direction", ["max", "min"])
def test_hyperband_promotes_the_best_of_a_round(workers, direction, tmp_path, in_memory):
    oracle = make("hyperband", tmp_path, zoo(), trials=13, direction=direction)
    run(oracle, lambda values: {"value": any_score(values)}, workers)
    sizes = [oracle._get_size(2, number) for number in range(3)]
    (bracket,) = (of for number, of in rounds(oracle).items() if number == 2)
    assert [len(bracket[number]) for number in range(3)] == sizes
    for number in (1, 2):
        ranked = sorted(
            bracket[number - 1], key=lambda name: oracle.trials[name].score, reverse=True
        )
        best = ranked[: sizes[number]] if direction == "max" else ranked[-sizes[number] :]
        values = [oracle.trials[name].hyperparameters.values for name in bracket[number]]
        assert {of["tuner/trial_id"] for of in values} == set(best)
        assert {of["tuner/initial_epoch"] for of in values} == {oracle._get_epochs(2, number - 1)}
        assert {of["tuner/epochs"] for of in values} == {oracle._get_epochs(2, number)}


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("seed", range(2))
def test_hyperband_goes_on_from_trials_within_the_budget_only(workers, seed, tmp_path, in_memory):
    algorithm = TUNERS.get("hyperband")
    oracle = make("hyperband", tmp_path, nested(), trials=40, seed=100 * seed + 1)

    def outcome(values):
        # What a trial that runs goes on from is kept, whatever became of its bracket.
        running = (t for t in oracle.trials.values() if t.status == "RUNNING")
        parents = {t.hyperparameters.values.get("tuner/trial_id") for t in running} - {None}
        assert parents <= algorithm.needed(oracle)
        return mixed(values)

    run(oracle, outcome, workers, seed)
    assert len(oracle.end_order) == 40
    parents = [
        oracle.trials[trial.hyperparameters.values["tuner/trial_id"]]
        for trial in oracle.trials.values()
        if "tuner/trial_id" in trial.hyperparameters.values
    ]
    assert parents
    assert len({trial.trial_id for trial in parents}) == len(parents)
    assert {trial.status for trial in parents} == {"COMPLETED"}
    assert not any(oracle.excess(trial.trial_id) for trial in parents)


def test_hyperband_promotes_who_is_left_when_most_of_a_round_is_out(tmp_path, in_memory):
    oracle = make("hyperband", tmp_path, zoo(), trials=13)
    count = itertools.count()

    def outcome(values):
        within = values["tuner/round"] > 0 or next(count) == 4
        return {"value": any_score(values)} if within else {"excess": {"size": 2.0}}

    run(oracle, outcome)
    bracket = rounds(oracle)[2]
    assert [len(bracket[number]) for number in range(3)] == [oracle._get_size(2, 0), 1, 1]
    (first,), (second,) = bracket[1], bracket[2]
    assert oracle.trials[first].hyperparameters.values["tuner/trial_id"] == bracket[0][4]
    assert oracle.trials[second].hyperparameters.values["tuner/trial_id"] == first


@pytest.mark.parametrize("direction", ["max", "min"])
@pytest.mark.parametrize(
    ("trials", "epochs", "sizes", "ends"),
    [
        (10, 4, [5, 2], [2, 4]),  # what a search does that is not told otherwise
        (13, 9, [9, 3, 1], [1, 3, 9]),
        (52, 30, [34, 12, 4, 2], [2, 4, 10, 30]),
        # Too few trials for any bracket as it should be: the smallest that halves is made smaller.
        (10, 30, [8, 2], [10, 30]),
        (5, 30, [4, 1], [10, 30]),
        (3, 3, [2, 1], [1, 3]),
    ],
)
def test_the_first_bracket_of_hyperband_halves(
    trials, epochs, sizes, ends, direction, tmp_path, in_memory
):
    arguments = {"trials": trials, "epochs": epochs, "direction": direction}
    oracle = make("hyperband", tmp_path, zoo(), **arguments)
    outline = TUNERS.get("hyperband").outline(oracle)
    run(oracle, lambda values: {"value": any_score(values)})
    assert len(oracle.trials) == trials
    first = oracle.trials[oracle.start_order[0]].hyperparameters.values["tuner/bracket"]
    assert first == len(sizes) - 1
    of = oracle.start_order[: sum(sizes)]
    found = [
        [n for n in of if oracle.trials[n].hyperparameters.values["tuner/round"] == number]
        for number in range(len(sizes))
    ]
    assert [len(names) for names in found] == sizes
    sign = -1 if direction == "max" else 1
    for number, names in enumerate(found):
        values = [oracle.trials[name].hyperparameters.values for name in names]
        assert {one["tuner/epochs"] for one in values} == {ends[number]}
        if number:
            ranked = sorted(found[number - 1], key=lambda n: sign * oracle.trials[n].score)
            assert {one["tuner/trial_id"] for one in values} == set(ranked[: sizes[number]])
    assert outline.startswith(f"Hyperband trains {sizes[0]} up to epoch {ends[0]}; of these the ")
    assert outline.endswith(f"the best {sizes[-1]} up to epoch {ends[-1]}.")


@pytest.mark.parametrize(("trials", "epochs"), [(2, 9), (10, 2)])
def test_hyperband_says_where_there_is_nothing_to_halve(trials, epochs, tmp_path, in_memory):
    oracle = make("hyperband", tmp_path, zoo(), trials=trials, epochs=epochs)
    said = TUNERS.get("hyperband").outline(oracle)
    assert "to promote the best takes 3 epochs and 3 trials at least" in said
    run(oracle, lambda values: {"value": any_score(values)})
    assert len(oracle.trials) == trials
    assert {values["tuner/epochs"] for values in proposals(oracle)} == {epochs}


def test_of_equal_trials_hyperband_promotes_the_smaller(tmp_path, in_memory):
    oracle = make("hyperband", tmp_path, zoo(), trials=13)
    run(oracle, lambda values: {"value": 0.5, "figures": {"bytes": size(values)}})
    (bracket,) = (of for number, of in rounds(oracle).items() if number == 2)
    ranked = sorted(bracket[0], key=lambda name: oracle.records[name]["bytes"])
    promoted = [oracle.trials[n].hyperparameters.values["tuner/trial_id"] for n in bracket[1]]
    assert set(promoted) == set(ranked[:3])


def test_more_trials_are_further_brackets_of_hyperband(tmp_path):
    space = zoo()
    oracle = run(make("hyperband", tmp_path, space, trials=13), lambda v: {"value": any_score(v)})
    assert TUNERS.get("hyperband").outline(oracle) is None
    oracle = make("hyperband", tmp_path, space, trials=13 + 7 + 3 + 13)
    run(oracle, lambda values: {"value": any_score(values)})
    brackets = [values["tuner/bracket"] for values in proposals(oracle)]
    assert brackets == [2] * 13 + [1] * 7 + [0] * 3 + [2] * 13


def test_a_bracket_that_an_older_version_opened_goes_on(tmp_path):
    oracle = make("hyperband", tmp_path, zoo(), trials=13)
    for _ in range(4):
        tell(oracle, oracle.create_trial("0"), 0.5)
    file = tmp_path / "tuner" / "oracle.json"
    state = json.loads(file.read_text())
    for bracket in state["brackets"]:
        del bracket["sizes"]
    file.write_text(json.dumps(state))
    oracle = run(make("hyperband", tmp_path, zoo(), trials=13), lambda v: {"value": any_score(v)})
    assert [len(names) for names in rounds(oracle)[2].values()] == [9, 3, 1]


def test_hyperband_trains_on_what_a_small_space_has(tmp_path, in_memory):
    hp = keras_tuner.HyperParameters()
    hp.Choice("model", ["a", "b", "c"])
    oracle = make("hyperband", tmp_path, hp, trials=30)
    run(oracle, lambda values: {"value": any_score(values)}, workers=2)
    assert [len(names) for names in rounds(oracle)[2].values()] == [3, 3, 1]
    assert len(oracle.trials) == 7


def test_hyperband_waits_only_for_what_is_running(tmp_path, in_memory):
    oracle = make("hyperband", tmp_path, zoo(), trials=9, epochs=3)
    sizes = [oracle._get_size(1, number) for number in range(2)]
    trials = [oracle.create_trial(str(worker)) for worker in range(sizes[0])]
    others = []
    while (trial := oracle.create_trial(f"other {len(others)}")).status == "RUNNING":
        others.append(trial)
    assert trial.status == "IDLE"
    assert len(trials) + len(others) + sizes[1] <= 9  # it leaves room for the promotions
    for trial in others + trials:
        tell(oracle, trial, failed=True)
    assert oracle.create_trial("0").status == "RUNNING"


# ---------------------------------------------------------------------- Bayesian


def squares(space, first, second):
    """Returns the squared distance of two points, by axis."""
    a, b = space.encode([first, second])
    return np.bincount(space.groups, (a - b) ** 2)


def test_what_is_inactive_says_nothing():
    space = Space(nested().space)
    common = {"model": "lstm", "learning_rate": 1e-3, "lstm.units": 32, "lstm.dropout": 0.2}
    one = {**common, "lstm.layers": 1}
    two = {**common, "lstm.layers": 2, "lstm.units_2": 8, "lstm.residual": False}
    other = {**two, "lstm.units_2": 128, "lstm.residual": True}
    # Values that are left over where they are inactive are not looked at.
    assert np.array_equal(*space.encode([one, {**one, "lstm.units_2": 64, "gru.units": 8}]))
    # Whatever an active one is, it is as far from a point where it is inactive.
    assert squares(space, one, two) == pytest.approx(squares(space, one, other))
    assert squares(space, two, other).sum() > 1


def test_what_models_have_in_common_is_one_axis():
    space = Space(nested().space)
    assert space.groups[-1] == 6  # model, learning rate, units, dropout, layers, units_2, residual
    lstm = {"model": "lstm", "learning_rate": 1e-3, "lstm.units": 32, "lstm.dropout": 0.2}
    gru = {name.replace("lstm", "gru"): value for name, value in lstm.items()} | {"model": "gru"}
    between_models = squares(space, lstm, gru)
    assert np.count_nonzero(between_models) == 1
    more = squares(space, lstm, {**gru, "gru.units": 128})
    assert np.count_nonzero(more) == 2
    assert (more - between_models).sum() == pytest.approx(
        squares(space, lstm, {**lstm, "lstm.units": 128}).sum()
    )
    # A neighbour that differs in the model alone is among those that are drawn.
    generator = np.random.default_rng(0)
    neighbours = [space.draw(generator, {**lstm, "lstm.layers": 1}) for _ in range(300)]
    assert {**gru, "gru.layers": 1} in neighbours


def test_another_range_or_both_active_is_another_axis():
    hp = keras_tuner.HyperParameters()
    hp.Choice("model", ["a", "b", "c"])
    for model, greatest in (("a", 8), ("b", 8), ("c", 16)):
        with hp.conditional_scope("model", [model]):
            hp.Int(f"{model}.units", 1, greatest)
    hp.Int("head.units", 1, 8)
    space = Space(hp.space)
    assert space.groups[-1] + 1 == 4  # model, units of a and b, of c, of the head


def test_values_are_as_far_apart_as_they_should_be():
    hp = zoo()
    space = Space(hp.space)
    point = {"model": "gru", "gru.units": 32, "gru.dropout": 0.2, "gru.embedding_dim": 16}
    rates = [{**point, "learning_rate": rate} for rate in (1e-4, 1e-3, 1e-2)]
    near, far = squares(space, rates[0], rates[1]), squares(space, rates[1], rates[2])
    assert near.sum() == pytest.approx(far.sum())  # logarithmic
    bare = [{"model": model, "learning_rate": 1e-3} for model in ("lstm", "gru", "bilstm")]
    apart = [squares(space, *pair)[0] for pair in itertools.combinations(bare, 2)]
    assert apart == pytest.approx([1, 1, 1])  # no model between two others
    ends = squares(space, rates[0], rates[2])
    assert ends.max() == pytest.approx(1)


def test_the_kernel_has_the_slope_that_it_says():
    space = Space(nested().space)
    generator = np.random.default_rng(0)
    x = space.encode([space.draw(generator) for _ in range(15)])
    kernel = Arcs(generator.uniform(0.3, 3.0, space.groups[-1] + 1), space.groups)
    values, slopes = kernel(x, eval_gradient=True)
    assert np.linalg.eigvalsh(values).min() > 0
    assert kernel(x, x) == pytest.approx(values)
    for number, theta in enumerate(kernel.theta):
        step = np.zeros_like(kernel.theta)
        step[number] = 1e-5
        above, below = (kernel.clone_with_theta(kernel.theta + s)(x) for s in (step, -step))
        # Central differences: the error is of the order of the step squared, and of rounding.
        assert (above - below) / 2e-5 == pytest.approx(slopes[..., number], abs=1e-8), theta


@pytest.mark.parametrize("space", [zoo, nested])
def test_points_have_the_active_values_and_no_others(space):
    hp = space()
    drawn = Space(hp.space)
    generator = np.random.default_rng(0)
    point = None
    for _ in range(200):
        point = drawn.draw(generator, point)
        expected = {entry.name for entry in hp.space if is_active(entry, point)}
        assert set(point) == expected


def test_a_neighbour_differs_a_little():
    space = Space(zoo().space)
    generator = np.random.default_rng(0)
    point = space.draw(generator)
    different = []
    for _ in range(300):
        other = space.draw(generator, point)
        different.append(sum(other.get(name) != value for name, value in point.items()))
    assert 0.5 < np.mean(different) < 3


def final(tuner, directory, space, seed, trials, limit=None, failing=None):
    """Returns the best true accuracy, and the share of trials after the first third that are out.

    The scores have the noise of training.
    """
    generator = np.random.default_rng(seed)
    # Neighbouring seeds of KerasTuner's random search draw much the same.
    oracle = make(tuner, directory / str(seed), space, trials=trials, seed=1000 * seed + 1)

    def outcome(values):
        if failing and failing(values):
            return {"failed": True}
        figures = {"bytes": size(values)}
        if limit and size(values) > limit:
            return {"excess": {"size": size(values) / limit}, "figures": figures}
        return {"value": accuracy(values) + generator.normal(scale=0.004), "figures": figures}

    run(oracle, outcome)
    out = [
        oracle.trials[name].status == "FAILED" or bool(oracle.excess(name))
        for name in oracle.start_order
    ]
    within = [v for v, is_out in zip(proposals(oracle), out, strict=True) if not is_out]
    return max(map(accuracy, within)), np.mean(out[trials // 3 :])


def quantile(space, share):
    """Returns a limit of the size that a share of the space keeps."""
    generator, drawn = np.random.default_rng(0), Space(space.space)
    return np.quantile([size(drawn.draw(generator)) for _ in range(2000)], share)


@pytest.mark.parametrize("space", [zoo, nested])
def test_bayesian_finds_better_than_random(space, tmp_path, in_memory):
    space = space()
    ours, chance = (
        np.array([final(tuner, tmp_path, space, seed, 24)[0] for seed in range(3)])
        for tuner in ("bayesian", "random")
    )
    assert ours.mean() > chance.mean() + 0.005
    assert (ours > chance).mean() >= 0.6


@pytest.mark.parametrize("space", [zoo, nested])
def test_bayesian_stays_within_the_budget(space, tmp_path, in_memory):
    space = space()
    limit = quantile(space, 0.35)
    ours, chance = (
        np.array([final(tuner, tmp_path, space, seed, 24, limit) for seed in range(3)]).T
        for tuner in ("bayesian", "random")
    )
    assert chance[1].mean() > 0.5
    assert ours[1].mean() < 0.1
    assert ours[0].mean() > chance[0].mean() + 0.005


@pytest.mark.parametrize("space", [zoo, nested])
def test_hyperband_stays_within_the_budget(space, tmp_path, in_memory):
    space = space()
    limit = quantile(space, 0.35)
    shares = {
        tuner: np.mean([final(tuner, tmp_path, space, seed, 40, limit)[1] for seed in range(2)])
        for tuner in ("hyperband", "random")
    }
    assert shares["random"] > 0.5
    assert shares["hyperband"] < 0.15


def test_bayesian_stays_away_from_what_fails(tmp_path, in_memory):
    def failing(values):
        return values["learning_rate"] > 8e-4

    ours, chance = (
        np.mean([final(tuner, tmp_path, zoo(), seed, 24, failing=failing)[1] for seed in range(2)])
        for tuner in ("bayesian", "random")
    )
    assert chance > 0.35
    assert ours < 0.2


def test_bayesian_looks_for_a_trial_within_the_budget_where_none_is_known(tmp_path, in_memory):
    limit = quantile(zoo(), 0.03)
    shares = [final("bayesian", tmp_path, zoo(), seed, 24, limit)[1] for seed in range(2)]
    assert np.mean(shares) < 0.6


def test_running_trials_push_proposals_apart(tmp_path, in_memory):
    space = zoo()
    oracle = make("bayesian", tmp_path, space, trials=30)
    for _ in range(15):
        trial = oracle.create_trial("0")
        tell(oracle, trial, accuracy(trial.hyperparameters.values))
    posterior = bayesian._Posterior(oracle)
    trial = oracle.create_trial("0")
    running = [trial.hyperparameters.values]
    after = bayesian._Posterior(oracle).acquisition(running)
    assert after[0] < 0.5 * posterior.acquisition(running)[0]


@pytest.mark.parametrize("direction", ["max", "min"])
def test_an_outlier_does_not_make_the_others_look_alike(direction, tmp_path, in_memory):
    oracle = make("bayesian", tmp_path, zoo(), direction=direction)
    sign = 1 if direction == "max" else -1
    for value in (0.70, 0.72, 0.74, -1e6):
        tell(oracle, oracle.create_trial("0"), sign * value)
    tell(oracle, oracle.create_trial("0"), failed=True)
    found = [*bayesian.robust_scores(oracle).values()]
    assert found[:3] == [0.70, 0.72, 0.74]
    assert 0.5 < found[3] < 0.70
    assert found[4] == found[3]


def test_a_limit_is_learned_from_the_figures_of_trials_within_it(tmp_path, in_memory):
    oracle = make("bayesian", tmp_path, zoo())
    records = [
        {"bytes": 1000, "latency_ms": 3.0, "excess": {"size": 2.0}},
        {"bytes": 250, "latency_ms": 1.0},
        {"bytes": None},
        {"bytes": None, "parameters": 10, "excess": {"parameters": 5.0}},
    ]
    for record in records:
        trial = oracle.create_trial("0")
        oracle.records[trial.trial_id] = record
        oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    oracle.create_trial("0")  # of one that is running nothing is known
    first, second, third, fourth = oracle.end_order
    assert ratios(oracle) == {
        "size": {first: 2.0, second: 0.5, third: 0.8},
        "parameters": {second: 0.8, third: 0.8, fourth: 5.0},
    }


def test_what_training_alone_knows_says_nothing_of_a_limit(tmp_path, in_memory):
    oracle = make("bayesian", tmp_path, zoo(), trials=30)
    for number in range(8):
        trial = oracle.create_trial("0")
        # Chance would have it that what is small learns slowly.
        trial.hyperparameters.values["learning_rate"] = 1e-3 if number % 2 else 1e-4
        tell(oracle, trial, 0.5, excess={"size": 2.0} if number % 2 else None)
    point = Space(zoo().space).draw(np.random.default_rng(0))
    model = point["model"]
    others = [{**point, "learning_rate": 1e-2}, {**point, f"{model}.dropout": 0.5}, point]
    found = Limits(oracle).probability(others)
    assert found == pytest.approx(found[0], rel=1e-12)
    larger = {**point, f"{model}.units": 128 if point[f"{model}.units"] < 128 else 16}
    assert Limits(oracle).probability([larger])[0] != pytest.approx(found[0], rel=1e-6)


def test_a_model_of_which_only_large_ones_were_seen_has_a_chance(tmp_path, in_memory):
    # What a search of the IMDB reviews met: kB, milliseconds.
    met = [
        ("lstm", 16, 64, 716, 0.3),
        ("gru", 128, 16, 584, 1.0),
        ("bilstm", 128, 16, 542, 2.2),
        ("bilstm", 128, 128, 1777, 2.4),
        ("lstm", 16, 16, 233, 0.4),
    ]
    oracle = make("bayesian", tmp_path, zoo(), trials=30)
    for model, units, inputs, size, latency in met:
        trial = oracle.create_trial("0")
        trial.hyperparameters.values = {
            "model": model,
            "learning_rate": 0.001,
            f"{model}.units": units,
            f"{model}.dropout": 0.2,
            f"{model}.embedding_dim": inputs,
        }
        excess = {"size": size / 400} if size > 400 else {}
        excess |= {"latency": latency} if latency > 1 else {}
        tell(oracle, trial, 0.8, excess, figures={"bytes": 1000 * size, "latency_ms": latency})
    limits = Limits(oracle)
    drawn = [limits.draw(np.random.default_rng(seed)) for seed in range(20)]
    assert {values["model"] for values in drawn} >= {"gru", "bilstm"}
    for values in drawn:
        assert values[f"{values['model']}.embedding_dim"] == 16  # 64 is known to be too much


def test_limits_where_only_training_is_searched(tmp_path, in_memory):
    hp = keras_tuner.HyperParameters()
    hp.Fixed("model", "gru")
    hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    oracle = make("bayesian", tmp_path, hp)
    # A latency that is at its limit is sometimes over it.
    run(
        oracle,
        lambda values: (
            {"excess": {"latency": 1.01}}
            if any_score(values) < 0.5
            else {"value": any_score(values)}
        ),
    )
    assert len(oracle.end_order) == 12


def test_a_space_with_nothing_to_choose_is_one_trial(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Fixed("model", "gru")
    oracle = make("bayesian", tmp_path, hp, trials=9)
    run(oracle, lambda values: {"value": 0.5})
    assert proposals(oracle) == [{"model": "gru"}]
