"""Damaged files are refused, good ones pass: a part of what `benchmarks/mutations.py` measures."""

from __future__ import annotations

import mutations
import pytest

# Kinds that show in few units, in the sequence, in the states and in the answers alone.
QUICK = {
    "two gates swapped",
    "bias of the recurrence dropped",
    "state zeroed at each step",
    "mask ignored",
    "a scale halved",
    "state kept between calls",
    "rows shuffled",
    "the mean of all answers",
    "one answer to all",
}


# What float16 stores differs from float32 by less than any of these.
@pytest.mark.parametrize("mode", [mode for mode in mutations.MODES if mode != "float16"])
def test_damaged_files_are_refused_and_the_good_one_passes(mode):
    outcomes = list(mutations.damaged("review", mode, QUICK.__contains__))
    assert outcomes[0] is None  # the good one, which raises where it is refused
    changed = [each for each in outcomes[1:] if each.changed]
    assert {each.damage for each in changed} == QUICK
    assert not [(each.damage, each.moved) for each in changed if not each.refused]


@pytest.mark.slow
@pytest.mark.parametrize("mode", mutations.MODES)
@pytest.mark.parametrize("name", mutations.BUILDERS)
def test_nearly_all_damages_are_refused_on_every_task(name, mode):
    outcomes = list(mutations.damaged(name, mode))
    changed = [each for each in outcomes[1:] if each.changed]
    survivors = [each for each in changed if not each.refused]
    # Those that move answers by little more than counts as a change.
    assert len(changed) > 10 and len(survivors) <= 1
    assert all(each.moved < 2 * mutations.MOVED for each in survivors)
