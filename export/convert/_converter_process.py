"""The converter's own process: see `converter`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
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

    converter, convert = _direct(saved_model) or _public(saved_model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    # The outputs of a loop are written into one tensor; without this the whole tensor is copied
    # at every step.
    converter._experimental_enable_dynamic_update_slice = True
    Path(output).write_bytes(without_cell_clip(convert()))


def _public(saved_model: str) -> tuple[Any, Callable[[], bytes]]:
    """TensorFlow's converter, and what has it convert."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    return converter, converter.convert


def _direct(saved_model: str) -> tuple[Any, Callable[[], bytes]] | None:
    """The same without loading the SavedModel three times first, for figures that nobody reads.

    That is more than half of the time. It takes methods that are not public; None where this
    TensorFlow has others.
    """
    import tensorflow as tf

    try:
        from tensorflow.lite.python.lite import TFLiteConverterBase, TFLiteSavedModelConverterV2

        TFLiteConverterBase._set_original_model_type(1)  # a SavedModel, says the file
        converter = TFLiteSavedModelConverterV2(saved_model, {"serve"}, ["serving_default"])
        counted = converter._convert_and_export_metrics
        convert = converter._convert_from_saved_model
    except (ImportError, AttributeError, TypeError):
        return None
    return converter, lambda: counted(lambda _: convert(tf.compat.v1.GraphDef()))


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
    # To import TensorFlow imports Keras, which imports these where they are: a third of the time.
    for module in ("sklearn", "matplotlib"):
        sys.modules[module] = None  # type: ignore[assignment]
    serve(claim_stdout(), answer)


if __name__ == "__main__":
    main()
