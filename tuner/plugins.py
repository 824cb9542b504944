"""What tuners and engines that are registered must have."""

from __future__ import annotations

import inspect

from keras_rnn_zoo.registry import demand, is_line


def check_plugin(kind: str, entry: object, base: type) -> None:
    """Refuses a class that could not be used, when it is registered and not when it is needed.

    Args:
        kind: `"tuner"` or `"engine"`.
        entry: What is registered.
        base: The class that it has to extend.

    Raises:
        ConfigError: The message says what it lacks.
    """
    demand(
        kind,
        entry,
        {f"the base class {base.__name__}": isinstance(entry, type) and issubclass(entry, base)},
    )
    assert isinstance(entry, type)
    name = getattr(entry, "name", None)
    demand(
        kind,
        entry,
        {
            "a name": isinstance(name, str) and bool(name.strip()),
            "a description of one line": is_line(getattr(entry, "description", None)),
            **{
                f"the method {method}": False
                for method in sorted(getattr(entry, "__abstractmethods__", ()))
            },
            **{f"a default of the argument {argument}": False for argument in _needed(entry, base)},
        },
    )


def _needed(entry: type, base: type) -> list[str]:
    """Arguments that a class cannot be made without, beyond those of the base class."""
    given = len(inspect.signature(base).parameters)
    return [
        one.name
        for number, one in enumerate(inspect.signature(entry).parameters.values())
        if (number >= given or one.kind is one.KEYWORD_ONLY)
        and one.default is one.empty
        and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
