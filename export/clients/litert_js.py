"""LiteRT in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from keras_rnn_zoo.errors import listed
from keras_rnn_zoo.export.clients.browser import BrowserClient
from keras_rnn_zoo.export.clients.client import Installed, register_client
from keras_rnn_zoo.export.tflite.contents import FileInfo
from keras_rnn_zoo.export.tflite.tables import ends_of

# What its tensors hold (@litertjs/core 2.5.3).
DTYPES = ("float32", "int32", "uint8")


@register_client("litert_js")
class LiteRTJs(BrowserClient):
    """`@litertjs/core` on WebAssembly, in one thread."""

    description = "LiteRT.js in a browser (headless Chromium)"
    target: ClassVar[str] = "litert_js"
    package: ClassVar[str] = "@litertjs/core"
    script: ClassVar[str] = "litert_js"
    imports: ClassVar[Mapping[str, str]] = {
        "@litertjs/core": "@litertjs/core/dist/index.js",
        "@litertjs/wasm-utils": "@litertjs/wasm-utils/dist/index.js",
    }
    install: ClassVar[str] = (
        "npm install --prefix {folder} @litertjs/core && sudo apt install chromium"
    )

    def refuses(self, installed: Installed, info: FileInfo) -> str | None:
        """Says of which dtypes it has no tensors; see `Client.refuses`."""
        ends = ends_of(info.path)
        dtypes = {one.dtype for one in (*ends.inputs.values(), *ends.outputs.values())}
        if unknown := sorted(dtypes - set(DTYPES)):
            return f"takes or answers {', '.join(unknown)}, and it has tensors of {listed(DTYPES)}"
        return super().refuses(installed, info)

    def takes_steps(self) -> bool:
        """Its page runs them; see `Client.takes_steps`."""
        return True
