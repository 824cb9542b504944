"""MediaPipe's TextClassifier, in Pythons of its own and in a browser: texts in, labels out.

`KERAS_RNN_ZOO_CLIENTS` names a folder with one folder a client: `mediapipe*/bin/python`, each with
`pip install mediapipe`, and `mediapipe_js/node_modules` of `npm install @mediapipe/tasks-text`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Label -> score, for each text.
Answers = list[dict[str, float]]
Classify = Callable[[Path, Sequence[str]], Answers]

PYTHON = """
import json, sys
from mediapipe.tasks import python
from mediapipe.tasks.python import text

path, texts = json.load(sys.stdin)
options = text.TextClassifierOptions(python.BaseOptions(model_asset_path=path))
with text.TextClassifier.create_from_options(options) as classifier:
    found = [classifier.classify(one).classifications[0].categories for one in texts]
answers = [{c.category_name: float(c.score) for c in categories} for categories in found]
print("ANSWERS" + json.dumps(answers))
"""

PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
const send = (body) => fetch("/answers", {method: "POST", body: JSON.stringify(body)});
try {
  const {FilesetResolver, TextClassifier} = await import("/package/text_bundle.mjs");
  const files = await FilesetResolver.forTextTasks("/package/wasm");
  const classifier = await TextClassifier.createFromModelPath(files, "/model.tflite");
  const texts = await (await fetch("/texts.json")).json();
  const scores = (categories) => categories.map((one) => [one.categoryName, one.score]);
  await send(texts.map((text) => Object.fromEntries(
    scores(classifier.classify(text).classifications[0].categories))));
} catch (error) { await send(String(error.message || error)); }
</script>"""

CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Refused(Exception):
    """A client does not load a file; the message is its own."""


def installed() -> dict[str, Classify]:
    """Returns name of each client that is here -> what classifies texts in it."""
    place = os.environ.get("KERAS_RNN_ZOO_CLIENTS")
    if not place:
        return {}
    found: dict[str, Classify] = {}
    for python in sorted(Path(place).glob("mediapipe*/bin/python")):
        found[python.parent.parent.name] = partial(_in_python, python)
    package = Path(place) / "mediapipe_js" / "node_modules" / "@mediapipe" / "tasks-text"
    browser = shutil.which("chromium")
    if package.is_dir() and browser:
        found["mediapipe_js"] = partial(_in_browser, browser, package)
    return found


def _in_python(python: Path, model: Path, texts: Sequence[str]) -> Answers:
    request = json.dumps([str(model), list(texts)])
    done = subprocess.run(
        [str(python), "-c", PYTHON], input=request, capture_output=True, text=True, timeout=300
    )
    for line in done.stdout.splitlines():
        if line.startswith("ANSWERS"):
            answers: Answers = json.loads(line.removeprefix("ANSWERS"))
            return answers
    raise Refused(done.stderr.strip().splitlines()[-1])


def _in_browser(browser: str, package: Path, model: Path, texts: Sequence[str]) -> Answers:
    answered = threading.Event()
    received: list[Any] = []

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            if path.startswith("/package/"):
                return str(package / path.removeprefix("/package/"))
            return str(model) if path == "/model.tflite" else os.devnull

        def do_GET(self) -> None:
            pages = {"/": ("text/html", PAGE), "/texts.json": ("application/json", encoded)}
            if self.path not in pages:
                super().do_GET()
                return
            kind, text = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            answered.set()

        def log_message(self, *_: object) -> None: ...

    encoded = json.dumps(list(texts))
    Handler.extensions_map = {".mjs": "text/javascript", ".js": "text/javascript"} | {
        ".wasm": "application/wasm",
        "": "application/octet-stream",
    }
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        running = subprocess.Popen(
            [browser, *CHROMIUM, f"--user-data-dir={profile}", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not answered.wait(240):
                raise Refused("the page did not answer within 240 s")
        finally:
            running.kill()
            running.wait()
            server.shutdown()
    if isinstance(received[0], str):
        raise Refused(received[0])
    answers: Answers = received[0]
    return answers
