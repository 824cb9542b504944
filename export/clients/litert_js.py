"""LiteRT in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from keras_rnn_zoo.export.clients.browser import BrowserClient
from keras_rnn_zoo.export.clients.client import register_client


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

    def takes_steps(self) -> bool:
        """Its page runs them; see `Client.takes_steps`."""
        return True
