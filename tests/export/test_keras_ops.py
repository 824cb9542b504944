"""The table of what a file can hold of `keras.ops` and `keras.layers` is what is so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from keras_ops import LEFT_OUT, build, expressions, markdown, outcome, sweep

DOCS = Path(__file__).parents[2] / "docs"
TABLE = json.loads((DOCS / "keras-ops.json").read_text())["outcomes"]


def quick() -> list[str]:
    """One expression for each op that is replaced, for each reason, and some of the others."""
    chosen: dict[object, str] = {}
    works = [e for e, o in TABLE.items() if o["status"] == "works"]
    for expression, known in TABLE.items():
        for kind in known.get("by", ()):
            chosen.setdefault(kind, expression)
        if "helps" in known:
            chosen.setdefault(known["helps"], expression)
    return list(dict.fromkeys([*chosen.values(), *works[:: max(1, len(works) // 6)]]))


def missing(expression: str) -> bool:
    """Whether the installed Keras lacks what the expression calls."""
    try:
        build(expression)
    except (NameError, AttributeError):
        return True
    except Exception:
        return False
    return False


def check(chosen):
    wrong = {}
    for expression, found in sweep(chosen):
        elsewhere = found["status"] == "not here" or missing(expression)
        if found != TABLE[expression] and not elsewhere:
            wrong[expression] = {"found": found, "table": TABLE[expression]}
    assert not wrong, json.dumps(wrong, indent=1)


def test_table_says_what_is_so():
    check(quick())


@pytest.mark.slow
def test_whole_table_says_what_is_so():
    check(TABLE)


def test_every_public_name_is_in_the_table_or_left_out_for_a_reason():
    import re

    import keras

    known = set(re.findall(r"[A-Za-z_]\w*", " ".join([*TABLE, *LEFT_OUT.values()])))
    places = (keras.ops, keras.ops.image, keras.layers)
    public = {
        name
        for place in places
        for name in dir(place)
        if not name.startswith("_") and callable(getattr(place, name))
    }
    assert not public - known


def test_page_shows_the_table_and_the_table_what_is_tried():
    assert (DOCS / "keras-ops.md").read_text() == markdown(TABLE)
    assert list(TABLE) == list(expressions())
    statuses = {known["status"] for known in TABLE.values()}
    assert statuses <= {"works", "replaced", "refused", "differs"}


def test_whatever_is_refused_comes_with_a_reason_and_a_way_out():
    for expression, known in TABLE.items():
        if known["status"] in ("refused", "differs"):
            assert known["why"] and known["helps"], expression


def test_a_file_that_answers_otherwise_is_noticed(monkeypatch):
    from keras_rnn_zoo.export.lowering.device_ops import REPLACEMENTS

    monkeypatch.setitem(REPLACEMENTS, "Tan", lambda op, x: x * 1.0001)
    assert outcome("tan(x)")["status"] == "differs"
    monkeypatch.delitem(REPLACEMENTS, "Tan")
    assert outcome("tan(x)")["status"] == "refused"


def test_a_crash_is_an_outcome_and_the_sweep_goes_on():
    found = dict(sweep(["np.lib and __import__('os')._exit(3)", "tanh(x)"]))
    statuses = [known["status"] for known in found.values()]
    assert statuses == ["crashed", "works"]
