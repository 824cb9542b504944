"""The newer interface of LiteRT."""

from __future__ import annotations

from typing import ClassVar

from keras_rnn_zoo.export.targets.target import Target, register_target


@register_target("compiled_model")
class CompiledModel(Target):
    """`CompiledModel` of LiteRT 2, which refuses variable tensors (ai-edge-litert 2.3.0)."""

    description = "CompiledModel of LiteRT 2: takes no tensors that keep state"
    accepted: ClassVar[tuple[str, ...]] = ("loop", "unrolled")
    stateless: ClassVar[bool] = True
