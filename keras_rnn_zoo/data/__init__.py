"""Data sets: a file per kind, each registering a reader in `DATASETS`.

A new file in this package, or an entry point in the group `keras_rnn_zoo.datasets`, is a new kind
of data.
"""

from keras_rnn_zoo.data.dataset import Dataset, Spans, Split
from keras_rnn_zoo.data.holding_out import hold_out
from keras_rnn_zoo.data.load import load_data, load_inputs, windows
from keras_rnn_zoo.data.reader import DATASETS, Reader, check_reader
from keras_rnn_zoo.preprocessing.reading import ReadOptions
from keras_rnn_zoo.preprocessing.splitting import split_indices

__all__ = [
    "DATASETS",
    "Dataset",
    "ReadOptions",
    "Reader",
    "Spans",
    "Split",
    "check_reader",
    "hold_out",
    "load_data",
    "load_inputs",
    "split_indices",
    "windows",
]
