"""Where trials run: a file per engine, each registering an `Engine`.

A new file in this package, or an entry point of another one in the group `keras_rnn_zoo.engines`,
is a new engine.
Importing one must import neither TensorFlow nor what its extra brings.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from keras_rnn_zoo.registry import Registry
from keras_rnn_zoo.tuner.plugins import check_plugin
from keras_rnn_zoo.tuner.trials.job import Arrays, Ended, Job, Progress, TrialDirectory

__all__ = ["ENGINES", "Engine", "register_engine"]


class Engine(ABC):
    """Runs jobs in processes of their own, several at once, and says how they end.

    Subclass it, and decorate the class with `register_engine`.

    The search submits as many jobs as there are workers, waits, and submits again; it stays in
    one thread of one process. What an engine must see to: a job that crashes, hangs beyond the
    timeout or is lost with its machine ends as a failure with the reason, or is run again where
    that can help; and nothing it started outlives the search, however that ends.

    Args:
        workers: Jobs that may run at once.
        data: Key -> the arrays that jobs name; see `job.Arrays`.
        trial_directory: Returns where a trial's checkpoint belongs.
        timeout: Seconds that a job may take; None sets no limit.

    Attributes:
        name: The name to choose it by.
        description: One line, for the command line's help.
    """

    name: ClassVar[str]
    description: ClassVar[str]

    def __init__(
        self,
        workers: int,
        data: Mapping[str, Arrays],
        trial_directory: TrialDirectory,
        timeout: float | None = None,
    ):
        self.workers = workers
        self.data = data
        self.trial_directory = trial_directory
        self.timeout = timeout

    @classmethod  # noqa: B027 (most have nothing to refuse)
    def check(cls, **options: Any) -> None:
        """Refuses what cannot work, before a search reads its data or writes anything.

        Args:
            **options: Those of this engine, as its constructor takes them.
        """

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Starts a job; fewer than `workers` are running."""

    @abstractmethod
    def wait(self, seconds: float) -> Sequence[Ended | Progress]:
        """Returns what happened, as soon as something did, or nothing after `seconds`."""

    @abstractmethod
    def close(self) -> None:
        """Ends everything, running jobs too. May be called twice."""

    @property
    def place(self) -> TrialDirectory:
        """The old name of `trial_directory`."""
        warnings.warn("place is called trial_directory now.", FutureWarning, stacklevel=2)
        return self.trial_directory

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


ENGINES: Registry[type[Engine]] = Registry(
    "engine", "keras_rnn_zoo.tuner.engines", "keras_rnn_zoo.engines"
)
Registered = TypeVar("Registered", bound=type[Engine])


def register_engine(engine: Registered) -> Registered:
    """Adds a way to run trials; a class decorator.

    Args:
        engine: A subclass of `Engine` whose constructor takes what that of `Engine` takes; further
            arguments, which need a default, are the engine's options.

    Raises:
        ConfigError: The message says what it lacks.
        DuplicateNameError: Another engine has the name.
    """
    check_plugin("engine", engine, Engine)
    ENGINES.register(engine.name, engine)
    return engine
