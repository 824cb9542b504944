"""Data and models' names in, the best model as a run out; stopped at any moment, it goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo.data import Dataset
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.files import PathLike, explained
from keras_rnn_zoo.options import takes
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.training.prepare import as_dataset
from keras_rnn_zoo.tuner import objectives
from keras_rnn_zoo.tuner.options import SearchOptions
from keras_rnn_zoo.tuner.results.search import Search
from keras_rnn_zoo.tuner.study.data import arrays_of, fingerprint, prepare_models
from keras_rnn_zoo.tuner.study.directory import SearchDirectory
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
        OutputError: `output` holds something else, or a search with other settings.
        SearchError: Every trial failed, the state is damaged, or the search runs already.
        ZooError: Of the type that says what is wrong: name, config or data.
    """
    chosen, budget = _for_one_client(options, budget)
    directory = SearchDirectory(Path(output))
    if chosen.tokenizer is None:
        chosen = chosen.replace(tokenizer=directory.tokenizer)
    request = Request.of(models, chosen, budget, callbacks, command)
    settings = request.settings()
    directory.check_same(settings)
    if directory.status == "unfinished":
        request.engine.check(**chosen.engine_options)
    dataset = as_dataset(data, test_data, chosen)
    settings["data"] = {"name": dataset.name, "sha256": fingerprint(dataset)}
    directory.check_same(settings)
    _search(directory, request, settings, dataset, progress)
    return Search.load(directory.path)


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


def _search(
    directory: SearchDirectory,
    request: Request,
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

    options = request.options
    prepared = prepare_models(dataset, request)
    hypermodel = ZooHyperModel(
        request.models,
        config={
            name: {**options.config, **data.preprocessor.model_config()}
            for name, data in prepared.items()
        },
        spaces=options.spaces,
        learning_rate=options.learning_rate,
    )
    task = next(iter(prepared.values())).preprocessor.task
    objective = objectives.parse(options.objective, get_task(task).metric)
    oracle = request.algorithm.oracle(
        Plan(
            keras_tuner.Objective(objective.name, objective.direction),
            options.max_trials,
            options.epochs,
            seed=options.seed + 1,
        )
    )
    settings["space"] = json.loads(json.dumps(hypermodel.space().get_config()["space"]))
    directory.check_same(settings)
    if not directory.info:
        directory.create(
            {
                "settings": settings,
                "objective": {"name": objective.name, "direction": objective.direction},
                "data": {name: data.data for name, data in prepared.items()},
                "best": None,
                "front": [],
                "message": None,
                "provenance": provenance(seed=options.seed, command=request.command),
            }
        )
    with explained(directory.path), directory.locked():
        directory.remove_partial_files()
        keys, arrays = arrays_of(prepared)
        client = TARGETS.get(request.budget.target)
        attached = {name: client.attached(data.preprocessor) for name, data in prepared.items()}
        tuner = ZooTuner(oracle, hypermodel, objective, request, keys, attached, directory.path)
        study = Study(directory, tuner, prepared, progress)
        study.publish()
        if directory.status == "unfinished":
            engine = request.engine(
                options.workers,
                arrays,
                tuner.trial_directory,
                options.trial_timeout,
                **options.engine_options,
            )
            study.run(engine)
        if directory.status != "finished":
            study.finish()
        study.save_winner()
