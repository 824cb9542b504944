"""Search algorithms: a file per tuner, each registering an `Algorithm`.

A new file in this package, or an entry point of another one in the group `keras_rnn_zoo.tuners`, is
a new tuner. Importing one must not import KerasTuner, which imports TensorFlow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from keras_rnn_zoo.registry import Registry
from keras_rnn_zoo.tuner.plugins import check_plugin

if TYPE_CHECKING:
    import keras_tuner

__all__ = ["TUNERS", "Algorithm", "Plan", "register_tuner"]


@dataclass(frozen=True)
class Plan:
    """What an algorithm is asked to do.

    Attributes:
        objective: What is compared, and which way: a `keras_tuner.Objective`.
        max_trials: The most trials.
        epochs: The most epochs of a trial.
        seed: Of every random choice; at least 1, as KerasTuner takes 0 for none.
        likely: About how many trials there will be, where a time ends the search and
            `max_trials` is no more than a bound; None where it is what ends it.
    """

    objective: Any
    max_trials: int
    epochs: int
    seed: int
    likely: int | None = None

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments that all of KerasTuner's oracles take."""
        return {
            "objective": self.objective,
            "seed": self.seed,
            # A trial that fails is recorded; only all of them failing is an error.
            "max_consecutive_failed_trials": self.max_trials + 1,
        }


class Algorithm(ABC):
    """One way to choose trials: subclass it, and decorate the class with `register_tuner`.

    ```python
    @register_tuner
    class Defaults(Algorithm):
        name = "defaults"
        description = "Tries the default of every hyperparameter, once."

        def oracle(self, plan):
            from my_package.oracles import DefaultsOracle  # may import KerasTuner

            return durable(DefaultsOracle)(max_trials=plan.max_trials, **plan.arguments())
    ```

    Attributes:
        name: The name to choose it by.
        description: One line, for the command line's help.
        continues: Whether its trials go on from the weights of others; folds have several.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    continues: ClassVar[bool] = False

    @abstractmethod
    def oracle(self, plan: Plan) -> keras_tuner.Oracle:
        """Returns a KerasTuner oracle made durable by `keras_rnn_zoo.tuner.durable`.

        What it proposes must follow from its saved state alone, so that a search that is stopped
        and resumed goes on as if it had not been.
        """

    def needed(self, oracle: keras_tuner.Oracle) -> set[str]:
        """Returns the ids of trials whose checkpoints later trials may start from."""
        return set()

    def outline(self, oracle: keras_tuner.Oracle) -> str | None:
        """Returns a sentence on the trials to come, for whoever waits, or None."""
        return None

    def total(self, oracle: keras_tuner.Oracle) -> int:
        """Returns how many trials there will be at most, once the oracle knows the space."""
        return int(oracle.max_trials)


TUNERS: Registry[Algorithm] = Registry(
    "tuner", "keras_rnn_zoo.tuner.tuners", "keras_rnn_zoo.tuners"
)
Registered = TypeVar("Registered", bound=type[Algorithm])


def register_tuner(algorithm: Registered) -> Registered:
    """Adds a way to choose trials; a class decorator.

    Args:
        algorithm: A subclass of `Algorithm` that can be made without arguments.

    Raises:
        ConfigError: The message says what it lacks.
        DuplicateNameError: Another tuner has the name.
    """
    check_plugin("tuner", algorithm, Algorithm)
    TUNERS.register(algorithm.name, algorithm())
    return algorithm
