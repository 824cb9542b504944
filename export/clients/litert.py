"""The interpreter of LiteRT."""

from __future__ import annotations

from typing import ClassVar

from keras_rnn_zoo.export.clients.client import register_client
from keras_rnn_zoo.export.clients.python import Runtimes


@register_client("litert")
class LiteRT(Runtimes):
    """`Interpreter` of ai-edge-litert; Android, iOS and C++ run the same kernels."""

    description = "Interpreter of LiteRT, of Android, iOS, C++ and Python"
    target: ClassVar[str] = "litert"
    package: ClassVar[str] = "ai-edge-litert"
    script: ClassVar[str] = "_interpreter_process"
    interface: ClassVar[str] = "ai_edge_litert"
    kind: ClassVar[str] = "litert-"
    install: ClassVar[str] = (
        "python3 -m venv {folder}-1.0 && {folder}-1.0/bin/pip install "
        "ai-edge-litert==1.0.1 'numpy<2'"
    )
