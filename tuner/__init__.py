"""A search over several models at once: one conditional space, all of KerasTuner's tuners.

`search` reads data, tries models, and leaves the winner as a run, with nothing lost on the way;
`Search.load` opens what it left. `ZooHyperModel` is its search space, for those who drive
`keras_tuner.Hyperband(...)` themselves. `Algorithm` and `Engine` are what plug-ins extend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_rnn_zoo.lazy import lazy

if TYPE_CHECKING:
    from keras_rnn_zoo.tuner.engines import ENGINES as ENGINES
    from keras_rnn_zoo.tuner.engines import Engine as Engine
    from keras_rnn_zoo.tuner.engines import register_engine as register_engine
    from keras_rnn_zoo.tuner.hypermodel import ZooHyperModel as ZooHyperModel
    from keras_rnn_zoo.tuner.options import SearchOptions as SearchOptions
    from keras_rnn_zoo.tuner.results.records import TrialRecord as TrialRecord
    from keras_rnn_zoo.tuner.results.search import Search as Search
    from keras_rnn_zoo.tuner.results.search import SearchResult as SearchResult
    from keras_rnn_zoo.tuner.study.search import search as search
    from keras_rnn_zoo.tuner.trials.budget import DeviceBudget as DeviceBudget
    from keras_rnn_zoo.tuner.tuners import TUNERS as TUNERS
    from keras_rnn_zoo.tuner.tuners import Algorithm as Algorithm
    from keras_rnn_zoo.tuner.tuners import Plan as Plan
    from keras_rnn_zoo.tuner.tuners import register_tuner as register_tuner
    from keras_rnn_zoo.tuner.tuners._durable import durable as durable

_EXPORTS = {
    "Algorithm": "tuners",
    "DeviceBudget": "trials.budget",
    "ENGINES": "engines",
    "Engine": "engines",
    "Plan": "tuners",
    "Search": "results.search",
    "SearchOptions": "options",
    "SearchResult": "results.search",
    "TUNERS": "tuners",
    "TrialRecord": "results.records",
    "ZooHyperModel": "hypermodel",
    "durable": "tuners._durable",
    "register_engine": "engines",
    "register_tuner": "tuners",
    "search": "study.search",
}

__all__ = sorted(_EXPORTS)

# KerasTuner imports TensorFlow; the names of the tuners must not wait for it.
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
