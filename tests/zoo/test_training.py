import contextlib
import json
import re
import signal

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split, load_data
from keras_rnn_zoo.errors import ConfigError, DataError, UnknownNameError
from keras_rnn_zoo.tasks import TASKS
from keras_rnn_zoo.training.divergence import LIMIT, check_converged, has_diverged
from keras_rnn_zoo.training.fit import fit_and_evaluate
from keras_rnn_zoo.training.options import DataOptions, TrainOptions
from keras_rnn_zoo.training.prepare import as_dataset, prepare
from keras_rnn_zoo.training.run import Run
from keras_rnn_zoo.training.train import train

# One layer of the simplest cell: what is tested here is the training, not the model.
TINY = {"units": 4, "embedding_dim": 4, "timesteps": 6, "layers": 1}


def dataset_for(task):
    """A tiny data set of each task: which of two numbers comes first, or comes at each step."""
    generator = np.random.default_rng(0)
    if task == "regression":
        x = generator.normal(size=(40, 5, 2)).astype(np.float32)
        return Dataset("r", "features", Split(x, x[:, -1, 0].astype(np.float64)))
    x = generator.integers(1, 4, (40, 5))
    x[::3, 3:] = 0
    if task == "multilabel":
        y = [[str(i) for i in range(1, 4) if i in row] for row in x]
        return Dataset("d", "tokens", Split(x, y), Split(x[:9], y[:9]), task=task)
    y = {"binary": x[:, 0] % 2, "multiclass": x[:, 0], "sequence_labelling": x + 10}[task]
    return Dataset("d", "tokens", Split(x, y), Split(x[:9], y[:9]))


@pytest.mark.parametrize("task", list(TASKS))
def test_every_task_is_inferred_trained_evaluated_and_answered(task, eagerly):
    dataset = dataset_for(task)
    labels_steps = task == "sequence_labelling"
    more = {"epochs": 20, "learning_rate": 0.05, "batch_size": 8} if labels_steps else {"epochs": 1}
    config = {**TINY, "units": 12, "timesteps": 5, "dropout": 0.0}
    # A graph where there are many steps.
    with contextlib.nullcontext() if labels_steps else eagerly():
        run = train("rnn", dataset, config=config, progress=False, **more)
    measure = "mean_absolute_error" if task == "regression" else "accuracy"
    assert run.info["config"]["task"] == task
    assert run.path is None
    for part in ("train", "validation"):
        assert np.isfinite(run.metrics[f"{part}_loss"])
        assert np.isfinite(run.metrics[f"{part}_{measure}"])
    assert (run.metrics[f"test_{measure}"] is None) == (dataset.test is None)
    answers = run.predict(dataset.train.x[:4])
    expected = {
        "regression": {"values"},
        "multilabel": {"labels", "scores"},
        "sequence_labelling": {"labels", "scores"},
    }.get(task, {"label", "score", "scores"})
    assert all(set(answer) == expected for answer in answers)
    json.dumps([run.info, answers], allow_nan=False)
    if labels_steps:
        # The label is the input plus ten: learnt completely, or padded steps would count as errors.
        assert run.metrics["test_accuracy"] == 1.0
        assert [len(answer["labels"]) for answer in answers[:2]] == [3, 5]
        assert answers[1]["labels"] == [str(label) for label in dataset.train.y[1]]


def test_a_model_learns_digits_well_above_chance():
    config = {"units": 32, "layers": 1}
    run = train("gru", "digits", config=config, epochs=8, batch_size=32, progress=False)
    # A tenth is chance.
    assert run.metrics["test_accuracy"] > 0.7


@pytest.mark.usefixtures("eager")
def test_the_same_seed_trains_the_same_model_and_another_seed_another(texts):
    losses = [
        train(
            "rnn", texts, config=TINY, epochs=1, seed=seed, validation_split=0, progress=False
        ).metrics["train_loss"]
        for seed in (1, 1, 2)
    ]
    # 1e-6: float32 sums may be taken in another order.
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert abs(losses[0] - losses[2]) > 1e-5


def test_validation_rows_are_stratified_seeded_and_never_fitted_on():
    x = [f"film word{i}" for i in range(40)]
    dataset = Dataset("texts", "text", Split(x, ["pos", "neg"] * 20))
    prepared = prepare(dataset, {"timesteps": 2}, validation_split=0.2, seed=5)
    assert (len(prepared.x_train), len(prepared.x_validation)) == (32, 8)
    assert prepared.y_validation.mean() == 0.5
    again = prepare(dataset, {"timesteps": 2}, validation_split=0.2, seed=5)
    np.testing.assert_array_equal(prepared.y_validation, again.y_validation)
    # Every row has a word of its own: the words of validation rows are all unknown.
    unknown = prepared.preprocessor.vocabulary.unknown_id
    assert (prepared.x_validation[:, 1] == unknown).all()
    assert len(set(prepared.x_train[:, 1])) == 32


@pytest.mark.usefixtures("eager")
def test_test_rows_are_used_once_after_training_and_the_best_epoch_is_kept(texts):
    from dataclasses import replace

    test = Split(["unheard words only"] * 4, ["pos", "neg"] * 2)
    prepared = prepare(replace(texts, test=test), TINY, models=["rnn"])
    assert "unheard" not in prepared.preprocessor.vocabulary.index
    assert prepared.x_test.shape == (4, 6)
    assert prepared.data["held_out"] == "test"
    options = TrainOptions(epochs=6, learning_rate=0.5)
    fitted = fit_and_evaluate(prepared, prepared.builder("rnn", TINY), options, progress=False)
    assert not any("test" in name for name in fitted.history)
    assert fitted.metrics["test_accuracy"] == 0.5
    # Without patience as well: the last epoch is not the best at such a rate.
    losses = fitted.history["val_loss"]
    assert len(losses) == fitted.metrics["epochs"] == 6
    assert fitted.metrics["best_epoch"] == losses.index(min(losses)) + 1 < 6
    assert fitted.metrics["validation_loss"] == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.usefixtures("eager")
def test_without_validation_nothing_is_held_out_and_each_epoch_is_a_line_on_stderr(texts, capsys):
    config = {**TINY, "mask": False}
    run = train("rnn", texts, config=config, epochs=2, validation_split=0, padding="pre")
    assert run.metrics["validation_accuracy"] is None
    assert run.metrics["best_epoch"] == 2
    assert run.info["data"]["held_out"] is None
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("rnn: epoch ") == 2
    assert re.search(r"accuracy \d+\.\d\d %", captured.err) and "val_accuracy" not in captured.err
    # The textbook's unmasked left padding is a setting away.
    assert run.preprocessor.encode_inputs(["great film"])[0, 0] == 0
    assert run.info["preprocessing"]["padding"] == "pre"
    assert run.info["config"]["mask"] is False
    with pytest.raises(ConfigError, match="patience needs validation"):
        train("rnn", texts, config=TINY, validation_split=0, patience=2, progress=False)


def test_early_stopping_ends_training(texts):
    run = train("rnn", texts, config=TINY, epochs=40, patience=1, learning_rate=0.5, progress=False)
    assert run.metrics["epochs"] < 40


def test_samples_are_few_stratified_and_the_same_for_the_same_seed():
    x = np.ones((4000, 3), int)
    prepared = prepare(Dataset("d", "tokens", Split(x, np.arange(4000) % 4)), {"timesteps": 3})
    samples = prepared.samples(seed=1)
    assert len(samples["x"]) == 256
    assert np.bincount(samples["y"]).tolist() == [64] * 4
    assert len(samples["x_test"]) == 400  # validation, where there is no test split
    np.testing.assert_array_equal(samples["y"], prepared.samples(seed=1)["y"])


def test_each_model_sees_its_own_default_timesteps_unless_the_config_says(texts):
    assert prepare(texts, models=["lstm"]).preprocessor.timesteps == 80
    assert prepare(texts, models=["lstm", "bilstm"]).preprocessor.timesteps == 200
    assert prepare(texts, {"timesteps": 7}, models=["lstm"]).preprocessor.timesteps == 7


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "lsmt"}, UnknownNameError, "Did you mean 'lstm'"),
        ({"config": {"unit": 4}}, ConfigError, "unit"),
        ({"config": {"units": "many"}}, ConfigError, "units"),
        ({"config": {"units": 0}}, ConfigError, "units"),
        ({"config": {"features": 3}}, ConfigError, "contradicts the data"),
        ({"config": {"outputs": 3}}, ConfigError, "contradicts the data"),
        ({"epochs": 0}, ConfigError, "epochs"),
        ({"epochs": 1.5}, ConfigError, "epochs"),
        ({"epoch": 1}, ConfigError, "Did you mean 'epochs'"),
        ({"batch_size": 0}, ConfigError, "batch_size"),
        ({"patience": -1}, ConfigError, "patience"),
        ({"learning_rate": 0}, ConfigError, "learning_rate"),
        ({"learning_rate": float("nan")}, ConfigError, "learning_rate"),
        ({"validation_split": 1}, ConfigError, "validation_split .* below 1. Received: 1"),
        ({"seed": -1}, ConfigError, "seed is a whole number from 0"),
        ({"padding": "left"}, ConfigError, "padding"),
        ({"tokenizer": "word"}, UnknownNameError, "Did you mean 'words'"),
        ({"task": "binari"}, ConfigError, "binary"),
        ({"task": "binary", "config": {"task": "regression"}}, ConfigError, "differently"),
        ({"test_data": "digits"}, ConfigError, "brings its own"),
        ({"data": "digit"}, DataError, "digits"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_in_one_line_before_any_output(
    texts, tmp_path, arguments, error, message
):
    with pytest.raises(error, match=message) as caught:
        train(
            **{"model": "lstm", "data": texts, **arguments},
            output=tmp_path / "run",
            progress=False,
        )
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_error_says_which_half_of_the_data_and_which_row_it_is_about(texts):
    from dataclasses import replace

    unseen = replace(texts, test=Split(["a film", "b"], ["pos", "great"]))
    with pytest.raises(DataError, match=r"In the test data: Row 2 .*'great'"):
        train("lstm", unseen, progress=False)
    x = np.ones((40, 3, 2))
    x[30, 1] = np.nan
    with pytest.raises(DataError, match="In the training data: Row 31, time step 2"):
        train("lstm", Dataset("f", "features", Split(x, np.arange(40) % 2)), progress=False)


@pytest.mark.usefixtures("eager")
def test_a_training_that_diverges_is_an_error_and_not_a_model(tmp_path):
    with pytest.raises(ConfigError, match=r"diverged.*lower learning_rate"):
        train(
            "rnn",
            dataset_for("regression"),
            config=TINY,
            epochs=9,
            learning_rate=1e30,
            output=tmp_path / "r",
            progress=False,
        )
    assert list(tmp_path.iterdir()) == []


def test_what_diverged_is_told_by_loss_epoch_and_what_to_do():
    check_converged({"loss": [1.0, 0.5], "val_loss": [1.0, 400.0]}, 0.1)
    with pytest.raises(ConfigError, match=r"val_loss became 400, from 1 in epoch 2 .*0\.1.*lower"):
        check_converged({"loss": [1.0, 0.5], "val_loss": [1.0, 400.0]}, 0.1, limit=LIMIT)
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="loss became NaN or infinite in epoch 1"):
            check_converged({"loss": [wrong, 1.0]}, 0.1)
        assert has_diverged(wrong)
    # Of targets in the millions, a loss of a hundred is none.
    assert not has_diverged(100.0, 1.0, unit=1e12) and has_diverged(100.0, 1e-12, unit=1e-12)
    assert not has_diverged(20.0, 1.0) and has_diverged(20.1, 1.0)


@pytest.mark.usefixtures("eager")
def test_a_failure_or_an_interrupt_leaves_nothing_behind(texts, tmp_path, monkeypatch):
    import keras

    from keras_rnn_zoo.errors import OutputError
    from keras_rnn_zoo.training import run

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    arguments = {
        "config": TINY,
        "epochs": 1,
        "validation_split": 0,
        "output": tmp_path / "run",
        "progress": False,
    }
    with monkeypatch.context() as patch:
        patch.setattr(run.np, "savez_compressed", full)
        with pytest.raises(OutputError, match="disk is full"):
            train("rnn", texts, **arguments)
    assert list(tmp_path.iterdir()) == []
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: signal.raise_signal(signal.SIGINT)
    )
    at_once = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: signal.raise_signal(signal.SIGINT)
    )
    for what in ({"callbacks": [at_once]}, {"callbacks": [stop], "output": None}):
        with pytest.raises(KeyboardInterrupt):
            train("rnn", texts, **{**arguments, "epochs": 5000, **what})
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("eager")
def test_an_interrupt_keeps_the_best_epoch_that_ended(texts, tmp_path):
    import keras

    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epoch == 5 and signal.raise_signal(signal.SIGINT)
    )
    with pytest.raises(KeyboardInterrupt, match=r"run keeps epoch \d, the best of the 6"):
        train(
            "rnn",
            texts,
            config=TINY,
            epochs=5000,
            learning_rate=0.5,
            callbacks=[stop],
            output=tmp_path / "run",
            progress=False,
        )
    run = Run.load(tmp_path / "run")
    assert run.info["interrupted"] is True and run.metrics["epochs"] == 6
    lines = (tmp_path / "run" / "history.csv").read_text().splitlines()
    column = lines[0].split(",").index("val_loss")
    losses = [float(line.split(",")[column]) for line in lines[1:]]
    assert len(losses) == 6 and run.metrics["best_epoch"] == losses.index(min(losses)) + 1 < 6
    assert run.metrics["validation_loss"] == pytest.approx(min(losses), rel=1e-5)
    assert len(run.predict(["great fun"])) == 1


def test_a_name_and_a_dataset_are_the_same_data():
    by_name, by_dataset = (
        prepare(as_dataset(data, None, DataOptions())) for data in ("digits", load_data("digits"))
    )
    assert by_name.data == by_dataset.data
    assert by_name.data["name"] == "digits"
    np.testing.assert_array_equal(by_name.x_train, by_dataset.x_train)
