"""What a Keras model answers to samples: all that its files are compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ExportError, RunError
from keras_rnn_zoo.export.running import Arrays
from keras_rnn_zoo.export.samples import as_samples
from keras_rnn_zoo.export.tracing import call_flat, graph_of, input_specs, output_names
from keras_rnn_zoo.files import PathLike

# Samples that Keras answers at once.
BATCH = 256


@dataclass(frozen=True)
class Spec:
    """An input or output of the Keras model, as `TensorInfo` is one of the file.

    Attributes:
        name: Its name in the signature.
        shape: Its shape, batch included; None where the model leaves a size open.
        dtype: NumPy name of its type.
        activation: `"sigmoid"`, `"softmax"` or None: what an output ends in.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    activation: str | None = None


@dataclass(frozen=True, eq=False)
class Reference:
    """What a Keras model answers: all that its files are compared with.

    Attributes:
        inputs: The model's inputs.
        outputs: The model's outputs.
        x: Input name -> encoded samples `[samples, ...]`; made ones come last.
        answers: Output name -> what the model answered, `[samples, ...]`.
        logits: Output name -> what went into its sigmoid or softmax.
        given: How many of the samples are real; the others are made of them.
    """

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    x: Arrays
    answers: Arrays
    logits: Arrays
    given: int

    def save(self, path: PathLike) -> None:
        """Writes the reference as an .npz file without pickles."""
        spec = {
            "inputs": [asdict(item) for item in self.inputs],
            "outputs": [asdict(item) for item in self.outputs],
            "given": self.given,
        }
        arrays = {"spec": np.array(json.dumps(spec))}
        for group in ("x", "answers", "logits"):
            names = self.inputs if group == "x" else self.outputs
            for number, item in enumerate(names):
                if item.name in getattr(self, group):
                    arrays[f"{group}_{number}"] = getattr(self, group)[item.name]
        with Path(path).open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: PathLike) -> Reference:
        """Reads what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                spec = json.loads(str(stored["spec"]))
                inputs, outputs = (
                    tuple(Spec(**{**item, "shape": tuple(item["shape"])}) for item in spec[key])
                    for key in ("inputs", "outputs")
                )
                x, answers, logits = (
                    {
                        item.name: stored[f"{group}_{number}"]
                        for number, item in enumerate(names)
                        if f"{group}_{number}" in stored
                    }
                    for group, names in (("x", inputs), ("answers", outputs), ("logits", outputs))
                )
                return cls(inputs, outputs, x, answers, logits, given=int(spec["given"]))
        except Exception as error:  # a damaged zip fails in whatever way its bytes say
            raise RunError(
                f"Cannot read {path}: it is missing or damaged. Take a complete copy, or export "
                "again."
            ) from error


def reference_of(
    model: Any, samples: Any, *, made: bool = True, keep_states: bool = False
) -> Reference:
    """Runs a Keras model on samples, for its files to be compared with.

    Args:
        model: A built `keras.Model`; it is not changed.
        samples: Encoded inputs, in any form that `as_samples` takes.
        made: Add samples of other lengths, made of the given ones: see `make_lengths`.
        keep_states: Stateful layers go on from call to call, instead of from zeros in each.

    Raises:
        ExportError: The samples do not fit the model, or the model answers NaN.
    """
    from keras_rnn_zoo.export.keras_model import prepared

    with prepared(model, samples, keep_states=keep_states, compare=False) as ready:
        return _reference_of(ready.model, samples, made)


def _reference_of(model: Any, samples: Any, made: bool) -> Reference:
    x = as_samples(model, samples)
    given = len(next(iter(x.values())))
    if made:
        extra = make_lengths(x)
        x = {name: np.concatenate([x[name], extra[name]]) for name in x}
    answers, logits, activations = _keras_answers(model, x)
    for name, values in answers.items():
        if not np.isfinite(values).all():
            raise ExportError(
                f"Model '{model.name}' answers NaN or infinity (output '{name}'): there is nothing "
                "to compare a file with. Train it again with a lower learning rate."
            )
    import keras

    return Reference(
        inputs=tuple(Spec(s.name, s.shape, s.dtype) for s in input_specs(model)),
        outputs=tuple(
            Spec(name, _shape(tensor, answers[name]), answers[name].dtype.name, activations[name])
            for name, tensor in zip(
                output_names(model), keras.tree.flatten(model.outputs), strict=True
            )
        ),
        x=x,
        answers=answers,
        logits=logits,
        given=given,
    )


def _shape(tensor: Any, answer: np.ndarray) -> tuple[int | None, ...]:
    """The shape of an output; what Keras believes of a custom cell's may be wrong."""
    if len(tensor.shape) != answer.ndim:
        return (None, *answer.shape[1:])
    sizes = zip(tensor.shape, answer.shape, strict=True)
    return tuple(None if known is None else size for known, size in sizes)


def keras_answers(model: Any, x: Arrays) -> Arrays:
    """Returns output name -> what the model answers, in inference mode.

    Args:
        model: A built functional or sequential model.
        x: Input name -> encoded samples.
    """
    return _keras_answers(model, x, logits=False)[0]


def _keras_answers(
    model: Any, x: Arrays, *, logits: bool = True
) -> tuple[Arrays, Arrays, dict[str, str | None]]:
    import keras
    import tensorflow as tf

    outputs = keras.tree.flatten(model.outputs)
    names = output_names(model)
    heads = [_head(tensor) if logits else None for tensor in outputs]
    # One pass through the layers gives the outputs and what goes into their heads.
    features = [tensor for head in heads if head is not None for tensor in head.inputs]
    run: Callable[[list[Any]], list[Any]]
    if features:
        probe = keras.Model(list(model.inputs), [*outputs, *features])

        def run(inputs: list[Any]) -> list[Any]:
            return list(probe(inputs, training=False))

    else:

        def run(inputs: list[Any]) -> list[Any]:
            return call_flat(model, inputs)

    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    raw: dict[str, list[np.ndarray]] = {
        name: [] for name, head in zip(names, heads, strict=True) if head is not None
    }
    fixed = model.inputs[0].shape[0]
    order = [spec.name for spec in input_specs(model)]
    count = len(x[order[0]])
    if count > 4 * BATCH:
        # Tracing pays once there are many batches: layer by layer, each takes a second.
        run = tf.function(run)
    for start in range(0, count, fixed or BATCH):
        rows = np.arange(start, min(count, start + BATCH) if not fixed else start + fixed)
        used = int((rows < count).sum())
        results = run([tf.constant(x[name][rows.clip(max=count - 1)]) for name in order])
        rest = iter(results[len(names) :])
        for name, head, values in zip(names, heads, results, strict=False):
            found[name].append(np.asarray(values)[:used])
            if head is not None:
                values = head.apply([next(rest) for _ in head.inputs])
                raw[name].append(np.asarray(values)[:used])
    return (
        {name: np.concatenate(parts) for name, parts in found.items()},
        {name: np.concatenate(parts) for name, parts in raw.items()},
        {name: head.activation if head else None for name, head in zip(names, heads, strict=True)},
    )


@dataclass(frozen=True)
class _Head:
    """The end of a model: `apply(values of inputs)` gives the logits of one output."""

    inputs: list[Any]
    activation: str
    apply: Callable[[list[Any]], Any] = field(repr=False)


def _head(output: Any) -> _Head | None:
    """Returns the head of a symbolic output, or None where it has no sigmoid or softmax."""
    import keras

    history = output._keras_history
    operation = history.operation
    inputs = list(operation._inbound_nodes[history.node_index].input_tensors)
    if isinstance(operation, keras.Model):  # a model used as a layer
        if graph_of(operation) is None:
            return None
        inner = _head(keras.tree.flatten(operation.outputs)[history.tensor_index])
        if inner is None:
            return None
        probe = keras.Model(list(operation.inputs), inner.inputs)
        return _Head(
            inputs,
            inner.activation,
            lambda values: inner.apply(keras.tree.flatten(probe(values, training=False))),
        )
    layer = operation
    if isinstance(layer, keras.layers.TimeDistributed):
        layer = layer.layer
    if isinstance(layer, keras.layers.Softmax) or type(layer).__name__ in ("Sigmoid", "Softmax"):
        # The layer, or keras.ops.sigmoid and keras.ops.softmax in a functional model.
        return _Head(inputs[:1], type(layer).__name__.lower(), lambda values: values[0])
    activation = getattr(layer, "activation", None)
    name = {keras.activations.sigmoid: "sigmoid", keras.activations.softmax: "softmax"}.get(
        activation
    )
    if name is None:
        return None
    if isinstance(layer, keras.layers.Activation):
        return _Head(inputs, name, lambda values: values[0])
    if isinstance(layer, (keras.layers.Dense, keras.layers.EinsumDense)):
        linear = type(layer).from_config({**layer.get_config(), "activation": "linear"})
        linear.build(inputs[0].shape)
        linear.set_weights(layer.get_weights())
        return _Head(inputs, name, lambda values: linear(values[0]))
    return None


def make_lengths(x: Arrays) -> Arrays:
    """Makes samples of other lengths out of real ones.

    The steps of a real sample are repeated to the length 1, a quarter, a half and all of the time
    steps, and padded with zeros at the side where the samples are padded; then a half padded at
    the other side, all steps with a gap in the middle, and none at all. A time step is padding
    when it is 0, or all its features are.

    Args:
        x: Input name -> samples. Sequences are whole numbers `[samples, timesteps]` and anything
            `[samples, timesteps, features]`; other inputs are taken as they come.

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
        result = np.zeros((len(patterns), *array.shape[1:]), array.dtype)
        real = real_steps(array)
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
            start = steps - length if left != (pattern == "other side") else 0
            target[start : start + length] = content[np.arange(length) % len(content)]
            if pattern == "gap":
                target[steps // 3 : max(2 * steps // 3, steps // 3 + 1)] = 0
        made[name] = result
    return made


def _is_sequence(array: np.ndarray) -> bool:
    if array.dtype.kind in "OUS":
        return False
    # Keras takes token ids as floats, too: keras.Input((80,)) is float32.
    return array.ndim == 3 or (array.ndim == 2 and bool((array == np.rint(array)).all()))


def real_steps(array: np.ndarray) -> np.ndarray:
    """Returns bool `[samples, timesteps]`: which steps of a sequence are no padding."""
    return np.asarray(array != 0 if array.ndim == 2 else array.any(axis=2))


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


def output_activation(output: Any) -> str | None:
    """Returns `"sigmoid"`, `"softmax"` or None: what a symbolic output of a model ends in."""
    head = _head(output)
    return head.activation if head is not None else None
