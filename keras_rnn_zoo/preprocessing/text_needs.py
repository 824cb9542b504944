"""Which tokenizer texts need, where nobody says one: `words`, unless it would lose too much."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from keras_rnn_zoo.preprocessing.inputs import is_words
from keras_rnn_zoo.preprocessing.tokenizers import DEFAULT
from keras_rnn_zoo.preprocessing.unicode import EMOJI, FLAGS, UNSPACED, categories, python_class

# So many texts are looked at, from everywhere in the data.
_LOOKED_AT = 2000
# Of these, a part that `words` may lose something of: a few smileys tell little.
_FEW = 0.02


@cache
def _losses() -> dict[str, re.Pattern[str]]:
    """What `words` does wrong -> what a text holds of which it does that."""
    # Not the marks that choose how a symbol is drawn. A small İ has a dot that is one.
    marks = [(a, b) for a, b in categories()["M"] if not 0xFE00 <= a <= 0xFE0F]
    marks.append((0x130, 0x130))
    return {
        "cuts words at accents and vowel signs": re.compile(f"[{python_class(marks)}]"),
        # One such letter between others is a name in another script, or a sign.
        "takes sentences without spaces for a word": re.compile(f"[{python_class(UNSPACED)}]{{2}}"),
        "leaves out emoji": re.compile(f"[{python_class([*EMOJI, FLAGS])}]"),
    }


def needed_tokenizer(texts: Sequence[str | list[str]]) -> tuple[str, str | None]:
    """Returns the tokenizer that training texts need, and why it is not `words`.

    Args:
        texts: Texts, or lists of words.

    Returns:
        Its name; a sentence for whoever trains, None where it is `words`.
    """
    if len(texts) and is_words(texts[0]):
        name = "words_and_punctuation"
        return name, (
            f"The tokenizer is {name}, as each word has a label, and each punctuation mark too "
            "(--tokenizer chooses another)."
        )
    some = texts[:: max(1, len(texts) // _LOOKED_AT)]
    other = [text for text in some if isinstance(text, str) and not text.isascii()]
    if len(other) <= _FEW * len(some):
        return DEFAULT, None
    rows = [{what for what, found in _losses().items() if found.search(text)} for text in other]
    part = sum(map(bool, rows)) / len(some)
    if part <= _FEW:
        return DEFAULT, None
    what = max(_losses(), key=lambda one: sum(one in found for found in rows))
    name = "unicode_words"
    return name, (
        f"The tokenizer is {name}: {DEFAULT} {what}, and would lose something of "
        f"{100 * part:.0f} % of the rows (--tokenizer chooses another)."
    )
