"""The project for microcontrollers compiles, and answers what is recorded.

With a double of TensorFlow Lite Micro, which keeps what it is given and answers what golden.json
holds: encoding, quantization, ops and labels run, kernels do not. Where `TFLM_DIR` names the
sources of tflite-micro and `TFLM_LIB` a library that was made of them, with the real one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from app_bundles import golden_of

from keras_rnn_zoo.export.app.app import App, File, Tensor
from keras_rnn_zoo.export.app.language import LANGUAGES
from keras_rnn_zoo.export.app.languages.micro import arena, method, places
from keras_rnn_zoo.export.app.write import code_of
from keras_rnn_zoo.export.bundle.app import app_of

DOUBLES = Path(__file__).parent / "app_doubles"
CXX = shutil.which("g++") or shutil.which("c++")
TFLM_DIR, TFLM_LIB = os.environ.get("TFLM_DIR"), os.environ.get("TFLM_LIB")
needs_cxx = pytest.mark.skipif(CXX is None, reason="there is no C++ compiler to try it with")


def known(bundle) -> App:
    return app_of(bundle.report, bundle.preprocessor, golden_of(bundle), bundle.path)


def two(values: list) -> list:
    """What main.cc has of samples or answers: the first and the last."""
    return [values[0], values[-1]]


def compiled(project: Path, place: Path, *more: str) -> Path:
    program = place / "main"
    sources = [project / name for name in ("main.cc", "model.cc", "model_data.cc")]
    done = subprocess.run(
        [CXX, "-std=c++17", f"-I{project}", *sources, *more, "-o", program],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return program


def replay(bundle, place: Path, change=lambda values: values) -> Path:
    """What the double has to know of the file, and what it answers to the recorded inputs."""
    app, golden = known(bundle), golden_of(bundle)
    file, path = app.files[0], place / "replay"
    tensors = [file.inputs[0], file.outputs[0]]
    lines = [
        f"{one.dtype} {one.size * np.dtype(one.dtype).itemsize} {one.scale!r} {one.zero_point}"
        for one in tensors
    ]
    path.write_text("\n".join([*lines, *file.ops]))
    for number, answer in enumerate(two(golden["files"][0]["answers"])):
        y = np.array(answer["outputs"][tensors[1].name])
        if tensors[1].scale:
            y = np.rint(y / tensors[1].scale) + tensors[1].zero_point
        Path(f"{path}.{number}.out").write_bytes(change(y.astype(tensors[1].dtype)).tobytes())
    return path


def run(program: Path, path: Path) -> tuple[int, str]:
    done = subprocess.run(
        [program], env={**os.environ, "REPLAY": str(path)}, capture_output=True, text=True
    )
    return done.returncode, done.stdout


@needs_cxx
@pytest.mark.parametrize("kind", ["int8", "float32", "padded"])
def test_the_project_gives_the_interpreter_what_is_recorded(bundles, kind, tmp_path):
    bundle = bundles[f"micro_{kind}"]
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-reorder", f"-I{DOUBLES}"]
    program = compiled(bundle.path / "app/micro", tmp_path, *warnings)
    path = replay(bundle, tmp_path)
    code, said = run(program, path)
    assert code == 0 and said.splitlines()[-1].startswith("right; "), said
    golden, file = golden_of(bundle), known(bundle).files[0]
    taken = file.inputs[0]
    for number, sample in enumerate(two(golden["samples"])):
        given = np.frombuffer(Path(f"{path}.{number}.in").read_bytes(), taken.dtype)
        wanted = np.ravel(sample["inputs"][taken.name])
        if taken.scale:
            wanted = (np.rint(wanted / taken.scale) + taken.zero_point).clip(-128, 127)
        assert np.abs(given - wanted).max() <= (1 if taken.scale else 1e-6)
        label = two(golden["files"][0]["answers"])[number]["answer"]["label"]
        assert said.splitlines()[number].endswith(label)


@needs_cxx
def test_the_project_notices_another_answer(bundles, tmp_path):
    bundle = bundles["micro_int8"]
    program = compiled(bundle.path / "app/micro", tmp_path, f"-I{DOUBLES}")
    code, said = run(program, replay(bundle, tmp_path, lambda y: y[::-1]))
    assert code == 1 and "WRONG" in said


@needs_cxx
def test_the_ops_are_those_of_the_file_and_no_others(bundles, tmp_path):
    project = shutil.copytree(bundles["micro_int8"].path / "app/micro", tmp_path / "project")
    text = (project / "model.cc").read_text()
    ops = known(bundles["micro_int8"]).files[0].ops
    assert f"MicroMutableOpResolver<{len(ops)}>" in text
    assert all(f"resolver.{method(op)}()" in text for op in ops)
    lines = [line for line in text.splitlines() if method(next(iter(ops))) not in line]
    (project / "model.cc").write_text("\n".join(lines))
    program = compiled(project, tmp_path, f"-I{DOUBLES}")
    assert run(program, replay(bundles["micro_int8"], tmp_path))[0] < 0, "the double misses an op"


def test_the_array_is_the_file(bundles):
    bundle = bundles["micro_int8"]
    text = (bundle.path / "app/micro/model_data.cc").read_text()
    body = text.partition("= {")[2].partition("}")[0]
    data = bytes(int(byte, 16) for byte in body.replace("\n", " ").replace(",", " ").split())
    assert data == (bundle.path / "model_int8.tflite").read_bytes() and "alignas(16)" in text
    assert places(data)["inputs"] == {"series": 0}


@pytest.mark.parametrize(
    ("op", "name"),
    [
        ("FULLY_CONNECTED", "AddFullyConnected"),
        ("CONV_2D", "AddConv2D"),
        ("SPLIT_V", "AddSplitV"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("L2_NORMALIZATION", "AddL2Normalization"),
    ],
)
def test_ops_are_added_by_the_methods_of_the_resolver(op, name):
    assert method(op) == name
    if TFLM_DIR:
        header = Path(TFLM_DIR) / "tensorflow/lite/micro/micro_mutable_op_resolver.h"
        assert f"{name}(" in header.read_text()


def test_the_arena_is_the_measured_one_where_it_was_measured(bundles):
    file = File("m", "int8", (), (), bytes=20_000)
    assert arena(replace(file, arena=7201)) == 7216 and arena(file) == 40_000
    app = known(bundles["micro_int8"])
    measured = replace(app, files=(replace(app.files[0], arena=5000),))
    text = code_of(measured, "micro")["model.cc"]
    assert "kArenaBytes = 5008" in text and "As measured" in text
    guessed = replace(app, files=(replace(app.files[0], arena=None),))
    assert "A guess" in code_of(guessed, "micro")["model.cc"]


def test_other_targets_get_no_project(bundles):
    bundle = bundles["texts"]
    assert "with --target micro" in LANGUAGES.get("micro").refuses(known(bundle))
    unrecorded = replace(known(bundle), target="micro", golden={})
    assert "no recorded answers" in LANGUAGES.get("micro").refuses(unrecorded)


def test_states_are_the_microcontrollers_to_carry(bundles):
    app = known(bundles["micro_float32"])
    file = replace(app.files[0], resets=True)
    for name in ("python", "kotlin", "cpp", "swift"):
        assert "state" in LANGUAGES.get(name).refuses(replace(app, files=(file,)))
    step = replace(file, states=(Tensor("h", (1, 4), "float32"),))
    assert LANGUAGES.get("micro").refuses(replace(app, files=(step,))) is None


@needs_cxx
def test_a_step_is_called_for_each_time_step_with_what_the_one_before_left(
    bundles, tmp_path, monkeypatch
):
    app = known(bundles["micro_float32"])
    file = app.files[0]
    step = replace(
        file,
        inputs=(replace(file.inputs[0], shape=(1, 1, 2)),),
        states=(Tensor("a/h", (1, 4), "int8", 0.1, 3), Tensor("b/h", (1, 6), "float32")),
    )
    monkeypatch.setattr(
        "keras_rnn_zoo.export.app.languages.micro.places",
        lambda content: {
            "inputs": {"b/h": 0, "series": 1, "a/h": 2},
            "outputs": {"a/h": 0, "answer": 1, "b/h": 2},
        },
    )
    code = code_of(replace(app, files=(step,)), "micro")
    text = code["model.cc"]
    assert "kStateInputs[kStates] = {2, 0};" in text and "kStateOutputs[kStates] = {0, 2};" in text
    assert "states[28]" in text, "4 int8 and 6 float32"
    assert "input(1)" in text and "output(1)" in text
    for name, content in code.items():
        (tmp_path / name).write_text(content)
    flags = ["-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-reorder"]
    done = subprocess.run(
        [CXX, *flags, f"-I{DOUBLES}", tmp_path / "model.cc"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


SEQUENCES = """
#include <cstdio>
#include <vector>
#include "model.h"
int main(int, char** argv) {
  std::vector<float> x;
  for (float number; std::scanf("%f", &number) == 1;) x.push_back(number);
  std::vector<float> y(1000);
  if (!SetUpModel()) return 1;
  const int size = WIDTH;
  if (argv[1][0] == 's') {
    if (!StepModel(x.data(), y.data())) return 2;
    BeginSequence();
    for (size_t i = 0; i < x.size() / size; ++i) {
      if (!StepModel(&x[i * size], &y[EACH])) return 3;
    }
  } else if (!RunModel(x.data(), COUNT, y.data())) {
    return 4;
  }
  for (float value : y) std::printf("%.7g ", value);
}
"""


@needs_cxx
@pytest.mark.parametrize("kind", ["steps", "arrays"])
def test_a_microcontroller_takes_a_sequence_whole_or_step_by_step(bundles, kind, tmp_path):
    bundle = bundles[f"micro_{kind}"]
    app, golden = known(bundle), golden_of(bundle)
    file, path = app.files[0], tmp_path / "replay"
    x, y, steps = file.inputs[0], file.outputs[0], file.inputs[0].shape[1]
    states = [state.name for state in file.states]
    tensors = {one.name: one for one in (x, y, *file.states)}
    lines = []
    order = places((bundle.path / file.name).read_bytes())
    for side, names in (("in", order["inputs"]), ("out", order["outputs"])):
        for one in map(tensors.get, sorted(names, key=names.get)):
            size = one.size * np.dtype(one.dtype).itemsize
            which = states.index(one.name) if one.name in states else -1
            lines.append(f"{side} {one.dtype} {size} {one.scale!r} {one.zero_point} {which}")
    path.write_text("\n".join(lines))
    width = "kSteps * kFeatures" if kind == "steps" else "kInputs"
    main = SEQUENCES.replace("WIDTH", width).replace(
        "EACH", "i * kOutputs" if y.shape[1:] != (3,) else "0"
    )
    main = main.replace(
        "COUNT", "x.size() / kFeatures" if kind == "steps" else "x.size() / kInputs"
    )
    project = shutil.copytree(bundle.path / "app/micro", tmp_path / "project")
    (project / "main.cc").write_text(main)
    flags = ["-Wall", "-Wextra", "-Werror", "-Wno-reorder", f"-I{DOUBLES / 'micro_steps'}"]
    program = compiled(project, tmp_path, *flags, f"-I{DOUBLES}")

    def ask(what, numbers):
        done = subprocess.run(
            [program, what],
            env={**os.environ, "REPLAY": str(path)},
            input=" ".join(map(str, np.ravel(numbers).tolist())),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.returncode
        return np.array(done.stdout.split(), float)

    for sample, answer in zip(golden["samples"], golden["files"][0]["answers"], strict=True):
        given, wanted = sample["inputs"][x.name], np.ravel(answer["outputs"][y.name])
        calls = len(given) // steps
        stored = np.rint(wanted / y.scale) + y.zero_point if y.scale else wanted
        if kind == "steps":
            stored = np.concatenate([np.zeros((calls - 1) * stored.size), stored])
        Path(f"{path}.out").write_bytes(stored.astype(y.dtype).tobytes())
        raw = sample.get("features", given)
        for what in ("whole", "steps") if len(raw) == len(given) else ("whole",):
            found = ask(what, raw)
            assert np.abs(found[: wanted.size] - wanted).max() < 1e-5
            taken = np.frombuffer(Path(f"{path}.in").read_bytes(), x.dtype)
            expected = np.ravel(given)
            if x.scale:
                expected = (np.rint(expected / x.scale) + x.zero_point).clip(-128, 127)
            assert taken.shape == expected.shape
            assert np.abs(taken - expected).max() <= (1 if x.scale else 1e-6)

    carries = (project / "model.cc").read_text()
    assert "  CarryStates();\n" in carries
    (project / "model.cc").write_text(carries.replace("  CarryStates();\n", ""))
    compiled(project, tmp_path, f"-I{DOUBLES / 'micro_steps'}", f"-I{DOUBLES}")
    with pytest.raises(AssertionError):
        assert np.abs(ask("whole", raw)[: wanted.size] - wanted).max() < 1e-5


@pytest.mark.skipif(
    not (CXX and TFLM_DIR and TFLM_LIB), reason="TFLM_DIR and TFLM_LIB name no tflite-micro"
)
@pytest.mark.parametrize("kind", ["int8", "float32", "padded"])
def test_the_project_answers_in_tflite_micro(bundles, kind, tmp_path):
    downloads = Path(TFLM_DIR) / "tensorflow/lite/micro/tools/make/downloads"
    folders = [TFLM_DIR, *(downloads / name for name in ("flatbuffers/include", "gemmlowp", "ruy"))]
    program = compiled(
        bundles[f"micro_{kind}"].path / "app/micro",
        tmp_path,
        "-DTF_LITE_STATIC_MEMORY",
        *(f"-I{folder}" for folder in folders),
        TFLM_LIB,
    )
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "right; " in done.stdout
