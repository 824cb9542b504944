"""What every language is that code of an app is generated in."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from keras_rnn_zoo.export.app.app import ARRAYS, App, File
from keras_rnn_zoo.pages import fill
from keras_rnn_zoo.registry import Registry, extends, is_line

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Classifier:
    """MediaPipe's TextClassifier in a language: it encodes a text itself.

    Attributes:
        description: One line: its package.
        usage: As `Language.usage`.
        path: Name of the file of code; `templates/classifier` has its template.
    """

    description: str
    usage: str
    path: str


class Language(ABC):
    """A language, or a platform, that runs the files of a bundle.

    Subclass, then register: a new file in `keras_rnn_zoo.export.app.languages`, or an entry point
    in the group `keras_rnn_zoo.languages`, is a new folder of `app/` in each bundle.

    Attributes:
        name: The registry name, and the name of the folder.
        description: One line: what it runs the files with.
        usage: One line: how to run the code, or what to do with it.
        dtypes: Types of inputs and outputs that its client has.
        several: It names inputs and outputs, so there may be several.
        streams: Its code hands files some time steps a call, and carries their states.
        classifier: What it gives the files of a classified app to; None where MediaPipe has nothing
            for it, so that the code encodes texts itself.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    usage: ClassVar[str]
    dtypes: ClassVar[frozenset[str]] = frozenset({"float32", "int32", "int8"})
    several: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    classifier: ClassVar[Classifier | None] = None

    def classifies(self, app: App) -> Classifier | None:
        """Returns what classifies the texts of an app; None where its code runs the files."""
        return self.classifier if app.classified else None

    def refuses(self, app: App) -> str | None:
        """Says why there is no code for an app; None where there is.

        Returns:
            What a sentence that begins with "It" goes on with: "has several inputs, ...".
        """
        if not app.files:
            return "has no .tflite file that takes what the model takes"
        first = app.files[0]
        if not self.several and app.kind == ARRAYS and first.resizable:
            return "leaves the size of its inputs open, and there is no data to say it"
        if not self.several and (len(first.inputs) > 1 or len(first.outputs) > 1):
            return "has several inputs or outputs: set each by its name in the signature"
        if not self.usable(app):
            if not any(self.carries(file) for file in app.files):
                return "keeps a state that the app has to reset or to carry from call to call"
            dtypes = sorted(set.union(*(file.dtypes for file in app.files)) - self.dtypes)
            return f"takes or answers {', '.join(dtypes)}, which the client does not"
        return None

    def usable(self, app: App) -> list[File]:
        """Returns the files that the client can be given, the default first."""
        return [file for file in app.files if file.dtypes <= self.dtypes and self.carries(file)]

    def carries(self, file: File) -> bool:
        """Returns whether the code does with the states of a file what it takes."""
        if file.steps:
            return self.streams
        return not file.states and not file.resets

    @abstractmethod
    def files(self, app: App) -> Mapping[str, str]:
        """Returns the code: path below the language's folder -> text.

        Args:
            app: An app that is not refused, with the usable files alone.
        """


def code_files(language: Language, app: App) -> dict[str, str]:
    """Returns the code of a language: path below its folder -> text.

    Args:
        language: The language.
        app: An app that it does not refuse.
    """
    usable = app.restricted(language.usable(app))
    found = language.classifies(app)
    if found is not None:
        return {found.path: rendered(f"classifier/{found.path}.jinja", usable)}
    return dict(language.files(usable))


def _check(entry: Language) -> Mapping[str, bool]:
    return {"a usage of one line": is_line(getattr(entry, "usage", None))}


LANGUAGES: Registry[Language] = Registry(
    "language",
    "keras_rnn_zoo.export.app.languages",
    "keras_rnn_zoo.languages",
    extends("language", Language, _check),
)


def register_language(name: str) -> Callable[[type[Language]], type[Language]]:
    """Registers a `Language` under `name`."""
    return LANGUAGES.decorator(name)


def rendered(template: str, app: App, **values: Any) -> str:
    """Returns code: a template filled in.

    Args:
        template: Name of a file in `templates/`.
        app: The app; its parts are at hand under short names, too.
        **values: What else the template takes.
    """
    known = app.preprocessor
    # No value of a report is written outside of a literal.
    return fill(
        TEMPLATES / template,
        FILTERS,
        app=app,
        title=comment(app.model),
        kind=app.kind,
        takes=takes(app),
        arrays=app.kind == ARRAYS,
        task=known.task if known else None,
        labels=list(known.labels) if known and known.labels else None,
        preprocessor=known,
        cut=app.cut.describe() if app.cut else None,
        file=app.files[0],
        input=app.files[0].inputs[0],
        output=app.files[0].outputs[0],
        starts=app.files[0].starts,
        **values,
    )


def takes(app: App) -> str:
    """Says what an answer is asked of, in a few words."""
    known = app.preprocessor
    return {
        "text": "a text",
        "tokens": "a list of token ids",
        "features": f"a list of time steps, {known.features if known else 0} numbers each",
        ARRAYS: "input name -> numbers",
    }[app.kind]


def literal(value: Any) -> str:
    """Returns a JSON value in ASCII, as JavaScript has it."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")


def python_literal(value: Any) -> str:
    """Returns a text, or a list of texts, in ASCII, as Python has it."""
    if isinstance(value, list):
        return "[" + ", ".join(map(python_literal, value)) + "]"
    text = ascii(value)
    # As people write it in Python, where that is the same.
    return json.dumps(value) if text == f"'{value}'" and '"' not in text else text


def kotlin_literal(value: Any) -> str:
    """Returns a text, a number, or a list of texts as Kotlin has them."""
    if isinstance(value, list):
        return ", ".join(map(kotlin_literal, value))
    return json.dumps(value, ensure_ascii=True).replace("$", "\\$").replace("\\f", "\\u000c")


def swift_literal(value: Any) -> str:
    """Returns a text or a list as Swift has it."""
    if isinstance(value, list):
        return "[" + ", ".join(map(swift_literal, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    plain = (c if " " <= c <= "~" and c not in '"\\' else f"\\u{{{ord(c):x}}}" for c in value)
    return '"' + "".join(plain) + '"'


def cpp_literal(value: Any) -> str:
    """Returns a text, or a list of them in braces, as C++ has it: UTF-8, in ASCII."""
    if isinstance(value, list):
        return "{" + ", ".join(map(cpp_literal, value)) + "}"
    if not isinstance(value, str):
        return json.dumps(value)
    data = value.encode("utf-8", "replace")
    # Three octal digits, which no digit that follows can join.
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in data)
    return '"' + "".join(plain) + '"'


def c_float(value: float) -> str:
    """Returns a number as a `float` of C, C++ and Kotlin."""
    text = repr(float(value))
    return (text if any(c in text for c in ".en") else f"{text}.0") + "f"


def comment(text: str) -> str:
    """Returns a text that stays within a comment of any language."""
    return re.sub(r"[^\w .-]+", " ", text, flags=re.ASCII).strip() or "model"


def python_pairs(pairs: list[list[str]]) -> str:
    """Returns pairs of texts as a tuple of tuples of Python."""
    return "(" + ", ".join(f"({', '.join(map(python_literal, pair))})" for pair in pairs) + ")"


def javascript_pattern(pattern: str) -> str:
    """Returns a pattern of RE2, Java or ICU as JavaScript has it, with the `u` flag."""
    return pattern.replace("\\x{", "\\u{")


FILTERS: dict[str, Callable[[Any], str]] = {
    "json": literal,
    "javascript_pattern": javascript_pattern,
    "pairs": python_pairs,
    "python": python_literal,
    "kotlin": kotlin_literal,
    "swift": swift_literal,
    "cpp": cpp_literal,
    "cfloat": c_float,
    "comment": comment,
}
