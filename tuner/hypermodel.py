"""The search space over several models, as a KerasTuner `HyperModel`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras_tuner
import numpy as np

from keras_rnn_zoo.builder import ModelBuilder, get_builder
from keras_rnn_zoo.errors import ConfigError, ZooError, listed, nearest
from keras_rnn_zoo.tasks import get_task
from keras_rnn_zoo.tuner.space import (
    BatchSize,
    LearningRate,
    Space,
    check_batch_size,
    check_learning_rate,
    check_models,
    check_spaces,
    check_values,
    several,
)

if TYPE_CHECKING:
    import keras


class _ModelHyperParameters:
    """What one model's search space sees: plain names, the settled ones answered at once.

    Args:
        hp: The hyperparameters of all models.
        prefix: Comes before every name, so that two models' units are not the same.
        fixed: Config values that are settled: asking for one declares nothing.
        chosen: Config keys whose values are chosen among others than the space offers: asking for
            one is answered with the choice.
    """

    def __init__(
        self,
        hp: keras_tuner.HyperParameters,
        prefix: str,
        fixed: Mapping[str, Any],
        chosen: Mapping[str, Any],
    ):
        self._hp = hp
        self._prefix = prefix
        self._fixed = fixed
        self._chosen = chosen
        self._inactive = 0

    def _declare(self, kind: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._inactive:
            return None
        if name in self._fixed:
            return self._fixed[name]
        if name in self._chosen:
            return self._chosen[name]
        parent, values = kwargs.pop("parent_name", None), kwargs.pop("parent_values", None)
        if parent is not None:
            with self.conditional_scope(parent, values):
                return self._declare(kind, name, args, kwargs)
        return getattr(self._hp, kind)(self._prefix + name, *args, **kwargs)

    def Choice(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """See `keras_tuner.HyperParameters.Choice`."""
        return self._declare("Choice", name, args, kwargs)

    def Int(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """See `keras_tuner.HyperParameters.Int`."""
        return self._declare("Int", name, args, kwargs)

    def Float(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """See `keras_tuner.HyperParameters.Float`."""
        return self._declare("Float", name, args, kwargs)

    def Boolean(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """See `keras_tuner.HyperParameters.Boolean`."""
        return self._declare("Boolean", name, args, kwargs)

    def Fixed(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """See `keras_tuner.HyperParameters.Fixed`."""
        return self._declare("Fixed", name, args, kwargs)

    def get(self, name: str) -> Any:
        """Returns the value of a hyperparameter of this model."""
        return self._fixed[name] if name in self._fixed else self._hp.get(self._prefix + name)

    __getitem__ = get

    def __contains__(self, name: str) -> bool:
        return name in self._fixed or self._prefix + name in self._hp

    @contextlib.contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Sequence[Any]) -> Iterator[None]:
        """See `keras_tuner.HyperParameters.conditional_scope`."""
        if parent_name not in self._fixed:
            with self._hp.conditional_scope(self._prefix + parent_name, list(parent_values)):
                yield
            return
        # A settled parent: the scope is open for good, or shut for good.
        shut = self._fixed[parent_name] not in parent_values
        self._inactive += shut
        try:
            yield
        finally:
            self._inactive -= shut

    def name_scope(self, name: str) -> Any:
        """See `keras_tuner.HyperParameters.name_scope`."""
        return self._hp.name_scope(name)


class ZooHyperModel(keras_tuner.HyperModel):  # type: ignore[misc]
    """Several models of the zoo as one search space, for any KerasTuner tuner.

    `model` chooses a model; only the hyperparameters of the chosen one are active, under names
    such as `lstm.units`; `learning_rate` is common to all. What `config` sets is not searched.

    ```python
    hypermodel = ZooHyperModel(
        ["lstm", "gru"], config={"features": 8, "timesteps": 8, "task": "multiclass", "outputs": 10}
    )
    tuner = keras_tuner.Hyperband(hypermodel, objective="val_accuracy", max_epochs=9)
    tuner.search(x, y, validation_data=(x_val, y_val))
    ```

    Args:
        models: Names of `keras_rnn_zoo.list_models()`.
        config: Config values to settle: features or vocabulary_size, timesteps, task, outputs, and
            whatever should not be searched. A list holds values to search among instead, such as
            `{"timesteps": [100, 200, 400]}`. A key that is a model's name holds, as a mapping,
            values for that model alone.
        spaces: A function for each model whose own `search_space` should not be used: it takes
            the hyperparameters (with plain names, such as `hp.Int("units", 8, 64)`) and returns a
            dict of config values.
        learning_rate: Of Adam: the least and the greatest to search between, on a logarithmic
            scale, or one number.
        batch_size: Rows per step: several to search among, one for `fit`, or None for its own.
        name: As in `keras_tuner.HyperModel`.
        tunable: As in `keras_tuner.HyperModel`.

    Raises:
        UnknownNameError: No such model.
        ConfigError: An argument is illegal.
    """

    def __init__(
        self,
        models: Sequence[str] | str,
        *,
        config: Mapping[str, Any] | None = None,
        spaces: Mapping[str, Space] | None = None,
        learning_rate: LearningRate = (1e-4, 1e-2),
        batch_size: BatchSize | None = None,
        name: str | None = None,
        tunable: bool = True,
    ):
        self.models = check_models(models)
        check_spaces(self.models, spaces)
        self.learning_rate = check_learning_rate(learning_rate)
        self.batch_size = None if batch_size is None else check_batch_size("batch_size", batch_size)
        config = config or {}
        common = {key: value for key, value in config.items() if not isinstance(value, Mapping)}
        for key in config.keys() - common.keys():
            if key not in self.models:
                raise ConfigError(
                    f"config holds values for {key!r}, which is not searched."
                    f"{nearest(key, self.models)} Searched: {listed(self.models)}."
                )
        self.config: dict[str, dict[str, Any]] = {}
        self.choices: dict[str, dict[str, list[Any]]] = {}
        for model in self.models:
            values = check_values([model], {**common, **config.get(model, {})})
            self.choices[model] = {key: one for key, one in values.items() if several(one)}
            settled = {key: one for key, one in values.items() if key not in self.choices[model]}
            full = get_builder(model, **settled).config
            self.config[model] = {key: full[key] for key in settled}
            for key, choices in self.choices[model].items():
                for one in choices:  # refused now, not when a trial has it
                    get_builder(model, **{**settled, key: one})
        self._spaces = dict(spaces or {})
        super().__init__(name=name, tunable=tunable)

    def builder(self, hp: keras_tuner.HyperParameters) -> ModelBuilder:
        """Declares the whole space on `hp`, and returns the builder of the model that it chooses.

        Raises:
            ConfigError: A search space failed, or chose an illegal config.
        """
        chosen = hp.Choice("model", list(self.models))
        if isinstance(self.learning_rate, tuple):
            least, greatest = self.learning_rate
            middle = math.sqrt(least * greatest)
            hp.Float("learning_rate", least, greatest, sampling="log", default=middle)
        else:
            hp.Fixed("learning_rate", self.learning_rate)
        if isinstance(self.batch_size, tuple):
            hp.Choice("batch_size", list(self.batch_size))
        values: dict[str, Any] = {}
        for model in self.models:
            # KerasTuner explores the scopes that it sees closed, so each must be opened here.
            with hp.conditional_scope("model", [model]):
                if model == chosen:
                    values = self._ask(model, hp)
        return get_builder(chosen, **{**values, **self.config[chosen]})

    def _ask(self, model: str, hp: keras_tuner.HyperParameters) -> dict[str, Any]:
        fixed = self.config[model]
        builder = get_builder(model, **fixed)
        chosen = {}
        for key, choices in self.choices[model].items():
            default = builder.config[key] if builder.config[key] in choices else choices[0]
            chosen[key] = hp.Choice(f"{model}.{key}", choices, default=default)
        space = self._spaces.get(model) or builder.search_space
        try:
            values: Any = space(_ModelHyperParameters(hp, f"{model}.", fixed, chosen))
        except ZooError:
            raise
        except Exception as error:
            raise ConfigError(
                f"The search space of '{model}' failed: {error.__class__.__name__}: {error}"
            ) from error
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"The search space of '{model}' returns a dict of config values. Received: "
                f"{values!r}"
            )
        # None is what KerasTuner gives for an inactive hyperparameter; the model's default holds.
        return {key: one for key, one in {**values, **chosen}.items() if one is not None}

    def space(self) -> keras_tuner.HyperParameters:
        """Returns the hyperparameters of all models, found without building any.

        Raises:
            ConfigError: A search space failed, or chose an illegal config.
        """
        found = keras_tuner.HyperParameters()
        known: list[Any] = []
        waiting: list[Any] = [[]]
        while waiting:
            hp = found.copy()
            for condition in waiting.pop(0):
                hp.values[condition.name] = condition.values[0]
            hp.ensure_active_values()
            self.builder(hp)
            found.merge(hp.space, overwrite=False)
            known += hp.active_scopes
            for scope in hp.inactive_scopes:
                if scope not in known:
                    known.append(scope)
                    waiting.append(scope)
        return found

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Returns a compiled model; see `builder`."""
        builder = self.builder(hp)
        model = builder.build()
        get_task(builder.config["task"]).compile(model, hp.get("learning_rate"))
        return model

    def batch_size_of(self, hp: keras_tuner.HyperParameters) -> int | None:
        """Returns the rows per step of a trial; None where nobody said."""
        return hp.get("batch_size") if isinstance(self.batch_size, tuple) else self.batch_size

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Trains a model with the arguments of `keras.Model.fit`.

        Raises:
            keras_tuner.errors.FailedTrialError: A loss became NaN or infinite. Such a model may
                still have an accuracy, and must not win by it.
        """
        import keras

        callbacks = [*(kwargs.pop("callbacks", None) or ()), keras.callbacks.TerminateOnNaN()]
        if (rows := self.batch_size_of(hp)) is not None:
            kwargs.setdefault("batch_size", rows)
        history = model.fit(*args, callbacks=callbacks, **kwargs)
        for key in ("loss", "val_loss"):
            values = history.history.get(key, [])
            if not np.isfinite(values).all():
                raise keras_tuner.errors.FailedTrialError(
                    f"Training diverged: {key} became NaN or infinite in epoch "
                    f"{len(values)} (learning_rate {hp.get('learning_rate'):g})."
                )
        return history
