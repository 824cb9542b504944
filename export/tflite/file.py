"""A .tflite file as bytes, and as an interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_rnn_zoo.errors import OpGateError, RunError

# What a file says of itself (`description` of the schema) that TensorFlow Lite Micro is to run.
MICRO = "TensorFlow Lite Micro"
RESET = f"{MICRO}: Reset() before each sequence"
# The signature of a file whose call takes a few time steps: inputs and outputs of the same names
# are the states before and after them. What the states are at first has a signature, too, or, where
# the file keeps them, what sets them to that.
STEP, INITIAL_STATE, RESET_STATE = "step", "initial_state", "reset"
# Characters of what the interpreter says that a message repeats.
SAID = 300


def read(path: Path) -> bytes:
    """Returns the bytes of a .tflite file.

    Raises:
        RunError: The file is missing, unreadable, or no .tflite file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"Cannot read {path}: {reason}. Name a .tflite file.") from error
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise RunError(
            f"{path} is not a .tflite file: it has {len(content)} bytes and does not hold the "
            "mark 'TFL3'. Take a complete copy, or export it again."
        )
    return content


def description(content: bytes) -> str:
    """Returns what a .tflite file says of itself."""
    from ai_edge_litert import schema_py_generated as schema

    try:
        return (schema.Model.GetRootAs(content, 0).Description() or b"").decode("utf-8", "replace")
    except Exception:  # it fails in whatever way the bytes of a damaged file say
        return ""


def open_interpreter(
    file: Path | bytes,
    *,
    threads: int = 1,
    keep_tensors: bool = False,
    path: Path | None = None,
) -> Any:
    """Returns an `ai_edge_litert` interpreter of a file, its tensors allocated.

    Args:
        file: A .tflite file, or what one holds.
        threads: CPU threads of an invoke.
        keep_tensors: Keep intermediate tensors readable after an invoke. Slower, and without
            the accelerated kernels that fuse several ops.
        path: Where bytes come from, for messages.

    Raises:
        RunError: The file is damaged.
        OpGateError: The interpreter lacks one of its ops.
    """
    import warnings

    from ai_edge_litert.interpreter import Interpreter

    place = path if isinstance(file, bytes) else file
    name, where = ("The file", "The file") if place is None else (place.name, str(place))
    content = file if isinstance(file, bytes) else read(file)
    try:
        with warnings.catch_warnings():
            # It warns that keeping tensors takes memory, which is what was asked for.
            warnings.simplefilter("ignore")
            interpreter = Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_preserve_all_tensors=keep_tensors,
            )
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        if "op for" in reason or "unresolved" in reason:
            raise OpGateError(
                f"{name} holds an op that the installed interpreter does not run: {reason}"
            ) from error
        if len(reason) > SAID:  # of every tensor that XNNPACK does not like, and why at the end
            reason = f"... {reason[-SAID:]}"
        raise RunError(
            f"{where} cannot be loaded: {reason} Take a complete copy, or export it again."
        ) from error
    return interpreter
