"""Tokenizers: a file per way to cut texts into tokens, each registering one in `TOKENIZERS`.

A new file in this package, or an entry point in the group `keras_rnn_zoo.tokenizers`, is a new one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from keras_rnn_zoo.registry import Registry, demand

DEFAULT = "words"
# What stands for a word that is white space alone.
UNKNOWN_WORD = "<UNKNOWN>"


class Tokenizer(ABC):
    """Cuts a text into tokens, in a way that a device can repeat exactly.

    Subclass, then register an instance: `TOKENIZERS.register(Mine.name, Mine())`. The same text has
    to give the same tokens at any time and on any machine: a vocabulary is made of them.

    Attributes:
        name: The registry name, which a vocabulary is saved with.
        description: One line.
    """

    name: ClassVar[str]
    description: ClassVar[str]

    @abstractmethod
    def tokens(self, text: str) -> list[str]:
        """Returns the tokens of a text, in order.

        A token is not empty and holds no white space: a vocabulary file has one a line.
        """

    def word(self, text: str) -> str:
        """Returns the token that a word becomes which is cut already, as words with labels are.

        Args:
            text: A word; white space in it is left out.
        """
        return "".join(text.lower().split()) or UNKNOWN_WORD

    def pieces(self, word: str) -> list[str]:
        """Returns the tokens, one at least, that a word becomes which is cut already.

        Where it is several, each has the label of the word; see `word` for what it is otherwise.
        """
        return [self.word(word)]

    def text(self, tokens: Sequence[str]) -> str:
        """Returns a text that has these tokens."""
        return " ".join(tokens)

    def describe(self) -> dict[str, Any]:
        """Returns what an app has to know to cut texts likewise, JSON-able."""
        return {"name": self.name}


def check_entry(entry: Tokenizer) -> None:
    """Refuses what is no tokenizer.

    Raises:
        ConfigError: The message says all that it lacks.
    """
    demand(
        "tokenizer",
        entry,
        {
            "the base class Tokenizer (register an instance)": isinstance(entry, Tokenizer),
            "a description": isinstance(getattr(entry, "description", None), str),
        },
    )


TOKENIZERS: Registry[Tokenizer] = Registry(
    "tokenizer", "keras_rnn_zoo.preprocessing.tokenizers", "keras_rnn_zoo.tokenizers", check_entry
)
