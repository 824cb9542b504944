"""Clients that are packages of npm and run in a browser: headless Chromium, a page on loopback."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import numpy as np

from keras_rnn_zoo.export.clients.client import (
    SECONDS,
    Client,
    ClientRefuses,
    Installed,
    Invokes,
    Ran,
)

PAGES = Path(__file__).parent / "pages"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Without what a browser does of itself: updates, look-ups, first-run pages.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".cjs": "text/javascript",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
}


def find_browser() -> str | None:
    """Returns the program of a browser that runs without a screen; None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


class BrowserClient(Client):
    """A package of npm that runs files in a browser.

    Attributes:
        package: Its name on npm.
        script: What runs in the page: a file of `pages`. It imports the package, gets
            `/job.json`, the file `/model.tflite` and arrays `/x_0`, posts arrays to `/y_0` and, at
            the end, a JSON object to `/done`.
        imports: Names that the page imports -> paths within `node_modules`.
    """

    package: ClassVar[str]
    script: ClassVar[str]
    imports: ClassVar[Mapping[str, str]]

    def found_in(self, folder: Path | None) -> Installed | None:
        """See `Client.found_in`; a folder holds `node_modules`, and there has to be a browser."""
        if folder is None or find_browser() is None:
            return None
        modules = folder / "node_modules"
        try:
            text = (modules / self.package / "package.json").read_text(encoding="utf-8")
            number = str(json.loads(text)["version"])
        except (OSError, ValueError, KeyError):
            return None
        return Installed(folder.name, f"{self.package} {number}", modules, number)

    def job(self, asked: Invokes) -> dict[str, Any]:
        """Returns what the page has to do."""
        return {
            **asked.job(),
            "batch": asked.x[0].shape[1],
            "x": [
                {"dtype": one.dtype, "shape": values.shape[1:]}
                for one, values in zip(asked.inputs, asked.x, strict=True)
            ],
        }

    def run(self, installed: Installed, asked: Invokes) -> Ran:
        """See `Client.run`."""
        files = {
            "/job.json": json.dumps(self.job(asked)).encode(),
            "/model.tflite": asked.file.read_bytes(),
        }
        for number, values in enumerate(asked.x):
            files[f"/x_{number}"] = np.ascontiguousarray(values).tobytes()
        said, received = self.visited(installed, files)
        y = [
            np.frombuffer(received[f"/y_{number}"], one.dtype).reshape(
                len(asked.order), *(size or -1 for size in one.shape)
            )
            for number, one in enumerate(asked.outputs)
        ]
        return Ran(y, figures=said.get("figures", {}))

    def visited(
        self, installed: Installed, files: Mapping[str, bytes]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Runs the script in a page.

        Args:
            installed: Where the package is.
            files: Path -> what the page finds there, beside itself and the package.

        Returns:
            What it says at the end, and path -> what it posts before.

        Raises:
            ClientRefuses: It says that it refuses, or does not come to an end.
        """
        page = {
            "/page.html": self._page(),
            "/client.js": (PAGES / f"{self.script}.js").read_bytes(),
        }
        with _served({**files, **page}, installed.place) as (port, posted, received):
            said = _visit(f"http://127.0.0.1:{port}/page.html", posted)
        if "refused" in said:
            words = " ".join(str(said["refused"]).split())[:400]
            raise ClientRefuses(f"is refused: {words.rstrip('.')}")
        return said, received

    def _page(self) -> bytes:
        imports = {name: f"/node_modules/{path}" for name, path in self.imports.items()}
        head = json.dumps({"imports": imports})
        return (
            "<!doctype html><meta charset=utf-8><title>client</title>"
            f'<script type="importmap">{head}</script>'
            '<script type="module" src="/client.js"></script>'
        ).encode()


def _visit(address: str, posted: queue.Queue[dict[str, Any]]) -> dict[str, Any]:
    """Opens a page until it says that it is done; returns what it says."""
    browser = find_browser()
    assert browser is not None
    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-", ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [browser, *FLAGS, f"--user-data-dir={home}", "--remote-debugging-port=0", address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            waited = 0.0
            while waited < SECONDS:
                with suppress(queue.Empty):
                    return posted.get(timeout=0.5)
                waited += 0.5
                if process.poll() is not None:
                    raise ClientRefuses(f"ends the browser (exit code {process.returncode})")
            raise ClientRefuses(f"does not come to an end within {SECONDS:.0f} s")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _served(
    files: Mapping[str, bytes], modules: Path
) -> Iterator[tuple[int, queue.Queue[dict[str, Any]], dict[str, bytes]]]:
    """Serves a page on loopback; yields the port, what is posted at the end, and arrays."""
    done: queue.Queue[dict[str, Any]] = queue.Queue()
    received: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            content = files.get(path)
            if content is None and path.startswith("/node_modules/"):
                file = (modules / path.removeprefix("/node_modules/")).resolve()
                if file.is_relative_to(modules.resolve()) and file.is_file():
                    content = file.read_bytes()
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            kind = TYPES.get(Path(path).suffix, "application/octet-stream")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/done":
                done.put(json.loads(content))
            else:
                received[self.path] = content
            self.send_response(204)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, done, received
    finally:
        server.shutdown()
        server.server_close()
