"""Clients that take raw texts and answer labels: what all of them have in common.

A file is proven there on texts that a client has to turn into the samples of the reference: words
of the vocabulary in the file, each in one of its spellings, so that delimiter, vocabulary, padding
and labels are proven along with the graph.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from keras_rnn_zoo.export.clients.client import Client, ClientRefuses, Installed, Invokes, Ran
from keras_rnn_zoo.export.tflite import file as tflite_file
from keras_rnn_zoo.export.tflite.contents import FileInfo
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.tflite.metadata import metadata_of
from keras_rnn_zoo.preprocessing.preprocessor import LABELS_FILE, VOCABULARY_FILE
from keras_rnn_zoo.preprocessing.vocabulary import PAD, UNKNOWN


class TextClient(Client):
    """A client that takes raw texts."""

    target: ClassVar[str] = "mediapipe"

    @abstractmethod
    def scores(
        self, installed: Installed, content: bytes, texts: Sequence[str]
    ) -> tuple[np.ndarray, list[str]]:
        """Classifies texts.

        Args:
            installed: Which client.
            content: The file.
            texts: In order.

        Returns:
            float32 `[texts, labels]`, and the labels, in the order of the file's outputs.

        Raises:
            ClientRefuses: It does not take the file.
        """

    def classify(
        self, installed: Installed, content: bytes, texts: Sequence[str]
    ) -> list[dict[str, float]]:
        """Returns label -> score for each text; see `scores`."""
        scores, labels = self.scores(installed, content, texts)
        return [dict(zip(labels, row.tolist(), strict=True)) for row in scores]

    def refuses(self, installed: Installed, info: FileInfo) -> str | None:
        """Says so of a file without a vocabulary; see `Client.refuses`."""
        if metadata_of(tflite_file.read(info.path)) is None:
            return (
                "holds no metadata, which say how it encodes a text: export a run with --target "
                f"{self.target}"
            )
        return super().refuses(installed, info)

    def askable(self, x: Arrays) -> np.ndarray | None:
        """Those that a text can become: a text has no padding but at its end."""
        (ids,) = x.values()
        real = ids != 0
        return np.asarray((real[:, :-1] >= real[:, 1:]).all(axis=1))

    def run(self, installed: Installed, asked: Invokes) -> Ran:
        """See `Client.run`."""
        content = tflite_file.read(asked.file)
        _, files = metadata_of(content) or ({}, {})
        (ids,) = asked.x
        known = _spellings(files[VOCABULARY_FILE].decode())
        texts = [
            text_of(row, number, known) for number, row in enumerate(ids.reshape(len(ids), -1))
        ]
        scores, labels = self.scores(installed, content, [texts[number] for number in asked.order])
        expected = files[LABELS_FILE].decode().splitlines()
        if labels != expected:
            raise ClientRefuses(f"answers the labels {labels}, and holds {expected}")
        return Ran([scores[:, np.newaxis].astype(np.float32)])


def text_of(ids: np.ndarray, number: int, spellings: Mapping[int, Sequence[str]]) -> str:
    """Returns a text that becomes these ids.

    Args:
        ids: int `[timesteps]`, zeros at the end.
        number: Of the sample: others of the spellings are used in another one.
        spellings: Id -> how it may be written.
    """
    words = ids[ids != 0].tolist()
    return " ".join(
        spellings[one][(number + place) % len(spellings[one])] for place, one in enumerate(words)
    )


def _spellings(vocabulary: str) -> dict[int, list[str]]:
    """Returns id -> the words that a vocabulary file gives it."""
    found: dict[int, list[str]] = defaultdict(list)
    for line in vocabulary.splitlines():
        word, _, number = line.rpartition(" ")
        found[int(number)].append(word)
    words = {word for every in found.values() for word in every}
    missing = "0"
    while missing in words:
        missing += "0"
    # What stands for a word that is not listed is not written itself.
    return {one: [missing] if every[0] in (PAD, UNKNOWN) else every for one, every in found.items()}
