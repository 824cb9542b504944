"""`demo`: the bundle answers in a browser what `predict` answers, and nobody else is let in."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
from app_bundles import golden_of, same, spelled

from keras_rnn_zoo.errors import ConfigError, DataError, RunError
from keras_rnn_zoo.export.demo.server import open_demo
from keras_rnn_zoo.export.installations import VARIABLE

CHROMIUM = shutil.which("chromium")
SHOWN = [
    "texts",
    "spelled",
    "mediapipe",
    "task_library",
    "sensors",
    "regression",
    "sounds",
    "tags",
    "several",
    "stream_sensors",
    "stream_inside",
    "stream_texts",
    "stream_tags",
    "stream_pair",
]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium to try it in")
    with playwright.sync_playwright() as driver:
        # Chromium has no sandbox for root; what it opens here is our own page.
        browser = driver.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Opens the page of a bundle; a request to any other place, or a script's error, fails."""
    opened = []

    def open_page(bundle):
        try:
            demo = open_demo(bundle.path)
        except RunError as error:
            pytest.skip(str(error))
        page = browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("data:", "blob:", demo.url))
                or complaints.append(request.url)
            ),
        )
        opened.append((demo, page, complaints))
        page.goto(demo.url)
        page.locator("body[data-ready]").wait_for()
        return page

    yield open_page
    for demo, page, complaints in opened:
        page.close()
        demo.close()
        assert complaints == []


def answered(page, act):
    """Does something on the page, and waits until it has been answered."""
    before = page.locator("body").get_attribute("data-answered")
    act()
    page.locator(f"body[data-answered]:not([data-answered='{before}'])").wait_for()
    return page.locator("#browser output").inner_text(), page.locator(
        "#predict output"
    ).inner_text()


@pytest.mark.parametrize("name", SHOWN)
def test_the_app_of_a_bundle_answers_in_a_browser_what_is_recorded(bundles, visit, name):
    golden = golden_of(bundles[name])
    page = visit(bundles[name])
    for entry in golden["files"]:
        found = page.evaluate(
            """async ([file, samples]) => {
                const { Model } = await import("/app/model.js");
                const { load } = await (await fetch("/about.json")).json();
                const model = await Model.load(`/files/${file}`, ...load);
                const answers = [];
                for (const sample of samples) {
                    const given = sample.text ?? sample.features ?? sample.tokens ?? sample.inputs;
                    const answer = await model.answer(given);
                    answers.push(sample.inputs === given
                        ? Object.fromEntries(Object.entries(answer).map(([k, v]) => [k, [...v]]))
                        : answer);
                }
                return answers;
            }""",
            [entry["file"], golden["samples"]],
        )
        for answer, recorded in zip(found, entry["answers"], strict=True):
            flat = {key: np.ravel(values).tolist() for key, values in recorded["outputs"].items()}
            expected = recorded.get("answer", flat)
            assert same(answer, expected, entry["tolerance"]), entry["file"]


@pytest.mark.parametrize("name", ["stream_sensors", "stream_inside", "stream_texts"])
def test_the_app_goes_step_by_step_in_a_browser(bundles, visit, name):
    page = visit(bundles[name])
    golden, inside = golden_of(bundles[name]), name == "stream_inside"
    steps = bundles[name].preprocessor.timesteps
    for entry in golden["files"]:
        sample, recorded = next(
            (sample, recorded)
            for sample, recorded in zip(golden["samples"], entry["answers"], strict=True)
            if len(sample.get("tokens") or sample["features"]) == steps
        )
        found = page.evaluate(
            """async ([file, steps, several]) => {
                const { Model } = await import("/app/model.js");
                const { load } = await (await fetch("/about.json")).json();
                const model = await Model.load(`/files/${file}`, ...load);
                const stream = await model.stream();
                const other = several ? await model.stream() : undefined;
                const answers = [];
                for (let round = 0; round < 2; round++) {
                    await stream.reset();
                    for (let i = 0; i < steps.length; i++) {
                        if (i) await other?.step(steps.at(-i));
                        answers.push(await stream.step(steps[i]));
                    }
                }
                const errors = [];
                for (const wrong of [[1], -1, "two words"]) {
                    await stream.step(wrong).catch((error) => errors.push(error.message));
                }
                return [answers, errors];
            }""",
            [entry["file"], sample.get("tokens") or sample["features"], not inside],
        )
        answers, errors = found
        for last in (steps - 1, -1):
            assert same(answers[last], recorded["answer"], entry["tolerance"])
        assert answers[:steps] == answers[steps:], "a stream that is reset begins anew"
        assert not same(answers[0], recorded["answer"], 1e-3)
        assert len(errors) == 3 and all(error.startswith("Give ") for error in errors)


def test_a_text_that_is_typed_gets_the_answer_of_predict(bundles, visit):
    bundle = bundles["texts"]
    page = visit(bundle)
    for text in ("A moving film, wonderful!", "c'est la vie, BORING"):
        mine, theirs = answered(page, lambda text=text: page.get_by_label("Input").fill(text))
        (answer,) = bundle.predict([text])
        assert mine == theirs and mine.splitlines()[0] == answer["label"]
        assert f"{100 * answer['score']:.2f} %" in mine
        assert "differ by" in page.locator("#difference").inner_text()
    for side in ("#browser", "#predict"):
        assert page.locator(f"{side} time").inner_text().endswith(" ms")
    mine, theirs = answered(page, lambda: page.get_by_label("Input").fill("zzz"))
    assert "no word that the model knows" in mine and "no word that the model knows" in theirs


def test_mediapipe_answers_raw_texts_in_the_page(bundles, visit):
    bundle = bundles["mediapipe"]
    page = visit(bundle)
    assert page.locator("#browser h2").inner_text().startswith("MediaPipe")
    texts = ("A MOVING film, McQueen's!", "c'est la vie: Boring", "C'EST mcqueen's")
    for text in texts:
        mine, theirs = answered(page, lambda text=text: page.get_by_label("Input").fill(text))
        (answer,) = bundle.predict([text])
        assert mine == theirs and mine.splitlines()[0] == answer["label"]
        said = page.locator("#difference").inner_text()
        assert "nothing" in said or float(said.split()[-1].rstrip(".")) < 1e-4, said
    assert len({json.dumps(one) for one in bundle.predict(list(texts))}) == len(texts)


def test_another_file_and_an_example_can_be_chosen(bundles, visit):
    page = visit(bundles["texts"])
    answered(page, lambda: page.get_by_label("File").select_option("model_int8.tflite"))
    sample, recorded = golden_of(bundles["texts"])["samples"][-1], golden_of(bundles["texts"])
    mine, theirs = answered(page, lambda: page.get_by_label("Example").select_option(index=3))
    assert page.get_by_label("Input").input_value() == sample["text"]
    answer = recorded["files"][1]["answers"][-1]["answer"]
    assert mine.splitlines()[0] == theirs.splitlines()[0] == answer["label"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.csv", "a,b\n1.5,2\n0.5,-1\n", None),
        ("rows.json", "[[1.5, 2], [0.5, -1]]", None),
        ("rows.csv", "1,2\n3,x\n", "Line 2"),
        ("rows.json", "[[1.5, 2], [0.5", "no JSON"),
        ("rows.csv", "1\n2\n", "2 finite numbers"),
    ],
)
def test_a_file_that_is_dropped_is_answered_or_said_to_be_wrong(
    bundles, visit, name, content, says
):
    page = visit(bundles["sensors"])

    def drop():
        page.evaluate(
            """([name, content]) => {
                const data = new DataTransfer();
                data.items.add(new File([content], name));
                document.dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
            }""",
            [name, content],
        )

    mine, theirs = answered(page, drop)
    if says is not None:
        assert says in mine
        return
    (answer,) = bundles["sensors"].predict([[[1.5, 2], [0.5, -1]]])
    assert mine.splitlines()[0] == theirs.splitlines()[0] == answer["label"]
    assert "<b>" not in page.locator("#browser .bar").first.inner_html()


def test_a_page_needs_no_examples(bundles, visit, tmp_path):
    path = shutil.copytree(bundles["texts"].path, tmp_path / "older")
    (path / "golden.json").unlink()
    bundle = type(bundles["texts"]).load(path)
    page = visit(bundle)
    assert not page.locator("#choose").is_visible()
    mine, theirs = answered(page, lambda: page.get_by_label("Input").fill("a dull film"))
    assert mine == theirs


# ---------------------------------------------------------------------- without a browser


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder of clients with as much of the package as is served."""
    scope = tmp_path / "clients" / "litert_js" / "node_modules" / "@litertjs"
    for file in ("core/dist/index.js", "core/wasm/a.wasm", "wasm-utils/dist/index.js"):
        (scope / file).parent.mkdir(parents=True, exist_ok=True)
        (scope / file).write_text(f"// {file}")
    (scope / "core" / "package.json").write_text("{}")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "clients"))
    return scope


@pytest.fixture
def demo(bundles, modules):
    with open_demo(bundles["texts"].path) as demo:
        yield demo


def request(demo, method, path, headers=None, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"Host": f"127.0.0.1:{demo.port}", **(headers or {})}.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def test_what_the_page_needs_is_served(demo, modules):
    for path in ("/", "/demo.js", "/about.json", "/app/model.js", "/app/encoding.js"):
        status, content, headers = request(demo, "GET", path)
        assert (
            status == 200 and content and "default-src 'none'" in headers["Content-Security-Policy"]
        )
    assert request(demo, "GET", "/files/model.tflite")[1][4:8] == b"TFL3"
    assert request(demo, "GET", "/litert/core/wasm/a.wasm")[1] == b"// core/wasm/a.wasm"


@pytest.mark.parametrize(
    "path",
    [
        "/files/report.json",
        "/files/../report.json",
        "/files/%2e%2e/report.json",
        "/files//etc/passwd",
        "/litert/core/package.json",
        "/litert/core/dist/../package.json",
        "/app/../../report.json",
        "/predict",
    ],
)
def test_nothing_else_is_served(demo, path):
    assert request(demo, "GET", path)[0] in (400, 404)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_requests_that_another_site_caused_are_refused(demo, headers):
    assert request(demo, "GET", "/", headers)[0] == 403
    body = json.dumps({"value": "a film", "file": "model.tflite"}).encode()
    headers = {"Content-Type": "application/json", **headers}
    assert request(demo, "POST", "/predict", headers, body)[0] == 403


def test_the_page_answers_under_both_names_of_this_machine_and_no_other_is_bound(demo):
    assert request(demo, "GET", "/", {"Host": f"localhost:{demo.port}"})[0] == 200
    assert urllib.parse.urlsplit(demo.url).hostname == "127.0.0.1"
    assert demo._server.server_address[0] == "127.0.0.1"


def test_predict_answers_as_the_bundle_does(demo, bundles):
    body = json.dumps({"value": "a moving film", "file": "model_int8.tflite"}).encode()
    status, content, _ = request(
        demo, "POST", "/predict", {"Content-Type": "application/json"}, body
    )
    said = json.loads(content)
    assert status == 200 and said["milliseconds"] > 0
    assert [said["answer"]] == bundles["texts"].predict(["a moving film"], "int8")


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"{", "application/json", "Give a JSON object"),
        (b"[]", "application/json", "Give a JSON object"),
        (b'{"file": "model.tflite", "value": "a"}', "text/plain", "Give a JSON object"),
        (b'{"file": "../model.tflite", "value": "a"}', "application/json", "No such file"),
        (b'{"file": "model.tflite", "value": 3}', "application/json", "Row 1 is not a text"),
        (b'{"file": "model.tflite"}', "application/json", "Row 1 is not a text"),
        (b"[" * 100_000, "application/json", "Give a JSON object"),
    ],
)
def test_bad_requests_get_one_line(demo, body, kind, says):
    status, content, _ = request(demo, "POST", "/predict", {"Content-Type": kind}, body)
    assert status == 400 and says in json.loads(content)["error"]


def test_too_large_a_request_is_not_read(demo):
    headers = {"Content-Type": "application/json", "Content-Length": str(10**9)}
    status, content, _ = request(demo, "POST", "/predict", headers)
    assert status == 400 and "at most" in json.loads(content)["error"]


def test_a_browser_that_goes_away_is_no_news(demo, capfd):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", demo.port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line = f"GET /files/model.tflite HTTP/1.0\r\nHost: 127.0.0.1:{demo.port}\r\n\r\n"
            connection.sendall(line.encode())
    assert request(demo, "GET", "/about.json")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_arrays_are_answered_by_name(bundles, modules):
    with open_demo(bundles["several"].path) as demo:
        sample = golden_of(bundles["several"])["samples"][0]
        said = demo.answer({"value": sample["inputs"], "file": "model.tflite"})
        expected = golden_of(bundles["several"])["files"][0]["answers"][0]["outputs"]
        assert same(said["answer"], expected, 1e-6)
        with pytest.raises(DataError, match="numbers for the input 'left'"):
            demo.answer({"value": [1], "file": "model.tflite"})


def test_what_keeps_a_page_from_opening_is_said_with_what_to_do(bundles, tmp_path, monkeypatch):
    path = bundles["texts"].path
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(RunError, match=r"npm install --prefix \S+/none/litert_js @litertjs/core@"):
        open_demo(path)
    with pytest.raises(
        RunError,
        match=r"MediaPipe is not .*npm install --prefix \S+/mediapipe_js @mediapipe/tasks-",
    ):
        open_demo(bundles["mediapipe"].path)
    with pytest.raises(ConfigError, match="65535"):
        open_demo(path, 99999)
    with pytest.raises(RunError, match=r"is not a bundle"):
        open_demo(tmp_path)


def test_a_port_that_is_taken_and_a_model_that_a_browser_cannot_run_are_refused(demo, bundles):
    with pytest.raises(RunError, match=rf"127\.0\.0\.1:{demo.port}: .*Leave --port out"):
        open_demo(demo._bundle.path, demo.port)
    with pytest.raises(RunError, match=r"takes or answers int8.*--target litert_js"):
        open_demo(bundles["integers"].path)


def test_a_file_that_keeps_a_state_is_for_mediapipe_and_not_for_litert_js(bundles, tmp_path):
    bundle = spelled(tmp_path, lowering="fused")
    with pytest.raises(RunError, match=r"keeps a state within .* LiteRT.js .*--target litert_js"):
        open_demo(bundle.path)
    said = (bundle.path / "app" / "README.md").read_text()
    assert "No `javascript/`: the model keeps a state" in said and "| `python/` |" in said
    assert any(entry.variables for entry in bundles["mediapipe"].report.files)
    assert (bundles["mediapipe"].path / "app/javascript/model.js").exists()


def test_the_command_says_where_the_page_is_and_ends_with_ctrl_c(bundles, modules):
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_rnn_zoo", "demo", bundles["texts"].path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, VARIABLE: str(Path(modules).parents[2])},
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), process.stderr.read()
        port = urllib.parse.urlsplit(line.split()[0]).port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/about.json")
        assert json.loads(connection.getresponse().read())["kind"] == "text"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0 and errors == ""
