"""Hyperband: many short trials, the best of them trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_rnn_zoo.tuner.tuners import Algorithm, Plan, register_tuner

if TYPE_CHECKING:
    import keras_tuner


@register_tuner
class Hyperband(Algorithm):
    """Li et al., "Hyperband" (JMLR 18, 2018).

    Trials start with few epochs; the best are trained on, from their best weights, up to the most
    epochs. Each such continuation is a trial of its own and counts towards the most trials. A
    search that goes on with more trials opens the brackets that follow, the largest after the
    smallest.
    """

    name = "hyperband"
    continues = True
    description = "Trains many models for a few epochs and the best of them on."

    def oracle(self, plan: Plan) -> keras_tuner.Oracle:
        """Returns the oracle; see `Algorithm.oracle`."""
        from keras_rnn_zoo.tuner.tuners._hyperband import Oracle

        return Oracle(plan.max_trials, max_epochs=plan.epochs, **plan.arguments())

    def outline(self, oracle: keras_tuner.Oracle) -> str | None:
        """Returns the rounds of the bracket that is open; see `Algorithm.outline`."""
        outline: str | None = oracle.outline()
        return outline

    def needed(self, oracle: keras_tuner.Oracle) -> set[str]:
        """Returns the trials of the brackets that go on, and those that running ones go on from."""
        listed = {
            trial["id"]
            for bracket in oracle._brackets
            for trials in bracket["rounds"]
            for trial in trials
        }
        running = (trial for trial in oracle.trials.values() if trial.status == "RUNNING")
        parents = {trial.hyperparameters.values.get("tuner/trial_id") for trial in running}
        return listed | (parents - {None})
