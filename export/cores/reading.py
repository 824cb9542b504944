"""Reads what the plug-in wrote, and says in which functions it was."""

from __future__ import annotations

import bisect
import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

# The Python that calls, and what joins it to the interpreter: no app has them.
CALLER = ("python3", "_ctypes", "ld-linux", "_multiarray_umath", "_pywrap_", "libffi")
CALLER_FUNCTIONS = ("_ZN8pybind11", "_ZZN8pybind11", "_ZN6tflite19interpreter_wrapper")
_ROW = struct.Struct("<QQQQI")


@dataclass
class Counts:
    """What the calls of a file executed, the calling Python left out.

    Attributes:
        instructions: (library, function) -> instructions.
        cycles: The same -> modelled cycles; 0 where none were modelled.
        kinds: Kind of instruction -> instructions: see `kind_of`.
    """

    instructions: Counter[tuple[str, str]] = field(default_factory=Counter)
    cycles: Counter[tuple[str, str]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Events:
    """What a model noted besides, the calling Python included.

    Attributes:
        branches: Executed.
        mispredicted: Guessed wrong.
        code_misses: Lines of instructions that L1 lacked.
        from_l2: Lines that came from L2.
        from_l3: Likewise.
        from_memory: Likewise.
    """

    branches: int
    mispredicted: int
    code_misses: int
    from_l2: int
    from_l3: int
    from_memory: int


def read_counts(
    path: Path, maps: Sequence[Sequence[str]]
) -> tuple[dict[int, Counts], dict[int, Events]]:
    """Reads the plug-in's files.

    Args:
        path: Where it wrote.
        maps: What was mapped where: addresses, offset and path, as /proc/self/maps says them.

    Returns:
        Label -> what was executed; and of a modelled core label -> what happened besides.

    Raises:
        ValueError: The file is damaged.
    """
    places = _Places(maps)
    found: dict[int, Counts] = {}
    for label, address, executions, cycles, words in _rows(path.read_bytes()):
        library, function = places.function(address)
        if library.startswith(CALLER) or function.startswith(CALLER_FUNCTIONS):
            continue
        counts = found.setdefault(label, Counts())
        counts.instructions[library, function] += executions * len(words)
        counts.cycles[library, function] += cycles
        for word in words:
            counts.kinds[kind_of(word)] += executions
    events = {}
    noted = path.with_name(f"{path.name}.events")
    if noted.is_file():
        for line in noted.read_text(encoding="ascii").splitlines()[1:]:
            label, _, *values = map(int, line.split())
            events[label] = Events(*values)
    return found, events


def _rows(content: bytes) -> Iterator[tuple[int, int, int, int, tuple[int, ...]]]:
    start = 0
    while start < len(content):
        try:
            label, address, executions, cycles, count = _ROW.unpack_from(content, start)
            words = struct.unpack_from(f"<{count}I", content, start + _ROW.size)
        except struct.error as error:
            raise ValueError(f"The counts end within a block: {error}") from error
        yield label, address, executions, cycles, words
        start += _ROW.size + 4 * count


def kind_of(word: int) -> str:
    """Returns what an instruction is: `products`, `vectors`, `memory`, `integers`, `branches`.

    Products are multiply-adds and multiplications of vectors: FMLA, SDOT, SMLAL and the like.
    """
    group = word >> 25 & 15
    if group & 5 == 4:
        return "memory"
    if group & 7 == 7:
        return "products" if any(word & mask in values for mask, values in _PRODUCTS) else "vectors"
    return "branches" if group & 14 == 10 else "integers"


# Mask of the fixed bits of an encoding -> what they are.
_PRODUCTS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (0xBFA0FC00, (0x0E20CC00, 0x0EA0CC00)),  # FMLA, FMLS of vectors
    (0xBF80F400, (0x0F801000, 0x0F805000)),  # FMLA, FMLS by element
    (0xBFE0FC00, (0x0E809400, 0x2E809400)),  # SDOT, UDOT of vectors
    (0xBFC0F400, (0x0F80E000, 0x2F80E000, 0x0F00F000)),  # SDOT, UDOT, SUDOT by element
    (0xFFE0FC00, (0x4E80A400, 0x6E80A400, 0x4E80AC00)),  # SMMLA, UMMLA, USMMLA
    (0x9F20FC00, (0x0E208000, 0x0E20C000)),  # SMLAL, SMULL of vectors
    (0x9F00F400, (0x0F002000, 0x0F00A000)),  # SMLAL, SMULL by element
)


class _Places:
    """Which function an address of the emulated process belongs to."""

    def __init__(self, maps: Sequence[Sequence[str]]):
        rows = []
        for addresses, offset, path in maps:
            first, last = (int(part, 16) for part in addresses.split("-"))
            rows.append((first, last, int(offset, 16), Path(path)))
        self._rows = sorted(rows)
        self._starts = [first for first, *_ in self._rows]

    def function(self, address: int) -> tuple[str, str]:
        """Returns library and function, `?` where one is not known."""
        row = bisect.bisect(self._starts, address) - 1
        if row < 0 or address >= self._rows[row][1]:
            return "?", "?"
        first, _, offset, path = self._rows[row]
        return path.name, functions_of(path).at(address - first + offset)


class Functions:
    """The functions of an ELF file, as its table of symbols names them.

    Args:
        content: A 64-bit little-endian ELF file; of anything else no function is known.
    """

    def __init__(self, content: bytes):
        self._segments: list[tuple[int, int, int]] = []  # offset in the file, size, address
        self._addresses: list[int] = []
        self._names: list[int] = []
        self._text = b""
        if content[:6] != b"\x7fELF\x02\x01":
            return
        headers, sections = struct.unpack_from("<QQ", content, 32)
        header_size, count, section_size, sections_count = struct.unpack_from("<HHHH", content, 54)
        for number in range(count):
            kind, _, offset, address, _, size = struct.unpack_from(
                "<IIQQQQ", content, headers + header_size * number
            )
            if kind == 1:  # PT_LOAD
                self._segments.append((offset, size, address))
        tables = {}
        for number in range(sections_count):
            _, kind, _, _, offset, size, link = struct.unpack_from(
                "<IIQQQQI", content, sections + section_size * number
            )
            tables[number] = kind, offset, size, link
        # All symbols (2), or those that others may use (11) where it was stripped.
        for wanted in (2, 11):
            for kind, offset, size, link in tables.values():
                if kind == wanted:
                    self._read(content[offset : offset + size], *tables[link][1:3], content)
                    return

    def _read(self, table: bytes, start: int, size: int, content: bytes) -> None:
        layout = [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2")]
        symbols = np.frombuffer(table, [*layout, ("value", "<u8"), ("size", "<u8")])
        functions = symbols[np.isin(symbols["info"] & 15, (2, 10)) & (symbols["section"] != 0)]
        functions = functions[np.argsort(functions["value"], kind="stable")]
        self._addresses = functions["value"].tolist()
        self._names = functions["name"].tolist()
        self._text = content[start : start + size]

    def at(self, offset: int) -> str:
        """Returns the name of the function at an offset in the file, `?` where there is none."""
        for start, size, address in self._segments:
            if start <= offset < start + size:
                number = bisect.bisect_right(self._addresses, offset - start + address) - 1
                if number < 0:
                    return "?"
                first = self._names[number]
                return self._text[first : self._text.index(b"\0", first)].decode("ascii", "replace")
        return "?"


@lru_cache(maxsize=16)
def functions_of(path: Path) -> Functions:
    """Returns the functions of a library."""
    try:
        return Functions(path.read_bytes())
    except (OSError, struct.error):
        return Functions(b"")


# What a function is for, by its name as the linker knows it; the first that fits.
PARTS = {
    "products": r"gemm|gemv|spmm|dqgemm|igemm|kai_run_matmul|kai_kernel|MatrixBatchVectorMultiply"
    r"|ruy\d*6Kernel|xnn_pack_lh|pack_lh|kai_run_lhs|pack_f32|FullyConnected|EvalPie|EvalHybrid",
    "elementwise": r"vsigmoid|vtanh|x8_lut|vadd|vmul|vsub|vrsub|vaddc|vmulc|vbinary|vmin|vmax"
    r"|vclamp|vcmul|vprelu|vabs|vneg|vhswish|vgelu|velu|vexp|vsqr|vcvt|rminmax|rdminmax|reduce"
    r"|rsum|rdsum|compute_univector|compute_elementwise|ApplyActivation|[Ss]igmoid|[Tt]anh|[Ss]oft"
    r"|Quantize|quantize|VectorVector|Cwise|Logistic|expf",
    "loop": r"while_kernel|ArenaPlanner|SimpleMemoryArena|OpResolver|PrepareOps|AllocateTensors"
    r"|ResizeInputTensor|ResizeTensor|DeepOrShallow|CopyTensors|GraphInfo|Partition|EnsureMemory",
}  # fmt: skip
_PARTS = {part: re.compile(pattern) for part, pattern in PARTS.items()}
REST = "copying and dispatch"


def part_of(library: str, function: str) -> str:
    """Returns what a function is for: `products`, `elementwise`, `loop`, `copying and dispatch`."""
    if library.startswith(("libm.", "libm-")):
        return "elementwise"
    if library.startswith(("libc.", "libc-", "libstdc++")):
        return REST
    for part, pattern in _PARTS.items():
        if pattern.search(function):
            return part
    return REST
