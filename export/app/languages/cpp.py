"""C++ with the C API of TensorFlow Lite and LiteRT."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache

from keras_rnn_zoo.export.app.app import App
from keras_rnn_zoo.export.app.language import Language, register_language, rendered


@register_language("cpp")
class Cpp(Language):
    """A header, a program that uses it, and for texts a table of letters."""

    description = "the C API of LiteRT or TensorFlow Lite (c_api.h)"
    usage = "c++ -std=c++17 app/cpp/main.cc -ltensorflowlite_c"

    def files(self, app: App) -> Mapping[str, str]:
        """Returns `model.h`, `main.cc`, and for texts `unicode.h`."""
        files = {name: rendered(f"{name}.jinja", app) for name in ("model.h", "main.cc")}
        if app.kind == "text":
            words, lower = unicode_tables()
            lower = [] if app.spelled else lower
            files["unicode.h"] = rendered("unicode.h.jinja", app, words=words, lower=lower)
        return files


@cache
def unicode_tables() -> tuple[list[tuple[int, int]], list[tuple[int, int, int, int]]]:
    """Returns what the tokenizer `words` knows of Unicode, beyond ASCII.

    Returns:
        First and last of each range of word characters; first, last, step and distance of each
        run of letters whose small letter lies so far away.
    """
    words: list[list[int]] = []
    for code in _codes():
        if chr(code).isalnum():  # as \w of `re` has it
            if words and words[-1][1] == code - 1:
                words[-1][1] = code
            else:
                words.append([code, code])
    runs: list[list[int]] = []
    for code in _codes():
        small = chr(code).lower()
        if len(small) != 1 or ord(small) == code:
            continue  # U+0130 becomes two: the code takes care of it
        distance = ord(small) - code
        last = runs[-1] if runs else [0, 0, 0, 0]
        step = code - last[1]
        if distance == last[3] and step in ((1, 2) if last[0] == last[1] else (last[2],)):
            last[1], last[2] = code, step
        else:
            runs.append([code, code, 1, distance])
    return [(a, b) for a, b in words], [(a, b, c, d) for a, b, c, d in runs]


def _codes() -> Iterator[int]:
    """All code points beyond ASCII but the halves of pairs."""
    return (code for code in range(128, sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF)
