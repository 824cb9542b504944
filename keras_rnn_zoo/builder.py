"""Builders: a config of plain values in, a Keras model out; and the registry that names them."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from keras_rnn_zoo.errors import ConfigError, listed, nearest
from keras_rnn_zoo.registry import Registry, demand
from keras_rnn_zoo.tasks import TASKS, get_task

if TYPE_CHECKING:
    import keras
    import keras_tuner

SCHEMA_VERSION = 1

POOLINGS = ("last", "max", "mean", "attention")
"""What the head may read of a sequence; see `common_fields` and `layers.SequencePooling`."""

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}


@dataclass(frozen=True)
class Field:
    """One key of a config: its type, what it may be, and what it is for.

    Attributes:
        name: The key.
        kind: `int`, `float`, `bool` or `str`.
        default: Its value where the config says nothing.
        description: One line.
        least: The smallest legal number.
        below: The number that it must stay below, or None.
        optional: None is legal too.
        choices: The legal names of a `str`.
    """

    name: str
    kind: type[int] | type[float] | type[bool] | type[str]
    default: Any
    description: str
    least: float = -math.inf
    below: float | None = None
    optional: bool = False
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> Any:
        """Returns `value` as a plain Python value of the field's type.

        Raises:
            ConfigError: It is of another type, or not legal.
        """
        if value is None and self.optional:
            return None
        plain = value.item() if getattr(value, "ndim", None) == 0 else value  # a NumPy scalar
        kind = type(plain)
        if self.kind is float and kind is int:
            plain, kind = float(plain), float
        if kind is not self.kind:
            raise ConfigError(f"{self.name} is {self.allowed}. Received: {value!r}")
        if self.choices and plain not in self.choices:
            raise ConfigError(
                f"{self.name} is {self.allowed}. Received: {value!r}.{nearest(plain, self.choices)}"
            )
        if kind in (int, float):
            inside = self.least <= plain and (self.below is None or plain < self.below)
            if not (inside and math.isfinite(plain)):
                raise ConfigError(f"{self.name} is {self.allowed}. Received: {value!r}")
        return plain

    @property
    def allowed(self) -> str:
        """What the field may be, in words."""
        if self.choices:
            return "one of " + listed(self.choices)
        words = _KINDS[self.kind]
        if self.least > -math.inf:
            words += f" of at least {self.least:g}"
        if self.below is not None:
            words += f" and below {self.below:g}"
        return words + (", or none" if self.optional else "")


def common_fields(*, without: Sequence[str] = (), **defaults: Any) -> tuple[Field, ...]:
    """Returns the fields that every model of the zoo has, with other defaults where given.

    Args:
        without: Names of fields to leave out, such as `"mask"` where a layer, such as a
            convolution, does not pass a mask on.
        **defaults: Name -> another default.
    """
    fields = (
        Field(
            "features",
            int,
            None,
            "values per time step of a float sequence; none: the input is token ids",
            least=1,
            optional=True,
        ),
        Field("vocabulary_size", int, 10_000, "token ids are below this (token ids only)", least=2),
        Field("timesteps", int, 80, "time steps of the input", least=1),
        Field("embedding_dim", int, 100, "width of the embedding (token ids only)", least=1),
        Field("units", int, 64, "units of each recurrent layer and direction", least=1),
        Field("layers", int, 2, "recurrent layers, one upon the other", least=1, below=17),
        Field(
            "pooling",
            str,
            "last",
            "what the head reads of a sequence: what the recurrence makes of the last time step, "
            "or the maximum, the mean or a learned weighting (attention) of all steps",
            choices=POOLINGS,
        ),
        Field("dropout", float, 0.5, "dropout rate in training", least=0, below=1),
        Field(
            "spatial_dropout",
            float,
            0.0,
            "rate of whole features (of the embedding, or of the input) dropped in training",
            least=0,
            below=1,
        ),
        Field(
            "word_dropout",
            float,
            0.0,
            "rate of token ids replaced by unknown_id in training (token ids only)",
            least=0,
            below=1,
        ),
        Field("unknown_id", int, 1, "id of unknown words; data with a vocabulary say it", least=1),
        Field("mask", bool, True, "padding (0, at either side) is skipped"),
        Field(
            "autoregression",
            str,
            None,
            "features that are forecast, such as 0+2: what is answered are their last values, "
            "changed by a linear path and by the recurrence, which reads changes; data for a "
            "forecast say it; none: what the recurrence answers",
            optional=True,
        ),
        Field("task", str, "binary", "what is answered", choices=tuple(TASKS)),
        Field("outputs", int, 1, "units of the head: labels, or values of a regression", least=1),
    )
    unknown = defaults.keys() - {field.name for field in fields}
    if unknown:
        raise TypeError(f"common_fields() has no field {listed(sorted(unknown))}")
    return tuple(
        replace(field, default=defaults[field.name]) if field.name in defaults else field
        for field in fields
        if field.name not in without
    )


def forecast_columns(config: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Returns the features that a config's `autoregression` goes on from; None without.

    Raises:
        ConfigError: It is not numbers with a plus between.
    """
    text = config.get("autoregression")
    if text is None:
        return None
    parts = text.split("+")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(
            "autoregression is none, or numbers of features with a plus between, such as 0+2, "
            f"which data for a forecast say. Received: {text!r}"
        )
    return tuple(map(int, parts))


class ModelBuilder(ABC):
    """Turns a config into a Keras model, and declares the hyperparameters of a search.

    A subclass names itself, lists its `fields`, and says how a sequence becomes the vector (or,
    for per-timestep tasks, the sequence of vectors) that the head reads:

    ```python
    @register_model
    class MyModel(ModelBuilder):
        name = "my_model"
        description = "what it is, in one line"
        fields = common_fields(units=32)

        def recurrence(self, x):
            from keras import layers

            return layers.GRU(self.config["units"], return_sequences=self.per_timestep)(x)
    ```

    `pooling`, one of the common fields, is done behind `recurrence`, and dropout of words and of
    features before it.

    Importing the module of a builder must not import Keras: do so inside the methods.

    Args:
        **config: Values of `fields`; what is left out has the field's default.

    Attributes:
        config: All values, as plain Python numbers and strings.

    Raises:
        ConfigError: An unknown key, a wrong type or an impossible value.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]] = common_fields()
    schema_version: ClassVar[int] = SCHEMA_VERSION
    twin: ClassVar[str | None] = None
    """The model that computes the same function by other means; see `transfer_weights`."""
    at_each_step: ClassVar[Mapping[str, Any]] = {"pooling": "last"}
    """Defaults that take the place of the fields' where the task answers every time step."""
    any_length: ClassVar[bool] = False
    """The layers take any number of time steps, and those at the end that are masked, or are not
    there, are all the same to them: in what they answer and in what they learn."""

    def __init__(self, **config: Any):
        fields = {field.name: field for field in self.fields}
        for key in config:
            if key not in fields:
                raise ConfigError(
                    f"The model '{self.name}' has no setting {key!r}.{nearest(key, fields)} "
                    f"Known: {listed(fields)}."
                )
        self.config: dict[str, Any] = {
            name: field.check(config.get(name, field.default)) for name, field in fields.items()
        }
        if self._answers_steps:
            others = self.at_each_step.items()
            self.config |= {k: v for k, v in others if k in fields and k not in config}
        if "task" in self.config and "outputs" in self.config:
            get_task(self.config["task"]).check_outputs(self.config["outputs"])
        self._check_together()

    @property
    def _answers_steps(self) -> bool:
        """Whether the task asks for an answer at every time step."""
        return "task" in self.config and get_task(self.config["task"]).per_timestep

    def _check_together(self) -> None:
        """Refuses values that are legal by themselves, and not beside the others.

        Raises:
            ConfigError: The message names them.
        """
        config = self.config
        pooling, rate = config.get("pooling", "last"), config.get("word_dropout", 0)
        if pooling != "last" and self._answers_steps:
            raise ConfigError(
                f"pooling={pooling!r} makes one answer of all time steps, and the task "
                f"'{config['task']}' answers every one. Leave pooling out, or set it to 'last'."
            )
        if rate and config.get("features") is not None:
            raise ConfigError(
                "word_dropout replaces token ids, and the input is features. Leave word_dropout "
                f"out; spatial_dropout drops features. Received: word_dropout={rate!r}"
            )
        self._check_autoregression()
        size, unknown = config.get("vocabulary_size", math.inf), config.get("unknown_id", 1)
        if rate and unknown >= size:
            raise ConfigError(
                f"word_dropout puts unknown_id in the place of other ids, and ids are below "
                f"vocabulary_size={size}. Received: unknown_id={unknown}"
            )

    def _check_autoregression(self) -> None:
        columns, config = forecast_columns(self.config), self.config
        if columns is None:
            return
        received = f"Received: autoregression={config['autoregression']!r}"
        if config["features"] is None or config["task"] != "regression":
            raise ConfigError(
                "autoregression goes on from the last values of features, in a regression. Leave "
                f"it out. {received}, task={config['task']!r}, features={config['features']!r}"
            )
        if max(columns) >= config["features"] or config["outputs"] % len(columns):
            raise ConfigError(
                f"autoregression names features, counting from 0 to {config['features'] - 1}, "
                f"each forecast as far ahead as the others. Leave it out: data for a forecast say "
                f"it. {received}, outputs={config['outputs']}"
            )

    # ------------------------------------------------------------------ building

    @abstractmethod
    def recurrence(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Maps `[batch, timesteps, width]` to what the head reads.

        Returns:
            `[batch, timesteps, n]` if `per_timestep`, else `[batch, n]`.
        """

    @property
    def per_timestep(self) -> bool:
        """Whether every time step is needed: the task answers each, or they are pooled."""
        return self._answers_steps or self.config.get("pooling", "last") != "last"

    @property
    def trims(self) -> bool:
        """Whether training may leave padding on the right out: see `training.batches`."""
        # The linear path of a forecast has weights for each time step.
        forecasts = forecast_columns(self.config) is not None
        return self.any_length and bool(self.config.get("mask")) and not forecasts

    def inputs(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Returns the model's input and what the recurrence reads.

        Token ids are int32 `[batch, timesteps]`, called `tokens`, 0 is padding; features are
        float32 `[batch, timesteps, features]`, called `features`, a step of zeros is padding.
        """
        import keras

        from keras_rnn_zoo.layers import Changes, WordDropout

        config = self.config
        if config["features"] is None:
            inputs = keras.Input((config["timesteps"],), dtype="int32", name="tokens")
            x = inputs
            if config.get("word_dropout"):
                x = WordDropout(config["word_dropout"], config.get("unknown_id", 1))(x)
            x = keras.layers.Embedding(
                config["vocabulary_size"],
                config["embedding_dim"],
                mask_zero=config.get("mask", False),
            )(x)
        else:
            inputs = keras.Input((config["timesteps"], config["features"]), name="features")
            x = keras.layers.Masking()(inputs) if config.get("mask") else inputs
            if forecast_columns(config) is not None:
                x = Changes(name="changes")(x)
        if config.get("spatial_dropout"):
            x = keras.layers.SpatialDropout1D(config["spatial_dropout"])(x)
        return inputs, x

    def pooled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Returns what the head reads: a vector of all time steps, or `x` as it is."""
        from keras_rnn_zoo.layers import SequencePooling

        how = self.config.get("pooling", "last")
        if how == "last":
            return x
        if len(x.shape) != 3:
            raise ConfigError(
                f"The model '{self.name}' makes one vector of all time steps by itself, and has "
                f"none to pool. Received: pooling={how!r}. Return every step where "
                "self.per_timestep says so, or have no such field: "
                'common_fields(without=("pooling",)).'
            )
        return SequencePooling(how, name="pooling")(x)

    def head(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the answer: probabilities, or the values of a regression, called `answer`."""
        import keras

        activation = get_task(self.config["task"]).activation
        # A forecast starts from the last values, and not beside them.
        start = "glorot_uniform" if forecast_columns(self.config) is None else "zeros"
        return keras.layers.Dense(
            self.config["outputs"], activation, kernel_initializer=start, name="answer"
        )(x)

    def forecast(self, answer: keras.KerasTensor, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the answer with what the last steps say of it; without `autoregression` as is."""
        from keras_rnn_zoo.layers import Autoregression

        columns = forecast_columns(self.config)
        if columns is None:
            return answer
        masked = self.config.get("mask", False)
        return Autoregression(columns, masked, name="forecast")(answer, inputs)

    def build(self) -> keras.Model:
        """Returns a new model: built, with fresh weights, not compiled."""
        import keras

        inputs, x = self.inputs()
        answer = self.head(self.pooled(self.recurrence(x)))
        return keras.Model(inputs, self.forecast(answer, inputs), name=self.name)

    # ------------------------------------------------------------------ searching

    def search_space(self, hp: keras_tuner.HyperParameters) -> dict[str, Any]:
        """Declares the model's hyperparameters and returns the config values that they choose.

        A hyperparameter has the name of the config key that it sets. Anything that has the same
        signature can take this method's place in a search.
        """
        space: dict[str, Any] = {
            "units": hp.Choice("units", [16, 32, 64, 128], default=64),
            "dropout": hp.Choice("dropout", [0.0, 0.2, 0.35, 0.5], default=0.5),
        }
        if self.config["features"] is None:
            space["embedding_dim"] = hp.Choice("embedding_dim", [16, 32, 64, 128], default=64)
        return space

    # ------------------------------------------------------------------ travelling

    def replace(self, **config: Any) -> ModelBuilder:
        """Returns a builder of the same model with some values changed."""
        return type(self)(**{**self.config, **config})

    def to_json(self) -> str:
        """Returns the builder as JSON; see `builder_from_json`."""
        return json.dumps(
            {"schema_version": self.schema_version, "model": self.name, "config": self.config},
            indent=2,
        )

    @classmethod
    def upgrade(cls, config: dict[str, Any], schema_version: int) -> dict[str, Any]:
        """Returns a config of an older schema version as one of today's."""
        return config

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.config == getattr(other, "config", None)

    __hash__ = None  # type: ignore[assignment]  # config is a dict that may change

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self.config.items())
        return f"{type(self).__name__}({values})"


def check_builder(model: type[ModelBuilder]) -> None:
    """Refuses a builder that could not build, when it is registered and not when it is asked.

    Raises:
        ConfigError: The message says all that it lacks.
    """
    fields: Any = getattr(model, "fields", ())
    legal = isinstance(fields, (tuple, list)) and all(isinstance(one, Field) for one in fields)
    names = [one.name for one in fields] if legal else []
    twice = sorted({name for name in names if names.count(name) > 1})
    # What `ModelBuilder.build` looks up, unless the model builds itself in another way.
    own = model.build is not ModelBuilder.build
    needed = () if own else ("features", "timesteps", "task", "outputs")
    absent = [name for name in needed if name not in names]
    demand(
        "model",
        model,
        {
            'a name: add the line `name = "..."`': isinstance(getattr(model, "name", None), str),
            'a description: add the line `description = "..."`': isinstance(
                getattr(model, "description", None), str
            ),
            f"the methods {listed(sorted(model.__abstractmethods__))}": not (
                model.__abstractmethods__
            ),
            "fields that are `Field`s": legal,
            f"one field for each name: {listed(twice)} comes twice": not twice,
            f"the fields {listed(absent)}: start from common_fields()": not absent or not legal,
        },
    )


MODELS: Registry[type[ModelBuilder]] = Registry(
    "model", "keras_rnn_zoo.models", "keras_rnn_zoo.models", check_builder
)

Builder = TypeVar("Builder", bound=type[ModelBuilder])


@overload
def register_model(model: Builder) -> Builder: ...
@overload
def register_model(model: str) -> Callable[[Builder], Builder]: ...
def register_model(model: Any) -> Any:
    """Adds a builder to the zoo; a class decorator, with or without a name.

    Other packages can announce a module that does so in the entry-point group
    `keras_rnn_zoo.models`: it is imported when the zoo is first asked for a model.

    Args:
        model: A subclass of `ModelBuilder`, or the name to register the decorated one under.

    Raises:
        DuplicateNameError: Another builder has the name; the message names both.
        ConfigError: What is registered is no builder, or lacks a name or description.
    """
    if isinstance(model, str):
        name = model

        def decorate(cls: Builder) -> Builder:
            if isinstance(cls, type) and issubclass(cls, ModelBuilder):
                cls.name = name
            return register_model(cls)

        return decorate
    if not (isinstance(model, type) and issubclass(model, ModelBuilder)):
        raise ConfigError(
            f"register_model takes a subclass of ModelBuilder, or a name. Received: {model!r}"
        )
    # Without a name the check says what is missing.
    return MODELS.register(getattr(model, "name", ""), model)


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the models that match a shell-style pattern, such as `"*lstm*"`."""
    return MODELS.names(pattern)


def get_builder(name: str, **config: Any) -> ModelBuilder:
    """Returns the builder of a model.

    Args:
        name: One of `list_models()`.
        **config: See the model's `fields`.

    Raises:
        UnknownNameError: No such model; the message has the nearest.
        ConfigError: An unknown key, a wrong type or an impossible value.
    """
    return MODELS.get(name)(**config)


def get_model(name: str, **config: Any) -> keras.Model:
    """Returns a built, uncompiled Keras model with fresh weights.

    Args:
        name: One of `list_models()`.
        **config: See the model's `fields`; `get_model("bilstm")` is the textbook's.

    Returns:
        A functional model from int32 token ids `[batch, timesteps]`, or float32 features
        `[batch, timesteps, features]`, to float32 `[batch, outputs]`, or
        `[batch, timesteps, outputs]` for sequence labelling.

    Raises:
        UnknownNameError: No such model; the message has the nearest.
        ConfigError: An unknown key, a wrong type or an impossible value.
    """
    return get_builder(name, **config).build()


def builder_from_json(text: str) -> ModelBuilder:
    """Returns the builder that `ModelBuilder.to_json` wrote.

    Raises:
        UnknownNameError: No such model is registered here.
        ConfigError: The text is not such JSON, or of a newer schema version.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"The config is not JSON: {error}") from error
    legal = isinstance(values, dict) and isinstance(values.get("config"), dict)
    if not legal or not {"schema_version", "model"} <= values.keys():
        raise ConfigError(
            "The config is not a builder's. Expected an object with 'schema_version', 'model' and "
            "'config', as ModelBuilder.to_json writes it."
        )
    cls = MODELS.get(values["model"])
    version = values["schema_version"]
    if type(version) is not int or not 1 <= version <= cls.schema_version:
        raise ConfigError(
            f"The config of '{cls.name}' has the schema version {version!r}, and this "
            f"keras-rnn-zoo reads 1 to {cls.schema_version}. Install a newer keras-rnn-zoo."
        )
    config: Mapping[str, Any] = values["config"]
    return cls(**cls.upgrade(dict(config), version))
