"""How a file can differ from the Keras model: a type of error for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_rnn_zoo.errors import VerificationError

if TYPE_CHECKING:
    from keras_rnn_zoo.export.verify.compare import Parity


class NamesError(VerificationError):
    """The file's inputs or outputs have other names than the model's."""


class ShapesError(VerificationError):
    """An input or output of the file has another shape than the model's."""


class DtypesError(VerificationError):
    """An input or output of the file has another dtype than the model's."""


class ValuesError(VerificationError):
    """The file computes other values than the model; `parity` has the differences."""

    def __init__(self, message: str, parity: Parity | None = None):
        super().__init__(message)
        self.parity = parity
