"""Names to objects: the one mechanism behind models, data sets, tokenizers, lowerings and the rest.

A registry fills itself: it imports every module of the package that it is given (a new file is a
new entry) and, where it has an entry-point group, what other installed packages announce there.
"""

from __future__ import annotations

import fnmatch
import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from keras_rnn_zoo.errors import (
    ConfigError,
    DuplicateNameError,
    PluginError,
    UnknownNameError,
    ZooError,
    listed,
    nearest,
)

T = TypeVar("T")


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key under which `lstm_2` comes before `lstm_10`."""
    return [
        (0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part
    ]


def origin(entry: object) -> str:
    """Returns where an entry was defined, as `module.QualName`."""
    named: Any = entry
    if not (hasattr(entry, "__qualname__") and hasattr(entry, "__module__")):
        named = type(entry)
    return f"{named.__module__}.{named.__qualname__}"


def demand(kind: str, entry: object, demands: Mapping[str, bool]) -> None:
    """Refuses to register an entry that lacks something.

    Args:
        kind: What it is registered as, such as `"model"`.
        entry: What is registered.
        demands: What it has to have, in words -> whether it has.

    Raises:
        ConfigError: It lacks one of them; the message names all that it lacks.
    """
    missing = [what for what, has in demands.items() if not has]
    if missing:
        article = "an" if kind[0] in "aeiou" else "a"
        raise ConfigError(
            f"What you registered as {article} {kind} lacks {' and '.join(missing)}: "
            f"{origin(entry)}"
        )


def is_line(text: object) -> bool:
    """Whether something is a text of one line, as descriptions are."""
    return isinstance(text, str) and bool(text.strip()) and len(text.splitlines()) == 1


def extends(
    kind: str, base: type, more: Callable[[Any], Mapping[str, bool]] = lambda entry: {}
) -> Callable[[Any], None]:
    """Returns the check of a registry whose entries extend a class and have a description.

    Args:
        kind: What an entry is, for the message.
        base: The class.
        more: Takes an entry; returns what else it has to have, in words -> whether it has.
    """

    def check(entry: Any) -> None:
        demand(
            kind,
            entry,
            {
                f"the base class {base.__name__}": isinstance(entry, base),
                "a description of one line": is_line(getattr(entry, "description", None)),
                **more(entry),
            },
        )

    return check


def load_plugin(kind: str, point: EntryPoint) -> Any:
    """Returns the object that another package announces.

    Raises:
        PluginError: It cannot be loaded; the message names the package and the reason.
    """
    try:
        return point.load()
    except ZooError:
        raise
    except Exception as error:  # whatever the other package's code raises
        package = point.dist.name if point.dist else "an installed package"
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(
            f"The {kind} plug-in '{point.name}' of {package} ({point.value}) cannot be loaded: "
            f"{reason}. Repair or uninstall {package}."
        ) from error


class Registry(Generic[T]):
    """A mapping of names to entries that fills itself at the first look-up.

    Args:
        kind: What an entry is, for messages: `"model"`, `"dataset"`, ...
        package: Dotted name of the package whose modules register entries when imported.
        group: Entry-point group through which other packages register entries. The module or
            object that an entry point names is loaded; loading it registers the entry.
        check: Raises `ConfigError` where an entry lacks something; see `demand`.
    """

    def __init__(
        self,
        kind: str,
        package: str | None = None,
        group: str | None = None,
        check: Callable[[T], None] | None = None,
    ):
        self.kind = kind
        self._check = check
        self._package = package
        self._group = group
        self._entries: dict[str, T] = {}
        self._filled = False

    def register(self, name: str, entry: T) -> T:
        """Adds `entry` under `name` and returns it.

        Raises:
            ConfigError: The entry lacks something.
            DuplicateNameError: Another entry has that name; the message names both.
        """
        if self._check is not None:
            self._check(entry)
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise UnknownNameError(
                f"A {self.kind} name is lower-case letters, digits and underscores, and starts "
                f"with a letter. Received: {name!r}"
            )
        taken = self._entries.get(name)
        if taken is not None and taken is not entry:
            raise DuplicateNameError(
                f"The {self.kind} name '{name}' is taken: {origin(taken)} has it and "
                f"{origin(entry)} asks for it too. Rename one of them."
            )
        self._entries[name] = entry
        return entry

    def decorator(self, name: str) -> Callable[[type[T]], type[T]]:
        """Returns what registers an instance of the class that it decorates, under `name`."""

        def decorate(cls: type[T]) -> type[T]:
            missing = sorted(getattr(cls, "__abstractmethods__", ()))
            demand(self.kind, cls, {f"the method {method}": False for method in missing})
            cls.name = name  # type: ignore[attr-defined]
            self.register(name, cls())
            return cls

        return decorate

    def unregister(self, name: str) -> None:
        """Removes an entry; for tests and for plug-ins that replace a model on purpose."""
        self.get(name)
        del self._entries[name]

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True
        try:
            if self._package is not None:
                package = importlib.import_module(self._package)
                for module in pkgutil.iter_modules(package.__path__):
                    if not module.name.startswith("_"):
                        importlib.import_module(f"{self._package}.{module.name}")
            if self._group is not None:
                for point in entry_points(group=self._group):
                    load_plugin(self.kind, point)
        except BaseException:
            self._filled = False
            raise

    def get(self, name: str) -> T:
        """Returns the entry called `name`.

        Raises:
            UnknownNameError: No entry has that name; the message lists all and the nearest.
        """
        self._fill()
        try:
            return self._entries[name]
        except (KeyError, TypeError):
            raise UnknownNameError(
                f"Unknown {self.kind}: {name!r}.{nearest(name, self._entries)} "
                f"Known: {listed(self.names())}."
            ) from None

    def names(self, pattern: str = "*") -> list[str]:
        """Returns the names that match a shell-style `pattern`, in natural order."""
        self._fill()
        return sorted((n for n in self._entries if fnmatch.fnmatch(n, pattern)), key=_natural)

    def __contains__(self, name: object) -> bool:
        self._fill()
        return name in self._entries
