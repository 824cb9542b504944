"""Search algorithms: a file per tuner, each registering an `Algorithm` in `TUNERS`.

A new file in this package, or an entry point in the group `keras_rnn_zoo.tuners`, is a new tuner.
Importing one must not import KerasTuner, which imports TensorFlow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.registry import Registry

if TYPE_CHECKING:
    import keras_tuner

__all__ = ["TUNERS", "Algorithm", "Plan"]


@dataclass(frozen=True)
class Plan:
    """What an algorithm is asked to do.

    Attributes:
        objective: What is compared, and which way: a `keras_tuner.Objective`.
        max_trials: The most trials.
        epochs: The most epochs of a trial.
        seed: Of every random choice; at least 1, as KerasTuner takes 0 for none.
    """

    objective: Any
    max_trials: int
    epochs: int
    seed: int

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments that all of KerasTuner's oracles take."""
        return {
            "objective": self.objective,
            "seed": self.seed,
            # A trial that fails is recorded; only all of them failing is an error.
            "max_consecutive_failed_trials": self.max_trials + 1,
        }


class Algorithm(ABC):
    """One way to choose trials. Subclass, then register an instance.

    Attributes:
        name: The registry name.
        description: One line.
    """

    name: str
    description: str

    @abstractmethod
    def oracle(self, plan: Plan) -> keras_tuner.Oracle:
        """Returns a KerasTuner oracle made durable; see `durable.durable`.

        What it proposes must follow from its saved state alone, so that a search that is stopped
        and resumed goes on as if it had not been.
        """

    def needed(self, oracle: keras_tuner.Oracle) -> set[str]:
        """Returns the ids of trials whose checkpoints later trials may start from."""
        return set()

    def total(self, oracle: keras_tuner.Oracle) -> int:
        """Returns how many trials there will be at most, once the oracle knows the space."""
        return int(oracle.max_trials)


TUNERS: Registry[Algorithm] = Registry(
    "tuner", "keras_rnn_zoo.tuner.tuners", "keras_rnn_zoo.tuners"
)
