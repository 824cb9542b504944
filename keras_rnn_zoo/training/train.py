"""Data and a model's name in, a run out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.data import Dataset
from keras_rnn_zoo.files import PathLike, check_new_directory, new_directory
from keras_rnn_zoo.training.run import Run, run_info, write_run

if TYPE_CHECKING:
    import keras

from keras_rnn_zoo.training.fit import Fitted, check_hyperparameters, fit_and_evaluate
from keras_rnn_zoo.training.prepare import (
    Prepared,
    as_dataset,
    check_config,
    prepare,
)


def train(
    model: str,
    data: Dataset | PathLike,
    *,
    config: Mapping[str, Any] | None = None,
    epochs: int = 4,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    patience: int | None = None,
    validation_split: float = 0.1,
    seed: int = 0,
    output: PathLike | None = None,
    command: str | None = None,
    test_data: PathLike | None = None,
    text_column: str = "text",
    label_column: str = "label",
    task: str | None = None,
    padding: str = "post",
    truncating: str = "pre",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
) -> Run:
    """Trains a model and leaves it as a run.

    Args:
        model: A name of `list_models()`.
        data: A `Dataset`, a data set's name or a file; see `load_data`.
        config: Config keys of the model, such as `{"units": 32}`.
        epochs: The most passes over the training rows.
        batch_size: Rows per step.
        learning_rate: Of Adam.
        patience: Stop after this many epochs without a better validation loss; None never.
        validation_split: The part of the training rows to hold out for validation.
        seed: Of every random choice.
        output: The run directory to write: new, or empty. None keeps the run in memory.
        command: The command line, for the record.
        test_data: See `load_data`.
        text_column: See `load_data`.
        label_column: See `load_data`.
        task: See `load_data`.
        padding: `"post"` fills short inputs on the right, `"pre"` on the left.
        truncating: `"pre"` cuts the beginning of long inputs, `"post"` the end.
        callbacks: Further Keras callbacks.
        progress: Write a line per epoch to stderr.

    Raises:
        ZooError: Of the type that says what is wrong: name, config, data or output.
    """
    if output is not None:
        check_new_directory(output)
    check_hyperparameters(epochs, batch_size, learning_rate, patience)
    check_config([model], config or {})
    dataset = as_dataset(data, test_data, text_column, label_column, task)
    prepared = prepare(
        dataset,
        config,
        models=[model],
        validation_split=validation_split,
        seed=seed,
        padding=padding,
        truncating=truncating,
        task=task,
    )
    fitted = fit_and_evaluate(
        prepared,
        prepared.builder(model, config),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        seed=seed,
        callbacks=callbacks,
        progress=progress,
    )
    if output is None:
        info = run_info(**_contents(prepared, fitted, seed, command))
        return Run(info, prepared.preprocessor, model=fitted.model)
    with new_directory(output) as directory:
        info = save_run(directory, prepared, fitted, seed=seed, command=command)
    return Run(info, prepared.preprocessor, Path(output), fitted.model)


def save_run(
    directory: PathLike,
    prepared: Prepared,
    fitted: Fitted,
    *,
    seed: int | None = 0,
    command: str | None = None,
) -> dict[str, Any]:
    """Writes a trained model as a run into a directory that exists; returns its `run.json`.

    Raises:
        OSError: The place cannot be written; `files.new_directory` makes it an `OutputError`.
    """
    return write_run(
        directory,
        model=fitted.model,
        history=fitted.history,
        samples=prepared.samples(seed or 0),
        **_contents(prepared, fitted, seed, command),
    )


def _contents(
    prepared: Prepared, fitted: Fitted, seed: int | None, command: str | None
) -> dict[str, Any]:
    """Returns the arguments of `run.run_info`."""
    from keras_rnn_zoo.provenance import provenance

    return {
        "builder": fitted.builder,
        "preprocessor": prepared.preprocessor,
        "metrics": fitted.metrics,
        "hyperparameters": fitted.hyperparameters,
        "data": prepared.data,
        "provenance": provenance(seed=seed, command=command),
    }
