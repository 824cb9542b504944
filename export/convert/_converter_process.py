"""The converter's own process: see `converter`."""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_rnn_zoo.child import claim_stdout, serve
from keras_rnn_zoo.export.convert.clipping import without_cell_clip

# `loc(callsite(... at ...)): `, which stands before what is wrong there.
_LOCATION = re.compile(r"^loc\(.*\): ")
# Constants: megabytes of them, and nobody's business in a bug report.
_WEIGHTS = re.compile(r'"0x[0-9A-Fa-f]{32,}"')


def convert(saved_model: str, output: str) -> None:
    """Converts a SavedModel and writes the float32 file."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    # The outputs of a loop are written into one tensor; without this the whole tensor is copied
    # at every step.
    converter._experimental_enable_dynamic_update_slice = True
    with _garbage_left():
        content = converter.convert()
    Path(output).write_bytes(without_cell_clip(content))


@contextlib.contextmanager
def _garbage_left() -> Iterator[None]:
    """Leaves what is there now to later collections of garbage.

    The converter starts one. To look through all of TensorFlow takes it as long as the rest of
    converting a small model, and longer in the process of a user who has much else.
    """
    if gc.get_freeze_count():  # somebody else's, who counts on it
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _first_line(error: Exception) -> str:
    """The line of a converter's message that says what is wrong, without the locations."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line] or lines or [type(error).__name__]
    return _LOCATION.sub("", telling[0].split("error:")[-1].strip())[:500]


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Does what a request asks, and returns `{"ok": True}`, or the error and all that was said."""
    try:
        convert(**request)
    except Exception as error:  # whatever the converter raises is the answer
        return {"error": _first_line(error), "log": _WEIGHTS.sub('"0x..."', str(error))}
    return {"ok": True}


def main() -> None:
    """Answers requests until there are no more."""
    serve(claim_stdout(), answer)


if __name__ == "__main__":
    main()
