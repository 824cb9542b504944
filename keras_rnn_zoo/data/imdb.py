"""Movie reviews as word ids, through `keras.datasets.imdb`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import numpy as np

from keras_rnn_zoo.data.dataset import Dataset, Split
from keras_rnn_zoo.data.reader import DATASETS, Reader
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.reading import ReadOptions
from keras_rnn_zoo.preprocessing.vocabulary import PAD, START, UNKNOWN, Vocabulary

NUM_WORDS = 10_000
# Keras numbers words from index_from=3, and the most frequent word has rank 1: id 3 stays unused.
_SPECIAL = (PAD, START, UNKNOWN, "<UNUSED>")


class Imdb(Reader):
    """25,000 + 25,000 reviews, positive or negative (Maas et al., ACL 2011), 10,000 words.

    Keras' archive is a pickle. Keras checks its SHA-256 before it reads it; the user's own files
    are never unpickled.
    """

    name = "imdb"
    description = "Movie reviews, positive or negative: 25,000 + 25,000 rows; downloaded by Keras."

    def load(self, path: Path | None, options: ReadOptions) -> Dataset:
        """Loads the reviews, from Keras' cache or the network; see `load_data`."""
        import keras

        try:
            # Keras draws its download bar on stdout, which belongs to the result.
            with contextlib.redirect_stdout(sys.stderr):
                train, test = keras.datasets.imdb.load_data(num_words=NUM_WORDS)
                word_ids = keras.datasets.imdb.get_word_index()
        except Exception as error:  # Keras raises a bare Exception for a failed download
            raise DataError(
                f"Cannot get the IMDB reviews: {str(error).splitlines()[0]}. Connect to the "
                "network once (Keras keeps them in ~/.keras/datasets), or give your own file, or "
                "try 'digits', which needs no network."
            ) from error
        ranked = sorted(word_ids.items(), key=lambda item: item[1])
        words = [word for word, _ in ranked[: NUM_WORDS - len(_SPECIAL)]]
        return Dataset(
            self.name,
            "tokens",
            _split(*train),
            _split(*test),
            description={"name": self.name, "num_words": NUM_WORDS},
            vocabulary=Vocabulary([*_SPECIAL, *words]),
        )


def _split(x: np.ndarray, y: np.ndarray) -> Split:
    # int32 rows, because lists of Python integers take eight times the memory.
    return Split([np.asarray(row, dtype=np.int32) for row in x], [("neg", "pos")[i] for i in y])


DATASETS.register(Imdb.name, Imdb())
