"""What the matrix products of a file cost: what a lowering has to know of its quantization."""

from __future__ import annotations

from dataclasses import dataclass, field

from keras_rnn_zoo.export.lowering.profiles import DEFAULT, PROFILES, Profile

LATENCY = "latency"
OPTIMIZE = (LATENCY, "size", "balanced")


@dataclass(frozen=True)
class Products:
    """How the interpreter multiplies by the constants of a file.

    Attributes:
        few_rows: A product of few rows, such as 2 to 4, takes not much longer a row than one of
            many. Kernels of XNNPACK for float32 take 6 or 7 at once, and of fewer as long, or one
            after the other, each with all of the weights.
        weight_bytes: Bytes of a weight in the memory that a product reads it from.
        shares_inputs: Two products of one input cost more than one of both kernels and a SPLIT,
            because each quantizes its input for itself.
        pairs: There is a product of two matrices with two others, one for each direction. With
            int8 weights there is none that can be used: XNNPACK's BATCH_MATMUL then reads memory
            that nobody wrote. Nor with float16 ones: outside of loops, LiteRT 1.0 misreads them.
            So each direction has a product of its own, and they share the ops behind it.
        integer: Products are computed in integers, with ranges that are known ahead.
        core: What the file runs on.
        optimize: One of `OPTIMIZE`: what decides between a faster file and a smaller one.
    """

    few_rows: bool = False
    weight_bytes: int = 4
    shares_inputs: bool = False
    pairs: bool = True
    integer: bool = False
    core: Profile = field(default=PROFILES[DEFAULT])
    optimize: str = LATENCY


FLOAT = Products()
# float16 weights, which are float32 by the time they are used.
HALF = Products(pairs=False)
# int8 weights, inputs quantized as they come: kernels of 4 rows and more.
HYBRID = Products(few_rows=True, weight_bytes=1, shares_inputs=True, pairs=False)
INTEGER = Products(few_rows=True, weight_bytes=1, shares_inputs=True, pairs=False, integer=True)
