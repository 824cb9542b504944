"""Inputs of a model in the forms people have them, brought into one: name -> array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ExportError, listed, nearest
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.signature import InputSpec, Timesteps, how_to_size

Samples = dict[str, np.ndarray]


def as_samples(
    model: KerasModel | Any,
    data: Any,
    *,
    what: str = "samples",
    limit: int | None = None,
    timesteps: Timesteps = None,
) -> Samples:
    """Brings inputs into the form name -> array `[samples, ...]`, checked against the model.

    Args:
        model: A built functional or sequential Keras model, or the `KerasModel` of one.
        data: An array `[samples, ...]` (one input), a list of arrays (one an input), a dict of
            arrays by input name (Keras' or the signature's), or a callable that yields one sample
            after the other as a list or dict of arrays of batch 1, as the TFLite converter's
            `representative_dataset`.
        what: What the inputs are for, for messages.
        limit: Take at most so many samples, evenly spread.
        timesteps: Sizes that the model leaves open: see `tracing.sized`.

    Returns:
        One array for each input, with the dtype of the input.

    Raises:
        ExportError: Inputs that the model does not take: names, shapes, NaN, token ids.
    """
    model = KerasModel.of(model)
    specs = model.sized(timesteps)
    if callable(data):
        data = _collect(specs, data, what)
    arrays = _by_name(specs, data, what)
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        raise ExportError(
            f"The {what} must hold the same number of samples, at least one, for every input. "
            f"Received: { {name: len(array) for name, array in arrays.items()} }"
        )
    rows = _spread(counts.pop(), limit)
    samples = {
        spec.name: _checked(spec, own.shape, arrays[spec.name][rows], what)
        for spec, own in zip(specs, model.inputs, strict=True)
    }
    for name, vocabulary in model.vocabularies.items():
        low, high = samples[name].min(initial=0), samples[name].max(initial=0)
        if low < 0 or high >= vocabulary:
            raise ExportError(
                f"The {what} for input '{name}' hold the token id {low if low < 0 else high}, and "
                f"its embedding has the ids 0 to {vocabulary - 1}. Encode them as the model was "
                "trained."
            )
    return samples


def sizes_of(model: KerasModel, samples: Samples, timesteps: Timesteps = None) -> Timesteps:
    """Returns the sizes that the model leaves open, as samples say them; else what is given."""
    open_sizes = {
        spec.name: {
            axis: int(samples[spec.name].shape[axis])
            for axis, size in enumerate(spec.shape)
            if axis and size is None
        }
        for spec in model.inputs
    }
    return {name: sizes for name, sizes in open_sizes.items() if sizes} or timesteps


def whole_chunks(samples: Samples, steps: int) -> Samples:
    """Returns sequences of a number of time steps that is a multiple of `steps`.

    What is left over is cut off where the padding is, if there is any, and else at the start: what
    a sequence is about is mostly at its end.

    Raises:
        ExportError: They have fewer steps than that.
    """
    for name, values in samples.items():
        if values.shape[1] < steps:
            raise ExportError(
                f"A call takes {steps} time steps. Received: samples of {values.shape[1]}"
                + (f" for input '{name}'" if name else "")
                + ". Pass longer ones, or stream fewer steps a call."
            )
    return {name: values[:, steps_kept(values, steps)] for name, values in samples.items()}


def steps_kept(values: np.ndarray, steps: int) -> slice:
    """Returns which time steps of sequences `whole_chunks` keeps."""
    left = values.shape[1] % steps
    padding = values == 0
    first, last = padding[:, 0], padding[:, -1]
    if (
        last.reshape(len(last), -1).all(axis=1).sum()
        > first.reshape(len(first), -1).all(axis=1).sum()
    ):
        return slice(0, values.shape[1] - left)
    return slice(left, None)


def synthetic_samples(
    model: KerasModel | Any, timesteps: Timesteps = None, count: int = 8
) -> Samples:
    """Returns random inputs, the same each time, for a model that came without data.

    Token ids (whole numbers, and whatever goes straight into an embedding) are drawn below the
    vocabulary of the model's smallest embedding and padded on the right with zeros to different
    lengths; texts are words that the model's layers know; everything else is standard normal.
    """
    model = KerasModel.of(model)
    specs = model.sized(timesteps)
    vocabulary = min((layer.input_dim for layer in model.embeddings), default=2)
    tokens = model.tokens
    generator = np.random.default_rng(0)
    samples: Samples = {}
    for spec in specs:
        shape = [count, *(size for size in spec.shape[1:] if size is not None)]
        if len(shape) < len(spec.shape):
            raise ExportError(
                f"Input '{spec.name}' has the shape {spec.shape}. Pass {how_to_size(spec)}, or "
                "samples of that size."
            )
        values: np.ndarray
        if spec.dtype == "string":
            samples[spec.name] = _texts(model, shape, generator)
            continue
        if spec.name in tokens:
            values = generator.integers(1, max(2, vocabulary), shape)
            if len(shape) == 2:
                lengths = np.linspace(1, shape[1], count).round().astype(int)
                values[np.arange(shape[1]) >= lengths[:, np.newaxis]] = 0
        else:
            values = generator.standard_normal(shape)
        samples[spec.name] = values.astype(spec.dtype)
    return samples


def _texts(model: KerasModel, shape: list[int], generator: np.random.Generator) -> np.ndarray:
    """Returns words that the model's layers know and one that they do not, or several in a row."""
    words = ["unheard"]
    for layer in model.keras._flatten_layers():
        if hasattr(layer, "get_vocabulary"):
            words += [str(word) for word in layer.get_vocabulary() if str(word).strip()]
    picked = generator.choice(words, (*shape, 1 if len(shape) > 1 and shape[-1] > 1 else 4))
    return np.apply_along_axis(" ".join, -1, picked)


def _collect(specs: list[InputSpec], generator: Callable[[], Iterable[Any]], what: str) -> Samples:
    rows = [_by_name(specs, sample, what) for sample in islice(generator(), 10_000)]
    if not rows:
        raise ExportError(f"The generator of the {what} yielded nothing.")
    return {spec.name: np.concatenate([row[spec.name] for row in rows]) for spec in specs}


def _by_name(specs: list[InputSpec], data: Any, what: str) -> Samples:
    names = [spec.name for spec in specs]
    if isinstance(data, Mapping):
        own = {spec.original: spec.name for spec in specs} | {name: name for name in names}
        data = {own.get(name, name): array for name, array in data.items()}
        if set(data) != set(names):
            wrong = sorted(set(map(str, data)) ^ set(names))
            near = (nearest(name, names) for name in wrong if name not in names)
            raise ExportError(
                f"The {what} must be given for the inputs {listed(names)}. Missing or unknown: "
                f"{listed(wrong)}.{next(filter(None, near), '')}"
            )
        return {name: np.asarray(data[name]) for name in names}
    if isinstance(data, Sequence) and not isinstance(data, str) and len(specs) > 1:
        if len(data) != len(specs):
            raise ExportError(
                f"The model has {len(specs)} inputs ({listed(names)}). Received: a list of "
                f"{len(data)} arrays as {what}."
            )
        return {name: np.asarray(array) for name, array in zip(names, data, strict=True)}
    if len(specs) > 1:
        raise ExportError(
            f"The model has {len(specs)} inputs: pass the {what} as a dict with the keys "
            f"{listed(names)}. Received: {type(data).__name__}"
        )
    if isinstance(data, (list, tuple)) and len(data) == 1 and np.ndim(data[0]) > 1:
        data = data[0]
    try:
        return {names[0]: np.asarray(data)}
    except ValueError:
        raise ExportError(
            f"The {what} are ragged: pad the sequences to the same number of timesteps."
        ) from None


def _spread(count: int, limit: int | None) -> np.ndarray:
    if limit is None or count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(int)


def _checked(
    spec: InputSpec, own: tuple[int | None, ...], array: np.ndarray, what: str
) -> np.ndarray:
    wanted = spec.shape[1:]
    fits = array.ndim == len(spec.shape) and all(
        size in (None, actual) for size, actual in zip(wanted, array.shape[1:], strict=True)
    )
    if not fits:
        shape = ", ".join(["samples", *("?" if size is None else str(size) for size in wanted)])
        raise ExportError(
            f"The {what} for input '{spec.name}' must have the shape [{shape}]. Received: "
            f"{list(array.shape)}"
            + (
                ". The model leaves that size open: leave timesteps (--timesteps) out, or give it "
                f"by name, {{'{spec.name}': ...}} ({spec.name}=N)."
                if own != spec.shape
                else ""
            )
        )
    if spec.dtype == "string":
        if array.dtype.kind not in "OUS":
            raise ExportError(
                f"The {what} for input '{spec.name}' must be texts. Received: dtype {array.dtype}"
            )
        return array.astype(str)
    if not np.issubdtype(array.dtype, np.number) and array.dtype != np.bool_:
        raise ExportError(
            f"The {what} for input '{spec.name}' must be numbers ({spec.dtype}). Received: dtype "
            f"{array.dtype}. Encode text first, as the model was trained."
        )
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise ExportError(f"The {what} for input '{spec.name}' hold NaN or infinite values.")
    return array.astype(spec.dtype)
