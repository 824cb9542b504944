"""Words, in a way that a device can repeat exactly.

A text is lower-cased and cut into the longest runs of word characters and apostrophes; everything
else separates. A client repeats it with the pattern `[\\p{L}\\p{N}_']+` (Java, Swift, JavaScript
with the `u` flag). One that lowers nothing, as MediaPipe's text tasks, cannot: see `cased_words`.
"""

from __future__ import annotations

import re
from typing import Any

from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS, Tokenizer

TOKEN_PATTERN = r"[\w']+"
_find = re.compile(TOKEN_PATTERN).findall


class Words(Tokenizer):
    """Lower-cased runs of letters, digits, `_` and `'`."""

    name = "words"
    description = "lower-cased runs of letters, digits, underscores and apostrophes"

    def tokens(self, text: str) -> list[str]:
        """Returns the words of a text."""
        words: list[str] = _find(text.lower())
        return words

    def describe(self) -> dict[str, Any]:
        """Returns the pattern."""
        return {"lower_case": True, "token_pattern": TOKEN_PATTERN}


TOKENIZERS.register(Words.name, Words())
