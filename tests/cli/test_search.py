"""`search` and `quickstart` as they are typed; the search itself is tested in tests/tuner."""

from __future__ import annotations

import functools
import json
import sys

import pytest
from command_line import tree

from keras_rnn_zoo import load
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.export.bundle import write

SEARCH = (
    "search gru --data {data} --max-trials 1 --epochs 1 --set timesteps=6 --set units=3 "
    "--set layers=1"
)


def test_search_leaves_a_winner_and_a_front_that_can_be_exported(zoo, reviews, tmp_path):
    limits = "--max-size 1MB --max-latency 5s --quantization int8 --workers 2"
    command = SEARCH.format(data=reviews) + f" {limits} -o {tmp_path}/search"
    answer = zoo(command)
    assert answer.code == 0
    assert "trial 1/1" in answer.err
    assert "validation accuracy" in answer.out
    assert "of the file" in answer.out and "front" in answer.out
    assert answer.out.endswith(f"Next: keras-rnn-zoo export {tmp_path}/search -o BUNDLE\n")
    info = json.loads((tmp_path / "search" / "best" / "run.json").read_text())
    assert info["config"]["units"] == 3
    assert info["provenance"]["command"] == f"keras-rnn-zoo {command}"

    # Again: nothing is trained, nothing changes.
    before = tree(tmp_path)
    answer = zoo(f"{command} --json")
    document = json.loads(answer.out)
    assert [trial["model"] for trial in document["trials"]] == ["gru"]
    assert document["best"]["model"] == "gru"
    assert tree(tmp_path) == before

    # Other settings: refused, and nothing changes.
    answer = zoo(f"{command} --tuner grid")
    assert answer.code == 1
    assert "tuner" in answer.error
    assert tree(tmp_path) == before

    export = f"export {tmp_path}/search --format tflite --quantization none"
    answer = zoo(f"{export} --trial 0 -o {tmp_path}/member --json")
    assert json.loads(answer.out)["source"]["kind"] == "search"
    answer = zoo(f"{export} --trial 7 -o {tmp_path}/other")
    assert answer.code == 1
    assert "keeps no trial '7'" in answer.error and "'0'" in answer.error
    assert load(tmp_path / "search").best.model_name == "gru"
    answer = zoo(["predict", tmp_path / "search", "a great film"])
    assert answer.out.split()[0] in ("good", "bad")


@pytest.fixture
def tiny_quickstart(monkeypatch):
    monkeypatch.setattr("keras_rnn_zoo.quickstart.MODELS", ("gru",))
    monkeypatch.setattr("keras_rnn_zoo.quickstart.TRIALS", 1)
    monkeypatch.setattr("keras_rnn_zoo.quickstart.EPOCHS", 1)
    # Every form is exported in tests/export; here, one of them.
    whole = write.export_bundle
    few = functools.partial(whole, format=["tflite"], quantization=["int8"])
    monkeypatch.setattr(write, "export_bundle", few)


def test_quickstart_goes_the_whole_way_and_goes_on_after_a_stop(
    zoo, tmp_path, tiny_quickstart, monkeypatch
):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("keras_rnn_zoo.export.bundle.write.export_bundle", stop)
        answer = zoo(f"quickstart -o {tmp_path}/quick")
    assert answer.code == 130
    assert "the same command goes on" in answer.err

    answer = zoo(f"quickstart -o {tmp_path}/quick")
    assert answer.code == 0
    assert "trial 1/1  gru" not in answer.err, "the search was finished"
    for figure in ("Winner of 1 trial:", "model_int8.tflite", "accuracy", "unchanged"):
        assert figure in answer.out
    for file in ("bundle/report.html", "bundle/model_int8.tflite", "search/best/model.keras"):
        assert (tmp_path / "quick" / file).is_file()

    before = tree(tmp_path)
    answer = zoo(f"quickstart -o {tmp_path}/quick")
    assert answer.code == 1
    assert "already holds something" in answer.error
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--max-size 3XB", "'--max-size': Unknown unit: 'XB'"),
        ("--max-latency soon", "'--max-latency'"),
        ("--max-parameters 0", "max_parameters is a number above 0. Received: 0"),
        ("--quantization int9", "Did you mean 'int8'"),
        ("--quantization int9", "Did you mean 'int8'"),
        ("--target mediapip", "Did you mean 'mediapipe'"),
        ("--target micro --quantization dynamic", "micro"),
        ("--objective acuracy", "Did you mean 'accuracy'"),
        ("--workers 0", "workers is a whole number of at least 1. Received: 0"),
        ("--keep 0", "keep is a whole number of at least 1. Received: 0"),
        ("--trial-timeout -1", "trial_timeout is a number of seconds. Received: -1"),
    ],
)
def test_limits_that_make_no_sense_are_refused(zoo, reviews, tmp_path, options, message):
    answer = zoo(SEARCH.format(data=reviews) + f" {options} -o {tmp_path}/search")
    assert answer.code != 0
    assert message in answer.error
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize(
    ("address", "given"), [("local", None), ("auto", "auto"), ("host:6379", "host:6379")]
)
def test_trials_are_handed_to_ray(zoo, tmp_path, monkeypatch, address, given):
    """That they run there is for tests/tuner/test_ray.py to say."""
    asked = {}

    def search(*args, **options):
        asked.update(options)
        raise ConfigError("far enough")

    monkeypatch.setattr("keras_rnn_zoo.tuner.study.search.search", search)
    answer = zoo(SEARCH.format(data="digits") + f" --ray-address {address} -o {tmp_path}/search")
    assert answer.error == "Error: far enough"
    assert (asked["engine"], asked["engine_options"]) == ("ray", {"address": given})


def test_the_help_lists_what_is_registered(zoo):
    from keras_rnn_zoo.tuner import ENGINES, TUNERS

    answer = zoo("search --help")
    said = " ".join(answer.out.split())
    for registry in (TUNERS, ENGINES):
        for name in registry.names():
            assert f"{name}: {registry.get(name).description.rstrip('.')}" in said
    assert "--quantize " not in answer.out


def test_the_old_flag_works_with_a_word_on_stderr(zoo, tmp_path):
    answer = zoo(SEARCH.format(data="nothing.csv") + f" --quantize int8 -o {tmp_path}/search")
    assert "--quantize is called --quantization now." in answer.err
    assert "nothing.csv" in answer.error


def test_a_search_on_ray_without_ray_says_how_to_get_it(zoo, reviews, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    answer = zoo(SEARCH.format(data=reviews) + f" --ray-address auto -o {tmp_path}/search")
    assert answer.code == 1
    assert "pip install 'keras-rnn-zoo[ray]'" in answer.error
    assert not (tmp_path / "search").exists()


def test_an_address_where_no_ray_is_is_refused_before_anything_is_read(zoo, tmp_path):
    pytest.importorskip("ray")
    command = SEARCH.format(data="nothing.csv")
    answer = zoo(f"{command} --ray-address nowhere -o {tmp_path}/search")
    assert answer.code == 1
    assert "'nowhere' is no address of a Ray cluster. Allowed: 'auto'" in answer.error
    assert not (tmp_path / "search").exists()


def test_every_option_of_a_search_can_be_typed():
    from keras_rnn_zoo.cli.search import command
    from keras_rnn_zoo.tuner import SearchOptions

    typed = {parameter.name for parameter in command.params}
    known = {name for name, about in SearchOptions.about().items() if about.flag != ""}
    assert "folds" in known and known <= typed
