"""What a client asks of the data that a model is trained on: known before anything is trained.

A client that takes raw texts encodes them by itself, in its own way, and a model that was trained
on others is of no use there. Who runs files is no business of the zoo: the targets of the export
register here what they ask (see `register_target`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_rnn_zoo.errors import ConfigError, listed
from keras_rnn_zoo.registry import Registry, demand

# Where a target asks for nothing; None leaves it to the training data.
USUAL: Mapping[str, str | None] = {"padding": "post", "truncating": "pre", "tokenizer": None}


@dataclass(frozen=True)
class Demands:
    """What a client asks of data, and of how they are encoded; by default nothing.

    Attributes:
        kinds: Kinds of data that it takes, of `"text"`, `"tokens"`, `"features"`; None for all.
        tasks: Tasks that it answers; None for all.
        settings: `"padding"`, `"truncating"`, `"tokenizer"` -> the only value that it works with;
            those that are left out are free.
        reasons: `"kind"`, `"task"` or a setting -> why, one clause.
    """

    kinds: tuple[str, ...] | None = None
    tasks: tuple[str, ...] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def default(self, name: str) -> str | None:
        """Returns the value of a setting that nobody chose; None leaves it to the data."""
        return self.settings.get(name, USUAL[name])

    def check(self, target: str, advice: str, **found: str | None) -> None:
        """Refuses what the client does not take.

        Args:
            target: Name of the client.
            advice: What to do, one sentence without its full stop.
            **found: `kind`, `task`, and settings, as far as they are known; None of a setting that
                there is not.

        Raises:
            ConfigError: The message says what it takes, and why.
        """
        for name, value in found.items():
            free = {"kind": self.kinds, "task": self.tasks}
            allowed = free[name] if name in free else (self.settings.get(name, value),)
            if allowed is not None and value not in allowed:
                what = {"kind": "data of kind", "task": "the tasks"}.get(name, name)
                raise ConfigError(
                    f"The target '{target}' takes {what} {listed(map(str, allowed))}: "
                    f"{self.reasons[name]}. Received: {value!r}. {advice}."
                )


NOTHING = Demands()


def _check_entry(entry: Demands) -> None:
    demand("target", entry, {"demands": isinstance(entry, Demands)})


# The package is named and not imported: see `keras_rnn_zoo.registry`.
DEMANDS: Registry[Demands] = Registry(
    "target", "keras_rnn_zoo.export.targets", "keras_rnn_zoo.targets", _check_entry
)


def demands_of(target: str | None) -> Demands:
    """Returns what a target asks; nothing where there is none.

    Raises:
        UnknownNameError: No such target.
    """
    return NOTHING if target is None else DEMANDS.get(target)
