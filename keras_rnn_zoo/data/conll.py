"""CoNLL files: a word and its tag in each line, an empty line after each sentence.

The columns are those of the CoNLL shared tasks (Tjong Kim Sang and De Meulder, 2003): the word
first and its tag last, separated by white space or tabs; lines that begin with `#` (CoNLL-U) or
`-DOCSTART-` are no words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo.data.dataset import Dataset, Split
from keras_rnn_zoo.data.reader import DATASETS, Reader
from keras_rnn_zoo.data.tables.text_files import reading
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.reading import ReadOptions


class Conll(Reader):
    """Reads sentences of words, each with a tag."""

    name = "conll"
    description = "Your tagged texts: a .conll file, a word and its tag in each line."
    suffixes = (".conll", ".conllu", ".iob", ".bio")

    def load(self, path: Path | None, options: ReadOptions) -> Dataset:
        """Reads words and tags; see `load_data`."""
        assert path is not None
        # In CoNLL-U the word and its part of speech stand in columns of their own.
        first, last = (1, 3) if path.suffix.lower() == ".conllu" else (0, -1)
        texts: list[list[str]] = []
        tags: list[list[str]] = []
        for number, sentence in _sentences(path, options):
            short = [fields for fields in sentence if len(fields) < max(2, last + 1)]
            if short:
                raise DataError(
                    f"{path}: the sentence before line {number} has the line {short[0]}, which has "
                    "no tag. Write a word and its tag in each line."
                )
            texts.append([fields[first] for fields in sentence])
            tags.append([fields[last] for fields in sentence])
        if not texts:
            raise DataError(f"{path} holds no sentence. Write a word and its tag in each line.")
        return Dataset(path.name, "text", Split(texts, tags), task="sequence_labelling")

    def load_inputs(self, path: Path, options: ReadOptions) -> Sequence[Any]:
        """Reads the words of each sentence; tags may be missing."""
        first = 1 if path.suffix.lower() == ".conllu" else 0
        return [[fields[first] for fields in one] for _, one in _sentences(path, options)]


def _sentences(path: Path, options: ReadOptions) -> Iterator[tuple[int, list[list[str]]]]:
    """Yields the fields of each line of a sentence, and the line behind it."""
    sentence: list[list[str]] = []
    number = 0
    with reading(path, options.encoding) as stream:
        for number, line in enumerate(stream, 1):
            text = line.rstrip("\r\n")
            if not text.strip():
                if sentence:
                    yield number, sentence
                    sentence = []
            elif not text.startswith(("#\t", "# ", "-DOCSTART-")):
                fields = text.split("\t") if "\t" in text else text.split()
                # Of CoNLL-U: a word that is two words, 3-4, or was left out, 3.1.
                if not (path.suffix.lower() == ".conllu" and not fields[0].isdigit()):
                    sentence.append(fields)
    if sentence:
        yield number + 1, sentence


DATASETS.register(Conll.name, Conll())
