"""A .tflite file, opened in the client that it is for, where that is at hand."""

from __future__ import annotations

from pathlib import Path

from keras_rnn_zoo.errors import OpGateError, RunError
from keras_rnn_zoo.export.tflite import micro
from keras_rnn_zoo.export.tflite.file import MICRO, STEP, description, read
from keras_rnn_zoo.export.tflite.interpreter import TFLiteModel
from keras_rnn_zoo.export.tflite.steps import StepModel
from keras_rnn_zoo.export.tflite.streams import signatures_of
from keras_rnn_zoo.files import PathLike


def open_model(path: PathLike, threads: int = 1, *, keep_tensors: bool = False) -> TFLiteModel:
    """Opens a file: those for TensorFlow Lite Micro in tflite-micro, if it is installed.

    Args:
        path: The file.
        threads: CPU threads of an invoke.
        keep_tensors: See `TFLiteModel`; in LiteRT, as tflite-micro shows no tensors inside.

    Raises:
        RunError, OpGateError: See `TFLiteModel`.
    """
    content = read(Path(path))
    if not keep_tensors and description(content).startswith(MICRO) and micro.find() is not None:
        return micro.MicroModel(path)
    kind = StepModel if STEP in signatures_of(content) else TFLiteModel
    try:
        return kind(path, threads, keep_tensors=keep_tensors)
    except (RunError, OpGateError):
        if description(content).startswith(MICRO) and not keep_tensors:
            # LiteRT has no 16 bits of the LSTM op.
            micro.needed(f"To run {Path(path).name}")
        raise
