"""Words to ids, in a way that a device can repeat exactly.

A text is lower-cased and cut into the longest runs of word characters and apostrophes; everything
else separates. A client repeats it with the pattern `[\\p{L}\\p{N}_']+` (Java, Swift, JavaScript
with the `u` flag) or, for ASCII text, with MediaPipe's `[^\\w']+` as the delimiter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from keras_rnn_zoo.errors import ConfigError, DataError, RunError
from keras_rnn_zoo.files import PathLike, write_text

PAD, START, UNKNOWN = "<PAD>", "<START>", "<UNKNOWN>"
TOKEN_PATTERN = r"[\w']+"
_find_tokens = re.compile(TOKEN_PATTERN).findall


def tokenize(text: str) -> list[str]:
    """Returns the tokens of a text: lower-cased runs of letters, digits, `_` and `'`."""
    tokens: list[str] = _find_tokens(text.lower())
    return tokens


class Vocabulary:
    """Tokens in the order of their ids; id 0 is `<PAD>`.

    Args:
        tokens: All tokens. The first is `<PAD>`, one is `<UNKNOWN>`; where `<START>` is present,
            every encoded text begins with it.

    Raises:
        RunError: The tokens are no vocabulary: a special token is missing, one occurs twice, ...
    """

    def __init__(self, tokens: Iterable[str]):
        self.tokens = tuple(tokens)
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

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.tokens == other.tokens

    def __hash__(self) -> int:
        return hash(self.tokens)

    @classmethod
    def from_texts(cls, texts: Iterable[str], size: int = 10_000) -> Vocabulary:
        """Returns the vocabulary of the most frequent tokens of `texts`.

        Args:
            texts: Read once, so a generator will do.
            size: The most ids to give out, `<PAD>` and `<UNKNOWN>` included.

        Raises:
            ConfigError: `size` leaves no room for a word.
            DataError: There is no word in any text.
        """
        check_size(size)
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(tokenize(text))
        if not counts:
            raise DataError(
                "No text holds a word: every one is empty or punctuation only. "
                "Check that the text column is the right one."
            )
        # Ties go by the alphabet, so that the order of the rows does not matter.
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        return cls([PAD, UNKNOWN, *ranked[: size - 2]])

    def truncated(self, size: int) -> Vocabulary:
        """Returns the vocabulary of the first `size` ids."""
        check_size(size)
        return self if size >= len(self) else Vocabulary(self.tokens[:size])

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text's tokens, after `<START>` where the vocabulary has it."""
        get, unknown = self.index.get, self.unknown_id
        ids = [get(token, unknown) for token in tokenize(text)]
        return ids if self.start_id is None else [self.start_id, *ids]

    def decode(self, ids: Sequence[int]) -> list[str]:
        """Returns the tokens of ids, without padding."""
        return [self.tokens[i] for i in ids if i != 0]

    def knows_any(self, ids: Sequence[int]) -> bool:
        """Whether at least one id stands for a word rather than a special token."""
        special = {0, self.unknown_id, self.start_id}
        return any(i not in special for i in ids)

    def save(self, path: PathLike) -> None:
        """Writes one line `token index` per token, as MediaPipe's text tasks read it."""
        write_text(path, "".join(f"{token} {i}\n" for i, token in enumerate(self.tokens)))

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
        return cls(tokens)


def check_size(size: object) -> None:
    """Refuses a vocabulary size without room for a word."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 4:
        raise ConfigError(
            f"vocabulary_size is a whole number of at least 4 (three special tokens and a word). "
            f"Received: {size!r}"
        )
