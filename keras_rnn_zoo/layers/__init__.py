"""Keras layers of our own, registered for serialization when this package is imported."""

from keras_rnn_zoo.layers.autoregression import Autoregression as Autoregression
from keras_rnn_zoo.layers.autoregression import Changes as Changes
from keras_rnn_zoo.layers.cell_loop import CellLoop as CellLoop
from keras_rnn_zoo.layers.convolution import MaskedConv1D as MaskedConv1D
from keras_rnn_zoo.layers.convolution import MaskedMaxPooling1D as MaskedMaxPooling1D
from keras_rnn_zoo.layers.sequence_pooling import SequencePooling as SequencePooling
from keras_rnn_zoo.layers.word_dropout import WordDropout as WordDropout

__all__ = [
    "Autoregression",
    "CellLoop",
    "Changes",
    "MaskedConv1D",
    "MaskedMaxPooling1D",
    "SequencePooling",
    "WordDropout",
]
