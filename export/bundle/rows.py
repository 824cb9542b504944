"""What is exported, and on which rows it is calibrated, compared and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import DataError, ExportError, listed, nearest
from keras_rnn_zoo.preprocessing.reading import ColumnOptions

if TYPE_CHECKING:
    from keras_rnn_zoo.data import Dataset, ReadOptions
    from keras_rnn_zoo.export.keras_model.signature import Timesteps
from keras_rnn_zoo.export.bundle.source import Source
from keras_rnn_zoo.export.progress import Progress

RANDOM = "random inputs"


@dataclass(frozen=True)
class Rows:
    """Encoded inputs, with labels where there are any."""

    x: Any
    y: np.ndarray | None
    origin: str


def read_data(
    source: Source,
    data: files.PathLike | None,
    test_data: files.PathLike | None,
    columns: ColumnOptions,
) -> tuple[Dataset | None, Dataset | None]:
    """Reads the data to calibrate on and those to check on, and refuses what cannot be encoded."""
    if data is None and test_data is None:
        return None, None
    from keras_rnn_zoo.data import load_data

    reading = reading_of(source, columns).keywords()
    first = load_data(data, **reading) if data is not None else None
    second = load_data(test_data, **reading) if test_data is not None else None
    kind = source.preprocessor.kind if source.preprocessor is not None else None
    for dataset in (first, second):
        if dataset is None:
            continue
        if kind is None and dataset.kind == "text":
            raise ExportError(
                f"{dataset.name} holds texts, and {source.path} brings no vocabulary to encode "
                "them. Export the run that 'train' wrote, or give encoded inputs (.npz)."
            )
        if (
            kind is not None
            and dataset.kind != kind
            and not (kind, dataset.kind)
            == (
                "tokens",
                "text",
            )
        ):
            raise DataError(
                f"{dataset.name} holds {dataset.kind}, and the model was trained on {kind}. Give "
                f"data with {kind}."
            )
    return first, second


def reading_of(source: Source, columns: ColumnOptions) -> ReadOptions:
    """Returns how data are read: as those that the model was trained on, but for what is said."""
    from keras_rnn_zoo.data import ReadOptions

    known = source.preprocessor.reading if source.preprocessor is not None else {}
    task = source.preprocessor.task if source.preprocessor is not None else None
    said = {
        one.name: getattr(columns, one.name)
        for one in fields(ColumnOptions)
        if getattr(columns, one.name) != one.default
    }
    return ReadOptions.from_dict({**known, "task": task, **said})


def read_representative(source: Source, file: files.PathLike, columns: ColumnOptions) -> Any:
    """Reads what int8 is calibrated on.

    Args:
        source: What is exported.
        file: A `.npy` file, or an `.npz` file with one array or an array for each input: encoded
            inputs. Anything else, and an `.npz` file with `x` and `y`, is data as `load_data`
            takes them.
        columns: Which columns of a table are read.

    Returns:
        An array, name -> array, or a `Dataset`.

    Raises:
        DataError: The file is missing, damaged, or holds what the model was not trained on.
        ExportError: It holds texts, and the source brings no vocabulary.
    """
    path = Path(file)
    if path.suffix.lower() in (".npy", ".npz"):
        if not path.exists():
            near = [str(other) for other in path.parent.glob("*.np[yz]")]
            raise DataError(
                f"No such file: '{file}'.{nearest(str(file), near)} Give encoded inputs (.npy, "
                ".npz), or rows as --data takes them."
            )
        arrays = _read_arrays(path)
        if len(arrays) == 1:
            return next(iter(arrays.values()))
        if not ({"x", "y"} <= set(arrays) or {"x_train", "y_train"} <= set(arrays)):
            return arrays
    return read_data(source, file, None, columns)[0]


def read_encoded(file: files.PathLike, inputs: int = 1) -> Any:
    """Reads encoded inputs to predict from.

    Args:
        file: A `.npy` file, or an `.npz` file with an array for each input; of one input it may be
            called `x` or `x_test`.
        inputs: How many inputs the model has.

    Returns:
        An array, or name -> array.

    Raises:
        DataError: The file is missing or damaged, or holds no arrays.
    """
    from keras_rnn_zoo.data import load_inputs

    path = Path(file)
    if path.suffix.lower() not in (".npy", ".npz") or not path.is_file():
        return load_inputs(path)
    arrays = _read_arrays(path)
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    named = [name for name in ("x", "x_test") if name in arrays and inputs == 1]
    return arrays[named[0]] if named else arrays


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    from keras_rnn_zoo.data.arrays import read_arrays

    try:
        arrays = read_arrays(path)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error
    if not arrays:
        raise DataError(f"{path} holds no arrays. Write it with numpy.savez.")
    return arrays


def choose_rows(
    source: Source,
    model: Any,
    dataset: Dataset | None,
    test: Dataset | None,
    representative_data: Any,
    timesteps: Timesteps,
    made_steps: int | None = None,
) -> tuple[Any, Rows]:
    """Returns the encoded inputs to calibrate on (or None) and the rows to check on.

    What was given goes before what the run keeps; rows that training did not see go before those
    that it did; random inputs come last, of `made_steps` time steps where nothing says how many.

    Raises:
        ExportError: What was given to calibrate on does not fit the model.
    """
    from keras_rnn_zoo.data import Dataset
    from keras_rnn_zoo.export.keras_model.samples import as_samples, synthetic_samples

    def encoded(split: Any, origin: str, labels: bool = True) -> Rows:
        preprocessor = source.preprocessor
        if preprocessor is None:
            return _encode_plain(model, split, origin, timesteps)
        x = preprocessor.encode_inputs(split.x, strict=False)
        return Rows(x, preprocessor.encode_labels(split.y, split.x) if labels else None, origin)

    def few(dataset: Dataset) -> Any:
        from keras_rnn_zoo.export.formats.tflite import CALIBRATION_SAMPLES

        count = min(len(dataset.train), CALIBRATION_SAMPLES)
        rows = np.linspace(0, len(dataset.train) - 1, count).astype(int)
        return encoded(dataset.train.take(rows), "", labels=False).x

    calibration, check = representative_data, None
    if isinstance(representative_data, Dataset):
        calibration = few(representative_data)
    if test is not None:
        check = encoded(test.train, f"the rows of {test.name}")
    elif dataset is not None and dataset.test is not None:
        check = encoded(dataset.test, f"the test rows of {dataset.name}")
    if dataset is not None and calibration is None:
        calibration = few(dataset)
    if representative_data is not None:
        what = "representative data"
        calibration = as_samples(model, calibration, what=what, timesteps=timesteps)
    if source.run is not None and (calibration is None or check is None):
        kept = source.run.samples()
        if calibration is None:
            calibration = kept["x"]
        if check is None and len(kept["x_test"]):
            check = Rows(kept["x_test"], kept["y_test"], "held-out rows that the run keeps")
        elif check is None:
            check = Rows(kept["x"], kept["y"], "training rows that the run keeps")
    if check is None and dataset is not None:
        check = encoded(dataset.train, f"the rows of {dataset.name}")
    if check is None and calibration is not None:
        check = Rows(calibration, None, "the representative data")
    if check is None:
        check = Rows(synthetic_samples(model, timesteps or made_steps), None, RANDOM)
    return calibration, check


def in_whole_calls(calibration: Any, check: Rows, steps: int, say: Progress) -> tuple[Any, Rows]:
    """Returns rows whose number of time steps is a multiple of what a call takes.

    Args:
        calibration: Encoded inputs, or None.
        check: The rows to check on; the labels of time steps are cut like these.
        steps: Time steps that a call takes.
        say: Told what is left out.

    Raises:
        ExportError: They have fewer steps than that.
    """
    from keras_rnn_zoo.export.keras_model.samples import steps_kept, whole_chunks

    def cut(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return whole_chunks({"": x}, steps)[""]
        return whole_chunks(x, steps) if isinstance(x, dict) else x

    first = next(iter(check.x.values())) if isinstance(check.x, Mapping) else np.asarray(check.x)
    if left := first.shape[1] % steps:
        say(
            f"A call takes {steps} time steps: {left} of each row's {first.shape[1]} fill none "
            "and are left out of all comparisons"
        )
    y = check.y
    if y is not None and isinstance(check.x, np.ndarray) and y.shape[1:2] == check.x.shape[1:2]:
        y = y[:, steps_kept(check.x, steps)]
    return cut(calibration), replace(check, x=cut(check.x), y=y)


def _encode_plain(model: Any, split: Any, origin: str, timesteps: Timesteps) -> Rows:
    """Takes data as they are, for a model that came without preprocessing."""

    specs = model.sized(timesteps)
    if len(specs) != 1:
        raise ExportError(
            f"The model has {len(specs)} inputs ({listed(spec.name for spec in specs)}), which "
            "--data cannot tell apart. Give --representative-data an .npz file with an array for "
            "each."
        )
    (spec,) = specs
    if isinstance(split.x, np.ndarray) and split.x.ndim == len(spec.shape):
        x = split.x
    else:
        rows = [np.asarray(row) for row in split.x]
        steps = spec.shape[1] if len(spec.shape) > 1 else None
        steps = steps or max(len(row) for row in rows)
        x = np.zeros((len(rows), steps, *rows[0].shape[1:]), spec.dtype)
        for target, row in zip(x, rows, strict=True):
            target[: len(row)] = row[:steps]
    try:
        y = np.asarray(split.y)
        y = y if y.dtype.kind in "fiub" else np.asarray(split.y, dtype=np.int64)
    except ValueError:
        y = None
    return Rows(x, y, origin)
