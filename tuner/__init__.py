"""A search over several models at once: one conditional space, all of KerasTuner's tuners.

`search` reads data, tries models, and leaves the winner as a run, with nothing lost on the way.
`ZooHyperModel` is its search space, for those who drive `keras_tuner.Hyperband(...)` themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_rnn_zoo.lazy import lazy

if TYPE_CHECKING:
    from keras_rnn_zoo.tuner.engines import ENGINES as ENGINES
    from keras_rnn_zoo.tuner.engines import Engine as Engine
    from keras_rnn_zoo.tuner.hypermodel import ZooHyperModel as ZooHyperModel
    from keras_rnn_zoo.tuner.study.search import SearchResult as SearchResult
    from keras_rnn_zoo.tuner.study.search import search as search
    from keras_rnn_zoo.tuner.trials.budget import DeviceBudget as DeviceBudget
    from keras_rnn_zoo.tuner.tuners import TUNERS as TUNERS
    from keras_rnn_zoo.tuner.tuners import Algorithm as Algorithm
    from keras_rnn_zoo.tuner.tuners import Plan as Plan

_EXPORTS = {
    "TUNERS": "tuners",
    "Algorithm": "tuners",
    "DeviceBudget": "trials.budget",
    "ENGINES": "engines",
    "Engine": "engines",
    "Plan": "tuners",
    "SearchResult": "study.search",
    "ZooHyperModel": "hypermodel",
    "search": "study.search",
}

__all__ = sorted(_EXPORTS)

# KerasTuner imports TensorFlow; the names of the tuners must not wait for it.
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
