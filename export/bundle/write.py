"""The bundle: everything that an app needs to run a trained model, with the proof that it works.

```
model.tflite, model_float16.tflite, ...   a file per quantization mode
saved_model/                              the same for TensorFlow
vocab.txt, labels.txt                     for the inputs and the answers
report.json, report.html                  what each file holds and how it compares with Keras
reference.npz                             samples with Keras' answers, to verify again anywhere
```

A bundle predicts, verifies and benchmarks without TensorFlow (its SavedModel aside).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import (
    ConfigError,
    ConversionError,
    ExportError,
    OpGateError,
    RunError,
    UnknownNameError,
    ZooError,
    listed,
    nearest,
)
from keras_rnn_zoo.export.bundle.page import PAGE_FILE, REPORT_FILE, page
from keras_rnn_zoo.export.bundle.rows import (
    choose_rows,
    read_data,
    read_representative,
)
from keras_rnn_zoo.export.bundle.scoring import Labelled, label_rows
from keras_rnn_zoo.export.bundle.source import infer_task, open_source
from keras_rnn_zoo.export.formats.choose import AUTO, SIZE_LIMIT, candidates
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.progress import Progress, teller
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.export.tflite import contents
from keras_rnn_zoo.export.tflite.interpreter import TensorInfo, TFLiteModel
from keras_rnn_zoo.export.tflite.latency import benchmark_tflite
from keras_rnn_zoo.export.verify.compare import compare_tflite, integer_answers
from keras_rnn_zoo.export.verify.reference import (
    Reference,
    reference_of,
    resized_references,
    sizes_proven,
)
from keras_rnn_zoo.export.verify.scores import check_losses

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.signature import Timesteps
from keras_rnn_zoo.export.bundle.bundle import REFERENCE_FILE, SAVED_MODEL, Bundle
from keras_rnn_zoo.export.bundle.report import report_of

FORMATS = ("tflite", "saved_model")


MODES = ("none", "float16", "dynamic", "int8")


LATENCY_SECONDS = 0.5


def export_bundle(
    source: files.PathLike,
    output: files.PathLike,
    *,
    formats: Sequence[str] = FORMATS,
    quantize: Sequence[str] | None = None,
    data: files.PathLike | None = None,
    test_data: files.PathLike | None = None,
    text_column: str = "text",
    label_column: str = "label",
    representative_data: Any = None,
    samples: int = 128,
    batch_size: int = 1,
    timesteps: Timesteps = None,
    target: str = "litert",
    lowering: str | Sequence[str] | None = None,
    fold_embedding: bool | None = None,
    size_limit: int = SIZE_LIMIT,
    inference_type: str = "float32",
    trial: str | None = None,
    command: str | None = None,
    progress: bool | Progress = False,
) -> Bundle:
    """Writes a trained model for an app: files in every form asked for, verified and measured.

    Args:
        source: A run directory, a search directory (its `best` run), or a `.keras` file.
        output: A new directory.
        formats: `"tflite"`, `"saved_model"`, or both.
        quantize: Quantization modes of the .tflite files: see `QUANTIZATIONS`; None for float32,
            float16, dynamic and int8, as far as the target takes them.
        data: Data set to calibrate, verify and score on, as `load_data` takes it; the samples that
            the run keeps where there is none.
        test_data: The same for the rows to verify and score on.
        text_column: Column of a table that holds the texts.
        label_column: Column of a table that holds the labels.
        representative_data: Encoded inputs to calibrate int8 and dynamic on, in any form that
            `export_tflite` takes, or a file of them: `.npy`, or `.npz` with an array for each
            input; or data as `load_data` takes it. Instead of those of the run or the data.
        samples: How many rows to verify on.
        batch_size: Sequences that one call of a .tflite file answers.
        timesteps: Number of time steps where a `.keras` file leaves it open, of all inputs or by
            name, as `export_tflite` takes it; the representative data or the data say it, too.
        target: The client that the .tflite files are for: a name of `TARGETS`.
        lowering: How recurrences are expressed: a name of `LOWERINGS`, None for what the target
            prefers, or `"auto"`, or several names: then each file is written in each way, and
            takes the fastest on this machine.
        fold_embedding: Replace embeddings and the input projections behind them by tables: see
            `export_tflite`. The report compares bytes and latency of both.
        size_limit: Bytes that a file may have for `"auto"` to fold.
        inference_type: Type of the int8 file's inputs and outputs, `"float32"` or `"int8"`; token
            ids stay int32, and the other files take and answer float32.
        trial: Of a search, the trial to export: one of its front; None is the winner.
        command: The command line, for the report.
        progress: Print a line a step to stderr, or call this with it.

    Returns:
        The bundle.

    Raises:
        ConfigError: The target does not take that quantization or lowering.
        RunError: The source is missing or damaged.
        ExportError: A mode failed, or int8 has nothing to calibrate on; nothing was written, but
            where a model does not convert, what a bug report needs: `<output>.failure`.
        DataError: The data cannot be read, or do not fit the model.
        OutputError: `output` holds something, or cannot be written.
    """
    from keras_rnn_zoo.data import Dataset
    from keras_rnn_zoo.export.formats.tflite import (
        check_inference_type,
        check_integer_inputs,
        roundings,
    )
    from keras_rnn_zoo.export.keras_model.prepare import prepared
    from keras_rnn_zoo.export.keras_model.samples import as_samples, sizes_of
    from keras_rnn_zoo.export.keras_model.signature import fixed_shapes, renamed

    say = teller(progress)
    formats = _chosen("format", formats, FORMATS)
    client = TARGETS.get(target)
    if quantize is None:
        quantize = client.quantizations(MODES)
    modes = [
        QUANTIZATIONS.get(name)
        for name in _chosen("quantization mode", quantize, QUANTIZATIONS.names())
        if "tflite" in formats
    ]
    for mode in modes:
        client.check_quantization(mode.name)
    considered = candidates(lowering, fold_embedding, 1, target)
    check_inference_type(inference_type, modes)
    if samples < 1:
        raise ConfigError(f"samples must be at least 1. Received: {samples}")
    if batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1. Received: {batch_size}")
    files.check_new_directory(output)
    opened = open_source(Path(source), trial)
    calibrated = [mode.name for mode in modes if mode.needs_representative_data]
    if calibrated and opened.run is None and representative_data is None and data is None:
        raise ExportError(
            f"Quantization {listed(calibrated)} calibrates on real inputs, and {source} brings "
            "none. Give --representative-data or --data, export the run that 'train' wrote, or "
            "leave it out with --quantize none,float16,dynamic."
        )
    if isinstance(representative_data, (str, os.PathLike)):
        representative_data = read_representative(
            opened, representative_data, text_column, label_column
        )
    dataset, test = read_data(opened, data, test_data, text_column, label_column)

    say(f"Loading the model of {source}")
    model = opened.load_model()
    if timesteps is None and opened.preprocessor is not None:
        timesteps = opened.preprocessor.timesteps
    known = representative_data if not isinstance(representative_data, Dataset) else None
    with (
        prepared(model, known, timesteps) as ready,
        files.new_directory(output) as directory,
    ):
        model = ready.model
        if inference_type == "int8":
            check_integer_inputs(model)
        calibration, check = choose_rows(
            opened, model, dataset, test, representative_data, timesteps
        )
        first = as_samples(model, check.x, limit=samples, timesteps=timesteps)
        timesteps = sizes_of(model, first, timesteps)
        if "tflite" in formats:
            fixed_shapes(model, batch_size, timesteps)
        task = infer_task(opened, model)
        say(f"Answering {samples} samples with Keras")
        reference = reference_of(model, first, roundings=roundings(modes))
        resized = []
        if any(c.wanted and LOWERINGS.get(c.lowering).open_sizes for c in considered):
            resized = resized_references(model, first, roundings(modes))
        references = {REFERENCE_FILE: reference}
        references |= {f"reference_{n}.npz": other for n, other in enumerate(resized, 2)}
        for name, each in references.items():
            each.save(directory / name)
        if check.y is not None:
            say(f"Answering {len(check.y):,} rows with labels; each file will answer them too")
        labelled = label_rows(model, check, task)
        if opened.preprocessor is not None:
            opened.preprocessor.save(directory)

        entries: list[dict[str, Any]] = []
        failures: dict[str, ZooError] = {}
        beside = Path(f"{Path(output)}.failure")
        for mode in modes:
            say(f"Writing {mode.file_name}: {mode.description}")
            try:
                entries.append(
                    _write_tflite(
                        directory,
                        model,
                        mode,
                        calibration if mode.takes_representative_data else None,
                        list(references.values()),
                        labelled,
                        batch_size,
                        timesteps,
                        target,
                        lowering,
                        fold_embedding,
                        size_limit,
                        inference_type if mode.integer_io else "float32",
                        # What keeps one mode from converting keeps the others from it, mostly.
                        diagnose=not any(map(_unconvertible, failures.values())) and beside,
                        progress=say,
                    )
                )
            except (ExportError, RunError) as error:
                failures[mode.name] = error
        if "saved_model" in formats:
            say("Writing saved_model")
            try:
                entries.append(_write_saved_model(directory, model, reference, labelled))
            except (ExportError, RunError) as error:
                failures["saved_model"] = error
        if failures:
            if len(failures) == len(entries) + len(failures) == 1:
                raise next(iter(failures.values()))
            reasons = " ".join(
                f"{', '.join(names)}: {reason}" for reason, names in _reasons(failures).items()
            )
            raise ExportError(
                f"{len(failures)} of {len(entries) + len(failures)} exports failed, so no bundle "
                f"was written. {reasons}"
            )
        report = report_of(opened, model, reference, check, labelled, entries, target, command)
        report["names"] = renamed(model)
        report["notes"] = [*ready.notes, *([sizes_proven(first, resized)] if resized else [])]
        report["references"] = list(references)
        report["sha256"] = {
            str(file.relative_to(directory)): files.sha256(file) for file in _files(directory)
        }
        files.write_json(directory / REPORT_FILE, report)
        files.write_text(directory / PAGE_FILE, page(report))
    say(report["verdict"]["text"])
    return Bundle.load(output)


def _unconvertible(error: ZooError) -> bool:
    return isinstance(error, (ConversionError, OpGateError))


def _reasons(failures: dict[str, ZooError]) -> dict[str, list[str]]:
    """Returns each reason once, with what failed for it; the one that names the layer, if any."""
    reasons: dict[str, list[str]] = {}
    told: dict[str, str] = {}
    for name, error in failures.items():
        reason = str(error.__cause__ if isinstance(error.__cause__, ZooError) else error)
        reasons.setdefault(told.setdefault(reason, str(error)), []).append(name)
    return reasons


def _chosen(kind: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    for name in names:
        if name not in known:
            raise UnknownNameError(
                f"Unknown {kind}: {name!r}.{nearest(name, known)} Known: {listed(known)}."
            )
    if not names:
        raise ConfigError(f"Choose at least one {kind}: {listed(known)}.")
    return names


def _write_tflite(
    directory: Path,
    model: Any,
    mode: Any,
    calibration: Any,
    references: list[Reference],
    labelled: Labelled | None,
    batch_size: int,
    timesteps: Timesteps,
    target: str,
    lowering: str | Sequence[str] | None,
    fold_embedding: bool | None,
    size_limit: int,
    inference_type: str,
    diagnose: bool | Path,
    progress: Progress,
) -> dict[str, Any]:
    from keras_rnn_zoo.export.formats.tflite import export_tflite

    path = directory / mode.file_name
    reference, *resized = references
    given = {name: values[: reference.given] for name, values in reference.x.items()}
    written = export_tflite(
        model,
        path,
        quantization=mode.name,
        representative_data=calibration,
        samples=given,
        batch_size=batch_size,
        timesteps=timesteps,
        target=target,
        lowering=lowering,
        fold_embedding=fold_embedding,
        size_limit=size_limit,
        inference_type=inference_type,
        # Of several candidates each has to be true; the one file is compared below.
        verify=bool(fold_embedding) or lowering == AUTO or not isinstance(lowering, str | None),
        diagnose=diagnose,
        progress=progress,
    )
    parity = compare_tflite(path, reference, mode.tolerance, mode=mode.name)
    file = TFLiteModel(path)
    if any(map(file.open, file.inputs)):
        for other in resized:
            compare_tflite(path, other, mode.tolerance, mode=mode.name)
    info = contents.inspect(path)
    scored = labelled and labelled.compare(file.predict(labelled.x))
    if scored:
        check_losses(path.name, scored["losses"], mode.tolerance)
    return {
        "file": path.name,
        "format": "tflite",
        "quantization": mode.name,
        "description": mode.description,
        "bytes": info.bytes,
        "float32_bytes": written.float32_bytes,
        "ops": info.ops,
        "subgraphs": info.subgraphs,
        "weights": info.weights,
        "unquantized": [asdict(weight) for weight in written.unquantized],
        "variables": info.variables,
        "signatures": info.signatures,
        "tensors": {
            kind: [_tensor(info) for info in tensors.values()]
            for kind, tensors in (("inputs", file.inputs), ("outputs", file.outputs))
        },
        "lowering": written.lowering,
        "folded": written.folded,
        "choice": written.choice and written.choice.to_dict(),
        "fallbacks": written.fallbacks,
        "notes": integer_answers(parity) if inference_type == "int8" else [],
        "parity": parity.to_dict(),
        "latency": benchmark_tflite(path, given, seconds=LATENCY_SECONDS),
        "labelled": scored,
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    """What a client must know to fill an input or to read an output."""
    known: dict[str, Any] = {"name": info.name, "shape": info.shape, "dtype": info.dtype}
    if info.scale:
        known |= {"scale": info.scale, "zero_point": info.zero_point}
    return known


def _write_saved_model(
    directory: Path, model: Any, reference: Reference, labelled: Labelled | None
) -> dict[str, Any]:
    from keras_rnn_zoo.export.formats import saved_model

    path = directory / SAVED_MODEL
    path.mkdir()
    saved_model.write_saved_model(model, path)
    parity = saved_model.compare_saved_model(path, reference)
    scored = None
    if labelled is not None:
        serve = saved_model.load_signature(path)
        (outputs,) = saved_model.serve_batches(
            serve, {reference.inputs[0].name: labelled.x}, reference.inputs[0].shape[0] or 256
        ).values()
        scored = labelled.compare(outputs)
    return {
        "file": SAVED_MODEL,
        "format": "saved_model",
        "quantization": None,
        "description": "for TensorFlow: tf.saved_model.load, TensorFlow Serving",
        "bytes": saved_model.directory_bytes(path),
        "signatures": {"serving_default": {"inputs": parity.inputs, "outputs": parity.outputs}},
        "parity": parity.to_dict(),
        "labelled": scored,
    }


def _files(directory: Path) -> Iterator[Path]:
    return (file for file in sorted(directory.rglob("*")) if file.is_file())
