"""C++ with the C API of TensorFlow Lite and LiteRT."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

from keras_rnn_zoo.export.app.app import App
from keras_rnn_zoo.export.app.language import Language, register_language, rendered
from keras_rnn_zoo.preprocessing.unicode import (
    EMOJI,
    FLAGS,
    JOINER,
    LEFT_OUT,
    NON_JOINER,
    SKINS,
    SPACES,
    TAGS,
    UNSPACED,
    Range,
    UnicodeTokenizer,
)


@register_language("cpp")
class Cpp(Language):
    """A header, a program that uses it, and for texts a table of letters."""

    description = "the C API of LiteRT or TensorFlow Lite (c_api.h)"
    usage = "c++ -std=c++17 app/cpp/main.cc -ltensorflowlite_c"
    streams: ClassVar[bool] = True

    def files(self, app: App) -> Mapping[str, str]:
        """Returns `model.h`, `main.cc`, and for texts `unicode.h`."""
        files = {name: rendered(f"{name}.jinja", app) for name in ("model.h", "main.cc")}
        if app.cut is not None:
            files["unicode.h"] = rendered("unicode_tokens.h.jinja", app, **_tables(app.cut))
        elif app.kind == "text":
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


def _tables(cut: UnicodeTokenizer) -> dict[str, Any]:
    """Returns what the code of a tokenizer of every script takes: see its template."""
    return {
        "kinds": kinds(),
        "lower": unicode_tables()[1],
        "parts": _parts(),
        "orders": _ranges(lambda code: unicodedata.combining(chr(code))),
        "names": [part.__name__.lstrip("_") for part in cut.parts],
        "space": hex(ord(cut.space)) if cut.space else None,
    }


@cache
def kinds() -> list[tuple[int, int, str]]:
    """Returns what each code point is to a tokenizer: first, last, and a letter for the kind."""
    special: dict[int, str] = {}
    named: tuple[tuple[str, tuple[Range, ...]], ...] = (
        ("U", UNSPACED),
        ("E", EMOJI),
        ("K", (SKINS,)),
        ("T", (TAGS,)),
        ("R", (FLAGS,)),
        ("J", ((NON_JOINER, JOINER),)),
        ("W", SPACES),
        ("X", LEFT_OUT),
    )
    for kind, ranges in named:
        special.update(dict.fromkeys((c for a, b in ranges for c in range(a, b + 1)), kind))

    def kind_of(code: int) -> str:
        found = special.get(code) or unicodedata.category(chr(code))[0]
        return found if found not in "CZ" else ""

    return _ranges(kind_of)


def _ranges(value: Callable[[int], Any]) -> list[tuple[int, int, Any]]:
    """Returns the runs of code points that have a value alike: first, last, value."""
    runs: list[tuple[int, int, Any]] = []
    for code in range(sys.maxunicode + 1):
        found = value(code)
        if not found:
            continue
        if runs and runs[-1][1:] == (code - 1, found):
            runs[-1] = (runs[-1][0], code, found)
        else:
            runs.append((code, code, found))
    return runs


@cache
def _parts() -> list[tuple[int, int, int, bool]]:
    """Returns what letters with marks are made of: letter, the one or two, whether they join."""
    found = []
    for code in _codes():
        parts = unicodedata.decomposition(chr(code))
        if parts and not parts.startswith("<"):
            first, second = [int(part, 16) for part in [*parts.split(), "0"][:2]]
            joins = bool(second) and unicodedata.normalize("NFC", chr(code)) == chr(code)
            found.append((code, first, second, joins))
    return found
