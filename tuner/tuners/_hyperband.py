"""The oracle of `hyperband`; importing it imports TensorFlow."""

from __future__ import annotations

from typing import Any

import keras_tuner
import numpy as np

from keras_rnn_zoo.tuner.tuners._durable import durable
from keras_rnn_zoo.tuner.tuners._feasibility import Limits
from keras_rnn_zoo.tuner.tuners._surrogate import quietly


class CappedHyperbandOracle(keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """KerasTuner's, which runs brackets until a number of trials is reached.

    Brackets that the remaining trials do not suffice for are left out: half a bracket trains
    many models for a moment and none to the end. A trial that failed or is over budget is
    thrown out of its round, and the others of the round are promoted without it. Once one was
    over budget, the new ones of a bracket are such as probably keep the limits.
    """

    def __init__(self, max_trials: int, **kwargs: Any):
        # The cap ends the search, and no bracket is smaller than a trial.
        super().__init__(hyperband_iterations=max_trials, **kwargs)
        self.max_trials = max_trials
        self._brackets: list[dict[str, Any]] = []
        self._current_bracket = self._largest_bracket()
        self._open_bracket()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `keras_tuner.Oracle.populate_space`.

        It waits (`"IDLE"`) only for trials that are running.
        """
        values = None
        for bracket in self._brackets:
            values = values or self._next(trial_id, bracket)
        if values is None:
            self._brackets = [bracket for bracket in self._brackets if self._to_come(bracket)]
            if self._remaining() > 0:
                self._increment_bracket_num()
                self._open_bracket()
                values = self._next(trial_id, self._brackets[-1])
        if values is None:
            return {"status": "IDLE" if self.ongoing_trials else "STOPPED"}
        return {"status": "RUNNING", "values": values}

    def _next(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the values of a bracket's next trial; None if it has to wait, or has all."""
        rounds, sizes = bracket["rounds"], self._sizes(bracket)
        if len(rounds[0]) < sizes[0]:
            values = self._new_values()
            if values is not None:
                return self._entered(trial_id, bracket, 0, None, values)
            bracket["first"] = len(rounds[0])  # the space has no more
            sizes = self._sizes(bracket)
        for number in range(1, len(rounds)):
            selected = {entry["past_id"] for entry in rounds[number]}
            past = [self.trials[entry["id"]] for entry in rounds[number - 1]]
            ready = [
                trial
                for trial in past
                if trial.status == "COMPLETED"
                and trial.trial_id not in selected
                and not self._is_out(trial.trial_id)
            ]
            running = sum(trial.status == "RUNNING" for trial in past)
            unknown = running + sizes[number - 1] - len(past)
            # Even if all that are unknown turn out better, the best of these is promoted.
            if ready and len(selected) + unknown < sizes[number]:
                pick = max if self.objective.direction == "max" else min
                best = pick(ready, key=lambda trial: trial.score)
                values = {**best.hyperparameters.values, "tuner/trial_id": best.trial_id}
                return self._entered(trial_id, bracket, number, best.trial_id, values)
        return None

    def _new_values(self) -> dict[str, Any] | None:
        """Returns random values; once a trial was over budget, such as probably are not."""
        values: dict[str, Any] | None = None
        if any(self.excess(name) for name in self.trials):
            generator = np.random.default_rng([self.seed, len(self.trials)])
            with quietly():
                values = Limits(self).draw(generator)
        return values or self._random_values()

    def _entered(
        self,
        trial_id: str,
        bracket: dict[str, Any],
        number: int,
        past_id: str | None,
        values: dict[str, Any],
    ) -> dict[str, Any]:
        bracket["rounds"][number].append({"past_id": past_id, "id": trial_id})
        of = bracket["bracket_num"]
        return {
            **values,
            "tuner/epochs": self._get_epochs(of, number),
            "tuner/initial_epoch": self._get_epochs(of, number - 1) if number else 0,
            "tuner/bracket": of,
            "tuner/round": number,
        }

    def _is_out(self, trial_id: str) -> bool:
        return self.trials[trial_id].status == "FAILED" or bool(self.excess(trial_id))

    def _sizes(self, bracket: dict[str, Any]) -> list[int]:
        """Returns how many trials each round of a bracket is to have, as far as is known."""
        sizes: list[int] = []
        left = 0
        for number, entries in enumerate(bracket["rounds"]):
            full = self._get_size(bracket["bracket_num"], number)
            size = min(full, left) if number else bracket["first"]
            sizes.append(size)
            left = size - sum(self._is_out(entry["id"]) for entry in entries)
        return sizes

    def _to_come(self, bracket: dict[str, Any]) -> int:
        """Returns how many trials of a bracket have not begun."""
        return sum(self._sizes(bracket)) - sum(map(len, bracket["rounds"]))

    def _remaining(self) -> int:
        """Returns how many trials are left for further brackets."""
        to_come = sum(self._to_come(bracket) for bracket in self._brackets)
        return int(self.max_trials - len(self.trials) - to_come)

    def _open_bracket(self) -> None:
        remaining = self._remaining()
        self._start_new_bracket()
        # Promotions of other brackets have their trials for sure.
        full = self._get_size(self._current_bracket, 0)
        self._brackets[-1]["first"] = min(full, remaining)

    def _largest_bracket(self) -> int:
        remaining = self._remaining()
        for bracket in range(self._get_num_brackets() - 1, 0, -1):
            rounds = range(self._get_num_rounds(bracket))
            if sum(self._get_size(bracket, number) for number in rounds) <= remaining:
                return bracket
        return 0

    def _increment_bracket_num(self) -> None:
        super()._increment_bracket_num()
        self._current_bracket = min(self._current_bracket, self._largest_bracket())


Oracle = durable(CappedHyperbandOracle)
