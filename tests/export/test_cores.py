"""Files on Arm cores that are not at hand: what is counted, what is modelled, what is refused.

What needs the emulator is marked slow, and skips where it is not set up.
"""

from __future__ import annotations

import ctypes
import json
import platform
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from tflite_files import TIMESTEPS, convert_model, token_model, tokens

from keras_rnn_zoo.errors import (
    ConfigError,
    DataError,
    MissingClientError,
    OutputError,
    RunError,
    UnknownNameError,
)
from keras_rnn_zoo.export.cores import installation, measure, set_up
from keras_rnn_zoo.export.cores.cores import CORES, find_core, modelled
from keras_rnn_zoo.export.cores.emulate import Calls, emulate
from keras_rnn_zoo.export.cores.measure import benchmark_core
from keras_rnn_zoo.export.cores.reading import REST, kind_of, part_of, read_counts
from keras_rnn_zoo.export.tflite.isolated import Isolated

FMLA, SDOT, SMLAL = 0x4E22CC20, 0x4E829420, 0x0E628020  # v0, v1, v2
FADD, LOAD, ADD, BRANCH = 0x4E22D420, 0xF9400021, 0x8B020021, 0x54000040


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return convert_model(tmp_path_factory.mktemp("cores") / "m.tflite", token_model())


@pytest.fixture
def nothing_set_up(tmp_path, monkeypatch):
    monkeypatch.setenv(installation.VARIABLE, str(tmp_path / "arm"))
    return tmp_path / "arm"


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("name", ["cortex-a55", "a55", "A55", " Cortex-A55 "])
def test_a_core_is_found_by_both_its_names(name):
    assert find_core(name) is CORES["cortex-a55"]


@pytest.mark.parametrize(("name", "near"), [("cortex-a67", "cortex-a"), ("a75", "a7"), ("x", "")])
def test_an_unknown_core_is_refused(name, near):
    with pytest.raises(UnknownNameError, match=rf"Unknown core: '{name}'.*{near}.*'cortex-a53', "):
        find_core(name)


def test_no_time_is_said_of_a_core_whose_cycles_are_not_modelled():
    assert modelled("a76").model == "a76"
    with pytest.raises(ConfigError, match=r"cycles are not modelled.*Take cortex-a76"):
        modelled("a78")


# ------------------------------------------------------------------ set-up


def test_what_to_run_is_said_where_nothing_is_set_up(nothing_set_up, file):
    with pytest.raises(MissingClientError, match=f"not set up in {nothing_set_up}. Set it up with"):
        benchmark_core([file], "a55")


def test_a_set_up_that_is_not_whole_or_of_another_version_is_none(nothing_set_up):
    nothing_set_up.mkdir()
    record = nothing_set_up / installation.RECORD
    right = {
        "layout": installation.LAYOUT,
        "plugin": installation.sources_sha256(),
        "versions": {"numpy": "2"},
    }
    wrong = [{**right, "layout": 0}, {**right, "plugin": "0" * 64}, {**right, "versions": []}]
    for text in ("", "[]", "{}", *map(json.dumps, wrong)):
        record.write_text(text)
        assert installation.find() is None
        with pytest.raises(MissingClientError, match=r"is not set up in .* by this version"):
            installation.needed("It")
    record.write_text(json.dumps(right))
    assert installation.needed("It").versions == {"numpy": "2"}


def test_nothing_is_set_up_over_something_else(nothing_set_up, monkeypatch):
    monkeypatch.setattr(set_up, "check_machine", lambda: None)
    nothing_set_up.mkdir()
    (nothing_set_up / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="already holds something"):
        set_up.set_up()
    assert [one.name for one in nothing_set_up.iterdir()] == ["thesis.tex"]


def test_a_download_that_fails_leaves_nothing_behind(nothing_set_up, monkeypatch, capsys):
    monkeypatch.setattr(set_up, "check_machine", lambda: None)
    programs = nothing_set_up.parent / "bin"
    programs.mkdir()
    (programs / "apt-get").write_text("#!/bin/sh\necho 'E: no such mirror' >&2\nexit 100\n")
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setattr("sys.argv", ["set_up"])
    assert set_up.main() == 1
    assert "Error: 'apt-get -q update ...' failed: E: no such mirror" in capsys.readouterr().err
    assert not nothing_set_up.exists() and installation.find() is None


def test_machines_that_cannot_be_set_up_are_told_apart(monkeypatch, tmp_path):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(ConfigError, match=r"on x86-64\. Received: linux on aarch64"):
        set_up.check_machine()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(set_up, "KEYS", tmp_path / "keys")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(MissingClientError, match="apt-get install apt dpkg gcc libc6-dev"):
            set_up.check_machine()
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    with pytest.raises(MissingClientError, match="apt-get install debian-archive-keyring"):
        set_up.check_machine()
    (tmp_path / "keys").touch()
    set_up.check_machine()


# ------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *((word, "products") for word in (FMLA, SDOT, SMLAL)),
        (FADD, "vectors"),
        (LOAD, "memory"),
        (ADD, "integers"),
        (BRANCH, "branches"),
    ],
)
def test_instructions_are_told_apart(word, kind):
    assert kind_of(word) == kind


@pytest.mark.parametrize(
    ("function", "part"),
    [
        ("xnn_qs8_qc8w_gemm_minmax_fp32_ukernel_1x16c4__neondot", "products"),
        ("xnn_f32_vsigmoid_ukernel__neonfma_rr1_lut64_p2_nr2recps_u16", "elementwise"),
        ("_ZN6tflite12ArenaPlanner26ReleaseNonPersistentMemoryEv", "loop"),
        ("_ZN6tflite8Subgraph10InvokeImplEv", REST),
    ],
)
def test_functions_of_litert_are_known_by_name(function, part):
    assert part_of("libpywrap_litert_common.so", function) == part
    assert part_of("libc.so.6", "memcpy") == REST
    assert part_of("libm.so.6", "expf") == "elementwise"


def counts_file(path: Path, *blocks) -> Path:
    """What the plug-in writes: blocks of label, address, executions, cycles and words."""
    content = b""
    for label, address, executions, cycles, words in blocks:
        content += struct.pack("<QQQQI", label, address, executions, cycles, len(words))
        content += struct.pack(f"<{len(words)}I", *words)
    path.write_bytes(content)
    return path


def own_maps() -> list[list[str]]:
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    return [[words[0], words[2], words[5]] for words in lines if len(words) > 5]


def test_what_was_executed_is_told_by_function_and_label(tmp_path):
    # This process stands for the emulated one: its C library is mapped, and has a table of symbols.
    address = ctypes.cast(ctypes.CDLL(None).qsort, ctypes.c_void_p).value
    path = counts_file(
        tmp_path / "counts.bin",
        (1, address, 10, 25, [FMLA, ADD]),
        (1, address + 4, 2, 5, [ADD]),
        (2, address, 1, 0, [FADD]),
        (2, 16, 3, 0, [ADD]),
    )
    (tmp_path / "counts.bin.events").write_text("label ...\n1 22 3 1 0 7 0 2\n")
    found, events = read_counts(path, own_maps())
    ((library, function), count), *others = found[1].instructions.items()
    assert others == [] and "qsort" in function and library.startswith("libc")
    assert count == 22 and found[1].cycles.total() == 30
    assert found[1].kinds == {"products": 10, "integers": 12}
    assert found[2].instructions["?", "?"] == 3
    assert events[1].mispredicted == 1 and events[1].from_memory == 2


def test_the_calling_python_is_left_out(tmp_path):
    python = str(tmp_path / "python3.11")
    path = counts_file(tmp_path / "counts.bin", (1, 0x1000, 7, 0, [ADD]), (1, 0x9000, 1, 0, [ADD]))
    found, _ = read_counts(path, [["1000-2000", "0", python]])
    assert found[1].instructions == {("?", "?"): 1}


def test_counts_that_end_too_early_are_refused(tmp_path):
    path = counts_file(tmp_path / "counts.bin", (1, 0, 1, 1, [ADD, ADD]))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="end within a block"):
        read_counts(path, [])


# ------------------------------------------------------------------ what is emulated


def described(path, samples, calls=None):
    with Isolated() as process:
        return measure.describe(path, samples, calls, process)


def test_calls_are_taken_from_samples_spread_over_all(file):
    x = tokens(9)
    found = described(file, x, 3)
    taken = [next(iter(given.values())) for given in found.calls.calls]
    np.testing.assert_array_equal(np.concatenate(taken), x[[0, 4, 8]])
    assert (found.batch_size, found.steps) == (1, None)
    assert len(described(file, {"tokens": x}).calls.calls) == 3
    (alone,) = described(file, None).calls.calls
    assert next(iter(alone.values())).shape == (1, TIMESTEPS)


def test_samples_that_do_not_fit_are_refused_before_anything_is_emulated(file, tmp_path):
    with pytest.raises(RunError, match="takes arrays of the shape"):
        described(file, np.ones((2, 3), "int32"))
    with pytest.raises(DataError, match="there are none"):
        described(file, tokens(4)[:0])
    with pytest.raises(RunError, match="Cannot read"):
        described(tmp_path / "no.tflite", None)


def test_calls_that_are_none_are_refused(file, nothing_set_up):
    with pytest.raises(ConfigError, match="At least one call"):
        benchmark_core([file], "a55", calls=0)
    nowhere = installation.Installation(nothing_set_up, {})
    with pytest.raises(ConfigError, match="Received: 1 files, 0 calls"):
        emulate(find_core("a55"), [Calls(file, [])], nowhere)


# ------------------------------------------------------------------ the model of a core


class Instruction(ctypes.Structure):
    """`instruction` of plugin/model.h."""

    _fields_ = (
        ("sources", ctypes.c_uint8),
        ("source", ctypes.c_uint8 * 6),
        ("targets", ctypes.c_uint8),
        ("target", ctypes.c_uint8 * 5),
        *((name, ctypes.c_uint8) for name in ("accumulator", "written_back", "kind", "port")),
        *((name, ctypes.c_uint8) for name in ("units", "occupies")),
        *((name, ctypes.c_bool) for name in ("wide", "load", "store", "branch", "conditional")),
        *((name, ctypes.c_bool) for name in ("indirect", "call", "returns", "serial")),
    )


class Access(ctypes.Structure):
    """`access_t` of plugin/model.h."""

    _fields_ = (("index", ctypes.c_uint32), ("store", ctypes.c_bool), ("address", ctypes.c_uint64))


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("the plug-in is compiled with gcc")
    path = tmp_path_factory.mktemp("plugin") / "plugin.so"
    set_up.build_plugin(path)
    return path


@pytest.fixture
def run(tmp_path, plugin):
    """Returns what runs words on a core that has just started, and says the cycles of each turn."""
    shutil.copy(plugin, tmp_path / "plugin.so")  # loaded anew: what it holds is not shared
    # What QEMU brings is missing, and only looked for where it is called.
    library = ctypes.CDLL(str(tmp_path / "plugin.so"), mode=1)
    library.find_core.restype = ctypes.c_void_p
    library.run_block.restype = ctypes.c_uint64

    def run(core, words, turns, accesses=()):
        ctypes.c_void_p.in_dll(library, "core").value = library.find_core(core.encode())
        library.make_caches()
        block = (Instruction * len(words))()
        for number, word in enumerate(words):
            library.decode(word, ctypes.byref(block[number]))
        given = (Access * max(len(accesses), 1))(*accesses)
        address = ctypes.c_uint64(0x10000)
        return [
            library.run_block(block, len(words), address, ctypes.c_uint64(0), given, len(accesses))
            for _ in range(turns)
        ]

    run.decode = library.decode
    return run


def fmla(target: int, *, of: int = 1) -> int:
    """FMLA vTARGET.4s, vOF.4s, v2.4s"""
    return 0x4E22CC00 | of << 5 | target


def test_products_that_wait_for_each_other_take_their_latency(run):
    # An A55 multiplies 128 bits a cycle; a sum goes on to the next product after 4 cycles.
    assert run("a55", [fmla(3)] * 16, 4)[-1] == 4 * 16


def test_products_that_do_not_wait_take_a_cycle_each(run):
    assert run("a55", [fmla(16 + number % 8) for number in range(16)], 4)[-1] == 16


def test_a_core_out_of_order_has_two_pipes_for_products(run):
    words = [fmla(16 + number % 8) for number in range(64)]
    assert run("a76", words, 4)[-1] == pytest.approx(32, abs=1)


def test_a_load_that_misses_waits_for_memory_and_the_next_one_does_not(run):
    # LDR x1, [x1] and ADD x1, x1, x2, which waits for it
    cold, warm, *_ = run("a55", [LOAD, ADD], 2, [Access(0, False, 0x5000000)])
    assert cold >= 200 > 20 > warm


def test_instructions_say_what_they_read_and_write(run):
    def decoded(word):
        one = Instruction()
        run.decode(word, ctypes.byref(one))
        return list(one.source[: one.sources]), list(one.target[: one.targets])

    assert ctypes.sizeof(Instruction) == 28
    run("a55", [ADD], 1)
    assert decoded(fmla(3)) == ([33, 34, 35], [35])
    assert decoded(FADD) == ([33, 34], [32])
    assert decoded(LOAD) == ([1], [1])
    assert decoded(ADD) == ([1, 2], [1])
    assert decoded(0xA9BF7BFD) == ([31, 29, 30], [])  # STP x29, x30, [sp, #-16]!
    assert decoded(0x4CDF2800) == ([0], [32, 33, 34, 35])  # LD1 {v0-v3}, [x0], #64
    assert decoded(BRANCH) == ([64], [])


# ------------------------------------------------------------------ emulated


@pytest.fixture(scope="module")
def installed():
    found = installation.find()
    if found is None:
        pytest.skip(f"the emulator is not set up: {installation.COMMAND}")
    return found


@pytest.mark.slow
def test_a_file_answers_and_costs_on_every_core(file, installed):
    x = tokens(2)
    index = next(iter(described(file, x).calls.calls[0]))
    with Isolated() as process:
        (answers,) = process.answer(file, {"tokens": x[:1]})
    for name, core in CORES.items():
        (found,) = emulate(core, [Calls(file, [{index: x[:1]}])], installed)
        np.testing.assert_allclose(found.answers[0], next(iter(answers.values()))[0], rtol=1e-5)
        (row,) = benchmark_core([file], name, x)
        assert 1_000 < row["instructions"] < 100_000, name
        parts = sum(part["instructions"] for part in row["parts"].values())
        assert parts == pytest.approx(row["instructions"], abs=len(row["parts"]))
        assert ("milliseconds" in row) == (core.model is not None)
        if core.model is not None:
            assert row["milliseconds"] * core.megahertz * 1e3 == pytest.approx(row["cycles"], abs=1)
        json.dumps(row, allow_nan=False)


@pytest.mark.slow
def test_instructions_are_the_same_each_time(file, installed):
    first, second = (benchmark_core([file], "a78", tokens(2))[0] for _ in range(2))
    # What Linux hands out differs a little from run to run: paths, memory.
    assert first["instructions"] == pytest.approx(second["instructions"], rel=0.02)


@pytest.mark.slow
def test_a_file_that_only_crashes_there_is_said_to(installed, tmp_path, file):
    from dataclasses import replace

    wrong = replace(find_core("a55"), emulated="no-such-cpu")
    with pytest.raises(
        RunError, match=r"m.tflite does not run on the emulated core: .*no-such-cpu"
    ):
        emulate(wrong, [Calls(file, [{0: tokens(1)}])], installed)
