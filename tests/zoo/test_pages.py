"""The pages of runs and comparisons: what they show first, over runs as they might have been."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from made_up_runs import EVIL, HISTORY, LABELS, classes, forecasts, numbers, several_labels

from keras_rnn_zoo import pictures
from keras_rnn_zoo.data.dataset import Split
from keras_rnn_zoo.pages import plain, text_of
from keras_rnn_zoo.training.answers import answers
from keras_rnn_zoo.training.kept import HISTORY as MOST_STEPS
from keras_rnn_zoo.training.kept import ROWS, Windows, kept
from keras_rnn_zoo.training.page import comparison_page, run_page

RUNS = {
    "binary": lambda: classes(("neg", "pos")),
    "multiclass": classes,
    "thirty labels": lambda: classes(tuple(f"gesture {i}" for i in range(30)), rows=900),
    "more labels than a matrix shows": lambda: classes(tuple(map(str, range(40))), rows=900),
    "sequence labelling": lambda: classes(task="sequence_labelling"),
    "multilabel": several_labels,
    "regression": numbers,
    "regression of several outputs": lambda: numbers(10),
    "forecast": forecasts,
    "forecast of a step of several columns": lambda: forecasts(("a", EVIL), 1, dated=False),
}


class Page(HTMLParser):
    """The words of a page, and its tags; what is opened is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.words, self.tags = [], [], []
        self.feed(html)
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def count(self, tag, kind=None):
        return sum(
            name == tag and (kind is None or kind in (found.get("class") or "").split())
            for name, found in self.tags
        )


@pytest.fixture(scope="module")
def pages():
    return {name: run_page(make(), HISTORY, 50_000) for name, make in RUNS.items()}


# ---------------------------------------------------------------------- what every page has


@pytest.mark.parametrize("name", RUNS)
def test_a_page_says_whether_the_model_is_good_where_it_fails_and_what_it_costs(pages, name):
    page = Page(pages[name])
    heads = ["Is it good?", "Where does it fail?", "What does it cost?", "How did it learn?"]
    places = [page.text.index(head) for head in heads]
    assert places == sorted(places)
    assert page.text.index("Better than the baseline: ") < places[0]
    assert "50.0 kB" in page.text and "1,234" in page.text


@pytest.mark.parametrize("name", RUNS)
def test_a_page_is_words_and_pictures_and_no_json(pages, name):
    page = Page(pages[name])
    assert not re.search(r"[\[\]{}]|\bNone\b|\bTrue\b|null|nan", page.text.replace(EVIL, ""))
    assert not re.search(r"(?<!\d)0\.[1-9]\d* %", page.text), "a share was taken for percents"


@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_loaded_and_nothing_runs(pages, name):
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|https?:|onerror", pages[name])
    assert len(pages[name]) < 300_000


def test_labels_are_text_and_may_run_from_right_to_left(pages):
    html = pages["multiclass"]
    assert "<script" not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    page = Page(html)
    assert EVIL in page.text
    assert f"<bdi>{LABELS[2]}</bdi>" in html


def test_a_model_that_is_no_better_than_its_baseline_says_so_in_words_and_not_in_green():
    page = Page(run_page(classes(sure=0.0), HISTORY, 1))
    assert page.text.split("✗", 1)[1].startswith(" No better than the baseline: accuracy ")
    assert "✓" not in page.text and page.count("h1", "failed") == 1


# ---------------------------------------------------------------------- is it good?


def test_bars_have_the_models_figure_its_interval_and_the_line_to_beat():
    info = classes()
    info["metrics"]["test_accuracy"] = info["verdict"]["model"] = 0.9
    bars = answers(info).bars
    assert bars is not None
    model, baseline = bars.bars
    assert (model.text, model.share, baseline.text) == ("90.00 %", 0.9, "40.00 %")
    # Wilson's interval of 180 in 200.
    assert model.reach == pytest.approx((0.8506, 0.0838), abs=1e-4)
    assert model.note == "85.1 to 93.4 %"
    assert bars.line == baseline.share == 0.4


def test_an_error_has_an_interval_where_rows_are_apart_and_windows_have_none():
    (model, _) = answers(numbers()).bars.bars
    low, width = model.reach
    assert low < model.share < low + width
    assert answers(forecasts()).bars.bars[0].reach is None


def test_rows_that_were_trained_on_make_no_figure_sure_and_nothing_is_known_of_new_ones():
    info = classes()
    info["verdict"]["part"] = "train"
    info["data"]["rows"] |= {"test": 0}
    info["evaluation"] = {}
    found = answers(info)
    assert found.bars.bars[0].reach is None
    assert "say little of new ones" in found.bars_note
    assert found.fails.startswith("Not known: no rows were held out.")
    assert not (found.heat_map or found.labels)


# ---------------------------------------------------------------------- where does it fail?


def test_a_confusion_matrix_has_counts_shares_and_what_is_confused_most(pages):
    counts = [[8, 2, 0], [0, 5, 0], [1, 0, 0]]
    found = pictures.heat_map(["a", "b", "c"], counts)
    assert [[cell.count for cell in row] for row in found.rows] == counts
    assert [cell.share for cell in found.rows[0]] == [0.8, 0.2, 0.0]
    assert [cell.right for cell in found.rows[1]] == [False, True, False]
    pairs = pictures.most_confused(["a", "b", "c"], counts)
    assert pairs == [("a", "b", 2, 0.2), ("c", "a", 1, 1.0)]
    for name, matrices in (("thirty labels", 1), ("more labels than a matrix shows", 0)):
        page = Page(pages[name])
        assert page.count("table", "heat") == matrices
        assert "Most often taken for another" in page.text
    assert "40 labels are too many for a matrix" in page.text
    assert page.count("table", "labels") == 1


def test_labels_of_which_several_apply_are_found_missed_and_false_alarms(pages):
    labels = {
        "new": {"rows": 10, "recall": 0.8, "precision": 0.5, "answered": 16},
        "of an older run": {"rows": 10, "recall": 0.8, "precision": 0.5},
        "never": {"rows": 4, "recall": 0.0, "precision": 0.0, "answered": 3},
    }
    counts = [(one.found, one.missed, one.false) for one in pictures.hits(labels)]
    assert counts == [(8, 2, 8), (8, 2, 8), (0, 4, 3)]
    page = Page(pages["multilabel"])
    assert page.count("table", "hits") == 1 and page.count("table", "heat") == 0
    for words in ("found", "missed", "false alarms"):
        assert words in page.text


def test_values_of_a_regression_are_drawn_against_the_true_ones(pages):
    page = Page(pages["regression of several outputs"])
    assert page.count("circle", "dot") == 6 * ROWS
    assert "200 of the 300 test rows" in page.text and "The first 6 of 10 outputs" in page.text
    plot = pictures.scatter([0.0, 10.0], [10.0, 0.0])
    (left, top, _), (right, bottom, _) = plot.dots
    assert left < right and top < bottom, "y grows upwards"
    assert left == pytest.approx(plot.left, abs=20) and bottom < plot.bottom


def test_a_forecast_is_drawn_with_what_came_before_what_came_and_what_needs_no_model(pages):
    page = Page(pages["forecast"])
    assert page.count("svg") == 6 + len(HISTORY) // 2, "and the course of the training"
    for kind in ("true", "predicted", "naive"):
        assert page.count("path", kind) == 6
    assert "from 1952-01" in page.text and "without a model: last value" in page.text
    assert "passengers, 12 steps ahead" in page.text
    several = Page(pages["forecast of a step of several columns"])
    assert several.count("path", "predicted") == 6, "three windows of two columns"
    assert EVIL in several.text


# ---------------------------------------------------------------------- what is kept of a run


def test_some_rows_of_a_regression_are_kept_and_the_error_of_their_mean():
    generator = np.random.default_rng(0)
    y = generator.normal(size=(1000, 2))
    found = kept(y, y + np.asarray([1.0, 3.0]), None, apart=True)
    assert found["standard_error"] == pytest.approx(0.0, abs=1e-12)
    true, predicted = (np.asarray(found["values"][name]) for name in ("true", "predicted"))
    assert true.shape == (ROWS, 2)
    # Six digits are kept.
    np.testing.assert_allclose(predicted - true, [[1.0, 3.0]] * ROWS, atol=2e-5)
    assert "standard_error" not in kept(y, y, None, apart=False)


def test_windows_are_kept_as_they_were_read_whatever_else_the_model_reads():
    info = forecasts(("a", "b"), ahead=3, steps=8, rows=20)
    windows = info["evaluation"]["test"]["windows"]
    assert len(windows) == 6
    for window in windows:
        assert np.shape(window["history"]) == (8, 2) and np.shape(window["true"]) == (3, 2)
        assert window["naive"]["last value"] == [window["history"][-1]] * 3
        assert len(window["times"]) == 11
    assert (windows[0]["times"][0], windows[-1]["times"][0]) == ("1950-01", "1951-08")


def test_a_forecast_of_a_column_that_is_not_read_has_no_history():
    x, y = np.zeros((10, 500, 1)), np.zeros((10, 2))
    said = {"value_columns": ["a"], "horizon": 2}
    assert Windows.of(Split(x, y), {**said, "label_column": ["b"]}).history is None
    read = Windows.of(Split(x, y), {**said, "label_column": ["a"]})
    assert read.history.shape == (6, MOST_STEPS, 1) and read.times is None
    assert Windows.of(Split(x, y), {"value_columns": ["a"], "label_column": ["a"]}) is None


# ---------------------------------------------------------------------- other runs


def test_a_run_of_an_older_version_shows_what_it_has():
    info = numbers()
    del info["evaluation"], info["verdict"], info["data"]["baselines"], info["data"]["understood"]
    page = Page(run_page(info, {}, 1))
    assert "Is it good?" not in page.text and "What does it cost?" in page.text
    assert "800 rows to train on, 300 rows to test" in page.text


# ---------------------------------------------------------------------- comparisons


def compared(*sure, **more):
    infos = {}
    for number, each in enumerate(sure):
        infos[f"model{number}"] = classes(sure=each, seed=number) | {"model": f"model{number}"}
    return Page(comparison_page(infos | more, dict.fromkeys(infos | more, 1000)))


def test_models_are_beside_each_other_and_the_baselines_the_best_first():
    page = compared(1.0, 4.0)
    assert "The best of 2 is model1: accuracy " in page.text
    assert "Better than the baseline: majority" in page.text
    bars = page.text.split("Which is best?")[1].split("What does it cost?")[0]
    assert bars.index("model1") < bars.index("model0") < bars.index("majority")
    assert "cannot be told apart" not in page.text
    assert "The best: model1" in page.text and page.count("table", "heat") == 1


def test_models_within_the_interval_of_the_best_are_said_to_be_as_good():
    page = compared(3.0, 3.0)
    assert "The best of 2 is model1" in page.text
    assert "On so few rows model0 cannot be told apart from it" in page.text


def test_a_comparison_of_models_that_learnt_nothing_says_so_first():
    page = compared(0.0, 0.0)
    assert page.text.split("✗", 1)[1].startswith(" No model is better than the baseline: majority")
    assert page.count("h1", "failed") == 1


def test_errors_are_compared_the_least_first():
    good, bad = numbers(), numbers()
    for info, error in ((good, 5.0), (bad, 9.0)):
        info["metrics"]["test_mean_absolute_error"] = info["verdict"]["model"] = error
    page = Page(comparison_page({"bad": bad, "good": good}, {"bad": 1, "good": 1}))
    assert "The best of 2 is good: mean absolute error 5 " in page.text


# ---------------------------------------------------------------------- words and ticks


def test_values_are_said_in_words():
    facts = dict(plain({"some_rows": {"train": 3, "test": None}, "none": None, "empty": {}}))
    assert facts == {"some rows": "train 3, test none"}
    assert text_of({"mean": [0.5, 1.0], "scale": [2.0]}) == "mean 0.5, 1; scale 2"
    assert text_of([True, "a"]) == "yes, a"
    assert len(text_of(["x" * 50] * 50)) < 610


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (-3.0, 7.0, ["-2", "0", "2", "4", "6"]),
        (990.0, 2100.0, ["1,000", "1,250", "1,500", "1,750", "2,000"]),
        (1e-9, 3e-9, ["1e-09", "1.5e-09", "2e-09", "2.5e-09", "3e-09"]),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(low, high, texts):
    found = pictures.ticks(low, high, 5)
    assert [text for _, text in found] == texts
    assert all(low - 1e-9 * (high - low) <= at <= high + 1e-9 * (high - low) for at, _ in found)


# ---------------------------------------------------------------------- in a browser


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium to try it in")
def test_no_page_is_wider_than_its_window(pages, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    file = tmp_path / "report.html"
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), chromium_sandbox=False
        )
        for wide in (1280, 400):
            page = browser.new_page(viewport={"width": wide, "height": 900})
            complaints = []
            page.on("console", lambda said, found=complaints: found.append(said.text))
            for name, html in pages.items():
                file.write_text(html, encoding="utf-8")
                page.goto(file.as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") == wide, name
            assert complaints == []
        browser.close()
