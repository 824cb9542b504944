"""The oldest runtime that runs a file, from the versions of its ops.

A runtime refuses an op of a version that it does not know. Which TensorFlow brought which version
is in the history of TensorFlow Lite's op registry and of its converter's table of runtime versions
(`tensorflow/compiler/mlir/lite/tools/versioning`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from keras_rnn_zoo.errors import ConfigError

# Of TensorFlow, which TensorFlow Lite's runtimes share: (2, 14).
Runtime: TypeAlias = tuple[int, int]

# What ran every version that is not named below.
OLDEST: Runtime = (2, 3)

# LiteRT from that version on -> the TensorFlow whose ops it has at least.
LITERT: dict[Runtime, Runtime] = {
    (1, 0): (2, 17),
    (1, 2): (2, 19),
    (1, 4): (2, 20),
    (2, 0): (2, 21),
}

# Op -> version -> the minor number of TensorFlow 2 that brought it.
_BROUGHT: dict[str, dict[int, int]] = {
    "ABS": {2: 4, 3: 5, 4: 6, 5: 12},
    "ADD": {3: 4, 4: 6, 5: 13, 6: 23},
    "ARG_MAX": {3: 9},
    "ARG_MIN": {3: 9},
    "ASSIGN_VARIABLE": {1: 6},
    "ATAN2": {1: 10},
    "BATCH_MATMUL": {3: 4, 4: 5},
    "BATCH_TO_SPACE_ND": {4: 12},
    "BITCAST": {1: 13},
    "BITWISE_XOR": {1: 13},
    "BROADCAST_ARGS": {1: 6},
    "BROADCAST_TO": {2: 5, 3: 5},
    "BUCKETIZE": {1: 8},
    "CALL_ONCE": {1: 5},
    "CAST": {2: 7, 3: 8, 4: 9, 5: 12, 6: 15, 7: 17, 8: 21},
    "COMPLEX_ABS": {1: 5},
    "CONCATENATION": {4: 14, 5: 21},
    "CONV_2D": {5: 4, 6: 9, 7: 11, 8: 15},
    "CONV_3D": {1: 5},
    "CONV_3D_TRANSPOSE": {1: 6},
    "CUMSUM": {1: 4},
    "DEPTHWISE_CONV_2D": {7: 11},
    "DEPTH_TO_SPACE": {2: 5},
    "DEQUANTIZE": {5: 7, 6: 18, 7: 21, 8: 22},
    "DILATE": {1: 15},
    "DYNAMIC_UPDATE_SLICE": {1: 9, 2: 17, 3: 19, 4: 20, 5: 21, 6: 22},
    "EMBEDDING_LOOKUP": {4: 18, 5: 21},
    "EQUAL": {4: 13, 5: 21},
    "EXP": {2: 12},
    "FILL": {3: 5, 4: 12},
    "FLOOR_DIV": {3: 13},
    "FLOOR_MOD": {2: 13},
    "FULLY_CONNECTED": {10: 11, 11: 15, 12: 17, 13: 18, 14: 21},
    "GATHER": {4: 4, 5: 5, 6: 13, 7: 15},
    "GATHER_ND": {3: 5, 4: 13, 5: 16},
    "GELU": {1: 9, 2: 9},
    "GREATER_EQUAL": {3: 13},
    "HASHTABLE": {1: 5},
    "HASHTABLE_FIND": {1: 5},
    "HASHTABLE_IMPORT": {1: 5},
    "HASHTABLE_SIZE": {1: 5},
    "IMAG": {1: 5},
    "LESS": {3: 13},
    "LOG": {2: 15},
    "MEAN": {3: 4},
    "MIRROR_PAD": {3: 12},
    "MUL": {5: 6, 6: 11, 7: 13, 8: 23},
    "MULTINOMIAL": {1: 8},
    "NOT_EQUAL": {4: 21},
    "PACK": {4: 13},
    "PAD": {3: 4, 4: 6, 5: 20},
    "PADV2": {3: 4, 4: 6, 5: 20},
    "QUANTIZE": {3: 7, 4: 21, 5: 21, 6: 21},
    "RANDOM_STANDARD_NORMAL": {1: 8},
    "RANDOM_UNIFORM": {1: 8},
    "RANGE": {2: 14},
    "READ_VARIABLE": {1: 6},
    "REAL": {1: 5},
    "REDUCE_ALL": {1: 6},
    "REDUCE_MAX": {3: 5},
    "REDUCE_MIN": {3: 5},
    "REDUCE_PROD": {2: 6},
    "REDUCE_WINDOW": {1: 15},
    "RELU": {3: 5},
    "RELU6": {3: 5},
    "RELU_0_TO_1": {1: 10},
    "RESIZE_BILINEAR": {4: 5},
    "RESIZE_NEAREST_NEIGHBOR": {4: 4},
    "REVERSE_V2": {3: 5},
    "RFFT2D": {1: 5},
    "RIGHT_SHIFT": {1: 13},
    "RSQRT": {2: 5, 3: 15},
    "SELECT": {3: 12, 4: 12},
    "SELECT_V2": {2: 12},
    "SIGN": {1: 11, 2: 12},
    "SLICE": {4: 4, 5: 5, 6: 14, 7: 21},
    "SPACE_TO_BATCH_ND": {4: 12},
    "STABLEHLO_ADD": {1: 16},
    "STABLEHLO_AND": {1: 17},
    "STABLEHLO_CASE": {1: 17},
    "STABLEHLO_CBRT": {1: 17},
    "STABLEHLO_COMPOSITE": {1: 17},
    "STABLEHLO_GATHER": {1: 16},
    "STABLEHLO_MAXIMUM": {1: 16},
    "STABLEHLO_MINIMUM": {1: 16},
    "STABLEHLO_MULTIPLY": {1: 16},
    "STABLEHLO_PAD": {1: 16},
    "STABLEHLO_REDUCE_WINDOW": {1: 16},
    "STABLEHLO_RNG_BIT_GENERATOR": {1: 15},
    "STABLEHLO_SCATTER": {1: 15},
    "STABLEHLO_SHIFT_LEFT": {1: 17},
    "SQRT": {2: 21},
    "SQUARED_DIFFERENCE": {2: 5},
    "SQUEEZE": {2: 5},
    "STRIDED_SLICE": {5: 5, 6: 6, 7: 14, 8: 14},
    "SUB": {4: 4, 5: 4},
    "TILE": {3: 8},
    "TOPK_V2": {3: 13},
    "TRANSPOSE": {5: 4, 6: 12, 7: 14, 8: 22},
    "TRANSPOSE_CONV": {4: 13, 5: 15},
    "UNIDIRECTIONAL_SEQUENCE_LSTM": {4: 12},
    "UNPACK": {5: 22},
    "UNSORTED_SEGMENT_MAX": {1: 10},
    "UNSORTED_SEGMENT_MIN": {1: 11},
    "UNSORTED_SEGMENT_PROD": {1: 10},
    "UNSORTED_SEGMENT_SUM": {1: 10},
    "VAR_HANDLE": {1: 6},
    "WHERE": {2: 8},
}
# The last version of all others, as far as they have several: later ones are not known here.
_LAST = 4


def runtime_of(op: str, version: int) -> Runtime | None:
    """Returns the first runtime that runs an op of a version; None where that is not known."""
    brought = _BROUGHT.get(op, {})
    if version in brought:
        return 2, brought[version]
    known = version <= _LAST and not op.startswith("STABLEHLO_")
    return OLDEST if version < min(brought, default=0) or (not brought and known) else None


def oldest_runtime(ops: Mapping[str, int]) -> Runtime | None:
    """Returns the first runtime that runs all ops; None where that is not known of one.

    Args:
        ops: Name -> version.
    """
    found = [runtime_of(op, version) for op, version in ops.items()]
    return None if None in found else max((one for one in found if one is not None), default=OLDEST)


def newer_than(ops: Mapping[str, int], runtime: Runtime) -> list[str]:
    """Returns what a runtime does not know of a file, such as `"FULLY_CONNECTED version 12"`.

    Args:
        ops: Name -> version.
        runtime: The runtime.
    """
    return [
        f"{op} version {version} ({'newer' if first is None else runtime_text(first)})"
        for op, version in ops.items()
        if (first := runtime_of(op, version)) is None or first > runtime
    ]


def runtime_text(runtime: Runtime) -> str:
    """Returns a runtime as people write it: `"2.14"`."""
    return ".".join(map(str, runtime))


def parse_runtime(value: Any) -> Runtime:
    """Returns the runtime that a text names.

    Args:
        value: `"2.14"`, of TensorFlow and tflite-runtime, or `"litert-1.0"`, of LiteRT.

    Raises:
        ConfigError: It names none; the message says what is allowed.
    """
    text = str(value).strip().lower()
    match = re.fullmatch(r"(?:(litert|tflite|tensorflow|tf)[- ]?)?(\d+)\.(\d+)(?:\.\d+)?", text)
    if match is not None:
        number = int(match[2]), int(match[3])
        if match[1] != "litert":
            if number >= OLDEST:
                return number
        elif number >= min(LITERT):
            return LITERT[max(first for first in LITERT if first <= number)]
    raise ConfigError(
        f"A runtime is a version of TensorFlow Lite from {runtime_text(OLDEST)} on, such as 2.14, "
        f"or one of LiteRT from {runtime_text(min(LITERT))} on, such as litert-1.4. Received: "
        f"{value!r}"
    )
