"""The name of the program."""

PROGRAM = "keras-rnn-zoo"
