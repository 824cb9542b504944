"""What tuners and engines that are registered must have."""

from __future__ import annotations

import inspect

from keras_rnn_zoo.errors import ConfigError, listed


def check_plugin(entry: object, base: type, decorator: str) -> None:
    """Refuses a class that could not be used, when it is registered and not when it is needed.

    Args:
        entry: What is registered.
        base: The class that it has to extend.
        decorator: Name of what registers it.

    Raises:
        ConfigError: The message says what it lacks.
    """
    if not (isinstance(entry, type) and issubclass(entry, base)):
        raise ConfigError(f"{decorator} takes a subclass of {base.__name__}. Received: {entry!r}")
    lacks = [
        name
        for name in ("name", "description")
        if not isinstance(getattr(entry, name, None), str) or not getattr(entry, name).strip()
    ]
    lacks += sorted(getattr(entry, "__abstractmethods__", ()))
    if lacks:
        raise ConfigError(
            f"What you registered, {entry.__qualname__}, lacks {listed(lacks)}. A subclass of "
            f"{base.__name__} has them: see {base.__module__}.{base.__name__}."
        )
    if len(entry.description.splitlines()) != 1:  # type: ignore[attr-defined]
        raise ConfigError(f"The description of {entry.__qualname__} is one line.")
    # They are made with the arguments of the base class, by position.
    given = len(inspect.signature(base).parameters)
    further = [
        one
        for number, one in enumerate(inspect.signature(entry).parameters.values())
        if number >= given or one.kind is one.KEYWORD_ONLY
    ]
    unknown = [
        one.name
        for one in further
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if unknown:
        raise ConfigError(
            f"{entry.__qualname__} cannot be made without {listed(unknown)}. Give them a default."
        )
