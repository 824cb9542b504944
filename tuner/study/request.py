"""What a search is asked to do, all but the data: models, options, budget, what trials import."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_rnn_zoo.builder import MODELS, list_models
from keras_rnn_zoo.errors import ConfigError, listed
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.tuner.engines import ENGINES, Engine
from keras_rnn_zoo.tuner.options import SearchOptions
from keras_rnn_zoo.tuner.space import check_models, check_spaces, check_values
from keras_rnn_zoo.tuner.trials.budget import DeviceBudget
from keras_rnn_zoo.tuner.tuners import TUNERS, Algorithm

Callbacks = str | Callable[[], Sequence[Any]] | None


@dataclass(frozen=True)
class Request:
    """What a search is asked to do.

    Attributes:
        models: Names of the models.
        options: How the search is done.
        budget: What is measured, and the limits.
        modules: Modules whose import registers the models, where the zoo does not.
        callbacks: `"module:function"` that returns further Keras callbacks, or None.
        command: The command line that asked, for the record.
    """

    models: tuple[str, ...]
    options: SearchOptions
    budget: DeviceBudget
    modules: tuple[str, ...] = ()
    callbacks: str | None = None
    command: str | None = None

    @classmethod
    def of(
        cls,
        models: Sequence[str] | str | None,
        options: SearchOptions,
        budget: DeviceBudget | None,
        callbacks: Callbacks,
        command: str | None,
    ) -> Request:
        """Returns a request that is checked as far as it can be without TensorFlow and the data.

        Args:
            models: None takes all but the cell loops.
            options: See `SearchOptions`.
            budget: None is one without limits.
            callbacks: A function of a module, or its name.
            command: See `Request`.

        Raises:
            UnknownNameError: No such model.
            ConfigError: A model, a search space, a config value or the callbacks cannot be used.
        """
        if models is None:
            models = [name for name in list_models() if not name.endswith("_cell")]
        names = check_models(models)
        _check_folds(options)
        check_spaces(names, options.spaces)
        options = options.replace(config=check_values(names, options.config))
        budget = budget or DeviceBudget()
        _check_masks(names, options.config, budget.target)
        return cls(
            models=names,
            options=options,
            budget=budget,
            modules=_modules(names),
            callbacks=_importable(callbacks),
            command=command,
        )

    @property
    def algorithm(self) -> Algorithm:
        """What chooses the trials."""
        return TUNERS.get(self.options.tuner)

    @property
    def engine(self) -> type[Engine]:
        """What runs the trials."""
        return ENGINES.get(self.options.engine)

    @property
    def epochs(self) -> int:
        """The most epochs of a trial, once the data have said it: see `course.with_course`."""
        assert self.options.epochs is not None
        return self.options.epochs

    def settings(self) -> dict[str, Any]:
        """Returns what tells this search from others, as `search.json` has it."""
        return {
            "schema": self.options.SCHEMA,
            "models": list(self.models),
            **self.options.identity(),
            "device": self.budget.to_dict(),
        }


def _check_folds(options: SearchOptions) -> None:
    """Refuses folds of a tuner whose trials go on from the weights of others.

    Raises:
        ConfigError: The message says which tuners take folds.
    """
    if options.folds is None or not TUNERS.get(options.tuner).continues:
        return
    able = [name for name in TUNERS.names() if not TUNERS.get(name).continues]
    raise ConfigError(
        f"The tuner {options.tuner!r} trains models on from the weights that they have, and with "
        f"folds each has several. Choose the tuner {listed(able)}, or leave folds out."
    )


def _check_masks(models: Sequence[str], config: Mapping[str, Any], target: str) -> None:
    """Refuses models that skip padding, for a target that cannot, before any is trained.

    Raises:
        ConfigError: The message says which, and what to set.
    """
    if TARGETS.get(target).masks:
        return
    for name in models:
        masks = {
            field.name: field.default for field in MODELS.get(name).fields if field.name == "mask"
        }
        if {**masks, **config}.get("mask"):
            raise ConfigError(
                f"The model '{name}' skips padded time steps, and the target '{target}' cannot "
                "tell which they are. Search with mask=False (on the command line --set "
                "mask=false)."
            )


def _modules(models: Sequence[str]) -> tuple[str, ...]:
    """Returns the modules that another process must import to know the models.

    Raises:
        ConfigError: A model is defined where no other process finds it.
    """
    found = dict.fromkeys(str(MODELS.get(name).__module__) for name in models)
    if "__main__" in found:
        raise ConfigError(
            "Trials run in processes of their own, and a model that is defined in a script or a "
            "notebook is not known there. Put it into a module of its own, and import that."
        )
    return tuple(name for name in found if not name.startswith("keras_rnn_zoo."))


def _importable(callbacks: Callbacks) -> str | None:
    """Returns the function that makes callbacks as `"module:function"`.

    Raises:
        ConfigError: It cannot be found by such a name.
    """
    if callbacks is None:
        return None
    name: Any = callbacks
    if not isinstance(callbacks, str):
        module = getattr(callbacks, "__module__", None)
        name = f"{module}:{getattr(callbacks, '__qualname__', callbacks)}"
    try:
        found: Any = None if name.startswith("__main__:") else pkgutil.resolve_name(name)
        same = isinstance(callbacks, str) or found is callbacks
        if ":" in name and callable(found) and same:  # a module alone resolves, too
            return str(name)
    except (ImportError, AttributeError, ValueError):
        pass
    raise ConfigError(
        "callbacks is a function that returns Keras callbacks, of a module that can be imported "
        "(trials run in processes of their own), or its name as 'module:function'. Received: "
        f"{callbacks!r}"
    )
