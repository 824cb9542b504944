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
import importlib
import io
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError, RunError, listed, nearest
from keras_rnn_zoo.files import PathLike, atomic_file, write_json, write_text
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor

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
    """Loads a `.keras` or legacy `.h5` file, uncompiled, with safe mode on.

    Raises:
        RunError: The file is missing, damaged, or needs code that is not known here.
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
        raise RunError(_unloadable(path, reason or error.__class__.__name__)) from error


# How Keras says what it does not find, in .keras and in .h5 files.
_UNKNOWN = re.compile(
    r"Could not locate (?:class|function) '([^']+)'|Unknown [\w ]+: '?(\w+)'?\. Please ensure"
)


def _unloadable(path: Path, reason: str) -> str:
    if unknown := _UNKNOWN.search(reason):
        name = unknown[1] or unknown[2]
        module = re.search(r"'module': '([\w.]+)', 'class_name': '" + re.escape(name), reason)
        known = module is not None and module[1] not in ("builtins", "__main__")
        where = f"{module[1]}" if known and module is not None else "your.module"
        return (
            f"{path} uses '{name}', which is none of Keras' own. Name the module that defines it: "
            f"--custom-objects {where} (in Python: keras.saving.get_custom_objects()['{name}'] = "
            f"{name})."
        )
    if "ambda" in reason and "safe" in reason:
        return (
            f"{path} holds a Lambda layer, which is Python code that a file may not bring. Load "
            "it in Python with keras.saving.load_model(path, safe_mode=False) if you trust it, and "
            "give the model to export_tflite; or write the layer as a class, and name its module "
            "with --custom-objects."
        )
    if len(reason) > 200:
        reason = reason[:200] + "..."
    return f"Cannot load {path}: {reason}. If it is damaged, take a complete copy, or train again."


def use_custom_objects(names: Sequence[str]) -> None:
    """Makes layers, cells and functions of a user's own known to Keras.

    Args:
        names: Modules (`package.module`), of which every class and function counts, or single
            ones (`package.module:Class`). They are looked for in the current directory, too.

    Raises:
        ConfigError: There is no such module or object, or it cannot be imported.
    """
    import keras

    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    for name in names:
        module_name, _, wanted = name.partition(":")
        try:
            module = importlib.import_module(module_name)
        except Exception as error:  # whatever a module raises
            reason = " ".join(f"{error.__class__.__name__}: {error}".split())
            raise ConfigError(
                f"--custom-objects cannot import {module_name!r}: {reason[:200]}. Give modules "
                "that Python finds here or on PYTHONPATH, such as package.module, or "
                "package.module:Class."
            ) from error
        own = {
            key: value
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == module.__name__
        }
        if wanted:
            if not hasattr(module, wanted):
                raise ConfigError(
                    f"Module {module_name!r} has no {wanted!r}.{nearest(wanted, own)} It defines: "
                    f"{listed(own) or 'nothing'}."
                )
            own = {wanted: getattr(module, wanted)}
        keras.saving.get_custom_objects().update(own)


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
