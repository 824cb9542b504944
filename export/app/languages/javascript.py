"""JavaScript in a browser, with LiteRT.js."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from keras_rnn_zoo.export.app.app import App, File
from keras_rnn_zoo.export.app.language import (
    Classifier,
    Language,
    register_language,
    rendered,
)


@register_language("javascript")
class JavaScript(Language):
    """Two ES modules: one of plain JavaScript, and one that runs LiteRT.js."""

    description = "LiteRT.js (@litertjs/core of npm) in a browser"
    usage = 'import { Model } from "./model.js"'
    dtypes: ClassVar[frozenset[str]] = frozenset({"float32", "int32"})
    several: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    classifier: ClassVar[Classifier] = Classifier(
        "MediaPipe (@mediapipe/tasks-text of npm) in a browser",
        'import { Model } from "./model.js"',
        "model.js",
    )

    def refuses(self, app: App) -> str | None:
        """Says what LiteRT.js lacks; see `Language.refuses`."""
        if app.files and app.files[0].resizable:
            return "leaves the size of its inputs open, and LiteRT.js cannot resize them"
        if app.files and all(map(_remembers, app.files)) and not app.classified:
            return "keeps a state within its files, which LiteRT.js does not take"
        return super().refuses(app)

    def usable(self, app: App) -> list[File]:
        """Of those for LiteRT.js, the ones that keep no state; see `Language.usable`."""
        return [
            file
            for file in super().usable(app)
            if app.classified or not _remembers(file)
            if {state.dtype for state in file.states} <= self.dtypes
        ]

    def files(self, app: App) -> Mapping[str, str]:
        """Returns `encoding.js` and `model.js`."""
        template = "streaming/model.js.jinja" if app.steps else "model.js.jinja"
        files = {"model.js": rendered(template, app)}
        if app.kind != "arrays":
            files["encoding.js"] = rendered("encoding.js.jinja", app)
        return files


def _remembers(file: File) -> bool:
    """Whether a file has variable tensors; the variables of `--state internal` are others."""
    return file.variables and not file.keeps
