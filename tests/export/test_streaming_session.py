"""Streaming files, run step by step."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from app_bundles import TEXTS, bundle_of, sensors
from streaming_files import (
    FEATURES,
    STEPS,
    external,
    internal,
    lacking,
    peaks,
    recurrent,
    rows,
    sums,
)

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError, DataError, RunError, UnknownNameError
from keras_rnn_zoo.export import StreamingModel, StreamingSession, TFLiteModel, export_tflite
from keras_rnn_zoo.export.streaming import saved
from keras_rnn_zoo.export.streaming.lines import answer_arrays, answer_lines
from keras_rnn_zoo.export.tflite.steps import StepModel
from keras_rnn_zoo.preprocessing.vocabulary import Vocabulary

# What files of a step may differ from Keras by: float32 sums in another order.
CLOSE = 1e-5
KINDS = ("micro", "external", "internal")
BUNDLE = {"target": "micro", "lowering": "step", "inference_type": "float32", "mask": False}


@pytest.fixture(scope="module")
def keras_answers():
    """Sequences and what Keras answers to them."""
    model, x = recurrent(), rows()
    return model, x, model.predict(x, verbose=0)


@pytest.fixture(scope="module")
def files(tmp_path_factory, keras_answers) -> dict[str, Path]:
    """The same model as a file of each kind, and in int8."""
    model, x, _ = keras_answers
    place = tmp_path_factory.mktemp("streaming")
    found = {name: place / f"{name}.tflite" for name in (*KINDS, "started", "int8")}
    options = {"target": "micro", "lowering": "step", "samples": x}
    export_tflite(model, found["micro"], **options)
    content = found["micro"].read_bytes()
    found["external"].write_bytes(external(content))
    found["started"].write_bytes(external(content, HALVES))
    found["internal"].write_bytes(internal(content))
    export_tflite(
        model,
        found["int8"],
        quantization="int8",
        inference_type="int8",
        representative_data=x,
        **options,
    )
    return found


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A bundle for texts that answers step by step."""
    dataset = Dataset("films", "text", Split(TEXTS, ["good", "good", "bad", "bad"] * 4))
    return bundle_of(tmp_path_factory.mktemp("texts"), dataset, {"timesteps": 5}, **BUNDLE)


@pytest.fixture(scope="module")
def tags(tmp_path_factory):
    """A bundle that gives each word a label."""
    words = ["Ann left the U.S. today", "the rain in Spain fell", "so Bob came by train"] * 4
    rows = [line.split() for line in words]
    labels = [["B" if word[0].isupper() else "O" for word in row] for row in rows]
    dataset = Dataset("tags", "text", Split(rows, labels))
    settings = {"timesteps": 5, "tokenizer": "words"}
    return bundle_of(tmp_path_factory.mktemp("tags"), dataset, settings, **BUNDLE)


@pytest.fixture(scope="module")
def motions(tmp_path_factory):
    """A bundle for sensors, which it scales."""
    return sensors(tmp_path_factory.mktemp("motions"), {"timesteps": 5}, **BUNDLE)


HALVES = dict.fromkeys(["low/h", "low/c", "high/h"], 0.5)


def equal(one, other) -> bool:
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


# ------------------------------------------------------------------------------ the answers


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_after_the_last_step_is_that_of_keras_to_the_sequence(
    files, keras_answers, kind
):
    _, x, expected = keras_answers
    session = StreamingSession(files[kind])
    for sequence, answer in zip(x[:4], expected, strict=False):
        session.reset()
        assert session.steps == 0
        for row in sequence:
            found = session.step(row)
        assert found["label"].shape == (3,)
        np.testing.assert_allclose(found["label"], answer, atol=CLOSE)
        assert session.steps == STEPS


@pytest.mark.parametrize("kind", KINDS)
def test_several_steps_at_once_answer_what_one_by_one_do(files, kind):
    x = rows()[0]
    one, many = StreamingSession(files[kind]), StreamingSession(files[kind])
    expected = np.stack([one.step(row)["label"] for row in x])
    found = many.step(x)["label"]
    assert np.array_equal(found, expected) and many.steps == STEPS
    assert many.step(x[:1])["label"].shape == (1, 3)
    assert many.step(x.tolist())["label"].shape == (STEPS, 3)
    assert many.step({"sensor": x[0]})["label"].shape == (3,)


def test_states_start_where_the_file_says(files):
    x = rows()[0]
    session, zero = StreamingSession(files["started"]), StreamingSession(files["external"])
    assert {name: set(values.ravel()) for name, values in session.states.items()} == {
        name: {np.float32(0.5)} for name in ("high/h", "low/c", "low/h")
    }
    first = session.step(x)
    assert np.abs(first["label"] - zero.step(x)["label"]).max() > 0.01
    session.reset()
    assert equal(session.step(x), first)


def test_states_are_copies_of_real_values(files):
    session = StreamingSession(files["external"])
    session.step(rows()[0])
    states = session.states
    assert {name: values.shape for name, values in states.items()} == {
        "high/h": (6,),
        "low/c": (8,),
        "low/h": (8,),
    }
    for values in states.values():
        values[:] = 9
    assert all(np.abs(values).max() < 1.5 for values in session.states.values())


def test_an_int8_file_answers_what_it_does_to_sequences(files):
    x = rows()[:3]
    session = StreamingSession(files["int8"])
    assert session.inputs["sensor"].dtype == session.outputs["label"].dtype == "int8"
    for sequence, answer in zip(x, StepModel(files["int8"]).predict(x), strict=True):
        session.reset()
        assert np.array_equal(session.step(sequence)["label"][-1], answer)


def test_states_in_int8_are_carried_as_they_are_stored(tmp_path):
    session = StreamingSession(peaks(tmp_path / "peaks.tflite"))
    info = session.model.states["peak/h"]
    assert info.dtype == "int8" and info.zero_point == -64
    assert session.states["peak/h"].tolist() == [0, 0]
    session.step([[0.5, -0.5], [0.25, 1]])
    # Half a quantization step is what a value may be rounded by.
    np.testing.assert_allclose(session.states["peak/h"], [0.5, 1], atol=info.scale / 2)
    state = session.save()
    assert saved.unpack(state)[2]["peak/h"].dtype == np.int8
    session.reset()
    assert session.step([0, 0])["peak"].tolist() == [0, 0, 0, 0]
    session.restore(state)
    np.testing.assert_allclose(session.step([0, 0])["peak"], [0.5, 1] * 2, atol=info.scale / 2)
    with pytest.raises(RunError, match="'peak/h' comes out otherwise than it goes in"):
        StreamingSession(peaks(tmp_path / "other.tflite", tied=False))


def test_chunks_of_several_inputs_with_answers_of_fewer_steps(tmp_path):
    session = StreamingSession(sums(tmp_path / "sums.tflite"))
    assert (session.chunk, list(session.outputs)) == (4, ["all", "each"])
    left, right = np.arange(16.0).reshape(8, 2), np.arange(8)
    total = np.cumsum(left + right[:, np.newaxis], axis=0)
    for start in (0, 4):
        part = slice(start, start + 4)
        found = session.step({"left": left[part], "right": right[part]})
        assert np.array_equal(found["each"], total[part][1::2])
        assert np.array_equal(found["all"], 2 * total[part][-1])
    assert session.steps == 8 and np.array_equal(session.states["total/h"], total[-1])
    before = session.save()
    for x, words in [
        ({"left": left[:3], "right": right[:3]}, "[4, 2] as 'left'. Received: the shape [3, 2]"),
        ({"left": left[0], "right": 1}, "of the shape [4, 2]"),
        ({"left": left[:4]}, "takes the inputs 'left', 'right'. Missing or unknown: 'right'"),
        ({"left": left[:4], "rihgt": right[:4]}, "Did you mean 'right'?"),
        (left[:4], "give a dict of arrays by name"),
        ({"left": left[:4], "right": right[:4] + 0.5}, "token ids (whole numbers)"),
    ]:
        with pytest.raises(DataError) as error:
            session.step(x)
        assert words in str(error.value), error.value
    assert session.save() == before
    # A stream of arrays: what fills no chunk is left.
    events = list(answer_arrays(session, {"left": left[:7], "right": right[:7]}))
    assert [type(event).__name__ for event in events] == ["Answered", "Left"]
    assert events[1].steps == 3


def test_several_streams_at_once_have_a_batch_axis(tmp_path):
    session = StreamingSession(sums(tmp_path / "sums.tflite", chunk=1, batch=3))
    left, right = np.arange(24.0).reshape(3, 4, 2), np.arange(12).reshape(3, 4)
    total = np.cumsum(left + right[..., np.newaxis], axis=1)
    found = session.step({"left": left[:, 0], "right": right[:, 0]})
    assert found["each"].shape == found["all"].shape == (3, 2)
    assert np.array_equal(found["each"], total[:, 0])
    found = session.step({"left": left[:, 1:], "right": right[:, 1:]})
    assert np.array_equal(found["each"], total[:, 1:])
    assert np.array_equal(found["all"], 2 * total[:, 1:])
    assert session.states["total/h"].shape == (3, 2)
    answers = session.decoded(found)
    assert [answer["values"]["each"][-1] for answer in answers] == total[:, -1].tolist()
    with pytest.raises(DataError, match=r"\[3, 2\] or \[3, steps, 2\] as 'left'"):
        session.step({"left": left[0, 0], "right": 1})
    with pytest.raises(DataError, match="same number of time steps"):
        session.step({"left": left[:, 0], "right": right})
    with pytest.raises(DataError, match="3 streams at once"):
        next(answer_lines(session, ["1 2"]))


# ------------------------------------------------------------------------------ refused


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (
            np.zeros(4),
            "numbers of the shape [5] or [steps, 5] as 'sensor'. Received: the shape [4]",
        ),
        (np.zeros((2, 3, 5)), "Received: the shape [2, 3, 5]"),
        (np.zeros((0, 5)), "Received: the shape [0, 5]"),
        (0.5, "Received: the shape []"),
        ([1, 2, np.nan, 4, 5], "NaN, infinity"),
        ([1, 2, np.inf, 4, 5], "NaN, infinity"),
        ([1, 2, 1e39, 4, 5], "a number beyond float32"),
        (np.array(["1"] * 5), "Received: array(['1'"),
        ([[1, 2, 3, 4, 5], [1]], "ragged"),
        (None, "Received: None"),
        ("word", "brings no vocabulary"),
        ({"sensr": np.zeros(5)}, "Did you mean 'sensor'?"),
    ],
)
def test_a_step_that_does_not_fit_is_refused_and_changes_nothing(files, kind, x, words):
    good = rows()[0]
    session, other = StreamingSession(files[kind]), StreamingSession(files[kind])
    session.step(good[:4]), other.step(good[:4])
    with pytest.raises(DataError) as error:
        session.step(x)
    assert words in str(error.value) and "\n" not in str(error.value)
    assert session.steps == 4
    assert equal(session.step(good[4]), other.step(good[4]))
    # What is large, but a number, is a step as any other.
    assert np.isfinite(session.step(np.full(5, 1e20))["label"]).all()


def test_a_step_that_makes_the_states_nan_changes_nothing(files):
    x = rows()[0]
    session, other = StreamingSession(files["external"]), StreamingSession(files["external"])
    session.step(x[:4]), other.step(x[:4])
    for bad in (np.full(5, 1e38), np.stack([x[4], np.full(5, 1e38)])):
        with pytest.raises(DataError, match="makes states NaN or infinite"):
            session.step(bad)
    assert session.save() == other.save()


def test_states_inside_that_become_nan_begin_anew(files):
    x = rows()[0]
    session = StreamingSession(files["internal"])
    first = session.step(x[0])
    with pytest.raises(DataError, match=r'begins anew.*state="external"'):
        session.step(np.full(5, 1e38))
    assert session.steps == 0 and equal(session.step(x[0]), first)


def test_what_is_no_streaming_file_is_refused(files, keras_answers, texts, tmp_path):
    model, x, _ = keras_answers
    whole = tmp_path / "whole.tflite"
    export_tflite(model, whole, samples=x[:4])
    assert TFLiteModel(whole).inputs
    with pytest.raises(RunError, match=r"whole sequences.*serving_default.*streaming=True \(--str"):
        StreamingSession(whole)
    content = files["micro"].read_bytes()
    for name, bad, words in [
        ("short", content[: len(content) // 2], "Take a complete copy"),
        ("other", b"a text that is long enough", "not a .tflite file"),
        ("lacking", lacking(content), "'initial_state' does not make the states"),
    ]:
        (tmp_path / f"{name}.tflite").write_bytes(bad)
        with pytest.raises(RunError, match=words):
            StreamingSession(tmp_path / f"{name}.tflite")
    with pytest.raises(RunError, match=r"Did you mean .*whole\.tflite"):
        StreamingSession(tmp_path / "whloe.tflite")
    with pytest.raises(RunError, match="it is a run"):
        StreamingSession(texts.path.parent / "run")
    with pytest.raises(ConfigError, match=r"at least 1\. Received: 0"):
        StreamingSession(files["micro"], threads=0)
    with pytest.raises(ConfigError, match="a file of a bundle"):
        StreamingSession(files["micro"], quantization="int8")
    with pytest.raises(UnknownNameError, match="It has: 'none'"):
        StreamingSession(texts.path, quantization="int8")


# ------------------------------------------------------------------------------ several streams


@pytest.mark.parametrize("kind", ["external", "internal"])
def test_streams_over_one_file_do_not_touch_each_other_in_threads(files, kind):
    x = rows(6)
    alone = [StreamingSession(files[kind]).step(sequence)["label"] for sequence in x]
    model = StreamingModel(files[kind])
    sessions = [StreamingSession(model) for _ in x]
    gate, found = threading.Barrier(len(x)), [[] for _ in x]

    def run(number):
        gate.wait()
        for _ in range(40):
            sessions[number].reset()
            found[number].append([sessions[number].step(row)["label"] for row in x[number]])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(x))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answers, expected in zip(found, alone, strict=True):
        assert len(answers) == 40
        assert all(np.array_equal(answer, expected) for answer in answers)


def test_a_stream_may_be_used_by_several_threads(tmp_path):
    session = StreamingSession(sums(tmp_path / "sums.tflite", chunk=1))

    def run():
        for _ in range(300):
            session.step({"left": [1, 2], "right": 0})

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.steps == 1200
    assert session.states["total/h"].tolist() == [1200, 2400]


def test_a_model_that_is_shared_has_its_options_already(files):
    model = StreamingModel(files["external"], threads=2)
    assert StreamingSession(model).model is model
    for options in ({"threads": 2}, {"quantization": "none"}):
        with pytest.raises(ConfigError, match="give them to it"):
            StreamingSession(model, **options)


# ------------------------------------------------------------------------------ saved


def test_a_stream_goes_on_in_another_process_without_tensorflow(files, tmp_path):
    x = rows()[0]
    session = StreamingSession(files["external"])
    session.step(x[:6])
    (tmp_path / "state").write_bytes(session.save())
    np.save(tmp_path / "rest.npy", x[6:])
    program = f"""
import json, sys
import numpy as np
from keras_rnn_zoo.export import StreamingSession
session = StreamingSession({str(files["external"])!r})
session.restore(open("state", "rb").read())
seen, answers = session.steps, session.step(np.load("rest.npy"))["label"]
heavy = [name for name in ("tensorflow", "keras") if name in sys.modules]
print(json.dumps([seen, session.steps, answers.tolist(), heavy]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    seen, steps, answers, heavy = json.loads(done.stdout)
    assert (seen, steps, heavy) == (6, STEPS, [])
    assert answers == session.step(x[6:])["label"].tolist()


def test_a_state_that_is_not_whole_or_of_another_file_changes_nothing(files):
    x = rows()[0]
    session = StreamingSession(files["external"])
    session.step(x[:3])
    other = StreamingSession(files["started"])
    other.step(x[:3])
    state, before = session.save(), session.save()
    newer = state[:8] + struct.pack("<I", saved.VERSION + 1) + state[12:]
    infinite = [(name, np.full_like(v, np.inf)) for name, v in saved.unpack(state)[2].items()]
    sha256 = session.model.sha256
    for bad, words in [
        (other.save(), "of another file"),
        (state[:-1], "SHA-256 differs"),
        (state[:40], "SHA-256 differs"),
        (state[:10], "are no state"),
        (b"", "are no state"),
        (b"GIF89a" + state, "are no state"),
        (state + b"\0", "SHA-256 differs"),
        (newer, "Install a newer"),
        (saved.pack(sha256, 3, []), "does not hold the states of its file"),
        (saved.pack(sha256, 3, infinite), "holds NaN or infinity"),
        (saved.pack(sha256, -3, infinite), "steps=-3"),
        ("a text", "Received: str"),
    ]:
        with pytest.raises(RunError) as error:
            session.restore(bad)
        assert words in str(error.value) and "\n" not in str(error.value)
    for place in range(len(state)):
        changed = bytearray(state)
        changed[place] ^= 1
        with pytest.raises(RunError):
            session.restore(changed)
    assert session.save() == before
    expected = session.step(x[3])
    session.restore(state)
    assert session.steps == 3 and equal(session.step(x[3]), expected)


def test_states_inside_cannot_be_saved_and_the_message_says_what_to_do(files):
    session = StreamingSession(files["internal"])
    state = StreamingSession(files["external"]).save()
    for what in (session.save, lambda: session.restore(state), lambda: session.states):
        with pytest.raises(RunError, match='state="external"'):
            what()


# ------------------------------------------------------------------------------ bundles


def alike(answer):
    """The same answer, its probabilities to a few units in the last place of a float32."""
    if isinstance(answer, dict):
        return {key: alike(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return [alike(value) for value in answer]
    return pytest.approx(answer, abs=3e-7) if isinstance(answer, float) else answer


def test_a_bundle_answers_a_whole_row_as_predict_does(motions, texts, tags):
    row = np.random.default_rng(1).normal(3, 2, (5, 2)).astype("float32")
    for bundle, given in [
        (motions, row),
        (texts, "A wonderful, moving DULL xyzzy!"),
        (tags, ["Ann", "left", "the", "U.S.", "today"]),
    ]:
        (expected,) = bundle.predict([given])
        expected.pop("tokens", None)
        session = StreamingSession(bundle.path)
        assert session.answer(given) == alike(expected)
        assert session.steps == 5
    # The same, one by one.
    session = StreamingSession(motions.path)
    answers = [session.answer(step) for step in row]
    assert answers[-1] == alike(motions.predict([row])[0])
    session = StreamingSession(tags.path)
    label = session.answer(3)
    assert set(label) == {"label", "score"}


def test_words_are_steps_as_they_are_tokens(texts):
    session = StreamingSession(texts.path)
    assert session.step("c'est la VIE")["answer"].shape == (3, 1)
    assert session.step("film!")["answer"].shape == (1, 1)
    before = session.save()
    for x, words in [
        ("... !", "holds no token"),
        ("", "holds no token"),
        (-1, "token id -1"),
        (1.5, "a token id, or token ids"),
        (True, "a token id, or token ids"),
        (2**40, "beyond int32"),
    ]:
        with pytest.raises(DataError) as error:
            session.step(x)
        assert words in str(error.value)
    assert session.save() == before and session.steps == 4
    # Ids beyond the vocabulary are unknown words, as in training.
    unknown = session.model.preprocessor.vocabulary.unknown_id
    expected = session.step(unknown)
    session.restore(before)
    assert equal(session.step(10_000), expected)


def test_a_stream_begins_with_the_start_of_texts_where_there_is_one(texts):
    model = StreamingModel(texts.path)
    plain = model.preprocessor
    tokens = ["<PAD>", "<START>", *plain.vocabulary.tokens[1:-1]]
    model.preprocessor = replace(plain, vocabulary=Vocabulary(tokens))
    session = StreamingSession(model)
    expected = StreamingSession(texts.file()).step(model.preprocessor.encode_part("a film", True))
    for _ in range(2):
        assert np.array_equal(session.step("a")["answer"], expected["answer"][1:2])
        assert session.steps == 2
        assert np.array_equal(session.step("film")["answer"], expected["answer"][2:])
        assert session.steps == 3
        session.reset()
    events = list(answer_lines(session, ["a", "film", "", "a film"]))
    assert [(event.step, event.tokens) for event in events] == [
        (2, ("a",)),
        (3, ("film",)),
    ] * 2
    assert np.array_equal(events[-1].outputs["answer"], expected["answer"][-1])


def test_an_id_that_the_file_does_not_know_changes_nothing(texts):
    session = StreamingSession(texts.file())
    session.step(3)
    before = session.save()
    with pytest.raises(DataError, match=r"cannot take this step \(gather index out of bounds\)"):
        session.step([3, 4, 99_999])
    assert session.save() == before and session.steps == 1
    assert set(session.answer([3, 4])) == {"values"}


def test_a_file_of_a_bundle_that_was_changed_is_refused(motions, tmp_path):
    import shutil

    copy = shutil.copytree(motions.path, tmp_path / "copy")
    assert StreamingSession(copy).chunk == 1
    content = bytearray((copy / "model.tflite").read_bytes())
    content[-1] ^= 1
    (copy / "model.tflite").write_bytes(content)
    with pytest.raises(RunError, match="SHA-256 differs"):
        StreamingSession(copy)


def test_features_are_scaled_as_in_training(motions):
    session = StreamingSession(motions.path)
    bare = StreamingSession(motions.file())
    mean = np.array(motions.preprocessor.scaling["mean"], np.float32)
    assert FEATURES != 2 and np.abs(mean).max() > 0.5
    x = np.random.default_rng(2).normal(3, 2, (4, 2)).astype("float32")
    encoded = motions.preprocessor.encode_inputs([x])[0][:4]
    assert equal(session.step(x), bare.step(encoded))
    # What is scaled to zeros is no padding.
    assert equal(session.step(mean), bare.step(motions.preprocessor.encode_inputs([[mean]])[0, 0]))


# ------------------------------------------------------------------------------ lines


def _told(session, lines, **options):
    """Steps that were answered, and what is wrong with the lines that were not."""
    return [
        getattr(event, "step", None) or event.error
        for event in answer_lines(session, lines, **options)
    ]


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (["1,2", "3.5,-4e1"], {}),
        (["1 2", "  3.5   -40\r\n"], {}),
        (["1;2", "3,5;-40"], {}),
        (["1\t2", "3.5\t-40"], {}),
        (["1,0|2", "3,5|-40,0"], {"delimiter": "|", "decimal": ","}),
        (["a,b", "1,2", "3.5,-40"], {}),
        (["b,a", "2,1", "-40,3.5"], {"columns": ["a", "b"]}),
        (['"time, UTC",a,b', '"1, 2",1,2', "x,3.5,-40"], {"columns": ["a", "b"]}),
        (["a,b", "1,2", "a,b", "3.5,-40"], {}),
    ],
)
def test_lines_are_read_as_people_write_them(motions, lines, options):
    session = StreamingSession(motions.path)
    expected = session.step([[1, 2], [3.5, -40]])["answer"]
    session.reset()
    found = [event.outputs["answer"] for event in answer_lines(session, lines, **options)]
    assert np.array_equal(found, expected)


def test_a_line_that_does_not_fit_is_marked_and_the_stream_goes_on(motions):
    session = StreamingSession(motions.path)
    good, bad = ["1,2", "3,4", "5,6"], ["1", "1,x", "1,", "nan,1", "1,2,3", "1_0,2", "\udcff,1"]
    expected = session.step([[1, 2], [3, 4], [5, 6]])["answer"][-1]
    session.reset()
    told = _told(session, [good[0], *bad, *good[1:]])
    assert [one for one in told if isinstance(one, int)] == [1, 2, 3]
    for words, message in zip(
        ["holds the 2 numbers", "'x' is no", "An empty cell", "NaN", "Received 3", "'1_0'", "text"],
        told[1:-2],
        strict=True,
    ):
        assert words in message
    session.reset()
    events = list(answer_lines(session, [*good[:1], *bad, *good[1:]]))
    assert np.array_equal(events[-1].outputs["answer"], expected)


def test_an_empty_line_begins_a_new_stream(motions, texts):
    assert _told(StreamingSession(motions.path), ["1 2", "3 4", "", "1 2"]) == [1, 2, 1]
    session = StreamingSession(texts.path)
    events = list(answer_lines(session, ["A wonderful, film", "...", " ", "dull"]))
    assert [(event.step, event.tokens) for event in events] == [
        (1, ("a",)),
        (2, ("wonderful",)),
        (3, ("film",)),
        (1, ("dull",)),
    ]
    bare = StreamingSession(texts.file())
    told = _told(bare, ["1 2,3", "x", "", "4"])
    assert told == [1, 2, 3, "Token ids are whole numbers. Received: 'x'", 1]


def test_columns_that_are_not_there_end_the_stream(motions):
    for lines, options, words in [
        (["x,y", "1,2"], {"columns": ["x", "z"]}, "names no column 'z'"),
        (["x,y,z", "1,2,3"], {}, "A time step has 2 numbers, and the first line names"),
        (["1,2,3"], {"columns": ["x", "y"]}, "the first line names none"),
    ]:
        with pytest.raises(DataError, match=words):
            list(answer_lines(StreamingSession(motions.path), lines, **options))


def test_arrays_are_streams(motions):
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")
    session = StreamingSession(motions.path)
    many = [event.step for event in answer_arrays(session, {"x": x, "y": np.zeros(3)})]
    assert many == [1, 2, 3, 4] * 3
    session.reset()
    x[0, 1, 0] = np.nan
    events = list(answer_arrays(session, {"series": x[0]}))
    assert [type(event).__name__ for event in events] == ["Answered", "Refused", *["Answered"] * 2]
    assert events[1].line == 2
    for arrays, words in [
        ({"serie": x, "other": x}, "Did you mean 'serie'"),
        ({"x": x[0, 0]}, r"'series' \[steps, 2\]"),
    ]:
        with pytest.raises(DataError, match=words):
            list(answer_arrays(session, arrays))
