"""A page on loopback in which a bundle answers, in the browser and beside it here."""

from keras_rnn_zoo.export.demo.server import Demo, open_demo

__all__ = ["Demo", "open_demo"]
