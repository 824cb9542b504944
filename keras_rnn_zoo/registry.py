"""Names to objects: the one mechanism behind models, datasets, lowerings and quantization modes.

A registry fills itself: it imports every module of the package that it is given (a new file is a
new entry) and, where it has an entry-point group, what other installed packages announce there.
"""

from __future__ import annotations

import fnmatch
import importlib
import pkgutil
import re
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from keras_rnn_zoo.errors import (
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
    named = entry if hasattr(entry, "__qualname__") else type(entry)
    return f"{named.__module__}.{getattr(named, '__qualname__', named)}"


class Registry(Generic[T]):
    """A mapping of names to entries that fills itself at the first look-up.

    Args:
        kind: What an entry is, for messages: `"model"`, `"dataset"`, ...
        package: Dotted name of the package whose modules register entries when imported.
        group: Entry-point group through which other packages register entries. The module or
            object that an entry point names is loaded; loading it registers the entry.
    """

    def __init__(self, kind: str, package: str | None = None, group: str | None = None):
        self.kind = kind
        self._package = package
        self._group = group
        self._entries: dict[str, T] = {}
        self._filled = False

    def register(self, name: str, entry: T) -> T:
        """Adds `entry` under `name` and returns it.

        Raises:
            DuplicateNameError: Another entry has that name; the message names both.
        """
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
                    self._load(point)
        except BaseException:
            self._filled = False
            raise

    def _load(self, point: EntryPoint) -> None:
        try:
            point.load()
        except ZooError:
            raise
        except Exception as error:  # whatever the other package's code raises
            package = point.dist.name if point.dist else "an installed package"
            raise PluginError(
                f"The {self.kind} plug-in '{point.name}' of {package} ({point.value}) cannot be "
                f"loaded: {type(error).__name__}: {error}. Repair or uninstall {package}."
            ) from error

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
