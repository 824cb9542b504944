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
    """A builder of files that hold no structs.

    A table or a list is written when it is complete, and not at all where an equal one was: what
    they refer to is the same then, as equal parts have one offset. The fields of a table are sorted
    by size, which needs the least padding. The data of buffers are aligned, as `force_align` of the
    schema asks, which Python leaves out.
    """

    def __init__(self, size: int):
        super().__init__(size)
        self._fields: list[tuple[int, int, Any, Any]] = []
        self._listed: list[int] | None = None
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

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        """Begins a list, of numbers or of references."""
        self._listed = []
        return int(super().StartVector(elemSize, numElems, alignment))

    def PrependUOffsetTRelative(self, off: int) -> None:
        """Notes a part that the list at hand refers to; of a table, writes it."""
        if self._listed is None:
            super().PrependUOffsetTRelative(off)
        else:
            self._listed.append(off)

    def EndVector(self, numElems: int | None = None) -> int:
        """Returns the offset of the list; one of references may have been written before."""
        listed, self._listed = self._listed, None
        key = ("list", *(listed or ()))
        if listed and (known := self._written.get(key)) is not None:
            self.nested = False
            return known
        for offset in listed or ():
            super().PrependUOffsetTRelative(offset)
        made = int(super().EndVector(numElems))
        if listed:
            self._written[key] = made
        return made

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
