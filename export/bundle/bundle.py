"""The bundle: what leaves for the device, read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.artifacts import BUNDLE, BUNDLE_FILE, require
from keras_rnn_zoo.errors import (
    DataError,
    RunError,
    UnknownNameError,
    listed,
    nearest,
)
from keras_rnn_zoo.export.bundle import check
from keras_rnn_zoo.export.bundle.any_file import benchmark_file
from keras_rnn_zoo.export.bundle.records import FORMAT, REFERENCE_FILE, BundleReport
from keras_rnn_zoo.export.formats import FORMATS
from keras_rnn_zoo.export.progress import Progress, teller
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.tflite.isolated import Isolated
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor


class Bundle:
    """A bundle that was written: takes raw inputs, answers with labels.

    Args:
        path: The directory.
        report: What `report.json` holds.
        preprocessor: Of the model's inputs and outputs; None where it came as a bare `.keras`.
    """

    def __init__(self, path: Path, report: BundleReport, preprocessor: Preprocessor | None):
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
        path = require(path, BUNDLE)
        file = path / BUNDLE_FILE
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
            record = BundleReport.from_dict(report)
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
        return cls(path, record, preprocessor)

    @property
    def quantizations(self) -> dict[str, Path]:
        """Quantization mode -> its .tflite file."""
        return {
            str(entry.quantization): self.path / entry.file
            for entry in self.report.files
            if entry.format == "tflite"
        }

    def file(self, quantization: str | None = None) -> Path:
        """Returns the .tflite file of a quantization mode; by default the first, float32.

        Raises:
            UnknownNameError: The bundle has no such file.
        """
        known = self.quantizations
        if not known:
            raise UnknownNameError(
                f"{self.path} has no .tflite file. Export again with --format tflite."
            )
        if quantization is None:
            return next(iter(known.values()))
        if quantization not in known:
            raise UnknownNameError(
                f"{self.path} has no .tflite file with the quantization {quantization!r}."
                f"{nearest(quantization, known)} It has: {listed(known)}."
            )
        return known[quantization]

    def checked_file(self, quantization: str | None = None) -> Path:
        """Returns the .tflite file of a quantization mode, if it is the one that was exported.

        Raises:
            UnknownNameError: The bundle has no such file.
            RunError: Its SHA-256 differs.
        """
        path = self.file(quantization)
        # It may come from anywhere.
        if files.sha256(path) != self.report.sha256.get(path.name):
            raise RunError(
                f"{path} is not the file that was exported: its SHA-256 differs. Take a complete "
                "copy, or export again."
            )
        return path

    def predict(
        self,
        x: Sequence[Any] | np.ndarray | Mapping[str, np.ndarray],
        quantization: str | None = None,
        strict: bool = True,
    ) -> list[dict[str, Any]]:
        """Answers raw inputs, without TensorFlow.

        Args:
            x: Texts, rows of token ids or features, as the model was trained on; for a bundle of
                a bare `.keras` file, encoded inputs `[samples, ...]`, of several inputs a dict of
                them by name (Keras' or that of the files).
            quantization: Which file answers; None takes the first, float32.
            strict: Refuse all if one cannot be encoded. Otherwise its answer is
                `{"error": message}`.

        Returns:
            One answer for each input: see `Preprocessor.decode`; `{"values": [...]}` for a bundle
            of a bare `.keras` file, `{"values": {output name: [...]}}` where it has several
            outputs.

        Raises:
            DataError: An input cannot be encoded; the message names its row.
            UnknownNameError: The bundle has no such file.
        """
        if self.preprocessor is not None:
            name = self.report.model["inputs"][0]["name"]

            def outputs(encoded: np.ndarray) -> np.ndarray:
                (answers,) = self._answer({name: encoded}, quantization).values()
                return answers

            return self.preprocessor.answer(x, outputs, strict)  # type: ignore[arg-type]
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

    def verify(
        self, *, clients: Sequence[str] = (), progress: bool | Progress = False
    ) -> dict[str, Any]:
        """Checks the bundle again, from its own files alone; see `verify_bundle`."""
        return check.verify(self, teller(progress), clients)

    def benchmark(
        self, quantization: Sequence[str] | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """Measures the latency of the .tflite files on this machine; see `benchmark_bundle`."""
        return benchmark_bundle(self, quantization=quantization, **options)

    def _tflite(self, quantization: str | None) -> Path | None:
        """The file that answers; None where the bundle has other formats alone."""
        if quantization is None and not self.quantizations:
            return None
        return self.file(quantization)

    def _answer(self, encoded: Arrays, quantization: str | None) -> Arrays:
        path = self._tflite(quantization)
        if path is None:
            first = self.report.files[0]
            return FORMATS.get(first.format).serve(self.path / first.file)(encoded)
        path = self.checked_file(quantization)
        (answers,) = self._process.answer(path, encoded)
        return answers

    def _plain(
        self, x: Sequence[Any] | np.ndarray | Mapping[str, np.ndarray], quantization: str | None
    ) -> Arrays:
        """Brings encoded inputs into the shapes and dtypes that the file takes, by name."""
        path = self._tflite(quantization)
        specs = {spec["name"]: spec for spec in self.report.model["inputs"]}
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
        known = self.report.names
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
        is_tflite = take(entry["format"], str) == "tflite"
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
    for name in take(_references(report), list):
        take(name, str)
    if _references(report)[:1] != [REFERENCE_FILE]:
        raise ValueError("no reference")


def _references(report: dict[str, Any]) -> Any:
    return report.get("references", [REFERENCE_FILE])


def _check_proof(report: dict[str, Any]) -> None:
    """Refuses a report that says of a file nothing to check it by, or two things.

    Raises:
        ValueError: It does.
    """
    hashed = {name.split("/")[0] for name in report["sha256"]}
    for name in (
        *(entry["file"] for entry in report["files"]),
        *_references(report),
    ):
        if name not in hashed:
            raise ValueError(f"no SHA-256 of {name!r}")
    for key in ("file", "quantization"):
        values = [entry[key] for entry in report["files"]]
        if len(set(values)) < len(values):
            raise ValueError(f"twice the same {key}")


def verify_bundle(
    path: files.PathLike, *, clients: Sequence[str] = (), progress: bool | Progress = False
) -> dict[str, Any]:
    """Checks a bundle again, from its own files alone.

    Every file is compared with its SHA-256; each .tflite goes through the op check and is compared
    with what the Keras model answered to the bundle's samples, three invokes each; so is the
    SavedModel, for which TensorFlow is loaded.

    Args:
        path: The bundle.
        clients: Other clients to run the .tflite files in: names of `CLIENTS`, or `"all"` for
            those that are installed.
        progress: Print a line a file to stderr, or call this with it.

    Returns:
        `passed`, `text`, `files`: for each export its `file`, `passed`, `problem` (None or one
        line) and `parity`; for each damaged or missing file that is none of them `file`, `passed`
        and `problem`; and `clients`: for each client and file what `ClientRecord` holds.

    Raises:
        RunError: `path` is no bundle, or its report or reference is damaged.
    """
    return Bundle.load(path).verify(clients=clients, progress=progress)


def benchmark_bundle(
    path: files.PathLike | Bundle,
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
        path: The bundle, or where it lies.
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
    bundle, chosen = _files_of(path, quantization)
    say = teller(progress)
    samples = check.samples_of(bundle.path)
    rows = []
    for name, file in chosen.items():
        say(f"Measuring {file.name}")
        measured = benchmark_file(file, samples, threads=threads, repeats=repeats, seconds=seconds)
        rows.append(
            {"file": file.name, "quantization": name, "bytes": file.stat().st_size, **measured}
        )
    return rows


def benchmark_bundle_on(
    core: str,
    path: files.PathLike | Bundle,
    *,
    quantization: Sequence[str] | None = None,
    calls: int | None = None,
    progress: bool | Progress = False,
) -> list[dict[str, Any]]:
    """Counts and models what calls of a bundle's .tflite files cost on an Arm core.

    Args:
        core: Its name; see `benchmark_core`.
        path: The bundle, or where it lies.
        quantization: Quantization modes to measure; None for all that it has.
        calls: Calls of each file, on the bundle's own samples; see `benchmark_core`.
        progress: Print a line to stderr, or call this with it.

    Returns:
        For each file `file`, `quantization`, `bytes` and what `benchmark_core` returns.

    Raises:
        RunError: `path` is no bundle, has no .tflite file, or is damaged.
        UnknownNameError: The bundle has no file of a mode, or there is no such core.
        MissingClientError: The emulator is not set up.
    """
    from keras_rnn_zoo.export.cores.measure import benchmark_core

    bundle, chosen = _files_of(path, quantization)
    teller(progress)(f"Emulating {', '.join(file.name for file in chosen.values())}")
    samples = check.samples_of(bundle.path)
    found = benchmark_core(list(chosen.values()), core, samples, calls=calls)
    return [
        {"file": file.name, "quantization": name, "bytes": file.stat().st_size, **row}
        for (name, file), row in zip(chosen.items(), found, strict=True)
    ]


def _files_of(
    path: files.PathLike | Bundle, quantization: Sequence[str] | None
) -> tuple[Bundle, dict[str, Path]]:
    """Returns a bundle and mode -> file, of the modes that are asked for."""
    bundle = path if isinstance(path, Bundle) else Bundle.load(path)
    if not bundle.quantizations:
        raise RunError(f"{bundle.path} holds no .tflite file. Export with --format tflite.")
    names = list(bundle.quantizations) if quantization is None else list(quantization)
    return bundle, {name: bundle.file(name) for name in names}
