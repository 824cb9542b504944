"""Registers our layers with Keras as soon as both are imported, in either order.

Keras finds a custom class of a `.keras` file only if it is registered. Importing Keras takes
seconds, so `import keras_rnn_zoo` must not do so; instead it waits for someone else to.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

LAYERS = "keras_rnn_zoo.layers"


def install() -> None:
    """Registers our layers now if Keras is there, else right after it is imported."""
    if "keras" in sys.modules:
        importlib.import_module(LAYERS)
    elif not any(isinstance(finder, _AfterKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterKeras())


class _AfterKeras:
    """Finds Keras as everyone does, and adds one step after its loading."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)  # also keeps the next line from coming back here
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        loader = spec.loader
        load = loader.exec_module

        def load_and_register(module: ModuleType) -> None:
            load(module)
            del loader.exec_module
            importlib.import_module(LAYERS)

        loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec
