"""Data and models' names in, the best model as a run out; stopped at any moment, it goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_rnn_zoo.data import Dataset
from keras_rnn_zoo.errors import ConfigError, SearchError, listed
from keras_rnn_zoo.export.cores.measure import known_and_set_up
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.export.tflite import micro
from keras_rnn_zoo.files import PathLike, explained
from keras_rnn_zoo.options import takes
from keras_rnn_zoo.training.metrics import metrics_of
from keras_rnn_zoo.training.prepare import as_dataset, tell
from keras_rnn_zoo.training.word_vectors import check_words
from keras_rnn_zoo.tuner import objectives
from keras_rnn_zoo.tuner.options import SearchOptions
from keras_rnn_zoo.tuner.results.search import Search
from keras_rnn_zoo.tuner.study.course import COURSE, told, with_course
from keras_rnn_zoo.tuner.study.data import Encodings, fingerprint
from keras_rnn_zoo.tuner.study.directory import SearchDirectory
from keras_rnn_zoo.tuner.study.extent import Extent
from keras_rnn_zoo.tuner.study.request import Callbacks, Request
from keras_rnn_zoo.tuner.trials.budget import DeviceBudget
from keras_rnn_zoo.tuner.tuners import Plan


@takes(SearchOptions)
def search(
    models: Sequence[str] | None,
    data: Dataset | PathLike,
    *,
    output: PathLike,
    budget: DeviceBudget | None = None,
    callbacks: Callbacks = None,
    progress: bool = True,
    command: str | None = None,
    test_data: PathLike | None = None,
    **options: Any,
) -> Search:
    """Searches for the best model and hyperparameters, and leaves the winner as a run.

    Trials are compared on validation rows, by the accuracy (or, for a regression, the mean
    absolute error) of their best epoch, or by another `objective`; of equal ones, a clearly lower
    loss, then the smaller file, is the better. The winner is restored from that epoch and evaluated
    once on test rows that no trial saw: those of the data, or else a fifth of the rows, held out
    before anything. With `folds` the score is the mean over folds, and all else is that of the
    first: what is restored learnt from all rows but that fold. Each model sees its own default
    number of timesteps, unless `config` sets one, or several to search among: `{"timesteps":
    [100, 200, 400], "vocabulary_size": [5000, 10000]}`.

    Each trial runs in a process of its own, and what happens to it there costs that trial only. A
    model is measured before it is trained: one over budget is not trained, is reported with its
    figures, and tells the tuner where not to look.

    The same call again goes on with a search that was stopped, however it was stopped: trials that
    ended are kept, one that was running is run again. Of a finished search it returns the result;
    with more `max_trials`, or with a `max_time`, it goes on: Hyperband with further brackets, the
    others with further trials. The data may lie elsewhere by then, or have another name.

    Args:
        models: Names of `list_models()`; None takes all but the cell loops, which compute the
            same as their layer twins, slowly.
        data: What to learn from, as in `train`.
        output: The search directory: new, empty, or that of the same search.
        budget: Limits of the file on a device, and which file that is; None measures the
            dynamic-range file, and limits nothing.
        callbacks: A function that returns further Keras callbacks, called in each trial's process:
            one of a module that can be imported, or `"module:function"`.
        progress: Write to stderr how far it is.
        command: The command line, for the record.
        test_data: As in `train`.

    Raises:
        OutputError: `output` holds something else, or a search with other settings or more trials.
        SearchError: Every trial failed, the state is damaged, or the search runs already.
        ZooError: Of the type that says what is wrong: name, config or data.
    """
    chosen, budget = _for_one_client(options, budget)
    directory = SearchDirectory(Path(output))
    if models is None and directory.info:
        # Of the day on which it began: there may be more models now.
        models = directory.info["settings"]["models"]
    chosen = directory.begun(chosen)
    request = Request.of(models, chosen, budget, callbacks, command)
    extent = Extent.of(chosen, directory.path, directory.info)
    settings = {**request.settings(), "max_trials": extent.max_trials}
    directory.check_same(settings)
    if directory.status == "unfinished" or extent.most > len(Search.load(directory.path).trials):
        request.engine.check(**chosen.engine_options)
        if budget.latency_core is not None:
            known_and_set_up(budget.latency_core)
    dataset = as_dataset(data, test_data, chosen)
    settings["data"] = {"name": dataset.name, "sha256": fingerprint(dataset)}
    directory.check_same(settings)
    _search(directory, request, extent, settings, dataset, progress)
    return Search.load(directory.path)


def _check_old(directory: SearchDirectory) -> None:
    """Refuses to go on with a search of targets as they are: its trials could not be compared.

    Raises:
        SearchError: It is not finished.
    """
    if directory.status == "unfinished":
        raise SearchError(
            f"The search in {directory.path} was begun by an older version, which trained on "
            "targets as they are; this one scales them, and its trials would not compare with "
            "those. Search in a new directory."
        )


def _for_one_client(
    given: Mapping[str, Any], budget: DeviceBudget | None
) -> tuple[SearchOptions, DeviceBudget]:
    """Returns options and budget that are for the same client, whichever of them names it.

    Raises:
        ConfigError: They name two.
    """
    asked = given.get("target")
    if budget is None:
        budget = DeviceBudget() if asked is None else DeviceBudget(target=asked)
    if asked not in (None, budget.target):
        raise ConfigError(
            f"The target is said twice and differently: {asked!r} and, in the budget, "
            f"{budget.target!r}. Say one."
        )
    return SearchOptions.of({**given, "target": budget.target}), budget


def _check_measured(objective: objectives.Objective, target: str) -> None:
    """Refuses an objective with a figure that no trial would have.

    Raises:
        ConfigError: The target has no arena.
        RunError: What measures it is not installed.
    """
    if "arena" not in objective.terms:
        return
    if not TARGETS.get(target).arena:
        able = [name for name in TARGETS.names() if TARGETS.get(name).arena]
        raise ConfigError(
            f"The arena is the RAM of a microcontroller, and the target {target!r} has none. "
            f"Choose the target {listed(able)}, or an objective without it."
        )
    micro.needed("The objective arena")


def _search(
    directory: SearchDirectory,
    request: Request,
    extent: Extent,
    settings: dict[str, Any],
    dataset: Dataset,
    progress: bool,
) -> None:
    """Searches, or goes on; see `search`."""
    # These import TensorFlow, and the checks above have to answer at once.
    import keras_tuner

    from keras_rnn_zoo.provenance import provenance
    from keras_rnn_zoo.tuner.hypermodel import ZooHyperModel
    from keras_rnn_zoo.tuner.study.loop import ZooTuner
    from keras_rnn_zoo.tuner.study.study import Study

    # What an older version began without goes on without: its trials have other weights.
    begun = directory.info.get("autoregression", False) if directory.info else True
    data = Encodings(dataset, request, autoregression=begun)
    first = data.first[request.models[0]]
    options = with_course(request.options, len(first.x_train))
    request = replace(request, options=options)
    settings |= {name: value for name, value in request.settings().items() if name in COURSE}
    if progress and not directory.info:
        tell(first, [("Each trial", told(options))])
    first.feed({}, options.class_weight)  # refuses what trials could not do
    check_words(options.word_vectors, first.x_train)
    assert options.learning_rate is not None
    hypermodel = ZooHyperModel(
        request.models,
        config=data.config,
        spaces=options.spaces,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
    )
    task = first.preprocessor.task
    begun = directory.info.get("objective", {}).get("direction")
    objective = objectives.parse(options.objective, metrics_of(task), begun=begun)
    _check_measured(objective, request.budget.target)
    oracle = request.algorithm.oracle(
        Plan(
            keras_tuner.Objective(objective.name, objective.direction),
            extent.most,
            request.epochs,
            seed=options.seed + 1,
            likely=extent.max_trials or SearchOptions.TRIALS,
        )
    )
    if task == "regression" and directory.info and not directory.info.get("scaled_targets"):
        _check_old(directory)
    settings["space"] = json.loads(json.dumps(hypermodel.space().get_config()["space"]))
    directory.check_same(settings)
    if not directory.info:
        directory.create(
            {
                "settings": settings,
                "objective": {"name": objective.name, "direction": objective.direction},
                "scaled_targets": task == "regression",
                "autoregression": True,
                "data": {name: prepared.data for name, prepared in data.first.items()},
                "best": None,
                "front": [],
                "message": None,
                "chosen": None,
                "exhausted": False,
                "provenance": provenance(seed=options.seed, command=request.command),
            }
        )
    with explained(directory.path), directory.locked():
        directory.remove_partial_files()
        tuner = ZooTuner(oracle, hypermodel, objective, request, data, directory.path)
        study = Study(directory, tuner, task, extent, progress)
        study.go_on()
        study.publish()
        if directory.status == "unfinished":
            engine = request.engine(
                options.workers,
                data,
                tuner.trial_directory,
                options.trial_timeout,
                **options.engine_options,
            )
            study.run(engine)
        if directory.status != "finished":
            study.finish()
        study.save_winner()
