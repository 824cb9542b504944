"""Options as objects: frozen, checked where they are made, and the one place that describes them.

A class of options says once what each is called, what it may be, what it is by default and what it
does. Keyword functions, their signatures and documentation, the command line and what files keep of
a call are made from that.

```python
@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    epochs: int = option(4, "The most passes over the training rows.", whole(least=1))


@takes(TrainOptions)
def train(model, data, **options):
    chosen = TrainOptions.of(options)
```
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import os
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from keras_rnn_zoo.errors import ConfigError, UnknownNameError, listed, nearest
from keras_rnn_zoo.registry import Registry

if TYPE_CHECKING:
    from typing_extensions import Self

# Of what an option may be: a registry, some names, or what looks them up.
Names = Registry[Any] | Iterable[str] | Callable[[], Iterable[str]]
# Takes the name of an option and a value; returns the value as it is kept, or raises.
Check = Callable[[str, Any], Any]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class About:
    """What is known of an option beside its name, type and default.

    Attributes:
        help: One or two sentences for a person.
        check: Returns the value as it is kept; raises `ConfigError` or `UnknownNameError`.
        metavar: What stands for a value in the command line's help.
        parse: Makes a value of what is written on the command line; None takes the type's.
        flag: The option on the command line, where it is not made from the name; "" for none.
        shown_default: What the help says of the default, where the value does not say it.
        alone: On the command line, what the option means without a value; None where it needs one.
    """

    help: str
    check: Check | None = None
    metavar: str | None = None
    parse: Callable[[str], Any] | None = None
    flag: str | None = None
    shown_default: str | None = None
    alone: str | None = None

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The names that the option takes, looked up now; None where it takes more than names."""
        names = getattr(self.check, "choices", None)
        return None if names is None else tuple(names() if callable(names) else names)

    @property
    def described(self) -> dict[str, str]:
        """Name -> one line about it, of those that a registry knows; looked up now."""
        registry = getattr(self.check, "registry", None)
        if registry is None:
            return {}
        entries = {name: registry.get(name) for name in registry.names()}
        return {name: entry.description.rstrip(".") for name, entry in entries.items()}

    @property
    def choices_are_fixed(self) -> bool:
        """Whether the names are the same for everyone, and not those of a registry."""
        names = getattr(self.check, "choices", None)
        return names is not None and not callable(names)


def option(default: Any, help: str, check: Check | None = None, /, **more: Any) -> Any:
    """Returns the field of an option: see `About`."""
    return field(default=default, metadata={"about": About(help, check, **more)})


class Options:
    """Base of all options: subclasses are dataclasses, `frozen=True` and `kw_only=True`.

    Attributes:
        SCHEMA: Version of what `to_dict` returns; raised where its meaning changes.
        RENAMED: Name that an option had -> the name that it has.
    """

    SCHEMA: ClassVar[int] = 1
    RENAMED: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        for name, about in self.about().items():
            if about.check is not None:
                object.__setattr__(self, name, about.check(name, getattr(self, name)))

    @classmethod
    def about(cls) -> dict[str, About]:
        """Returns name -> what is known of each option, in order."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        if bare := [one.name for one in fields if "about" not in one.metadata]:
            raise TypeError(
                f"Write the options of {cls.__name__} as `name: type = option(...)`. "
                f"Received: {listed(bare)}"
            )
        return {one.name: one.metadata["about"] for one in fields}

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Returns the options that keyword arguments say; names that were renamed still answer.

        Raises:
            ConfigError: An option that does not exist, one said twice, or a value that is not
                allowed.
        """
        known = cls.about()
        values: dict[str, Any] = {}
        for name, value in given.items():
            new = cls.RENAMED.get(name, name)
            if new not in known:
                raise ConfigError(
                    f"Unknown option: {name!r}.{nearest(name, known)} Known: {listed(known)}."
                )
            if new in values:
                raise ConfigError(f"The option {new!r} is said twice, once as {name!r}.")
            if new != name:
                warnings.warn(f"{name} is called {new} now.", FutureWarning, stacklevel=3)
            values[new] = value
        return cls(**values)

    @classmethod
    def part_of(cls, options: Options) -> Self:
        """Returns those of the options that belong to this class, a base of theirs."""
        return cls(**{name: getattr(options, name) for name in cls.about()})

    def replace(self, **changes: Any) -> Self:
        """Returns the same options with some changed, checked like all."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def keywords(self) -> dict[str, Any]:
        """Returns name -> value: the keyword arguments that say the same."""
        return {name: getattr(self, name) for name in self.about()}

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as a JSON object with the version of its meaning."""
        return {"schema": self.SCHEMA, **{k: _plain(v) for k, v in self.keywords().items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Returns the options that `to_dict` wrote, by this version or an older one.

        Raises:
            ConfigError: A newer version wrote them, or they are damaged.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"{cls.__name__} are a JSON object. Received: {values!r:.80}")
        schema = values.get("schema", 1)
        if type(schema) is not int or not 1 <= schema <= cls.SCHEMA:
            raise ConfigError(
                f"These {cls.__name__} have the version {schema!r}, and this keras-rnn-zoo reads "
                f"up to {cls.SCHEMA}. Install a newer one."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # nobody chose the old name today
            return cls.of({name: value for name, value in values.items() if name != "schema"})


def takes(options: type[Options]) -> Callable[[Function], Function]:
    """Has a function of `**options` show the options in its signature and documentation."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        added = [
            inspect.Parameter(
                one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type
            )
            for one in dataclasses.fields(options)  # type: ignore[arg-type]
        ]
        # Those that have no default come first, as Python has it.
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=sorted([*own, *added], key=lambda p: p.kind)
        )
        function.__doc__ = _with_options(inspect.getdoc(function) or "", options)
        return function

    return decorate


def _with_options(text: str, options: type[Options]) -> str:
    """Adds the options to the arguments that a docstring lists, in Google style."""
    lines = [
        textwrap.fill(f"{name}: {about.help}", 96, initial_indent="    ", subsequent_indent=" " * 8)
        for name, about in options.about().items()
    ]
    head, mark, rest = text.partition("\nArgs:\n")
    if not mark:
        return "\n".join([text, "", "Args:", *lines])
    body, space, others = rest.partition("\n\n")
    return f"{head}{mark}{body}\n" + "\n".join(lines) + space + others


# -------------------------------------------------------------------------------------- checks


def optional(check: Check) -> Check:
    """Allows None, too."""

    @functools.wraps(check)
    def checked(name: str, value: Any) -> Any:
        return None if value is None else check(name, value)

    return checked


def whole(*, least: int = 0, most: int | None = None) -> Check:
    """A whole number of at least so much, and at most so much."""
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"

    def check(name: str, value: Any) -> int:
        found = _scalar(value)
        right = isinstance(found, int) and not isinstance(found, bool)
        if not right or found < least or (most is not None and found > most):
            raise ConfigError(f"{name} is a whole number {limits}. Received: {value!r}")
        return int(found)

    return check


def number(
    *, above: float = -math.inf, below: float = math.inf, least: float | None = None
) -> Check:
    """A finite number between others."""
    limits = [f"of at least {least:g}"] if least is not None else []
    limits += [f"above {above:g}"] if above > -math.inf else []
    limits += [f"below {below:g}"] if below < math.inf else []
    words = " ".join(["a number", " and ".join(limits)]) if limits else "a finite number"
    low = -math.inf if least is None else least

    def check(name: str, value: Any) -> float:
        found = _scalar(value)
        try:
            if isinstance(found, bool) or not isinstance(found, (int, float)):
                raise ValueError
            found = float(found)
            if not above < found < below or found < low:
                raise ValueError
        except (ValueError, OverflowError):
            raise ConfigError(f"{name} is {words}. Received: {value!r}") from None
        return found

    return check


def flag(name: str, value: Any) -> bool:
    """True or False."""
    found = _scalar(value)
    if not isinstance(found, bool):
        raise ConfigError(f"{name} is True or False. Received: {value!r}")
    return found


def text(name: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ConfigError(f"{name} is a text. Received: {value!r}")
    return value


def choice(*names: str) -> Check:
    """One of a few names, the same for everyone."""
    words = " or ".join(map(repr, names))

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ConfigError(f"{name} is {words}. Received: {value!r}.{nearest(value, names)}")
        return value

    return _lists(check, names)


def one_of(names: Names, what: str | None = None) -> Check:
    """One of the names of a registry, which are looked up when they are needed."""
    known = _known(names)

    def check(name: str, value: Any) -> str:
        found = list(known() if callable(known) else known)
        if not isinstance(value, str) or value not in found:
            raise UnknownNameError(
                f"Unknown {what or name}: {value!r}.{nearest(value, found)} Known: {listed(found)}."
            )
        return value

    return _lists(check, known, names)


def some_of(names: Names, what: str | None = None) -> Check:
    """One or more of some names, each once, as a tuple; one alone may be given as it is."""
    known = _known(names)
    one = one_of(known, what)

    def check(name: str, value: Any) -> tuple[str, ...]:
        given = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else value
        chosen = tuple(dict.fromkeys(one(name, item) for item in given))
        if not chosen:
            found = known() if callable(known) else known
            raise ConfigError(f"Choose at least one {what or name}: {listed(found)}.")
        return chosen

    return _lists(check, known, names)


def _known(names: Names) -> tuple[str, ...] | Callable[[], Iterable[str]]:
    if isinstance(names, Registry):
        return names.names
    return names if callable(names) else tuple(names)


def _lists(check: Check, known: object, names: object = None) -> Check:
    """Keeps with a check the names that it takes; see `About.choices` and `About.described`."""
    check.choices = known  # type: ignore[attr-defined]
    check.registry = names if isinstance(names, Registry) else None  # type: ignore[attr-defined]
    return check


def _scalar(value: Any) -> Any:
    """Returns a NumPy scalar as Python's own."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _plain(value: Any) -> Any:
    if isinstance(value, Options):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return _scalar(value)
