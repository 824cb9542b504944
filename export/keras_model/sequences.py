"""Sequences of different lengths: which steps are real, and samples of lengths that data lack."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_rnn_zoo.export.tflite.interpreter import Arrays


def make_lengths(x: Arrays, padding: Mapping[str, float] | None = None) -> Arrays:
    """Makes samples of other lengths out of real ones.

    The steps of a real sample are repeated to the length 1, a quarter, a half and all of the time
    steps, and padded at the side where the samples are padded; then a half padded at the other
    side, all steps with a gap in the middle, and none at all. A time step is padding when it, or
    all its features, are the value that is padding. Features that know no padding, neither in the
    model nor in the samples, are padded with their own last step: a pressure of 0 is no reading.

    Args:
        x: Input name -> samples. Sequences are whole numbers `[samples, timesteps]` and anything
            `[samples, timesteps, features]`; other inputs are taken as they come.
        padding: Input name -> its padding where that is not 0; see `KerasModel.paddings`.

    Returns:
        Input name -> made samples; none where no input is a sequence.
    """
    patterns = ("shortest", "quarter", "half", "full", "other side", "gap", "empty")
    sequences = {name: array for name, array in x.items() if _is_sequence(array)}
    if not sequences:
        return {name: array[:0] for name, array in x.items()}
    made: Arrays = {}
    for name, array in x.items():
        rows = np.arange(len(patterns)) % len(array)
        if name not in sequences:
            made[name] = array[rows]
            continue
        pad = (padding or {}).get(name, 0)
        real = real_steps(array, pad)
        result = np.full((len(patterns), *array.shape[1:]), pad, array.dtype)
        if array.ndim == 3 and name not in (padding or {}) and real.all():
            result[:] = array[rows, -1:]
        steps = array.shape[1]
        left = bool((~real[:, 0] & real[:, -1]).sum() > (real[:, 0] & ~real[:, -1]).sum())
        for target, row, pattern in zip(result, rows, patterns, strict=True):
            content = array[row][real[row]]
            if not len(content):
                content = np.ones((1, *array.shape[2:]), array.dtype)
            lengths: dict[str, int] = {
                "shortest": 1,
                "quarter": max(1, steps // 4),
                "half": max(1, steps // 2),
                "other side": max(1, steps // 2),
                "empty": 0,
            }
            length = lengths.get(pattern, int(steps))
            padded = target.copy()
            start = steps - length if left != (pattern == "other side") else 0
            target[start : start + length] = content[np.arange(length) % len(content)]
            if pattern == "gap":
                middle = slice(steps // 3, max(2 * steps // 3, steps // 3 + 1))
                target[middle] = padded[middle]
        made[name] = result
    return made


def _is_sequence(array: np.ndarray) -> bool:
    if array.dtype.kind in "OUS":
        return False
    # Keras takes token ids as floats, too: keras.Input((80,)) is float32.
    return array.ndim == 3 or (array.ndim == 2 and bool((array == np.rint(array)).all()))


def real_steps(array: np.ndarray, padding: float = 0) -> np.ndarray:
    """Returns bool `[samples, timesteps]`: which steps of a sequence are no padding."""
    different = array != padding
    return np.asarray(different if array.ndim == 2 else different.any(axis=2))


def true_lengths(x: Arrays) -> tuple[int, ...]:
    """Returns the different numbers of real time steps among samples, ascending."""
    lengths: set[int] = set()
    for array in x.values():
        if _is_sequence(array):
            lengths.update(real_steps(array).sum(axis=1).tolist())
    return tuple(sorted(lengths))


def sequence_mask(*inputs: np.ndarray) -> np.ndarray | None:
    """Returns bool `[samples, timesteps]`: which steps are real; None without one sequence."""
    sequences = [array for array in inputs if _is_sequence(array)]
    return real_steps(sequences[0]) if len(sequences) == 1 else None
