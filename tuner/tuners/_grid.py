"""The oracle of `grid`; importing it imports TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import keras_tuner

from keras_rnn_zoo.tuner.tuners._durable import durable


def _values(hp: Any) -> list[Any]:
    """Returns what a hyperparameter may be, its default first."""
    values = list(hp.values)
    if not isinstance(hp.default, str | bool):
        values.sort()  # KerasTuner samples a range into a set
    return [hp.default, *(value for value in values if value != hp.default)]


def _walk(space: Sequence[Any], values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields every combination of the active hyperparameters, the last varying fastest."""
    if not space:
        yield dict(values)
        return
    hp, rest = space[0], space[1:]
    if not all(condition.is_active(values) for condition in hp.conditions):
        yield from _walk(rest, values)
        return
    for value in _values(hp):
        yield from _walk(rest, {**values, hp.name: value})


def combinations(space: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yields every combination of a space, taking turns between the values of its first entry.

    The first entry is the choice of the model. With fewer trials than combinations, every model
    gets its share of them.
    """
    first, rest = space[0], space[1:]
    turns = [_walk(rest, {first.name: value}) for value in _values(first)]
    while turns:
        for turn in list(turns):
            values = next(turn, None)
            if values is None:
                turns.remove(turn)
            else:
                yield values


class FairGridOracle(keras_tuner.oracles.GridSearchOracle):  # type: ignore[misc]
    """A grid search whose n-th trial depends on n alone.

    KerasTuner's walks a linked list that it does not save: after a resume it raises
    `KeyError` (its issue 1055).
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        space = self.hyperparameters.space
        values = next(islice(combinations(space), len(self.start_order), None), None)
        return {"status": "STOPPED" if values is None else "RUNNING", "values": values}


Oracle = durable(FairGridOracle)
