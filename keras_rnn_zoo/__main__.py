"""`python -m keras_rnn_zoo`: the command line."""

import sys

from keras_rnn_zoo.cli import main

if __name__ == "__main__":
    sys.exit(main())
