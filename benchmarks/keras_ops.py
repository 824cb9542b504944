"""Which calls of `keras.ops` and which layers a .tflite file of builtin ops can hold.

    python benchmarks/keras_ops.py -o docs/keras-ops.json

Each expression of `tests/export/keras_ops.py` becomes a model, is exported in float32 and compared
with Keras. Writes JSON, which the tests hold reality against, and beside it the same as a table in
Markdown. Takes about six minutes.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "export"))

from keras_ops import expressions, markdown, sweep

from keras_rnn_zoo import files
from keras_rnn_zoo.provenance import provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    found = {}
    for expression, outcome in sweep(expressions()):
        found[expression] = outcome
        print(f"{outcome['status']:9} {expression}", flush=True)
    files.write_json(
        options.output,
        {
            "outcomes": found,
            "provenance": provenance(command=shlex.join(["python", *sys.argv])),
        },
    )
    files.write_text(options.output.with_suffix(".md"), markdown(found))


if __name__ == "__main__":
    main()
