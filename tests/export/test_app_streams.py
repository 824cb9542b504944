"""Apps of files whose call takes some time steps: golden.json, the states to start with, the loop.

Python runs the files, and JavaScript does so in a browser; C++ and Kotlin run on doubles that know
from the states alone which call of a sequence one is (`test_app.py` says more).
"""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from itertools import chain, pairwise

import numpy as np
import pytest
from app_bundles import STREAMS, golden_of, python_app, raw, same
from app_replay import (
    answered,
    check_replay,
    compiled,
    in_kotlin,
    in_node,
    needs_cxx,
    needs_kotlin,
    needs_node,
    printed,
    recorded,
    replayed,
)

from keras_rnn_zoo.export.app.language import LANGUAGES, Language, register_language
from keras_rnn_zoo.export.app.write import code_of
from keras_rnn_zoo.export.bundle.app import app_of
from keras_rnn_zoo.export.bundle.bundle import verify_bundle
from keras_rnn_zoo.export.tflite.interpreter import TFLiteModel
from keras_rnn_zoo.export.tflite.streams import initial_states

SINGLE = [name for name in STREAMS if name != "stream_pair"]


def step_by_step(module, model, entry, sample):
    """What a client makes of a sample by golden.json alone: calls of what goes into the file."""
    stream, steps = module.Stream(model), entry["streaming"]["steps"]
    count = len(next(iter(sample["inputs"].values())))
    assert count % steps == 0
    calls = [
        stream.run({name: x[i : i + steps] for name, x in sample["inputs"].items()})
        for i in range(0, count, steps)
    ]
    return {
        name: np.concatenate([call[name] for call in calls]).tolist()
        if name in entry["streaming"]["every_step"]
        else calls[-1][name].tolist()
        for name in calls[-1]
    }


def full(bundle) -> dict:
    """The recorded sample that fills all time steps: no padding comes after it, or before."""
    known = bundle.preprocessor
    return next(one for one in recorded(bundle) if len(raw_steps(one[0])) == known.timesteps)


def raw_steps(sample):
    return sample.get("tokens") or sample.get("features")


# ---------------------------------------------------------------------- golden.json


@pytest.mark.parametrize("name", STREAMS)
def test_golden_says_what_a_call_takes_and_what_the_calls_answer(bundles, name):
    module = python_app(bundles[name])
    for entry in golden_of(bundles[name])["files"]:
        model = module.Model(entry["file"])
        for sample, answer, _ in recorded(bundles[name], entry["file"]):
            found = step_by_step(module, model, entry, sample)
            assert same(found, answer["outputs"], 1e-6)
            if len(next(iter(sample["inputs"].values()))) > entry["streaming"]["steps"]:
                less = {key: values[: -module.STEPS] for key, values in sample["inputs"].items()}
                other = step_by_step(module, model, entry, {"inputs": less})
                if not any(np.any(x[-module.STEPS :]) for x in sample["inputs"].values()):
                    continue  # padding changes nothing
                assert json.dumps(other) != json.dumps(found), "the last call counts"


@pytest.mark.parametrize(
    ("name", "steps", "every", "timesteps"),
    [
        ("stream_sensors", 1, [], 9),
        ("stream_inside", 1, [], 9),
        ("stream_integers", 2, [], 8),
        ("stream_texts", 1, [], 4),
        ("stream_tags", 4, ["answer"], 4),
        ("stream_pair", 2, ["each"], 6),
    ],
)
def test_samples_are_cut_to_whole_calls(bundles, name, steps, every, timesteps):
    golden, bundle = golden_of(bundles[name]), bundles[name]
    for entry in golden["files"]:
        assert (entry["streaming"]["steps"], entry["streaming"]["every_step"]) == (steps, every)
    lengths = {len(x) for sample in golden["samples"] for x in sample["inputs"].values()}
    assert lengths == {timesteps}
    if bundle.preprocessor is not None:
        assert bundle.preprocessor.timesteps == timesteps
        (answer,) = bundle.predict([raw(golden["samples"][0])])
        assert same(answer, golden["files"][0]["answers"][0]["answer"], 1e-6)


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "stream_inside"])
def test_the_states_to_start_with_lie_beside_each_file(bundles, name):
    bundle = bundles[name]
    for entry in golden_of(bundle)["files"]:
        told = entry["streaming"]
        assert told["file"] == entry["file"].replace(".tflite", ".initial_state.bin")
        content = (bundle.path / told["file"]).read_bytes()
        interpreter = TFLiteModel(bundle.path / entry["file"]).interpreter
        start = interpreter.get_signature_runner("initial_state")()
        assert {state["name"] for state in told["states"]} == set(start) != set()
        ends = []
        for state in told["states"]:
            dtype = np.dtype(state["dtype"]).newbyteorder("<")
            size = int(np.prod(state["shape"]))
            found = np.frombuffer(content, dtype, size, state["offset"]).reshape(state["shape"])
            assert found.tolist() == start[state["name"]].tolist()
            assert start[state["name"]].dtype == found.dtype
            ends.append((state["offset"], state["offset"] + found.nbytes))
        assert ends[0][0] == 0 and ends[-1][1] == len(content)
        assert all(one[1] == other[0] for one, other in pairwise(ends))


def test_a_file_that_keeps_its_states_has_none_to_start_with(bundles):
    bundle = bundles["stream_inside"]
    (entry,) = golden_of(bundle)["files"]
    assert entry["streaming"] == {"steps": 1, "every_step": [], "states": [], "file": None}
    assert not list(bundle.path.glob("*.bin"))
    assert initial_states((bundle.path / "model.tflite").read_bytes()) == {}
    assert "streaming" not in golden_of(bundles["sensors"])["files"][0]
    assert bundles["sensors"].report.files[0].streaming is None


def test_states_that_are_no_zeros_are_kept_as_the_file_has_them(bundles):
    """Of int8 files a zero is the zero point; that of floats would not show another order."""
    bundle = bundles["stream_integers"]
    (entry,) = golden_of(bundle)["files"]
    start = initial_states((bundle.path / entry["file"]).read_bytes())
    assert list(start) == [state["name"] for state in entry["streaming"]["states"]] == sorted(start)
    infos = {state.name: state for state in known(bundle).files[0].states}
    for name, values in start.items():
        assert set(values.ravel().tolist()) == {infos[name].zero_point}


def test_verification_notices_other_states_to_start_with(bundles):
    path = bundles["stream_sensors"].path / "model.initial_state.bin"
    assert path.name in bundles["stream_sensors"].report.sha256
    before = path.read_bytes()
    try:
        path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
        result = verify_bundle(path.parent)
    finally:
        path.write_bytes(before)
    assert not result["passed"] and path.name in result["text"]


# ---------------------------------------------------------------------- card and page


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "stream_sensors",
            [
                "A call takes: 1 time step, series (1 × 1 × 2, float32).",
                "Answers: answer for the sequence so far.",
                "States: gru/h (1 × 4, float32); hand in what came out of the call before",
                "model.initial_state.bin holds (golden.json says where)",
                "9 time steps, padding included, in 9 calls",
            ],
        ),
        (
            "stream_inside",
            ["an interpreter runs one sequence at a time", "call the signature reset before"],
        ),
        (
            "stream_tags",
            ["A call takes: 4 time steps,", "answer for each of them", "in 1 call; a stream"],
        ),
        ("stream_pair", ["each for each of them; last for the sequence so far", "lstm/c (1 × 3"]),
    ],
)
def test_card_and_page_say_what_a_call_takes_and_how_to_start(bundles, name, lines):
    path = bundles[name].path
    card = (path / "MODEL_CARD.md").read_text(encoding="utf-8")
    section = card.partition("## Step by step\n")[2].partition("\n## ")[0].replace("\\", "")
    page = (path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Step by step</h2>" in page
    # Keras counts the layers of a process.
    section, page = (re.sub(r"gru_\d+/", "gru/", text) for text in (section, page))
    shown = " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
    for line in lines:
        assert line in section, section
        assert line.partition(": ")[2].rstrip(".") in shown
    count = bundles[name].report.files[0].streaming["steps"]
    steps = "1 time step" if count == 1 else f"{count} time steps"
    assert f"median call, of {steps}" in card and f"median call, of {steps}," in page
    assert "Step by step" not in (bundles["sensors"].path / "MODEL_CARD.md").read_text()
    assert "Step by step" not in (bundles["sensors"].path / "report.html").read_text()


# ---------------------------------------------------------------------- languages


def known(bundle):
    return app_of(bundle.report, bundle.preprocessor, golden_of(bundle), bundle.path)


def test_which_languages_have_a_loop(bundles):
    for name in SINGLE:
        left_out = {one for one in LANGUAGES.names() if code_of(known(bundles[name]), one) is None}
        assert left_out == {"micro", *(["javascript"] if name == "stream_integers" else [])}
    left_out = {one for one in LANGUAGES.names() if not code_of(known(bundles["stream_pair"]), one)}
    assert left_out == {"micro", "kotlin", "swift", "cpp"}


def test_a_language_without_a_loop_is_left_out(bundles):
    @register_language("once")
    class Once(Language):
        description = "calls a file once"
        usage = "do"

        def files(self, app):
            return {"code.txt": "x\n"}

    try:
        for name in ("stream_sensors", "stream_inside"):
            assert "keeps a state" in LANGUAGES.get("once").refuses(known(bundles[name]))
        assert LANGUAGES.get("once").refuses(known(bundles["sensors"])) is None
    finally:
        LANGUAGES.unregister("once")


def test_the_readme_of_the_apps_has_the_loop(bundles):
    for name in STREAMS:
        text = (bundles[name].path / "app/README.md").read_text(encoding="utf-8")
        loop = text.partition("```python\n")[2].partition("```")[0]
        assert "stream = Stream(model)" in loop and 0 < len(loop.splitlines()) <= 5
    assert "```" not in (bundles["sensors"].path / "app/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["stream_sensors", "stream_inside", "stream_texts", "stream_tags"])
def test_the_loop_of_the_readme_runs(bundles, name):
    bundle = bundles[name]
    text = (bundle.path / "app/README.md").read_text(encoding="utf-8")
    loop = text.partition("```python\n")[2].partition("```")[0]
    sample, answer, _ = full(bundle)
    module, said = python_app(bundle), []
    names = {**vars(module), "sequence": raw_steps(sample), "text": sample.get("text")}
    exec(loop.replace("from model import", "#"), {**names, "print": said.append})
    if len(raw_steps(sample)) == module.STEPS:
        assert same(said, [answer["answer"]], 1e-6)
    assert same(said[-1], answer["answer"], 1e-6)


# ---------------------------------------------------------------------- Python


@pytest.mark.parametrize("name", SINGLE)
def test_python_steps_through_raw_inputs(bundles, name):
    module = python_app(bundles[name])
    model = module.Model()
    sample, answer, tolerance = full(bundles[name])
    steps = raw_steps(sample)
    chunks = (
        steps
        if module.STEPS == 1
        else [steps[i : i + module.STEPS] for i in range(0, len(steps), module.STEPS)]
    )
    stream = module.Stream(model)
    stream.step(chunks[-1])
    stream.reset()
    said = [stream.step(chunk) for chunk in chunks]
    if "answer" in golden_of(bundles[name])["files"][0]["streaming"]["every_step"]:
        assert same(
            {key: [*chain(*(one[key] for one in said))] for key in said[0]}, answer["answer"], 1e-6
        )
    else:
        assert same(said[-1], answer["answer"], max(1e-6, tolerance))
        assert not same(said[0], answer["answer"], 1e-4), "an answer is that of the steps so far"


@pytest.mark.parametrize("name", ["stream_sensors", "stream_integers"])
def test_python_runs_several_streams_over_one_model(bundles, name):
    module = python_app(bundles[name])
    model = module.Model()
    sample, answer, tolerance = full(bundles[name])
    steps = np.array(raw_steps(sample), np.float32).reshape(-1, module.STEPS, 2)
    steps = steps[:, 0] if module.STEPS == 1 else steps
    one, other = module.Stream(model), module.Stream(model)
    for step, last in zip(steps, steps[::-1], strict=True):
        found, reversed_ = one.step(step), other.step(last)
    assert same(found, answer["answer"], max(tolerance, 1e-6))
    assert not same(reversed_, answer["answer"], max(tolerance, 1e-3))


def test_python_takes_words(bundles):
    module = python_app(bundles["stream_texts"])
    model = module.Model()
    ids, words = module.Stream(model), module.Stream(model)
    for word in ("A", "MOVING", "zzz", "film"):
        (number,) = module.tokens(word, model.ids)
        assert words.step(word) == ids.step(number)
    assert module.token_id(10_000) == module.UNKNOWN == model.id("zzz")
    for wrong in ("a film", "?!", "", -1, 1.5):
        with pytest.raises(ValueError, match=r"one word at a time|token ids from 0 to"):
            words.step(wrong)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("stream_sensors", [1.0], "2 finite numbers"),
        ("stream_sensors", [1.0, float("nan")], "2 finite numbers"),
        ("stream_integers", [[1.0, 2.0]], "for each of 2 time steps"),
        ("stream_tags", [1, 2, 3], "Give 4 tokens. Received: 3"),
        ("stream_tags", [1, 2, 3, 99], "token ids from 0 to"),
    ],
)
def test_python_refuses_what_is_no_step(bundles, name, wrong, message):
    module = python_app(bundles[name])
    stream = module.Stream(module.Model())
    with pytest.raises(ValueError, match=message):
        stream.step(wrong)
    if name == "stream_sensors":
        before = stream.step([1.0, 2.0])
        with pytest.raises(ValueError, match=message):
            stream.step(wrong)
        stream.reset()
        assert stream.step([1.0, 2.0]) == before, "a step that was refused left nothing"


# ---------------------------------------------------------------------- JavaScript


@needs_node
@pytest.mark.parametrize("name", [name for name in SINGLE if name != "stream_integers"])
def test_javascript_encodes_steps(bundles, name, tmp_path):
    bundle, steps = bundles[name], golden_of(bundles[name])["files"][0]["streaming"]["steps"]
    sample, _, _ = full(bundle)
    values = raw_steps(sample)
    chunks = [values[i : i + steps] for i in range(0, len(values), steps)]
    requests = [{"value": chunk, "step": True} for chunk in chunks]
    wrong = {"text": ["a film", "?!", -1], "features": [[1.0], [1.0, 1e39]], "tokens": [99, 1.5]}
    kind = bundle.preprocessor.kind
    requests += [{"value": [value] * steps, "step": True} for value in wrong[kind]]
    requests += [{"value": [], "step": True}]
    found = in_node(bundle, requests, tmp_path)
    x = np.ravel(next(iter(sample["inputs"].values()))).tolist()
    assert same([*chain(*(one["x"] for one in found[: len(chunks)]))], x, 1e-6)
    assert all("error" in one for one in found[len(chunks) :])


# ---------------------------------------------------------------------- C++ and Kotlin

STEPPING = """
#include <cstdio>
#include <iostream>
#include "model.h"
int main(int, char** argv) try {
  Model model(argv[1]VOCABULARY);
  std::vector<NUMBER> x;
  for (NUMBER number; std::cin >> number;) x.push_back(number);
  const size_t size = x.size() / (kTimesteps / kSteps);
  Stream one(model);
  if (argv[2][0] == '2') {
    Stream other(model);
    for (size_t i = 0; i < x.size(); i += size) {
      one.Step(STEP);
      other.Step(STEP);
    }
  }
  if (argv[2][0] == 'r') one.Step(FIRST);
  one.Reset();
  for (size_t i = 0; i < x.size(); i += size) {
    const auto answer = one.Step(STEP);
    SHOW
  }
} catch (const std::exception& error) {
  std::puts(error.what());
  return 1;
}
"""


@needs_cxx
@pytest.mark.parametrize("name", SINGLE)
def test_cpp_hands_the_interpreter_what_is_recorded_call_by_call(bundles, name, tmp_path):
    bundle = bundles[name]
    kind = bundle.preprocessor.kind
    vocabulary = bundle.path / "vocab.txt"
    program = compiled(bundle, tmp_path)

    def ask(path, value):
        arguments = [program, path, *([vocabulary, value] if kind == "text" else [])]
        numbers = "" if kind == "text" else " ".join(map(str, np.ravel(value).tolist()))
        done = subprocess.run(arguments, input=numbers, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return printed(done.stdout)

    check_replay(bundle, tmp_path, ask)


@needs_cxx
@pytest.mark.parametrize("name", SINGLE)
def test_cpp_steps_through_raw_inputs(bundles, name, tmp_path):
    bundle = bundles[name]
    kind = bundle.preprocessor.kind
    each = 'for (const Answer& step : answer) std::printf("%.9g ", step.score);'
    last = 'std::printf("%.9g\\n", answer.score);'
    main = STEPPING.replace("VOCABULARY", ", argv[3]" if kind == "text" else "")
    main = main.replace("NUMBER", "float" if kind == "features" else "int32_t")
    main = main.replace("FIRST", "x[0]" if kind == "text" else "{x.begin(), x.begin() + size}")
    main = main.replace(
        "STEP)", "x[i])" if kind == "text" else "{x.begin() + i, x.begin() + i + size})"
    )
    main = main.replace("SHOW", each if name == "stream_tags" else last)
    (tmp_path / "stepping.cc").write_text(main)
    program = compiled(bundle, tmp_path, tmp_path / "stepping.cc")
    path = replayed(bundle, tmp_path)
    sample, answer, _ = full(bundle)
    answered(bundle, path, np.array(next(iter(answer["outputs"].values()))))
    expected = answer["answer"]["scores" if name == "stream_tags" else "score"]
    numbers = " ".join(map(str, np.ravel(raw_steps(sample)).tolist()))
    for what in ("1", "r", *(["2"] if name != "stream_inside" else [])):
        arguments = [program, path, what, *([bundle.path / "vocab.txt"] if kind == "text" else [])]
        done = subprocess.run(arguments, input=numbers, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        found = [float(word) for word in done.stdout.splitlines()[-1].split()]
        assert same(found, expected if isinstance(expected, list) else [expected], 1e-5)


@needs_cxx
def test_the_double_notices_a_state_that_is_not_carried(bundles, tmp_path):
    bundle = bundles["stream_sensors"]
    place = tmp_path / "app/cpp"
    place.mkdir(parents=True)
    code = (bundle.path / "app/cpp/model.h").read_text()
    for carried in ("value = Bytes(", "states_ = model_.Start()"):
        assert carried in code
    (place / "model.h").write_text(code.replace("value = Bytes(", "Bytes("))
    (place / "main.cc").write_text((bundle.path / "app/cpp/main.cc").read_text())
    program = compiled(type("Moved", (), {"path": tmp_path}), tmp_path)
    path = replayed(bundle, tmp_path)
    sample, answer, _ = full(bundle)
    answered(bundle, path, np.array(answer["outputs"]["answer"]))
    numbers = " ".join(map(str, np.ravel(raw_steps(sample)).tolist()))
    done = subprocess.run([program, path], input=numbers, capture_output=True, text=True)
    found, _ = printed(done.stdout)
    assert not same(found, list(answer["answer"]["scores"].values()), 1e-5)


@needs_kotlin
def test_kotlin_steps_as_is_recorded(bundles, tmp_path):
    in_kotlin(bundles, SINGLE, tmp_path)
