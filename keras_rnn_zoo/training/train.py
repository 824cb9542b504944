"""Data and a model's name in, a run out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.data import Dataset
from keras_rnn_zoo.data.load import Data
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.files import PathLike, check_new_directory, new_directory
from keras_rnn_zoo.options import takes
from keras_rnn_zoo.training.course import course_of
from keras_rnn_zoo.training.cross_validation import cross_validate
from keras_rnn_zoo.training.fit import Fitted, fit_and_evaluate
from keras_rnn_zoo.training.options import DataOptions, RunOptions
from keras_rnn_zoo.training.prepare import (
    Prepared,
    as_dataset,
    check_config,
    prepare,
    tell,
    with_tests,
)
from keras_rnn_zoo.training.resume import earlier_of
from keras_rnn_zoo.training.run import Run, RunContents

if TYPE_CHECKING:
    import keras


@takes(RunOptions)
def train(
    model: str,
    data: Dataset | Data,
    *,
    output: PathLike | None = None,
    config: Mapping[str, Any] | None = None,
    test_data: Data | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
    command: str | None = None,
    **options: Any,
) -> Run:
    """Trains a model and leaves it as a run.

    With `folds` the training is repeated for each fold before: see `cross_validate`. The model of
    the run is trained after that, on the same rows as without folds; the folds say what such a
    training is worth.

    Args:
        model: A name of `list_models()`.
        data: A `Dataset`, a data set's name or a file; see `load_data`.
        output: The run directory to write: new, or empty; with `resume` that of a run. None keeps
            the run in memory.
        config: Config keys of the model, such as `{"units": 32}`.
        test_data: Rows to test on; see `load_data`.
        callbacks: Further Keras callbacks.
        progress: Write a line per epoch to stderr.
        command: The command line, for the record.

    Returns:
        The run, whose model is at hand.

    Raises:
        ZooError: Of the type that says what is wrong: name, config, data or output.
        KeyboardInterrupt: Ctrl-C, as ever; but if an epoch had ended by then, and there is an
            output, the best one is kept there as a run, marked `interrupted` in `run.json`.
    """
    chosen = RunOptions.of(options)
    if chosen.resume:
        if output is None:
            raise ConfigError("resume goes on with the run at the output. Name that directory.")
        if chosen.folds is not None:
            raise ConfigError(
                "resume goes on with the one model of a run, and folds are models of their own. "
                "Leave folds out, or train with them in a new directory."
            )
        Run.load(output)  # before any data are read
    elif output is not None:
        check_new_directory(output)
    check_config([model], config or {})
    dataset = with_tests(as_dataset(data, test_data, chosen), chosen)
    encoding = DataOptions.part_of(chosen).keywords()
    prepared = prepare(dataset, config, models=[model], **encoding)
    builder = prepared.builder(model, config)
    if progress:
        tell(prepared)
    earlier = None
    if chosen.resume and output is not None:
        validates = prepared.validation is not None
        course = course_of(chosen, len(prepared.x_train), validates)
        earlier = earlier_of(output, prepared, builder, chosen, course)
    folds = None
    if chosen.folds is not None:
        folds = cross_validate(
            model, dataset, config, chosen, callbacks=callbacks, progress=progress
        ).record
    fitted = fit_and_evaluate(
        prepared,
        builder,
        chosen,
        earlier=earlier,
        callbacks=callbacks,
        progress=progress,
        keep_interrupted=output is not None,
    )
    if output is None:
        info = _contents(prepared, fitted, chosen.seed, command, folds).info()
        return Run(info, prepared.preprocessor, model=fitted.model)
    with new_directory(output, replace=chosen.resume) as directory:
        info = save_run(directory, prepared, fitted, seed=chosen.seed, command=command, folds=folds)
    if fitted.interrupted:
        best, done = info["metrics"]["best_epoch"], info["metrics"]["epochs"]
        raise KeyboardInterrupt(f"{output} keeps epoch {best}, the best of the {done} that ended.")
    return Run(info, prepared.preprocessor, Path(output), fitted.model)


def save_run(
    directory: PathLike,
    prepared: Prepared,
    fitted: Fitted,
    *,
    seed: int | None = 0,
    command: str | None = None,
    folds: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes a trained model as a run into a directory that exists; returns its `run.json`.

    Raises:
        OSError: The place cannot be written; `files.new_directory` makes it an `OutputError`.
    """
    return _contents(prepared, fitted, seed, command, folds).write(directory)


def _contents(
    prepared: Prepared,
    fitted: Fitted,
    seed: int | None,
    command: str | None,
    folds: dict[str, Any] | None,
) -> RunContents:
    from keras_rnn_zoo.provenance import provenance

    return RunContents(
        model=fitted.model,
        builder=fitted.builder,
        preprocessor=prepared.preprocessor,
        history=fitted.history,
        metrics=fitted.metrics,
        hyperparameters=fitted.hyperparameters,
        data=prepared.data,
        provenance=provenance(seed=seed, command=command),
        samples=prepared.samples(seed or 0),
        evaluation=fitted.evaluation,
        interrupted=fitted.interrupted,
        folds=folds,
    )
