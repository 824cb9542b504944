"""A search over several models at once: one conditional space, all of KerasTuner's tuners.

`search` reads data, tries models, and leaves the winner as a run, with nothing lost on the way.
`ZooHyperModel` is its search space, for those who drive `keras_tuner.Hyperband(...)` themselves.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_rnn_zoo.tuner.hypermodel import ZooHyperModel as ZooHyperModel
    from keras_rnn_zoo.tuner.searching import SearchResult as SearchResult
    from keras_rnn_zoo.tuner.searching import search as search
    from keras_rnn_zoo.tuner.tuners import TUNERS as TUNERS
    from keras_rnn_zoo.tuner.tuners import Algorithm as Algorithm
    from keras_rnn_zoo.tuner.tuners import Plan as Plan

_EXPORTS = {
    "TUNERS": "tuners",
    "Algorithm": "tuners",
    "Plan": "tuners",
    "SearchResult": "searching",
    "ZooHyperModel": "hypermodel",
    "search": "searching",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    # KerasTuner imports TensorFlow; the names of the tuners must not wait for it.
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return __all__
