"""The interpreter of microcontrollers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.export.clients.client import (
    ClientRefuses,
    Installed,
    Invokes,
    Ran,
    register_client,
)
from keras_rnn_zoo.export.clients.python import PythonClient
from keras_rnn_zoo.export.tflite import micro


@register_client("tflite_micro")
class TFLiteMicro(PythonClient):
    """tflite-micro, reset before each sequence; it says in how small an arena a file runs."""

    description = "TensorFlow Lite Micro, the interpreter of microcontrollers"
    target: ClassVar[str] = "micro"
    package: ClassVar[str] = "tflite-micro"
    script: ClassVar[str] = ""
    install: ClassVar[str] = "python3 -m venv {folder} && {folder}/bin/pip install tflite-micro"

    def takes_steps(self) -> bool:
        """It runs a step over a whole sequence; see `Client.takes_steps`."""
        return True

    def found_in(self, folder: Path | None) -> Installed | None:
        """See `Client.found_in`; versions of this package are long."""
        found = super().found_in(folder)
        if found is None:
            return None
        number = found.number.removeprefix("0.dev")[:8]
        return Installed(found.label, f"tflite-micro of {number}", found.place, found.number)

    def run(self, installed: Installed, asked: Invokes) -> Ran:
        """See `Client.run`."""
        python = str(installed.place)
        try:
            model = micro.MicroModel(asked.file, python)
            y, _ = model.run([values[list(asked.order)] for values in asked.x])
            arena = micro.least_arena(asked.file, python)
        except RunError as error:
            raise ClientRefuses(f"is refused: {str(error).rstrip('.')}") from None
        return Ran(y, (f"runs in an arena of {arena:,} bytes, {micro.NOTE}",), {"arena": arena})
