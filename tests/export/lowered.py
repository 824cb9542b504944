"""Models whose recurrences are lowered, run as they are: no file, no conversion."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.lowering import FLOAT
from keras_rnn_zoo.export.lowering.carry_out import carried_out
from keras_rnn_zoo.export.lowering.plan import Plan, plan


class Lowered:
    """A Keras model with its recurrent layers lowered.

    Attributes:
        plan: What becomes of each layer.
    """

    def __init__(self, model: Any, lowering: str):
        self._model = prepare(model)
        self.plan: Plan = plan(self._model, lowering=lowering)
        self._run = carried_out(self._model, self.plan, FLOAT)

    def __call__(self, *inputs: Any) -> list[np.ndarray]:
        """Returns flat outputs."""
        return [
            np.asarray(output) for output in self._run(*map(keras.ops.convert_to_tensor, inputs))
        ]

    def answers(self, samples: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns output name -> answers."""
        flat = self(*(samples[spec.name] for spec in self._model.inputs))
        return dict(zip(self._model.outputs, flat, strict=True))


def answers(model: Any, samples: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns output name -> what the Keras model itself answers."""
    ready = prepare(model)
    flat = ready([keras.ops.convert_to_tensor(samples[spec.name]) for spec in ready.inputs])
    return dict(zip(ready.outputs, map(np.asarray, flat), strict=True))
