"""What old runtimes and XNNPACK misread is in none of the files that are written by default.

Each test looks at the written file; causes and figures are in docs/lowering.md.
"""

from __future__ import annotations

import numpy as np
import pytest

from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.builder import ALIGNMENT

FEATURES, TIMESTEPS = 24, 12


@pytest.fixture(scope="module")
def model():
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    tokens = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    sensor = keras.Input((TIMESTEPS, FEATURES), name="sensor")
    x = layers.Embedding(200, 16, mask_zero=True)(tokens)
    x = layers.Bidirectional(layers.GRU(16))(x)
    y = layers.Conv1D(16, 3, padding="causal", activation="relu")(sensor)
    y = layers.MultiHeadAttention(2, 16)(y, y)
    y = layers.Bidirectional(layers.LSTM(32))(y)
    # A kernel for each of several rows: a product of matrices side by side.
    y = layers.Reshape((4, 16))(y)
    y = layers.EinsumDense("bnd,ndh->bnh", output_shape=(4, 16), bias_axes="h")(y)
    y = layers.Flatten()(y)
    both = layers.Dense(32, activation="tanh")(layers.Concatenate()([x, y]))
    return keras.Model([tokens, sensor], layers.Dense(3, bias_initializer="ones")(both))


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    generator = np.random.default_rng(0)
    data = {
        "tokens": generator.integers(0, 200, (40, TIMESTEPS)).astype("int32"),
        "sensor": generator.normal(size=(40, TIMESTEPS, FEATURES)).astype("float32"),
    }
    directory = tmp_path_factory.mktemp("default")
    files = {}
    for mode, lowering in (
        ("dynamic", "loop"),
        ("int8", "loop"),
        ("float16", "loop"),
        ("float16", "fused"),
        ("dynamic", "fused"),
    ):
        path = directory / f"{mode}_{lowering}.tflite"
        export_tflite(
            model,
            path,
            quantization=mode,
            lowering=lowering,
            representative_data=data,
            progress=False,
        )
        files[mode, lowering] = fb.unpack(path.read_bytes())
    return files


def operators(file, *names):
    """Yields each op of these names with its graph."""
    for graph in file.subgraphs:
        for operator in graph.operators:
            if not names or fb.op_name(file, operator) in names:
                yield graph, operator


def test_no_batched_product_has_int8_weights(written):
    seen = 0
    for mode in (("dynamic", "loop"), ("dynamic", "fused"), ("int8", "loop")):
        for graph, operator in operators(written[mode], "BATCH_MATMUL"):
            seen += 1
            assert all(graph.tensors[index].type == fb.FLOAT32 for index in operator.inputs)
    assert seen  # the product of matrices side by side


def test_dense_weights_have_one_scale_each_and_no_version_that_old_runtimes_lack(written):
    for mode in written:
        for graph, operator in operators(written[mode], "FULLY_CONNECTED"):
            assert fb.version_of(written[mode], operator) <= 9
            parameters = graph.tensors[operator.inputs[1]].quantization
            if parameters is not None and parameters.scale is not None:
                assert len(parameters.scale) <= 1


def test_quantized_weights_lie_in_each_mode_in_products_and_loops(written):
    for mode in (("dynamic", "loop"), ("int8", "loop")):
        for number, graph in enumerate(written[mode].subgraphs):
            kinds = [
                graph.tensors[operator.inputs[1]].type
                for operator in graph.operators
                if fb.op_name(written[mode], operator) == "FULLY_CONNECTED"
            ]
            assert number or kinds
            assert set(kinds) <= {fb.INT8, fb.FLOAT32}
            assert kinds.count(fb.INT8) >= kinds.count(fb.FLOAT32)


@pytest.mark.parametrize("lowering", ["loop", "fused"])
def test_float16_dequantizes_weights_alone_no_bias_and_no_state(written, lowering):
    file = written["float16", lowering]
    weights = 0
    for graph in file.subgraphs:
        halves = {
            int(operator.outputs[0])
            for operator in graph.operators
            if fb.op_name(file, operator) == "DEQUANTIZE"
        }
        assert not any(graph.tensors[index].isVariable for index in halves)
        for operator in graph.operators:
            for place, index in enumerate(operator.inputs):
                if int(index) in halves:
                    weights += 1
                    assert fb.op_name(file, operator) not in ("ADD", "SUB", "MUL")
                    if fb.op_name(file, operator) in ("FULLY_CONNECTED", "CONV_2D"):
                        assert place == 1
    assert weights > 5


def test_constants_are_aligned_for_kernels_that_read_them_in_place(written):
    content = fb.pack(written["int8", "loop"])
    model = fb.schema.Model.GetRootAs(content, 0)
    starts = [
        buffer._tab.Vector(buffer._tab.Offset(4))
        for buffer in map(model.Buffers, range(model.BuffersLength()))
        if buffer.DataLength()
    ]
    assert len(starts) > 10 and not any(start % ALIGNMENT for start in starts)


def test_int8_files_mix_no_integer_weights_with_float_inputs(written):
    # Microcontrollers have no such products.
    file = written["int8", "loop"]
    for graph, operator in operators(file, "FULLY_CONNECTED", "CONV_2D"):
        kinds = {graph.tensors[index].type for index in operator.inputs[:2]}
        assert len(kinds) == 1
