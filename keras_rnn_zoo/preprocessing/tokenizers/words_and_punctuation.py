"""Words of every script, and what stands between them: for a tag for each word.

As `unicode_words`; each punctuation mark and each symbol is a token as well, and so are a number
with its separators, such as 1,000.50, and letters with a full stop each, such as U.S.
"""

from __future__ import annotations

from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS
from keras_rnn_zoo.preprocessing.unicode import Classes, UnicodeTokenizer, emoji, unspaced, word


def _number(of: Classes) -> str:
    digits = f"[{of.category('N')}]+"
    return f"{digits}(?:[.,]{digits})+"


def _abbreviation(of: Classes) -> str:
    initial = rf"{of.letter}[{of.marks}]*\."
    return f"{initial}(?:{initial})+"


def _sign(of: Classes) -> str:
    return f"[{of.category('P')}{of.category('S')}][{of.marks}]*"


class WordsAndPunctuation(UnicodeTokenizer):
    """As `unicode_words`, and each punctuation mark and symbol."""

    name = "words_and_punctuation"
    description = "like unicode_words, and each punctuation mark and symbol: for tags for words"
    parts = (emoji, unspaced, _number, _abbreviation, word, _sign)
    unseen = "capitals and spacing"


TOKENIZERS.register(WordsAndPunctuation.name, WordsAndPunctuation())
