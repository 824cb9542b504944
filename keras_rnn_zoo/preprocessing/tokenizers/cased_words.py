"""Words for clients that look a word up as it is written, such as MediaPipe's text tasks.

Those cut a text at what their delimiter matches, lower nothing, and take the id that a list of
spellings has for a word, letter by letter. So a text is cut into the longest runs of word
characters and apostrophes, which `DELIMITER` separates in RE2. A word that is Capitalised or in
UPPER case becomes the word in lower case, whose usual spellings can all be listed under one id. One
that is written in any other way (`McQueen`, `DVDs`) stays as it is, a word of its own, here as well
as there.
"""

from __future__ import annotations

import re
from typing import Any

from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS, Tokenizer

# Python's \w is Unicode's letters and numbers and the underscore. Marks that combine with a letter
# are not among them: they cut a word in two, here and there.
TOKEN_PATTERN = r"[\w']+"
DELIMITER = r"[^\p{L}\p{N}_']+"
_find = re.compile(TOKEN_PATTERN).findall


def spellings(token: str) -> list[str]:
    """Returns the ways to write a token that all become it, itself first.

    Args:
        token: One that `CasedWords` makes.
    """
    return [token, *sorted(one for one in _usual(token) if one != token and one.lower() == token)]


def _usual(word: str) -> set[str]:
    # `title` begins anew after an apostrophe: O'Connor.
    return {word.capitalize(), word.title(), word.upper()}


def _token(word: str) -> str:
    lower = word.lower()
    return lower if word == lower or word in _usual(lower) else word


class CasedWords(Tokenizer):
    """Runs of letters, digits, `_` and `'`, in lower case where they are written in a usual way."""

    name = "cased_words"
    description = "like words, but a word in unusual case, such as McQueen, is one of its own"

    def tokens(self, text: str) -> list[str]:
        """Returns the words of a text, up to a NUL, where a text of a client written in C ends."""
        return [_token(word) for word in _find(text.partition("\0")[0])]

    def describe(self) -> dict[str, Any]:
        """Returns the patterns, and which words are lowered."""
        return {
            "lower_case": "words that are Capitalised, UPPER, or Title'Case; others stay",
            "token_pattern": TOKEN_PATTERN,
            "delimiter": DELIMITER,
        }


TOKENIZERS.register(CasedWords.name, CasedWords())
