"""The course of a search: trials run, tables and pages follow them, a winner ends it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_rnn_zoo.artifacts import RUN_FILE
from keras_rnn_zoo.errors import MissingExtraError, SearchError
from keras_rnn_zoo.quantities import duration
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.training.run import Run
from keras_rnn_zoo.tuner import objectives
from keras_rnn_zoo.tuner.engines import Engine
from keras_rnn_zoo.tuner.results import records, tensorboard
from keras_rnn_zoo.tuner.results.front import front as front_of
from keras_rnn_zoo.tuner.results.page import REPORT_FILE, write_report
from keras_rnn_zoo.tuner.results.records import FAILED, INFEASIBLE, TrialRecord
from keras_rnn_zoo.tuner.results.search import BEST, FRONT
from keras_rnn_zoo.tuner.study.directory import LOGS, SearchDirectory
from keras_rnn_zoo.tuner.study.extent import UNLIMITED, Extent
from keras_rnn_zoo.tuner.study.loop import ZooTuner
from keras_rnn_zoo.tuner.study.progress import ProgressDisplay
from keras_rnn_zoo.tuner.study.winner import over_budget, save_trial

REPORT_SECONDS = 10.0
"""A report takes a third of a second, and people look less often."""


class Study:
    """A search in its directory.

    Args:
        directory: Locked by this process.
        tuner: Asks for trials and has them run.
        task: Name of the task.
        extent: How far the search goes.
        progress: Write to stderr how far it is.
    """

    def __init__(
        self,
        directory: SearchDirectory,
        tuner: ZooTuner,
        task: str,
        extent: Extent,
        progress: bool,
    ):
        self.directory = directory
        self.tuner = tuner
        self._metric = get_task(task).metric
        self.extent = extent
        objective = directory.info["objective"]
        self._direction: str = objective["direction"]
        self._exhausted = bool(directory.info.get("exhausted"))
        self._reported = -math.inf
        total = tuner.request.algorithm.total(tuner.oracle)
        self._display = ProgressDisplay(
            progress,
            None if total >= UNLIMITED else total,
            objective["name"],
            extent.deadline,
        )
        tuner.on_end = self._trial_ended
        if self._display.live:
            tuner.on_progress = self._progressed

    def trials(self) -> list[TrialRecord]:
        """Returns the trials that ended, in the order in which they started."""
        return records.ended(self.tuner.oracle)

    def go_on(self) -> None:
        """Begins anew a search that ended, or that was to end earlier, if there is more to try."""
        info, ended = self.directory.info, len(self.tuner.oracle.end_order)
        unfinished, here = self.directory.status == "unfinished", self.extent.max_trials
        more = self.extent.goes_beyond(info, ended)
        if more and (not unfinished or info["settings"].get("max_trials") != here):
            self.directory.go_on(here, self.tuner.request.command)
        elif not more and not unfinished:
            options = self.tuner.request.options
            if self.extent.goes_beyond({**info, "exhausted": False}, ended):
                self._display.say(f"The search space is exhausted after {ended} trials.")
            elif options.max_trials is not None or options.max_time is not None:
                self._display.say(
                    f"All {ended} trials are done; more --max-trials, or --max-time alone, go on."
                )

    def run(self, engine: Engine) -> None:
        """Runs trials until there are no more, or the time is over.

        Raises:
            OutputError: The place cannot be written. The search can be resumed.
        """
        display, order = self._display, self.tuner.oracle.end_order
        of = "" if display.total is None else f" of {display.total}"
        objective = self.directory.info["objective"]
        display.say(f"Objective: {objectives.described(**objective)}.")
        if outline := self.tuner.request.algorithm.outline(self.tuner.oracle):
            display.say(outline)
        if order:
            display.say(f"Going on after {len(order)}{of} trials in {self.directory.path}.")
        try:
            with engine:
                late = self.tuner.search(engine, self.extent.deadline)
        except KeyboardInterrupt:
            display.say(f"Stopped after {len(order)}{of} trials.")
            raise
        finally:
            display.close()
        self._exhausted = not late and len(order) < self.extent.most
        if late:
            limit = duration(self.extent.max_time or 0.0)
            display.say(f"The time of {limit} is over after {len(order)}{of} trials.")
        elif self._exhausted:
            display.say(f"The search space is exhausted after {len(order)} trials.")

    def publish(self, *, final: bool = False) -> list[TrialRecord]:
        """Writes the tables, the logs and now and then the page; returns the trials that ended.

        Args:
            final: Write the page in any case, and say what it lacks.
        """
        trials, path = self.trials(), self.directory.path
        records.write_tables(path, trials)
        tensorboard.write_logs(
            path / LOGS,
            self.tuner.oracle.hyperparameters.space,
            self.directory.info["objective"]["name"],
            self._metric,
            trials,
            self.tuner.oracle.records,
        )
        if final or time.monotonic() - self._reported > REPORT_SECONDS:
            try:
                write_report(path / REPORT_FILE, self.directory.info, trials)
            except MissingExtraError as error:
                if final:
                    self._display.say(str(error))
            self._reported = time.monotonic()
        return trials

    def finish(self) -> None:
        """Finds the winner, leaves it and the front as runs, and says so in `search.json`.

        Raises:
            SearchError: No trial is of use, or a checkpoint is damaged.
        """
        trials = self.trials()
        try:
            winner = self._saved_winner(trials) or self._find_winner(trials)
            if winner is None:
                message = _why_no_winner(trials)
                self.directory.update(status="failed", message=message, exhausted=self._exhausted)
                raise SearchError(message)
            chosen = {"trial_id": winner.trial_id, "trials": len(trials)}
            if self.directory.info.get("chosen") != chosen:
                self.directory.update(chosen=chosen)
            best = self.save_winner(winner)
            front = front_of(trials, self._direction)
            for trial in trials:
                if trial.trial_id in front and trial is not winner:
                    place = self.directory.path / FRONT / trial.trial_id
                    save_trial(place, self.tuner, trial)
            self._discard_all_but(set(front) - {winner.trial_id})
            summary = {
                "trial_id": winner.trial_id,
                "model": winner.model,
                "bytes": winner.bytes,
                "latency_ms": winner.latency_ms,
                "arena": winner.arena,
                "verdict": best.info.get("verdict"),
                **best.metrics,
            }
            self.directory.update(
                status="finished", best=summary, front=front, exhausted=self._exhausted
            )
        finally:
            self.publish(final=True)

    def save_winner(self, winner: TrialRecord | None = None) -> Run:
        """Leaves the winner as a run, in the place of an earlier one, unless it is there already.

        Args:
            winner: None takes the one that `search.json` names.
        """
        if winner is None:
            name = self.directory.info["best"]["trial_id"]
            winner = _by_id(self.trials(), name)
        place = self.directory.path / BEST
        if _trial_in(place) not in (None, winner.trial_id):
            self.directory.discard(place)
        return save_trial(place, self.tuner, winner)

    def _saved_winner(self, trials: Sequence[TrialRecord]) -> TrialRecord | None:
        """Returns the trial that an earlier process found to be the winner of the same trials.

        It is not judged again. An older version did not note it, and left it as a run at once.
        """
        if "chosen" not in self.directory.info:
            name = _trial_in(self.directory.path / BEST)
            return None if name is None else _by_id(trials, name)
        chosen = self.directory.info["chosen"]
        if chosen is None or chosen["trials"] != len(trials):
            return None
        return _by_id(trials, chosen["trial_id"])

    def _discard_all_but(self, front: set[str]) -> None:
        """Removes the runs of trials that are on the front no more, or won."""
        for place in (self.directory.path / FRONT).glob("[!.]*"):
            if place.name not in front:
                self.directory.discard(place)

    def _find_winner(self, trials: Sequence[TrialRecord]) -> TrialRecord | None:
        """Returns the best trial that keeps the limits when it is measured once more."""
        for trial in records.ranked(trials, self._direction):
            problem = over_budget(self.tuner, trial)
            if problem is None:
                return trial
            self._display.say(
                f"Trial {trial.trial_id} is not the winner: measured again, {problem}"
            )
        return None

    def _trial_ended(self, trial_id: str) -> None:
        trials = self.publish()
        number = self.tuner.oracle.start_order.index(trial_id) + 1
        best = records.best(trials, self._direction)
        self._display.trial_ended(_by_id(trials, trial_id), number, best)

    def _progressed(self, running: Mapping[str, str]) -> None:
        oracle, trials = self.tuner.oracle, self.trials()
        models = {name: oracle.trials[name].hyperparameters.values["model"] for name in running}
        best = records.best(trials, self._direction)
        self._display.update(trials, best, running, models)


def _trial_in(place: Path) -> str | None:
    """Returns the id of the trial that a place holds as a run, or None."""
    if not (place / RUN_FILE).is_file():
        return None
    return str(Run.load(place).info["hyperparameters"]["trial_id"])


def _by_id(trials: Sequence[TrialRecord], trial_id: str) -> TrialRecord:
    return next(trial for trial in trials if trial.trial_id == trial_id)


def _why_no_winner(trials: Sequence[TrialRecord]) -> str:
    """Returns why there is no winner, and what to do."""
    if not trials:
        return "The search space is empty: no trial could be made. Give other spaces."
    infeasible = [trial for trial in trials if trial.status == INFEASIBLE]
    if all(trial.status == FAILED for trial in trials):
        return (
            f"All {len(trials)} trials failed. The first: {str(trials[0].message).rstrip('.')}. "
            "Change the settings, and search in a new directory."
        )
    text = f"None of the {len(trials)} trials keeps the limits"
    if infeasible:
        closest = min(infeasible, key=lambda trial: max(trial.excess.values()))
        text += f". The closest, trial {closest.trial_id} ({closest.model}), is {closest.message}"
    return f"{text}. Allow more, or search smaller models, in a new directory."
