"""Whatever a user gets wrong: one clear line, a non-zero exit code, and nothing is lost.

Ctrl-C at any moment is in test_process.py.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import TINY, tree, words, write_reviews

X = np.arange(160, dtype=np.float32).reshape(20, 4, 2)
Y = np.arange(20) % 2


def table(path: Path, rows, head=("text", "label")) -> Path:
    stream = io.StringIO()
    csv.writer(stream).writerows([head, *rows])
    path.write_text(stream.getvalue(), encoding="utf-8")
    return path


def arrays(path: Path, **values) -> Path:
    np.savez(path, **values)
    return path


def changed(array: np.ndarray, value) -> np.ndarray:
    array = array.copy()
    array[7, 2, 1] = value
    return array


def ragged() -> np.ndarray:
    rows = np.empty(20, dtype=object)
    for i in range(20):
        rows[i] = [1] * (1 + i % 3)
    return rows


class Trap:
    """Would run code if it was unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("unpickled",))


def pickled(path: Path) -> Path:
    """An NPZ archive whose array x is a pickle that runs code."""
    content = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(content, header)
    content.write(pickle.dumps(Trap()))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content.getvalue())
        archive.writestr("y.npy", content.getvalue())
    return path


def directory(path: Path) -> Path:
    path.mkdir()
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


REVIEWS = [
    (f"a {word} film {i}", label)
    for i in range(8)
    for word, label in (("good", "pos"), ("bad", "neg"))
]

# name: what the data are (a function of an empty directory), and what the answer must say.
DATA = {
    "missing file": (lambda d: d / "nothing.csv", "No such file"),
    "missing directory": (lambda d: d / "nowhere" / "x.npz", "No such file"),
    "directory": (lambda d: directory(d / "data.csv"), "is a directory"),
    "empty file": (lambda d: written(d / "x.csv", b""), "is empty (0 bytes)"),
    "empty archive": (lambda d: written(d / "x.npz", b""), "is empty (0 bytes)"),
    "empty gzip": (lambda d: written(d / "x.csv.gz", gzip.compress(b"")), "has no header"),
    "header only": (lambda d: table(d / "x.csv", []), "no rows"),
    "unknown kind of file": (lambda d: written(d / "x.docx", b"PK"), "what kind of data"),
    "wrong column": (
        lambda d: table(d / "x.csv", REVIEWS, ("txt", "label")),
        "no column 'text'. Did you mean 'txt'?",
    ),
    "no header": (lambda d: table(d / "x.csv", REVIEWS[1:], REVIEWS[0]), "no column 'text'"),
    "one class only": (
        lambda d: table(d / "x.csv", [(text, "pos") for text, _ in REVIEWS]),
        "the same label ('pos')",
    ),
    "one class only, arrays": (lambda d: arrays(d / "x.npz", x=X, y=Y * 0), "the same label"),
    "a label for every row": (
        lambda d: table(d / "x.csv", [(f"text {i}", f"id {i}") for i in range(60)]),
        "check that the label column is the right one",
    ),
    "empty label": (
        lambda d: table(d / "x.csv", [*REVIEWS, ("text", " ")]),
        "line 18: the label is missing",
    ),
    "too few rows": (lambda d: table(d / "x.csv", REVIEWS[:2]), "too few rows"),
    "rows of different lengths": (
        lambda d: table(d / "x.csv", [*REVIEWS, ("a", "text", "pos")]),
        "line 18: 3 fields",
    ),
    "unfinished quotes": (lambda d: written(d / "x.csv", b'text,label\n"a,pos,x\n'), "well-formed"),
    "not UTF-8": (lambda d: written(d / "x.csv", b"text,label\ncaf\xe9,pos\n"), "0xe9"),
    "binary": (lambda d: written(d / "x.csv", bytes(range(256)) * 9), "not UTF-8"),
    "no gzip": (lambda d: written(d / "x.csv.gz", b"text,label\n"), "not gzip"),
    "half a gzip": (
        lambda d: written(d / "x.csv.gz", gzip.compress(b"text,label\nx,y\n" * 99)[:40]),
        "damaged or not gzip",
    ),
    "NaN": (lambda d: arrays(d / "x.npz", x=changed(X, np.nan), y=Y), "Row 8, time step 3"),
    "infinity": (lambda d: arrays(d / "x.npz", x=changed(X, np.inf), y=Y), "Row 8, time step 3"),
    "too large for float32": (
        lambda d: arrays(d / "x.npz", x=changed(X.astype(np.float64), 1e300), y=Y),
        "Row 8, time step 3",
    ),
    "NaN among targets": (
        lambda d: arrays(d / "x.npz", x=X, y=np.where(Y == 1, np.nan, 0.5)),
        "Row 2 has a target that is NaN",
    ),
    "ragged rows": (lambda d: arrays(d / "x.npz", x=ragged(), y=Y), "only pickle could read"),
    "a pickle": (lambda d: pickled(d / "x.npz"), "only pickle could read"),
    "a pickle by itself": (
        lambda d: written(d / "x.npz", pickle.dumps(Trap())),
        "damaged or not an NPZ archive",
    ),
    "other arrays": (lambda d: arrays(d / "x.npz", features=X, target=Y), "It needs the arrays"),
    "one array": (lambda d: arrays(d / "x.npz", x=X), "It needs the arrays"),
    "half an archive": (
        lambda d: written(d / "x.npz", arrays(d / "y.npz", x=X, y=Y).read_bytes()[:300]),
        "damaged or not an NPZ archive",
    ),
    "inputs and labels that do not pair up": (
        lambda d: arrays(d / "x.npz", x=X, y=Y[:5]),
        "20 inputs and 5 labels",
    ),
    "too many dimensions": (lambda d: arrays(d / "x.npz", x=X[..., None], y=Y), "has shape"),
    "no rows": (lambda d: arrays(d / "x.npz", x=X[:0], y=Y[:0]), "no rows"),
    "padding only": (
        lambda d: arrays(d / "x.npz", x=np.zeros((20, 3), int), y=Y),
        "is padding (0)",
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_data_that_cannot_be_learnt_from(zoo, tmp_path, monkeypatch, name):
    make, says = DATA[name]
    monkeypatch.chdir(tmp_path)
    data = make(tmp_path)
    before = tree(tmp_path)
    answer = zoo(["train", "gru", "--data", data, "-o", "run"])
    assert answer.code == 1
    assert says in answer.error
    assert answer.out == ""
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["train gru", "compare gru", "search gru"])
@pytest.mark.parametrize("name", ["missing file", "wrong column", "one class only", "NaN"])
def test_every_command_that_learns_refuses_such_data(zoo, tmp_path, monkeypatch, command, name):
    make, says = DATA[name]
    monkeypatch.chdir(tmp_path)
    data = make(tmp_path)
    before = tree(tmp_path)
    answer = zoo([*words(command), "--data", data, "-o", "result"])
    assert answer.code == 1
    assert says in answer.error
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        ([("a film", "pos"), ("a film", "neutral")], "", "Row 2 has the label 'neutral'"),
        ([("a film", "Pos")], "", "Did you mean 'pos'?"),
        ([("a film", "pos")], "--task regression", "is no number"),
        ([("a film", "pos")], "--task sequence_labelling", "a label for each word"),
        ([("a film", "pos")], "--text-column label", "both 'label'"),
        ([("a film", "pos")], "--label-column stars", "no column 'stars'"),
    ],
)
def test_test_data_and_settings_that_do_not_fit(zoo, tmp_path, rows, options, says):
    train, test = table(tmp_path / "train.csv", REVIEWS), table(tmp_path / "test.csv", rows)
    before = tree(tmp_path)
    command = f"train gru --data {train} --test-data {test} {options} -o {tmp_path}/run"
    answer = zoo(command)
    assert answer.code == 1
    assert says in answer.error
    assert tree(tmp_path) == before


def test_numbers_that_cannot_be_parsed(zoo, tmp_path):
    data = table(tmp_path / "x.csv", [("a film", "1.5"), ("a story", "2,x")] * 9)
    answer = zoo(f"train gru --data {data} --task regression -o {tmp_path}/run")
    assert answer.code == 1
    assert "Row 2 has the target '2,x', which is no number" in answer.error


@pytest.mark.usefixtures("eager")
def test_a_model_that_diverges_is_an_error_and_no_run(zoo, tmp_path):
    data = arrays(tmp_path / "x.npz", x=X, y=X[:, 0, 0].astype(np.float64))
    before = tree(tmp_path)
    small = "--set units=2 --set layers=1 --epochs 2 --learning-rate 1e30"
    answer = zoo(f"train rnn --data {data} {small} -o {tmp_path}/run")
    assert answer.code == 1
    assert "diverged" in answer.error
    assert tree(tmp_path) == before


# ---------------------------------------------------------------------- inputs to predict from

INPUTS = {
    "empty text": ("text", "", "has no words"),
    "blank text": ("text", " \t ", "has no words"),
    "punctuation": ("text", "?!?", "no word that the model knows"),
    "out of vocabulary": ("text", "xyzzy plugh", "no word that the model knows"),
    "missing file": ("file", lambda d: d / "x.csv", "No such file"),
    "directory": ("file", lambda d: directory(d / "x.csv"), "is a directory"),
    "empty file": ("file", lambda d: written(d / "x.txt", b""), "holds no inputs"),
    "blank lines": ("file", lambda d: written(d / "x.txt", b"\n \n"), "Row 1 has no words"),
    "not UTF-8": ("file", lambda d: written(d / "x.txt", b"caf\xe9"), "0xe9"),
    "wrong column": ("file", lambda d: table(d / "x.csv", REVIEWS, ("a", "b")), "no column"),
    "arrays for a model of texts": (
        "file",
        lambda d: arrays(d / "x.npz", x=X),
        "Row 1 is not a text",
    ),
    "a pickle": ("file", lambda d: pickled(d / "x.npz"), "only pickle could read"),
}


@pytest.mark.parametrize("source", ["run", "bundle"])
@pytest.mark.parametrize("name", INPUTS)
def test_inputs_that_cannot_be_answered(
    zoo, trained, exported, tmp_path, monkeypatch, source, name
):
    kind, value, says = INPUTS[name]
    monkeypatch.chdir(tmp_path)
    given = [value] if kind == "text" else ["--input", value(tmp_path)]
    answer = zoo(["predict", trained if source == "run" else exported, *given])
    assert answer.code == 1
    assert says in answer.error
    assert answer.out == ""
    assert not (tmp_path / "unpickled").exists()


def test_stdin_that_holds_nothing_or_is_not_utf8(zoo, exported, monkeypatch):
    for content, says in ((b"", "no text on stdin"), (b"caf\xe9", "not UTF-8")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        answer = zoo(f"predict {exported} --input -")
        assert answer.code == 1
        assert says in answer.error


# ---------------------------------------------------------------------- damaged runs and bundles


def damage(path: Path) -> None:
    """Half of a file, with a hole."""
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 3] = bytes(len(content) // 3 - len(content) // 4)
    path.write_bytes(content[: len(content) // 2])


def scribble(path: Path) -> None:
    """As long as it was, and beginning as it did."""
    content = bytearray(path.read_bytes())
    content[64:] = bytes((byte * 7 + 13) % 256 for byte in content[64:])
    path.write_bytes(content)


SPOILT = {
    "cut": damage,
    "scribbled on": scribble,
    "emptied": lambda path: path.write_bytes(b""),
    "removed": Path.unlink,
}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("file", ["model.keras", "run.json", "vocab.txt"])
@pytest.mark.parametrize(
    "command", ["export {} --quantization none -o {}-bundle", "predict {} film"]
)
def test_a_damaged_run(zoo, trained, tmp_path, command, file, how):
    run = shutil.copytree(trained, tmp_path / "run")
    SPOILT[how](run / file)
    before = tree(tmp_path)
    answer = zoo(command.format(run, run))
    assert answer.code == 1
    assert str(run) in answer.error
    assert tree(tmp_path) == before


@pytest.mark.parametrize("how", SPOILT)
def test_a_damaged_keras_file(zoo, trained, tmp_path, how):
    model = shutil.copy(trained / "model.keras", tmp_path / "model.keras")
    SPOILT[how](model)
    before = tree(tmp_path)
    answer = zoo(f"export {model} --quantization none -o {tmp_path}/bundle")
    assert answer.code == 1
    assert str(model) in answer.error
    assert tree(tmp_path) == before


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("file", ["model.tflite", "report.json", "reference.npz"])
def test_a_damaged_bundle_is_not_verified(zoo, exported, tmp_path, file, how):
    bundle = shutil.copytree(exported, tmp_path / "bundle")
    SPOILT[how](bundle / file)
    answer = zoo(f"verify {bundle}")
    assert answer.code == 1
    assert file in answer.error


@pytest.mark.parametrize("how", ["cut", "emptied", "removed"])
@pytest.mark.parametrize("command", ["predict {} film", "benchmark {} --repeats 20"])
def test_a_damaged_tflite_file_does_not_answer(zoo, exported, tmp_path, command, how):
    bundle = shutil.copytree(exported, tmp_path / "bundle")
    SPOILT[how](bundle / "model.tflite")
    answer = zoo(command.format(bundle))
    assert answer.code == 1
    assert "model.tflite" in answer.error


@pytest.mark.parametrize(
    "command",
    ["export {} -o {}/new", "verify {}", "benchmark {}", "predict {} film", "predict {} --input x"],
)
@pytest.mark.parametrize("kind", ["missing", "empty directory", "some file"])
def test_what_is_no_run_and_no_bundle(zoo, tmp_path, command, kind):
    place = tmp_path / "place"
    if kind == "empty directory":
        place.mkdir()
    elif kind == "some file":
        place.write_text("something")
    before = tree(tmp_path)
    answer = zoo(command.format(place, tmp_path))
    assert answer.code == 1
    assert str(place) in answer.error
    assert tree(tmp_path) == before


def test_a_run_is_no_bundle_and_a_bundle_is_no_run(zoo, trained, exported, tmp_path):
    assert "not a bundle" in zoo(f"verify {trained}").error
    assert "not a bundle" in zoo(f"benchmark {trained}").error
    assert "a bundle already" in zoo(f"export {exported} -o {tmp_path}/b").error


def test_a_bare_keras_file_cannot_be_asked_in_words(zoo, trained, tmp_path):
    assert "no vocabulary" in zoo(f"predict {trained}/model.keras film").error
    answer = zoo(f"export {trained}/model.keras -o {tmp_path}/b")
    assert "calibrates on real inputs" in answer.error
    assert not any(tmp_path.iterdir())


# ---------------------------------------------------------------------- places to write to

WRITERS = {
    "train": "train rnn --data {reviews} {tiny} -o {output}",
    "compare": "compare gru --data {reviews} {tiny} -o {output}",
    "search": "search gru --data {reviews} --max-trials 1 --epochs 1 -o {output}",
    "export": "export {trained} --format tflite --quantization none -o {output}",
    "quickstart": "quickstart -o {output}",
}


def writing(name: str, reviews, trained, output) -> list[str]:
    return words(WRITERS[name].format(reviews=reviews, trained=trained, tiny=TINY, output=output))


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", ["holds something", "is a file", "is below a file"])
def test_an_output_place_that_is_taken_is_refused_before_any_work(
    zoo, reviews, trained, tmp_path, writer, kind
):
    place = output = tmp_path / "place"
    if kind == "holds something":
        place.mkdir()
        (place / "precious.txt").write_text("years of work")
    else:
        place.write_text("years of work")
        output = place / "below" if kind == "is below a file" else place
    before = tree(tmp_path)
    answer = zoo(writing(writer, reviews, trained, output))
    assert answer.code == 1
    assert str(place) in answer.error
    assert answer.err.count("\n") == 1, "nothing was begun"
    assert tree(tmp_path) == before


def in_process(command: list[str], prefix=(), **arguments):
    return subprocess.run(
        [*prefix, sys.executable, "-m", "keras_rnn_zoo", *command],
        capture_output=True,
        text=True,
        timeout=300,
        **arguments,
    )


def mounted(place: Path, options: str) -> list[str]:
    """Returns what starts a command with a small file system of its own at `place`, or skips."""
    mount = f'mount -t tmpfs -o {options} tmpfs "$0" && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(place)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*prefix, "true"], capture_output=True).returncode
    ):
        pytest.skip("needs unshare and user namespaces to mount a small file system")
    return prefix


@pytest.mark.parametrize(
    ("writer", "options", "says"),
    [("train", "size=8k", "disk is full"), ("export", "ro", "read-only")],
)
def test_a_full_or_read_only_disk(reviews, trained, tmp_path, writer, options, says):
    place = directory(tmp_path / "place")
    command = writing(writer, reviews, trained, place / "new")
    result = in_process(command, mounted(place, options))
    assert result.returncode == 1
    error = result.stderr.splitlines()[-1]
    assert error.startswith(f"Error: Cannot write {place}/new")
    assert says in error
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.usefixtures("eager")
def test_a_limit_on_the_size_of_files(zoo, reviews, trained, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    from keras_rnn_zoo.training.run import RunContents

    whole = RunContents.write

    def limited(*args):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))
        try:
            return whole(*args)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)

    monkeypatch.setattr(RunContents, "write", limited)
    answer = zoo(writing("train", reviews, trained, tmp_path / "new"))
    assert answer.code == 1
    assert answer.error.startswith(f"Error: Cannot write {tmp_path}/new")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("writer", WRITERS)
def test_a_directory_without_permission(zoo, reviews, trained, tmp_path, writer):
    place = directory(tmp_path / "place")
    place.chmod(0o555)
    if os.access(place, os.W_OK):
        pytest.skip("this user (root?) may write anywhere")
    answer = zoo(writing(writer, reviews, trained, place / "new"))
    place.chmod(0o755)
    assert answer.code == 1
    assert "permission denied" in answer.error
    assert not any(place.iterdir())


def test_an_export_that_fails_halfway_leaves_what_was_there(zoo, trained, tmp_path, monkeypatch):
    from keras_rnn_zoo.errors import ConversionError
    from keras_rnn_zoo.export.convert.converter import Converter

    def refuse(*args, **kwargs):
        raise ConversionError("The TFLite converter crashed.")

    monkeypatch.setattr(Converter, "convert", refuse)
    answer = zoo(f"export {trained} --quantization none -o {tmp_path}/bundle")
    assert answer.code == 1
    assert "converter crashed" in answer.error
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.failure"]


def test_data_that_do_not_fit_the_exported_model(zoo, trained, tmp_path):
    other = write_reviews(tmp_path / "other.csv", good="yes", bad="no")
    numbers = arrays(tmp_path / "x.npz", x=X, y=Y)
    before = tree(tmp_path)
    for data, says in ((other, "has the label"), (numbers, "trained on text"), ("digts", "digits")):
        answer = zoo(f"export {trained} --test-data {data} -o {tmp_path}/bundle")
        assert answer.code == 1
        assert says in answer.error
        assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "options, says",
    [
        ("--quantization int8 --inference-type int_8", "Did you mean 'int8'?"),
        ("--quantization dynamic --inference-type int8", "Received: 'dynamic'"),
        ("--format saved_model --inference-type int8", "Received: no .tflite file"),
    ],
)
def test_integer_inputs_that_no_file_can_have(zoo, trained, tmp_path, options, says):
    answer = zoo(f"export {trained} {options} -o {tmp_path}/bundle")
    # A name that is none is wrong usage.
    assert answer.code == (2 if "int_8" in options else 1)
    assert says in answer.error
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ("--batch-size 0", 1, "batch_size is a whole number of at least 1. Received: 0"),
        ("--batch-size many", 2, "'many' is not a valid integer"),
        ("--batchsize 4", 2, "Did you mean '--batch-size'?"),
        ("--representative-dat x.npy", 2, "Did you mean '--representative-data'?"),
        ("--representative-data {}/y.npy", 1, "Did you mean"),
        ("--representative-data {}/x.npy", 1, "must have the shape [samples, 6]. Received: [3, 5]"),
        ("--representative-data {}/pickle.npy", 1, "only pickle could read"),
        ("--representative-data digts", 1, "Did you mean 'digits'?"),
    ],
)
def test_batch_sizes_and_representative_data_that_are_none(
    zoo, trained, tmp_path, options, code, says
):
    np.save(tmp_path / "x.npy", np.ones((3, 5)))
    np.save(tmp_path / "pickle.npy", np.array([Trap()], dtype=object))
    before = tree(tmp_path)
    answer = zoo(f"export {trained} {options.format(tmp_path)} -o {tmp_path}/bundle")
    assert answer.code == code
    assert says in answer.error
    assert tree(tmp_path) == before
