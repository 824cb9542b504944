"""Files are run in the clients that they are for, and what goes wrong there is said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from architectures import build, inputs_for

from keras_rnn_zoo.errors import MissingClientError, RunError, UnknownNameError
from keras_rnn_zoo.export import QUANTIZATIONS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.bundle.any_file import verify_file
from keras_rnn_zoo.export.clients import client as clients
from keras_rnn_zoo.export.clients import vela
from keras_rnn_zoo.export.clients.client import (
    CLIENTS,
    Client,
    ClientRefuses,
    Installed,
    Ran,
    installed,
    run_command,
)
from keras_rnn_zoo.export.clients.prove import INVOKES, chosen, prove, told
from keras_rnn_zoo.export.installations import VARIABLE
from keras_rnn_zoo.export.quantization import roundings
from keras_rnn_zoo.export.tflite.tables import ends_of
from keras_rnn_zoo.export.verify.reference import reference_of

NONE = QUANTIZATIONS.get("none")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A model, inputs, its file and what it answers."""
    model = build("bilstm")
    x = inputs_for(model)
    path = tmp_path_factory.mktemp("clients") / "model.tflite"
    export_tflite(model, path, samples=x, verify=False)
    return model, x, path, reference_of(model, x, roundings=roundings([]))


class Here(Client):
    """The interpreter in this process, and what a test makes of its answers."""

    name = "here"
    description = "the interpreter here"
    target: ClassVar[str] = "litert"
    install: ClassVar[str] = "true"

    def __init__(self, change=lambda y: y):
        self.change = change
        self.asked = None

    def found_in(self, folder):
        return (
            Installed("here", "test 1.0", Path(sys.executable), "1.0") if folder is None else None
        )

    def run(self, installed, asked):
        self.asked = asked
        model, y = TFLiteModel(asked.file), []
        for number in asked.order:
            names = [one.name for one in asked.inputs]
            model.set_inputs({n: x[number] for n, x in zip(names, asked.x, strict=True)})
            y.append([model.invoke()[one.name] for one in asked.outputs])
        return Ran(self.change([np.stack(values) for values in zip(*y, strict=True)]))


def proven(file, client):
    _, _, path, reference = file
    (place,) = installed(client)
    return prove(client, place, path, reference, NONE)


def test_a_right_file_is_right_and_runs_thrice_in_mixed_order(file):
    client = Here()
    record = proven(file, client)
    assert (record.outcome, record.problem, record.passed) == ("right", None, True)
    assert record.max_abs_output < 1e-6
    order, count = client.asked.order, len(client.asked.x[0])
    assert len(order) == INVOKES * count
    thirds = [order[i * count : (i + 1) * count] for i in range(INVOKES)]
    assert all(sorted(third) == list(range(count)) for third in thirds)
    assert thirds[0] != thirds[1] != list(range(count))


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda y: [values + 0.01 for values in y], "does not answer what the Keras model answers"),
        (
            lambda y: [np.where(values == values.max(), np.nan, values) for values in y],
            "answers NaN",
        ),
        (lambda y: [values[::-1] for values in y], "from one invoke to the next"),
        (
            lambda y: [values + 1e-4 * np.arange(len(values))[:, None, None] for values in y],
            "keeps state between calls",
        ),
    ],
)
def test_wrong_answers_are_told_from_right_ones(file, change, told):
    record = proven(file, Here(change))
    assert (record.outcome, record.passed) == ("wrong", False)
    assert told in record.problem and record.problem.startswith("In test 1.0, model.tflite ")


SCRIPTS = {
    "crashes": ("import os; os.kill(os.getpid(), 11)", r"^crashes it \(SIGSEGV\)$"),
    "complains": (
        "import sys; print('no such op', file=sys.stderr); sys.exit(3)",
        r"^ends it \(exit code 3\) \(no such op\)$",
    ),
    "talks": ("print('hello')", r"^ends it \(exit code 0\)$"),
    "refuses": (
        """print('loading'); print('{"refused": "op 7\\\\n is new."}')""",
        r"^is refused: op 7 is new$",
    ),
    "forgets": ("""print('{"arrays": 1}')""", r"^ends it \(exit code 0\)$"),
    "hangs": ("import time; time.sleep(600)", r"^does not come to an end within 1 s$"),
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_a_program_that_fails_is_a_refusal_with_its_words(what, monkeypatch):
    monkeypatch.setattr(clients, "SECONDS", 1.0 if what == "hangs" else 60.0)
    script, said = SCRIPTS[what]
    with pytest.raises(ClientRefuses, match=said):
        run_command([sys.executable, "-c", script], {}, [])


def test_what_a_target_does_not_take_is_said_before_the_client_is_asked(file, tmp_path):
    model, x, _, reference = file
    (client, place), *_ = chosen(["compiled_model"])
    fused = export_tflite(model, tmp_path / "f.tflite", samples=x, lowering="fused", verify=False)
    record = prove(client, place, fused.path, reference, NONE)
    assert (record.outcome, record.passed) == ("not for it", True)
    assert "tensors that keep state" in record.problem
    opened = export_tflite(
        model, tmp_path / "r.tflite", samples=x, lowering="resizable", verify=False
    )
    record = prove(client, place, opened.path, reference, NONE)
    assert record.problem == "leaves sizes open, and it sizes no inputs"
    (litert, there), *_ = chosen(["litert"])
    assert prove(litert, there, opened.path, reference, NONE).outcome == "right"


def test_a_damaged_file_is_an_error_of_its_own(file, tmp_path):
    _, _, path, reference = file
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RunError, match="damaged"):
        prove(Here(), installed(Here())[0], damaged, reference, NONE)


def test_inputs_and_outputs_are_read_as_the_interpreter_has_them(file, tmp_path):
    model, x, path, _ = file
    integer = tmp_path / "int8.tflite"
    export_tflite(
        model,
        integer,
        quantization="int8",
        inference_type="int8",
        samples=x,
        verify=False,
        representative_data=x,
    )
    for one in (path, integer):
        expected = TFLiteModel(one)
        ends = ends_of(one)
        assert ends.signature == "serving_default"
        assert (ends.inputs, ends.outputs) == (expected.inputs, expected.outputs)


def test_clients_are_found_by_name_version_and_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert [one.label for one in installed(CLIENTS.get("litert"))] == ["litert"]
    with pytest.raises(MissingClientError, match=rf"python3.11 -m venv {tmp_path}/tflite_runtime "):
        chosen(["tflite_runtime"])
    with pytest.raises(UnknownNameError, match="Did you mean 'litert_js'"):
        chosen(["litert-js"])
    site = tmp_path / "tflite_runtime-2.7" / "lib" / "python3.9" / "site-packages"
    (site / "tflite_runtime-2.7.0.dist-info").mkdir(parents=True)
    (tmp_path / "tflite_runtime-2.7" / "bin").mkdir()
    (tmp_path / "tflite_runtime-2.7" / "bin" / "python").touch()
    ((client, place),) = chosen(["tflite_runtime-2.7"])
    assert chosen(["tflite_runtime"]) == [(client, place)]
    assert place.version == "tflite-runtime 2.7.0"
    assert [one.label for _, one in chosen(["all"])] == [
        "compiled_model",
        "litert",
        "tflite_runtime-2.7",
    ]


def test_a_runtime_that_is_too_old_is_not_asked(file, tmp_path):
    _, _, path, reference = file
    client = CLIENTS.get("tflite_runtime")
    place = Installed("tflite_runtime-2.3", "tflite-runtime 2.3.0", tmp_path / "no", "2.3.0")
    record = prove(client, place, path, reference, NONE)
    assert record.outcome == "not for it"
    assert "and it knows the ops of 2.3" in record.problem


def test_a_bare_file_is_verified_in_clients(file):
    model, x, path, _ = file
    result = verify_file(path, model, x, clients=["compiled_model"])
    assert result["passed"] and "Right as well in ai-edge-litert" in result["text"]
    (record,) = result["clients"]
    assert record["client"] == "compiled_model" and record["outcome"] == "right"


def test_what_went_wrong_is_told_in_one_line(file):
    wrong = proven(file, Here(lambda y: [values + 0.01 for values in y]))
    text = told([wrong, proven(file, Here())], "bundle")
    assert text.startswith("bundle does not do everywhere what it is said to do: In test 1.0, ")
    assert told([], "bundle") == "No other client ran a file of bundle."


def test_a_tensor_that_is_two_outputs_is_compared_under_both_names(tmp_path):
    import keras

    inputs = keras.Input((6, 3))
    answer = keras.layers.Dense(1)(keras.layers.LSTM(4)(inputs))
    model = keras.Model(inputs, {"one": answer, "other": answer})
    x = np.random.default_rng(0).normal(size=(8, 6, 3)).astype("float32")
    path = export_tflite(model, tmp_path / "m.tflite", samples=x, verify=False).path
    # The second one finds outputs by their tensors: of one with two names it knows the last alone.
    result = verify_file(path, model, x, clients=["litert", "compiled_model"])
    assert {one["outcome"] for one in result["clients"]} == {"right"}, result["text"]


def test_a_compiler_that_does_not_end_says_nothing_of_a_file(file, tmp_path, monkeypatch):
    model, x, _, _ = file
    path = tmp_path / "model_int8.tflite"
    int8 = QUANTIZATIONS.get("int8")
    export_tflite(model, path, quantization="int8", samples=x, representative_data=x, verify=False)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "vela"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(vela, "SECONDS", 0.5)
    place = Installed("vela", "ethos-u-vela 5", tmp_path / "bin" / "python", "5")
    reference = reference_of(model, x, roundings=roundings([int8]))
    record = prove(CLIENTS.get("vela"), place, path, reference, int8)
    assert (record.outcome, record.passed) == ("not for it", True)
    assert "too large to be compiled within" in record.problem
