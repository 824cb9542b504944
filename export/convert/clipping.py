"""The limit on an LSTM's cell in a .tflite file.

The converter makes every UNIDIRECTIONAL_SEQUENCE_LSTM limit its cell to -10 .. 10, which Keras does
not do and no option of the converter changes. A limit of 0 is none
(`UnidirectionalSequenceLSTMOptions.cell_clip` of the schema).
"""

from __future__ import annotations

import struct

# Offset of `cell_clip` in the vtable of UnidirectionalSequenceLSTMOptions: its second field.
CELL_CLIP = 6


def without_cell_clip(content: bytes) -> bytes:
    """Takes the limit off the cell of every UNIDIRECTIONAL_SEQUENCE_LSTM.

    Args:
        content: A whole .tflite file.

    Returns:
        The file with those numbers set to 0, and nothing else changed.
    """
    from ai_edge_litert import schema_py_generated as schema

    kind = schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
    changed = bytearray(content)
    model = schema.Model.GetRootAs(content, 0)
    for g in range(model.SubgraphsLength()):
        graph = model.Subgraphs(g)
        for i in range(graph.OperatorsLength()):
            operator = graph.Operators(i)
            if operator.BuiltinOptionsType() != kind:
                continue
            options = operator.BuiltinOptions()
            offset = options.Offset(CELL_CLIP)
            if offset:  # a field that is absent is 0
                struct.pack_into("<f", changed, options.Pos + offset, 0.0)
    return bytes(changed)
