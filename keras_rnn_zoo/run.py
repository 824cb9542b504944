"""The run directory: a trained model and all that it takes to use it again.

```
model.keras   the model
run.json      model config, hyperparameters, data, preprocessing, metrics, provenance
history.csv   a line per epoch
vocab.txt     `token index` lines, for texts
labels.txt    a label per line, in the order of the outputs
samples.npz   encoded rows: x, y of the training data, x_test, y_test of the held-out data
```
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.files import PathLike, atomic_file, write_json, write_text
from keras_rnn_zoo.preprocessing import Preprocessor

if TYPE_CHECKING:
    import keras

    from keras_rnn_zoo.builder import ModelBuilder

FORMAT = 1
MODEL_FILE, RUN_FILE, HISTORY_FILE, SAMPLES_FILE = (
    "model.keras",
    "run.json",
    "history.csv",
    "samples.npz",
)


class Run:
    """A trained model with its preprocessing: takes raw inputs, answers with labels.

    Args:
        info: What `run.json` holds.
        preprocessor: Of the model's inputs and outputs.
        path: The run directory, or None for a run that is in memory only.
        model: The model, where it is at hand; otherwise it is loaded when needed.
    """

    def __init__(
        self,
        info: dict[str, Any],
        preprocessor: Preprocessor,
        path: Path | None = None,
        model: keras.Model | None = None,
    ):
        self.info = info
        self.preprocessor = preprocessor
        self.path = path
        self._model = model

    @classmethod
    def load(cls, path: PathLike) -> Run:
        """Reads a run directory; the model itself is loaded when it is needed.

        Raises:
            RunError: `path` is no run, or a damaged one.
        """
        path = Path(path)
        file = path / RUN_FILE
        if not file.is_file():
            raise RunError(_not_a_run(path))
        try:
            info = json.loads(file.read_text(encoding="utf-8"))
            version = info["format"]
            if version > FORMAT:
                raise RunError(
                    f"{path} has the format {version}, and this keras-rnn-zoo reads up to "
                    f"{FORMAT}. Install a newer keras-rnn-zoo."
                )
            for key in ("model", "schema_version", "config", "metrics"):
                info[key]
            preprocessor = Preprocessor.from_dict(info["preprocessing"], path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(
                f"{file} is damaged ({error.__class__.__name__}: {error}). Take a complete copy, "
                "or train again."
            ) from error
        return cls(info, preprocessor, path)

    @property
    def model_name(self) -> str:
        """The registry name of the model."""
        return str(self.info["model"])

    @property
    def metrics(self) -> dict[str, Any]:
        """Losses and accuracies (or errors), seconds and parameters."""
        metrics: dict[str, Any] = self.info["metrics"]
        return metrics

    def builder(self) -> ModelBuilder:
        """Returns the builder that built the model."""
        from keras_rnn_zoo.builder import builder_from_json

        keys = ("schema_version", "model", "config")
        return builder_from_json(json.dumps({key: self.info[key] for key in keys}))

    def load_model(self) -> keras.Model:
        """Returns the trained model, uncompiled if it was loaded.

        Raises:
            RunError: The model file is missing or damaged.
        """
        if self._model is None:
            assert self.path is not None
            self._model = load_model(self.path / MODEL_FILE)
        return self._model

    def samples(self) -> dict[str, np.ndarray]:
        """Returns the encoded rows that the run keeps: `x`, `y`, `x_test`, `y_test`.

        Raises:
            RunError: They are missing or damaged.
        """
        if self.path is None:
            raise RunError("A run in memory keeps no samples. Train with an output directory.")
        file = self.path / SAMPLES_FILE
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in ("x", "y", "x_test", "y_test")}
        except Exception as error:  # numpy, zipfile and zlib each have their own
            raise RunError(
                f"Cannot read {file}: {error}. Take a complete copy of the run, or train again."
            ) from error

    def predict(self, x: Sequence[Any] | np.ndarray, batch_size: int = 64) -> list[dict[str, Any]]:
        """Answers raw inputs; see `Preprocessor.encode_inputs` and `Preprocessor.decode`.

        Raises:
            DataError: An input cannot be encoded; the message names its row.
        """
        encoded = self.preprocessor.encode_inputs(x)
        if not len(encoded):
            return []
        outputs = self.load_model().predict(encoded, batch_size=batch_size, verbose=0)
        return self.preprocessor.decode(outputs, encoded)


def _not_a_run(path: Path) -> str:
    if not path.exists():
        return f"There is no run at {path}. Give the directory that 'train' wrote."
    if not path.is_dir():
        return f"{path} is a file, not a run. Give the directory that 'train' wrote."
    if (path / "best" / RUN_FILE).is_file():
        return f"{path} is a search; its winner is the run {path / 'best'}. Give that."
    return f"{path} is not a run: it has no {RUN_FILE}. Give the directory that 'train' wrote."


def load_model(path: PathLike) -> keras.Model:
    """Loads a `.keras` file, uncompiled, with safe mode on.

    Raises:
        RunError: The file is missing, damaged, or needs code that is not registered.
    """
    import keras

    import keras_rnn_zoo.layers  # noqa: F401  (registers the cell loop)

    path = Path(path)
    if not path.is_file():
        raise RunError(f"There is no model file {path}. Give a complete run, or train again.")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever a damaged archive makes Keras, zipfile or h5py raise
        reason = " ".join(str(error).split())
        if len(reason) > 200:
            reason = reason[:200] + "..."
        raise RunError(
            f"Cannot load {path}: {reason or error.__class__.__name__}. If it is damaged, take a "
            "complete copy, or train again."
        ) from error


def run_info(
    *,
    builder: ModelBuilder,
    preprocessor: Preprocessor,
    metrics: Mapping[str, Any],
    hyperparameters: Mapping[str, Any],
    data: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns what `run.json` holds."""
    return {
        "format": FORMAT,
        "model": builder.name,
        "schema_version": builder.schema_version,
        "config": builder.config,
        "hyperparameters": dict(hyperparameters),
        "data": dict(data),
        "preprocessing": preprocessor.to_dict(),
        "metrics": {name: _strict(value) for name, value in metrics.items()},
        "provenance": dict(provenance),
    }


def _strict(value: Any) -> Any:
    """JSON has no NaN: a metric that is none becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_run(
    directory: PathLike,
    *,
    model: keras.Model,
    builder: ModelBuilder,
    preprocessor: Preprocessor,
    history: Mapping[str, Sequence[float]],
    metrics: Mapping[str, Any],
    hyperparameters: Mapping[str, Any],
    data: Mapping[str, Any],
    provenance: Mapping[str, Any],
    samples: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Writes a run into a directory that exists (the temporary one of `files.new_directory`).

    Args:
        directory: Where to write.
        model: The trained model.
        builder: That built it.
        preprocessor: Of its inputs and outputs.
        history: A list of values per epoch for each measure.
        metrics: See `training.fit_and_evaluate`.
        hyperparameters: Learning rate, epochs, batch size, ...
        data: Where the data came from, JSON-able.
        provenance: See `provenance.provenance`.
        samples: See `training.Prepared.samples`.

    Returns:
        What `run.json` holds.

    Raises:
        OSError: The place cannot be written; `files.new_directory` makes it an `OutputError`.
    """
    directory = Path(directory)
    info = run_info(
        builder=builder,
        preprocessor=preprocessor,
        metrics=metrics,
        hyperparameters=hyperparameters,
        data=data,
        provenance=provenance,
    )
    # Not through atomic_file: Keras looks at the name's end, and the whole directory is temporary.
    model.save(directory / MODEL_FILE)
    preprocessor.save(directory)
    write_text(directory / HISTORY_FILE, _history_csv(history))
    arrays: dict[str, Any] = dict(samples)
    with atomic_file(directory / SAMPLES_FILE) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    write_json(directory / RUN_FILE, info)
    return info


def _history_csv(history: Mapping[str, Sequence[float]]) -> str:
    names = list(history)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["epoch", *names])
    for epoch, values in enumerate(zip(*history.values(), strict=True), start=1):
        writer.writerow([epoch, *values])
    return stream.getvalue()
