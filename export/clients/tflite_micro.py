"""The interpreter of microcontrollers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.export.clients.client import (
    ClientRefuses,
    Installed,
    Invokes,
    Ran,
    register_client,
)
from keras_rnn_zoo.export.clients.python import PythonClient
from keras_rnn_zoo.export.tflite import micro, tables
from keras_rnn_zoo.export.tflite.contents import FileInfo
from keras_rnn_zoo.export.tflite.file import INITIAL_STATE, RESET_STATE, read


@register_client("tflite_micro")
class TFLiteMicro(PythonClient):
    """tflite-micro, reset before each sequence; it says in how small an arena a file runs."""

    description = "TensorFlow Lite Micro, the interpreter of microcontrollers"
    target: ClassVar[str] = "micro"
    package: ClassVar[str] = "tflite-micro"
    script: ClassVar[str] = "_tflite_micro_process"
    install: ClassVar[str] = "python3 -m venv {folder} && {folder}/bin/pip install tflite-micro"

    def takes_steps(self) -> bool:
        """Its script runs them; see `Client.takes_steps`."""
        return True

    def found_in(self, folder: Path | None) -> Installed | None:
        """See `Client.found_in`; versions of this package are long."""
        found = super().found_in(folder)
        if found is None:
            return None
        number = found.number.removeprefix("0.dev")[:8]
        return Installed(found.label, f"tflite-micro of {number}", found.place, found.number)

    def refuses(self, installed: Installed, info: FileInfo) -> str | None:
        """Says so of states that do not start from zeros; see `Client.refuses`."""
        for key in {INITIAL_STATE, RESET_STATE} & info.signatures.keys():
            if not _zeros(info.path, key):
                return "starts from states other than zeros, and Reset() sets them to zeros"
        return super().refuses(installed, info)

    def job(self, installed: Installed, asked: Invokes) -> dict[str, Any]:
        """See `PythonClient.job`."""
        return {**super().job(installed, asked), "arena": micro.MOST}

    def run(self, installed: Installed, asked: Invokes) -> Ran:
        """See `Client.run`."""
        ran = super().run(installed, asked)
        try:
            arena = micro.least_arena(asked.file, str(installed.place))
        except RunError as error:
            raise ClientRefuses(f"is refused: {str(error).rstrip('.')}") from None
        note = f"runs in an arena of {arena:,} bytes, {micro.NOTE}"
        return Ran(ran.y, (note,), {"arena": arena})


def _zeros(path: Path, key: str) -> bool:
    """Whether all constants of a signature are zeros, as they are stored."""
    content = read(path)
    with tables.reading(path):
        model = tables.schema().Model.GetRootAs(content, 0)
        for signature in tables.every(model.SignatureDefsLength, model.SignatureDefs):
            if signature.SignatureKey() != key.encode():
                continue
            graph = model.Subgraphs(signature.SubgraphIndex())
            for tensor in tables.every(graph.TensorsLength, graph.Tensors):
                if np.any(model.Buffers(tensor.Buffer()).DataAsNumpy()):
                    return False
    return True
