"""A Keras model of its own layers around the same variables.

An export asks a model to compute otherwise than it does for its user: in float32, from zero states,
with recurrences in other ops. That is done to a replica, so the user's model is never changed, not
even for a moment, and several threads may export one model at once. There is nothing that a custom
layer must be able to say about itself, as it would for `from_config`, and no weight is copied.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def replica(model: Any, own: Iterable[Any] = ()) -> Any:
    """Returns a model with copies of the layers, at any depth, and of the graph of a model.

    Variables are shared; so is whatever is neither part of a model nor a container of parts.

    Args:
        model: A `keras.Model`, of any kind.
        own: The variables that are not shared: the replica gets new ones with the same values.

    Returns:
        A model of the same class. What is set on its layers does not show in `model`.
    """
    copier = _Copier()
    for variable in own:
        copier.copy_variable(variable)
    return copier(model)


class _Copier:
    """Copies what a model is made of, each object once, and keeps how they refer to each other."""

    def __init__(self) -> None:
        from keras import KerasTensor, Operation
        from keras.src.ops.node import Node
        from keras.src.ops.symbolic_arguments import SymbolicArguments
        from keras.src.utils.tracking import Tracker

        self._parts = (Operation, Node, KerasTensor, SymbolicArguments, Tracker)
        self._operation = Operation
        self._copies: dict[int, Any] = {}
        # What was copied, so that no other object gets its id.
        self._kept: list[Any] = []
        # Filled one after the other: a deep model would be too much for the stack.
        self._waiting: collections.deque[Callable[[], None]] = collections.deque()
        self._node_keys: list[set[str]] = []

    def __call__(self, value: Any) -> Any:
        copied = self._copied(value)
        while self._waiting:
            self._waiting.popleft()()
        for keys in self._node_keys:
            renewed = {self._renewed(key) for key in keys}
            keys.clear()
            keys.update(renewed)
        return copied

    def _renewed(self, key: str) -> str:
        """A graph knows its nodes by the ids of their operations."""
        operation, mark, number = key.partition("_ib-")
        copied = self._copies.get(int(operation)) if operation.isdigit() else None
        return key if copied is None else f"{id(copied)}{mark}{number}"

    def copy_variable(self, variable: Any) -> None:
        """Gives the copy a variable of its own in place of a Keras variable."""
        import keras

        copied = keras.Variable(
            np.array(variable), dtype=variable.dtype, trainable=variable.trainable, name="own"
        )
        copied._autocast = variable._autocast
        self._note(variable, copied)

    def _copied(self, value: Any) -> Any:
        if id(value) in self._copies:
            return self._copies[id(value)]
        kind = type(value)
        if isinstance(value, self._parts) or self._holds_parts(value):
            return self._shell(value)
        if kind is types.MethodType:
            owner = self._copied(value.__self__)
            return value if owner is value.__self__ else types.MethodType(value.__func__, owner)
        if isinstance(value, tuple):
            items = [self._copied(item) for item in value]
            if all(new is old for new, old in zip(items, value, strict=True)):
                return value
            return kind(*items) if hasattr(kind, "_fields") else kind(items)
        if isinstance(value, (list, dict, set, frozenset, collections.deque)):
            return self._container(value)
        return value

    def _container(self, value: Any) -> Any:
        """Copies a list, dict or set; Keras' tracked ones keep no eye on the copy."""
        kind = type(value)
        if isinstance(value, frozenset):
            return kind(self._copied(item) for item in value)
        if kind.__module__.startswith("tensorflow."):  # proxies that watch a list or dict
            kind = dict if isinstance(value, dict) else list
        try:
            copied: Any = kind.__new__(kind)  # type: ignore[call-overload]
        except TypeError:  # of the user's own making: whatever it holds is shared
            return value
        if isinstance(value, collections.defaultdict):
            copied.default_factory = value.default_factory
        if kind.__module__.startswith("keras."):  # tells a layer what was put in
            copied.tracker = None
        self._note(value, copied)

        def fill() -> None:
            if isinstance(value, dict):
                for key, item in value.items():
                    dict.__setitem__(copied, self._copied(key), self._copied(item))
            elif isinstance(value, list):
                list.extend(copied, [self._copied(item) for item in value])
            elif isinstance(value, set):
                set.update(copied, {self._copied(item) for item in value})
                if copied and all(isinstance(item, str) and "_ib-" in item for item in copied):
                    self._node_keys.append(copied)
            else:
                copied.extend(self._copied(item) for item in value)

        self._waiting.append(fill)
        return copied

    def _shell(self, value: Any) -> Any:
        copied = object.__new__(type(value))
        self._note(value, copied)

        def fill() -> None:
            for name, item in vars(value).items():
                copied.__dict__[name] = self._copied(item)

        self._waiting.append(fill)
        return copied

    def _note(self, value: Any, copied: Any) -> None:
        self._copies[id(value)] = copied
        self._kept.append(value)

    def _holds_parts(self, value: Any) -> bool:
        """Whether an object of the user's own class keeps layers in its attributes."""
        if isinstance(value, type) or type(value).__module__.partition(".")[0] in _LIBRARIES:
            return False
        attributes = getattr(value, "__dict__", None)
        return isinstance(attributes, dict) and any(
            isinstance(part, self._operation)
            for item in attributes.values()
            for part in (
                item.values()
                if isinstance(item, dict)
                else item
                if isinstance(item, (list, tuple))
                else (item,)
            )
        )


# Whose objects are shared, not looked into.
_LIBRARIES = frozenset({"builtins", "keras", "numpy", "tensorflow", "functools", "weakref"})
