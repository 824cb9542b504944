"""Tokens to ids, and the file that keeps them: see `tokenizers` for what a token is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path

from keras_rnn_zoo.errors import ConfigError, DataError, RunError, listed
from keras_rnn_zoo.files import PathLike, write_text
from keras_rnn_zoo.preprocessing.tokenizers import DEFAULT, TOKENIZERS, Tokenizer

PAD, START, UNKNOWN = "<PAD>", "<START>", "<UNKNOWN>"
# The first line of a vocabulary file that is not of words; no token holds a space.
_HEADER = re.compile(r"# tokenizer ([a-z][a-z0-9_]*)")


class Vocabulary:
    """Tokens in the order of their ids; id 0 is `<PAD>`.

    Args:
        tokens: All tokens. The first is `<PAD>`, one is `<UNKNOWN>`; where `<START>` is present,
            every encoded text begins with it.
        tokenizer: Name of the `Tokenizer` that cuts texts into such tokens.

    Raises:
        RunError: The tokens are no vocabulary: a special token is missing, one occurs twice, ...
    """

    def __init__(self, tokens: Iterable[str], tokenizer: str = DEFAULT):
        self.tokens = tuple(tokens)
        self.tokenizer_name = tokenizer
        if not self.tokens or self.tokens[0] != PAD or UNKNOWN not in self.tokens:
            raise RunError(
                f"A vocabulary starts with {PAD} and holds {UNKNOWN}. "
                f"Received: {list(self.tokens[:3])}"
            )
        if len(self.index) != len(self.tokens):
            twice = Counter(self.tokens).most_common(1)[0][0]
            raise RunError(f"A vocabulary holds each token once. Received {twice!r} twice.")
        if any(not token or set(token) & {" ", "\n", "\r"} for token in self.tokens):
            raise RunError("A token of a vocabulary is not empty and holds no space or line break.")
        self.unknown_id = self.index[UNKNOWN]
        self.start_id = self.index.get(START)

    @cached_property
    def index(self) -> dict[str, int]:
        """The id of each token."""
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What cuts texts into tokens."""
        return TOKENIZERS.get(self.tokenizer_name)

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Vocabulary)
            and self.tokens == other.tokens
            and self.tokenizer_name == other.tokenizer_name
        )

    def __hash__(self) -> int:
        return hash(self.tokens)

    @classmethod
    def from_texts(
        cls, texts: Iterable[str | list[str]], size: int = 10_000, tokenizer: str = DEFAULT
    ) -> Vocabulary:
        """Returns the vocabulary of the most frequent tokens of `texts`.

        Args:
            texts: Texts, or lists of words; read once, so a generator will do.
            size: The most ids to give out, `<PAD>` and `<UNKNOWN>` included.
            tokenizer: Name of the tokenizer.

        Raises:
            ConfigError: `size` leaves no room for a word.
            DataError: There is no word in any text.
        """
        check_size(size)
        counts: Counter[str] = Counter()
        cut = TOKENIZERS.get(tokenizer)
        for text in texts:
            counts.update(
                cut.tokens(text)
                if isinstance(text, str)
                else chain.from_iterable(map(cut.pieces, text))
            )
        if not counts:
            raise DataError(
                "No text holds a word: every one is empty or punctuation only. "
                "Check that the text column is the right one."
            )
        # Ties go by the alphabet, so that the order of the rows does not matter.
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        return cls([PAD, UNKNOWN, *ranked[: size - 2]], tokenizer)

    def truncated(self, size: int) -> Vocabulary:
        """Returns the vocabulary of the first `size` ids."""
        check_size(size)
        if size >= len(self):
            return self
        return Vocabulary(self.tokens[:size], self.tokenizer_name)

    def encode(self, text: str | list[str]) -> list[int]:
        """Returns the ids of a text's tokens, after `<START>` where the vocabulary has it.

        Of a list of words each is a token, or several: see `Tokenizer.pieces`.
        """
        get, unknown = self.index.get, self.unknown_id
        if not isinstance(text, str):
            return [get(token, unknown) for word in text for token in self.tokenizer.pieces(word)]
        ids = [get(token, unknown) for token in self.tokenizer.tokens(text)]
        return ids if self.start_id is None else [self.start_id, *ids]

    def places(self, words: list[str]) -> list[int]:
        """Returns at which of the ids of a list of words each word begins, and how many there are.

        Returns:
            One number more than there are words.
        """
        return list(accumulate((len(self.tokenizer.pieces(word)) for word in words), initial=0))

    def decode(self, ids: Sequence[int]) -> list[str]:
        """Returns the tokens of ids, without padding."""
        return [self.tokens[i] for i in ids if i != 0]

    def knows_any(self, ids: Sequence[int]) -> bool:
        """Whether at least one id stands for a word rather than a special token."""
        special = {0, self.unknown_id, self.start_id}
        return any(i not in special for i in ids)

    def spelled(self, spellings: Callable[[str], Sequence[str]]) -> str:
        """Returns a line `spelling id` for each way to write a token; special ones have one.

        Args:
            spellings: From a token to the ways to write it.
        """
        special = {0, self.unknown_id, self.start_id}
        return "".join(
            f"{one} {i}\n"
            for i, token in enumerate(self.tokens)
            for one in ([token] if i in special else spellings(token))
        )

    def save(self, path: PathLike) -> None:
        """Writes one line `token index` per token, the usual form of a vocabulary for an app.

        Before them, one that names the tokenizer if that is not `words`.
        """
        lines = [f"{token} {i}\n" for i, token in enumerate(self.tokens)]
        if self.tokenizer_name != DEFAULT:
            lines.insert(0, f"# tokenizer {self.tokenizer_name}\n")
        write_text(path, "".join(lines))

    @classmethod
    def load(cls, path: PathLike) -> Vocabulary:
        """Reads what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        path = Path(path)
        try:
            # split("\n"), because splitlines() also splits at characters that a token may hold.
            lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(
                f"Cannot read the vocabulary {path}: {error}. Take a complete copy, or train again."
            ) from error
        header = _HEADER.fullmatch(lines[0])
        tokenizer = header[1] if header else DEFAULT
        if header:
            del lines[0]
            if tokenizer not in TOKENIZERS:
                raise RunError(
                    f"The vocabulary {path} is for the tokenizer {tokenizer!r}, which is not "
                    f"installed here. Known: {listed(TOKENIZERS.names())}. Install the package "
                    "that brings it."
                )
        tokens = []
        for number, line in enumerate(lines):
            token, _, index = line.rpartition(" ")
            if not token or index != str(number):
                raise RunError(
                    f"The vocabulary {path} is damaged: line {number + 1} should be "
                    f"'TOKEN {number}'. Received: {line[:40]!r}. Take a complete copy, "
                    "or train again."
                )
            tokens.append(token)
        return cls(tokens, tokenizer)


def check_size(size: object) -> None:
    """Refuses a vocabulary size without room for a word."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 4:
        raise ConfigError(
            f"vocabulary_size is a whole number of at least 4 (three special tokens and a word). "
            f"Received: {size!r}"
        )
