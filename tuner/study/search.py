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
import math
import os
import pkgutil
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.data import Dataset, Split, hold_out
from keras_rnn_zoo.errors import ConfigError, DataError, MissingExtraError, OutputError, SearchError
from keras_rnn_zoo.files import PathLike, check_new_directory, explained, new_directory, write_json
from keras_rnn_zoo.training.fit import check_hyperparameters
from keras_rnn_zoo.training.prepare import (
    Prepared,
    as_dataset,
    check_config,
    encoding_sizes,
    prepare,
)
from keras_rnn_zoo.training.run import RUN_FILE, Run
from keras_rnn_zoo.tuner import objectives
from keras_rnn_zoo.tuner.engines import ENGINES
from keras_rnn_zoo.tuner.results import records
from keras_rnn_zoo.tuner.results.front import front as front_of
from keras_rnn_zoo.tuner.settings import (
    LearningRate,
    Space,
    check_learning_rate,
    check_models,
    check_spaces,
)
from keras_rnn_zoo.tuner.study.progress import Watcher
from keras_rnn_zoo.tuner.study.winner import BEST, FRONT, over_budget, save_trial
from keras_rnn_zoo.tuner.trials.budget import DeviceBudget
from keras_rnn_zoo.tuner.tuners import TUNERS, Plan

if TYPE_CHECKING:
    from keras_rnn_zoo.tuner.engines import Engine
    from keras_rnn_zoo.tuner.study.loop import ZooTuner

FORMAT = 2
SEARCH_FILE, LOGS, REPORT = "search.json", "logs", "report.html"
REPORT_SECONDS = 10.0
"""A report takes a third of a second, and people look less often."""
TEST_FRACTION = 0.2
"""The part of the rows that is held out from the search where the data have no test split."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        path: The search directory.
        best: The winner, with its accuracy on rows that the search never saw.
        trials: See `records.describe`: the best first, failed ones last.
        front: Ids of the trials that no other one beats in quality, size and latency together.
            Each is a run in `front/<id>`, or the winner.
    """

    path: Path
    best: Run
    trials: list[dict[str, Any]]
    front: list[str]


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
    budget: DeviceBudget | None = None,
    objective: str | None = None,
    workers: int = 1,
    engine: str = "local",
    engine_options: Mapping[str, Any] | None = None,
    trial_timeout: float | None = None,
    keep: int = 5,
    callbacks: str | Callable[[], Sequence[Any]] | None = None,
    progress: bool = True,
) -> SearchResult:
    """Searches for the best model and hyperparameters, and leaves the winner as a run.

    Trials are compared on validation rows, by the accuracy (or, for a regression, the mean
    absolute error) of their best epoch. The winner is restored from that epoch and evaluated once
    on test rows that no trial saw: those of the data, or else a fifth of the rows, held out before
    anything. Each model sees its own default number of timesteps, unless `config` sets one.

    Each trial runs in a process of its own, and what happens to it there costs that trial only. A
    model is measured before it is trained: one over budget is not trained, is reported with its
    figures, and tells the tuner where not to look.

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
        budget: Limits of the file on a device, and which file that is; None measures the
            dynamic-range file, and limits nothing.
        objective: What to optimize: see `objectives.parse`; None is the accuracy on the validation
            rows, or the mean absolute error.
        workers: Trials that run at once.
        engine: Where they run: a name of `ENGINES`, `"local"` or `"ray"`.
        engine_options: Options of that engine: for `"ray"`, `address`.
        trial_timeout: Seconds that a trial may take; None sets no limit.
        keep: How many checkpoints to keep, of the best trials; those of the front are kept, too.
        callbacks: A function that returns further Keras callbacks, called in each trial's process:
            one of a module that can be imported, or `"module:function"`.
        progress: Write to stderr how far it is.

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
    budget = budget or DeviceBudget()
    budget.check()
    _check_running(workers, trial_timeout, keep)
    runs_trials, engine_options = ENGINES.get(engine), dict(engine_options or {})
    modules, reference = _modules(names), _reference(callbacks)
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
        "device": budget.to_dict(),
        "objective": objective,
    }
    asked = json.loads(json.dumps(asked, default=lambda value: value.item()))
    _check_same(output, known, asked)
    if known is None or known["status"] == "unfinished":
        runs_trials.check(**engine_options)
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
        modules=modules,
        callbacks=reference,
        budget=budget,
        keep=keep,
        engine_of=lambda data, place: runs_trials(
            workers, data, place, trial_timeout, **engine_options
        ),
        progress=progress,
    )


def _check_running(workers: int, trial_timeout: float | None, keep: int) -> None:
    for name, value in (("workers", workers), ("keep", keep)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} is a whole number of at least 1. Received: {value!r}")
    if trial_timeout is not None and not trial_timeout > 0:
        raise ConfigError(f"trial_timeout is a number of seconds. Received: {trial_timeout!r}")


def _modules(models: Sequence[str]) -> tuple[str, ...]:
    """Returns the modules that another process must import to know the models.

    Raises:
        ConfigError: A model is defined where no other process finds it.
    """
    from keras_rnn_zoo.builder import MODELS

    found = dict.fromkeys(str(MODELS.get(name).__module__) for name in models)
    if "__main__" in found:
        raise ConfigError(
            "Trials run in processes of their own, and a model that is defined in a script or a "
            "notebook is not known there. Put it into a module of its own, and import that."
        )
    return tuple(name for name in found if not name.startswith("keras_rnn_zoo."))


def _reference(callbacks: Any) -> str | None:
    """Returns `"module:function"` of what makes callbacks.

    Raises:
        ConfigError: It cannot be found by such a name.
    """
    if callbacks is None:
        return None
    reference = callbacks
    if not isinstance(callbacks, str):
        module = getattr(callbacks, "__module__", None)
        reference = f"{module}:{getattr(callbacks, '__qualname__', callbacks)}"
    try:
        found: Any = None if reference.startswith("__main__:") else pkgutil.resolve_name(reference)
        same = isinstance(callbacks, str) or found is callbacks
        if ":" in reference and callable(found) and same:  # a module alone resolves, too
            return str(reference)
    except (ImportError, AttributeError, ValueError):
        pass
    raise ConfigError(
        "callbacks is a function that returns Keras callbacks, of a module that can be imported "
        "(trials run in processes of their own), or its name as 'module:function'. Received: "
        f"{callbacks!r}"
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
        if info["format"] != FORMAT:
            other = "a newer" if info["format"] > FORMAT else "an older"
            raise OutputError(
                f"{output} holds a search of {other} keras-rnn-zoo (format {info['format']}; this "
                f"one reads {FORMAT}). Go on with that one, or name a new directory."
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
    modules: tuple[str, ...],
    callbacks: str | None,
    budget: DeviceBudget,
    keep: int,
    engine_of: Callable[[Any, Any], Engine],
    progress: bool,
) -> SearchResult:
    import keras_tuner

    from keras_rnn_zoo.provenance import provenance
    from keras_rnn_zoo.tasks import get_task
    from keras_rnn_zoo.tuner.results import tensorboard
    from keras_rnn_zoo.tuner.study.loop import Settings, ZooTuner

    metric = get_task(next(iter(prepared.values())).preprocessor.task).metric
    objective = objectives.parse(asked["objective"], metric)
    direction = objective.direction
    oracle = algorithm.oracle(
        Plan(
            keras_tuner.Objective(objective.name, direction),
            asked["max_trials"],
            asked["epochs"],
            seed=asked["seed"] + 1,
        )
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
            "front": [],
            "message": None,
            "provenance": provenance(seed=asked["seed"], command=command),
        }
        with new_directory(output) as directory:
            write_json(directory / SEARCH_FILE, known)
    with explained(output), _locked(output):
        _sweep(output)
        keys, arrays = _arrays(prepared)
        tuner = ZooTuner(
            oracle,
            hypermodel,
            objective=objective,
            settings=Settings(
                data=keys,
                epochs=asked["epochs"],
                batch_size=asked["batch_size"],
                patience=asked["patience"],
                seed=asked["seed"],
                monitor=_monitor(objective, metric),
                budget=budget,
                modules=modules,
                callbacks=callbacks,
                keep=keep,
            ),
            directory=output,
            needed=lambda: algorithm.needed(oracle),
        )
        watcher = Watcher(progress, algorithm.total(oracle), objective.name)
        info = known
        reported = -math.inf

        def publish(*, final: bool = False) -> list[dict[str, Any]]:
            nonlocal reported
            trials = records.ended(oracle)
            records.write_tables(output, trials)
            tensorboard.write_logs(
                output / LOGS,
                oracle.hyperparameters.space,
                objective.name,
                metric,
                trials,
                oracle.records,
            )
            if final or time.monotonic() - reported > REPORT_SECONDS:
                missing = _write_report(output, info, trials)
                reported = time.monotonic()
                if final and missing:
                    watcher.say(missing)
            return trials

        def on_end(trial_id: str) -> None:
            trials = publish()
            ended = next(trial for trial in trials if trial["trial_id"] == trial_id)
            number = oracle.start_order.index(trial_id) + 1
            watcher.ended(ended, number, records.best(trials, direction))

        def on_tick(doing: Mapping[str, str]) -> None:
            models = {name: oracle.trials[name].hyperparameters.values["model"] for name in doing}
            trials = records.ended(oracle)
            watcher.tick(trials, records.best(trials, direction), doing, models)

        tuner.on_end = on_end
        if watcher.live:
            tuner.on_tick = on_tick
        trials = publish()
        if info["status"] == "unfinished":
            done = len(trials)
            if done:
                watcher.say(f"Going on after {done} of {watcher.total} trials in {output}.")
            try:
                with engine_of(arrays, tuner.place) as engine:
                    tuner.search(engine)
            except KeyboardInterrupt:
                done = len(oracle.end_order)
                watcher.say(f"Stopped after {done} of {watcher.total} trials.")
                raise
            finally:
                watcher.close()
            if len(oracle.end_order) < asked["max_trials"]:
                watcher.say(f"The search space is exhausted after {len(oracle.end_order)} trials.")
        trials = records.ended(oracle)
        if info["status"] != "finished":
            try:
                info = _finish(info, output, tuner, trials, prepared, budget, command, watcher)
            finally:
                publish(final=True)
        winner = next(t for t in trials if t["trial_id"] == info["best"]["trial_id"])
        best = save_trial(output / BEST, tuner, winner, prepared[winner["model"]], asked, command)
    ordered = [winner, *(t for t in records.ranked(trials, direction) if t is not winner)]
    ordered += [trial for trial in trials if trial["score"] is None]
    return SearchResult(output, best, ordered, list(info["front"]))


def _finish(
    info: dict[str, Any],
    output: Path,
    tuner: ZooTuner,
    trials: Sequence[dict[str, Any]],
    prepared: Mapping[str, Prepared],
    budget: DeviceBudget,
    command: str | None,
    watcher: Watcher,
) -> dict[str, Any]:
    """Finds the winner, and leaves it and the front as runs; returns what search.json then says.

    Raises:
        SearchError: No trial is of use, or a checkpoint is damaged.
    """
    direction, asked = info["objective"]["direction"], info["settings"]
    winner = _kept(output / BEST, trials)
    for trial in records.ranked(trials, direction) if winner is None else ():
        problem = over_budget(tuner, trial, prepared[trial["model"]], budget)
        if problem is None:
            winner = trial
            break
        watcher.say(f"Trial {trial['trial_id']} is not the winner: measured again, {problem}")
    if winner is None:
        message = _none_of_use(trials)
        write_json(output / SEARCH_FILE, {**info, "status": "failed", "message": message})
        raise SearchError(message)
    best = save_trial(output / BEST, tuner, winner, prepared[winner["model"]], asked, command)
    front = front_of(trials, direction)
    by_id = {trial["trial_id"]: trial for trial in trials}
    for name in front:
        if name != winner["trial_id"]:
            trial = by_id[name]
            save_trial(
                output / FRONT / name, tuner, trial, prepared[trial["model"]], asked, command
            )
    summary = {
        "trial_id": winner["trial_id"],
        "model": winner["model"],
        "bytes": winner["bytes"],
        "latency_ms": winner["latency_ms"],
        **best.metrics,
    }
    info = {**info, "status": "finished", "best": summary, "front": front}
    write_json(output / SEARCH_FILE, info)
    return info


def _kept(best: Path, trials: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Returns the trial that an earlier process left as the winner: it is not judged again."""
    if not (best / RUN_FILE).is_file():
        return None
    name = Run.load(best).info["hyperparameters"]["trial_id"]
    return next(trial for trial in trials if trial["trial_id"] == name)


def _monitor(objective: objectives.Objective, metric: str) -> tuple[str, str]:
    """Returns which measure of Keras says which epoch is best, and which way."""
    if objective.name == "val_loss":
        return "val_loss", "min"
    return f"val_{metric}", "max" if metric == "accuracy" else "min"


def _arrays(prepared: Mapping[str, Prepared]) -> tuple[dict[str, str], dict[str, Any]]:
    """Returns a key for each model, and the arrays under each key; models may share them."""
    keys: dict[str, str] = {}
    arrays: dict[str, Any] = {}
    seen: dict[int, str] = {}
    for model, data in prepared.items():
        if id(data) not in seen:
            seen[id(data)] = model
            assert data.x_validation is not None and data.y_validation is not None
            arrays[model] = {
                "x_train": data.x_train,
                "y_train": data.y_train,
                "x_validation": data.x_validation,
                "y_validation": data.y_validation,
            }
        keys[model] = seen[id(data)]
    return keys, arrays


def _write_report(output: Path, info: Mapping[str, Any], trials: Sequence[dict[str, Any]]) -> str:
    """Writes report.html; returns how to get what it needs, where that is missing."""
    from keras_rnn_zoo.tuner.results.page import write_report

    try:
        write_report(output / REPORT, info, trials)
    except MissingExtraError as error:
        return str(error)
    return ""


def _space(hypermodel: Any) -> list[Any]:
    """Returns the search space, JSON-able, to tell two searches apart."""
    space: list[Any] = json.loads(json.dumps(hypermodel.space().get_config()["space"]))
    return space


def _sweep(output: Path) -> None:
    """Removes what a kill in the middle of writing left."""
    places = (output, output / FRONT, output / LOGS, output / "tuner")
    for place in (*places, *(output / "tuner").glob("trial_*")):
        for leftover in place.glob(".*.part"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _none_of_use(trials: Sequence[Mapping[str, Any]]) -> str:
    """Returns why there is no winner, and what to do."""
    if not trials:
        return "The search space is empty: no trial could be made. Give other spaces."
    infeasible = [trial for trial in trials if trial["status"] == "infeasible"]
    failed = [trial for trial in trials if trial["status"] == "failed"]
    if len(failed) == len(trials):
        return (
            f"All {len(trials)} trials failed. The first: {str(trials[0]['message']).rstrip('.')}. "
            "Change the settings, and search in a new directory."
        )
    text = f"None of the {len(trials)} trials keeps the limits"
    if infeasible:
        closest = min(infeasible, key=lambda trial: max(trial["excess"].values()))
        text += f". The closest, trial {closest['trial_id']} ({closest['model']}), is "
        text += str(closest["message"])
    return f"{text}. Allow more, or search smaller models, in a new directory."
