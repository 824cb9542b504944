"""Every lowering answers what Keras answers, whatever a recurrent layer was told."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, product

import numpy as np
import pytest
from combinations import (
    CANDIDATES,
    COVER,
    DANGEROUS,
    FACTORS,
    PAIRS,
    TIMESTEPS,
    Combination,
    build,
    build_all_depths,
    rows,
)
from lowered import Lowered

from keras_rnn_zoo.export import TARGETS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.tflite.contents import inspect

# float32 sums in another order, over 15 steps of 4 units that answer up to 10: a few ulp.
TOLERANCE = 1e-5
INVOKES = 3


def masks(numbers):
    """The masks of rows by their numbers, as people read them."""
    return ", ".join(format(number, "05b") for number in numbers)


def differing(received, expected):
    """Returns which rows differ; NaN differs."""
    difference = np.abs(np.asarray(received) - expected).reshape(len(expected), -1)
    return np.flatnonzero(~(difference <= TOLERANCE).all(axis=1))


# ------------------------------------------------------------------------------- the whole product

LAYERS = [
    Combination(cell, form, direction, 1, "last", "unmasked", activation, bias, 1)
    for cell, form, direction in product(
        FACTORS["cell"], ("layer", "cell_loop"), FACTORS["direction"]
    )
    for activation in FACTORS["activation"]
    for bias in FACTORS["bias"]
    if form == "layer" or direction == "forward"
]
# What a step computes has nothing to do with the order of the steps: in each order each cell meets
# tanh and one other activation, one of them without a bias. All of them are for `-m slow`.
QUICK = {
    one
    for place, order in enumerate(dict.fromkeys((one.cell, one[1:3]) for one in LAYERS))
    for one in LAYERS
    if (one.cell, one[1:3]) == order
    for turn in [(place + place // 4) % 2]
    if (one.activation, one.bias)
    in (("tanh", FACTORS["bias"][turn]), (("relu", "hard")[turn], FACTORS["bias"][1 - turn]))
}


def expresses(lowering, layer):
    """Whether the lowering differs from the one that takes what it refuses: see `test_fused`."""
    return lowering != "fused" or (layer.cell, layer.activation) == ("lstm", "tanh")


def with_lowerings(layers):
    return [
        pytest.param(one, name, marks=() if one in QUICK else pytest.mark.slow)
        for one in layers
        for name in TARGETS.get("litert").lowerings
        if expresses(name, one)
    ]


LAYER_FIELDS = ("cell", "form", "direction", "activation", "bias")
# One sequence alone takes other ways through a lowering than several together.
ALONE = 0b01101


@lru_cache(maxsize=1)  # the lowerings are next to each other in the order of the tests
def answered(layer):
    """Returns, masked and not, a model with all depths and what Keras answers."""
    found = []
    for mask in FACTORS["mask"]:
        model = build_all_depths(layer._replace(mask=mask))
        found.append((mask, model, [np.asarray(output) for output in model(rows())]))
    return found


@pytest.mark.parametrize(
    "layer, lowering",
    with_lowerings(LAYERS),
    ids=lambda one: (
        one if isinstance(one, str) else "-".join(getattr(one, name) for name in LAYER_FIELDS)
    ),
)
def test_layer_answers_what_keras_answers_at_every_depth_and_mask(layer, lowering):
    x, wrong = rows(), []
    for mask, model, expected in answered(layer):
        lowered = Lowered(model, lowering)
        together = lowered(x)
        # Masked with one activation and unmasked with another: a call is what takes the time.
        takes_one = (mask == "masked") == (layer.activation == "tanh")
        alone = lowered(x[ALONE : ALONE + 1]) if takes_one else None
        outputs = product(FACTORS["depth"], FACTORS["returns"])
        for place, (depth, returns) in enumerate(outputs):
            # A model that hardly looked at its input would prove nothing.
            assert np.ptp(expected[place], axis=0).max() > 1000 * TOLERANCE
            combination = layer._replace(depth=depth, returns=returns, mask=mask)
            if (numbers := differing(together[place], expected[place])).size:
                wrong.append(f"{combination._replace(batch=len(x)).name}: {masks(numbers)}")
            if alone and differing(alone[place], expected[place][ALONE : ALONE + 1]).size:
                wrong.append(f"{combination.name}: {masks([ALONE])}")
    assert not wrong


# ---------------------------------------------------------------------------------- real files


def test_covers_hold_every_pair_of_choices_and_one_the_dangerous_triples():
    for cover, groups in ((PAIRS, ()), (COVER, combinations(DANGEROUS, 3))):
        for names in (*combinations(FACTORS, 2), *groups):
            places = [list(FACTORS).index(name) for name in names]
            held = {tuple(combination[place] for place in places) for combination in cover}
            assert held == {tuple(candidate[place] for place in places) for candidate in CANDIDATES}


def test_every_order_of_steps_meets_tanh_and_every_cell_every_activation_and_bias():
    def held(layers, *names):
        return {tuple(getattr(one, name) for name in names) for one in layers}

    order = ("cell", "form", "direction")
    tanh = [one for one in QUICK if one.activation == "tanh"]
    assert held(tanh, *order) == held(LAYERS, *order)
    assert held(QUICK, "cell", "activation") == held(LAYERS, "cell", "activation")
    assert held(QUICK, *order, "bias") == held(LAYERS, *order, "bias")


@lru_cache(maxsize=1)  # the lowerings are next to each other in the order of the tests
def side_by_side(combinations):
    """Returns a model with an output for each combination, its inputs, and what Keras answers."""
    import keras

    model, x = build(combinations), [rows(combination.source) for combination in combinations]
    return model, x, [np.asarray(answer) for answer in keras.tree.flatten(model(x))]


# What unrolled steps are, and loops of any length, is held against Keras above; in files, the
# default meets the triples, and the op that says a whole layer, which has the fewest of them.
FILES = [
    (lowering, COVER if lowering in ("loop", "fused") else PAIRS)
    for lowering in TARGETS.get("litert").lowerings
] + [
    pytest.param(lowering, COVER, marks=pytest.mark.slow)
    for lowering in TARGETS.get("litert").lowerings
    if lowering not in ("loop", "fused")
]


@pytest.mark.parametrize(
    "lowering, cover", FILES, ids=lambda one: one if isinstance(one, str) else f"{len(one)}"
)
@pytest.mark.parametrize("batch_size", FACTORS["batch"])
def test_file_answers_what_keras_answers_to_every_mask(lowering, cover, batch_size, tmp_path):
    together = tuple(c for c in cover if c.batch == batch_size and expresses(lowering, c))
    model, x, expected = side_by_side(together)
    path = tmp_path / "model.tflite"
    export_tflite(model, path, lowering=lowering, batch_size=batch_size, verify=False)
    file, known, wrong = TFLiteModel(path), KerasModel(model), set()
    for start in range(0, len(x[0]), batch_size):
        # The last batch is filled with the last row.
        numbers = np.arange(start, start + batch_size).clip(max=len(x[0]) - 1)
        file.set_inputs(
            {spec.name: each[numbers] for spec, each in zip(known.inputs, x, strict=True)}
        )
        for invoke in range(INVOKES):
            answers = file.invoke()
            for combination, name, right in zip(together, known.outputs, expected, strict=True):
                if (rows_wrong := differing(answers[name], right[numbers])).size:
                    where = f"invoke {invoke + 1}: {masks(numbers[rows_wrong])}"
                    wrong.add(f"{combination.name}, {where}")
    assert not wrong


# -------------------------------------------------------------------------------- quantized files

KINDS = {
    "rnn": {"cell": "rnn"},
    "lstm": {},
    "gru": {"cell": "gru"},
    "gru_reset_before": {"cell": "gru_reset_before"},
    "bidirectional": {"direction": "both"},
    "stacked": {"cell": "gru", "depth": 2},
    "cell_loop": {"form": "cell_loop", "depth": 2},
}
PLAIN = Combination("lstm", "layer", "forward", 1, "last", "masked", "tanh", "bias", 1)
# What lowerings other than the default quantize on ways of their own.
OTHERWISE = ("lstm", "bidirectional", "stacked")
# The converter quantizes tensors of so many elements and more.
LARGE = 1024
WIDTH = 32


# Each kind in each mode as the default lowering has it; what others make of it, in the modes that
# look at more than weights. Without quantization all of them are above, and resizable files have
# the modes in `test_resizable`.
QUANTIZED = [
    (quantization, lowering, tuple(KINDS) if lowering == "loop" else OTHERWISE)
    for quantization in TARGETS.get("litert").quantizations()
    for lowering in TARGETS.get("litert").lowerings
    if quantization != "none"
    if lowering == "loop" or (quantization in ("dynamic", "int8") and lowering != "resizable")
]


@pytest.mark.parametrize("quantization, lowering, kinds", QUANTIZED)
def test_quantized_file_keeps_its_tolerance_on_every_mask(quantization, lowering, kinds, tmp_path):
    heads = [f"head_of_{kind}" for kind in kinds]
    model = build([PLAIN._replace(**KINDS[kind]) for kind in kinds], WIDTH, WIDTH, heads)
    x = {spec.name: rows(features=WIDTH) for spec in KerasModel(model).inputs}
    # Answers each row three times over, and raises where one is beyond the mode's tolerance.
    result = export_tflite(
        model,
        tmp_path / "model.tflite",
        quantization=quantization,
        representative_data=x,
        samples=x,
        lowering=lowering,
    )
    assert result.parity is not None and {each.name for each in result.parity.each} == set(heads)
    assert result.parity.lengths == tuple(range(TIMESTEPS + 1))
    # The mode did what it says to every kernel, or this test would prove nothing.
    sizes = inspect(result.path).weights
    large = sum(w.size for w in model.get_weights() if w.size >= LARGE)
    assert sizes.get("INT8", 0) + sizes.get("FLOAT16", 0) >= large
