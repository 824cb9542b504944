"""Data and models' names in, the best model as a run out; stopped at any moment, it goes on.

```
search.json   what was asked, and how it stands
trials.csv    a line per trial, and the same as trials.json
best/         the winner, a run
logs/         for TensorBoard
tuner/        KerasTuner's state
```
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.data import Dataset, Split, hold_out
from keras_rnn_zoo.errors import ConfigError, DataError, OutputError, SearchError
from keras_rnn_zoo.files import PathLike, check_new_directory, explained, new_directory, write_json
from keras_rnn_zoo.run import RUN_FILE, Run
from keras_rnn_zoo.training import (
    Fitted,
    Prepared,
    as_dataset,
    check_config,
    check_hyperparameters,
    encoding_sizes,
    evaluate,
    prepare,
    save_run,
)
from keras_rnn_zoo.tuner import records
from keras_rnn_zoo.tuner.settings import (
    LearningRate,
    Space,
    check_learning_rate,
    check_models,
    check_spaces,
)
from keras_rnn_zoo.tuner.tuners import TUNERS, Plan

if TYPE_CHECKING:
    import keras

    from keras_rnn_zoo.tuner.running import ZooTuner

FORMAT = 1
SEARCH_FILE, BEST, LOGS = "search.json", "best", "logs"
TEST_FRACTION = 0.2
"""The part of the rows that is held out from the search where the data have no test split."""
# Keras averages over batches; the restored model is evaluated in batches of another size.
RESTORED_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        path: The search directory.
        best: The winner, with its accuracy on rows that the search never saw.
        trials: See `records.describe`: the best first, failed ones last.
    """

    path: Path
    best: Run
    trials: list[dict[str, Any]]


def search(
    models: Sequence[str] | None,
    data: Dataset | PathLike,
    *,
    output: PathLike,
    tuner: str = "random",
    max_trials: int = 10,
    config: Mapping[str, Any] | None = None,
    spaces: Mapping[str, Space] | None = None,
    learning_rate: LearningRate = (1e-4, 1e-2),
    epochs: int = 4,
    batch_size: int = 64,
    patience: int | None = 2,
    validation_split: float = 0.1,
    seed: int = 0,
    command: str | None = None,
    test_data: PathLike | None = None,
    text_column: str = "text",
    label_column: str = "label",
    task: str | None = None,
    padding: str = "post",
    truncating: str = "pre",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
) -> SearchResult:
    """Searches for the best model and hyperparameters, and leaves the winner as a run.

    Trials are compared on validation rows, by the accuracy (or, for a regression, the mean
    absolute error) of their best epoch. The winner is restored from that epoch and evaluated once
    on test rows that no trial saw: those of the data, or else a fifth of the rows, held out before
    anything. Each model sees its own default number of timesteps, unless `config` sets one.

    The same call again goes on with a search that was stopped, however it was stopped: trials that
    ended are kept, one that was running is run again. Of a finished search it returns the result.

    Args:
        models: Names of `list_models()`; None takes all but the cell loops, which compute the
            same as their layer twins, slowly.
        data: As in `train`, and so are all the arguments that are not listed here.
        output: The search directory: new, empty, or that of the same search.
        tuner: A name of `TUNERS`: `"random"`, `"hyperband"`, `"bayesian"` or `"grid"`.
        max_trials: The most trials. Hyperband starts brackets until there are so many, and counts
            a model that is trained on as a further trial.
        config: Config values for all models; what it sets is not searched.
        spaces: Search spaces to use instead of the models' own; see `ZooHyperModel`.
        learning_rate: The least and the greatest to search between, or one number.
        epochs: The most epochs of a trial.
        patience: Stop a trial after this many epochs without a better validation loss; None never.
        seed: Of every random choice: the same seed gives the same trials and the same winner.
        callbacks: Further Keras callbacks, the same objects in every trial.
        progress: Write a line per trial to stderr.

    Raises:
        OutputError: `output` holds something else, or a search with other settings.
        SearchError: Every trial failed, the state is damaged, or the search runs already.
        ZooError: Of the type that says what is wrong: name, config or data.
    """
    from keras_rnn_zoo.builder import list_models

    if models is None:
        models = [name for name in list_models() if not name.endswith("_cell")]
    names = list(check_models(models))
    check_spaces(names, spaces)
    learning_rate = check_learning_rate(learning_rate)
    algorithm = TUNERS.get(tuner)
    _check_numbers(max_trials, seed, validation_split)
    check_hyperparameters(epochs, batch_size, 1.0, patience)
    check_config(names, config or {})
    output = Path(output)
    known = _read(output)
    asked: dict[str, Any] = {
        "models": names,
        "tuner": tuner,
        "max_trials": max_trials,
        "config": dict(config or {}),
        "learning_rate": learning_rate,
        "epochs": epochs,
        "batch_size": batch_size,
        "patience": patience,
        "validation_split": validation_split,
        "seed": seed,
        "text_column": text_column,
        "label_column": label_column,
        "task": task,
        "padding": padding,
        "truncating": truncating,
    }
    asked = json.loads(json.dumps(asked, default=lambda value: value.item()))
    _check_same(output, known, asked)
    dataset = as_dataset(data, test_data, text_column, label_column, task)
    asked["data"] = {"name": dataset.name, "sha256": _fingerprint(dataset)}
    _check_same(output, known, asked)
    encoding: dict[str, Any] = {
        "seed": seed,
        "padding": padding,
        "truncating": truncating,
        "task": task,
    }
    whole, dataset = dataset, hold_out(dataset, TEST_FRACTION, seed)

    # It imports TensorFlow, and the checks above have to answer at once.
    from keras_rnn_zoo.tuner.hypermodel import ZooHyperModel

    prepared_for: dict[tuple[Any, ...], Prepared] = {}
    prepared: dict[str, Prepared] = {}
    settled: dict[str, dict[str, Any]] = {}
    for name in names:
        key = encoding_sizes([name], config or {})
        if key not in prepared_for:
            try:
                prepared_for[key] = prepare(
                    dataset, config, models=[name], validation_split=validation_split, **encoding
                )
            except DataError:
                if whole.test is None:
                    # It counted the rows that are left; say the row's number in the data as given.
                    prepare(whole, config, models=[name], validation_split=0, **encoding)
                raise
        prepared[name] = prepared_for[key]
        prepared[name].builder(name, config)
        settled[name] = {**(config or {}), **prepared[name].preprocessor.model_config()}
    hypermodel = ZooHyperModel(names, config=settled, spaces=spaces, learning_rate=learning_rate)
    return _search(
        output=output,
        known=known,
        asked=asked,
        hypermodel=hypermodel,
        prepared=prepared,
        algorithm=algorithm,
        command=command,
        callbacks=callbacks,
        progress=progress,
    )


def _check_numbers(max_trials: int, seed: int, validation_split: float) -> None:
    if isinstance(max_trials, bool) or not isinstance(max_trials, int) or max_trials < 1:
        raise ConfigError(f"max_trials is a whole number of at least 1. Received: {max_trials!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32 - 1:
        raise ConfigError(f"seed is a whole number from 0 to {2**32 - 2}. Received: {seed!r}")
    if not 0 < validation_split < 1:
        raise ConfigError(
            "A search compares trials on validation rows: validation_split is above 0 and below "
            f"1. Received: {validation_split!r}"
        )


# ---------------------------------------------------------------------- the directory


def _read(output: Path) -> dict[str, Any] | None:
    """Returns what `search.json` of a search says, or None where a new one can begin.

    Raises:
        OutputError: The place holds something else, or cannot be written.
    """
    file = output / SEARCH_FILE
    if not file.is_file():
        check_new_directory(output)
        return None
    try:
        info: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if info["format"] > FORMAT:
            raise OutputError(
                f"{output} holds a search of the format {info['format']}, and this keras-rnn-zoo "
                f"reads up to {FORMAT}. Install a newer keras-rnn-zoo, or name a new directory."
            )
        for key in ("status", "settings"):
            info[key]
    except OutputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"Cannot go on with the search in {output}: {SEARCH_FILE} is damaged "
            f"({error.__class__.__name__}: {error}). Name a new directory."
        ) from error
    return info


def _check_same(output: Path, known: dict[str, Any] | None, asked: Mapping[str, Any]) -> None:
    """Refuses to mix two searches.

    Raises:
        OutputError: The search there has other settings; the message names them.
    """
    if known is None:
        return
    there = known["settings"]
    different = []
    for key, value in asked.items():
        if there.get(key) == value:
            continue
        if key == "data":
            old = there.get(key, {}).get("name")
            words = f"data is {old} there and {value['name']} here"
            different.append("the data hold other rows" if old == value["name"] else words)
        elif key == "space":
            different.append("the search spaces of the models differ")
        else:
            different.append(f"{key} is {there.get(key)!r} there and {value!r} here")
    if different:
        raise OutputError(
            f"{output} holds a search with other settings: {'; '.join(different)}. "
            "Repeat its settings to go on with it, or name a new directory."
        )


def _fingerprint(dataset: Dataset) -> str:
    """Returns a SHA-256 of all rows, the same for equal data wherever they came from."""
    digest = hashlib.sha256(f"{dataset.kind} {dataset.task}".encode())

    def add(values: Any) -> None:
        if isinstance(values, Sequence) and len(values) and isinstance(values[0], int | float):
            values = np.asarray(values)
        if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
            digest.update(f"{values.dtype} {values.shape}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        elif isinstance(values, str):
            encoded = values.encode("utf-8", "surrogatepass")
            digest.update(f"{len(encoded)}:".encode() + encoded)
        elif isinstance(values, Sequence | np.ndarray):
            digest.update(f"[{len(values)}]".encode())
            for value in values:
                add(value)
        else:
            digest.update(f"{values!r},".encode())

    for split in (dataset.train, dataset.test):
        if isinstance(split, Split):
            add(split.x)
            add(split.y)
    return digest.hexdigest()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keeps a second process out; the lock dies with this one."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SearchError(
                f"Another process is searching in {directory}. Wait for it, or name a new "
                "directory."
            ) from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(handle)


# ---------------------------------------------------------------------- the search


def _search(
    *,
    output: Path,
    known: dict[str, Any] | None,
    asked: dict[str, Any],
    hypermodel: Any,
    prepared: Mapping[str, Prepared],
    algorithm: Any,
    command: str | None,
    callbacks: Sequence[Any],
    progress: bool,
) -> SearchResult:
    import keras_tuner

    from keras_rnn_zoo.provenance import provenance
    from keras_rnn_zoo.tasks import get_task
    from keras_rnn_zoo.tuner import hparams
    from keras_rnn_zoo.tuner.running import ZooTuner

    def say(line: str) -> None:
        if progress:
            print(line, file=sys.stderr, flush=True)

    metric = get_task(next(iter(prepared.values())).preprocessor.task).metric
    direction = "max" if metric == "accuracy" else "min"
    objective = keras_tuner.Objective(f"val_{metric}", direction)
    oracle = algorithm.oracle(
        Plan(objective, asked["max_trials"], asked["epochs"], seed=asked["seed"] + 1)
    )
    asked["space"] = _space(hypermodel)
    _check_same(output, known, asked)
    if known is None:
        known = {
            "format": FORMAT,
            "status": "unfinished",
            "settings": asked,
            "objective": {"name": objective.name, "direction": direction},
            "data": {name: prepared[name].data for name in asked["models"]},
            "best": None,
            "message": None,
            "provenance": provenance(seed=asked["seed"], command=command),
        }
        with new_directory(output) as directory:
            write_json(directory / SEARCH_FILE, known)
    with explained(output), _locked(output):
        _sweep(output)
        zoo_tuner: ZooTuner

        def progress_of(trial: Any) -> str:
            number = oracle.start_order.index(trial.trial_id) + 1
            return f"trial {number}/{total} {trial.hyperparameters.values['model']}"

        def publish() -> list[dict[str, Any]]:
            trials = records.ended(oracle)
            records.write_tables(output, trials)
            hparams.write_logs(
                output / LOGS,
                oracle.hyperparameters.space,
                objective.name,
                trials,
                oracle.records,
            )
            return trials

        def on_end() -> None:
            trials = publish()
            last = next(t for t in trials if t["trial_id"] == oracle.end_order[-1])
            number = oracle.start_order.index(last["trial_id"]) + 1
            say(_line(last, records.best(trials, direction), number, total, objective.name))

        zoo_tuner = ZooTuner(
            oracle,
            hypermodel,
            data=prepared,
            directory=output,
            epochs=asked["epochs"],
            batch_size=asked["batch_size"],
            patience=asked["patience"],
            seed=asked["seed"],
            callbacks=callbacks,
            title=progress_of if progress else None,
            on_end=on_end,
            needed=lambda: algorithm.needed(oracle),
        )
        total = algorithm.total(oracle)
        publish()
        if known["status"] == "unfinished":
            _run(zoo_tuner, oracle, total, asked["max_trials"], output, say)
        trials = records.ended(oracle)
        winner = records.best(trials, direction)
        if winner is None:
            message = _all_failed(trials)
            write_json(output / SEARCH_FILE, {**known, "status": "failed", "message": message})
            raise SearchError(message)
        if not (output / BEST / RUN_FILE).is_file():
            _save_winner(output, zoo_tuner, winner, prepared[winner["model"]], asked, command)
        best = Run.load(output / BEST)
        if known["status"] != "finished":
            summary = {"trial_id": winner["trial_id"], "model": winner["model"], **best.metrics}
            write_json(output / SEARCH_FILE, {**known, "status": "finished", "best": summary})
    sign = -1 if direction == "max" else 1
    ordered = sorted(
        trials,
        key=lambda trial: (
            trial is not winner,
            trial["score"] is None,
            sign * (trial["score"] or 0.0),
        ),
    )
    return SearchResult(output, best, ordered)


def _space(hypermodel: Any) -> list[Any]:
    """Returns the search space, JSON-able, to tell two searches apart."""
    space: list[Any] = json.loads(json.dumps(hypermodel.space().get_config()["space"]))
    return space


def _sweep(output: Path) -> None:
    """Removes what a kill in the middle of writing left."""
    for place in (output, output / LOGS, output / "tuner", *(output / "tuner").glob("trial_*")):
        for leftover in place.glob(".*.part"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _run(
    tuner: ZooTuner,
    oracle: Any,
    total: int,
    max_trials: int,
    output: Path,
    say: Callable[[str], None],
) -> None:
    done = len(oracle.end_order)
    if done:
        say(f"Going on after {done} of {total} trials in {output}.")
    try:
        tuner.search()
    except KeyboardInterrupt:
        say(f"Stopped after {len(oracle.end_order)} of {total} trials.")
        raise
    if len(oracle.end_order) < max_trials:
        say(f"The search space is exhausted after {len(oracle.end_order)} trials.")


def _line(
    trial: Mapping[str, Any],
    best: Mapping[str, Any] | None,
    number: int,
    total: int,
    objective: str,
) -> str:
    """Returns the line of progress for a trial that ended."""
    values = "  ".join(
        f"{name.removeprefix(trial['model'] + '.')}={_short(value)}"
        for name, value in trial["hyperparameters"].items()
        if name != "model"
    )
    line = f"trial {number}/{total}  {trial['model']}  {values}  "
    if trial["score"] is None:
        line += f"failed: {trial['message']}"
    else:
        line += f"{objective} {trial['score']:.4f}"
    if best is not None:
        line += f"  best {best['score']:.4f} ({best['model']})"
    return f"{line}  {trial['seconds']:.1f} s"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _all_failed(trials: Sequence[Mapping[str, Any]]) -> str:
    if not trials:
        return "The search space is empty: no trial could be made. Give other spaces."
    return (
        f"All {len(trials)} trials failed. The first: {str(trials[0]['message']).rstrip('.')}. "
        "Change the settings, and search in a new directory."
    )


def _chain(oracle: Any, trial_id: str) -> list[str]:
    """Returns the trials whose training led to this one's weights, itself last."""
    parent = oracle.trials[trial_id].hyperparameters.values.get("tuner/trial_id")
    return [*(_chain(oracle, parent) if parent else ()), trial_id]


def _save_winner(
    output: Path,
    tuner: ZooTuner,
    winner: Mapping[str, Any],
    prepared: Prepared,
    asked: Mapping[str, Any],
    command: str | None,
) -> None:
    """Restores the best trial, evaluates it on rows that no trial saw, and leaves it as a run.

    Raises:
        SearchError: Its weights are missing, or do not answer as they did.
    """
    oracle = tuner.oracle
    trial = oracle.trials[winner["trial_id"]]
    model = tuner.load_model(trial)
    metrics = evaluate(prepared, model)
    restored = metrics[f"validation_{oracle.objective.name.removeprefix('val_')}"]
    if not abs(restored - winner["score"]) <= RESTORED_TOLERANCE * max(1.0, abs(winner["score"])):
        raise SearchError(
            f"Trial {winner['trial_id']} scored {winner['score']:.6g}, and restored it scores "
            f"{restored:.6g}: its weights are damaged. Search again in a new directory."
        )
    steps = [oracle.records[name] for name in _chain(oracle, winner["trial_id"])]
    history = {
        name: [value for step in steps for value in step["history"][name]]
        for name in steps[-1]["history"]
    }
    metrics["epochs"] = sum(step["epochs"] for step in steps)
    metrics["seconds"] = round(sum(step["seconds"] for step in steps), 3)
    metrics["parameters"] = int(model.count_params())
    hyperparameters = {
        "learning_rate": winner["hyperparameters"]["learning_rate"],
        "epochs": asked["epochs"],
        "batch_size": asked["batch_size"],
        "patience": asked["patience"],
        "best_epoch": metrics["epochs"] - winner["epochs"] + trial.best_step + 1,
        "tuner": asked["tuner"],
        "trial_id": winner["trial_id"],
    }
    fitted = Fitted(
        model, tuner.hypermodel.builder(trial.hyperparameters), history, metrics, hyperparameters
    )
    with new_directory(output / BEST) as directory:
        save_run(directory, prepared, fitted, seed=asked["seed"], command=command)
