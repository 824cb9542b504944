"""Recurrent models spelled as combinations of what a layer can be told.

`CANDIDATES` is every combination that Keras has, `PAIRS` a small set of them that holds every pair
of choices, `COVER` one that holds every triple, too, of those that change how the steps are run.
`rows` has every mask that the time steps can have: none, padding on either side, holes, all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np

TIMESTEPS = 5
VOCABULARY = 9
ACTIVATIONS = {
    "tanh": {"activation": "tanh", "recurrent_activation": "sigmoid"},
    "relu": {"activation": "relu", "recurrent_activation": "sigmoid"},
    "hard": {"activation": "tanh", "recurrent_activation": "hard_sigmoid"},
}


class Combination(NamedTuple):
    """A recurrent model.

    Attributes:
        cell: What computes a step.
        form: A stack of layers, one `keras.layers.RNN` of several cells, or one `CellLoop` of them.
        direction: From the first step, from the last, or a `Bidirectional` of both.
        depth: How many layers or cells are on top of each other.
        returns: The last output, or that of every step.
        mask: Steps of zeros count, or not.
        activation: A key of `ACTIVATIONS`.
        bias: With or without.
        batch: Sequences that one call answers.
        source: Features, or tokens that an embedding looks up.
        masked_output: What a masked step answers: the output before, or zero.
    """

    cell: str
    form: str
    direction: str
    depth: int
    returns: str
    mask: str
    activation: str
    bias: str
    batch: int
    source: str = "features"
    masked_output: str = "repeated"

    @property
    def name(self) -> str:
        """All choices, for the id of a test."""
        spelled = {"depth": f"{self.depth}deep", "batch": f"batch{self.batch}"}
        return "-".join(spelled.get(key, str(value)) for key, value in self._asdict().items())

    @property
    def possible(self) -> bool:
        """Whether Keras has such a layer."""
        if self.form == "cell_loop" and (self.direction, self.masked_output) != CELL_LOOP:
            return False
        return self.mask == "masked" or self.masked_output == "repeated"


CELL_LOOP = ("forward", "repeated")
FACTORS: dict[str, tuple[Any, ...]] = {
    "cell": ("rnn", "lstm", "gru", "gru_reset_before"),
    "form": ("layer", "cells", "cell_loop"),
    "direction": ("forward", "backwards", "both"),
    "depth": (1, 2, 3),
    "returns": ("last", "sequence"),
    "mask": ("unmasked", "masked"),
    "activation": tuple(ACTIVATIONS),
    "bias": ("bias", "unbiased"),
    "batch": (1, 3),
    "source": ("features", "tokens"),
    "masked_output": ("repeated", "zero"),
}
# They decide together in which order steps are run, what is carried and what is kept.
DANGEROUS = ("cell", "form", "direction", "depth", "returns", "mask")


def covering(
    candidates: Sequence[Combination], groups: Sequence[tuple[str, ...]]
) -> list[Combination]:
    """Returns few candidates that hold, for each group of fields, all values met together.

    Greedy: the candidate with the most that is still missing, until nothing is; of several, the
    one whose values were chosen least, so that each value is met about equally often.
    """
    names = Combination._fields
    levels = np.array(
        [np.unique([getattr(c, n) for c in candidates], return_inverse=True)[1] for n in names]
    )
    held = []  # bool [values met together, candidates]
    for group in groups:
        code = np.zeros(len(candidates), int)
        for name in group:
            code = code * 10 + levels[names.index(name)]
        held.append(code == np.unique(code)[:, np.newaxis])
    holds = np.concatenate(held)
    missing, gain, chosen = np.ones(len(holds), bool), holds.sum(axis=0), []
    fields, used = np.arange(len(names))[:, np.newaxis], np.zeros((len(names), levels.max() + 1))
    while missing.any():
        best_of_all = np.flatnonzero(gain == gain.max())
        best = best_of_all[used[fields, levels[:, best_of_all]].sum(axis=0).argmin()]
        used[fields[:, 0], levels[:, best]] += 1
        chosen.append(candidates[best])
        new = missing & holds[:, best]
        missing &= ~new
        gain -= holds[new].sum(axis=0)
    return chosen


GROUPS = [*combinations(FACTORS, 2), *combinations(DANGEROUS, 3)]
CANDIDATES = [
    c for c in (Combination(*values) for values in product(*FACTORS.values())) if c.possible
]
COVER = covering(CANDIDATES, GROUPS)
PAIRS = covering(CANDIDATES, [*combinations(FACTORS, 2)])


def rows(source: str = "features", features: int = 3) -> np.ndarray:
    """Returns one sequence for each mask that `TIMESTEPS` can have, zeros where it masks."""
    generator = np.random.default_rng(11)
    real = np.array(list(product((False, True), repeat=TIMESTEPS)))
    if source == "tokens":
        return (generator.integers(1, VOCABULARY, real.shape) * real).astype("int32")
    values = generator.normal(size=(*real.shape, features))
    return (values * real[:, :, np.newaxis]).astype("float32")


def build(
    combinations: Sequence[Combination],
    units: int = 4,
    features: int = 3,
    heads: Sequence[str] | None = None,
) -> Any:
    """Returns one Keras model with an input and an output of its own for each combination.

    They share nothing but the file that they are written to.

    Args:
        heads: Names of the layers of four probabilities on top, if there are any.
    """
    import keras

    inputs, outputs = [], []
    for place, combination in enumerate(combinations):
        source, x = _source(combination, features, f"{combination.source}_{place}")
        if combination.form == "layer":
            for _ in range(combination.depth - 1):
                x = _layer(combination, units, "sequence")(x)
            x = _layer(combination, units, combination.returns)(x)
        else:
            x = _cells(combination, units, combination.depth, combination.returns)(x)
        if heads is not None:
            x = keras.layers.Dense(4, activation="sigmoid", name=heads[place])(x)
        inputs.append(source)
        outputs.append(x)
    return _widened(keras.Model(inputs, outputs), units)


def build_all_depths(combination: Combination, units: int = 4, features: int = 3) -> Any:
    """Returns a Keras model with an output for every depth, and for each a last one and all.

    The outputs are in the order of `product(FACTORS["depth"], FACTORS["returns"])`. Layers share
    those below them, which makes the whole product affordable.
    """
    import keras

    inputs, x = _source(combination, features, combination.source)
    outputs = []
    for depth in FACTORS["depth"]:
        for returns in FACTORS["returns"]:
            if combination.form == "layer":
                outputs.append(_layer(combination, units, returns)(x))
            else:
                outputs.append(_cells(combination, units, depth, returns)(x))
        if combination.form == "layer":
            x = outputs[-1]
    return _widened(keras.Model(inputs, outputs), units)


def _widened(model: Any, units: int) -> Any:
    """Gives the model random weights with which the state neither fades nor grows.

    What an untrained model answers hardly depends on its input: parity on it proves nothing.
    """
    generator = np.random.default_rng(4)
    model.set_weights(
        [generator.normal(scale=units**-0.5, size=w.shape) for w in model.get_weights()]
    )
    return model


def _source(combination: Combination, features: int, name: str) -> tuple[Any, Any]:
    import keras

    masked = combination.mask == "masked"
    if combination.source == "tokens":
        inputs = keras.Input((TIMESTEPS,), dtype="int32", name=name)
        return inputs, keras.layers.Embedding(VOCABULARY, features, mask_zero=masked)(inputs)
    inputs = keras.Input((TIMESTEPS, features), name=name)
    return inputs, keras.layers.Masking()(inputs) if masked else inputs


def _options(combination: Combination, units: int) -> dict[str, Any]:
    options: dict[str, Any] = {"units": units, "use_bias": combination.bias == "bias"}
    options |= ACTIVATIONS[combination.activation]
    if combination.cell == "rnn":
        gate = options.pop("recurrent_activation")
        if gate != "sigmoid":  # no gate to give it to
            options["activation"] = gate
    if combination.cell.startswith("gru"):
        options["reset_after"] = combination.cell == "gru"
    return options


def _layer(combination: Combination, units: int, returns: str) -> Any:
    from keras import layers

    kinds = {"rnn": layers.SimpleRNN, "lstm": layers.LSTM}
    kind = kinds.get(combination.cell, layers.GRU)
    return _directed(
        combination, returns, lambda **how: kind(**_options(combination, units), **how)
    )


def _cells(combination: Combination, units: int, depth: int, returns: str) -> Any:
    from keras import layers

    from keras_rnn_zoo.layers import CellLoop

    kinds = {"rnn": layers.SimpleRNNCell, "lstm": layers.LSTMCell}
    kind = kinds.get(combination.cell, layers.GRUCell)
    cells = [kind(**_options(combination, units)) for _ in range(depth)]
    if combination.form == "cell_loop":
        return CellLoop(cells, return_sequences=returns == "sequence")
    # Keras itself fails on a mask and a list of one cell.
    cell = cells if depth > 1 else cells[0]
    return _directed(combination, returns, lambda **how: layers.RNN(cell, **how))


def _directed(combination: Combination, returns: str, make: Callable[..., Any]) -> Any:
    from keras import layers

    layer = make(
        return_sequences=returns == "sequence",
        go_backwards=combination.direction == "backwards",
        zero_output_for_mask=combination.masked_output == "zero",
    )
    return layers.Bidirectional(layer) if combination.direction == "both" else layer
