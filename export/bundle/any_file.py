"""Files of any origin, one by one: right or wrong, and how fast.

What is not known to be good is opened in a process of its own, see `isolated`; here its tables are
read at most (see `tflite.contents`), in Python.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import DataError, ExportError, RunError, nearest
from keras_rnn_zoo.export.clients import prove as clients
from keras_rnn_zoo.export.clients.prove import ClientRecord, in_clients, told
from keras_rnn_zoo.export.options import VerifyOptions
from keras_rnn_zoo.export.progress import teller
from keras_rnn_zoo.export.tflite import contents, micro
from keras_rnn_zoo.export.tflite.file import MICRO, description
from keras_rnn_zoo.export.tflite.file import read as read_file
from keras_rnn_zoo.export.tflite.isolated import Isolated
from keras_rnn_zoo.export.verify.scores import check_losses
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.options import takes
from keras_rnn_zoo.preprocessing.reading import ColumnOptions

if TYPE_CHECKING:
    from keras_rnn_zoo.export.bundle.source import Source
    from keras_rnn_zoo.export.keras_model.signature import InputSpec
    from keras_rnn_zoo.export.quantization import Quantization


@takes(VerifyOptions)
def verify_file(path: PathLike, model: Any, data: Any = None, **options: Any) -> dict[str, Any]:
    """Compares a .tflite file, of any origin, with a Keras model, as `export_tflite` does.

    Args:
        path: The file.
        model: A built `keras.Model`, a `.keras` or `.h5` file, or a run or search directory.
        data: Rows to compare on: encoded inputs in any form that `export_tflite` takes, or the path
            of a `.npy` or `.npz` file with such, or of data as `load_data` takes them. None takes
            the rows that a run keeps; for a model without any, random inputs.

    Returns:
        `passed`, `text`, `quantization`, `random` (there were no real rows), `files`: one entry
        with `file`, `passed`, `problem` (None or one line) and `parity`; and `clients`: for each
        client what `ClientRecord` holds.

    Raises:
        RunError: There is no such file or model.
        UnknownNameError: No such quantization.
        ExportError, DataError: The rows do not fit the model.
    """
    from keras_rnn_zoo.export.bundle.rows import read_representative
    from keras_rnn_zoo.export.quantization import QUANTIZATIONS, held_quantization

    chosen = VerifyOptions.of(options)
    path = _tflite(path)
    mode = QUANTIZATIONS.get(chosen.quantization) if chosen.quantization is not None else None
    source, model = _open_model(model)
    found = _Compared()
    try:
        info = contents.inspect(path)
        with Isolated() as process:
            tensors, _ = process.ask("describe", path)
        if mode is None:
            ends = [*tensors["inputs"], *tensors["outputs"]]
            mode = QUANTIZATIONS.get(held_quantization(info, ends))
    except (ExportError, RunError) as error:
        found.problem = str(error)
    else:
        if isinstance(data, str | os.PathLike):
            # What cannot be read is said before the model is loaded.
            data = read_representative(source, data, ColumnOptions.part_of(chosen))
        if model is None:
            model = source.load_model()
        _compare(path, source, model, data, mode, tensors, chosen, found)
    count = found.parity["samples"] if found.parity else 0
    judged = f"judged as '{mode.name}'" if mode is not None else ""
    text = found.problem or (
        f"{path} answers what the Keras model answers, on {count} samples ({judged}).{found.names}"
        + (" They are random: give rows like those that it will meet." if found.random else "")
        + (f" {told(found.records, str(path))}" if chosen.clients else "")
    )
    passed = found.problem is None
    entry = {"passed": passed, "problem": found.problem, "parity": found.parity}
    return {
        "passed": passed and all(record.passed for record in found.records),
        "text": text,
        "quantization": mode.name if mode is not None else None,
        "random": found.random,
        "files": [{"file": path.name, **entry}],
        "clients": [record.to_dict() for record in found.records],
    }


@dataclass
class _Compared:
    """How a file compares: with the Keras model, and in other clients.

    Attributes:
        parity: What `Parity.to_dict` returns; None where something is wrong.
        problem: What is.
        names: Says which of the file's names are which of the model's, where they differ.
        random: There were no real rows.
        records: What came of the file in other clients.
    """

    parity: dict[str, Any] | None = None
    problem: str | None = None
    names: str = ""
    random: bool = False
    records: Sequence[ClientRecord] = ()


def _compare(
    path: Path,
    source: Source,
    model: Any,
    data: Any,
    mode: Quantization,
    tensors: Mapping[str, list[dict[str, Any]]],
    options: VerifyOptions,
    found: _Compared,
) -> None:
    """Notes how the file compares."""
    from keras_rnn_zoo.data import Dataset
    from keras_rnn_zoo.export.bundle.rows import RANDOM, Rows, choose_rows
    from keras_rnn_zoo.export.bundle.scoring import label_rows
    from keras_rnn_zoo.export.bundle.source import infer_task
    from keras_rnn_zoo.export.keras_model.prepare import prepare
    from keras_rnn_zoo.export.keras_model.samples import as_samples
    from keras_rnn_zoo.export.quantization import roundings
    from keras_rnn_zoo.export.verify.reference import reference_of

    inputs, outputs = ([one["name"] for one in tensors[kind]] for kind in ("inputs", "outputs"))
    encoded = not (data is None or isinstance(data, Dataset))
    model = prepare(model, data if encoded else None, compare=False)
    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
        place, specs = Path(scratch) / "reference.npz", model.inputs
        takes = _paired([spec.name for spec in specs], inputs)
        answers = _paired(model.outputs, outputs)
        if encoded:
            rows = Rows(data, None, "the rows given")
        else:
            shapes = {one["name"]: one["shape"] for one in tensors["inputs"]}
            sizes = {
                spec.name: _left_open(spec.shape, shapes.get(takes.get(spec.name, spec.name), ()))
                for spec in specs
            }
            if data is None and source.run is None and _still_open(specs, sizes):
                raise DataError(
                    f"Neither {path.name} nor the model says how long its inputs are, so there are "
                    "no random ones: give rows like those that it will meet (data, on the command "
                    "line --data)."
                )
            _, rows = choose_rows(source, model, None, data, None, sizes)
        samples = as_samples(model, rows.x, limit=options.samples_count)
        reference = reference_of(model, samples, roundings=roundings([mode]))
        reference = reference.renamed(takes, answers)
        reference.save(place)
        labelled = label_rows(model, rows, infer_task(source, model))
        try:
            found.parity = compare_isolated(path, place, mode)
            if labelled is not None:
                with Isolated() as process:
                    (answered,) = process.answer(path, {inputs[0]: labelled.x})
                scored = labelled.compare(next(iter(answered.values())))
                check_losses(path.name, scored["losses"], mode.tolerance)
        except (ExportError, RunError) as error:
            found.problem = str(error)
        else:
            found.records = in_clients(
                path, reference, mode, clients.chosen(options.clients or ()), teller(True)
            )
    found.random = rows.origin == RANDOM
    found.names = "".join(
        f" Its {kind} '{own}' is the model's '{name}'."
        for kind, names in (("input", takes), ("output", answers))
        for name, own in names.items()
    )


def _paired(names: list[str], found: list[str]) -> dict[str, str]:
    """Returns the model's name of an input or output -> the file's, where another converter named.

    One alone needs no name, and Keras numbers several.
    """
    numbered = [f"output_{number}" for number in range(len(names))]
    if set(names) == set(found) or len(names) != len(found):
        return {}
    if len(names) == 1:
        return dict(zip(names, found, strict=True))
    return dict(zip(names, numbered, strict=True)) if set(found) == set(numbered) else {}


def _left_open(own: Sequence[int | None], found: Sequence[int | None]) -> dict[int, int]:
    """Returns axis -> size in the file, where the model leaves it open."""
    if len(own) != len(found):
        return {}
    sizes = enumerate(zip(own, found, strict=True))
    return {axis: there for axis, (here, there) in sizes if axis and here is None and there}


def _still_open(specs: Sequence[InputSpec], sizes: Mapping[str, Mapping[int, int]]) -> bool:
    """Whether neither the model nor the file says one of the sizes."""
    return any(
        size is None and axis and axis not in sizes[spec.name]
        for spec in specs
        for axis, size in enumerate(spec.shape)
    )


def compare_isolated(path: Path, reference: Path, mode: Quantization) -> dict[str, Any]:
    """Compares a .tflite file of any origin with what a Keras model answered.

    Args:
        path: The file.
        reference: What `Reference.save` wrote.
        mode: The quantization mode whose limits apply.

    Returns:
        What `Parity.to_dict` returns.

    Raises:
        RunError, OpGateError, VerificationError: See `contents.check_builtin_only` and
            `compare_tflite`; also a file that crashes or hangs the interpreter.
    """
    with Isolated() as process:
        result, _ = process.ask(
            "keras_rnn_zoo.export.verify.isolated:verify",
            path,
            reference=str(reference),
            tolerance=asdict(mode.tolerance),
            mode=mode.name,
        )
        return dict(result)


def benchmark_file(
    path: PathLike,
    samples: np.ndarray | Mapping[str, np.ndarray] | PathLike | None = None,
    *,
    threads: int = 1,
    repeats: int | None = None,
    seconds: float = 1.0,
) -> dict[str, Any]:
    """Measures the latency of a .tflite file of any origin; see `benchmark_tflite`.

    Of one for TensorFlow Lite Micro, the least tensor arena as well, where tflite-micro is at hand.

    Args:
        path: The file.
        samples: Encoded inputs `[samples, ...]` (name -> array for several inputs), or a `.npy` or
            `.npz` file with such. None makes full-length ones.
        threads: CPU threads of an invoke.
        repeats: Invokes that count; None runs for `seconds`.
        seconds: How long to measure where `repeats` is None.

    Raises:
        ConfigError: An argument is out of range.
        DataError: The samples cannot be read.
        RunError: The file is missing or damaged, does not take such inputs, or crashes or hangs
            the interpreter.
    """
    path = _tflite(path)
    if isinstance(samples, str | os.PathLike):
        samples = _encoded(samples)
    with Isolated() as process:
        if samples is not None and not isinstance(samples, Mapping):
            inputs = process.ask("describe", path)[0]["inputs"]
            if len(inputs) != 1:
                raise RunError(f"{path} has {len(inputs)} inputs: give an array for each, by name.")
            samples = {inputs[0]["name"]: np.asarray(samples)}
        result, _ = process.ask(
            "benchmark", path, samples, threads=threads, repeats=repeats, seconds=seconds
        )
    for_micro = description(read_file(path)).startswith(MICRO) and micro.find() is not None
    return {**result, "arena": micro.least_arena(path)} if for_micro else dict(result)


def benchmark_file_on(
    core: str,
    path: PathLike,
    samples: np.ndarray | Mapping[str, np.ndarray] | PathLike | None = None,
    *,
    calls: int | None = None,
) -> dict[str, Any]:
    """Counts and models what a call of a .tflite file costs on an Arm core; see `benchmark_core`.

    Args:
        core: Its name.
        path: The file.
        samples: As in `benchmark_file`.
        calls: How many are measured; see `benchmark_core`.

    Raises:
        DataError: The samples cannot be read.
        ZooError: As `benchmark_core` does.
    """
    from keras_rnn_zoo.export.cores.measure import benchmark_core

    path = _tflite(path)
    x = _encoded(samples) if isinstance(samples, str | os.PathLike) else samples
    (row,) = benchmark_core([path], core, x, calls=calls)
    return row


def _encoded(file: PathLike) -> Any:
    """Reads encoded inputs: an array, or name -> array."""
    from keras_rnn_zoo.data.arrays import read_arrays

    path = Path(file)
    if path.suffix.lower() not in (".npy", ".npz"):
        raise DataError(
            f"Encoded inputs are a .npy file, or an .npz file with an array for each input. "
            f"Received: '{file}'."
        )
    if not path.is_file():
        near = [str(other) for other in path.parent.glob("*.np[yz]")]
        raise DataError(f"No such file: '{file}'.{nearest(str(file), near)}")
    try:
        arrays = read_arrays(path)
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror or error}.") from error
    for name in ("x_test", "x"):  # rows with labels
        if {name, f"y{name[1:]}"} <= set(arrays):
            return arrays[name]
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def _tflite(path: PathLike) -> Path:
    """Refuses what is no file, or another kind of file."""
    path = Path(path)
    if not path.exists():
        near = [str(other) for other in path.parent.glob("*.tflite")]
        raise RunError(
            f"There is nothing at {path}.{nearest(str(path), near)} Give a .tflite file, or the "
            "bundle that 'export' wrote."
        )
    if not path.is_file():
        raise RunError(f"{path} is no file. Give a .tflite file.")
    if path.suffix in (".keras", ".h5", ".hdf5"):
        raise RunError(
            f"{path} is a Keras model, not a .tflite file. Export it, or give it as the model that "
            "a .tflite file is compared with."
        )
    read_file(path)
    return path


def _open_model(model: Any) -> tuple[Source, Any]:
    """Returns what is known about a model, and the model itself, where it is at hand."""
    from keras_rnn_zoo.export.bundle.source import Source, open_source

    if not isinstance(model, str | os.PathLike):
        return Source("keras", Path(getattr(model, "name", "the model")), None), model
    path = Path(model)
    if path.is_file() and path.suffix in (".h5", ".hdf5"):
        return Source("keras", path, None), None
    return open_source(path), None
