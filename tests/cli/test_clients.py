"""`clients` and `verify --clients`: what is there, what is not, and what came of the files."""

from __future__ import annotations

import json

import pytest

from keras_rnn_zoo.export.clients.client import CLIENTS, Ran
from keras_rnn_zoo.export.installations import VARIABLE


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch, tmp_path):
    """No client but those that keras-rnn-zoo itself brings."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))


def test_clients_are_listed_with_the_line_that_installs_what_is_missing(zoo, tmp_path):
    answer = zoo("clients")
    assert answer.code == 0
    there, missing = answer.out.split("Not installed:")
    assert "compiled_model" in there and "ai-edge-litert" in there
    assert "pip install tflite-runtime==2.14.0 'numpy<2'" in missing
    assert f"npm install --prefix {tmp_path}/none/litert_js @litertjs/core" in missing
    listed = json.loads(zoo("clients --json").out)
    assert {one["name"] for one in listed} == set(CLIENTS.names())


def test_a_bundle_is_verified_in_a_client(zoo, exported):
    answer = zoo(f"verify {exported} --clients compiled_model")
    assert answer.code == 0
    assert "Right as well in ai-edge-litert" in answer.out
    records = json.loads(zoo(f"verify {exported} --clients compiled_model --json").out)["clients"]
    assert [(one["file"], one["outcome"]) for one in records] == [
        ("model.tflite", "right"),
        ("model_int8.tflite", "right"),
    ]


def test_a_file_that_is_wrong_in_a_client_fails_with_a_line_that_says_where(
    zoo, exported, monkeypatch
):
    client = type(CLIENTS.get("compiled_model"))
    run = client.run

    def wrong(self, installed, asked):
        ran = run(self, installed, asked)
        return Ran([values + 0.1 for values in ran.y])

    monkeypatch.setattr(client, "run", wrong)
    answer = zoo(f"verify {exported} --clients compiled_model")
    assert answer.code == 1 and "WRONG" in answer.out
    assert "In ai-edge-litert" in answer.error and "model.tflite does not answer" in answer.error


def test_clients_that_there_are_not_say_what_to_do(zoo, exported):
    answer = zoo(f"verify {exported} --clients litertjs")
    assert answer.code and "Did you mean 'litert_js'" in answer.error
    answer = zoo(f"verify {exported} --clients litert_js")
    assert answer.code and "is not installed. Install it: npm install --prefix" in answer.error
