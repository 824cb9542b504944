"""The run directory: a trained model and all that it takes to use it again.

```
model.keras   the model
run.json      model config, hyperparameters, data, preprocessing, metrics, provenance
history.csv   a line per epoch
vocab.txt     `token index` lines, for texts
labels.txt    a label per line, in the order of the outputs
report.html   a page to read
samples.npz   encoded rows: x, y of the training data, x_test, y_test of the held-out data
```
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
import pkgutil
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.artifacts import RUN, RUN_FILE, require
from keras_rnn_zoo.errors import ConfigError, RunError, listed, nearest
from keras_rnn_zoo.files import PathLike, atomic_file, write_json, write_text
from keras_rnn_zoo.pages import write_page
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.training.baseline import verdict
from keras_rnn_zoo.training.page import PAGE_FILE, run_page

if TYPE_CHECKING:
    import keras

    from keras_rnn_zoo.builder import ModelBuilder

FORMAT = 1
MODEL_FILE, HISTORY_FILE, SAMPLES_FILE = "model.keras", "history.csv", "samples.npz"
# A name and no import: a run can be handed to the export, and knows nothing of it.
EXPORT = "keras_rnn_zoo.export:export_bundle"


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
        path = require(path, RUN)
        file = path / RUN_FILE
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

    @property
    def evaluation(self) -> dict[str, Any]:
        """What becomes of each label, and of each output of a regression; see `fit.Evaluation`."""
        return dict(self.info.get("evaluation") or {})

    @property
    def folds(self) -> dict[str, Any] | None:
        """What folds say of the training: see `cross_validate`; None without."""
        folds: dict[str, Any] | None = self.info.get("folds")
        return folds

    @property
    def beats_baseline(self) -> bool | None:
        """Whether the model is better than the best answers without one; None if not recorded."""
        beats: bool | None = self.info.get("beats_baseline")
        return beats

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

    def predict(
        self, x: Sequence[Any] | np.ndarray, batch_size: int = 64, strict: bool = True
    ) -> list[dict[str, Any]]:
        """Answers raw inputs, as `keras-rnn-zoo predict` does.

        Args:
            x: Texts, rows of token ids or features, as the model was trained on; see
                `Preprocessor.encode_inputs`.
            batch_size: Inputs that are computed at once.
            strict: Refuse all if one cannot be encoded. Otherwise its answer is
                `{"error": message}`.

        Returns:
            An answer for each input, such as `{"label": "good", "score": 0.93, "scores": {...}}`;
            see `Preprocessor.decode`.

        Raises:
            DataError: An input cannot be encoded; the message names its row.
            RunError: The model file is missing or damaged.
        """

        def outputs(encoded: np.ndarray) -> np.ndarray:
            answers: np.ndarray = self.load_model().predict(
                encoded, batch_size=batch_size, verbose=0
            )
            return answers

        return self.preprocessor.answer(x, outputs, strict)

    def export(self, path: PathLike, **options: Any) -> Any:
        """Exports the model as a bundle: files for an app, verified and measured.

        Args:
            path: The bundle to write: a new directory.
            **options: See `keras_rnn_zoo.export.export_bundle`.

        Returns:
            The `keras_rnn_zoo.export.Bundle`.

        Raises:
            RunError: The run is in memory only.
            ZooError: Of the type that says what is wrong; nothing is written then.
        """
        if self.path is None:
            raise RunError(
                "A run in memory has no files to export. Train with an output directory, or give "
                "the model itself to export_tflite."
            )
        return pkgutil.resolve_name(EXPORT)(self.path, path, **options)


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


@dataclass(frozen=True, kw_only=True)
class RunContents:
    """What a run directory is made of.

    Attributes:
        model: The trained model.
        builder: That built it.
        preprocessor: Of its inputs and outputs.
        history: A list of values per epoch for each measure.
        metrics: See `fit.Fitted`.
        hyperparameters: Learning rate, epochs, batch size, ...
        data: Where the data came from, JSON-able.
        provenance: See `provenance.provenance`.
        samples: See `prepare.Prepared.samples`.
        evaluation: See `fit.Evaluation`.
        interrupted: The training was stopped before its last epoch.
        folds: See `cross_validation.cross_validate`; None without folds.
    """

    model: keras.Model
    builder: ModelBuilder
    preprocessor: Preprocessor
    history: Mapping[str, Sequence[float]]
    metrics: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]
    data: Mapping[str, Any]
    provenance: Mapping[str, Any]
    samples: Mapping[str, np.ndarray]
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    interrupted: bool = False
    folds: Mapping[str, Any] | None = None

    def info(self) -> dict[str, Any]:
        """Returns what `run.json` holds."""
        judged = self.verdict()
        return {
            "format": FORMAT,
            "model": self.builder.name,
            "schema_version": self.builder.schema_version,
            "config": self.builder.config,
            "hyperparameters": dict(self.hyperparameters),
            "data": dict(self.data),
            "preprocessing": self.preprocessor.to_dict(),
            "metrics": {name: _strict(value) for name, value in self.metrics.items()},
            "evaluation": dict(self.evaluation),
            "beats_baseline": None if judged is None else judged["beats_baseline"],
            "verdict": judged,
            "folds": None if self.folds is None else dict(self.folds),
            "interrupted": self.interrupted,
            "provenance": dict(self.provenance),
        }

    def verdict(self) -> dict[str, Any] | None:
        """Returns whether the model beats its best baseline; see `baseline.verdict`.

        Where training balanced the labels, they are balanced here as well: accuracy would praise
        the most frequent answer. Where there are folds, all rows that they held out say more than
        the few that this one model did not see.
        """
        if self.folds is not None:
            judged: dict[str, Any] | None = self.folds["verdict"]
            return judged
        balanced = self.hyperparameters.get("class_weight") is not None
        measure = "balanced_accuracy" if balanced else get_task(self.preprocessor.task).metric
        held_out = self.evaluation.get("test") or self.evaluation.get("validation") or {}
        return verdict(
            self.metrics, self.data.get("baselines", ()), measure, held_out.get("always")
        )

    def write(self, directory: PathLike) -> dict[str, Any]:
        """Writes a run into a directory that exists: the temporary one of `files.new_directory`.

        Returns:
            What `run.json` holds.

        Raises:
            OSError: The place cannot be written; `files.new_directory` makes it an `OutputError`.
        """
        directory = Path(directory)
        info = self.info()
        # Not through atomic_file: Keras looks at the name's end, and the directory is temporary.
        self.model.save(directory / MODEL_FILE)
        self.preprocessor.save(directory)
        write_text(directory / HISTORY_FILE, _history_csv(self.history))
        arrays: dict[str, Any] = dict(self.samples)
        with atomic_file(directory / SAMPLES_FILE) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
        count = (directory / MODEL_FILE).stat().st_size
        write_page(directory / PAGE_FILE, run_page(info, self.history, count))
        write_json(directory / RUN_FILE, info)
        return info


def write_run(directory: PathLike, **contents: Any) -> dict[str, Any]:
    """Writes `RunContents` into a directory that exists; see `RunContents.write`."""
    return RunContents(**contents).write(directory)


def _strict(value: Any) -> Any:
    """JSON has no NaN: a metric that is none becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _history_csv(history: Mapping[str, Sequence[float]]) -> str:
    names = list(history)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["epoch", *names])
    for epoch, values in enumerate(zip(*history.values(), strict=True), start=1):
        writer.writerow([epoch, *values])
    return stream.getvalue()
