"""Files of some time steps a call are run in the clients, over whole sequences, and judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streaming_files as streaming

from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.export import QUANTIZATIONS, export_tflite
from keras_rnn_zoo.export.bundle.any_file import verify_file
from keras_rnn_zoo.export.clients.client import CLIENTS, installed
from keras_rnn_zoo.export.clients.litert import LiteRT
from keras_rnn_zoo.export.clients.prove import INVOKES, prove
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.quantization import roundings
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.tables import ends_of
from keras_rnn_zoo.export.verify.reference import Reference, reference_of

NONE, INT8 = QUANTIZATIONS.get("none"), QUANTIZATIONS.get("int8")
NAMES = ["compiled_model", "litert", "litert_js", "tflite_micro", "tflite_runtime"]
SIZE, BATCH = 2, 2


@dataclass
class Files:
    """A model, its file as it was written, and what the model answers."""

    place: Path
    model: Any
    x: np.ndarray
    content: bytes
    reference: Reference

    def file(self, name: str, content: bytes) -> Path:
        path = self.place / f"{name}.tflite"
        path.write_bytes(content)
        return path


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    """Two sequences at a time, two steps a call; an answer at the end and one at each step."""
    place, x = tmp_path_factory.mktemp("floats"), streaming.sensors()
    model = streaming.sensor_model()
    content = streaming.streaming_file(place, size=SIZE, batch=BATCH)
    return Files(place, model, x, content, reference_of(model, x, roundings=roundings([])))


@pytest.fixture(scope="module")
def integers(tmp_path_factory):
    """A file for TensorFlow Lite Micro: inputs, states and outputs of int8, a step a call."""
    import keras

    place, x = tmp_path_factory.mktemp("int8"), streaming.sensors(48)
    inputs = keras.Input(x.shape[1:], name="sensor")
    answer = keras.layers.Dense(3, activation="softmax", name="label")
    model = keras.Model(inputs, answer(keras.layers.GRU(6, name="high")(inputs)))
    generator = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(generator.normal(scale=0.5, size=weight.shape))
    export_tflite(
        model,
        place / "m.tflite",
        target="micro",
        lowering="step",
        quantization="int8",
        inference_type="int8",
        samples=x,
        representative_data=x,
        verify=False,
    )
    reference = reference_of(prepare(model), x, roundings=roundings([INT8]))
    return Files(place, model, x, (place / "m.tflite").read_bytes(), reference)


@pytest.fixture(scope="module")
def ids(tmp_path_factory):
    """Ids of words, a step a call, and an answer at each step."""
    import keras

    place = tmp_path_factory.mktemp("ids")
    x = np.random.default_rng(0).integers(0, 20, (24, 7)).astype("int32")
    inputs = keras.Input(x.shape[1:], dtype="int32", name="words")
    y = keras.layers.Embedding(20, 6, embeddings_initializer="normal")(inputs)
    y = keras.layers.SimpleRNN(5, return_sequences=True, name="low")(y)
    model = keras.Model(inputs, keras.layers.Dense(2, name="tags")(y))
    path = place / "m.tflite"
    export_tflite(model, path, target="micro", lowering="step", samples=x, verify=False)
    reference = reference_of(prepare(model), x, roundings=roundings([]))
    return Files(place, model, x, path.read_bytes(), reference)


def records(name, path, reference, mode=NONE):
    """What became of a file in a client, wherever that is installed."""
    client = CLIENTS.get(name)
    places = installed(client)
    if not places:
        pytest.skip(f"{name} is not installed: {client.install_line()}")
    return [prove(client, place, path, reference, mode) for place in places]


@pytest.mark.parametrize("states", ["external", "internal"])
@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_is_answered_call_by_call_as_the_model_answers_it(name, states, floats):
    path = floats.file(states, getattr(streaming, states)(floats.content))
    for record in records(name, path, floats.reference):
        assert (record.outcome, record.problem) == ("right", None)
        assert record.max_abs_output < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_ids_go_in_call_by_call_too(name, ids):
    path = ids.file("external", streaming.external(ids.content))
    for record in records(name, path, ids.reference):
        assert (record.outcome, record.problem) == ("right", None)


@pytest.mark.parametrize("name", NAMES)
def test_states_that_are_handed_to_each_other_are_wrong(name, floats):
    crossed = streaming.crossed(floats.content, "low/h", "low/c")
    path = floats.file("crossed", streaming.external(crossed))
    for record in records(name, path, floats.reference):
        assert (record.outcome, record.passed) == ("wrong", False)
        assert "does not answer what the Keras model answers" in record.problem


@pytest.mark.parametrize("states", ["external", "internal"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_starts_from_other_states_is_wrong(name, states, floats):
    start = {"high/h": 0.5}
    path = floats.file(f"{states}_half", getattr(streaming, states)(floats.content, start))
    for record in records(name, path, floats.reference):
        if name == "tflite_micro":
            # It runs no signature but sets states to zeros.
            assert record.outcome == "not for it" and "Reset() sets them to zeros" in record.problem
        else:
            assert record.outcome == "wrong"
            assert "does not answer what the Keras model answers" in record.problem


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_integers_hands_its_states_on_as_they_are_stored(name, integers):
    assert {one.dtype for one in ends_of(integers.place / "m.tflite").inputs.values()} == {"int8"}
    for states, content in {
        "zeros": integers.content,
        "external": streaming.external(integers.content),
        "internal": streaming.internal(integers.content),
    }.items():
        path = integers.file(states, content)
        for record in records(name, path, integers.reference, INT8):
            if name == "litert_js":
                assert record.outcome == "not for it" and "answers int8" in record.problem
            else:
                assert (record.outcome, record.problem) == ("right", None)


def test_a_state_of_another_scale_or_without_a_start_is_told_before_anything_runs(integers):
    path = integers.file("rescaled", streaming.rescaled(integers.content, "high/h", 1.01))
    (record, *_) = records("litert", path, integers.reference, INT8)
    assert record.outcome == "wrong" and record.max_abs_output is None
    assert "takes the state 'high/h' as int8 [1, 6] of scale 0.00" in record.problem
    model = fb.unpack(streaming.external(integers.content))
    model.signatureDefs[1].outputs[0].name = "other/h"
    path = integers.file("startless", fb.pack(model))
    (record, *_) = records("litert", path, integers.reference, INT8)
    assert record.problem == (
        "startless.tflite does not say what the states 'high/h' start from: export it again"
    )


class OneState(LiteRT):
    """Keeps one state, whichever sequence a call belongs to."""

    def __init__(self, file):
        self.file, self.groups = file, []

    def run(self, installed, asked):
        self.groups = asked.steps.groups
        steps = replace(asked.steps, ends=ends_of(self.file), states=[], start="reset")
        return super().run(installed, replace(asked, file=self.file, steps=steps))


def test_sequences_are_run_two_at_a_time_so_that_shared_states_show(floats):
    inside = floats.file("internal", streaming.internal(floats.content))
    outside = floats.file("external", streaming.external(floats.content))
    client = OneState(inside)
    (place, *_) = installed(LiteRT())
    record = prove(client, place, outside, floats.reference, NONE)
    assert record.outcome == "wrong" and "states of one reach the other" in record.problem
    count = -(-len(floats.reference.x["sensor"]) // BATCH)
    assert [len(group) for group in client.groups[: INVOKES * count]] == [1] * INVOKES * count
    assert {len(group) for group in client.groups[INVOKES * count :][:-1]} == {2}
    # A file that keeps its states itself has no others.
    assert prove(client, place, inside, floats.reference, NONE).outcome == "right"
    assert [len(group) for group in client.groups] == [1] * INVOKES * count


def test_sequences_that_are_no_multiple_of_a_call_are_refused(floats):
    reference = reference_of(streaming.sensor_model(9), floats.x[:, :9], roundings=roundings([]))
    with pytest.raises(RunError, match=r"takes 2 time steps of 'sensor'.* have 9, which is no"):
        records("litert", floats.file("m", streaming.external(floats.content)), reference)


def test_a_client_that_takes_no_steps_is_not_asked(floats):
    class Whole(LiteRT):
        def takes_steps(self):
            return False

    path = floats.file("external", streaming.external(floats.content))
    record = prove(Whole(), installed(LiteRT())[0], path, floats.reference, NONE)
    assert record.outcome == "not for it" and "which an app loops over" in record.problem


def test_a_bare_file_of_a_step_a_call_is_verified_in_a_client(integers):
    path = integers.file("external", streaming.external(integers.content))
    result = verify_file(path, integers.model, integers.x, clients=["litert"])
    assert result["passed"], result["text"]
    assert {one["outcome"] for one in result["clients"]} == {"right"}
