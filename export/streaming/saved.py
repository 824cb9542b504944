"""The state of a stream as bytes: nothing is pickled.

| bytes | hold |
| --- | --- |
| 8 | `KRZSTATE` |
| 4 | the version of this form, little-endian, as all numbers here |
| 4 | the size of the header |
| header | JSON: `model` (the file's SHA-256), `steps`, `states` (name, dtype and shape of each) |
| the rest but 32 | the states as the file stores them, one after the other, rows first |
| 32 | the SHA-256 of all before |
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import RunError

MAGIC = b"KRZSTATE"
VERSION = 1
_START = struct.Struct("<8sII")
_HASH = 32
_AGAIN = "Save the state again, or begin a new stream."


def pack(model: str, steps: int, states: Sequence[tuple[str, np.ndarray]]) -> bytes:
    """Returns a state as bytes.

    Args:
        model: SHA-256 of the file.
        steps: Time steps seen.
        states: Name and stored numbers of each.
    """
    described = [
        {"name": name, "dtype": values.dtype.name, "shape": list(values.shape)}
        for name, values in states
    ]
    header = json.dumps({"model": model, "steps": steps, "states": described}).encode()
    content = _START.pack(MAGIC, VERSION, len(header)) + header
    for _, values in states:
        content += values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return content + hashlib.sha256(content).digest()


def unpack(content: bytes) -> tuple[str, int, dict[str, np.ndarray]]:
    """Reads what `pack` made.

    Returns:
        SHA-256 of the file, steps, and name -> stored numbers.

    Raises:
        RunError: It is no state, a damaged one, or one of a newer version.
    """
    if not isinstance(content, bytes | bytearray | memoryview):
        raise RunError(
            f"A state is the bytes that save() returned. Received: {type(content).__name__}"
        )
    content = bytes(content)
    if len(content) < _START.size or not content.startswith(MAGIC):
        raise RunError(
            f"These {len(content)} bytes are no state of a stream: they do not begin with "
            f"'{MAGIC.decode()}'. Give what save() returned."
        )
    _, version, size = _START.unpack_from(content)
    if version > VERSION:
        raise RunError(
            f"The state has the version {version}, and this keras-rnn-zoo reads up to {VERSION}. "
            "Install a newer keras-rnn-zoo."
        )
    if hashlib.sha256(content[:-_HASH]).digest() != content[-_HASH:]:
        raise RunError(f"The state is damaged: its SHA-256 differs. {_AGAIN}")
    try:
        header = json.loads(content[_START.size : _START.size + size])
        place, states = _START.size + size, {}
        for one in header["states"]:
            dtype, shape = np.dtype(one["dtype"]), [int(n) for n in one["shape"]]
            count = math.prod(shape)
            values = np.frombuffer(content, dtype.newbyteorder("<"), count, place)
            states[str(one["name"])] = values.reshape(shape).astype(dtype)
            place += count * dtype.itemsize
        model, steps = str(header["model"]), _count(header["steps"])
        if place != len(content) - _HASH:
            raise ValueError("bytes are left")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"The state is damaged ({' '.join(str(error).split())}). {_AGAIN}") from None
    return model, steps, states


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"steps={value!r}")
    return value
