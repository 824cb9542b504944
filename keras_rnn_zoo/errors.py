"""Every error that a user can cause: one type per cause, one clear line per message.

A message says what was received, what is allowed, the nearest match where there is one, and what
to do. The command line prints the message and exits with `exit_code`; code can catch `ZooError`.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable


class ZooError(Exception):
    """Base of all errors of keras-rnn-zoo. `str(error)` is one line for a person."""

    exit_code = 1
    # Keras adds the arguments of a layer's call to what is raised in it, a line each, if this is
    # not there.
    _keras_call_info_injected = True

    def __str__(self) -> str:
        # KeyError (a base of the look-up errors) would print the message quoted.
        return str(self.args[0]) if self.args else self.__class__.__name__


class UnknownNameError(ZooError, LookupError):
    """A name that no registry entry (model, dataset, lowering, quantization, ...) has."""


class DuplicateNameError(ZooError, ValueError):
    """A second registration under a name that is taken; the message names both."""


class PluginError(ZooError, ImportError):
    """Another installed package announces an entry and fails to load it."""


class ConfigError(ZooError, ValueError):
    """A model or command setting with an unknown key, a wrong type or an impossible value."""


class DataError(ZooError, ValueError):
    """Data that cannot be read or learnt from: missing, empty, ragged, NaN, wrong column, ..."""


class OutputError(ZooError, OSError):
    """A place that cannot be written: not empty, read-only, full, or not a directory."""


class RunError(ZooError, ValueError):
    """A run, bundle or model file that is missing, incomplete or damaged."""


class SearchError(ZooError, RuntimeError):
    """A search that cannot start, go on, or that ended without a usable trial."""


class ExportError(ZooError, RuntimeError):
    """An export that was refused or failed."""


class ConversionError(ExportError):
    """A model could not be converted to TFLite; the message holds the converter's last words.

    Attributes:
        log: All that the converter said.
        symptom: What happened: `"refused"`, `"crashed"`, `"ended"`, `"hung"`, `"untraceable"` (it
            never came to the converter) or `"unloadable"` (the interpreter refuses what it wrote).
    """

    def __init__(self, message: str, log: str = "", symptom: str = "refused"):
        super().__init__(message)
        self.log = log
        self.symptom = symptom


class OpGateError(ExportError):
    """A written file holds ops outside the builtin set; `ops` names them."""

    def __init__(self, message: str, ops: Iterable[str] = ()):
        super().__init__(message)
        self.ops = tuple(ops)


class TargetError(ExportError):
    """A written file holds what the client that it is for does not run."""


class VerificationError(ExportError):
    """A written file does not answer what the Keras model answers."""


class MissingExtraError(ZooError, ImportError):
    """An optional dependency is needed and not installed; the message says how to get it."""

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(
            f"{purpose} needs {package}, which is not installed. "
            f"Install it with: pip install 'keras-rnn-zoo[{extra}]'"
        )


class MissingClientError(ZooError, ImportError):
    """A program that runs files is needed and not installed; the message says how to get it."""


def nearest(received: object, allowed: Iterable[str]) -> str:
    """Returns `" Did you mean 'x'?"` for the closest allowed name, or an empty string."""
    matches = difflib.get_close_matches(str(received), list(allowed), n=1, cutoff=0.5)
    return f" Did you mean '{matches[0]}'?" if matches else ""


def listed(names: Iterable[str]) -> str:
    """Returns the names quoted and comma-separated, for the end of an error message."""
    return ", ".join(f"'{_printable(name)}'" for name in names)


def _printable(name: object) -> str:
    # Names come from files, too, and a message is one line.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))


def one_line(error: BaseException) -> str:
    """Returns the type and the message of any error in one line, not too long."""
    text = plain(error).split("Arguments received by")[0]
    return f"{type(error).__name__}: {textwrap.shorten(text, 300, placeholder=' ...')}"


def plain(error: BaseException) -> str:
    """Returns the message without Keras' colours and TensorFlow's marks of functions."""
    return re.sub(r"\x1b\[[\d;]*m|\{\{[^{}]*\}\} ?", "", str(error))
