"""report.html: what it says, read as a browser without JavaScript reads it."""

from __future__ import annotations

import builtins
import copy
import json
import math
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_up import DEVICE, made_up_info, made_up_trials

from keras_rnn_zoo.errors import MissingExtraError
from keras_rnn_zoo.tuner.results.charts import format_measure
from keras_rnn_zoo.tuner.results.front import front
from keras_rnn_zoo.tuner.results.page import page, write_report
from keras_rnn_zoo.tuner.results.records import TrialRecord

EVIL = "</script><script>alert(1)</script> <img src=x onerror=alert(1)> <!-- \"quoted\" 'too' &amp;"


class Page(HTMLParser):
    """What a page holds: headings, tables, scripts, and every tag with its attributes."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.scripts, self.rows = [], [], [], {}
        self._open, self._table = [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "table":
            self._table = attrs.get("id") or attrs.get("class")
            self.rows[self._table] = []
        elif tag == "tr":
            self.rows[self._table].append((attrs, []))
        elif tag in ("td", "th"):
            self.rows[self._table][-1][1].append("")
        elif tag == "script":
            self.scripts.append("")
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" in self._open:
            self.scripts[-1] += data
            return
        self.texts.append(data)
        if "td" in self._open or "th" in self._open:
            self.rows[self._table][-1][1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def head(self):
        return self.rows["trials"][0][1]

    @property
    def trials(self):
        """Trial id -> head of a column -> what its cell says."""
        return {
            attrs["data-trial"]: dict(zip(self.head, cells, strict=True))
            for attrs, cells in self.rows["trials"][1:]
        }

    @property
    def data(self):
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def trials():
    return made_up_trials()


def records(trials):
    return [TrialRecord.from_dict(trial) for trial in trials]


def read(trials, directory=Path("searches/reviews"), **changes):
    info = made_up_info(trials, **changes)
    return Page(page(info, records(trials), directory, "/* plotly */"))


def best(trials):
    return front(records(trials), "max")


@pytest.fixture(scope="module")
def shown(trials):
    return read(trials)


def the(trials, status):
    return [trial for trial in trials if trial["status"] == status]


def heading(page):
    return next(text for text in page.texts if text.startswith(("The winner", "Unfinished", "All")))


# ---------------------------------------------------------------------- words


def test_the_first_line_says_the_winner_its_figures_and_the_limits(trials, shown):
    winner = max(the(trials, "completed"), key=lambda trial: trial["score"])
    line = heading(shown)
    assert f"The winner is trial {winner['trial_id']} ({winner['model']})" in line
    assert f"validation accuracy {100 * winner['score']:.2f} %" in line
    assert f"quantized accuracy {100 * winner['metrics']['quantized_accuracy']:.2f} %" in line
    assert f"{winner['bytes'] / 1000:.3g} kB and {winner['latency_ms']:.3g} ms as int8" in line
    assert line.endswith("within the limits of 400 kB and 1 ms.")


def test_the_winner_is_the_one_that_the_search_named(trials):
    other = the(trials, "completed")[0]
    page = read(trials, best={"trial_id": other["trial_id"], "model": other["model"]})
    assert f"The winner is trial {other['trial_id']}" in heading(page)


def test_an_unfinished_search_says_how_far_it_is(trials):
    page = read(trials[:9], status="unfinished", best=None)
    assert heading(page).startswith("Unfinished: 9 of 9 trials ended. The best so far is trial ")
    assert read([], status="unfinished").text.count("Unfinished: none ended yet.") == 1
    failed = the(trials, "failed")
    assert "None completed." in heading(read(failed, status="unfinished"))


def test_a_search_that_failed_says_why():
    trials = made_up_trials(completed=0, infeasible=3, failed=0)
    page = read(trials, message="All 3 trials failed. The first: it crashed.")
    assert heading(page) == "All 3 trials failed. The first: it crashed."
    assert page.data["charts"] == {}
    assert "is exported by" not in page.text


def test_the_counts_are_in_the_summary_and_beside_the_filters(trials, shown):
    assert "18 completed, 5 over budget and so not trained and 1 failed." in shown.text
    for words in ("all 24", "completed 18", "infeasible 5", "failed 1"):
        assert f" {words} " in shown.text
    assert f"Pareto front {len(best(trials))} " in shown.text


def test_without_limits_none_are_mentioned_or_drawn(trials):
    info = made_up_info(trials)
    info["settings"] = {key: info["settings"][key] for key in info["settings"] if key != "device"}
    text = page(info, records(trials), Path("s"), "")
    assert "within" not in heading(Page(text))
    assert all("shapes" not in figure["layout"] for figure in Page(text).data["charts"].values())


def test_it_says_what_made_it(shown):
    facts = dict(tuple(cells) for _, cells in shown.rows["facts"])
    assert facts["command"].startswith("keras-rnn-zoo search lstm gru bilstm --data reviews.csv")
    assert facts["seed"] == "0"
    assert "tensorflow 2.21.0" in facts["versions"]
    assert facts["limits"] == "400 kB, 1 ms"
    assert facts["data"] == "reviews.csv"
    assert "space" not in facts


# ---------------------------------------------------------------------- the table


def test_every_trial_is_in_the_table_with_its_figures(trials, shown):
    assert list(shown.trials) != [trial["trial_id"] for trial in trials]
    assert sorted(shown.trials) == [trial["trial_id"] for trial in trials]
    for trial in trials:
        row = shown.trials[trial["trial_id"]]
        values = trial["hyperparameters"]
        assert row["model"] == trial["model"]
        assert row["status"] == trial["status"] + (trial["message"] or "")
        assert row["units"] == str(values[f"{trial['model']}.units"])
        assert row["learning_rate"] == f"{values['learning_rate']:.3g}"
        assert row["size"] == f"{trial['bytes'] / 1000:.3g} kB"
        assert row["latency"] == f"{trial['latency_ms']:.3g} ms"
        assert row["parameters"] == f"{trial['parameters']:,}"
        assert (row["training"] == "–") == (not trial["epochs"])
        completed = trial["status"] == "completed"
        assert row["validation accuracy"] == (f"{100 * trial['score']:.2f} %" if completed else "–")
        assert row["quantized accuracy"] == (
            f"{100 * trial['metrics']['quantized_accuracy']:.2f} %" if completed else "–"
        )


def test_the_best_are_first_and_the_failed_last(trials, shown):
    scores = [
        (trial["score"] is None, -(trial["score"] or 0), trial["status"] == "failed")
        for key in shown.trials
        for trial in trials
        if trial["trial_id"] == key
    ]
    assert scores == sorted(scores)


def test_the_winner_is_before_others_of_the_same_score(trials):
    changed = copy.deepcopy(the(trials, "completed"))
    for trial in changed:
        trial["score"] = 0.5
    winner = changed[-1]["trial_id"]
    assert next(iter(read(changed, best={"trial_id": winner}).trials)) == winner


def test_the_winner_and_the_front_are_marked(trials, shown):
    members = best(trials)
    marks = {key: row["trial"].removeprefix(key) for key, row in shown.trials.items()}
    assert [key for key, mark in marks.items() if mark == "★"] == [next(iter(shown.trials))]
    assert {key for key, mark in marks.items() if mark} == {*members, next(iter(shown.trials))}


def test_a_hyperparameter_that_a_trial_lacks_is_empty(trials):
    changed = copy.deepcopy(trials)
    changed[0]["hyperparameters"][f"{changed[0]['model']}.layers"] = 3
    rows = read(changed).trials
    assert rows[changed[0]["trial_id"]]["layers"] == "3"
    assert {row["layers"] for key, row in rows.items() if key != changed[0]["trial_id"]} == {"–"}


def test_measures_of_a_regression_are_numbers_and_less_is_better(trials):
    changed = copy.deepcopy(trials)
    for trial in the(changed, "completed"):
        trial["score"] = 1 - trial["score"]
        trial["metrics"] = {"quantized_mean_absolute_error": trial["score"]}
        trial["history"] = {"val_mean_absolute_error": [trial["score"]]}
    best = min(the(changed, "completed"), key=lambda trial: trial["score"])
    page = read(
        changed,
        objective={"name": "val_mean_absolute_error", "direction": "min"},
        best={"trial_id": best["trial_id"]},
    )
    assert f"validation mean absolute error {best['score']:.4g}" in heading(page)
    assert next(iter(page.trials)) == best["trial_id"]
    title = page.data["charts"]["chart-size"]["layout"]["yaxis"]["title"]["text"]
    assert title == "quantized mean absolute error<br>(less is better)"


# ---------------------------------------------------------------------- the charts


def points(figure, axis):
    return {
        key: (trace["x"][place], trace["y"][place], trace["hovertext"][place])
        for trace in figure["data"]
        if trace.get("yaxis", "y") == axis
        for place, key in enumerate(trace.get("customdata", ()))
    }


@pytest.mark.parametrize(
    ("chart", "figure", "scale", "limit"),
    [("chart-size", "bytes", 1000, 400), ("chart-latency", "latency_ms", 1, 1)],
)
def test_the_trade_off_shows_every_trial_whose_figures_are_known(
    trials, shown, chart, figure, scale, limit
):
    drawn = shown.data["charts"][chart]
    found = points(drawn, "y")
    assert sorted(found) == [trial["trial_id"] for trial in the(trials, "completed")]
    for trial in the(trials, "completed"):
        x, y, hover = found[trial["trial_id"]]
        assert x == trial[figure] / scale
        assert y == pytest.approx(100 * trial["metrics"]["quantized_accuracy"])
        assert hover.startswith(f"<b>Trial {trial['trial_id']}</b> {trial['model']}")
    hollow = points(drawn, "y2")
    assert sorted(hollow) == [trial["trial_id"] for trial in the(trials, "infeasible")]
    assert all("over budget: " in hover for _, _, hover in hollow.values())
    (line,) = drawn["layout"]["shapes"]
    assert line["x0"] == line["x1"] == limit
    low, high = drawn["layout"]["xaxis"]["range"]
    assert low < min(x for x, _, _ in (found | hollow).values())
    assert high > max(limit, *(x for x, _, _ in (found | hollow).values()))


def test_where_no_trial_is_over_budget_there_is_no_axis_for_them(trials, shown):
    within = read(the(trials, "completed"))
    for figure in within.data["charts"].values():
        assert {trace.get("yaxis", "y") for trace in figure["data"]} == {"y"}
        assert "yaxis2" not in figure["layout"]
    # Every axis that a trace is on is one that the layout describes.
    for figure in shown.data["charts"].values():
        assert {trace.get("yaxis", "y") for trace in figure["data"]} == {"y", "y2"}
        assert "yaxis2" in figure["layout"]


def test_a_sum_that_ends_in_an_accuracy_is_no_percentage(trials):
    objective = {"name": "0.1*latency - quantized_accuracy", "direction": "min"}
    changed = copy.deepcopy(trials)
    for trial in the(changed, "completed"):
        trial["score"] = 0.1 * trial["latency_ms"] - trial["metrics"]["quantized_accuracy"]
    winner = min(the(changed, "completed"), key=lambda trial: trial["score"])
    page = read(changed, objective=objective, best={"trial_id": winner["trial_id"]})
    row = page.trials[winner["trial_id"]]
    assert row["0.1*latency - quantized accuracy"] == f"{winner['score']:.4g}"
    assert next(iter(page.trials)) == winner["trial_id"]
    facts = dict(tuple(cells) for _, cells in page.rows["facts"])
    assert facts["objective"] == "0.1*latency - quantized accuracy, less is better"


def test_shares_are_percentages_in_the_table_and_in_the_charts(trials, shown):
    winner = next(iter(shown.trials))
    (in_chart,) = (
        y
        for key, (_, y, _) in points(shown.data["charts"]["chart-size"], "y").items()
        if key == winner
    )
    assert shown.trials[winner]["quantized accuracy"] == f"{in_chart:.2f} %"
    for figure in shown.data["charts"].values():
        assert figure["layout"]["yaxis"]["title"]["text"].endswith(", %")


@pytest.mark.parametrize(
    ("measure", "text"),
    [
        ("val_f1", "91.23 %"),
        ("val_balanced_accuracy", "91.23 %"),
        ("quantized_accuracy", "91.23 %"),
        ("val_auc", "0.9123"),
        ("0.1*latency - val_accuracy", "0.9123"),
    ],
)
def test_a_measure_is_in_percent_wherever_it_is_said_if_it_is_a_share(measure, text):
    assert format_measure(measure, 0.9123) == text


def test_the_page_shows_where_the_winner_fails_once_it_is_there(trials, tmp_path, monkeypatch):
    info = made_up_info(trials)
    named = info["best"]["trial_id"]
    labels = {name: {"rows": 9, "precision": 1, "recall": 1, "f1": 1} for name in ("neg", EVIL)}
    run = {
        "hyperparameters": {"trial_id": named},
        "data": {"rows": {"test": 18}},
        "evaluation": {"test": {"labels": labels, "confusion": [[8, 1], [0, 9]]}},
    }
    monkeypatch.setattr("keras_rnn_zoo.tuner.results.page._plotly", str)

    def shown():
        write_report(tmp_path / "report.html", info, records(trials))
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    assert "Where does it fail?" not in shown().text
    file = tmp_path / "best" / "run.json"
    file.parent.mkdir()
    file.write_text(json.dumps(run), encoding="utf-8")
    page = shown()
    assert "1 of 18 test rows are answered wrongly" in page.text and EVIL in page.text
    # While a search that had finished goes on, the run is that of an earlier winner.
    run["hyperparameters"]["trial_id"] = "another"
    file.write_text(json.dumps(run), encoding="utf-8")
    assert "Where does it fail?" not in shown().text
    file.write_text("{", encoding="utf-8")
    assert "Where does it fail?" not in shown().text


def test_settings_are_said_in_words(trials):
    settings = made_up_info(trials)["settings"]
    settings["config"] = {"units": 32, "mask": False, "layers": None}
    facts = dict(tuple(cells) for _, cells in read(trials, settings=settings).rows["facts"])
    assert facts["config"] == "units 32, mask no, layers none"
    assert not any(set("{}[]") & set(value) for value in facts.values())


def test_the_line_of_the_front_only_rises(trials, shown):
    line = shown.data["charts"]["chart-size"]["data"][0]
    assert len(line["x"]) > 1
    assert line["x"] == sorted(line["x"])
    assert line["y"] == sorted(line["y"])


def test_what_was_not_measured_is_not_drawn(trials):
    changed = copy.deepcopy(trials)
    for trial in changed:
        trial["latency_ms"] = None
        trial["bytes"] = trial["bytes"] if trial is changed[0] else None
    page = read(changed)
    assert list(page.data["charts"]) == ["chart-size"]
    assert [attrs["id"] for _, attrs in page.tags if attrs.get("class") == "chart"] == [
        "chart-size",
        "curves",
    ]


def test_sizes_that_are_far_apart_are_on_a_logarithmic_axis(trials):
    changed = copy.deepcopy(trials)
    changed[0]["bytes"] = 50_000_000
    axis = read(changed).data["charts"]["chart-size"]["layout"]["xaxis"]
    assert axis["type"] == "log"
    low, high = axis["range"]
    assert 10**high > 50_000
    assert 10**low < min(trial["bytes"] for trial in changed) / 1000
    assert axis["ticktext"][axis["tickvals"].index(500.0)] == "500"


def test_the_curves_of_every_measure_are_there_the_score_first(trials, shown):
    assert list(shown.data["curves"]) == ["val_accuracy", "val_loss", "accuracy", "loss"]
    trained = [trial for trial in trials if trial["history"]]
    for name, figure in shown.data["curves"].items():
        found = {}
        for trace in figure["data"]:
            for key, value in zip(trace["customdata"], trace["y"], strict=True):
                if key is not None:
                    found.setdefault(key, []).append(value)
        scale = 100 if "accuracy" in name else 1
        expected = {
            trial["trial_id"]: pytest.approx([scale * value for value in trial["history"][name]])
            for trial in trained
        }
        assert found == expected


def test_values_that_are_not_finite_are_gaps(trials):
    changed = copy.deepcopy(trials)
    changed[0]["history"] = {"val_loss": [1.0, math.nan, math.inf]}
    page = read(changed)
    assert any(
        trace["y"][:4] == [1.0, None, None, None]
        for trace in page.data["curves"]["val_loss"]["data"]
    )


def test_there_is_a_legend_of_models_and_not_of_trials():
    page = read(made_up_trials(400, 90, 10))
    assert len(page.trials) == 500
    models = [attrs["data-model"] for tag, attrs in page.tags if "data-model" in attrs]
    assert models == ["bilstm", "gru", "lstm"] * 2
    assert all(len(figure["data"]) <= 7 for figure in page.data["charts"].values())


def test_more_models_than_colours_have_other_symbols():
    trials = made_up_trials(40, 0, 0)
    for number, trial in enumerate(trials):
        trial["model"] = trial["hyperparameters"]["model"] = f"model{number % 20:02}"
    looks = {
        (trace["marker"]["color"], trace["marker"]["symbol"])
        for trace in read(trials).data["curves"]["val_loss"]["data"]
    }
    assert len(looks) == 20


# ---------------------------------------------------------------------- importance


def test_importance_is_a_table_of_bars(shown):
    rows = [cells for _, cells in shown.rows["shares"]]
    assert {cells[0] for cells in rows} == {
        "learning_rate",
        "units",
        "dropout",
        "embedding_dim",
        "model",
    }
    shares = [int(cells[1].removesuffix(" %")) for cells in rows]
    assert shares == sorted(shares, reverse=True)
    assert 98 <= sum(shares) <= 102


def test_too_few_trials_have_no_importance(trials):
    page = read(the(trials, "completed")[:4])
    assert "4 completed trials are too few" in page.text
    assert "shares" not in page.rows


# ---------------------------------------------------------------------- exporting


def test_the_front_has_the_commands_that_export_it(trials, shown):
    kept = best(trials)
    for trial in trials:
        command = shown.data["trials"][trial["trial_id"]]["command"]
        if trial["trial_id"] in kept:
            assert command == (
                f"keras-rnn-zoo export searches/reviews --trial {trial['trial_id']} -o BUNDLE"
            )
        else:
            assert command is None


def test_the_command_exports_for_the_client_that_was_searched_for(trials):
    settings = made_up_info(trials)["settings"]
    settings["device"] = {**settings["device"], "target": "task_library"}
    command = read(trials, settings=settings).data["trials"]["0000"]["command"]
    assert command.endswith("--trial 0000 --target task_library -o BUNDLE")


def test_the_command_holds_for_a_shell_whatever_the_directory_is_called(trials):
    directory = Path("my searches/it's; rm -rf")
    command = read(trials, directory).data["trials"]["0000"]["command"]
    assert shlex.split(command)[2] == str(directory)


# ---------------------------------------------------------------------- the file


def test_what_people_wrote_is_text_wherever_it_is_shown(trials):
    changed = copy.deepcopy(trials)
    for trial in changed:
        model = trial["model"] + EVIL
        values = trial["hyperparameters"]
        trial["hyperparameters"] = {
            name.replace(trial["model"], model, 1): value for name, value in values.items()
        } | {"model": model, f"{model}.{EVIL}": EVIL}
        trial["model"] = model
        trial["message"] = EVIL
    best = the(changed, "completed")[0]
    info = made_up_info(changed, message=EVIL)
    info["provenance"] = {"command": EVIL, "versions": {EVIL: EVIL}}
    info["settings"]["data"] = {"name": EVIL}
    info["best"] = {"trial_id": best["trial_id"]}
    page_ = Page(page(info, records(changed), Path(EVIL.replace("/", "")), "/* plotly */"))
    assert len(page_.scripts) == 3
    tags = [tag for tag, _ in page_.tags]
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attrs in page_.tags for name in attrs)
    assert page_.trials[best["trial_id"]]["status"] == "completed" + EVIL
    assert page_.data["trials"][best["trial_id"]]["message"] == EVIL
    # plotly understands tags in what it shows at the pointer: there, too, they are escaped.
    for _, _, hover in points(page_.data["charts"]["chart-size"], "y").values():
        assert "<script" not in hover
        assert "<img" not in hover


def test_the_page_holds_all_it_needs(trials, tmp_path):
    pytest.importorskip("plotly", reason="the extra `report` is not installed")
    path = tmp_path / "search" / "report.html"
    write_report(path, made_up_info(trials), records(trials))
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.scripts) == 3
    assert "plotly.js" in page.scripts[1]
    assert not any(tag in ("link", "iframe", "object") for tag, _ in page.tags)
    assert not any(name in ("src", "href") for _, attrs in page.tags for name in attrs)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_a_command_line_that_is_no_utf8_is_written_all_the_same(trials, tmp_path):
    pytest.importorskip("plotly", reason="the extra `report` is not installed")
    info = made_up_info(trials)
    info["provenance"]["command"] = "search \udcff"
    write_report(tmp_path / "report.html", info, records(trials))
    assert "search \\udcff" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_of_the_same_trials_is_the_same(trials):
    texts = {page(made_up_info(trials), records(trials), Path("s"), "") for _ in range(2)}
    assert len(texts) == 1


def test_without_plotly_one_line_says_how_to_get_it(trials, tmp_path, monkeypatch):
    plain_import = builtins.__import__

    def no_plotly(name, *arguments, **keywords):
        if name.startswith("plotly"):
            raise ImportError(name)
        return plain_import(name, *arguments, **keywords)

    from keras_rnn_zoo.tuner.results import page

    page._plotly.cache_clear()
    monkeypatch.setattr(builtins, "__import__", no_plotly)
    with pytest.raises(MissingExtraError, match=r"pip install 'keras-rnn-zoo\[report\]'") as caught:
        write_report(tmp_path / "report.html", made_up_info(trials), records(trials))
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_importing_it_imports_nothing_heavy():
    program = """
import sys
from keras_rnn_zoo.tuner.results import front, importance, page, search
heavy = {"tensorflow", "keras", "keras_tuner", "sklearn", "scipy", "plotly", "jinja2"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_made_up_search_is_as_real_ones_are(trials):
    for trial in trials:
        over = {
            "size": trial["bytes"] > DEVICE["max_size"],
            "latency": trial["latency_ms"] > DEVICE["max_latency"],
        }
        assert set(trial["excess"]) == {name for name, yes in over.items() if yes}
        assert (trial["status"] == "infeasible") == any(over.values())
