"""Writes a flatbuffer in which everything that is equal is written once.

A file refers to its parts by offsets, and several offsets may lead to one part: to the shape of
most tensors, to the options of all products, to one table for all results of one type and shape.
Of a small model's file that is more than its weights.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

# Kernels and delegates read constants in place, with instructions that want them aligned.
ALIGNMENT = 16


class Builder(flatbuffers.Builder):  # type: ignore[misc]
    """A builder for tables and vectors of numbers, which may hold no structs.

    A table is written when it is complete, and not at all where one of the same fields was: what
    they refer to is the same then, as equal parts have one offset. Its fields are sorted by size,
    which needs the least padding. The data of buffers are aligned, as `force_align` of the schema
    asks, which Python leaves out.
    """

    def __init__(self, size: int):
        super().__init__(size)
        self._fields: list[tuple[int, int, Any, Any]] = []
        self._written: dict[Any, int] = {}

    def PrependSlot(self, flags: Any, o: int, x: Any, d: Any) -> None:
        """Notes a number of the table at hand."""
        if x != d:
            self._fields.append((flags.bytewidth, o, x, flags))

    def PrependUOffsetTRelativeSlot(self, o: int, x: int, d: int) -> None:
        """Notes a part that the table at hand refers to."""
        if x != d:
            self._fields.append((4, o, x, None))

    def EndObject(self) -> int:
        """Returns the offset of the table, written now or before."""
        fields, self._fields = sorted(self._fields, key=lambda field: field[:2]), []
        key = tuple(fields)
        if (known := self._written.get(key)) is not None:
            self.nested, self.current_vtable = False, None
            return known
        for _, slot, value, flags in fields:
            if flags is None:
                self.PrependUOffsetTRelative(value)
            else:
                self.Prepend(flags, value)
            self.Slot(slot)
        offset = self._written[key] = int(super().EndObject())
        return offset

    def CreateString(self, s: Any, encoding: str = "utf-8", errors: str = "strict") -> int:
        """Returns the offset of a text, written now or before."""
        text = s.encode(encoding, errors) if isinstance(s, str) else bytes(s)
        if text not in self._written:
            self._written[text] = int(super().CreateString(text))
        return self._written[text]

    def CreateNumpyVector(self, x: Any) -> int:
        """Returns the offset of numbers, written now or before, but for those of a buffer."""
        if x.dtype == np.uint8:  # of a buffer: large, and equal buffers are one already
            return self._buffer(x)
        key = (x.dtype, x.tobytes())
        if key not in self._written:
            self._written[key] = int(super().CreateNumpyVector(x))
        return self._written[key]

    def _buffer(self, x: Any) -> int:
        self.StartVector(1, x.size, ALIGNMENT)
        self.head -= x.size
        self.Bytes[self.head : self.head + x.size] = x.tobytes()
        self.vectorNumElems = x.size
        return int(self.EndVector())
