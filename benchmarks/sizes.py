"""What the files of small models are made of, and what they take over their weights.

    python benchmarks/sizes.py -o sizes.json

Every model of the zoo that takes features, as `get_builder(name, units=16, features=1)` builds it,
in every quantization mode that a target takes, over some numbers of time steps. Weights as stored
are the bytes of float and int8 constants in the file; what there is over them is the graph: ops,
tensors, names, biases in integers. Prints a table and writes JSON and, beside it, Markdown. Files
are not run: what a file answers does not depend on how it is packed, which the tests prove.

    python benchmarks/sizes.py -o after.json --before sizes.json

has what each file took before beside what it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from flatbuffers import encode, packer
from flatbuffers.table import Table

from keras_rnn_zoo import files, get_builder, list_models
from keras_rnn_zoo.errors import ZooError
from keras_rnn_zoo.export import TARGETS, export_tflite
from keras_rnn_zoo.export.tflite.contents import inspect
from keras_rnn_zoo.provenance import provenance

UNITS = 16
TIMESTEPS = (28, 100, 200)
# Those whose files have other contents than files for LiteRT.
CLIENTS = ("litert", "micro")
CALIBRATION = 32
# The most that a file should take over its weights.
LIMIT = 16_000

# Of schema.fbs: table -> number of each field that refers to something: "string", the bytes of an
# item of a vector of numbers, a table, or a list of tables.
LAYOUT: dict[str, dict[int, Any]] = {
    "Model": {
        1: ["OperatorCode"],
        2: ["SubGraph"],
        3: "string",
        4: ["Buffer"],
        5: 4,
        6: ["Metadata"],
        7: ["SignatureDef"],
    },
    "OperatorCode": {1: "string"},
    "SubGraph": {0: ["Tensor"], 1: 4, 2: 4, 3: ["Operator"], 4: "string"},
    "Tensor": {0: 4, 3: "string", 4: "QuantizationParameters", 7: 4},
    "QuantizationParameters": {0: 4, 1: 4, 2: 4, 3: 8},
    "Operator": {1: 4, 2: 4, 4: "Options", 8: 4},
    "Options": {},
    "Buffer": {0: 1},
    "Metadata": {0: "string"},
    "SignatureDef": {0: ["TensorMap"], 1: ["TensorMap"], 2: "string"},
    "TensorMap": {0: "string"},
}
KINDS = {
    "Operator": "operators",
    "Options": "options",
    "OperatorCode": "operators",
    "Tensor": "tensors",
    "QuantizationParameters": "quantization",
    "Buffer": "buffers",
    "Metadata": "signatures and metadata",
    "SignatureDef": "signatures and metadata",
    "TensorMap": "signatures and metadata",
}


class Parts:
    """What each byte of a .tflite file is for; what lies between the parts is padding.

    Attributes:
        bytes: Kind -> how many.
    """

    def __init__(self, content: bytes):
        self.bytes: Counter[str] = Counter()
        self._content = content
        self._seen: set[int] = set()
        self._table("Model", encode.Get(packer.uoffset, content, 0))
        self.bytes["padding"] = len(content) - sum(self.bytes.values())

    def _add(self, kind: str, place: int, size: int) -> bool:
        if place in self._seen:
            return False
        self._seen.add(place)
        self.bytes[kind] += size
        return True

    def _table(self, name: str, place: int) -> None:
        vtable = place - encode.Get(packer.soffset, self._content, place)
        size = encode.Get(packer.voffset, self._content, vtable + 2)
        self._add("vtables", vtable, encode.Get(packer.voffset, self._content, vtable))
        if not self._add(KINDS.get(name, "graphs"), place, size):
            return
        table = Table(self._content, place)
        for field, kind in LAYOUT[name].items():
            offset = table.Offset(4 + 2 * field)
            if not offset:
                continue
            if isinstance(kind, list):
                self._tables(kind[0], table, offset)
            elif kind in LAYOUT:
                self._table(kind, table.Indirect(place + offset))
            else:
                self._vector(name, field, kind, table, offset)

    def _tables(self, name: str, table: Table, offset: int) -> None:
        start, length = table.Vector(offset), table.VectorLen(offset)
        if self._add(KINDS.get(name, "graphs"), start, 4 + 4 * length):
            for place in range(start, start + 4 * length, 4):
                self._table(name, table.Indirect(place))

    def _vector(self, name: str, field: int, kind: Any, table: Table, offset: int) -> None:
        start, length = table.Vector(offset), table.VectorLen(offset)
        if kind == "string":
            named = name in ("Tensor", "SubGraph")
            self._add("names" if named else "signatures and metadata", start, 5 + length)
        elif name == "Buffer":
            self._add("buffers", start - 4, 4)
            self._add("constants", start, length)
        else:
            kind_of = "shapes" if name == "Tensor" else KINDS.get(name, "graphs")
            self._add(kind_of, start, 4 + kind * length)


def data_of(timesteps: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.normal(size=(CALIBRATION, timesteps, 1)).astype("float32")


def rows_of(name: str, timesteps: int, client: str) -> Iterator[dict[str, Any]]:
    """Yields a row for each mode."""
    import keras

    keras.utils.set_random_seed(0)
    # Microcontrollers lack the ops that find padding.
    builder = get_builder(
        name, timesteps=timesteps, units=UNITS, features=1, mask=TARGETS.get(client).masks
    )
    model = builder.build()
    for mode in TARGETS.get(client).quantizations():
        if client == "litert" and mode == "int16x8":
            continue
        row: dict[str, Any] = {"model": name, "timesteps": timesteps, "target": client}
        row |= {"quantization": mode, "parameters": model.count_params()}
        with tempfile.TemporaryDirectory() as scratch:
            try:
                path = export_tflite(
                    model,
                    Path(scratch) / "model.tflite",
                    quantization=mode,
                    target=client,
                    representative_data=data_of(timesteps),
                    verify=False,
                    diagnose=False,
                    progress=False,
                ).path
            except ZooError as error:  # which says what the target does not take
                yield {**row, "error": str(error)}
                continue
            info, parts = inspect(path), Parts(path.read_bytes())
        weights = info.float_weight_bytes + info.quantized_weight_bytes
        row |= {"bytes": info.bytes, "weights": weights, "over": info.bytes - weights}
        yield {**row, "ops": sum(info.ops.values()), "parts": dict(parts.bytes)}


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "timesteps", "target", "quantization"))


def markdown(rows: list[dict[str, Any]], before: dict[tuple[Any, ...], dict[str, Any]]) -> str:
    """The rows as a table; bytes are those over the weights."""
    head = ["model", "steps", "target", "mode", "parameters", "weights", "bytes", "over weights"]
    lines = [[*head, *(["bytes before", "over before"] if before else []), "ops"]]
    lines.append(["---"] * len(lines[0]))
    for row in rows:
        if "error" in row:
            continue
        figures = [row["parameters"], row["weights"], row["bytes"], row["over"]]
        if before:
            earlier = before.get(key_of(row), {})
            figures += [earlier.get("bytes", 0), earlier.get("over", 0)]
        cells = [f"{figure:,}" for figure in (*figures, row["ops"])]
        mode = "float32" if row["quantization"] == "none" else row["quantization"]
        lines.append([row["model"], str(row["timesteps"]), row["target"], mode, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--models", nargs="*", choices=list_models(), default=list_models())
    parser.add_argument("--timesteps", nargs="*", type=int, default=TIMESTEPS)
    parser.add_argument("--targets", nargs="*", choices=CLIENTS, default=CLIENTS)
    parser.add_argument("--before", type=Path, help="JSON file of an earlier run")
    options = parser.parse_args()
    before = {}
    if options.before is not None:
        earlier = json.loads(options.before.read_text())["rows"]
        before = {key_of(row): row for row in earlier if "error" not in row}
    rows = []
    for client in options.targets:
        for name in options.models:
            for timesteps in options.timesteps:
                for row in rows_of(name, timesteps, client):
                    rows.append(row)
                    label = f"{name:10} {timesteps:4} {client:7} {row['quantization']:8}"
                    over = row.get("over")
                    said = row.get("error", "") if over is None else f"{row['bytes']:8,} {over:8,}"
                    print(label, said, "" if (over or 0) <= LIMIT else " above", flush=True)
    made = provenance(seed=0, command=shlex.join(["python", *sys.argv]))
    files.write_json(options.output, {"rows": rows, "limit": LIMIT, "provenance": made})
    options.output.with_suffix(".md").write_text(markdown(rows, before))


if __name__ == "__main__":
    main()
