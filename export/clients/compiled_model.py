"""The newer interface of LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from keras_rnn_zoo.export.clients.client import Installed, register_client
from keras_rnn_zoo.export.clients.python import Runtimes


@register_client("compiled_model")
class CompiledModel(Runtimes):
    """`CompiledModel` of ai-edge-litert from 2.0 on, on the CPU."""

    description = "CompiledModel of LiteRT 2, on the CPU"
    target: ClassVar[str] = "compiled_model"
    package: ClassVar[str] = "ai-edge-litert"
    script: ClassVar[str] = "_compiled_model_process"
    kind: ClassVar[str] = "litert-"
    install: ClassVar[str] = "python3 -m venv {folder} && {folder}/bin/pip install ai-edge-litert"

    def found_in(self, folder: Path | None) -> Installed | None:
        """See `Client.found_in`; older versions have no such interface."""
        found = super().found_in(folder)
        return None if found is None or int(found.number.split(".")[0]) < 2 else found
