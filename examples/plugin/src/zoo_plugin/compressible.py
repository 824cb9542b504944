"""A quantization mode: float32 weights of few digits, which an app package compresses well."""

import numpy as np

from keras_rnn_zoo.export import Quantization, Tolerance, register_quantization

# bfloat16 keeps 8 of the 24 digits of a float32.
DIGITS = np.uint32(0xFFFF0000)


@register_quantization("compressible")
class Compressible(Quantization):
    """Weights are rounded to the digits of bfloat16, and stored and computed with as float32."""

    file_name = "model_compressible.tflite"
    description = "float32 weights of 8 binary digits: half the size once it is compressed"
    tolerance = Tolerance(
        average=0.1,
        high=0.5,
        changed=0.02,
        lost=0.5,
        increase=0.05,
        times=3,
        least=2e-3,
        reason="rounding a weight to 8 binary digits moves it by up to 2**-9 of itself",
    )

    def apply(self, model, content, calibration, integer_io):
        """Rounds what products and lookups take."""
        from keras_rnn_zoo.export.quantization.weights import Graph
        from keras_rnn_zoo.export.tflite import flatbuffer as fb

        rounded = {}
        for number, plain in enumerate(model.subgraphs):
            graph = Graph(model, number, {})
            for operator in plain.operators:
                for place, values in graph.weights(operator):
                    buffer = plain.tensors[operator.inputs[place]].buffer
                    if buffer not in rounded:
                        rounded[buffer] = True
                        model.buffers[buffer].data = np.frombuffer(_few(values).tobytes(), "u1")
        assert fb.pack(model)

    def disturbed(self, weight, generator):
        """Rounds a weight as the file has it."""
        return _few(weight) if weight.dtype == np.float32 else weight

    def why_float32(self, weight):
        """Nothing to say: float32 is the mode."""


def _few(values):
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x8000)) & DIGITS).view(np.float32).reshape(values.shape)
