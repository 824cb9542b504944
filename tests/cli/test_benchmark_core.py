"""`benchmark --core`: what a file costs on an Arm core that is not at hand."""

from __future__ import annotations

import json

import pytest

from keras_rnn_zoo.export.cores import installation


@pytest.fixture
def nothing_set_up(tmp_path, monkeypatch):
    monkeypatch.setenv(installation.VARIABLE, str(tmp_path / "arm"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--core a57", "Unknown core: 'a57'. Did you mean"),
        ("--core a55", "To measure on a cortex-a55 needs the emulator of Arm cores, which is not"),
        ("--core a55 --threads 1", "--threads is for times of this machine, and --core emulates"),
        ("--core a55 --seconds 3", "--seconds is for times of this machine"),
    ],
)
def test_what_cannot_be_emulated_is_told(zoo, nothing_set_up, options, message):
    answer = zoo(f"benchmark nowhere.tflite {options}")
    assert answer.code != 0 and message in answer.error


def test_a_limit_of_a_search_names_a_core_that_there_is(zoo, nothing_set_up, tmp_path):
    answer = zoo(f"search gru --data no.csv --max-latency 2ms@a57 -o {tmp_path}/s")
    assert answer.code == 2 and "'--max-latency': Unknown core: 'a57'" in answer.error
    answer = zoo(f"search gru --data no.csv --max-latency 2ms@a55 -o {tmp_path}/s")
    assert answer.code == 1 and f"Set it up with: {installation.COMMAND}" in answer.error


@pytest.mark.slow
def test_a_bundle_and_its_file_cost_what_they_cost(zoo, exported):
    if installation.find() is None:
        pytest.skip(f"the emulator is not set up: {installation.COMMAND}")
    answer = zoo(f"benchmark {exported} --core a55")
    assert answer.code == 0 and "at 2.0 GHz" in answer.out and "factor of 1.5" in answer.out
    assert "copying and dispatch" in answer.out
    rows = json.loads(zoo(f"benchmark {exported} --core cortex-a55 --json").out)
    assert {row["core"] for row in rows} == {"cortex-a55"}
    for row in rows:
        assert f"{row['instructions'] / 1e6:,.3f}"[:-1] in answer.out
        (alone,) = json.loads(zoo(f"benchmark {exported}/{row['file']} --core a55 --json").out)
        # Full-length inputs, where the bundle's samples are as long as they are.
        assert row["milliseconds"] / 1.2 < alone["milliseconds"] < 5 * row["milliseconds"]
    answer = zoo(f"benchmark {exported} --core a78")
    assert answer.code == 0 and "time" not in answer.out.splitlines()[0]
