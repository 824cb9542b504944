"""How many steps a loop takes in an iteration, and how many it projects at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras_rnn_zoo.export.lowering.cells import Cell, Chain
from keras_rnn_zoo.export.lowering.recurrence import Sequence

# Layers whose weights together are larger run one after the other, each over the whole sequence.
TOGETHER = 768 * 1024
# What is projected before a loop, in bytes: more of it would be most of the memory of a call.
BEFORE = 1024 * 1024
# Of cells whose weights take less the ops of each step take more of a file, and so few steps an
# iteration are almost as fast.
SMALL, FEW = 10 * 1024, 3
# Steps that are projected at once in a loop around the blocks: rows that the kernels of all cores
# fill, 6, 7 or 8 at a time. An inner loop costs as much as some ten steps each time it begins.
PART = 24
# The same where the outputs of all steps are kept, each of whose writes copies those of the part.
KEPT = 48
# Steps of an iteration, at most, where a file is to be small: each has ops of its own.
OPTIMIZED = {"size": 1, "balanced": 2}


@dataclass(frozen=True)
class Blocks:
    """The sizes of a loop.

    Attributes:
        steps: Time steps of a block, which an iteration takes.
        projected: Time steps whose inputs are projected at once: a multiple of `steps`, or all.
            `steps` where each iteration projects its own; all, before the loop; any other number,
            in a loop around it.
    """

    steps: int
    projected: int


def runs_as_one(chain: Chain) -> bool:
    """Whether layers on top of each other are better taken step by step than one by one."""
    return chain.weights * chain.products.weight_bytes <= TOGETHER


def blocks_of(cell: Cell, sequence: Sequence) -> Blocks:
    """Returns the sizes of the loop over a sequence.

    A step of a block has a copy of the recurrent weights of its own. An iteration reads all of
    them, so they should stay in the cache; it costs something by itself, which its steps share.
    """
    core, bytes_ = cell.products.core, cell.products.weight_bytes
    timesteps = sequence.inputs.shape[1]
    between = cell.weights - cell.step_weights if isinstance(cell, Chain) else 0
    room = core.copies - between * bytes_
    steps = min(
        max(1, room // max(1, cell.step_weights * bytes_)),
        OPTIMIZED.get(cell.products.optimize, core.steps),
        core.steps,
    )
    if cell.step_weights * bytes_ < SMALL:
        steps = min(steps, FEW)
    if timesteps > steps:
        # T / steps iterations, and what `steps` cost once: the least of both.
        steps = min(steps, max(1, math.isqrt(int(timesteps / core.starts))))
    steps = min(steps, timesteps)
    return Blocks(steps, _projected(cell, sequence, steps))


def _projected(cell: Cell, sequence: Sequence, steps: int) -> int:
    timesteps = sequence.inputs.shape[1]
    if steps == 1 and cell.products.optimize == "size" and sequence.mask is not None:
        return 1
    folded = sequence.lookup is not None and sequence.fold
    if sequence.return_sequences:
        # Arrays of a part, and not of all steps.
        return _multiple(KEPT, steps, timesteps)
    if folded or (sequence.mask is not None and cell.products.few_rows and steps > 1):
        return steps
    if sequence.mask is not None:
        return _multiple(PART, steps, timesteps)
    row = 4 * sequence.inputs.shape[0] * cell.projected_size(sequence.inputs.shape[2])
    return _multiple(BEFORE // max(1, row), steps, timesteps)


def _multiple(rows: int, steps: int, timesteps: int) -> int:
    """As many steps as `rows`, in whole blocks; all where most of them would be one part."""
    rows = max(rows // steps * steps, steps)
    return timesteps if 2 * rows > timesteps else rows
