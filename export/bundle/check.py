"""A bundle checked and timed again, from its own files alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import (
    ExportError,
    RunError,
)
from keras_rnn_zoo.export.bundle.any_file import benchmark_file, compare_isolated
from keras_rnn_zoo.export.bundle.bundle import REFERENCE_FILE, Bundle, _references
from keras_rnn_zoo.export.progress import Progress, teller
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.tflite.isolated import Isolated
from keras_rnn_zoo.export.verify.reference import (
    Reference,
)


def verify_bundle(path: files.PathLike, *, progress: bool | Progress = False) -> dict[str, Any]:
    """Checks a bundle again, from its own files alone.

    Every file is compared with its SHA-256; each .tflite goes through the op check and is compared
    with what the Keras model answered to the bundle's samples, three invokes each; so is the
    SavedModel, for which TensorFlow is loaded.

    Args:
        path: The bundle.
        progress: Print a line a file to stderr, or call this with it.

    Returns:
        `passed`, `text` (one line) and `files`: for each export its `file`, `passed`, `problem`
        (None or one line) and `parity`; for each damaged or missing file that is none of them
        `file`, `passed` and `problem`.

    Raises:
        RunError: `path` is no bundle, or its report or reference is damaged.
    """
    say = teller(progress)
    bundle = Bundle.load(path)
    damaged: dict[str, str] = {}
    for name, digest in bundle.report["sha256"].items():
        file = bundle.path / name
        if not file.is_file():
            damaged[name] = f"{name} is missing"
        elif files.sha256(file) != digest:
            damaged[name] = f"{name} is not the file that was exported: its SHA-256 differs"
    place = files.inside(bundle.path, REFERENCE_FILE)
    reference = Reference.load(place)
    places = [files.inside(bundle.path, name) for name in _references(bundle.report)]
    checked: list[dict[str, Any]] = []
    for entry in bundle.report["files"]:
        name = entry["file"]
        say(f"Verifying {name}")
        problem = next(
            (damaged.pop(other) for other in list(damaged) if other.split("/")[0] == name), None
        )
        parity = None
        if problem is None:
            try:
                parity = _verify(bundle.path / name, entry, places)
            except (ExportError, RunError) as error:
                problem = str(error)
        checked.append(
            {"file": name, "passed": problem is None, "problem": problem, "parity": parity}
        )
    checked += [
        {"file": name, "passed": False, "problem": problem, "parity": None}
        for name, problem in damaged.items()
    ]
    failed = [item for item in checked if not item["passed"]]
    count = len(checked)
    intact = f"All {count} exports of {bundle.path} are unchanged and answer"
    if count == 1:
        intact = f"The export of {bundle.path} is unchanged and answers"
    text = (
        f"{bundle.path} does not hold what was exported: "
        + "; ".join(item["problem"].rstrip(".") for item in failed)
        + ". Take a complete copy, or export again."
        if failed
        else f"{intact} what the Keras model answers, on "
        f"{len(next(iter(reference.x.values())))} samples."
    )
    return {"passed": not failed, "text": text, "files": checked}


def _resizable(entry: dict[str, Any]) -> bool:
    return any(None in spec["shape"] for spec in entry["tensors"]["inputs"])


def _verify(path: Path, entry: dict[str, Any], places: list[Path]) -> dict[str, Any]:
    reference, *resized = places
    if entry["format"] == "saved_model":
        with Isolated() as process:
            return dict(
                process.ask(
                    "keras_rnn_zoo.export.formats.saved_model:verify",
                    path,
                    reference=str(reference),
                )[0]
            )
    mode = QUANTIZATIONS.get(entry["quantization"])
    for other in resized if _resizable(entry) else []:
        compare_isolated(path, other, mode)
    return compare_isolated(path, reference, mode)


def benchmark_bundle(
    path: files.PathLike,
    *,
    quantization: Sequence[str] | None = None,
    threads: int = 1,
    repeats: int | None = None,
    seconds: float = 1.0,
    progress: bool | Progress = False,
    quantize: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Measures the latency of a bundle's .tflite files on this machine, on its own samples.

    Args:
        path: The bundle.
        quantization: Quantization modes to measure; None for all that it has.
        threads: CPU threads of an invoke.
        repeats: Invokes of each file; None measures for `seconds`.
        seconds: How long to measure each file.
        progress: Print a line a file to stderr, or call this with it.
        quantize: What `quantization` was called.

    Returns:
        For each file `file`, `quantization`, `bytes` and what `benchmark_tflite` returns.

    Raises:
        RunError: `path` is no bundle, has no .tflite file, or is damaged.
        UnknownNameError: The bundle has no file of a mode.
    """
    if quantize is not None:
        warnings.warn("quantize is called quantization now.", FutureWarning, stacklevel=2)
        quantization = quantize
    say = teller(progress)
    bundle = Bundle.load(path)
    if not bundle.quantizations:
        raise RunError(f"{bundle.path} holds no .tflite file. Export with --format tflite.")
    names = list(bundle.quantizations) if quantization is None else list(quantization)
    chosen = {name: bundle.file(name) for name in names}
    reference = Reference.load(files.inside(bundle.path, REFERENCE_FILE))
    samples = {name: values[: reference.given] for name, values in reference.x.items()}
    rows = []
    for name, file in chosen.items():
        say(f"Measuring {file.name}")
        measured = benchmark_file(file, samples, threads=threads, repeats=repeats, seconds=seconds)
        rows.append(
            {"file": file.name, "quantization": name, "bytes": file.stat().st_size, **measured}
        )
    return rows
