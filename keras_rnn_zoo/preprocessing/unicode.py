"""Texts of every script: what is a letter, a mark, an emoji, and which scripts have no spaces.

The tokenizers that are made of this (`UnicodeTokenizer`) do two things that a device can repeat:
they bring a text into one form, `normalized`, and take what one pattern finds in it. The pattern is
written with `\\p{L}` and such, and no look-around, so that RE2, Java, ICU (Swift) and, with the `u`
flag, JavaScript take it. Python's `re` has no `\\p`: its pattern is made of the categories that
`unicodedata` knows, at the first text.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache, cached_property
from typing import Any, ClassVar

from keras_rnn_zoo.preprocessing.tokenizers import UNKNOWN_WORD, Tokenizer

Range = tuple[int, int]

# Neither seen nor heard: the soft hyphen, marks of direction, the word joiner, the byte order mark,
# and whether a symbol is drawn in colour, so that a heart is one token however it was typed.
LEFT_OUT: tuple[Range, ...] = (
    (0xAD, 0xAD),
    (0x61C, 0x61C),
    (0x200E, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x2060),
    (0x2066, 0x2069),
    (0xFE0E, 0xFE0F),
    (0xFEFF, 0xFEFF),
)
# White space, as Python has it.
SPACES: tuple[Range, ...] = (
    (0x9, 0xD),
    (0x1C, 0x20),
    (0x85, 0x85),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
)
# Letters of scripts that put no spaces between words. A range holds letters alone.
UNSPACED: tuple[Range, ...] = (
    # Thai, Lao
    *((0xE01, 0xE30), (0xE32, 0xE33), (0xE40, 0xE46), (0xE81, 0xEB0), (0xEB2, 0xEB3)),
    *((0xEBD, 0xEBD), (0xEC0, 0xEC6), (0xEDC, 0xEDF)),
    # Myanmar
    *((0x1000, 0x102A), (0x103F, 0x103F), (0x1050, 0x1055), (0x105A, 0x105D), (0x1061, 0x1061)),
    *((0x1065, 0x1066), (0x106E, 0x1070), (0x1075, 0x1081), (0x108E, 0x108E), (0xA9E0, 0xA9E4)),
    *((0xA9E6, 0xA9EF), (0xA9FA, 0xA9FE), (0xAA60, 0xAA76), (0xAA7A, 0xAA7A), (0xAA7E, 0xAA7F)),
    # Khmer, Tai Le, New Tai Lue, Tai Tham
    *((0x1780, 0x17B3), (0x17D7, 0x17D7), (0x17DC, 0x17DC), (0x1950, 0x196D), (0x1970, 0x1974)),
    *((0x1980, 0x19AB), (0x19B0, 0x19C9), (0x1A20, 0x1A54), (0x1AA7, 0x1AA7)),
    # Balinese, Javanese, Tai Viet
    *((0x1B05, 0x1B33), (0x1B45, 0x1B4C), (0xA984, 0xA9B2), (0xA9CF, 0xA9CF), (0xAA80, 0xAAAF)),
    *((0xAAB1, 0xAAB1), (0xAAB5, 0xAAB6), (0xAAB9, 0xAABD), (0xAAC0, 0xAAC0), (0xAAC2, 0xAAC2)),
    (0xAADB, 0xAADD),
    # Hiragana, Katakana, Bopomofo, Yi
    *((0x3041, 0x3096), (0x309D, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x3105, 0x312F)),
    *((0x31A0, 0x31BF), (0x31F0, 0x31FF), (0xA000, 0xA48C), (0xFF66, 0xFF9F), (0x1AFF0, 0x1AFFE)),
    (0x1B000, 0x1B167),
    # Han, with room for what Unicode adds
    *((0x3005, 0x3006), (0x3031, 0x3035), (0x303B, 0x303C), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),
    *((0xF900, 0xFAD9), (0x20000, 0x3FFFD)),
)
# Symbols that are drawn as pictures, with room for what Unicode adds; two of FLAGS are a flag.
EMOJI: tuple[Range, ...] = (
    *((0x231A, 0x231B), (0x23E9, 0x23F3), (0x23F8, 0x23FA), (0x2600, 0x2767), (0x2794, 0x27BF)),
    *((0x2B50, 0x2B50), (0x2B55, 0x2B55), (0x1F000, 0x1F0FF), (0x1F10D, 0x1F1E5)),
    (0x1F200, 0x1FAFF),
)
FLAGS: Range = (0x1F1E6, 0x1F1FF)
# What follows an emoji: the colour of a skin, and the letters within the flags of regions.
SKINS: Range = (0x1F3FB, 0x1F3FF)
TAGS: Range = (0xE0020, 0xE007F)
# They hold together what is written around them: they shape Indic and Persian words, and join the
# members of a family.
NON_JOINER, JOINER = 0x200C, 0x200D

# As a reader of texts sees it, white space is a character, and no token holds any.
VISIBLE_SPACE = "\u2581"


def normalized(text: str) -> str:
    """Returns a text as the tokenizers of every script read it.

    Lower-cased, in Unicode's normalization form C, so that a letter with its mark is one however it
    was typed; `’` is an apostrophe; the sigma that ends a Greek word is a sigma, and a capital `İ`
    is an `i`, as every client makes small letters of those two in its own way.
    """
    if text.isascii():
        return text.lower()
    text = _left_out().sub("", text).lower()
    text = text.replace("i\u0307", "i").replace("ς", "σ").replace("’", "'")
    return unicodedata.normalize("NFC", text)


def escaped(ranges: Iterable[Range]) -> str:
    """Returns ranges as the inside of a character class, in ASCII."""

    def one(code: int) -> str:
        return f"\\x{{{code:X}}}"

    return "".join(one(a) if a == b else f"{one(a)}-{one(b)}" for a, b in ranges)


def python_class(ranges: Iterable[Range], limit: int = sys.maxunicode) -> str:
    """Returns ranges, as far as a limit, as the inside of a character class of `re`."""
    below = [(a, min(b, limit)) for a, b in ranges if a <= limit]
    # A class cannot be empty: the last code point is no character.
    return "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in below or [(sys.maxunicode,) * 2])


@cache
def _left_out() -> re.Pattern[str]:
    return re.compile(f"[{python_class(LEFT_OUT)}]")


# Code points of letters, marks, numbers, punctuation and symbols are all below or in these.
_PLANES: tuple[Range, ...] = ((0, 0x3FFFF), (0xE0100, 0xE01EF))


@cache
def categories() -> dict[str, tuple[Range, ...]]:
    """Returns the code points of each category: its first letter -> ranges.

    Letters of `UNSPACED` are not under `"L"`.
    """
    found: dict[str, list[Range]] = {}
    unspaced = {code for a, b in UNSPACED for code in range(a, min(b, _PLANES[0][1]) + 1)}
    for first, last in _PLANES:
        names = "".join(
            "U" if code in unspaced else unicodedata.category(chr(code))[0]
            for code in range(first, last + 1)
        )
        for match in re.finditer(r"(.)\1*", names):
            found.setdefault(match[1], []).append((first + match.start(), first + match.end() - 1))
    return {name: tuple(ranges) for name, ranges in found.items()}


class Classes:
    """The parts of a pattern in one dialect.

    Attributes:
        letter: A letter of a script with spaces, a class.
        category: From `"M"`, `"N"`, `"P"`, `"S"` or `"L"` (letters of any script) to the inside of
            a class.
        ranges: From ranges to the inside of a class.
    """

    def __init__(
        self,
        letter: str,
        category: Callable[[str], str],
        ranges: Callable[[Iterable[Range]], str],
    ):
        self.letter, self.category, self.ranges = letter, category, ranges
        joiners = ranges(((NON_JOINER, JOINER),))
        # Marks, which belong to what stands before them.
        self.marks = category("M") + joiners


def emoji(of: Classes) -> str:
    """A pattern of an emoji with all that belongs to it, or a flag."""
    flag = f"[{of.ranges([FLAGS])}]"
    one = f"[{of.ranges(EMOJI)}]"
    # A joiner that joins nothing is none of it.
    more = f"[{of.category('M')}{of.ranges([SKINS, TAGS])}]*"
    return f"{flag}{flag}|{one}{more}(?:[{of.ranges([(JOINER, JOINER)])}]{one}{more})*"


def unspaced(of: Classes) -> str:
    """A pattern of a letter of a script without spaces, with its marks."""
    return f"[{of.ranges(UNSPACED)}][{of.marks}]*"


def word(of: Classes) -> str:
    """A pattern of a run of letters with their marks, digits and `_`, `'` between two of them."""
    start = f"(?:{of.letter}|[{of.category('N')}_])"
    run = f"{start}(?:{of.letter}|[{of.category('N')}_{of.marks}])*"
    return f"{run}(?:'{run})*"


def _canonical() -> Classes:
    return Classes(rf"[^\P{{L}}{escaped(UNSPACED)}]", lambda name: rf"\p{{{name}}}", escaped)


@cache
def _of_python(limit: int) -> Classes:
    known = categories()
    every = {**known, "L": (*known["L"], *UNSPACED)}

    def ranges(some: Iterable[Range]) -> str:
        return python_class(some, limit)

    return Classes(f"[{ranges(known['L'])}]", lambda name: ranges(every[name]), ranges)


# `re` looks up to here in a table, and beyond at one range after the other: ten times slower.
_LIMITS = (0x7F, 0xFFFF, sys.maxunicode)
_beyond = re.compile("[\U00010000-\U0010ffff]").search


class UnicodeTokenizer(Tokenizer):
    """Takes what a pattern finds in a normalized text.

    Attributes:
        parts: What is a token, the first of these that matches: functions from the classes of a
            dialect to a pattern.
        unseen: What a model sees nothing of, for a person.
        space: What stands for white space between two others; None where that is no token.
    """

    parts: ClassVar[tuple[Callable[[Classes], str], ...]]
    unseen: ClassVar[str]
    space: ClassVar[str | None] = None

    def tokens(self, text: str) -> list[str]:
        """Returns the tokens of a text."""
        text = normalized(text)
        if self.space is not None:
            # As Python has white space, which is what SPACES says.
            text = self.space.join(text.split()).strip(self.space)
        ascii_alone, most, every = self._patterns
        found = ascii_alone if text.isascii() else every if _beyond(text) else most
        return list(found.findall(text))

    def pieces(self, word: str) -> list[str]:
        """Returns the tokens of a word, as the same word in a text has them."""
        return self.tokens(word) or ["".join(normalized(word).split()) or UNKNOWN_WORD]

    @cached_property
    def pattern(self) -> str:
        """What is a token, in a normalized text: for RE2, Java and ICU.

        JavaScript writes `\\u{1F600}` for what is `\\x{1F600}` here.
        """
        return self._joined(_canonical())

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [re.compile(self._joined(_of_python(limit))) for limit in _LIMITS]

    def _joined(self, of: Classes) -> str:
        return "|".join(part(of) for part in self.parts)

    def describe(self) -> dict[str, Any]:
        """Returns what is done to a text, in order, and the pattern of a token."""
        return {
            "name": self.name,
            "left_out": f"[{escaped(LEFT_OUT)}]",
            "lower_case": True,
            "replaced": [["i\u0307", "i"], ["ς", "σ"], ["’", "'"]],
            "normalization": "NFC",
            "white_space": f"[{escaped(SPACES)}]+" if self.space else None,
            "space": self.space,
            "token_pattern": self.pattern,
            "unseen": self.unseen,
        }
