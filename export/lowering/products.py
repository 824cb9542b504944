"""What the matrix products of a file cost: what a lowering has to know of its quantization."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Products:
    """How the interpreter multiplies by the constants of a file.

    Attributes:
        rows: Rows that one product should have, where there is a choice: what the kernels of the
            interpreter do at once. Those of XNNPACK for float32 take 4 to 7, and of a smaller last
            part as long as of a full one.
        weight_bytes: Bytes of a weight in the memory that a product reads it from.
        shares_inputs: Two products of one input cost more than one of both kernels and a SPLIT,
            because each quantizes its input for itself.
        pairs: There is a product of two matrices with two others, one for each direction. With
            int8 weights there is none that can be used: XNNPACK's BATCH_MATMUL then reads memory
            that nobody wrote.
        integer: Products are computed in integers, with ranges that are known ahead.
    """

    rows: int = 7
    weight_bytes: int = 4
    shares_inputs: bool = False
    pairs: bool = True
    integer: bool = False


FLOAT = Products()
# int8 weights, inputs quantized as they come: kernels of 4, 8 or 16 rows.
HYBRID = Products(rows=8, weight_bytes=1, shares_inputs=True, pairs=False)
INTEGER = Products(rows=8, weight_bytes=1, shares_inputs=True, pairs=False, integer=True)
