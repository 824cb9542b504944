"""Hyperband: many short trials, the best of them trained on."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.tuner.tuners import TUNERS, Algorithm, Plan

if TYPE_CHECKING:
    import keras_tuner


@functools.lru_cache
def _oracle_class() -> Any:
    import keras_tuner

    from keras_rnn_zoo.tuner.durable import durable

    class CappedHyperbandOracle(keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
        """KerasTuner's, which runs brackets until a number of trials is reached.

        Brackets that the remaining trials do not suffice for are left out: half a bracket trains
        many models for a moment and none to the end.
        """

        def __init__(self, max_trials: int, **kwargs: Any):
            # The cap ends the search, and no bracket is smaller than a trial.
            super().__init__(hyperband_iterations=max_trials, **kwargs)
            self.max_trials = max_trials
            self._brackets: list[dict[str, Any]] = []
            self._current_bracket = self._largest_bracket()
            self._start_new_bracket()

        def _largest_bracket(self) -> int:
            remaining = self.max_trials - len(self.trials)
            for bracket in range(self._get_num_brackets() - 1, 0, -1):
                rounds = range(self._get_num_rounds(bracket))
                if sum(self._get_size(bracket, number) for number in rounds) <= remaining:
                    return bracket
            return 0

        def _increment_bracket_num(self) -> None:
            super()._increment_bracket_num()
            self._current_bracket = min(self._current_bracket, self._largest_bracket())

    return durable(CappedHyperbandOracle)


class Hyperband(Algorithm):
    """Li et al., "Hyperband" (JMLR 18, 2018).

    Trials start with few epochs; the best are trained on, from their best weights, up to the most
    epochs. Each such continuation is a trial of its own and counts towards the most trials.
    """

    name = "hyperband"
    description = "Trains many models for a few epochs and the best of them on."

    def oracle(self, plan: Plan) -> keras_tuner.Oracle:
        """Returns the oracle; see `Algorithm.oracle`."""
        return _oracle_class()(plan.max_trials, max_epochs=plan.epochs, **plan.arguments())

    def needed(self, oracle: keras_tuner.Oracle) -> set[str]:
        """Returns the trials of the brackets that are not complete."""
        return {
            trial["id"]
            for bracket in oracle._brackets
            for trials in bracket["rounds"]
            for trial in trials
        }


TUNERS.register(Hyperband.name, Hyperband())
