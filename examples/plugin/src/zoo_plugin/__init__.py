"""One of each that can be plugged into keras-rnn-zoo, in one file each."""
