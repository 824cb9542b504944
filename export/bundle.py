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

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import (
    ConfigError,
    ConversionError,
    DataError,
    ExportError,
    OpGateError,
    RunError,
    UnknownNameError,
    ZooError,
    listed,
    nearest,
)
from keras_rnn_zoo.export import gate
from keras_rnn_zoo.export.checking import benchmark_file, compare_isolated
from keras_rnn_zoo.export.choosing import AUTO, SIZE_LIMIT, candidates
from keras_rnn_zoo.export.isolated import Isolated
from keras_rnn_zoo.export.latency import benchmark_tflite
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.progress import Progress, teller
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.reference import (
    Reference,
    reference_of,
    resized_references,
    sizes_proven,
)
from keras_rnn_zoo.export.report import PAGE_FILE, REPORT_FILE, page
from keras_rnn_zoo.export.running import Arrays, TensorInfo, TFLiteModel
from keras_rnn_zoo.export.sources import (
    RANDOM,
    Labelled,
    Rows,
    Source,
    choose_rows,
    infer_task,
    label_rows,
    open_source,
    read_data,
    read_representative,
)
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.export.verification import check_losses, compare_tflite, integer_answers
from keras_rnn_zoo.preprocessing import Preprocessor

if TYPE_CHECKING:
    from keras_rnn_zoo.export.tracing import Timesteps

FORMAT = 1
FORMATS = ("tflite", "saved_model")
MODES = ("none", "float16", "dynamic", "int8")
REFERENCE_FILE = "reference.npz"
SAVED_MODEL = "saved_model"
LATENCY_SECONDS = 0.5
# Percentage points of accuracy that a file may lose before the report opens with it.
MOST_POINTS_LOST = 0.5


class Bundle:
    """A bundle that was written: takes raw inputs, answers with labels.

    Args:
        path: The directory.
        report: What `report.json` holds.
        preprocessor: Of the model's inputs and outputs; None where it came as a bare `.keras`.
    """

    def __init__(self, path: Path, report: dict[str, Any], preprocessor: Preprocessor | None):
        self.path = path
        self.report = report
        self.preprocessor = preprocessor
        self._process = Isolated()

    @classmethod
    def load(cls, path: files.PathLike) -> Bundle:
        """Reads a bundle.

        Raises:
            RunError: `path` is no bundle, or a damaged one.
        """
        path = Path(path)
        file = path / REPORT_FILE
        if not path.exists():
            raise RunError(f"There is no bundle at {path}. Give the directory that 'export' wrote.")
        if not file.is_file():
            raise RunError(
                f"{path} is not a bundle: it has no {REPORT_FILE}. Give the directory that "
                "'export' wrote."
            )
        try:
            report = json.loads(file.read_text(encoding="utf-8"))
            if report["format"] > FORMAT:
                raise RunError(
                    f"{path} has the format {report['format']}, and this keras-rnn-zoo reads up "
                    f"to {FORMAT}. Install a newer keras-rnn-zoo."
                )
            _check_report(report)
            for name in (
                *(entry["file"] for entry in report["files"]),
                *report["sha256"],
                *_references(report),
            ):
                files.inside(path, name)
            _check_proof(report)
            preprocessing = report["preprocessing"]
            preprocessor = None
            if preprocessing is not None:
                preprocessor = Preprocessor.from_dict(preprocessing, path)
                steps = report["model"]["inputs"][0]["shape"][1]
                if steps not in (None, preprocessor.timesteps):
                    raise ValueError(f"timesteps={preprocessor.timesteps}")
        except RunError:
            raise
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            IndexError,
            RecursionError,
        ) as error:
            reason = " ".join(f"{error.__class__.__name__}: {error}".split())[:200]
            raise RunError(
                f"{file} is damaged ({reason}). Take a complete copy, or export again."
            ) from error
        return cls(path, report, preprocessor)

    @property
    def quantizations(self) -> dict[str, Path]:
        """Quantization mode -> its .tflite file."""
        return {
            entry["quantization"]: self.path / entry["file"]
            for entry in self.report["files"]
            if entry["format"] == "tflite"
        }

    def file(self, quantization: str | None = None) -> Path:
        """Returns the .tflite file of a quantization mode; by default the first, float32.

        Raises:
            UnknownNameError: The bundle has no such file.
        """
        known = self.quantizations
        if quantization is None and known:
            return next(iter(known.values()))
        if quantization not in known:
            raise UnknownNameError(
                f"{self.path} has no .tflite file with the quantization {quantization!r}."
                f"{nearest(quantization, known)} It has: {listed(known) or 'none'}."
            )
        return known[quantization]

    def predict(
        self,
        x: Sequence[Any] | np.ndarray | Mapping[str, np.ndarray],
        quantization: str | None = None,
    ) -> list[dict[str, Any]]:
        """Answers raw inputs, without TensorFlow.

        Args:
            x: Texts, rows of token ids or features, as the model was trained on; for a bundle of
                a bare `.keras` file, encoded inputs `[samples, ...]`, of several inputs a dict of
                them by name (Keras' or that of the files).
            quantization: Which file answers; None takes the first, float32.

        Returns:
            One answer for each input: see `Preprocessor.decode`; `{"values": [...]}` for a bundle
            of a bare `.keras` file, `{"values": {output name: [...]}}` where it has several
            outputs.

        Raises:
            DataError: An input cannot be encoded; the message names its row.
            UnknownNameError: The bundle has no such file.
        """
        if self.preprocessor is not None:
            encoded = self.preprocessor.encode_inputs(x)  # type: ignore[arg-type]
            name = self.report["model"]["inputs"][0]["name"]
            (outputs,) = self._answer({name: encoded}, quantization).values()
            return self.preprocessor.decode(outputs, encoded)
        answers = self._answer(self._plain(x, quantization), quantization)
        rows = {
            name: np.asarray(values, dtype=np.float64).tolist() for name, values in answers.items()
        }
        if len(rows) == 1:
            return [{"values": row} for row in next(iter(rows.values()))]
        return [
            {"values": dict(zip(rows, row, strict=True))}
            for row in zip(*rows.values(), strict=True)
        ]

    def _tflite(self, quantization: str | None) -> Path | None:
        """The file that answers; None where a SavedModel is all there is."""
        if quantization is None and not self.quantizations:
            return None
        return self.file(quantization)

    def _answer(self, encoded: Arrays, quantization: str | None) -> Arrays:
        path = self._tflite(quantization)
        if path is None:
            from keras_rnn_zoo.export import saved_model

            serve = saved_model.load_signature(self.path / SAVED_MODEL)
            batch = self.report["model"]["inputs"][0]["shape"][0]
            return saved_model.serve_batches(serve, encoded, batch)
        # It may come from anywhere.
        if _sha256(path) != self.report["sha256"].get(path.name):
            raise RunError(
                f"{path} is not the file that was exported: its SHA-256 differs. Take a complete "
                "copy, or export again."
            )
        (answers,) = self._process.answer(path, encoded)
        return answers

    def _plain(
        self, x: Sequence[Any] | np.ndarray | Mapping[str, np.ndarray], quantization: str | None
    ) -> Arrays:
        """Brings encoded inputs into the shapes and dtypes that the file takes, by name."""
        path = self._tflite(quantization)
        specs = {spec["name"]: spec for spec in self.report["model"]["inputs"]}
        shapes = {name: tuple(spec["shape"]) for name, spec in specs.items()}
        if path is not None and any(None in shape[1:] for shape in shapes.values()):
            described, _ = self._process.ask("describe", path)
            shapes |= {info["name"]: tuple(info["shape"]) for info in described["inputs"]}
        if not isinstance(x, Mapping):
            if len(specs) != 1:
                raise DataError(
                    f"The model has {len(specs)} inputs: give an array for each, by name (a dict, "
                    f"or an .npz file): {listed(specs)}."
                )
            x = {next(iter(specs)): x}  # type: ignore[dict-item]
        known = self.report.get("names", {})
        x = {known.get(name, name) if name not in specs else name: rows for name, rows in x.items()}
        if set(x) != set(specs):
            wrong = sorted(set(x) ^ set(specs))
            near = next((nearest(name, specs) for name in wrong if name not in specs), "")
            raise DataError(
                f"The model takes the inputs {listed(specs)}. Missing or unknown: {listed(wrong)}."
                f"{near}"
            )
        arrays = {name: _plain(spec, shapes[name], x[name]) for name, spec in specs.items()}
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise DataError(f"Every input must have the same number of rows. Received: {counts}.")
        return arrays


def _plain(spec: dict[str, Any], shape: tuple[int | None, ...], x: Any) -> np.ndarray:
    sizes = ["?" if size is None else size for size in shape[1:]]
    what = (
        "The bundle was made of a bare .keras file, so it takes encoded inputs: "
        f"{spec['dtype']} of shape {['samples', *sizes]} as '{spec['name']}'. Received: "
    )
    try:
        array = np.asarray(x)
    except ValueError:
        raise DataError(f"{what}ragged rows. Pad them.") from None
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what}{array.dtype}. Export the run that 'train' wrote for texts.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{what}NaN or infinity.")
    fits = array.ndim == len(shape) and all(
        size in (None, actual) for size, actual in zip(shape[1:], array.shape[1:], strict=True)
    )
    try:
        array = array.astype(spec["dtype"])
        if fits:
            return array
        return array.reshape((len(array), *shape[1:]))  # type: ignore[arg-type]
    except (ValueError, TypeError):
        raise DataError(f"{what}{list(array.shape)}.") from None


def _check_report(report: Any) -> None:
    """Looks at all of a report that is used later.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: Something is missing, or of another type.
    """

    def take(value: Any, kind: Any) -> Any:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"{value!r}")
        return value

    take(report["format"], int)
    for entry in take(report["files"], list):
        take(entry["file"], str)
        is_tflite = {"tflite": True, "saved_model": False}[entry["format"]]
        take(entry["quantization"], str if is_tflite else str | None)
    for name, digest in report["sha256"].items():
        take(name, str), take(digest, str)
    for spec in take(report["model"]["inputs"], list):
        take(spec["name"], str)
        np.dtype(take(spec["dtype"], str))
        for size in take(spec["shape"], list):
            take(size, int | None)
    if not report["model"]["inputs"] or not report["files"]:
        raise ValueError("no inputs or no files")
    take(report["preprocessing"], dict | None)
    for name in take(report.get("references", [REFERENCE_FILE]), list):
        take(name, str)
    if _references(report)[:1] != [REFERENCE_FILE]:
        raise ValueError("no reference")


def _references(report: dict[str, Any]) -> list[str]:
    """Names of the files that hold what Keras answered."""
    return list(report.get("references", [REFERENCE_FILE]))


def _check_proof(report: dict[str, Any]) -> None:
    """Refuses a report that says of a file nothing to check it by, or two things.

    Raises:
        ValueError: It does.
    """
    hashed = {name.split("/")[0] for name in report["sha256"]}
    for name in (*(entry["file"] for entry in report["files"]), *_references(report)):
        if name not in hashed:
            raise ValueError(f"no SHA-256 of {name!r}")
    for key in ("file", "quantization"):
        values = [entry[key] for entry in report["files"]]
        if len(set(values)) < len(values):
            raise ValueError(f"twice the same {key}")


# -------------------------------------------------------------------------------------- writing


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
    from keras_rnn_zoo.export.api import (
        check_inference_type,
        check_integer_inputs,
        roundings,
    )
    from keras_rnn_zoo.export.keras_model import prepared
    from keras_rnn_zoo.export.samples import as_samples, sizes_of
    from keras_rnn_zoo.export.tracing import fixed_shapes, renamed

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
        report = _report(opened, model, reference, check, labelled, entries, target, command)
        report["names"] = renamed(model)
        report["notes"] = [*ready.notes, *([sizes_proven(first, resized)] if resized else [])]
        report["references"] = list(references)
        report["sha256"] = {
            str(file.relative_to(directory)): _sha256(file) for file in _files(directory)
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
    from keras_rnn_zoo.export.api import export_tflite

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
    info = gate.inspect(path)
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
    from keras_rnn_zoo.export import saved_model

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


def _report(
    source: Source,
    model: Any,
    reference: Reference,
    check: Rows,
    labelled: Labelled | None,
    entries: list[dict[str, Any]],
    target: str,
    command: str | None,
) -> dict[str, Any]:
    from keras_rnn_zoo.provenance import provenance

    info = source.run.info if source.run is not None else {}
    data = dict(info.get("data") or {})
    for key, value in data.items():
        # A bundle is given away; where the data lay is nobody's business.
        if isinstance(value, str) and Path(value).is_absolute():
            data[key] = Path(value).name
    lengths = entries[0]["parity"]["lengths"]
    return {
        "format": FORMAT,
        "verdict": _verdict(entries, check, labelled),
        "model": {
            "name": info.get("model", model.name),
            "config": info.get("config"),
            "parameters": int(model.count_params()),
            "inputs": [asdict(spec) for spec in reference.inputs],
            "outputs": [asdict(spec) for spec in reference.outputs],
        },
        "source": {"kind": source.kind, "name": source.path.name},
        "target": target,
        "training": {
            "hyperparameters": info.get("hyperparameters"),
            "metrics": info.get("metrics"),
            "data": data or None,
            "provenance": info.get("provenance"),
        },
        "preprocessing": source.preprocessor.to_dict() if source.preprocessor else None,
        "files": entries,
        "samples": {
            "origin": check.origin,
            "given": reference.given,
            "made": len(next(iter(reference.x.values()))) - reference.given,
            "shortest": min(lengths, default=None),
            "longest": max(lengths, default=None),
        },
        "labelled": labelled
        and {
            "origin": labelled.origin,
            "rows": len(labelled.x),
            "task": labelled.task,
            "measure": labelled.measure,
            "keras": labelled.before,
        },
        "provenance": provenance(command=command),
    }


def _verdict(
    entries: list[dict[str, Any]], check: Rows, labelled: Labelled | None
) -> dict[str, Any]:
    from keras_rnn_zoo.export.api import larger_than_float32

    count = len(entries)
    # Where the float32 file is in the bundle, its size counts: the lowering may differ by mode.
    plain = [entry["bytes"] for entry in entries if entry.get("quantization") == "none"]
    losses = [
        larger
        for entry in entries
        if "float32_bytes" in entry  # a .tflite file
        and (
            larger := larger_than_float32(
                entry["file"], entry["bytes"], min(plain or [entry["float32_bytes"]])
            )
        )
    ]
    losses += [_loss(entry) for entry in entries if _points_lost(entry) > MOST_POINTS_LOST]
    text = (
        f"All {count} exports answer" if count > 1 else "The export answers"
    ) + " what the Keras model answers, within the tolerance of each mode."
    if labelled is not None:
        percent = labelled.measure == "accuracy"
        rows = len(labelled.x)
        after = [entry["labelled"]["after"] for entry in entries]
        text += (
            f" {labelled.measure.replace('_', ' ').capitalize()} on {rows:,} rows: "
            f"{_range([labelled.before], percent)} before, {_range(after, percent)} after."
        )
        if percent and (worth := 100 / labelled.answers) > MOST_POINTS_LOST:
            text += (
                f" So few cannot show a loss of {MOST_POINTS_LOST:g} points: one answer is worth "
                f"{worth:.2g}. Give {math.ceil(100 / MOST_POINTS_LOST)} or more with --test-data."
            )
    elif check.origin == RANDOM:
        text += " Checked on random inputs only: try it on real ones."
    else:
        text += " Accuracy was not measured: there are no labels that fit the model."
    return {"passed": True, "text": " ".join([*losses, text]), "losses": losses}


def _points_lost(entry: dict[str, Any]) -> float:
    """Percentage points of accuracy that a file is below the Keras model; 0 without labels."""
    scored = entry["labelled"]
    if scored is None or scored["measure"] != "accuracy":
        return 0.0
    # To a row: 0.005 is not exactly what is left of 0.805 - 0.8.
    return round(100 * float(scored["before"] - scored["after"]), 6)


def _loss(entry: dict[str, Any]) -> str:
    scored = entry["labelled"]
    before, after = (_range([scored[key]], percent=True) for key in ("before", "after"))
    return (
        f"{entry['file']} loses {_points_lost(entry):.2f} points of accuracy: {after} on "
        f"{scored['rows']:,} rows, the Keras model {before}."
    )


def _range(values: list[float], percent: bool) -> str:
    low, high = (
        f"{100 * value:.2f} %" if percent else f"{value:.4g}"
        for value in (min(values), max(values))
    )
    return low if low == high else f"{low} to {high}"


def _files(directory: Path) -> Iterator[Path]:
    return (file for file in sorted(directory.rglob("*")) if file.is_file())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


# ------------------------------------------------------------------------------- checking again


def verify_bundle(path: files.PathLike, *, progress: bool | Progress = False) -> dict[str, Any]:
    """Checks a bundle again, from its own files alone.

    Every file is compared with its SHA-256; each .tflite goes through the op gate and is compared
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
        elif _sha256(file) != digest:
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
            return dict(process.ask("verify_saved_model", path, reference=str(reference))[0])
    mode = QUANTIZATIONS.get(entry["quantization"])
    for other in resized if _resizable(entry) else []:
        compare_isolated(path, other, mode)
    return compare_isolated(path, reference, mode)


def benchmark_bundle(
    path: files.PathLike,
    *,
    quantize: Sequence[str] | None = None,
    threads: int = 1,
    repeats: int | None = None,
    seconds: float = 1.0,
    progress: bool | Progress = False,
) -> list[dict[str, Any]]:
    """Measures the latency of a bundle's .tflite files on this machine, on its own samples.

    Args:
        path: The bundle.
        quantize: Quantization modes to measure; None for all that it has.
        threads: CPU threads of an invoke.
        repeats: Invokes of each file; None measures for `seconds`.
        seconds: How long to measure each file.
        progress: Print a line a file to stderr, or call this with it.

    Returns:
        For each file `file`, `quantization`, `bytes` and what `benchmark_tflite` returns.

    Raises:
        RunError: `path` is no bundle, has no .tflite file, or is damaged.
        UnknownNameError: The bundle has no file of a mode.
    """
    say = teller(progress)
    bundle = Bundle.load(path)
    if not bundle.quantizations:
        raise RunError(f"{bundle.path} holds no .tflite file. Export with --format tflite.")
    names = list(bundle.quantizations) if quantize is None else list(quantize)
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
