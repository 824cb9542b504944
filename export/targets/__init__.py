"""Clients that run a file, and what each accepts; one file each, self-registering.

A new file in this package, or an entry point in the group `keras_rnn_zoo.targets`, is a new target.
"""

from keras_rnn_zoo.export.targets.target import TARGETS, About, Target, register_target

__all__ = ["TARGETS", "About", "Target", "register_target"]
