"""`stream`: a line in, an answer out, as soon as it is known."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_rnn_zoo.cli import main
from keras_rnn_zoo.export import StreamingSession
from keras_rnn_zoo.export.bundle.bundle import Bundle

STEP = "--target micro --lowering step --quantization none --format tflite"
SETTINGS = "--set units=3 --set layers=1 --set mask=false --epochs 1"


@pytest.fixture(scope="session")
def sensor_bundle(tmp_path_factory) -> Path:
    """A bundle for windows of a log, which answers step by step."""
    place = tmp_path_factory.mktemp("stream")
    x = np.random.default_rng(0).normal(3, 2, (240, 2)).round(3)
    rows = [f"{i},{a},{'xyz'[i % 3]},{b},{'ab'[i // 20 % 2]}" for i, (a, b) in enumerate(x)]
    log = place / "log.csv"
    log.write_text("n,left,note,right,label\n" + "\n".join(rows) + "\n")
    options = f"--window 5 --value-columns left,right {SETTINGS}"
    assert main(f"train lstm --data {log} {options} -o {place}/run".split()) == 0
    assert main(f"export {place}/run {STEP} -o {place}/bundle".split()) == 0
    return place / "bundle"


@pytest.fixture(scope="session")
def text_bundle(tmp_path_factory, reviews) -> Path:
    """A bundle for texts that answers word by word."""
    place = tmp_path_factory.mktemp("stream")
    options = f"{SETTINGS} --set embedding_dim=3 --set timesteps=6"
    assert main(f"train gru --data {reviews} {options} -o {place}/run".split()) == 0
    assert main(f"export {place}/run {STEP} -o {place}/bundle".split()) == 0
    return place / "bundle"


@pytest.fixture
def stream(zoo, monkeypatch):
    """Runs `stream` on what standard input holds."""

    def run(source, given, options=""):
        given = given.encode() if isinstance(given, str) else given
        stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(given)))
        monkeypatch.setattr(sys, "stdin", stdin)
        return zoo(f"stream {source} {options}")

    return run


def test_a_log_as_in_training_is_answered_row_by_row(stream, sensor_bundle):
    log = (sensor_bundle.parent / "log.csv").read_text().splitlines()[:6]
    answer = stream(sensor_bundle, "\n".join(log) + "\n", "--json")
    assert (answer.code, answer.err) == (0, "")
    told = [json.loads(line) for line in answer.out.splitlines()]
    assert [one["step"] for one in told] == [1, 2, 3, 4, 5]
    x = np.array([[line.split(",")[1], line.split(",")[3]] for line in log[1:]], float)
    (expected,) = Bundle.load(sensor_bundle).predict([x])
    outputs = told[-1].pop("outputs")
    # 1e-6: what one float32 sum may differ by in another process.
    assert next(iter(outputs.values())) == pytest.approx([expected["scores"]["b"]], abs=1e-6)
    assert told[-1]["label"] == expected["label"]
    assert told[-1]["scores"] == pytest.approx(expected["scores"], abs=1e-6)
    lines = stream(sensor_bundle, "\n".join(log) + "\n").out.splitlines()
    assert lines[-1].startswith(f"5  {expected['label']}  {100 * expected['score']:.1f} %")


def test_the_columns_may_be_named(stream, sensor_bundle):
    given = "time,b,a\n0,2,1\n1,4,3\n"
    expected = stream(sensor_bundle, "1 2\n3 4\n").out
    assert stream(sensor_bundle, given, "--value-columns a,b").out == expected != ""
    answer = stream(sensor_bundle, given)
    assert answer.code == 1 and "names no column 'left'" in answer.error
    assert "--value-columns A,B" in answer.error


def test_words_are_answered_one_by_one_and_an_empty_line_begins_anew(stream, text_bundle):
    answer = stream(text_bundle, "A wonderful, moving\nfilm!\n...\n\ndull\n", "--json")
    told = [json.loads(line) for line in answer.out.splitlines()]
    assert [(one["step"], one["token"]) for one in told] == [
        (1, "a"),
        (2, "wonderful"),
        (3, "moving"),
        (4, "film"),
        (1, "dull"),
    ]
    expected = StreamingSession(text_bundle).answer("a wonderful moving film")
    assert {name: told[3][name] for name in expected} == expected
    assert answer.err == ""
    lines = stream(text_bundle, "film\n").out
    assert lines.startswith("1  ") and lines.endswith("%  film\n")


def test_lines_that_do_not_fit_are_marked_and_counted(stream, sensor_bundle):
    good = stream(sensor_bundle, "1 2\n3 4\n", "--json").out
    given = b"1 2\nnan 2\n1 x\n1\n\xff 1\n3 4\n"
    answer = stream(sensor_bundle, given, "--json")
    assert answer.code == 0 and answer.err == "4 lines did not fit and had no answer.\n"
    told = [json.loads(line) for line in answer.out.splitlines()]
    assert [one["line"] for one in told if "error" in one] == [2, 3, 4, 5]
    kept = [line for line in answer.out.splitlines(keepends=True) if "error" not in line]
    assert "".join(kept) == good
    answer = stream(sensor_bundle, given)
    assert "Line 3: 'x' is no number. Received: '1 x'\n" in answer.err
    assert len(answer.out.splitlines()) == 2


def test_arrays_and_files_are_answered_as_lines_are(stream, zoo, sensor_bundle, tmp_path):
    x = np.array([[1, 2], [3, 4]], np.float32)
    expected = stream(sensor_bundle, "1 2\n3 4\n", "--json").out
    np.savez(tmp_path / "x.npz", x=x)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "x.csv").write_text("right,left\n2,1\n4,3\n", encoding="utf-16")
    for name, options in (
        ("x.npz", ""),
        ("x.npy", ""),
        ("x.csv", ""),
        ("x.csv", "--encoding utf-16"),
    ):
        answer = zoo(f"stream {sensor_bundle} --input {tmp_path / name} --json {options}")
        assert answer.out == expected, name
    assert stream(sensor_bundle, (tmp_path / "x.npz").read_bytes(), "--json").out == expected
    np.savez(tmp_path / "many.npz", x=np.stack([x, x]))
    answer = zoo(f"stream {sensor_bundle} --input {tmp_path}/many.npz --json")
    assert answer.out == expected * 2
    content = (tmp_path / "x.npz").read_bytes()
    for bad, words in [
        (content[: len(content) // 2], "Standard input is damaged"),
        (b"1 2\n\0\0\0\n", "Line 2: It is not text"),
    ]:
        answer = stream(sensor_bundle, bad)
        assert words in answer.err, answer.err
    answer = stream(sensor_bundle, b"\xff\xfe\x00", "--encoding utf-16")
    assert "not utf-16 text" in answer.error and "--encoding" in answer.error


def test_a_file_alone_answers_with_its_outputs(stream, sensor_bundle):
    (file,) = Bundle.load(sensor_bundle).quantizations.values()
    (line,) = stream(file, "0.5,1\n", "--json").out.splitlines()
    told = json.loads(line)
    assert set(told) == {"step", "outputs"}
    ((values,),) = told["outputs"].values()
    assert stream(file, "0.5,1\n").out == f"1  {values:.6g}\n"


def test_what_cannot_stream_is_told_in_a_line(zoo, stream, exported, trained, tmp_path):
    (tmp_path / "bad.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(64)) * 4)
    for source, words in [
        (exported, "streaming=True (--streaming)"),
        (trained, "it is a run"),
        (tmp_path / "nothing", "There is no"),
        (tmp_path / "bad.tflite", "bad.tflite"),
    ]:
        answer = stream(source, "1 2\n")
        assert answer.code == 1 and words in answer.error and answer.out == ""
    answer = zoo(f"stream {exported} --quantization int4")
    assert "It has: 'none', 'int8'" in answer.error


def test_a_file_that_is_not_there_is_told_with_the_nearest(zoo, sensor_bundle, tmp_path):
    (tmp_path / "rows.csv").write_text("1 2\n")
    answer = zoo(f"stream {sensor_bundle} --input {tmp_path}/row.csv")
    assert answer.code == 1 and f"Did you mean '{tmp_path}/rows.csv'?" in answer.error
    answer = zoo(f"stream {sensor_bundle} --input {tmp_path}")
    assert answer.code == 1 and "Is a directory" in answer.error


def _started(bundle, *options, **pipes):
    # What is noise of TensorFlow is shown to whoever says how much of it.
    quiet = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.Popen(
        [sys.executable, "-m", "keras_rnn_zoo", "stream", str(bundle), *options],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=quiet,
        **{"stdout": subprocess.PIPE, **pipes},
    )


def _line(process) -> bytes:
    """The next line that is written; what never comes is no hang of the suite."""
    ready, _, _ = select.select([process.stdout], [], [], 120)
    assert ready, "no answer came"
    return process.stdout.readline()


def test_each_answer_comes_before_the_next_line_is_read(sensor_bundle):
    with _started(sensor_bundle) as process:
        for step, row in enumerate((b"1 2\n", b"3 4\n", b"5 6\n"), 1):
            process.stdin.write(row)
            process.stdin.flush()
            assert _line(process).startswith(f"{step}  ".encode())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, b"", b"")


def test_nobody_who_reads_on_ends_it_quietly(sensor_bundle):
    with _started(sensor_bundle) as process:
        process.stdin.write(b"1 2\n")
        process.stdin.flush()
        _line(process)
        process.stdout.close()
        process.stdin.write(b"3 4\n" * 2000)
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_nothing_imports_tensorflow(sensor_bundle, tmp_path):
    program = f"""
import sys
from keras_rnn_zoo.cli import main
code = main(["stream", {str(sensor_bundle)!r}, "--input", "rows.csv"])
print(code, [name for name in ("tensorflow", "keras", "matplotlib") if name in sys.modules])
"""
    (tmp_path / "rows.csv").write_text("1 2\n")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"
