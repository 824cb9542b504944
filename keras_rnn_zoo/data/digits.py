"""Handwritten digits, shipped with scikit-learn: real, offline, learnt in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_rnn_zoo.data.dataset import Dataset, Split
from keras_rnn_zoo.data.reader import DATASETS, Reader
from keras_rnn_zoo.preprocessing.reading import ReadOptions
from keras_rnn_zoo.preprocessing.splitting import split_indices


class Digits(Reader):
    """8 x 8 grey images read from top to bottom: 8 timesteps of 8 features.

    The UCI test set of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998),
    1,797 images; a fixed, stratified fifth is the test split.
    """

    name = "digits"
    description = "Handwritten digits: 8 timesteps of 8 features, 10 classes, 1,797 rows; offline."

    def load(self, path: Path | None, options: ReadOptions) -> Dataset:
        """Loads the images; see `load_data`."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images, labels = bunch.images.astype(np.float32), bunch.target.astype(np.int64)
        everything = Split(images, labels)
        train, test = split_indices(labels, fraction=0.2, seed=0)
        return Dataset(
            self.name,
            "features",
            everything.take(train),
            everything.take(test),
            description={"name": self.name},
        )


DATASETS.register(Digits.name, Digits())
