"""A C++ project for microcontrollers, with TensorFlow Lite Micro."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from keras_rnn_zoo.export.app.app import ARRAYS, App, File
from keras_rnn_zoo.export.app.language import Language, register_language, rendered
from keras_rnn_zoo.export.tflite import flatbuffer as fb

# Methods of MicroMutableOpResolver that are called otherwise than their op.
METHODS = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}


@register_language("micro")
class Micro(Language):
    """The file as an array, its ops, encoding and labels, and a program that checks itself."""

    description = "TensorFlow Lite Micro (tflite-micro)"
    usage = "cmake -S app/micro -B build -DTFLM_DIR=... -DTFLM_LIB=... && cmake --build build"
    dtypes: ClassVar[frozenset[str]] = frozenset({"float32", "int32", "int8", "int16"})

    def refuses(self, app: App) -> str | None:
        """Says what keeps a microcontroller from it; see `Language.refuses`."""
        if app.target != "micro":
            return "was not exported with --target micro"
        reason = super().refuses(app)
        if reason is None and not _recorded(app, _chosen(self.usable(app))):
            return "has no recorded answers, for its file does not run here"
        return reason

    def usable(self, app: App) -> list[File]:
        """Returns the files, the one to write first; an app resets and carries their states."""
        return sorted(
            (file for file in app.files if file.dtypes <= self.dtypes), key=lambda file: file.bytes
        )

    def files(self, app: App) -> Mapping[str, str]:
        """Returns the project of the smallest file."""
        chosen = _chosen(list(app.files))
        content = (app.directory / chosen.name).read_bytes()
        output = chosen.outputs[0].size
        if chosen.states and app.preprocessor and app.preprocessor.task == "sequence_labelling":
            output *= app.preprocessor.timesteps // (chosen.inputs[0].shape[1] or 1)
        recorded = _recorded(app, chosen)
        values: dict[str, Any] = {
            "outputs": output,
            # Of arrays an answer for each time step has an axis of theirs.
            "each": app.kind == ARRAYS and len(chosen.outputs[0].shape) > 2,
            "number": "float" if chosen.inputs[0].dtype != "int32" else "int32_t",
            "state_bytes": sum(one.size * np.dtype(one.dtype).itemsize for one in chosen.states),
            "lines": [content[start : start + 16] for start in range(0, len(content), 16)],
            "count": len(content),
            "methods": [method(op) for op in sorted(chosen.ops)],
            "places": places(content),
            "arena": arena(chosen),
            "recorded": recorded,
            "outputs_in_all": len(recorded[0]["y"]),
            "tolerance": _tolerance(app, chosen),
        }
        one = app.restricted([chosen])
        return {
            name: rendered(f"micro/{name}.jinja", one, **values)
            for name in (
                "model_data.h",
                "model_data.cc",
                "model.h",
                "model.cc",
                "main.cc",
                "CMakeLists.txt",
            )
        }


def method(op: str) -> str:
    """Returns the method of MicroMutableOpResolver that adds an op of the schema."""
    words = "".join(word.capitalize() for word in op.split("_"))
    return METHODS.get(op, "Add" + re.sub(r"(\d)d$", r"\1D", words))


def arena(file: File) -> int:
    """Returns bytes for the tensor arena: as measured, or a guess to be corrected."""
    measured = file.arena if file.arena is not None else max(16 * 1024, 2 * file.bytes)
    return -(-measured // 16) * 16


def places(content: bytes) -> dict[str, dict[str, int]]:
    """Returns where the inputs and outputs of a file's signature stand, as an interpreter counts.

    Args:
        content: The file.

    Returns:
        `inputs` and `outputs`: name -> number.
    """
    model = fb.unpack(content)
    graph = model.subgraphs[0]
    (signature, *_) = model.signatureDefs
    return {
        kind: {
            one.name.decode() if isinstance(one.name, bytes) else str(one.name): list(order).index(
                one.tensorIndex
            )
            for one in tensors
        }
        for kind, tensors, order in (
            ("inputs", signature.inputs, graph.inputs),
            ("outputs", signature.outputs, graph.outputs),
        )
    }


def _chosen(files: Sequence[File]) -> File:
    return min(files, key=lambda file: file.bytes)


def _recorded(app: App, file: File) -> list[dict[str, list[float]]]:
    """What goes into the project and has to come out: raw features, or what the file takes."""
    entry = _entry(app, file)
    if entry is None:
        return []
    found = []
    for sample, answer in zip(app.golden["samples"], entry["answers"], strict=True):
        given = sample.get("features", sample["inputs"][file.inputs[0].name])
        if app.kind in ("text", "tokens"):
            real = np.trim_zeros(np.asarray(sample.get("tokens", given)))
            given = real if real.size else [0]
        found.append(
            {
                "x": np.ravel(np.asarray(given)).tolist(),
                "y": np.ravel(answer["outputs"][file.outputs[0].name]).tolist(),
            }
        )
    # main.cc checks itself with two: the longest, and what may be taken for padding.
    return [*found[:1], *found[1:][-1:]]


def _tolerance(app: App, file: File) -> float:
    entry = _entry(app, file)
    return float(entry["tolerance"]) if entry is not None else 0.0


def _entry(app: App, file: File) -> Mapping[str, Any] | None:
    """What golden.json says of a file."""
    return next((one for one in app.golden.get("files", ()) if one["file"] == file.name), None)
