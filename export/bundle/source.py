"""What is exported: a run, a search, or a bare Keras model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from keras_rnn_zoo.export.bundle.two_labels import NOTE, two_labels
from keras_rnn_zoo.export.keras_model.heads import output_activation
from keras_rnn_zoo.export.targets import About

if TYPE_CHECKING:
    from keras_rnn_zoo.export.targets import Target
    from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
    from keras_rnn_zoo.training.run import Run


@dataclass(frozen=True)
class Source:
    """What is exported: a trained model and what is known about it.

    Attributes:
        kind: `"run"`, `"search"` or `"keras"`.
        path: Where it lies.
        run: What lies there; None of a bare `.keras` file.
        preprocessor: Of the inputs and outputs of the files; a bare `.keras` file has none.
        both: The files answer both probabilities, where the model answers one.
    """

    kind: str
    path: Path
    run: Run | None
    preprocessor: Preprocessor | None = None
    both: bool = False

    @classmethod
    def of_run(cls, kind: str, path: Path, run: Run) -> Source:
        """Returns a run as the source, with its preprocessor."""
        return cls(kind, path, run, run.preprocessor)

    def for_client(self, client: Target) -> Source:
        """Returns the same, with files that answer as a client wants it.

        Raises:
            ConfigError: The client does not encode inputs as the model was trained on them.
        """
        client.check_preprocessor(self.preprocessor)
        if not client.encodes or self.preprocessor is None or self.preprocessor.task != "binary":
            return self
        return replace(self, preprocessor=two_labels(self.preprocessor), both=True)

    def in_whole_calls(self, steps: int) -> Source:
        """Returns the same, with inputs whose number of time steps is a multiple of a call's.

        Args:
            steps: Time steps that a call takes; no more than inputs have.
        """
        known = self.preprocessor
        if known is None or not known.timesteps % steps:
            return self
        return replace(
            self, preprocessor=replace(known, timesteps=known.timesteps - known.timesteps % steps)
        )

    def load_model(self) -> Any:
        """Returns the trained model."""
        from keras_rnn_zoo.training import run

        return self.run.load_model() if self.run is not None else run.load_model(self.path)

    @property
    def info(self) -> Mapping[str, Any]:
        """What is known of the run; nothing of a bare `.keras` file."""
        return self.run.info if self.run is not None else {}

    @property
    def data(self) -> dict[str, Any]:
        """What the run was trained on, without where that lay: the files are given away."""
        data = dict(self.info.get("data") or {})
        for key, value in data.items():
            if isinstance(value, str) and Path(value).is_absolute():
                data[key] = Path(value).name
        return data

    @property
    def notes(self) -> list[str]:
        """What the files answer otherwise than the model, one sentence each."""
        labels = self.preprocessor.labels if self.preprocessor is not None else None
        return [NOTE.format(*labels)] if self.both and labels else []

    def about(self, license: str | None, command: str | None) -> About:
        """Returns what there is to say of the model in a file that leaves alone.

        Args:
            license: Of the model.
            command: The command line that exports it.
        """
        from keras_rnn_zoo.provenance import provenance

        info = self.info
        labels = (self.preprocessor.labels if self.preprocessor is not None else None) or ()
        kept = {name: info.get(name) for name in ("model", "config", "hyperparameters")}
        return About(
            name=str(info.get("model", self.path.stem)),
            description=f"Which of these a text is: {', '.join(labels)}.",
            license=license,
            provenance={
                **kept,
                "data": self.data,
                "training": info.get("provenance"),
                "export": provenance(command=command),
            },
        )


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
        return Source.of_run("search", path, Run.load(_trial(path, trial)))
    kind = kind_of(path)
    if kind == BUNDLE:
        raise RunError(f"{path} is a bundle already. Give the run that it was exported from.")
    require(path, RUN, SEARCH, KERAS)
    if kind == KERAS:
        return Source("keras", path, None)
    return Source.of_run(kind, path, Run.load(winner_of(path) if kind == SEARCH else path))


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
