"""The user's own arrays: an NPZ file with `x`, `y`, or `x_train`, `y_train`, `x_test`, `y_test`.

Whole numbers of shape `[rows, timesteps]` are token ids (0 is padding); numbers of shape
`[rows, timesteps, features]` are features, and so are fractional numbers of shape
`[rows, timesteps]`, one feature per step. Strings are texts or label names. Short sequences are
filled up with NaN, or an array `lengths` (`lengths_train`, `lengths_test`) says how many steps of
each row are real.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.data.dataset import Dataset, Split
from keras_rnn_zoo.data.reader import DATASETS, Reader
from keras_rnn_zoo.errors import DataError, listed
from keras_rnn_zoo.preprocessing.reading import ReadOptions

LENGTHS = ("lengths", "lengths_train", "lengths_test")


def read_arrays(
    path: Path, wanted: Sequence[Sequence[str]] | None = None, beside: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Reads arrays by their names; nothing is unpickled.

    Args:
        path: An NPZ file, or an NPY file, whose only array gets the name "".
        wanted: Groups of names, of which the first that the file has in full is read; None reads
            all that it has.
        beside: Names that are read, too, where the file has them.

    Raises:
        DataError: The file is damaged, has none of the groups, or holds Python objects.
    """
    found: list[str] = []
    name = ""
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            if wanted is None:
                return {"": archive}
            raise DataError(f"{path} is one array, not an NPZ archive. Write it with numpy.savez.")
        with archive:
            found = list(archive.files)
            for group in [found] if wanted is None else wanted:
                if set(group) <= set(found):
                    arrays = {}
                    for name in (*group, *(one for one in beside if one in found)):
                        arrays[name] = archive[name]
                    return arrays
    except (ValueError, zipfile.BadZipFile, EOFError, zlib.error, KeyError) as error:
        if "Object arrays" in str(error):
            raise DataError(
                f"The array {f'{name!r} ' if name else ''}of {path} holds Python objects, which "
                "only pickle could read, and pickle can run any code. Save it as a rectangular "
                "array of numbers or strings (fill up short rows with NaN, token ids with 0)."
            ) from error
        kind = "NPY file" if path.suffix.lower() == ".npy" else "NPZ archive"
        # NumPy takes whatever it does not know for a pickle, and says how to load that.
        reason = "" if "pickle" in str(error) else f" ({str(error).splitlines()[0]})"
        raise DataError(
            f"{path} is damaged or not an {kind}{reason}. Write it with numpy.save"
            f"{'z' if kind == 'NPZ archive' else ''}."
        ) from error
    groups = " or ".join(listed(group) for group in wanted or ())
    raise DataError(f"{path} holds {listed(found) or 'nothing'}. It needs the arrays {groups}.")


def _inputs(x: np.ndarray, name: str) -> tuple[str, Any]:
    """Returns the kind of an input array, and the inputs."""
    kind = x.dtype.kind
    if kind == "U" and x.ndim == 1:
        return "text", x.tolist()
    if kind in "iu" and x.ndim == 2:
        return "tokens", x
    if kind in "fiub" and x.ndim == 3:
        return "features", x
    if kind == "f" and x.ndim == 2:
        return "features", x[:, :, np.newaxis]
    raise DataError(
        f"The array {name!r} has shape {list(x.shape)} and dtype {x.dtype}. Give whole numbers "
        "[rows, timesteps] (token ids), numbers [rows, timesteps, features], or strings [rows]."
    )


def _targets(y: np.ndarray, name: str) -> Any:
    if y.dtype.kind not in "fiubU" or y.ndim not in (1, 2):
        raise DataError(
            f"The array {name!r} has shape {list(y.shape)} and dtype {y.dtype}. Give labels [rows] "
            "(whole numbers or strings), labels [rows, timesteps], or targets [rows, outputs] "
            "(fractional numbers)."
        )
    if y.dtype.kind == "U":
        return y.tolist()
    return y.astype(np.int64) if y.dtype.kind == "b" else y


def _split(arrays: dict[str, np.ndarray], suffix: str) -> tuple[str, Split]:
    kind, x = _inputs(arrays["x" + suffix], "x" + suffix)
    y = _targets(arrays["y" + suffix], "y" + suffix)
    lengths = arrays.get("lengths" + suffix)
    if lengths is not None:
        x, cut = _cut(x, lengths, "lengths" + suffix), len(x) and np.ndim(y) == 2
        if cut and np.shape(y)[1] == arrays["x" + suffix].shape[1]:  # labels of each step
            y = [row[:length] for row, length in zip(y, lengths.tolist(), strict=True)]
    return kind, Split(x, y)


def _cut(x: Any, lengths: np.ndarray, name: str) -> list[np.ndarray]:
    """Returns rows without the steps that their lengths leave out."""
    most = x.shape[1] if isinstance(x, np.ndarray) else 0
    right = lengths.dtype.kind in "iu" and lengths.shape == (len(x),) and most
    if not right or lengths.min() < 1 or lengths.max() > most:
        raise DataError(
            f"The array {name!r} has shape {list(lengths.shape)} and dtype {lengths.dtype}"
            f"{f', from {lengths.min()} to {lengths.max()}' if lengths.size else ''}. Give a whole "
            f"number from 1 to {most} for each of the {len(x)} rows."
        )
    return [row[:length] for row, length in zip(x, lengths.tolist(), strict=True)]


class Arrays(Reader):
    """Reads token ids, features or texts, and their targets, from an NPZ file."""

    name = "arrays"
    description = "Your arrays: a .npz file with x and y, or x_train, y_train, x_test and y_test."
    suffixes = (".npz", ".npy")

    def load(self, path: Path | None, options: ReadOptions) -> Dataset:
        """Reads arrays and their targets; see `load_data`."""
        assert path is not None
        if path.suffix.lower() == ".npy":
            raise DataError(
                f"{path} is one array, without labels. Write inputs and labels together: "
                "numpy.savez('data.npz', x=x, y=y)."
            )
        wanted = (("x_train", "y_train", "x_test", "y_test"), ("x_train", "y_train"), ("x", "y"))
        arrays = read_arrays(path, wanted, LENGTHS)
        try:
            kind, train = _split(arrays, "" if "x" in arrays else "_train")
            test = None
            if "x_test" in arrays:
                test_kind, test = _split(arrays, "_test")
                if test_kind != kind:
                    raise DataError(
                        f"x_train holds {kind} and x_test holds {test_kind}. Save them alike."
                    )
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        shapes = {name: list(array.shape) for name, array in arrays.items()}
        return Dataset(path.name, kind, train, test, description={"arrays": shapes})

    def load_inputs(self, path: Path, options: ReadOptions) -> Sequence[Any]:
        """Reads the array `x` (or `x_test`), cut to its lengths if it has such."""
        if path.suffix.lower() == ".npy":
            return self._alone(path, options)
        arrays = read_arrays(path, (("x",), ("x_test",)), LENGTHS)
        name = "x" if "x" in arrays else "x_test"
        kind, inputs = _inputs(arrays[name], name)
        if kind == "tokens" and options.kind == "features":
            inputs = inputs[:, :, np.newaxis]
        lengths = name.replace("x", "lengths")
        found: Sequence[Any] = inputs
        return _cut(inputs, arrays[lengths], lengths) if lengths in arrays else found

    def _alone(self, path: Path, options: ReadOptions) -> Sequence[Any]:
        kind, inputs = _inputs(read_arrays(path)[""], "")
        if kind == "tokens" and options.kind == "features":
            inputs = inputs[:, :, np.newaxis]
        found: Sequence[Any] = inputs
        return found


DATASETS.register(Arrays.name, Arrays())
