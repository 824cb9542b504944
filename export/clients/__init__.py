"""Programs that run .tflite files, to prove a file in the client that it is for.

A new file in this package, or an entry point in the group `keras_rnn_zoo.clients`, is a new client.
"""

from keras_rnn_zoo.export.clients.client import CLIENTS, Client, register_client

__all__ = ["CLIENTS", "Client", "register_client"]
