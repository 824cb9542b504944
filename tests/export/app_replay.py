"""What runs the code of an app on doubles of its interpreter: see `app_doubles`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from app_bundles import golden_of, raw, same, vocabulary_file

from keras_rnn_zoo.export.bundle.app import app_of

DOUBLES = Path(__file__).parent / "app_doubles"
NODE, CXX = shutil.which("node"), shutil.which("g++") or shutil.which("c++")
KOTLINC = os.environ.get("KOTLINC") or shutil.which("kotlinc")
needs_node = pytest.mark.skipif(NODE is None, reason="there is no node to try it in")
needs_cxx = pytest.mark.skipif(CXX is None, reason="there is no C++ compiler to try it with")
needs_kotlin = pytest.mark.skipif(KOTLINC is None, reason="there is no kotlinc to try it with")


def recorded(bundle, file: str | None = None):
    """Raw inputs, encoded ones, and what the first file (or another) answers."""
    golden = golden_of(bundle)
    entry = next(one for one in golden["files"] if file in (None, one["file"]))
    return [
        (sample, answer, entry["tolerance"])
        for sample, answer in zip(golden["samples"], entry["answers"], strict=True)
    ]


def in_node(bundle, requests, tmp_path, words=None):
    file = tmp_path / "requests.json"
    file.write_text(json.dumps(requests))
    done = subprocess.run(
        [NODE, DOUBLES / "encoding.mjs", bundle.path, file, *([words] if words else ())],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def replayed(bundle, place: Path) -> Path:
    """A file with the sizes that the double of the interpreter needs to know."""
    file = app_of(bundle.report, bundle.preprocessor, {}, bundle.path).files[0]
    lines = [
        f"{tensor.size * np.dtype(tensor.dtype).itemsize} {tensor.scale!r} {tensor.zero_point}"
        for tensor in (file.inputs[0], file.outputs[0])
    ]
    path = place / file.name
    path.write_bytes(b"")
    Path(f"{path}.sizes").write_text("\n".join(lines))
    if file.steps:
        lines, start = [f"{file.inputs[0].name} {file.outputs[0].name}"], b""
        for number, state in enumerate(file.states):
            size = int(np.prod(state.shape)) * np.dtype(state.dtype).itemsize
            lines.append(f"{state.name} {size} {250 - 100 * number}")
            start += bytes([250 - 100 * number]) * size
        Path(f"{path}.states").write_text("\n".join(lines) + "\n")
        Path(f"{path}.start").write_bytes(start)
        if file.keeps:
            Path(f"{path}.inside").touch()
    return path


def answered(bundle, path: Path, output: np.ndarray) -> None:
    """Has the double answer what is recorded; of several calls the last one, or each its part."""
    file = app_of(bundle.report, bundle.preprocessor, {}, bundle.path).files[0]
    tensor = file.outputs[0]
    if tensor.scale:
        output = np.rint(output / tensor.scale) + tensor.zero_point
    if file.steps and tensor.name not in file.every_step:
        before = np.zeros((bundle.preprocessor.timesteps // file.steps - 1, output.size))
        output = np.concatenate([before.ravel(), output.ravel()])
    Path(f"{path}.out").write_bytes(output.astype(tensor.dtype).tobytes())


def check_replay(bundle, place: Path, ask) -> None:
    """Asks an app for each sample, and compares what it gave to the interpreter and what it said.

    Args:
        bundle: The bundle.
        place: Where the recorded files go.
        ask: From the file and a raw input to the numbers and the label that the app prints.
    """
    path = replayed(bundle, place)
    file = app_of(bundle.report, bundle.preprocessor, {}, bundle.path).files[0]
    for sample, answer, _ in recorded(bundle, file.name):
        answered(bundle, path, np.array(answer["outputs"][file.outputs[0].name]))
        numbers, labels = ask(path, raw(sample))
        given = np.frombuffer(Path(f"{path}.in").read_bytes(), file.inputs[0].dtype)
        wanted = np.ravel(sample["inputs"][file.inputs[0].name])
        if file.inputs[0].scale:
            wanted = np.rint(wanted / file.inputs[0].scale) + file.inputs[0].zero_point
        off = 1 if file.inputs[0].scale else 1e-6
        assert np.abs(given - wanted.clip(-128, None)).max() <= off
        expected = answer["answer"]
        scores = expected.get("values") or expected["scores"]
        scores = list(scores.values()) if isinstance(scores, dict) else scores
        assert same(numbers, scores, 1e-5)
        assert labels == expected.get("labels", [expected["label"]] if "label" in expected else [])


def printed(text: str) -> tuple[list[float], list[str]]:
    """What `main` printed: numbers, and labels behind them or alone in the last line.

    Where any number of labels may apply, those that do have a + before their line.
    """
    numbers, labels = [], []
    for line in text.splitlines():
        first, _, rest = line.partition(" ")
        if first in ("+", "-"):
            number, _, label = rest.partition(" ")
            numbers.append(float(number))
            labels += [label] if first == "+" else []
            continue
        try:
            numbers.append(float(first))
            labels += [rest] if rest else []
        except ValueError:
            return numbers, [line]
    return numbers, labels


def compiled(bundle, place: Path, main: Path | None = None) -> Path:
    program = place / "main"
    command = [CXX, "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{DOUBLES}"]
    command += [f"-I{bundle.path / 'app/cpp'}", main or bundle.path / "app/cpp/main.cc"]
    done = subprocess.run(
        [*command, DOUBLES / "replay.cc", "-o", program], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return program


def in_kotlin(bundles, names: list[str], place: Path) -> None:
    """Compiles the apps of bundles together, and has each answer what is recorded."""
    sources = [DOUBLES / "Interpreter.kt"]
    for name in names:
        text = (bundles[name].path / "app/kotlin/Model.kt").read_text(encoding="utf-8")
        (place / f"{name}.kt").write_text(f"package {name}\n{text}", encoding="utf-8")
        known, file = bundles[name].preprocessor, bundles[name].report.files[0]
        start = ""
        asked = {known.task, known.kind}
        if file.streaming is not None:
            asked.add(f"{known.kind}_by_{'1' if file.streaming['steps'] == 1 else 'many'}")
            if file.streaming["state"] == "external":
                start = ', File(args[0] + ".start").readBytes()'
        main = (DOUBLES / "main.kt").read_text().replace("PACKAGE", name).replace("START", start)
        # A line with a remark is for the kinds of inputs and the tasks that it names.
        lines = [
            line
            for line in main.splitlines()
            if not (tags := set(line.partition(" // ")[2].split())) or tags & asked
        ]
        (place / f"{name}_main.kt").write_text("\n".join(lines), encoding="utf-8")
        sources += [place / f"{name}.kt", place / f"{name}_main.kt"]
    jar = place / "apps.jar"
    done = subprocess.run(
        [KOTLINC, *sources, "-include-runtime", "-d", jar], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    for name in names:
        replay = place / f"replay_{name}"
        replay.mkdir()

        def ask(path, value, name=name):
            arguments = ["java", "-cp", jar, f"{name}.{name.capitalize()}_mainKt", path]
            if isinstance(value, str):
                arguments += [vocabulary_file(bundles[name]), value]
            numbers = "" if isinstance(value, str) else " ".join(map(str, np.ravel(value).tolist()))
            done = subprocess.run(arguments, input=numbers, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return printed(done.stdout)

        check_replay(bundles[name], replay, ask)
