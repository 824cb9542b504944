"""What is said and written when a model does not convert.

The smallest part that fails is named, with what to do about it, and written beside the file that
could not be, for a bug report:

```
model.keras     the smallest model that still fails
log.txt         what was tried, and all that the converter said
failure.json    the layers, the settings, the versions, and lines of Python that fail again
```
"""

from __future__ import annotations

import contextlib
import json
import re
import warnings
from pathlib import Path
from typing import Any

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import ConversionError, OpGateError, OutputError, one_line
from keras_rnn_zoo.export.diagnose.known_failures import Failure, named_ops, remedy
from keras_rnn_zoo.export.diagnose.minimize import SECONDS, Attempt, Search, part_of, path_of, title
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.recurrent import layers_of
from keras_rnn_zoo.export.keras_model.signature import graph_of
from keras_rnn_zoo.export.progress import Progress
from keras_rnn_zoo.provenance import provenance

KIND = "keras-rnn-zoo export failure"
MODEL_FILE, LOG_FILE, FAILURE_FILE = "model.keras", "log.txt", "failure.json"


def diagnosed(
    failure: Failure,
    model: KerasModel,
    attempt: Attempt,
    directory: Path,
    settings: dict[str, Any],
    say: Progress,
) -> Failure:
    """Finds the layer to blame, writes the failure directory, and returns the error to raise.

    Args:
        failure: How the conversion failed.
        model: What could not be converted; it is not changed.
        attempt: Converts a model within so many seconds, or raises.
        directory: Where to write; what is there is replaced if it is an earlier failure.
        settings: `quantization`, `lowering`, `batch_size` and `timesteps` of `export_tflite`.
        say: Is told what is tried.

    Returns:
        An error of the type of `failure`, whose message names the layer and what to do.
    """
    say(f"{str(failure).rstrip('.')}. Looking for the layer to blame, {SECONDS:.0f} s at most.")
    search = Search(model, attempt, failure, say)
    with warnings.catch_warnings():
        # What Keras warns of when a layer is called, it said when the model was built.
        warnings.simplefilter("ignore")
        nodes = search.run(settings["batch_size"], settings["timesteps"])
    if nodes:  # whose sizes are all known
        settings = {**settings, "timesteps": None}
    blamed = list({id(node.operation): node.operation for node in nodes}.values())
    reason, advice = remedy(search.error, blamed[0] if len(blamed) == 1 else None)
    if nodes:
        what = title(nodes)
        text = f"{what[0].upper()}{what[1:]} cannot be converted"
        if len(blamed) > 1:
            text += " together"
            reason = re.sub(r"\bit\b", "the model", reason)
    else:
        text = f"Model '{model.name}' cannot be converted, and no layer of it fails by itself"
    if not search.complete:
        text += " (the search was cut short)"
    text += f": {reason}. {advice}"
    whole = {
        "kind": KIND,
        "message": text,
        "error": type(failure).__name__,
        "reason": str(search.error),
        "ops": list(named_ops(search.error)),
        "layers": [
            {
                "path": path_of(node.operation),
                "class": f"{type(node.operation).__module__}.{type(node.operation).__qualname__}",
            }
            for node in nodes
        ],
        "complete": search.complete,
        "tries": len(search.lines),
        "settings": settings,
        "provenance": provenance(),
    }
    part = part_of(nodes, model.name) if nodes else contextlib.nullcontext(model.keras)
    try:
        with warnings.catch_warnings(), part as smallest:
            warnings.simplefilter("ignore")
            saved = _write(directory, smallest, whole, search, failure)
    except OutputError as error:
        text += f" No report was written: {error}"
    else:
        smaller = "the smallest model that still fails" if nodes else "the model"
        text += (
            f" For a bug report, {directory} holds {smaller + ' and ' if saved else ''}the "
            "converter's log."
        )
    if isinstance(failure, OpGateError):
        return OpGateError(text, failure.ops)
    return ConversionError(text, failure.log, failure.symptom)


def _write(
    directory: Path, model: Any, record: dict[str, Any], search: Search, failure: Failure
) -> bool:
    """Writes the failure directory; returns whether the model could be saved."""
    if not _replaceable(directory):
        raise OutputError(f"{directory} holds something else. Move it away, and export again.")
    why = None
    with files.new_directory(directory, replace=True) as place:
        try:
            model.save(place / MODEL_FILE)
        except OSError:
            raise
        except Exception as error:  # a layer without get_config, a lambda, ...
            why = one_line(error)
            (place / MODEL_FILE).unlink(missing_ok=True)
        files.write_json(
            place / FAILURE_FILE,
            {**record, "not_saved": why, "reproduce": None if why else _snippet(model, record)},
        )
        parts = [record["message"]]
        if why:
            parts.append(f"The model could not be saved: {why}")
        parts.append("\n".join(["Tried:", *search.lines]))
        for name, failed in (("whole model", failure), ("smallest part", search.error)):
            log = failed.log if isinstance(failed, ConversionError) else ""
            parts.append(f"----- {name} -----\n{failed}\n{log}")
        files.write_text(place / LOG_FILE, "\n\n".join(parts).rstrip() + "\n")
    return why is None


def _replaceable(directory: Path) -> bool:
    """Whether nothing is there, or a failure that we wrote and nobody added to."""
    if not directory.exists():
        return True
    if not directory.is_dir():
        return False
    names = {path.name for path in directory.iterdir()}
    if not names:
        return True
    try:
        record = json.loads((directory / FAILURE_FILE).read_text(encoding="utf-8"))
        ours = isinstance(record, dict) and record.get("kind") == KIND
    except (OSError, ValueError):
        return False
    return ours and names <= {MODEL_FILE, LOG_FILE, FAILURE_FILE}


def _snippet(model: Any, record: dict[str, Any]) -> list[str]:
    """Returns lines of Python that load the model and fail again."""
    kinds = {type(layer) for layer in [*layers_of(model), *graph_of(model).operations]}
    own = sorted(
        (kind.__module__, kind.__qualname__)
        for kind in kinds
        if kind.__module__.split(".")[0] not in ("keras", "keras_rnn_zoo")
    )
    lines = [
        f"# Define {name} first, as your program does."
        if module == "__main__" or "<locals>" in name
        else f"from {module} import {name}"
        for module, name in own
    ]
    own = [(module, name.split(".")[-1]) for module, name in own]
    lines.append("import keras; from keras_rnn_zoo.export import export_tflite, synthetic_samples")
    custom = "{" + ", ".join(f'"{name}": {name}' for _, name in own) + "}"
    more = f", custom_objects={custom}" if own else ""
    if any(kind.__name__ == "Lambda" for kind in kinds):
        more += ", safe_mode=False"
    lines.append(f'model = keras.saving.load_model("{MODEL_FILE}", compile=False{more})')
    settings = "".join(
        f", {name}={value!r}" for name, value in record["settings"].items() if value is not None
    )
    if record["settings"].get("quantization") == "int8":
        settings += ", representative_data=synthetic_samples(model)"
    lines.append(f'export_tflite(model, "model.tflite"{settings})')
    return lines
