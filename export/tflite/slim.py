"""A file without what no interpreter reads.

The names of what lies between two ops were a third of a small file. Inputs and outputs keep theirs,
which clients look them up by, and weights, which reports name.
"""

from __future__ import annotations

from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.contents import WEIGHT_INPUTS

# What the converter notes of itself.
_DESCRIPTION, _METADATA = b"MLIR Converted.", b"CONVERSION_METADATA"


def slim(model: fb.Model, *, names: bool = True) -> None:
    """Leaves out what no kernel reads: names, empty buffers and tables, notes of the converter.

    Args:
        model: The file, which is changed.
        names: Inputs, outputs and weights keep their names, and the file what it says of itself.
            Without, it has those of its signatures alone.
    """
    if not names:
        model.description = model.metadata = None
    if model.description == _DESCRIPTION:
        model.description = None
    model.metadata = [one for one in model.metadata or () if one.name != _METADATA] or None
    called = {signature.subgraphIndex for signature in model.signatureDefs or ()} | {0}
    weights = _weights(model) if names else {}
    for number, graph in enumerate(model.subgraphs):
        ends = {}
        if number in called and names:
            indices = map(int, (*graph.inputs, *graph.outputs))
            ends = {index: graph.tensors[index].name for index in indices}
        else:  # MLIR tells the parts of a loop apart by their names
            graph.name = str(number) if names else None
        for index, tensor in enumerate(graph.tensors):
            tensor.name = ends.get(index, weights.get(tensor.buffer))
            _slim_tensor(model, tensor)
        for operator in graph.operators:
            _slim_operator(operator)


def _weights(model: fb.Model) -> dict[int, str]:
    """Returns the buffers of weights that have names, and what they are to be called."""
    found: dict[int, str] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            for place in WEIGHT_INPUTS.get(fb.op_name(model, operator), ()):
                index = int(operator.inputs[place]) if place < len(operator.inputs) else -1
                if index >= 0 and _is_stored(model, graph.tensors[index]):
                    name = _label(graph.tensors[index])
                    if name.startswith("arith."):  # merged constants have no name of their own
                        name = _label(graph.tensors[operator.outputs[0]])
                    if name:
                        found.setdefault(graph.tensors[index].buffer, name)
    return found


def _label(tensor: fb.Tensor) -> str:
    # Of ops that became one the converter joins the names.
    return fb.text(tensor.name or b"").split(";")[0]


def _is_stored(model: fb.Model, tensor: fb.Tensor) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _slim_tensor(model: fb.Model, tensor: fb.Tensor) -> None:
    if not _is_stored(model, tensor):
        tensor.buffer = 0
    signature = tensor.shapeSignature
    if signature is not None and tuple(signature) == fb.shape_of(tensor):
        tensor.shapeSignature = None
    parameters = tensor.quantization
    if parameters is not None:
        parameters.min = parameters.max = None
        if parameters.scale is None or not len(parameters.scale):
            tensor.quantization = None


def _slim_operator(operator: fb.Operator) -> None:
    options = operator.builtinOptions
    if options is not None and not vars(options):  # of a kind that has none
        operator.builtinOptions = None
        operator.builtinOptionsType = fb.schema.BuiltinOptions.NONE
