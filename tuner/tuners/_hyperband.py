"""The oracle of `hyperband`; importing it imports TensorFlow."""

from __future__ import annotations

import math
from typing import Any

import keras_tuner
import numpy as np

from keras_rnn_zoo.tuner.tuners._durable import durable
from keras_rnn_zoo.tuner.tuners._feasibility import Limits
from keras_rnn_zoo.tuner.tuners._surrogate import quietly

# Trials of the smallest bracket that halves: two, and the better of them once more.
_LEAST = 3


class CappedHyperbandOracle(keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """KerasTuner's, which runs brackets until a number of trials is reached.

    Brackets that the remaining trials do not suffice for are left out: half a bracket trains
    many models for a moment and none to the end. Where they suffice for none that halves, the
    smallest of these is made smaller, since a bracket that does not halve is a random search. With
    more trials than it began with, a search goes on with the brackets that follow. A trial that
    failed or is over budget is thrown out of its round, and the others of the round are promoted
    without it. Once one was over budget, the new ones of a bracket are such as probably keep the
    limits.
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

    def outline(self) -> str | None:
        """Returns what the bracket is that is open first, in a sentence; None if none is."""
        bracket = next((one for one in self._brackets if self._to_come(one)), None)
        if bracket is None:
            return None
        number, sizes = bracket["bracket_num"], self._sizes(bracket)
        if number == 0:
            return (
                f"Hyperband trains {sizes[0]} trials to the end: to promote the best takes "
                f"{self.factor} epochs and {_LEAST} trials at least."
            )
        steps = [
            f"{size} up to epoch {self._get_epochs(number, place)}"
            for place, size in enumerate(sizes)
        ]
        return f"Hyperband trains {steps[0]}; of these the best {', the best '.join(steps[1:])}."

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
                best = min(ready, key=self._place)
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

    def _place(self, trial: Any) -> tuple[float, float]:
        """Returns what trials are promoted by, the least first; of equals, the smaller file."""
        size = self.records.get(trial.trial_id, {}).get("bytes")
        sign = -1.0 if self.objective.direction == "max" else 1.0
        return sign * trial.score, math.inf if size is None else size

    def _is_out(self, trial_id: str) -> bool:
        return self.trials[trial_id].status == "FAILED" or bool(self.excess(trial_id))

    def _sizes(self, bracket: dict[str, Any]) -> list[int]:
        """Returns how many trials each round of a bracket is to have, as far as is known."""
        sizes: list[int] = []
        left = 0
        for number, entries in enumerate(bracket["rounds"]):
            # Searches of older versions knew brackets of full size alone.
            full = bracket.get("sizes") or self._full_sizes(bracket["bracket_num"])
            size = min(full[number], left) if number else bracket["first"]
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
        sizes = self._fitting_sizes(self._current_bracket, remaining)
        self._brackets[-1] |= {"sizes": sizes, "first": sizes[0]}

    def _full_sizes(self, bracket: int) -> list[int]:
        rounds = range(self._get_num_rounds(bracket))
        return [self._get_size(bracket, number) for number in rounds]

    def _fitting_sizes(self, bracket: int, remaining: int) -> list[int]:
        """Returns how many trials the rounds of a bracket have, of so many that are left."""
        full = self._full_sizes(bracket)
        if bracket == 0:
            return [min(full[0], remaining)]
        if sum(full) <= remaining:
            return full
        # As near as can be to one in `factor` of those that begin.
        best = max(1, round(remaining / (self.factor + 1)))
        return [min(remaining - best, full[0]), best]

    def _largest_bracket(self) -> int:
        """Returns the largest bracket that the remaining trials suffice for.

        Where they suffice for none that halves, it is the smallest that does, made smaller; where
        not even two can be compared and the better one trained on, it is the one that does not.
        """
        remaining, brackets = self._remaining(), self._get_num_brackets()
        for bracket in range(brackets - 1, 0, -1):
            if sum(self._full_sizes(bracket)) <= remaining:
                return bracket
        return 1 if brackets > 1 and remaining >= _LEAST else 0

    def _increment_bracket_num(self) -> None:
        super()._increment_bracket_num()
        self._current_bracket = min(self._current_bracket, self._largest_bracket())


Oracle = durable(CappedHyperbandOracle)
