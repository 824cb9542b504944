"""`lowering="auto"` and folding: what is tried, what is taken, what is remembered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from architectures import build, inputs_for, two_grus

from keras_rnn_zoo.errors import ConfigError, ExportError, UnknownNameError, VerificationError
from keras_rnn_zoo.export import LOWERINGS, TARGETS, export_tflite
from keras_rnn_zoo.export.cores import installation
from keras_rnn_zoo.export.cores.cores import CORES
from keras_rnn_zoo.export.formats import choose, tflite
from keras_rnn_zoo.export.formats.choose import Candidate, candidates, decides, explain, ranked
from keras_rnn_zoo.export.lowering.profiles import PROFILES
from keras_rnn_zoo.export.options import ExportOptions
from keras_rnn_zoo.export.tflite import contents
from keras_rnn_zoo.export.tflite.latency import machine


@pytest.fixture(scope="module")
def bilstm():
    model = build("bilstm")
    return model, inputs_for(model)


def measured(lowering, ms, size, fold=False):
    return Candidate(lowering, fold, bytes=size, median_ms=ms)


def test_auto_tries_every_lowering_and_says_what_it_took_and_why(bilstm, tmp_path):
    model, samples = bilstm
    result = export_tflite(model, tmp_path / "m.tflite", lowering="auto", samples=samples)
    choice = result.choice
    fixed = {name for name in TARGETS.get("litert").lowerings if not LOWERINGS.get(name).open_sizes}
    assert {tried.lowering for tried in choice.candidates} == fixed
    assert {tried.lowering for tried in choice.candidates if tried.fold_embedding} == {
        name for name in TARGETS.get("litert").lowerings if LOWERINGS.get(name).folds
    }
    assert all((tried.median_ms is None) == (tried.bytes is None) for tried in choice.candidates)
    (taken,) = (
        tried
        for tried in choice.candidates
        if (tried.lowering, tried.fold_embedding) == (choice.lowering, choice.fold_embedding)
    )
    assert taken.bytes == result.bytes and taken.problem is None
    assert set(result.lowering.values()) == {choice.lowering}
    assert bool(result.folded) == choice.fold_embedding
    assert choice.lowering in choice.reason and choice.machine
    pinned = export_tflite(
        model,
        tmp_path / "pinned.tflite",
        lowering=choice.lowering,
        fold_embedding=choice.fold_embedding,
        samples=samples,
    )
    assert pinned.bytes == result.bytes


def test_only_the_lowerings_that_are_named_are_tried(bilstm, tmp_path):
    model, samples = bilstm
    result = export_tflite(
        model,
        tmp_path / "m.tflite",
        lowering=["loop", "unrolled"],
        fold_embedding=False,
        samples=samples,
    )
    tried = [(one.lowering, one.fold_embedding) for one in result.choice.candidates]
    assert sorted(tried) == [("loop", False), ("unrolled", False)]


def test_what_cannot_be_said_in_a_lowering_takes_no_part(tmp_path):
    model = build("bigru_sequence_sum")
    result = export_tflite(model, tmp_path / "m.tflite", lowering="auto", samples=inputs_for(model))
    problems = {(c.lowering, c.fold_embedding): c.problem for c in result.choice.candidates}
    assert problems["fused", False].startswith("expresses no layer of this model: its cell is")
    assert "embedding" in problems["loop", True]


FOLDING = [name for name in TARGETS.get("litert").lowerings if LOWERINGS.get(name).folds]
# Every mode on one architecture; on each, every lowering in a mode whose products differ.
FOLDED = [
    *(("bilstm", "loop", mode) for mode in TARGETS.get("litert").quantizations()),
    *(
        (architecture, lowering, ("int8", "dynamic")[(place + turn) % 2])
        for place, architecture in enumerate(("bilstm", two_grus, "cell_loop", "simple_rnn"))
        for turn, lowering in enumerate(FOLDING)
        if (architecture, lowering) != ("bilstm", "loop")
    ),
]


@pytest.mark.parametrize("architecture, lowering, quantization", FOLDED)
def test_folded_file_answers_what_keras_answers(architecture, lowering, quantization, tmp_path):
    model = build(architecture)
    samples = inputs_for(model)
    result = export_tflite(
        model,
        tmp_path / "m.tflite",
        quantization=quantization,
        lowering=lowering,
        fold_embedding=True,
        samples=samples,
        representative_data=samples,
    )
    assert result.parity.passed and result.folded
    plain, folded = sorted(result.choice.candidates, key=lambda tried: tried.fold_embedding)
    assert folded.bytes == result.bytes
    assert plain.problem == "to compare with" and plain.median_ms > 0


def test_a_folded_table_takes_the_place_of_embedding_and_kernel(tmp_path):
    model = build("simple_rnn")
    samples = inputs_for(model)
    plain, folded = (
        export_tflite(model, tmp_path / f"{fold}.tflite", fold_embedding=fold, samples=samples)
        for fold in (False, True)
    )
    vocabulary, features, units = 40, 12, 8
    lost = 4 * (vocabulary * features + features * units + units)
    assert (
        contents.inspect(folded.path).float_weight_bytes
        - contents.inspect(plain.path).float_weight_bytes
        == 4 * vocabulary * units - lost
    )


def test_nothing_to_fold_is_said_and_nothing_is_written(tmp_path):
    model = build("bigru_sequence_sum")
    with pytest.raises(ExportError, match="nothing to fold"):
        export_tflite(model, tmp_path / "m.tflite", fold_embedding=True)
    assert not any(tmp_path.iterdir())


def test_unknown_lowerings_name_the_nearest(tmp_path, bilstm):
    model, _ = bilstm
    with pytest.raises(UnknownNameError, match="Did you mean 'auto'"):
        export_tflite(model, tmp_path / "m.tflite", lowering="atuo")
    with pytest.raises(UnknownNameError, match="Did you mean 'unrolled'"):
        export_tflite(model, tmp_path / "m.tflite", lowering=["loop", "unroled"])
    with pytest.raises(ConfigError, match="at least one"):
        export_tflite(model, tmp_path / "m.tflite", lowering=[])


def test_a_candidate_that_answers_something_else_is_passed_over(bilstm, tmp_path, monkeypatch):
    model, samples = bilstm
    real, seen = tflite.compare.compare_tflite, []

    def verify(path, *arguments, **settings):
        seen.append(path)
        if len(seen) == 1:
            raise VerificationError("the first is wrong")
        return real(path, *arguments, **settings)

    monkeypatch.setattr(tflite.compare, "compare_tflite", verify)
    result = export_tflite(
        model, tmp_path / "m.tflite", lowering=["loop", "unrolled"], samples=samples
    )
    wrong = [tried for tried in result.choice.candidates if tried.problem == "the first is wrong"]
    assert len(wrong) == 1
    assert wrong[0].bytes is not None and result.bytes != wrong[0].bytes


def test_too_many_steps_are_not_unrolled_unless_they_are_asked_for():
    most = LOWERINGS.get("unrolled").auto_timesteps
    for timesteps, tried in ((most, True), (most + 1, False)):
        (one, *_) = (
            c
            for c in candidates(ExportOptions(lowering="auto"), timesteps)
            if c.lowering == "unrolled"
        )
        assert (one.problem is None) == tried
    (named, _) = candidates(ExportOptions(lowering="unrolled", fold_embedding=True), most + 1)
    assert named.problem is None


def test_times_that_say_nothing_leave_the_smaller_file():
    large, small = measured("a", 1.00, 200), measured("b", 1.04, 100)
    slow = measured("c", 1.06, 50)
    assert ranked([large, slow, small], limited(1000)) == [small, large, slow]


def limited(size_limit, **options):
    return ExportOptions(size_limit=size_limit, **options)


def test_folding_counts_within_the_size_limit_or_when_it_is_asked_for():
    plain, folded = measured("a", 1.0, 100), measured("a", 0.5, 1001, fold=True)
    assert ranked([plain, folded], limited(1001))[0] == folded
    first, second = ranked([plain, folded], limited(1000))
    assert first == plain and "1,000 bytes" in second.problem
    compared = replace(plain, wanted=False)
    first, second = ranked([compared, folded], limited(1, fold_embedding=True))
    assert first == folded and second.problem == "to compare with"


def test_a_batch_is_folded_too(bilstm, tmp_path):
    model, samples = bilstm
    result = export_tflite(
        model, tmp_path / "m.tflite", fold_embedding=True, batch_size=3, samples=samples
    )
    assert result.parity.passed
    assert np.isfinite(result.parity.max_abs_logit)


@pytest.mark.parametrize(
    ("times", "size_limit", "why"),
    [
        ((0.5, 0.4), 4000, "loop, folded for phone, the fastest here:"),
        ((0.5, 0.4), 2000, "loop for phone, the fastest here within the limit:"),
        ((0.5, 0.49), 4000, "loop for phone, as fast as any here, and smaller:"),
        ((0.4, 0.5), 2000, "loop for phone, the fastest here:"),
    ],
)
def test_the_reason_is_the_one_that_decided(times, size_limit, why):
    plain, folded = times
    tried = [measured("loop", plain, 1000), measured("loop", folded, 3000, fold=True)]
    order = ranked(tried, limited(size_limit))
    choice = explain(order[0], order, "phone")
    assert choice.reason.startswith(why) and choice.core == "phone"


def test_a_core_that_was_named_decides_where_it_can_be_emulated(bilstm, tmp_path, monkeypatch):
    model, samples = bilstm
    options = {"lowering": ["loop", "unrolled"], "fold_embedding": False, "samples": samples}
    monkeypatch.setattr(installation, "find", lambda: None)
    here = export_tflite(model, tmp_path / "m.tflite", core="a55", **options).choice
    assert here.core == "cortex-a55" and "here" in here.reason and here.machine == machine()

    asked = []

    def slower_and_slower(paths, core, samples):
        asked.append(core.name)
        return [{"milliseconds": float(number)} for number, _ in enumerate(paths, 1)]

    monkeypatch.setattr(installation, "find", lambda: "set up")
    monkeypatch.setattr(choose, "benchmark_core", slower_and_slower)
    there = export_tflite(model, tmp_path / "m.tflite", core="a55", **options).choice
    assert asked == ["cortex-a55"] and there.lowering == "loop"
    assert "loop for cortex-a55, the fastest on a cortex-a55: loop 1.000 ms" in there.reason
    assert there.machine == "cortex-a55, emulated and modelled"
    # Cycles of these are not modelled.
    for name in ("phone", "x86-64", "cortex-a78"):
        assert decides(name) is None


def test_loops_suit_the_core(tmp_path):
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((50, 8)), layers.LSTM(64), layers.Dense(1)])
    x = np.random.default_rng(0).normal(size=(4, 50, 8)).astype("float32")
    found = {}
    for name, more in {
        "phone": {},
        "x86-64": {"core": "x86-64"},
        "small": {"core": "x86-64", "optimize": "size"},
        "balanced": {"core": "x86-64", "optimize": "balanced"},
    }.items():
        written = export_tflite(model, tmp_path / "m.tflite", samples=x, **more)
        assert written.parity.passed
        found[name] = (written.ops["TANH"], written.bytes)
    # Two in each step of an iteration, and in each that comes before.
    assert [ops for ops, _ in found.values()] == [4, 12, 2, 4]
    assert found["small"][1] < found["balanced"][1] < found["x86-64"][1]


@pytest.mark.parametrize("optimize", ["size", "balanced"])
def test_what_a_smaller_file_costs_is_said(bilstm, optimize, tmp_path):
    model, samples = bilstm
    path = tmp_path / "m.tflite"
    fastest = export_tflite(model, path, samples=samples)
    result = export_tflite(model, path, samples=samples, optimize=optimize)
    small, fast = result.choice.candidates
    assert (small.bytes, fast.bytes) == (result.bytes, fastest.bytes) and small.bytes < fast.bytes
    assert small.median_ms is not None and fast.median_ms is not None
    assert result.choice.reason.startswith(
        f"loop, {optimize} for phone, as asked: loop, {optimize} "
    )
    assert fast.problem == "to compare with" and result.choice.to_dict()["label"] == small.label
    assert fastest.choice is None


def test_cores_and_ways_to_optimize_that_are_none_are_named(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'a78'"):
        ExportOptions.of({"core": "a67"})
    with pytest.raises(UnknownNameError, match="'latency', 'size'"):
        ExportOptions.of({"optimize": "speed"})
    assert {*CORES} < {*PROFILES}


@pytest.mark.parametrize("lowering", ["fused", ["fused"]])
def test_folding_in_a_lowering_that_cannot_is_refused(lowering):
    with pytest.raises(ConfigError, match=r"'fused' cannot fold an embedding.*'loop'"):
        candidates(ExportOptions(lowering=lowering, fold_embedding=True), 20)
