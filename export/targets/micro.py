"""Microcontrollers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from keras_rnn_zoo.export.keras_model.recurrent import is_recurrent
from keras_rnn_zoo.export.lowering.streaming.probe import why_not
from keras_rnn_zoo.export.targets.target import Target, register_target
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import FileInfo
from keras_rnn_zoo.export.tflite.file import MICRO, RESET, STEP
from keras_rnn_zoo.export.tflite.slim import slim

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel


@register_target("micro")
class Micro(Target):
    """TensorFlow Lite Micro, whose kernels know fewer ops and types (tflite-micro of PyPI).

    It runs WHILE loops, but not what our `loop` puts into them: its GATHER of token ids, and the
    SCATTER_ND that brings the steps that count to the front. Masks are truth values, which its
    UNPACK does not take. The state of its LSTM op is reset by the client before each sequence:
    `MicroInterpreter::Reset()`.
    """

    description = "TensorFlow Lite Micro: fewer ops and types"
    accepted: ClassVar[tuple[str, ...]] = ("lstm_op", "step", "unrolled")
    arena: ClassVar[bool] = True
    masks: ClassVar[bool] = False
    states: ClassVar[tuple[str, ...]] = ("external",)
    fallback: ClassVar[str | None] = "unrolled"
    refused_quantizations: ClassVar[Mapping[str, str]] = {
        "dynamic": "it has no products of int8 weights and float32 inputs: the LSTM op answers NaN "
        "without an error, the others do not load",
        "float16": "it does not read float16 weights",
    }

    def preferred(self, model: KerasModel | None) -> str:
        """Prefers the LSTM op; for models that it does not express, one step a call."""
        from keras import layers

        if model is None:
            return self.lowerings[0]
        others = [one for one in model.layers if is_recurrent(one) and type(one) is not layers.LSTM]
        return "step" if others and why_not(model) is None else self.lowerings[0]

    def refuses(self, info: FileInfo) -> str | None:
        """Says what its kernels lack; see `Target.refuses`."""
        if "UNPACK" in info.ops and "BOOL" in info.tensors:
            return "takes its mask apart (UNPACK of BOOL), and it does not: build with mask=False"
        return super().refuses(info)

    def notes(self, info: FileInfo) -> list[str]:
        """Says who resets the state of the LSTM op, or carries that of a step."""
        if STEP in info.signatures:
            return [
                "A call takes the next time step: set its states to zero before each sequence, and "
                "from then on to what came out under the same names (copy all outputs before an "
                "input is set: they share memory). The answer is that of the last step."
            ]
        if not info.variables:
            return []
        return [
            "It keeps its state from one call to the next: call Reset() of the interpreter before "
            "each sequence."
        ]

    def slimmed(self, content: bytes) -> bytes:
        """Leaves out what no kernel reads: names, empty buffers, metadata."""
        model = fb.unpack(content)
        slim(model, names=False)
        variables = any(tensor.isVariable for graph in model.subgraphs for tensor in graph.tensors)
        model.description = RESET if variables else MICRO
        return fb.pack(model)
