"""Words of every script; see `keras_rnn_zoo.preprocessing.unicode`.

Marks stay with their letters, as the vowels of Hindi do. Scripts without spaces (Chinese, Japanese,
Thai, Lao, Khmer, Burmese) give a token for each letter. An emoji is a token, with all that it is
made of.
"""

from __future__ import annotations

from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS
from keras_rnn_zoo.preprocessing.unicode import UnicodeTokenizer, emoji, unspaced, word


class UnicodeWords(UnicodeTokenizer):
    """Lower-cased words with their marks, letters of scripts without spaces, emoji."""

    name = "unicode_words"
    description = "words of every script, letters where a script has no spaces, emoji"
    parts = (emoji, unspaced, word)
    unseen = "capitals, punctuation and spacing"


TOKENIZERS.register(UnicodeWords.name, UnicodeWords())
