"""The models of the benchmarks in ONNX, with the weights of their Keras counterparts; batch 1.

Recurrences are LSTM and GRU nodes, or spelled out: every step in MatMul, Sigmoid and the like.
onnxruntime quantizes no GRU node, and in its static quantization no LSTM node either; spelled out,
the same recurrence is quantized.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

OPSET, IR_VERSION = 17, 8
# Keras' order of the gates (LSTM i f c o, GRU z r h) in the order of ONNX (i o f c, z r h).
ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2)}


class Graph:
    """Nodes and constants of an ONNX model while it is made."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._names: set[str] = set()

    def constant(self, name: str, value: Any) -> str:
        """Adds a constant; returns its name, with a number behind it where that is taken."""
        from onnx import numpy_helper

        name = self._free(name)
        self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; returns the name of its output, or a list of several."""
        from onnx import helper

        names = [self._free(op.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names if outputs > 1 else names[0]

    def recurrent(
        self, kind: str, x: str, trios: list[list[np.ndarray]], states: Sequence[str] = ()
    ) -> list[str]:
        """Adds an LSTM or GRU node.

        Args:
            kind: `"LSTM"` or `"GRU"`, of Keras' defaults.
            x: `[timesteps, 1, features]`.
            trios: Kernel, recurrent kernel and bias of each direction.
            states: Of an LSTM the output and the cell before the first step, of a GRU the output,
                `[directions, 1, units]`; zeros without them.

        Returns:
            All outputs `[timesteps, directions, 1, units]`, the last ones `[directions, 1, units]`,
            and of an LSTM that is given its states the last cell.
        """

        def gates(value: np.ndarray) -> np.ndarray:
            parts = np.split(value, len(ORDER[kind]), axis=-1)
            return np.concatenate([parts[place].T for place in ORDER[kind]])

        biases = [
            np.concatenate([gates(b), np.zeros(b.size, "float32")])
            if kind == "LSTM"
            else np.concatenate([gates(b[0]), gates(b[1])])
            for _, _, b in trios
        ]
        made: list[str] = self.node(
            kind,
            x,
            self.constant("w", np.stack([gates(w) for w, _, _ in trios])),
            self.constant("r", np.stack([gates(r) for _, r, _ in trios])),
            self.constant("b", np.stack(biases)),
            *(["", *states] if states else []),
            outputs=max(2, 1 + len(states)),
            hidden_size=trios[0][1].shape[0],
            direction="bidirectional" if len(trios) > 1 else "forward",
            **({"linear_before_reset": 1} if kind == "GRU" else {}),
        )
        return made

    def model(
        self,
        inputs: dict[str, tuple[Any, list[int]]],
        output: str,
        rank: int,
        states: Sequence[tuple[str, list[int]]] = (),
    ) -> bytes:
        """Returns the file; its output is called `y`, and `states` are outputs after it."""
        from onnx import TensorProto, helper

        self.nodes.append(helper.make_node("Identity", [output], ["y"]))
        given = [
            helper.make_tensor_value_info(
                name, TensorProto.FLOAT if dtype == "float32" else TensorProto.INT32, shape
            )
            for name, (dtype, shape) in inputs.items()
        ]
        sizes = [1, *[f"size{axis}" for axis in range(1, rank)]]
        made = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("y", sizes), *states)
        ]
        graph = helper.make_graph(self.nodes, "model", given, made, self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        content = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return bytes(content.SerializeToString())

    def _free(self, name: str) -> str:
        free, number = name, 1
        while free in self._names:
            free, number = f"{name}_{number}", number + 1
        self._names.add(free)
        return free


def onnx_of(model: Any, spelled_out: bool = False, timesteps: int | None = None) -> bytes:
    """Returns a functional or sequential model of one input and one output as an ONNX file.

    Args:
        model: Of the layers that are told apart here; its last activation is kept.
        spelled_out: See the module.
        timesteps: Where the model leaves its number open.
    """
    import keras

    plain = keras.Model(model.inputs, model.outputs)
    (tensor,), (answer,) = plain.inputs, plain.outputs
    emitter = _Emitter(spelled_out, timesteps)
    names = {id(tensor): "x"}
    for operation in plain.operations:
        if type(operation).__name__ == "InputLayer":
            continue
        given = operation.input
        inputs = given if isinstance(given, list) else [given]
        names[id(operation.output)] = emitter.emit(operation, [names[id(t)] for t in inputs])
    shape = [1, *(timesteps if size is None else int(size) for size in tensor.shape[1:])]
    return emitter.graph.model({"x": (tensor.dtype, shape)}, names[id(answer)], len(answer.shape))


class _Emitter:
    """Says each Keras layer in nodes; sequences have the batch first, images the channels last."""

    def __init__(self, spelled_out: bool, timesteps: int | None) -> None:
        self.graph = Graph()
        self.spelled_out = spelled_out
        self.timesteps = timesteps

    def emit(self, layer: Any, inputs: list[str]) -> str:
        kind = type(layer).__name__
        made: str = getattr(self, f"_{kind.lower()}")(layer, *inputs)
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if activation == "linear" or kind in ("LSTM", "GRU", "Bidirectional"):
            return made
        attributes = {"axis": -1} if activation == "softmax" else {}
        op = {"relu": "Relu", "softmax": "Softmax", "sigmoid": "Sigmoid"}[activation]
        return str(self.graph.node(op, made, **attributes))

    def _axes(self, *axes: int) -> str:
        return self.graph.constant("axes", np.array(axes, np.int64))

    def _embedding(self, layer: Any, x: str) -> str:
        (table,) = layer.get_weights()
        return str(self.graph.node("Gather", self.graph.constant("table", table), x))

    def _dense(self, layer: Any, x: str) -> str:
        kernel, bias = layer.get_weights()
        constants = self.graph.constant("kernel", kernel), self.graph.constant("bias", bias)
        if len(layer.input.shape) == 2:
            return str(self.graph.node("Gemm", x, *constants))
        product = self.graph.node("MatMul", x, constants[0])
        return str(self.graph.node("Add", product, constants[1]))

    def _conv2d(self, layer: Any, x: str) -> str:
        kernel, bias = layer.get_weights()
        rows, columns = layer.kernel_size
        around = [rows // 2, columns // 2] if layer.padding == "same" else [0, 0]
        image = self.graph.node("Transpose", x, perm=[0, 3, 1, 2])
        made = self.graph.node(
            "Conv",
            image,
            self.graph.constant("kernel", kernel.transpose(3, 2, 0, 1)),
            self.graph.constant("bias", bias),
            pads=around * 2,
        )
        return str(self.graph.node("Transpose", made, perm=[0, 2, 3, 1]))

    def _conv1d(self, layer: Any, x: str) -> str:
        kernel, bias = layer.get_weights()
        assert layer.padding == "causal"
        made = self.graph.node(
            "Conv",
            self.graph.node("Transpose", x, perm=[0, 2, 1]),
            self.graph.constant("kernel", kernel.transpose(2, 1, 0)),
            self.graph.constant("bias", bias),
            pads=[layer.kernel_size[0] - 1, 0],
        )
        return str(self.graph.node("Transpose", made, perm=[0, 2, 1]))

    def _maxpooling2d(self, layer: Any, x: str) -> str:
        image = self.graph.node("Transpose", x, perm=[0, 3, 1, 2])
        size = list(layer.pool_size)
        made = self.graph.node("MaxPool", image, kernel_shape=size, strides=size)
        return str(self.graph.node("Transpose", made, perm=[0, 2, 3, 1]))

    def _batchnormalization(self, layer: Any, x: str) -> str:
        gamma, beta, mean, variance = layer.get_weights()
        factor = gamma / np.sqrt(variance + layer.epsilon)
        scaled = self.graph.node("Mul", x, self.graph.constant("factor", factor))
        return str(self.graph.node("Add", scaled, self.graph.constant("b", beta - mean * factor)))

    def _reshape(self, layer: Any, x: str) -> str:
        return str(self.graph.node("Reshape", x, self._axes(1, *layer.output.shape[1:])))

    def _flatten(self, layer: Any, x: str) -> str:
        return str(self.graph.node("Reshape", x, self._axes(1, -1)))

    def _dropout(self, layer: Any, x: str) -> str:
        return x

    def _lambda(self, layer: Any, x: str) -> str:
        values = np.array([[1.0, -3.0]], np.float32)
        factor = np.asarray(layer(values))[0, 0]
        np.testing.assert_allclose(layer(values), values * factor)
        return str(self.graph.node("Mul", x, self.graph.constant("times", np.float32(factor))))

    def _softmax(self, layer: Any, x: str) -> str:
        return str(self.graph.node("Softmax", x, axis=-1))

    def _dot(self, layer: Any, first: str, second: str) -> str:
        # [1, n] with [1, a, b]: as a column behind, or as a row in front of it.
        if tuple(layer.axes) == (1, 2):
            column = self.graph.node("Unsqueeze", first, self._axes(2))
            made, axis = self.graph.node("MatMul", second, column), 2
        else:
            assert tuple(layer.axes) == (1, 1)
            row = self.graph.node("Unsqueeze", first, self._axes(1))
            made, axis = self.graph.node("MatMul", row, second), 1
        return str(self.graph.node("Squeeze", made, self._axes(axis)))

    def _expanddims(self, layer: Any, x: str) -> str:
        axis = layer.axis if layer.axis >= 0 else layer.axis + len(layer.output.shape)
        return str(self.graph.node("Unsqueeze", x, self._axes(axis)))

    def _getitem(self, layer: Any, x: str) -> str:
        everything, step, rest = layer._inbound_nodes[0].arguments.args[1]
        assert everything == rest == slice(None)
        return str(
            self.graph.node("Gather", x, self.graph.constant("step", np.int64(step)), axis=1)
        )

    def _bidirectional(self, layer: Any, x: str) -> str:
        assert layer.merge_mode == "concat"
        parts = [layer.forward_layer, layer.backward_layer]
        return self._recurrent(parts, x, int(layer.input.shape[1] or self.timesteps))

    def _lstm(self, layer: Any, x: str) -> str:
        return self._recurrent([layer], x, int(layer.input.shape[1] or self.timesteps))

    _gru = _lstm

    def _recurrent(self, layers: list[Any], x: str, timesteps: int) -> str:
        kind, units = type(layers[0]).__name__, layers[0].units
        sequences = layers[0].return_sequences
        trios = [layer.get_weights() for layer in layers]
        if self.spelled_out:
            made = [
                self._steps(kind, x, trio, timesteps, backwards=number == 1, all_=sequences)
                for number, trio in enumerate(trios)
            ]
            return made[0] if len(made) == 1 else str(self.graph.node("Concat", *made, axis=-1))
        time_first = self.graph.node("Transpose", x, perm=[1, 0, 2])
        every, last = self.graph.recurrent(kind, time_first, trios)
        width = units * len(trios)
        if sequences:
            ordered = self.graph.node("Transpose", every, perm=[2, 0, 1, 3])
            return str(self.graph.node("Reshape", ordered, self._axes(1, timesteps, width)))
        ordered = self.graph.node("Transpose", last, perm=[1, 0, 2])
        return str(self.graph.node("Reshape", ordered, self._axes(1, width)))

    def _steps(
        self,
        kind: str,
        x: str,
        trio: list[np.ndarray],
        timesteps: int,
        backwards: bool,
        all_: bool,
    ) -> str:
        node, constant = self.graph.node, self.graph.constant
        kernel, recurrent, bias = trio
        units = recurrent.shape[0]
        first, second = (bias, None) if kind == "LSTM" else (bias[0], bias[1])
        projected = node("MatMul", x, constant("w", kernel))
        projected = node("Add", projected, constant("b", first))
        rows = [projected]
        if timesteps > 1:
            rows = node("Split", projected, axis=1, outputs=timesteps)
        r = constant("r", recurrent)
        b = constant("rb", second) if second is not None else ""
        one = constant("one", np.float32(1)) if kind == "GRU" else ""
        output = cell = constant("zeros", np.zeros((1, 1, units), np.float32))
        outputs = []
        for row in reversed(rows) if backwards else rows:
            product = node("MatMul", output, r)
            if kind == "LSTM":
                i, f, g, o = node("Split", node("Add", row, product), axis=-1, outputs=4)
                i, f, o = (node("Sigmoid", gate) for gate in (i, f, o))
                cell = node("Add", node("Mul", f, cell), node("Mul", i, node("Tanh", g)))
                output = node("Mul", o, node("Tanh", cell))
            else:
                z, reset, h = node("Split", row, axis=-1, outputs=3)
                rz, rr, rh = node("Split", node("Add", product, b), axis=-1, outputs=3)
                z = node("Sigmoid", node("Add", z, rz))
                reset = node("Sigmoid", node("Add", reset, rr))
                h = node("Tanh", node("Add", h, node("Mul", reset, rh)))
                kept = node("Mul", z, output)
                output = node("Add", kept, node("Mul", node("Sub", one, z), h))
            outputs.append(output)
        if all_:
            outputs = outputs[::-1] if backwards else outputs
            return str(node("Concat", *outputs, axis=1) if timesteps > 1 else outputs[0])
        return str(node("Squeeze", output, self._axes(1)))
