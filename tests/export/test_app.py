"""The code of `app/` answers what golden.json records, in each language that can be run here.

Python runs the files. JavaScript encodes and decodes in node (`test_demo.py` has it run files, in a
browser). C++ and Kotlin are compiled against doubles of the interpreter, and of MediaPipe, that
record what they are given and answer what golden.json holds: encoding and decoding run, the
interpreter's own code does not. Swift is not compiled. MediaPipe itself runs in Python, where it is
installed.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unicodedata import category

import numpy as np
import pytest
from app_bundles import (
    KINDS,
    SCRIPTS,
    STREAMS,
    golden_of,
    python_app,
    raw,
    same,
    sensors,
    vocabulary_file,
)
from app_replay import (
    DOUBLES,
    KOTLINC,
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

from keras_rnn_zoo.errors import ConfigError, UnknownNameError
from keras_rnn_zoo.export.app.app import App
from keras_rnn_zoo.export.app.language import (
    LANGUAGES,
    Language,
    cpp_literal,
    kotlin_literal,
    literal,
    python_literal,
    register_language,
    swift_literal,
)
from keras_rnn_zoo.export.app.languages.cpp import unicode_tables
from keras_rnn_zoo.export.app.write import code_of
from keras_rnn_zoo.export.bundle.app import app_of
from keras_rnn_zoo.export.clients import CLIENTS
from keras_rnn_zoo.export.clients.client import installed
from keras_rnn_zoo.preprocessing.vocabulary import Vocabulary
from keras_rnn_zoo.testing import check_language

HARD = [
    "Ça N'EST pas… «ÉTÉ», naïve_İstanbul ΟΔΟΣ\t素晴らしい 😀 x² 7½ film!",
    "ΣΑΣ ὈΔΥΣΣΕΎΣ! ǅ ﬁlm ΑΣ' ΑΣ'Α ΑΣ",
    "film\x85film\u2028film\u00a0film\ufefffilm e\u0301te\u0301 film",
    "it's 'film' _film_ film-film ٣٤ Ⅷ ① ㊀ 𝒜𝔅 𐐀𐐁 ẞ K Å",
    "ＦＩＬＭ ｆｉｌｍ",
    "McQueen's MCQUEEN'S Mcqueen's mcqueen's Film FILM fILM C'Est C'EST C'est A'",
]

# Of scripts that `words` cuts wrongly: marks, joiners, emoji, normalization.
HARD_SCRIPTS = [
    "मुझे फ़िल्म पसंद ක්‍ර می\u200cخواهم หนังเรื่องนี้ดี ខ្ញុំ မြန်မာ 이 영화 \u110c\u1162\u11a8 𠮷野家 ラーメン",
    "👨\u200d👩\u200d👧\u200d👦👍🏽🇩🇪🇫🇷🇩 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 🏴\U000e0067\U000e007f",
    "☺\u0301 U.S. a.b e\u0301.g.x a.bb. a..b. 好.a. a\u200d.b.c.1",
    "\u0301x \u200d 🧑🏾\u200d 🧑🏾\u200dx a\u200c\u200db 🇩\u0301🇪",
    "“Don’t,” 'he' said: 3.14 1,000.50 3. .5 1,,2 a'1 ''a'' _x_ x\u0301'y 3.1a Donau\u00addampf",
    "İ\u0307 I\u0307\u0307 i\u0307 i\u0323\u0307 ςΣ \u3000 a \u2028b ▁▁",
    "q\u0323\u0307 q\u0307\u0323 \u1e69 s\u0307\u0323 \u0344 \u0958 \u2126 \u212b \u0f73",
    "a\u0315\u0300\u05aeb \u1100\u1161\u11a8\u11a8 \uac00\u11a7 a\u0301\u0327\u0301",
]


def strings(name: str, count: int = 300) -> list[str]:
    """Texts of characters from everywhere, and of words that the vocabulary of a bundle holds."""
    chosen = random.Random(0)
    # Not those that this or that version of Unicode knows; a sigma is as Greek has it, in `HARD`.
    codes = [c for c in range(0x110000) if category(chr(c)) not in ("Cn", "Co", "Cs")]
    codes.remove(0x3A3)
    made = []
    for _ in range(count):
        parts = [chr(c) for c in chosen.choices(codes, k=8)]
        parts += [chr(chosen.randrange(0x250)) for _ in range(8)]
        parts += chosen.choices(["film", "STORY", "la", " ", "'"], k=6)
        if name in SCRIPTS:
            parts += chosen.choices("\u0301\u0327\u200d\ufe0f\u1161🇩👩🏽3.,İ\u0307", k=6)
        chosen.shuffle(parts)
        made.append("".join(parts).replace("\0", " ").replace("\n", " "))
    return [*HARD, *(HARD_SCRIPTS if name in SCRIPTS else ()), *made]


def knowing_all(bundle, name: str, place: Path) -> tuple[Vocabulary, Path]:
    """A vocabulary and its file: of scripts one of all tokens, so that none is like another."""
    vocabulary = bundle.preprocessor.vocabulary
    if name not in SCRIPTS:
        return vocabulary, vocabulary_file(bundle)
    vocabulary = Vocabulary.from_texts(strings(name), 100_000, name)
    assert len(vocabulary) > 1000
    vocabulary.save(place / "vocab.txt")
    return vocabulary, place / "vocab.txt"


# ---------------------------------------------------------------------- all languages


@pytest.mark.parametrize("name", LANGUAGES.names())
def test_language(name):
    check_language(name)


def test_code_that_does_not_say_what_the_model_needs_is_noticed():
    @register_language("forgetful")
    class Forgetful(Language):
        description = "forgets the labels"
        usage = "do not"

        def files(self, app):
            return {"code.txt": f"{app.preprocessor.timesteps if app.preprocessor else ''}\n"}

    try:
        with pytest.raises(AssertionError, match=r"'forgetful' .* lacks the label"):
            check_language("forgetful")
    finally:
        LANGUAGES.unregister("forgetful")


def test_what_a_language_lacks_is_said_when_it_is_registered():
    with pytest.raises(ConfigError, match="language lacks a usage of one line"):

        @register_language("unused")
        class Unused(Language):
            description = "d"

            def files(self, app):
                return {}

    assert "unused" not in LANGUAGES


@pytest.mark.parametrize("name", [*KINDS, *STREAMS, "mediapipe", "task_library"])
def test_a_bundle_has_a_folder_for_each_language_or_says_why_not(bundles, name):
    bundle = bundles[name]
    app = app_of(bundle.report, bundle.preprocessor, golden_of(bundle), bundle.path)
    text = (bundle.path / "app" / "README.md").read_text(encoding="utf-8")
    for language in LANGUAGES.names():
        reason = LANGUAGES.get(language).refuses(app)
        assert (bundle.path / "app" / language).is_dir() == (reason is None)
        assert (f"No `{language}/`: the model {reason}." in text) == (reason is not None)
    assert "app/" not in "".join(bundle.report.sha256), "an app's code is there to be changed"


def test_which_models_there_is_no_code_for(bundles):
    def left_out(name):
        app = app_of(bundles[name].report, bundles[name].preprocessor, {}, bundles[name].path)
        return {one for one in LANGUAGES.names() if code_of(app, one) is None} - {"micro"}

    for name in ("texts", "spelled", *SCRIPTS, "mediapipe", "task_library", "sensors", "tags"):
        assert left_out(name) == set()
    assert left_out("several") == {"kotlin", "swift", "cpp"}
    assert left_out("integers") == {"javascript"}
    with pytest.raises(UnknownNameError, match="pyhton"):
        code_of(App("m", ()), "pyhton")


@pytest.mark.parametrize("text", ['a "b" \\ $x \\(y) </script>\n', "été 素 😀 ?\x01\f7"])
def test_a_label_stays_within_its_literal(text):
    assert json.loads(literal(text)) == text and "<" not in literal(text)
    assert eval(python_literal([text])) == [text]
    for write in (kotlin_literal, swift_literal, cpp_literal):
        written = write(text)
        assert written.isascii() and "\n" not in written
        assert written[0] == written[-1] == '"'
    assert "$x" not in kotlin_literal(text).replace("\\$x", "")
    assert "\\f" not in kotlin_literal(text)


# ---------------------------------------------------------------------- Python


@pytest.mark.parametrize("name", [*KINDS, *STREAMS])
def test_python_answers_what_is_recorded(bundles, name):
    bundle = bundles[name]
    module = python_app(bundle)
    for file in (entry["file"] for entry in golden_of(bundle)["files"]):
        model = module.Model(file)
        for sample, answer, _ in recorded(bundle, file):
            found = model.answer(raw(sample))
            if "answer" in answer:
                assert same(found, answer["answer"], 1e-6)
            else:
                found = {key: values.tolist() for key, values in found.items()}
                assert same(found, answer["outputs"], 1e-6)


@pytest.mark.parametrize("name", ["texts", "spelled", *SCRIPTS])
def test_python_tokenizes_as_we_do(bundles, name, tmp_path):
    module, (vocabulary, _) = python_app(bundles[name]), knowing_all(bundles[name], name, tmp_path)
    ids = vocabulary.index if name in SCRIPTS else module.Model().ids
    for text in strings(name):
        assert module.tokens(text, ids) == vocabulary.encode(text), text


def test_python_needs_nothing_of_ours(bundles, tmp_path):
    sample, answer, _ = recorded(bundles["texts"])[0]
    program = f"""
import runpy, sys
sys.modules["keras_rnn_zoo"] = sys.modules["tensorflow"] = None
sys.argv = ["model.py", {sample["text"]!r}]
runpy.run_path({str(bundles["texts"].path / "app/python/model.py")!r}, run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert same(json.loads(done.stdout), answer["answer"], 1e-6), done.stderr


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("texts", "?!", "no word that the model knows"),
        ("texts", "zzz", "no word that the model knows"),
        ("sensors", [[1.0]], "timesteps, 2"),
        ("sensors", [[1.0, float("nan")]], "finite"),
        ("tags", [99], "token ids from 0 to"),
        ("tags", [], "token ids from 0 to"),
    ],
)
def test_python_refuses_what_predict_refuses(bundles, name, value, message):
    with pytest.raises(ValueError, match=message):
        python_app(bundles[name]).Model().answer(value)
    with pytest.raises(Exception, match="Row 1"):
        bundles[name].predict([value])


NAN = float("nan")
# Steps, and those of them that are real to `sensors` and to `padded`.
ENDS = [
    ([[NAN, NAN], [1, 2], [0, 0], [NAN, NAN]], [[1, 2], [0, 0]], [[1, 2], [0, 0]]),
    ([[-1, -1], [-1, -1], [1, 2], [-1, -1]], None, [[1, 2], [-1, -1]]),
    ([[NAN, NAN], [-1, -1], [5, 6]], [[-1, -1], [5, 6]], [[5, 6]]),
    ([[-1, -1], [-1, -1]], None, [[-1, -1], [-1, -1]]),
    ([[0, 0], [3, 1], [0, 0]], None, None),
]


def ends(name: str, bundle):
    """Raw steps, and what the model takes of those that are real."""
    known = bundle.preprocessor
    for steps, sensors_real, padded_real in ENDS:
        real = (sensors_real if name == "sensors" else padded_real) or steps
        (expected,) = replace(known, padding_value=None).encode_inputs([real])
        assert known.encode_inputs([steps])[0].tolist() == expected.tolist()
        yield steps, expected.ravel().tolist()


@pytest.mark.parametrize("name", ["sensors", "padded"])
def test_python_knows_values_from_padding(bundles, name):
    module = python_app(bundles[name])
    for steps, expected in ends(name, bundles[name]):
        assert same(module.encode(steps)[0].ravel().tolist(), expected, 1e-6)
    for wrong in ([[NAN, NAN]], [[1, NAN]], [[1, 1], [NAN, NAN], [1, 1]]):
        with pytest.raises(ValueError, match="finite"):
            module.encode(wrong)


@needs_node
@pytest.mark.parametrize("name", ["sensors", "padded"])
def test_javascript_knows_values_from_padding(bundles, name, tmp_path):
    cases = list(ends(name, bundles[name]))
    wrong = [[[NAN, NAN]], [[1, NAN]], [[1, 1], [NAN, NAN], [1, 1]]]
    requests = [
        {"value": [[one if one == one else "NaN" for one in step] for step in steps], "output": [1]}
        for steps in [*(steps for steps, _ in cases), *wrong]
    ]
    found = in_node(bundles[name], requests, tmp_path)
    for (_, expected), one in zip(cases, found, strict=False):
        assert same(one["x"], expected, 1e-6)
    for one in found[len(cases) :]:
        assert "finite" in one["error"]


NUMBERS = """
#include <cstdio>
#include "model.h"
int main(int argc, char** argv) try {
  std::vector<float> x;
  for (int i = 2; i < argc; ++i) x.push_back(std::stof(argv[i]));
  Model(argv[1]).Ask(x);
} catch (const std::invalid_argument& error) {
  std::puts(error.what());
}
"""


@needs_cxx
@pytest.mark.parametrize("name", ["sensors", "padded"])
def test_cpp_knows_values_from_padding(bundles, name, tmp_path):
    (tmp_path / "numbers.cc").write_text(NUMBERS)
    program = compiled(bundles[name], tmp_path, tmp_path / "numbers.cc")
    path = replayed(bundles[name], tmp_path)
    Path(f"{path}.out").write_bytes(np.zeros(3, np.float32).tobytes())

    def ask(steps):
        given = [str(one) for step in steps for one in step]
        return subprocess.run([program, path, *given], capture_output=True, text=True, check=True)

    for steps, expected in ends(name, bundles[name]):
        assert ask(steps).stdout == ""
        given = np.frombuffer(Path(f"{path}.in").read_bytes(), np.float32)
        assert same(given.tolist(), expected, 1e-5)
    for wrong in ([[NAN, NAN]], [[1, NAN]], [[1, 1], [NAN, NAN], [1, 1]]):
        assert "finite" in ask(wrong).stdout


@pytest.mark.parametrize("settings", [{"padding": "pre"}, {"truncating": "post", "timesteps": 4}])
def test_python_pads_and_cuts_as_the_model_was_trained(tmp_path, settings):
    bundle = sensors(tmp_path, settings)
    model = python_app(bundle).Model()
    for sample, answer, _ in recorded(bundle):
        assert same(model.answer(raw(sample)), answer["answer"], 1e-6)
    other = python_app(bundle)
    other.cut = lambda steps: steps[:1]
    sample, answer, _ = recorded(bundle)[0]
    assert not same(other.Model().answer(raw(sample)), answer["answer"], 1e-6)


def test_python_sizes_the_inputs_of_a_file_that_leaves_them_open(tmp_path):
    bundle = sensors(tmp_path, lowering="resizable")
    model = python_app(bundle).Model()
    for sample, answer, _ in recorded(bundle):
        assert same(model.answer(raw(sample)), answer["answer"], 1e-6)
    assert "cannot resize" in (bundle.path / "app" / "README.md").read_text()


# ---------------------------------------------------------------------- MediaPipe

IN_MEDIAPIPE = """
import json, runpy, sys
app = runpy.run_path(sys.argv[1])
models = {}
for file, text in json.loads(sys.argv[2]):
    models[file] = models.get(file) or app["Model"](file, sys.argv[3])
    print(json.dumps(models[file].answer(text)))
"""


def test_python_has_mediapipe_answer_what_is_recorded(bundles):
    bundle, found = bundles["mediapipe"], installed(CLIENTS.get("mediapipe"))
    if not found:
        pytest.skip("MediaPipe is not installed: see keras-rnn-zoo clients")
    code = bundle.path / "app/python/model.py"
    files = [entry["file"] for entry in golden_of(bundle)["files"]]
    assert files == ["model.tflite", "model_float16.tflite"]
    for one in found:
        samples = [(file, *sample) for file in files for sample in recorded(bundle, file)]
        asked = json.dumps([(file, sample["text"]) for file, sample, *_ in samples])
        arguments = [one.place, "-c", IN_MEDIAPIPE, code, asked, bundle.path]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        for answer, (_, _, expected, tolerance) in zip(answers, samples, strict=True):
            assert same(answer, expected["answer"], tolerance), done.stderr
            assert list(answer["scores"]) == list(expected["answer"]["scores"])
        assert not same(answers[0], samples[-1][2]["answer"], samples[-1][3])
        command = [one.place, code, samples[0][1]["text"]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert json.loads(done.stdout) == answers[0], done.stderr


@pytest.mark.parametrize("name", ["python", "javascript", "kotlin", "swift"])
def test_mediapipe_gets_the_files_that_are_for_it_and_no_others(bundles, name):
    def code(kind):
        place = bundles[kind].path / "app" / name
        return "".join(file.read_text(encoding="utf-8") for file in place.iterdir())

    assert "TextClassifier" in code("mediapipe") and "spellings.txt" not in code("mediapipe")
    # It opens no loops.
    for kind in ("task_library", "spelled"):
        assert "TextClassifier" not in code(kind) and "spellings" in code(kind)


# ---------------------------------------------------------------------- JavaScript


@needs_node
@pytest.mark.parametrize(
    "name", ["texts", "spelled", *SCRIPTS, "sensors", "padded", "regression", "sounds", "tags"]
)
def test_javascript_encodes_and_decodes_what_is_recorded(bundles, name, tmp_path):
    samples = recorded(bundles[name])
    requests = [
        {"value": raw(sample), "output": np.ravel(next(iter(answer["outputs"].values()))).tolist()}
        for sample, answer, _ in samples
    ]
    for found, (sample, answer, _) in zip(
        in_node(bundles[name], requests, tmp_path), samples, strict=True
    ):
        assert same(found["x"], np.ravel(next(iter(sample["inputs"].values()))).tolist(), 1e-6)
        assert same(found["answer"], answer["answer"], 1e-6)


@needs_node
@pytest.mark.parametrize("name", ["texts", "spelled", *SCRIPTS])
def test_javascript_tokenizes_as_we_do(bundles, name, tmp_path):
    vocabulary, words = knowing_all(bundles[name], name, tmp_path)
    requests = [{"value": text, "tokenize": True} for text in strings(name)]
    found = in_node(bundles[name], requests, tmp_path, words)
    for text, ids in zip(strings(name), found, strict=True):
        assert ids == vocabulary.encode(text), text


@needs_node
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("texts", "?!", "no word that the model knows"),
        ("sensors", [[1.0]], "2 finite numbers"),
        ("sensors", [], "2 finite numbers"),
        ("sensors", [[1.0, 1e39]], "2 finite numbers"),
        ("tags", [99], "token ids from 0 to"),
    ],
)
def test_javascript_refuses_what_predict_refuses(bundles, name, value, message, tmp_path):
    (found,) = in_node(bundles[name], [{"value": value, "output": []}], tmp_path)
    assert message in found["error"]


# ---------------------------------------------------------------------- C++ and Kotlin


@needs_cxx
@pytest.mark.parametrize(
    "name",
    [
        *("texts", "mediapipe", *SCRIPTS, "sensors", "padded"),
        *("regression", "sounds", "tags", "integers"),
    ],
)
def test_cpp_gives_the_interpreter_what_is_recorded(bundles, name, tmp_path):
    program = compiled(bundles[name], tmp_path)

    def ask(path, value):
        arguments = [program, path]
        if isinstance(value, str):
            arguments += [vocabulary_file(bundles[name]), value]
        numbers = "" if isinstance(value, str) else " ".join(map(str, np.ravel(value).tolist()))
        done = subprocess.run(arguments, input=numbers, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return printed(done.stdout)

    check_replay(bundles[name], tmp_path, ask)


TOKENS = """
#include <iostream>
#include "model.h"
int main(int, char** argv) {
  Model model(argv[1], argv[2]);
  for (std::string line; std::getline(std::cin, line); std::cout << "\\n") {
    for (int id : model.Tokens(line)) std::cout << id << " ";
  }
}
"""


@needs_cxx
@pytest.mark.parametrize("name", ["texts", "mediapipe", *SCRIPTS])
def test_cpp_tokenizes_as_we_do(bundles, name, tmp_path):
    vocabulary, words = knowing_all(bundles[name], name, tmp_path)
    (tmp_path / "tokens.cc").write_text(TOKENS)
    program = compiled(bundles[name], tmp_path, tmp_path / "tokens.cc")
    path = replayed(bundles[name], tmp_path)
    done = subprocess.run(
        [program, path, words],
        input="\n".join(strings(name)).encode(),
        capture_output=True,
        check=True,
    )
    for text, line in zip(strings(name), done.stdout.decode().splitlines(), strict=True):
        assert [int(word) for word in line.split()] == vocabulary.encode(text), text


def test_the_tables_of_letters_are_those_of_the_tokenizer():
    words, lower = unicode_tables()
    small = {
        code: code + distance
        for first, last, step, distance in lower
        for code in range(first, last + 1, step)
    }
    inside = {code for first, last in words for code in range(first, last + 1)}
    for code in range(128, sys.maxunicode + 1):
        if 0xD800 <= code <= 0xDFFF or code == 0x130:
            continue
        assert chr(small.get(code, code)) == chr(code).lower()
        assert (code in inside) == chr(code).isalnum()


@needs_kotlin
def test_kotlin_gives_the_interpreter_what_is_recorded(bundles, tmp_path):
    names = ["texts", "spelled", *SCRIPTS, "sensors", "padded"]
    names += ["regression", "sounds", "tags", "integers"]
    in_kotlin(bundles, names, tmp_path)


@needs_kotlin
def test_kotlin_reads_what_mediapipe_answers(bundles, tmp_path):
    bundle = bundles["mediapipe"]
    (tmp_path / "main.kt").write_text(
        "fun main(args: Array<String>) = Model(android.content.Context(), args[0]).use { model ->\n"
        "    val answer = model.answer(args[1])\n"
        '    answer.scores.forEach { (label, score) -> println("$score $label") }\n'
        '    println(answer.label + if (answer.score == answer.scores[answer.label]) "" else "?")\n'
        "}\n"
    )
    sources = [DOUBLES / "Context.kt", DOUBLES / "TextClassifier.kt", tmp_path / "main.kt"]
    sources.append(bundle.path / "app/kotlin/Model.kt")
    jar = tmp_path / "app.jar"
    done = subprocess.run(
        [KOTLINC, *sources, "-include-runtime", "-d", jar], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for number, (_, answer, _) in enumerate(recorded(bundle)):
        scores = answer["answer"]["scores"]
        lines = [f"{i} {score!r} {label}" for i, (label, score) in enumerate(scores.items())]
        lines.sort(key=lambda line: -float(line.split()[1]))
        (tmp_path / f"m.tflite.text {number}").write_text("\n".join(lines))
        command = ["java", "-cp", jar, "MainKt", tmp_path / "m.tflite", f"text {number}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        *rest, label = done.stdout.splitlines()
        assert label == answer["answer"]["label"]
        assert [line.split()[1] for line in rest] == list(scores)
        assert same([float(line.split()[0]) for line in rest], list(scores.values()), 1e-6)
