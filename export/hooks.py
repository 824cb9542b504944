"""Functions of another library that do something else for a while, in one thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Hook(Generic[T]):
    """Replaces functions of modules for as long as a block that needs that is open in any thread.

    A replacement asks `here` whether it is its thread that needs it, and else calls the original.

    Args:
        name: What it is for, for a debugger.
        functions: Returns the module and the name of each function, once they can be imported.
        replacement: Makes of the name of a function and the function what stands in for it.
    """

    def __init__(
        self,
        name: str,
        functions: Callable[[], Iterable[tuple[Any, str]]],
        replacement: Callable[[str, Callable[..., Any]], Callable[..., Any]],
    ):
        self._functions = functions
        self._replacement = replacement
        self._here: ContextVar[T | None] = ContextVar(name, default=None)
        self._lock = threading.Lock()
        self._open = 0
        self._originals: list[tuple[Any, str, Callable[..., Any]]] = []

    @property
    def here(self) -> T | None:
        """What the innermost open block of this thread gave; None where none is open."""
        return self._here.get()

    @contextlib.contextmanager
    def installed(self, value: T) -> Iterator[None]:
        """Has replacements in this thread find `value` until the block ends."""
        token = self._here.set(value)
        with self._lock:
            self._open += 1
            if self._open == 1:
                self._originals = [
                    (module, name, getattr(module, name)) for module, name in self._functions()
                ]
                for module, name, function in self._originals:
                    setattr(module, name, self._replacement(name, function))
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1
                if not self._open:
                    for module, name, function in self._originals:
                        setattr(module, name, function)
            self._here.reset(token)
