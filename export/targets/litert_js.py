"""LiteRT in a browser."""

from __future__ import annotations

from typing import ClassVar

from keras_rnn_zoo.export.targets.target import Target, register_target


@register_target("litert_js")
class LiteRTJs(Target):
    """LiteRT.js, which refuses variable tensors (@litertjs/core 2.5.3 in Chromium)."""

    description = "LiteRT.js in a browser: takes no tensors that keep state"
    accepted: ClassVar[tuple[str, ...]] = ("loop", "unrolled")
    stateless: ClassVar[bool] = True
