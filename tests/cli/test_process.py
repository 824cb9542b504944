"""The process around a command: quiet, interruptible, and never a traceback."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from command_line import TINY, tree, words

from keras_rnn_zoo.cli import _process

ZOO = [sys.executable, "-m", "keras_rnn_zoo"]


def run(command, **arguments):
    environment = {**os.environ, "PYTHONWARNINGS": "", **arguments.pop("env", {})}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.run(
        [*ZOO, *words(command)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        **arguments,
    )


def test_export_says_its_own_lines_and_nothing_else(trained, tmp_path):
    result = run(f"export {trained} --quantization none --samples-count 8 -o {tmp_path}/bundle")
    assert result.returncode == 0, result.stderr
    starts = ("Loading", "Answering", "Writing", "All 2 exports")
    assert [line for line in result.stderr.splitlines() if not line.startswith(starts)] == []


@pytest.mark.parametrize("command", ["verify {}", "benchmark {} --repeats 20", "predict {} film"])
def test_a_bundle_is_used_without_noise(exported, command):
    result = run(command.format(exported))
    assert result.returncode == 0, result.stderr
    starts = ("Verifying", "Measuring")
    assert [line for line in result.stderr.splitlines() if not line.startswith(starts)] == []


@pytest.mark.parametrize(
    ("line", "noise"),
    [
        ("WARNING: All log messages before absl::InitializeLog() is called are written to", True),
        ("I0000 00:00:1795485619.581292    2921 port.cc:153] oneDNN custom operations", True),
        ("W0000 00:00:1795485619.581292    2921 gpu_device.cc:2344] Cannot dlopen some", True),
        ("E0000 00:00:1795485622.795719 2921 cuda_platform.cc:52] failed call to cuInit: I", True),
        ("2024-05-01 10:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN", True),
        ("To enable the following instructions: AVX2 FMA, in other operations, rebuild", True),
        ("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.", True),
        ("E0000 00:00:1795485622.795719 2921 gpu.cc:52] CUDA_ERROR_OUT_OF_MEMORY", False),
        ("F0000 00:00:1795485622.795719 2921 tensor.cc:12] Check failed: dtype()", False),
        ("terminate called after throwing an instance of 'std::bad_alloc'", False),
        ("Fatal Python error: Segmentation fault", False),
        ("ERROR: Encountered unresolved custom op", False),
    ],
)
def test_noise_is_told_from_errors(line, noise):
    assert _process.is_noise(line.encode()) is noise


def test_the_last_words_of_a_crash_come_through():
    program = """
import os
import re
from keras_rnn_zoo.cli import _process
with _process._filtered():
    os.write(2, b"I0000 00:00:1.2 3 port.cc:1] noise\\nlast ")
    os.write(2, b"words")
    os.abort()
"""
    result = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == -signal.SIGABRT
    assert result.stderr == b"last words"


def interrupted(command: str, ready, cwd, after: float = 0.0):
    """Runs a command, sends it Ctrl-C once it is ready, and returns its exit code and stderr."""
    process = subprocess.Popen(
        [*ZOO, *words(command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        start_new_session=True,
    )
    seen = ""
    assert process.stderr is not None
    while ready not in seen:
        line = process.stderr.readline()
        assert line, f"ended before it said {ready!r}: {seen}"
        seen += line
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out == ""
    return process.returncode, seen + err


def test_ctrl_c_in_training_keeps_the_best_epoch_and_only_our_own_lines_are_said(
    reviews, tmp_path, monkeypatch
):
    # Another backend, chosen for other programs, must not matter.
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("PYTHONWARNINGS", "")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    config = TINY.replace("--epochs 1", "--epochs 100000")
    code, err = interrupted(f"train rnn --data {reviews} {config} -o run", "epoch 1/", tmp_path)
    assert code == 130
    understood = ("Data  ", "Task  ", "Time steps", "Words  ", "Rows  ")
    first, *epochs, last = [x for x in err.splitlines() if not x.startswith(understood)]
    assert first.startswith("rnn: up to 100000 epochs of 32 rows a step")
    assert epochs and all(line.startswith("rnn: epoch ") for line in epochs)
    assert re.fullmatch(
        r"Interrupted\. run keeps epoch \d+, the best of the \d+ that ended\.", last
    )
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["interrupted"] is True


def test_ctrl_c_in_an_export_leaves_nothing(trained, tmp_path):
    before = tree(trained)
    code, err = interrupted(f"export {trained} -o bundle", "Writing model.tflite", tmp_path, 0.5)
    assert code == 130
    assert err.splitlines()[-1] == "Interrupted. Nothing is left half-written."
    assert "Traceback" not in err
    assert not any(tmp_path.iterdir())
    assert tree(trained) == before


@pytest.mark.parametrize(
    ("seconds", "number"),
    [(0.15, signal.SIGINT), (0.4, signal.SIGTERM), (0.8, signal.SIGINT), (1.5, signal.SIGTERM)],
)
def test_a_stop_while_libraries_are_imported_shows_no_traceback(reviews, tmp_path, seconds, number):
    process = subprocess.Popen(
        [*ZOO, *words(f"train gru --data {reviews} --epochs 9999 -o {tmp_path}/run")],
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    # Python ends with SIGINT where a KeyboardInterrupt, which we raise for SIGTERM too, met code
    # that an extension module had it run.
    assert process.returncode in (128 + number, -number, -signal.SIGINT)
    # Before our first line runs, Python itself answers.
    assert "Traceback" not in err or seconds < 0.4
    assert not any(tmp_path.iterdir())


def test_a_reader_that_goes_away_is_no_error():
    command = " ".join([*ZOO, "models", "--json"])
    result = subprocess.run(
        ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stderr == ""
    assert result.stdout.strip() in ("0", "141")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_result_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        result = subprocess.run(
            [*ZOO, "models"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: No space left on device.")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (MemoryError(), 1, "not enough memory"),
        (PermissionError(errno.EACCES, "Permission denied", "place"), 1, "place: Permission"),
        (OSError(errno.ENOSPC, "No space left on device", "place"), 1, "Free some space"),
        (ModuleNotFoundError("No module", name="tensorflow"), 1, "tensorflow is not installed"),
        (ValueError("two\nlines"), 70, "KERAS_RNN_ZOO_DEBUG=1"),
        (RecursionError(), 70, "KERAS_RNN_ZOO_DEBUG=1"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_whatever_is_raised_becomes_one_line(zoo, monkeypatch, raised, code, says):
    def explode(*args, **kwargs):
        raise raised

    monkeypatch.setattr("keras_rnn_zoo.builder.list_models", explode)
    answer = zoo("models")
    assert answer.code == code
    assert says in answer.err
    assert len(answer.err.splitlines()) == 1


def test_the_traceback_of_a_bug_is_shown_when_asked_for(capsys, monkeypatch):
    from keras_rnn_zoo.cli import main

    def explode(*args, **kwargs):
        raise ValueError("a bug")

    monkeypatch.setattr("keras_rnn_zoo.builder.list_models", explode)
    monkeypatch.setenv("KERAS_RNN_ZOO_DEBUG", "1")
    assert main(["models"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_an_import_that_swallows_ctrl_c_is_still_an_interruption(monkeypatch, capsys):
    stops = _process.Stops()
    monkeypatch.setattr(_process, "_command", lambda args: explode())

    def explode():
        stops.signal = signal.SIGINT
        raise ImportError("KeyboardInterrupt: <EMPTY MESSAGE>")

    assert _process._answer(["models"], stops) == 130
    assert "Interrupted." in capsys.readouterr().err


def test_a_second_ctrl_c_does_not_interrupt_the_cleaning_up():
    stops = _process.Stops()
    with pytest.raises(KeyboardInterrupt):
        stops._handle(signal.SIGINT, None)
    stops._handle(signal.SIGINT, None)
    stops._since -= 60
    with pytest.raises(KeyboardInterrupt):
        stops._handle(signal.SIGINT, None)


def test_ctrl_c_in_a_destructor_is_not_lost(capsys):
    class Late:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    stops = _process.Stops()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), stops.caught():
        late = Late()
        del late
        time.sleep(10)
    assert time.monotonic() - started < 5
    assert stops.signal == signal.SIGINT
    assert capsys.readouterr().err == ""
