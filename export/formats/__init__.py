"""Formats that a model is exported to: one file each, self-registering.

A new file in this package, or an entry point in the group `keras_rnn_zoo.formats`, is a new format.
"""

from keras_rnn_zoo.export.formats.format import (
    FORMATS,
    BundleJob,
    Format,
    export,
    register_format,
)

__all__ = ["FORMATS", "BundleJob", "Format", "export", "register_format"]
