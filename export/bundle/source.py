"""What is exported: a run, a search, or a bare Keras model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.artifacts import (
    BUNDLE,
    KERAS,
    RUN,
    SEARCH,
    WINNER,
    kind_of,
    require,
    winner_of,
)
from keras_rnn_zoo.errors import RunError, listed, nearest
from keras_rnn_zoo.export.keras_model.heads import output_activation

if TYPE_CHECKING:
    from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
    from keras_rnn_zoo.training.run import Run


@dataclass(frozen=True)
class Source:
    """What is exported: a trained model and what is known about it."""

    kind: str
    path: Path
    run: Run | None

    @property
    def preprocessor(self) -> Preprocessor | None:
        """Of the model's inputs and outputs; a bare `.keras` file has none."""
        return self.run.preprocessor if self.run is not None else None

    def load_model(self) -> Any:
        """Returns the trained model."""
        from keras_rnn_zoo.training import run

        return self.run.load_model() if self.run is not None else run.load_model(self.path)


def _trial(path: Path, trial: str) -> Path:
    """Returns the run of a trial that a search kept."""
    from keras_rnn_zoo.training.run import Run

    if kind_of(path) != SEARCH or kind_of(path / WINNER) != RUN:
        raise RunError(f"{path} is no finished search, so it has no trial to name.")
    best = Run.load(winner_of(path))
    kept = {str(best.info["hyperparameters"].get("trial_id")): winner_of(path)}
    for place in sorted((path / "front").glob("*")):
        if kind_of(place) == RUN:
            kept.setdefault(place.name, place)
    if trial not in kept:
        raise RunError(
            f"{path} keeps no trial {trial!r}.{nearest(trial, kept)} Kept, the winner first: "
            f"{listed(kept)}."
        )
    return kept[trial]


def open_source(path: Path, trial: str | None = None) -> Source:
    """Finds out what `path` is, without loading the model.

    Args:
        path: A run, a search, or a `.keras` or legacy `.h5` file.
        trial: Of a search, the trial to export; None is the winner.

    Raises:
        RunError: It is no run, search or `.keras` file, or the search kept no such trial.
    """
    from keras_rnn_zoo.training.run import Run

    if trial is not None:
        return Source("search", path, Run.load(_trial(path, trial)))
    kind = kind_of(path)
    if kind == BUNDLE:
        raise RunError(f"{path} is a bundle already. Give the run that it was exported from.")
    require(path, RUN, SEARCH, KERAS)
    if kind == KERAS:
        return Source("keras", path, None)
    return Source(kind, path, Run.load(winner_of(path) if kind == SEARCH else path))


def infer_task(source: Source, model: Any) -> str | None:
    """Returns the task of a model, or of a bare one what its only output looks like."""
    if source.preprocessor is not None:
        return source.preprocessor.task
    outputs = model.symbolic_outputs
    if len(outputs) != 1:
        return None
    activation, shape = output_activation(outputs[0]), outputs[0].shape
    if activation == "sigmoid" and shape[-1] == 1:
        return "binary"
    if activation == "softmax":
        return "multiclass" if len(shape) == 2 else "sequence_labelling"
    return "regression" if activation is None and len(shape) == 2 else None
