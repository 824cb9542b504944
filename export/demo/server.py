"""Serves the page: on loopback alone, and nothing but what the page needs."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import ConfigError, DataError, RunError, ZooError
from keras_rnn_zoo.export.app.app import App
from keras_rnn_zoo.export.app.golden import GOLDEN_FILE
from keras_rnn_zoo.export.app.language import LANGUAGES
from keras_rnn_zoo.export.app.write import code_of
from keras_rnn_zoo.export.bundle.app import app_of
from keras_rnn_zoo.export.bundle.bundle import Bundle
from keras_rnn_zoo.export.demo.timing import repeated
from keras_rnn_zoo.export.installations import clients_folder, folders_of
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.tflite.isolated import Isolated
from keras_rnn_zoo.pages import render

TEMPLATES = Path(__file__).with_name("templates")
ACTION = "keras_rnn_zoo.export.demo.timing:answer"
HOST = "127.0.0.1"
# An input that someone types or drops into a page.
MOST_BYTES = 16 * 2**20
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
}


@dataclass(frozen=True)
class Runtime:
    """What runs files in the browser.

    Attributes:
        name: As people call it.
        client: Name of its folder in `clients_folder()`.
        package: Its name on npm.
        tested: A version of it that works.
        main: The file of the package that is imported.
        served: Path on the page -> folder in `node_modules` whose files are found there.
        imports: Name that is imported -> path on the page.
        wasm: Path on the page of its WebAssembly.
    """

    name: str
    client: str
    package: str
    tested: str
    main: str
    served: Mapping[str, str]
    imports: Mapping[str, str]
    wasm: str

    @property
    def import_map(self) -> str:
        """The names that scripts of the page import, as the page says them."""
        return json.dumps({"imports": self.imports})

    def modules(self) -> Path:
        """Returns the folder `node_modules` that holds the package.

        Raises:
            RunError: It is not installed; the message has the line that installs it.
        """
        for folder in folders_of(self.client):
            modules = folder / "node_modules"
            if (modules / self.package / self.main).is_file():
                return modules
        place = clients_folder() / self.client
        raise RunError(
            f"{self.name} is not installed in {place}. Install it with: npm install "
            f"--prefix {place} {self.package}@{self.tested}"
        )


LITERT = Runtime(
    name="LiteRT.js",
    client="litert_js",
    package="@litertjs/core",
    tested="2.5.3",
    main="dist/index.js",
    served={
        f"/litert/{folder}": f"@litertjs/{folder}"
        for folder in ("core/dist", "core/wasm", "wasm-utils/dist")
    },
    imports={
        "@litertjs/core": "/litert/core/dist/index.js",
        "@litertjs/wasm-utils": "/litert/wasm-utils/dist/index.js",
    },
    wasm="/litert/core/wasm/",
)
MEDIAPIPE = Runtime(
    name="MediaPipe",
    client="mediapipe_js",
    package="@mediapipe/tasks-text",
    tested="1.0.1",
    main="text_bundle.mjs",
    served={"/mediapipe": "@mediapipe/tasks-text", "/mediapipe/wasm": "@mediapipe/tasks-text/wasm"},
    imports={"@mediapipe/tasks-text": "/mediapipe/text_bundle.mjs"},
    wasm="/mediapipe/wasm",
)


def open_demo(path: files.PathLike, port: int = 0) -> Demo:
    """Opens a page on which a bundle answers.

    LiteRT.js, or MediaPipe where the files are for it, runs them in the browser with the code that
    is in the bundle's `app/javascript`, written anew, and this process runs them beside it. Nothing
    leaves the machine and nothing is fetched: both are packages of npm, in the folders `litert_js`
    and `mediapipe_js` of `clients_folder()`.

    Args:
        path: The bundle.
        port: Of 127.0.0.1; 0 takes a free one.

    Returns:
        The page, which answers from now on.

    Raises:
        RunError: `path` is no bundle, what runs its files is not installed or cannot, or the port
            is taken.
        ConfigError: There is no such port.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(
            f"A port is a number from 0 (any that is free) to 65535. Received: {port}"
        )
    bundle = Bundle.load(path)
    app = app_of(bundle.report, bundle.preprocessor, _golden(bundle), bundle.path)
    language = LANGUAGES.get("javascript")
    reason = language.refuses(app)
    if reason is not None:
        raise RunError(
            f"LiteRT.js cannot run the files of {bundle.path}: the model {reason}. Export it for a "
            "browser: keras-rnn-zoo export RUN --target litert_js -o BUNDLE"
        )
    runtime = MEDIAPIPE if language.classifies(app) else LITERT
    try:
        return Demo(bundle, app, runtime, port)
    except OSError as error:
        raise RunError(
            f"Cannot serve on {HOST}:{port}: {error.strerror or error}. Leave --port out for a "
            "free one."
        ) from error


class Demo:
    """A page on which a bundle answers, being served.

    Args:
        bundle: The bundle.
        app: The same, as its code knows it.
        runtime: What runs the files in the browser.
        port: Of 127.0.0.1; 0 takes a free one.

    Attributes:
        url: Where the page is.
        policy: What the page may do.
    """

    def __init__(self, bundle: Bundle, app: App, runtime: Runtime, port: int):
        self._bundle, self._runtime = bundle, runtime
        self._code = code_of(app, "javascript") or {}
        self._app = app.restricted(LANGUAGES.get("javascript").usable(app))
        self._process, self._lock = Isolated(), threading.Lock()
        self._served = self._contents(runtime.modules())
        self.policy = _policy(runtime.import_map)
        self._server = _Server((HOST, port), _handler(self))
        self.port = self._server.server_port
        self.url = f"http://{HOST}:{self.port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the page."""
        self._server.shutdown()
        self._server.server_close()
        self._process.close()

    def content(self, path: str) -> bytes | None:
        """Returns what is served at a path; None where nothing is."""
        found = self._served.get(path)
        return found() if found is not None else None

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what `predict` answers to one input, and how long it takes.

        Args:
            asked: `value`, a raw input or name -> encoded numbers; `file`, which one answers.

        Returns:
            `answer`, as golden.json has it, and `milliseconds` of encoding, a call and decoding.

        Raises:
            ZooError: The input cannot be encoded, or the file cannot be run.
        """
        known = self._bundle.preprocessor
        entry = next((one for one in self._app.files if one.name == asked.get("file")), None)
        if entry is None:
            raise DataError(f"No such file: {asked.get('file')!r:.80}.")
        path, value = self._bundle.file(entry.quantization), asked.get("value")

        def encode() -> Arrays:
            if known is not None:
                return {entry.inputs[0].name: known.encode_inputs([value])}
            return {spec.name: _array(value, spec.name, spec.dtype) for spec in entry.inputs}

        def decode() -> Any:
            if known is None:
                return {name: values[0].tolist() for name, values in outputs.items()}
            ((encoded,), (values,)) = x.values(), outputs.values()
            return known.decode(values, encoded)[0]

        # One after the other: no request is to slow the other down.
        with self._lock:
            x, encoding = repeated(encode)
            milliseconds, (outputs,) = self._process.ask(ACTION, path, x)
            answer, decoding = repeated(decode)
        return {"answer": answer, "milliseconds": encoding + milliseconds + decoding}

    def _contents(self, modules: Path) -> dict[str, Callable[[], bytes]]:
        """All that is served: path -> what returns it. A path that is not here is none."""
        app = self._app
        texts = {
            "/": self._page(),
            "/demo.js": (TEMPLATES / "demo.js").read_text(encoding="utf-8"),
            "/about.json": json.dumps(self._about()),
            **{f"/app/{name}": text for name, text in self._code.items()},
        }
        if app.kind == "text" and app.spelled:
            texts[f"/files/{app.vocabulary_file}"] = app.spellings
        found: dict[str, Callable[[], bytes]] = {
            path: partial(str.encode, text) for path, text in texts.items()
        }
        places = {f"/files/{file.name}": self._bundle.file(file.quantization) for file in app.files}
        if app.kind == "text" and not app.spelled:
            name = app.vocabulary_file
            places[f"/files/{name}"] = files.inside(self._bundle.path, name)
        for path, folder in self._runtime.served.items():
            for file in (modules / folder).glob("*"):
                if file.suffix in (".js", ".mjs", ".wasm"):
                    places[f"{path}/{file.name}"] = file
        return {**found, **{path: place.read_bytes for path, place in places.items()}}

    def _page(self) -> str:
        app = self._app
        return render(
            TEMPLATES / "demo.html",
            title=f"{app.model}: demo",
            model=app.model,
            kind=app.kind,
            features=app.preprocessor.features if app.preprocessor else None,
            files=[(file.name, file.quantization) for file in app.files],
            imports=self._runtime.import_map,
            runtime=self._runtime.name,
        )

    def _about(self) -> dict[str, Any]:
        """What the page has to know: inputs to try, too."""
        keys = ("text", "features", "tokens", "inputs")
        samples = self._app.golden.get("samples") or []
        load = [f"/files/{self._app.vocabulary_file}"] if self._app.kind == "text" else []
        return {
            "kind": self._app.kind,
            "runtime": self._runtime.name,
            "wasm": self._runtime.wasm,
            # What `Model.load` takes beside a file.
            "load": [self._runtime.wasm] if self._runtime is MEDIAPIPE else load,
            "examples": [next(sample[key] for key in keys if key in sample) for sample in samples],
        }


def _array(value: Any, name: str, dtype: str) -> np.ndarray:
    try:
        return np.asarray(value[name], dtype)[np.newaxis]
    except (KeyError, TypeError, ValueError):
        raise DataError(f"Give an object with numbers for the input '{name}'.") from None


def _golden(bundle: Bundle) -> dict[str, Any]:
    """What golden.json holds; nothing for a bundle without."""
    try:
        golden = json.loads(files.inside(bundle.path, GOLDEN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return golden if isinstance(golden, dict) else {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a browser that went away."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _policy(import_map: str) -> str:
    """What the page may do: run our scripts and WebAssembly, talk to us."""
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'sha256-{digest}'; "
        "connect-src 'self'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def _handler(demo: Demo) -> type[BaseHTTPRequestHandler]:
    """Returns what answers requests for a page."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if not self._trusted():
                return
            path = self.path.partition("?")[0]
            content = demo.content(path)
            if content is None:
                self._send(404, b"There is no such page.", "text/plain")
                return
            suffix = Path(path).suffix if path != "/" else ".html"
            self._send(200, content, TYPES.get(suffix, "application/octet-stream"))

        def do_POST(self) -> None:
            if not self._trusted():
                return
            if self.path != "/predict":
                self._send(404, b"There is no such page.", "text/plain")
                return
            try:
                answer, status = demo.answer(self._asked()), 200
            except ZooError as error:
                answer, status = {"error": str(error)}, 400
            self._send(status, json.dumps(answer).encode(), "application/json")

        def _asked(self) -> dict[str, Any]:
            """What was posted.

            Raises:
                DataError: It is no JSON object, or too much.
            """
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > MOST_BYTES:
                raise DataError(f"Give at most {MOST_BYTES:,} bytes. Received: {length or 'no'}.")
            content = self.rfile.read(int(length))
            kind = self.headers.get_content_type()
            try:
                asked = json.loads(content) if kind == "application/json" else None
            except (ValueError, RecursionError):
                asked = None
            if not isinstance(asked, dict):
                raise DataError("Give a JSON object as application/json.")
            return asked

        def _trusted(self) -> bool:
            """Refuses requests that another site made the browser send, or sent under its name."""
            hosts = (f"{HOST}:{demo.port}", f"localhost:{demo.port}")
            origin = self.headers.get("Origin")
            if self.headers.get("Host") in hosts and (
                origin is None or origin in [f"http://{host}" for host in hosts]
            ):
                return True
            self._send(403, b"This page is for this machine alone.", "text/plain")
            return False

        def _send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(content))),
                ("Content-Security-Policy", demo.policy),
                ("Cross-Origin-Opener-Policy", "same-origin"),
                ("Cross-Origin-Embedder-Policy", "require-corp"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"),
                ("Cache-Control", "no-store"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler
