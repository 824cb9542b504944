import json
import shutil

import numpy as np
import pytest

from keras_rnn_zoo import artifacts, load
from keras_rnn_zoo.artifacts import BUNDLE, RUN, SEARCH, kind_of, require, winner_of
from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.training.run import Run
from keras_rnn_zoo.training.train import train

TINY = {"units": 2, "embedding_dim": 2, "timesteps": 4, "layers": 1}


@pytest.fixture(scope="module")
def run_path(tmp_path_factory, eagerly):
    path = tmp_path_factory.mktemp("artifacts") / "lstm"
    x = ["a great film", "a dull mess"] * 10
    data = Dataset("texts", "text", Split(x, ["pos", "neg"] * 10))
    with eagerly():
        train("rnn", data, config=TINY, epochs=1, output=path, progress=False)
    return path


@pytest.fixture
def places(tmp_path):
    """A directory or a file of each kind, by name."""
    marks = {
        "run": "run.json",
        "search": "search.json",
        "copied_search": "best/run.json",
        "bundle": "report.json",
        "comparison": "compare.json",
        "saved": "saved_model.pb",
        "other": "notes.txt",
    }
    for name, mark in marks.items():
        (tmp_path / name / mark).parent.mkdir(parents=True)
        (tmp_path / name / mark).write_text("{}")
    for name in ("model.keras", "model.h5", "model.tflite", "notes.txt"):
        (tmp_path / name).write_text("x")
    return tmp_path


def test_what_a_path_is_is_told_by_what_lies_there(places):
    expected = {
        "run": RUN,
        "search": SEARCH,
        "copied_search": SEARCH,
        "bundle": BUNDLE,
        "comparison": artifacts.COMPARISON,
        "saved": artifacts.SAVED_MODEL,
        "other": artifacts.DIRECTORY,
        "model.keras": artifacts.KERAS,
        "model.h5": artifacts.KERAS,
        "model.tflite": artifacts.TFLITE,
        "notes.txt": artifacts.FILE,
        "nowhere": artifacts.MISSING,
    }
    assert {name: kind_of(places / name) for name in expected} == expected
    for name, kind in expected.items():
        if kind in (RUN, SEARCH, BUNDLE):
            assert require(places / name, kind) == places / name


@pytest.mark.parametrize(
    ("name", "kinds", "message"),
    [
        ("bundel", [BUNDLE], r"no bundle at .*bundel\. Did you mean '.*/bundle'\? .*'export'"),
        ("notes.txt", [RUN], "notes.txt is a file, not a run. .* 'train' wrote"),
        ("other", [RUN, BUNDLE], "has no run.json and no report.json. .*'train' or 'export'"),
        ("run", [BUNDLE], "run is not a bundle: it is a run. "),
        ("copied_search", [RUN], "its winner is the run .*best"),
        ("search", [RUN], "has no winner yet. Run the same search again"),
        ("model.keras", [artifacts.TFLITE], "is not a .tflite file: it is a Keras file."),
        ("", [BUNDLE], r"it has no report\.json\. The bundle .*/bundle lies in it\. Give that"),
    ],
)
def test_a_refusal_says_what_was_found_and_the_nearest_thing(places, name, kinds, message):
    with pytest.raises(RunError, match=message) as caught:
        require(places / name, *kinds)
    assert "\n" not in str(caught.value)


def test_a_search_without_a_winner_says_how_to_get_one(places):
    assert winner_of(places / "copied_search") == places / "copied_search" / "best"
    with pytest.raises(RunError, match=r"no winner yet"):
        winner_of(places / "search")


def test_load_opens_a_run_and_a_search_whatever_lies_there(run_path, tmp_path):
    run = load(run_path)
    assert isinstance(run, Run)
    assert run.path == run_path
    search = tmp_path / "search"
    shutil.copytree(run_path, search / "best")
    (search / "search.json").write_text(json.dumps({"format": 1, "front": [], "trials": []}))
    with pytest.raises(RunError, match=r"is not a run, a search or a bundle: it has no run.json"):
        load(tmp_path)
    with pytest.raises(RunError, match=r"There is no run, search or bundle at"):
        load(tmp_path / "nowhere")


def test_a_run_answers_as_labels_with_probabilities_and_exports_itself(
    run_path, tmp_path, monkeypatch
):
    run = load(run_path)
    answers = run.predict(["a great film", "a dull mess"])
    assert [set(answer) for answer in answers] == [{"label", "score", "scores"}] * 2
    assert all(sum(answer["scores"].values()) == pytest.approx(1) for answer in answers)
    encoded = run.preprocessor.encode_inputs(["a great film"])
    assert run.preprocessor.answer(["a great film"], lambda x: np.full((len(x), 1), 0.75)) == [
        {"label": "pos", "score": 0.75, "scores": {"neg": 0.25, "pos": 0.75}}
    ]
    assert encoded.shape == (1, 4)
    given = []
    monkeypatch.setattr(
        "keras_rnn_zoo.export.bundle.write.export_bundle",
        lambda *args, **options: given.append((args, options)),
    )
    run.export(tmp_path / "bundle", quantize=["int8"])
    assert given == [((run_path, tmp_path / "bundle"), {"quantize": ["int8"]})]
    with pytest.raises(RunError, match=r"in memory .* Train with an output directory"):
        Run(run.info, run.preprocessor).export(tmp_path / "b")
