"""A process of its own that runs one .tflite file: see `isolated`. It knows no TensorFlow."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ZooError
from keras_rnn_zoo.export.running import TFLiteModel


def run(request: dict[str, Any]) -> None:
    """Runs the file on the stored inputs and stores the answers."""
    file = TFLiteModel(request["file"], request["threads"])
    with np.load(request["inputs"], allow_pickle=False) as stored:
        names = json.loads(str(stored["names"]))
        x = {name: stored[f"x_{number}"] for number, name in enumerate(names)}
    invokes = file.answer(x, request["invokes"])
    answers: dict[str, Any] = {"names": np.array(json.dumps(list(file.outputs)))}
    for which, invoke in enumerate(invokes):
        for number, values in enumerate(invoke.values()):
            answers[f"y_{which}_{number}"] = values
    with Path(request["outputs"]).open("wb") as stream:
        np.savez(stream, **answers)


def main() -> None:
    """Does what the request says, a JSON object as the only argument."""
    request = json.loads(sys.argv[1])
    # A file that asks for more is damaged, or too large for what it is said to be.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    # What the interpreter prints is not the answer.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        run(request)
    except ZooError as error:
        print(json.dumps({"error": str(error)}), file=answer)
    except MemoryError:
        print(json.dumps({"error": f"{request['file']} asks for too much memory."}), file=answer)
    except Exception as error:  # whatever a damaged file makes the interpreter raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        print(json.dumps({"error": f"{request['file']} cannot be run: {reason}"}), file=answer)
    else:
        print(json.dumps({"ok": True}), file=answer)
    answer.flush()
    # Without the interpreter's clean-up, which a damaged file may crash.
    os._exit(0)


if __name__ == "__main__":
    main()
