"""A tokenizer: what a reader sees as one character, marks included; for scripts without spaces."""

import unicodedata

from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS, Tokenizer


class Graphemes(Tokenizer):
    """Each character with the marks that combine with it."""

    name = "graphemes"
    description = "characters, with the marks that combine with them"

    def tokens(self, text):
        """Returns the characters of a text, white space left out."""
        found = []
        for character in unicodedata.normalize("NFC", text):
            if unicodedata.category(character).startswith("M") and found:
                found[-1] += character
            elif not character.isspace():
                found.append(character)
        return found


TOKENIZERS.register(Graphemes.name, Graphemes())
