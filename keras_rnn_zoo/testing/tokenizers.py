"""What every tokenizer has to do."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS, Tokenizer, check_entry
from keras_rnn_zoo.preprocessing.vocabulary import Vocabulary
from keras_rnn_zoo.testing.claims import claim, claim_json, working

TEXTS = (
    "A wonderful, moving film!",
    "it's  2 films\tin 1\nline",
    "Ça n'est pas la même; être ou ne pas être?",
    "素晴らしい映画 😀 İstanbul",
    "मुझे यह फ़िल्म पसंद आई \u0301 หนังดี 👨\u200d👩\u200d👧 👍🏽 🇩🇪 ❤\ufe0f",
    "?!?",
    " ",
    "",
)


def check_tokenizer(tokenizer: str | Tokenizer, texts: Sequence[str] = TEXTS) -> None:
    """Checks a tokenizer: tokens that a vocabulary can hold, the same each time.

    Args:
        tokenizer: Its registered name, or an instance.
        texts: What to cut; at least one of them into tokens.

    Raises:
        AssertionError: The sentence says what is wrong.
    """
    name = tokenizer if isinstance(tokenizer, str) else getattr(tokenizer, "name", "?")
    who = f"The tokenizer '{name}'"
    with working(f"Registering {who[0].lower()}{who[1:]}"):
        found = TOKENIZERS.get(tokenizer) if isinstance(tokenizer, str) else tokenizer
        check_entry(found)
    claim_json(found.describe(), f"what {who[0].lower()}{who[1:]} describes")
    count = 0
    for text in texts:
        with working(f"{who}, given {text!r},"):
            tokens = found.tokens(text)
        claim(
            isinstance(tokens, list) and all(isinstance(token, str) for token in tokens),
            f"{who} returns a list of str. Received for {text!r}: {tokens!r:.80}",
        )
        with working(f"{who}, given the words of {text!r},"):
            pieces = [found.pieces(word) for word in text.split()]
        claim(all(pieces), f"{who} makes no token of a word of {text!r}, which may have a label.")
        every = [*tokens, *(token for some in pieces for token in some)]
        odd = [token for token in every if not token or any(map(str.isspace, token))]
        claim(
            not odd,
            f"{who} cuts {text!r} into tokens that are empty or hold white space: {odd!r:.80}",
        )
        claim(found.tokens(text) == tokens, f"{who} cuts {text!r} otherwise the second time.")
        count += len(tokens)
    claim(count > 0, f"{who} finds no token in any of {list(texts)!r:.80}")
    if name not in TOKENIZERS:
        return
    with (
        working(f"A vocabulary of {who[0].lower()}{who[1:]}"),
        tempfile.TemporaryDirectory() as place,
    ):
        vocabulary = Vocabulary.from_texts(texts, tokenizer=name)
        vocabulary.save(Path(place) / "vocab.txt")
        again = Vocabulary.load(Path(place) / "vocab.txt")
        claim(again == vocabulary, f"A vocabulary of '{name}' is another one once it was saved.")
        text = max(texts, key=lambda one: len(found.tokens(one)))
        claim(
            again.decode(again.encode(text)) == found.tokens(text),
            f"A vocabulary of '{name}' takes {text!r} to ids and back to something else.",
        )
