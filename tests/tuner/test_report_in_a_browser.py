"""report.html in Debian's Chromium, from a file, without a network."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
from made_up import made_up_info, made_up_trials

from keras_rnn_zoo.tuner.results.page import write_report
from keras_rnn_zoo.tuner.results.records import TrialRecord

pytest.importorskip("plotly", reason="the extra `report` is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to try it in")

TRIALS = made_up_trials()
BY_ID = {trial["trial_id"]: trial for trial in TRIALS}
WINNER = max((t for t in TRIALS if t["score"] is not None), key=lambda t: t["score"])["trial_id"]
INFEASIBLE = next(t["trial_id"] for t in TRIALS if t["status"] == "infeasible")
SHOWN = "#trials tbody tr:not([hidden])"


def records(trials):
    return [TrialRecord.from_dict(trial) for trial in trials]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        # Chromium has no sandbox for root; what it opens here is our own page.
        browser = driver.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("searches") / "reviews" / "report.html"
    write_report(path, made_up_info(TRIALS), records(TRIALS))
    return path


class Visit:
    """A page that is looked at offline; keeps what it asks for and what it complains about."""

    def __init__(self, browser, path, *, wide=1280, **options):
        self.url = Path(path).as_uri()
        self.wanted, self.complaints = [], []
        self.context = browser.new_context(
            offline=True, viewport={"width": wide, "height": 900}, **options
        )
        self.context.route("**/*", self.only_the_file)
        self.page = self.context.new_page()
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        self.page.goto(self.url)
        if options.get("java_script_enabled", True):
            self.page.locator(".chart:not(.ready)").first.wait_for(state="detached")

    def only_the_file(self, route):
        if route.request.url == self.url:
            route.continue_()
        else:
            self.wanted.append(route.request.url)
            route.abort()

    def check(self):
        assert self.wanted == []
        assert self.complaints == []


@pytest.fixture
def show(browser):
    """Opens a file; whatever it asks for or complains about fails the test."""
    visits = []

    def open_page(path, **options):
        visits.append(Visit(browser, path, **options))
        return visits[-1].page

    yield open_page
    for visit in visits:
        visit.context.close()
        visit.check()


@pytest.fixture(scope="module")
def visit(browser, report):
    visit = Visit(browser, report)
    yield visit
    visit.context.close()


@pytest.fixture
def page(visit):
    """The page of `TRIALS`: opened once, for that takes long; as it was when it was opened."""
    page = visit.page
    page.mouse.move(0, 0)
    page.keyboard.press("Escape")
    page.get_by_role("radio", name="all").check()
    yield page
    visit.check()


def until(page, expression):
    """Waits until JavaScript says so; the page's policy forbids Playwright's own way."""
    for _ in range(500):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"Never came true: {expression}")


def ids(page):
    return page.locator(SHOWN).evaluate_all("rows => rows.map(row => row.dataset.trial)")


def place(page, chart, trial):
    """Where the point of a trial is on the screen, which is scrolled to it."""
    page.locator(f"#{chart}").scroll_into_view_if_needed()
    return page.evaluate(
        """([chart, trial]) => {
            const div = document.getElementById(chart);
            const box = div.getBoundingClientRect();
            for (const trace of div.data) {
                const number = (trace.customdata ?? []).indexOf(trial);
                if (number < 0) continue;
                const x = div._fullLayout.xaxis;
                const y = div._fullLayout[trace.yaxis === "y2" ? "yaxis2" : "yaxis"];
                return [
                    box.left + x._offset + x.d2p(trace.x[number]),
                    box.top + y._offset + y.d2p(trace.y[number]),
                ];
            }
        }""",
        [chart, trial],
    )


def point_at(page, chart, trial):
    page.mouse.move(*place(page, chart, trial))
    label = page.locator(f"#{chart} .hoverlayer .hovertext")
    label.wait_for()
    return label.text_content()


def details(page):
    panel = page.locator("#details")
    panel.wait_for()
    return panel


def test_it_opens_from_a_file_without_network_or_complaint(page):
    assert page.title() == "reviews: search report"
    assert f"The winner is trial {WINNER} " in page.locator("h1").inner_text()
    assert page.locator(".chart .main-svg").count() >= 3


def test_even_a_script_inside_it_reaches_no_network(browser, report):
    # In a page of its own: what the browser says when it refuses is a complaint.
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    answer = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
    page.close()
    assert answer == "refused"
    assert asked == [report.as_uri()]


# ---------------------------------------------------------------------- the table


def column(page, head):
    place = page.locator("#trials th").all_inner_texts()
    number = [text.strip(" ▲▼\n") for text in place].index(head)
    return page.locator(SHOWN).evaluate_all(
        "(rows, number) => rows.map(row => row.cells[number].dataset.value ?? null)", number
    )


def numbers(values):
    """The known values as numbers; the unknown ones have to be last."""
    known = [float(value) for value in values if value is not None]
    assert values[len(known) :] == [None] * (len(values) - len(known))
    return known


def test_a_click_on_a_head_sorts_and_a_second_one_turns_it_round(page):
    head = page.locator("#trials th", has_text="size")
    head.get_by_role("button").click()
    sizes = numbers(column(page, "size"))
    assert sizes == sorted(trial["bytes"] for trial in TRIALS)
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.locator("#trials th[aria-sort]").count() == 1
    head.get_by_role("button").click()
    assert numbers(column(page, "size")) == sizes[::-1]
    assert head.get_attribute("aria-sort") == "descending"


def test_scores_sort_the_best_first_and_what_has_none_last_either_way(page):
    button = page.locator("#trials th", has_text="quantized accuracy").get_by_role("button")
    best = sorted(
        (t["metrics"]["quantized_accuracy"] for t in TRIALS if t["metrics"]), reverse=True
    )
    button.click()
    assert numbers(column(page, "quantized accuracy")) == best
    button.click()
    assert numbers(column(page, "quantized accuracy")) == best[::-1]


def test_words_sort_as_words(page):
    page.locator("#trials th", has_text="model").get_by_role("button").click()
    assert column(page, "model") == sorted(trial["model"] for trial in TRIALS)


def test_the_keyboard_sorts(page):
    page.locator("#trials th", has_text="latency").get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert numbers(column(page, "latency")) == sorted(trial["latency_ms"] for trial in TRIALS)
    # The next head is one tab further.
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert numbers(column(page, "parameters")) == sorted(trial["parameters"] for trial in TRIALS)


def test_the_filter_shows_one_kind(page):
    for status in ("completed", "infeasible", "failed"):
        page.get_by_role("radio", name=status).check()
        expected = sorted(t["trial_id"] for t in TRIALS if t["status"] == status)
        assert sorted(ids(page)) == expected
    page.get_by_role("radio", name="Pareto front").check()
    front = ids(page)
    assert 1 < len(front) < 18
    page.locator("#trials th", has_text="size").get_by_role("button").click()
    assert sorted(ids(page)) == sorted(front)
    page.get_by_role("radio", name="all").check()
    assert len(ids(page)) == len(TRIALS)


# ---------------------------------------------------------------------- the charts


@pytest.mark.parametrize("chart", ["chart-size", "chart-latency"])
def test_pointing_at_a_trial_says_which_it_is(page, chart):
    said = point_at(page, chart, WINNER)
    assert f"Trial {WINNER}" in said
    assert f"{100 * BY_ID[WINNER]['score']:.2f} %" in said
    assert f"learning_rate {BY_ID[WINNER]['hyperparameters']['learning_rate']:.3g}" in said


def test_pointing_at_a_hollow_one_says_what_it_exceeds(page):
    said = point_at(page, "chart-size", INFEASIBLE)
    assert f"Trial {INFEASIBLE}" in said
    assert BY_ID[INFEASIBLE]["message"] in said


def test_a_click_on_a_trial_shows_the_command_that_exports_it(page, report):
    point_at(page, "chart-size", WINNER)
    page.mouse.click(*place(page, "chart-size", WINNER))
    panel = details(page)
    assert f"Trial {WINNER}" in panel.inner_text()
    command = f"keras-rnn-zoo export {report.parent} --trial {WINNER} -o BUNDLE"
    assert panel.locator("pre").inner_text() == command
    panel.get_by_role("button", name="Copy").click()
    playwright.expect(panel.get_by_role("status")).to_have_text("Copied.")
    page.evaluate("document.body.append(document.createElement('textarea'))")
    page.locator("textarea").press("Control+v")
    pasted = page.locator("textarea").input_value()
    page.evaluate("document.querySelector('textarea').remove()")
    assert pasted == command


def test_a_click_on_one_that_was_not_trained_says_why_it_is_not_exported(page):
    point_at(page, "chart-latency", INFEASIBLE)
    page.mouse.click(*place(page, "chart-latency", INFEASIBLE))
    panel = details(page)
    assert BY_ID[INFEASIBLE]["message"] in panel.inner_text()
    assert not panel.locator("pre").is_visible()
    assert not panel.get_by_role("button", name="Copy").is_visible()


def thick_line(page):
    """The curve that stands out."""
    return page.evaluate(
        "document.getElementById('curves').data.filter(t => t.line.width === 3).map(t => t.y)[0]"
    )


def test_a_row_highlights_its_trial_in_all_charts_and_escape_ends_that(page):
    assert thick_line(page) is None
    page.locator(f"tr[data-trial='{WINNER}'] td").nth(2).click()
    expected = [100 * value for value in BY_ID[WINNER]["history"]["val_accuracy"]]
    assert thick_line(page) == pytest.approx(expected)
    assert page.locator(f"tr[data-trial='{WINNER}']").get_attribute("class") == "chosen"
    ring = "document.getElementById('chart-size').data.at(-1).x"
    assert page.evaluate(ring) == [BY_ID[WINNER]["bytes"] / 1000]
    details(page)
    page.keyboard.press("Escape")
    assert thick_line(page) is None
    assert page.locator("#details").is_hidden()


def test_a_trial_without_a_curve_leaves_those_of_the_others_as_they_are(page):
    opacities = "document.getElementById('curves').data.map(trace => trace.opacity)"
    before = page.evaluate(opacities)
    page.locator(f"button.pick[data-trial='{INFEASIBLE}']").click()
    details(page)
    assert page.evaluate(opacities) == before


def test_the_keyboard_chooses_a_trial(page):
    page.locator("button.pick").nth(1).focus()
    page.keyboard.press("Enter")
    assert f"Trial {ids(page)[1]}" in details(page).inner_text()


def test_a_model_of_the_legend_makes_the_others_faint(page):
    def opacities(chart):
        return page.evaluate(
            """chart => Object.fromEntries(document.getElementById(chart).data
                .filter(trace => trace.name).map(trace => [trace.name, trace.opacity ?? 1]))""",
            chart,
        )

    before = opacities("curves")
    button = page.locator(".legend button", has_text="gru").last
    button.click()
    for chart in ("chart-size", "chart-latency", "curves"):
        now = opacities(chart)
        assert now["gru"] > 0.8
        assert {now["lstm"], now["bilstm"]} == {0.1}
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert opacities("curves") == before


def test_the_curve_of_a_trial_is_named_at_the_pointer(page):
    said = point_at(page, "curves", WINNER)
    assert f"Trial {WINNER}" in said
    assert "epoch 1: " in said


def test_another_measure_draws_its_curves(page):
    page.get_by_label("Measure").select_option("loss")
    until(page, "document.getElementById('curves').layout.yaxis.title.text === 'loss'")
    drawn = page.evaluate("document.getElementById('curves').data.flatMap(trace => trace.y)")
    assert set(BY_ID[WINNER]["history"]["loss"]) <= set(drawn)
    page.get_by_label("Measure").select_option("val_accuracy")


def test_the_charts_follow_the_theme_as_it_changes(page):
    ink = "document.getElementById('chart-size').layout.font.color"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    until(page, f"{ink} !== {light!r}")
    assert light == "#1c2024"
    assert page.evaluate(ink) == "#e6e9ec"


# ---------------------------------------------------------------------- other searches


def test_a_telephone_scrolls_in_one_direction(show, report):
    page = show(report, wide=390)
    page.locator("button.pick").first.click()
    details(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_without_javascript_the_table_is_all_there(show, report):
    page = show(report, java_script_enabled=False)
    assert page.locator("#trials tbody tr").count() == len(TRIALS)
    assert page.locator("#trials tbody tr").last.is_visible()
    assert page.get_by_text("The charts need JavaScript").is_visible()
    for hidden in ("fieldset", ".legend >> nth=0", "#chart-size", "#curves", "#details"):
        assert not page.locator(hidden).is_visible(), hidden


def test_five_hundred_trials_are_shown_and_answer(show, tmp_path):
    trials = made_up_trials(400, 90, 10)
    write_report(tmp_path / "report.html", made_up_info(trials), records(trials))
    page = show(tmp_path / "report.html")
    assert len(ids(page)) == 500
    assert page.locator(".legend button").count() == 6
    page.get_by_role("radio", name="failed").check()
    assert len(ids(page)) == 10
    page.get_by_role("radio", name="all").check()
    page.locator("button.pick").nth(250).click()
    assert ids(page)[250] in details(page).inner_text()


def test_a_search_that_has_only_begun_is_shown(show, tmp_path):
    for number, trials in enumerate(([], [BY_ID[INFEASIBLE]])):
        path = tmp_path / str(number) / "report.html"
        write_report(path, made_up_info(trials, status="unfinished", best=None), records(trials))
        assert show(path).locator("h1").inner_text().lstrip("…\u00a0 ").startswith("Unfinished")


def test_tags_in_what_people_wrote_are_shown_and_not_obeyed(show, tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)><b>bold</b>"
    trials = copy.deepcopy(TRIALS)
    for trial in trials:
        trial["message"] = evil
        trial["hyperparameters"][f"{trial['model']}.{evil}"] = evil
    write_report(tmp_path / "report.html", made_up_info(trials), records(trials))
    page = show(tmp_path / "report.html")
    page.locator("button.pick").first.click()
    assert evil in details(page).inner_text()
    page.keyboard.press("Escape")
    assert evil in point_at(page, "chart-size", WINNER)
    assert page.locator("img").count() == 0
