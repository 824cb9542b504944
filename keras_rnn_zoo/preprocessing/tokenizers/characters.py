"""Characters as a reader sees them: each with its marks; white space is one of its own.

Models of characters need no vocabulary of words: they read names, misspellings and codes.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS
from keras_rnn_zoo.preprocessing.unicode import VISIBLE_SPACE, Classes, UnicodeTokenizer, emoji


def _character(of: Classes) -> str:
    inside = "".join(map(of.category, "LMNPS"))
    return f"[{inside}][{of.marks}]*"


class Characters(UnicodeTokenizer):
    """Lower-cased characters with their marks, emoji, and `▁` for white space."""

    name = "characters"
    description = f"characters with their marks, and {VISIBLE_SPACE} for white space"
    parts = (emoji, _character)
    unseen = "capitals"
    space = VISIBLE_SPACE

    def text(self, tokens: Sequence[str]) -> str:
        """Returns a text that is cut into these tokens."""
        return "".join(tokens).replace(VISIBLE_SPACE, " ")


TOKENIZERS.register(Characters.name, Characters())
