"""A KerasTuner tuner whose trials an engine runs, several at once."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras_tuner
import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import OutputError, SearchError
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.training.schedules import scheduled, steps_of
from keras_rnn_zoo.tuner.engines import Engine
from keras_rnn_zoo.tuner.hypermodel import ZooHyperModel
from keras_rnn_zoo.tuner.objectives import Objective
from keras_rnn_zoo.tuner.results import front, records
from keras_rnn_zoo.tuner.study.data import Encodings
from keras_rnn_zoo.tuner.study.request import Request
from keras_rnn_zoo.tuner.trials.job import (
    ABORTED,
    CHECKPOINT,
    COMPLETED,
    FAILED,
    INFEASIBLE,
    Ended,
    Job,
    Outcome,
)
from keras_rnn_zoo.tuner.trials.trial import load_weights

if TYPE_CHECKING:
    import keras

    from keras_rnn_zoo.builder import ModelBuilder
    from keras_rnn_zoo.training.prepare import Prepared

# How long to wait for an event before the line of progress is renewed.
REFRESH_SECONDS = 1.0


class ZooTuner(keras_tuner.Tuner):  # type: ignore[misc]
    """Takes trials from a durable oracle, has them run, and reports to it how they ended.

    Args:
        oracle: See `tuners._durable.durable`.
        hypermodel: The search space.
        objective: What the oracle optimizes.
        request: What the search is asked to do.
        data: What the trials see.
        directory: Where the search is; KerasTuner's state goes to `tuner/` in it, and is taken up
            again if there is one.

    Attributes:
        on_end: Called after every trial that ended, with its id.
        on_progress: Called now and then with what each running trial is doing: id -> text.
    """

    def __init__(
        self,
        oracle: Any,
        hypermodel: ZooHyperModel,
        objective: Objective,
        request: Request,
        data: Encodings,
        directory: Path,
    ):
        self.hypermodel: Any
        self.objective = objective
        self.request = request
        self.data = data
        self.on_end: Callable[[str], None] = lambda _: None
        self.on_progress: Callable[[Mapping[str, str]], None] = lambda _: None
        # KerasTuner says on stdout that it reloads; stdout belongs to the result.
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(
                oracle, hypermodel, directory=str(directory.absolute()), project_name="tuner"
            )
        self.save()

    def _populate_initial_space(self) -> None:
        # KerasTuner would build a model of every kind only to see its hyperparameters.
        self.oracle.update_space(self.hypermodel.space())

    def save(self) -> None:
        """Writes the state, whole or not at all."""
        self.oracle.save()
        # Its presence is what makes KerasTuner reload, so it comes last.
        files.write_json(self._get_tuner_fname(), self.get_state())

    def get_trial_dir(self, trial_id: str) -> str:
        """Returns the directory of a trial, which exists."""
        return str(self.oracle._get_trial_dir(trial_id))

    def trial_directory(self, trial_id: str) -> Path:
        """Returns the directory of a trial, which exists."""
        return Path(self.get_trial_dir(trial_id))

    def checkpoint(self, trial_id: str) -> Path:
        """Returns where the weights of a trial's best epoch are."""
        return self.trial_directory(trial_id) / CHECKPOINT

    def search(self, engine: Engine, deadline: float = math.inf) -> bool:
        """Runs trials until the oracle has no more, or the time is over.

        A trial that fails is recorded with the reason; one that is over budget, with its figures.

        Args:
            engine: What runs them.
            deadline: By `time.monotonic`: none is started after that but the first of all, and
                those that are running then are finished.

        Returns:
            Whether the time was over before the trials were.

        Raises:
            OutputError: The place cannot be written. The search can be resumed.
        """
        # KerasTuner knows a worker by an id, and gives it one trial at a time.
        free = [str(number) for number in range(engine.workers)]
        worker_of: dict[str, str] = {}
        running: dict[str, str] = {}
        exhausted = late = False
        ended: list[str] = []
        while True:
            while free and not exhausted:
                if (self.oracle.end_order or running) and time.monotonic() >= deadline:
                    late = len(self.oracle.end_order) + len(running) < self.oracle.max_trials
                    exhausted = True
                    break
                trial = self.oracle.create_trial(free[0])
                if trial.status != "RUNNING":
                    # STOPPED: there are no more. IDLE: what comes next depends on those running.
                    exhausted = trial.status == "STOPPED"
                    break
                worker_of[trial.trial_id] = free.pop(0)
                running[trial.trial_id] = "starting"
                self.oracle.records[trial.trial_id] = {"started": time.time()}
                engine.submit(self.job(trial))
            # What is written about those that ended, is written while the next ones run.
            for name in ended:
                self.on_end(name)
            ended.clear()
            if not running:
                return late
            events = engine.wait(REFRESH_SECONDS)
            if not events:
                self.on_progress(running)
            for event in events:
                if isinstance(event, Ended):
                    free.append(worker_of.pop(event.trial_id))
                    running.pop(event.trial_id)
                    self._end(event.trial_id, event.outcome)
                    ended.append(event.trial_id)
                else:
                    running[event.trial_id] = event.text
                self.on_progress(running)

    def builder(self, trial: Any) -> ModelBuilder:
        """Returns the builder of a trial's model."""
        return self.data.fitted(self.hypermodel.builder(trial.hyperparameters))

    def prepared(self, trial_id: str) -> Prepared:
        """Returns the data as a trial sees them."""
        asked = self.hypermodel.builder(self.oracle.trials[trial_id].hyperparameters)
        return self.data.prepared(asked.config)

    def batch_size(self, trial: Any) -> int:
        """Returns the rows per step of a trial."""
        return int(self.hypermodel.batch_size_of(trial.hyperparameters))

    def job(self, trial: Any) -> Job:
        """Returns what a trial has to do, as plain values."""
        values = trial.hyperparameters.values
        asked = self.hypermodel.builder(trial.hyperparameters)
        builder = self.data.fitted(asked)
        options, client = self.request.options, TARGETS.get(self.request.budget.target)
        return Job(
            trial_id=trial.trial_id,
            model=builder.name,
            config=builder.config,
            learning_rate=float(trial.hyperparameters.get("learning_rate")),
            seed=self.seed_of(trial.trial_id),
            epochs=int(values.get("tuner/epochs", self.request.epochs)),
            initial_epoch=int(values.get("tuner/initial_epoch", 0)),
            batch_size=self.batch_size(trial),
            patience=options.patience or None,
            objective=self.objective.monitor,
            data=self.data.key(asked.config),
            parent=values.get("tuner/trial_id"),
            device=self.request.budget.to_dict(),
            attached=client.attached(self.data.preprocessor(asked.config)),
            modules=self.request.modules,
            callbacks=self.request.callbacks,
            class_weight=options.class_weight,
            schedule=options.schedule,
            word_vectors=options.word_vectors,
            schedule_epochs=self.request.epochs,
            folds=self.data.configs_in_folds(asked, builder),
        )

    def _end(self, trial_id: str, outcome: Outcome) -> None:
        if outcome.status == ABORTED:
            raise OutputError(str(outcome.message))
        trial = self.oracle.trials[trial_id]
        record = self.oracle.records[trial_id]
        record |= {
            "seconds": outcome.seconds.get("train"),
            "timings": outcome.seconds,
            "parameters": outcome.parameters,
            "bytes": outcome.bytes,
            "latency_ms": outcome.latency_ms,
            "arena": outcome.arena,
            "message": outcome.message,
        }
        if outcome.status == COMPLETED:
            record |= {
                "history": outcome.history,
                "epochs": len(outcome.history["loss"]),
                "metrics": outcome.metrics,
                "folds": outcome.folds,
            }
        elif outcome.status == INFEASIBLE:
            # The oracle gives it a penalty for that, not a failure: it teaches where not to look.
            record["excess"] = outcome.excess
        with self.oracle.one_step():
            if outcome.status == COMPLETED:
                figures = {name: record[name] for name in _FIGURES}
                score = self.objective.score({**outcome.metrics, **figures})
                metrics = {**outcome.metrics, self.oracle.objective.name: score}
                self.oracle.update_trial(trial_id, metrics, outcome.best_epoch)
            failed = outcome.status == FAILED
            trial.status = "FAILED" if failed else "COMPLETED"
            trial.message = outcome.message if failed else None
            self.oracle.end_trial(trial)
        self._prune()

    def seed_of(self, trial_id: str) -> int:
        """Returns the seed of a trial: the same whenever, and after whatever, it runs."""
        number = self.oracle.start_order.index(trial_id)
        return int(np.random.SeedSequence([self.request.options.seed, number]).generate_state(1)[0])

    def load_model(self, trial: Any) -> keras.Model:
        """Returns the model of a trial with the weights of its best epoch, as training had them.

        With folds it is that of the first.

        A regression answers in scaled targets: see `feed.Feed.finished`.

        Raises:
            SearchError: Its weights are missing or damaged.
        """
        import keras

        path = self.checkpoint(trial.trial_id)
        keras.backend.clear_session()
        builder, options = self.builder(trial), self.request.options
        model = builder.build()
        rows = len(next(iter(self.data.first.values())).x_train)
        steps = steps_of(rows, self.batch_size(trial), self.request.epochs)
        rate = float(trial.hyperparameters.get("learning_rate"))
        get_task(builder.config["task"]).compile(model, scheduled(options.schedule, rate, steps))
        try:
            load_weights(model, path)
        except Exception as error:  # whatever h5py and Keras raise
            raise SearchError(
                f"Cannot restore trial {trial.trial_id}: {path} is missing or damaged "
                f"({error.__class__.__name__}). Search again in a new directory."
            ) from error
        return model

    def _prune(self) -> None:
        """Removes the checkpoints that nothing will be restored from."""
        trials = records.ended(self.oracle)
        direction = self.oracle.objective.direction
        best = records.ranked(trials, direction)[: self.request.options.keep]
        kept = {trial.trial_id for trial in best} | self.request.algorithm.needed(self.oracle)
        kept |= set(front.front(trials, direction))
        # The one that is being written has another beginning to its name.
        for path in Path(self.project_dir).glob(f"trial_*/*{CHECKPOINT}"):
            name = path.parent.name.removeprefix("trial_")
            if name not in kept and self.oracle.trials[name].status != "RUNNING":
                path.unlink(missing_ok=True)


_FIGURES = ("bytes", "latency_ms", "arena", "parameters", "seconds")
