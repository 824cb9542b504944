"""Holds the files of a bundle for MediaPipe against MediaPipe itself, on raw texts.

    keras-rnn-zoo train bilstm --data train.csv --target mediapipe -o run
    keras-rnn-zoo export run --target mediapipe --format tflite -o bundle
    python benchmarks/mediapipe.py bundle --data test.csv --clients clients

`clients` is a folder with one folder a client (`keras-rnn-zoo clients` says which there are, and
how to install them). Each classifier of texts answers them as they are, and has to give the label
that `predict` gives, and scores within 1e-4 of its scores. Files that quantize activations may
differ by as much as they do from the Keras model: other kernels round otherwise. Prints a line for
each client and file; exits with 1 where something is wrong, or no client is there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("mediapipe", "mediapipe_js", "task_library")
LIMIT = 1e-4
# Modes that compute in float32.
EXACT = ("none", "float16")


def compared(ours: list[dict[str, Any]], theirs: list[dict[str, float]]) -> dict[str, Any]:
    """Returns how many labels differ, and by how much scores do at most and where."""
    off = [
        max(abs(one["scores"][label] - other[label]) for label in one["scores"])
        for one, other in zip(ours, theirs, strict=True)
    ]
    labels = [max(other, key=lambda label: other[label]) for other in theirs]
    flips = sum(one["label"] != label for one, label in zip(ours, labels, strict=True))
    return {"labels": flips, "scores": max(off), "worst": off.index(max(off)) + 1}


def main() -> None:
    """See the top."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--data", required=True, help="a table with a column of texts")
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--clients", default=os.environ.get("KERAS_RNN_ZOO_CLIENTS"))
    parser.add_argument("-o", "--output", help="a JSON file with the figures")
    given = parser.parse_args()
    if given.clients:
        os.environ["KERAS_RNN_ZOO_CLIENTS"] = given.clients
    from keras_rnn_zoo import load
    from keras_rnn_zoo.data import load_inputs
    from keras_rnn_zoo.export import CLIENTS
    from keras_rnn_zoo.export.clients.client import ClientRefuses, installed

    clients = [(CLIENTS.get(name), one) for name in NAMES for one in installed(CLIENTS.get(name))]
    if not clients:
        sys.exit("No client is installed: name their folder with --clients.")
    bundle = load(given.bundle)
    texts = list(load_inputs(given.data, text_column=given.text_column))[: given.rows]
    found: list[dict[str, Any]] = []
    for mode, path in bundle.quantizations.items():
        entry = next(one for one in bundle.report.files if one.file == path.name)
        allowed = LIMIT
        if mode not in EXACT:
            allowed = max(LIMIT, entry.parity["max_abs_output"])
        ours = bundle.predict(texts, quantization=mode)
        for client, place in clients:
            start, row = time.perf_counter(), {"file": path.name, "client": place.version}
            try:
                row |= compared(ours, client.classify(place, path.read_bytes(), texts))
                row["right"] = row["labels"] == 0 and row["scores"] <= allowed
                says = "{labels} other labels, scores differ by {scores:.2g}".format_map(row)
            except ClientRefuses as error:
                row |= {"refused": str(error), "right": False}
                says = f"refused: {error}"
            took = time.perf_counter() - start
            found.append(row)
            print(
                f"{path.name} in {place.version}, {len(texts):,} texts: {says} ({took:.0f} s)",
                flush=True,
            )
    if given.output:
        Path(given.output).write_text(json.dumps(found, indent=1))
    sys.exit(not all(row["right"] for row in found))


if __name__ == "__main__":
    main()
