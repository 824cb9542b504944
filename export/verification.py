"""Does a written file answer what the Keras model answers?

A `Reference` holds what the model answered to real samples, and to made ones of every length. A
file is compared with it in the order names, shapes, dtypes, values; every sample is invoked three
times in the same interpreter, because state that a file keeps shows from the second call on.
Running a file needs numpy and `ai_edge_litert` only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from keras_rnn_zoo.errors import (
    ConfigError,
    ExportError,
    RunError,
    VerificationError,
    listed,
    nearest,
)
from keras_rnn_zoo.export import gate
from keras_rnn_zoo.export.samples import as_samples
from keras_rnn_zoo.export.tracing import call_flat, input_specs, output_names
from keras_rnn_zoo.files import PathLike

Arrays: TypeAlias = dict[str, np.ndarray]
INVOKES = 3
SIGNATURE = "serving_default"
# The same kernels on the same numbers give the same bits; the room is for threads that sum in
# another order.
REPEAT_TOLERANCE = 1e-6
BATCH = 256


class NamesError(VerificationError):
    """The file's inputs or outputs have other names than the model's."""


class ShapesError(VerificationError):
    """An input or output of the file has another shape than the model's."""


class DtypesError(VerificationError):
    """An input or output of the file has another dtype than the model's."""


class ValuesError(VerificationError):
    """The file computes other values than the model; `parity` has the differences."""

    def __init__(self, message: str, parity: Parity | None = None):
        super().__init__(message)
        self.parity = parity


@dataclass(frozen=True)
class Tolerance:
    """The largest differences from the Keras model that a file may show.

    Attributes:
        output: Of probabilities: outputs of a sigmoid or softmax.
        logit: Of what goes into the sigmoid or softmax, and of outputs without one; times the
            largest absolute value there where that is above 1.
        reason: Why so much, for the report.
    """

    output: float
    logit: float
    reason: str = ""


@dataclass(frozen=True)
class Parity:
    """How a file's answers compare with the Keras model's.

    Attributes:
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        samples: Samples compared, made ones included.
        invokes: How often each was run in the same interpreter.
        lengths: The different true lengths among them, ascending; empty where no input is a
            sequence.
        max_abs_output: Largest absolute difference of an output, over all invokes.
        mean_abs_output: Mean absolute difference.
        max_abs_logit: Largest absolute difference of a logit; None where the file holds no tensor
            that can be compared.
        max_abs_repeat: Largest absolute difference between invokes of the same sample.
        changed_answers: Given samples that get another label; None without sigmoid or softmax.
        tolerance: What was allowed.
        passed: All differences are within it.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    samples: int
    invokes: int
    lengths: tuple[int, ...]
    max_abs_output: float
    mean_abs_output: float
    max_abs_logit: float | None
    max_abs_repeat: float
    changed_answers: int | None
    tolerance: Tolerance
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """Returns the content as a JSON object."""
        return asdict(self)


# -------------------------------------------------------------------------------------- running


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a file.

    Attributes:
        name: Its name in the signature.
        index: Its tensor index.
        shape: Its shape, batch included.
        dtype: NumPy name of its type.
        scale: Real value of one quantization step; 0 where it is not quantized.
        zero_point: The stored number that stands for 0.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Returns float or integer values in the dtype that the tensor stores."""
        if self.scale:
            limits = np.iinfo(self.dtype)
            values = np.rint(values / self.scale) + self.zero_point
            values = values.clip(limits.min, limits.max)
        return values.astype(self.dtype, copy=False)

    def dequantize(self, stored: np.ndarray) -> np.ndarray:
        """Returns the real values of what the tensor stores."""
        if self.scale:
            return ((stored.astype(np.float32) - self.zero_point) * self.scale).astype(np.float32)
        return stored


class TFLiteModel:
    """A .tflite file that runs, without TensorFlow.

    Args:
        path: The file.
        threads: CPU threads of an invoke.

    Attributes:
        inputs: Name -> `TensorInfo`.
        outputs: Name -> `TensorInfo`.
        batch_size: Sequences that one invoke answers.

    Raises:
        RunError: The file is missing or damaged.
        OpGateError: The interpreter lacks one of its ops.
    """

    def __init__(self, path: PathLike, threads: int = 1, *, keep_tensors: bool = False):
        self.path = Path(path)
        if threads < 1:
            raise ConfigError(f"threads must be at least 1. Received: {threads}")
        self.interpreter = gate.open_interpreter(
            self.path, threads=threads, keep_tensors=keep_tensors
        )
        signatures = self.interpreter.get_signature_list()
        key = SIGNATURE if SIGNATURE in signatures else next(iter(signatures), None)
        if key is None:
            inputs = {_plain(d["name"]): d for d in self.interpreter.get_input_details()}
            outputs = {_plain(d["name"]): d for d in self.interpreter.get_output_details()}
        else:
            runner = self.interpreter.get_signature_runner(key)
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
        self.inputs = {name: _tensor_info(name, inputs[name]) for name in inputs}
        self.outputs = {name: _tensor_info(name, outputs[name]) for name in outputs}
        first = next(iter(self.inputs.values()), None)
        self.batch_size = first.shape[0] if first is not None and first.shape else 1

    def set_inputs(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets one batch of inputs, quantized as the file stores them."""
        for name, info in self.inputs.items():
            self.interpreter.set_tensor(info.index, info.quantize(values[name]))

    def invoke(self) -> Arrays:
        """Runs the file once on the inputs that are set; returns name -> real values."""
        self.interpreter.invoke()
        return {
            name: info.dequantize(self.interpreter.get_tensor(info.index))
            for name, info in self.outputs.items()
        }

    def batches(self, x: Arrays) -> Iterator[tuple[int, Arrays]]:
        """Yields batches of the file's size and how many rows of each count; the last is filled.

        Raises:
            RunError: Inputs that the file does not take.
        """
        if set(x) != set(self.inputs):
            raise RunError(
                f"{self.path.name} takes the inputs {listed(self.inputs)}. Received: {listed(x)}."
            )
        for name, info in self.inputs.items():
            if x[name].shape[1:] != info.shape[1:]:
                raise RunError(
                    f"{self.path.name} takes arrays of the shape "
                    f"{['samples', *info.shape[1:]]} as '{name}'. Received: "
                    f"{list(x[name].shape)}"
                )
        count = len(next(iter(x.values())))
        for start in range(0, count, self.batch_size):
            rows = np.arange(start, start + self.batch_size).clip(max=count - 1)
            used = min(self.batch_size, count - start)
            yield used, {name: array[rows] for name, array in x.items()}

    def predict(self, x: np.ndarray | Arrays) -> Any:
        """Answers encoded inputs, whatever their number.

        Args:
            x: An array `[samples, ...]`, or name -> array for several inputs.

        Returns:
            An array `[samples, ...]`, or name -> array for several outputs.

        Raises:
            RunError: Inputs that the file does not take.
        """
        if not isinstance(x, Mapping):
            if len(self.inputs) != 1:
                raise RunError(
                    f"{self.path.name} has the inputs {listed(self.inputs)}: pass a dict of "
                    "arrays by name."
                )
            x = {next(iter(self.inputs)): np.asarray(x)}
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
        for used, batch in self.batches(x):
            self.set_inputs(batch)
            for name, values in self.invoke().items():
                parts[name].append(values[:used])
        answers = {
            name: np.concatenate(values)
            if values
            else np.zeros((0, *self.outputs[name].shape[1:]), np.float32)
            for name, values in parts.items()
        }
        return answers if len(answers) != 1 else next(iter(answers.values()))


def _plain(name: str) -> str:
    return name.removeprefix(f"{SIGNATURE}_").split(":")[0]


def _tensor_info(name: str, details: dict[str, Any]) -> TensorInfo:
    parameters = details["quantization_parameters"]
    quantized = len(parameters["scales"]) == 1
    return TensorInfo(
        name=name,
        index=int(details["index"]),
        shape=tuple(int(size) for size in details["shape"]),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(parameters["scales"][0]) if quantized else 0.0,
        zero_point=int(parameters["zero_points"][0]) if quantized else 0,
    )


# ------------------------------------------------------------------------------------ reference


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
                groups = [
                    {
                        item.name: stored[f"{group}_{number}"]
                        for number, item in enumerate(names)
                        if f"{group}_{number}" in stored
                    }
                    for group, names in (("x", inputs), ("answers", outputs), ("logits", outputs))
                ]
                return cls(inputs, outputs, *groups, given=int(spec["given"]))
        except Exception as error:  # a damaged zip fails in whatever way its bytes say
            raise RunError(
                f"Cannot read {path}: it is missing or damaged. Take a complete copy, or export "
                "again."
            ) from error


def reference_of(model: Any, samples: Any, *, made: bool = True) -> Reference:
    """Runs a Keras model on samples, for its files to be compared with.

    Args:
        model: A built functional or sequential model; it is not changed.
        samples: Encoded inputs, in any form that `as_samples` takes.
        made: Add samples of other lengths, made of the given ones: see `make_lengths`.

    Raises:
        ExportError: The samples do not fit the model, or the model answers NaN.
    """
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
        inputs=tuple(Spec(s.name, s.shape, np.dtype(s.dtype).name) for s in input_specs(model)),
        outputs=tuple(
            Spec(name, tuple(tensor.shape), answers[name].dtype.name, activations[name])
            for name, tensor in zip(
                output_names(model), keras.tree.flatten(model.outputs), strict=True
            )
        ),
        x=x,
        answers=answers,
        logits=logits,
        given=given,
    )


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
        x: Input name -> samples. Sequences are integers `[samples, timesteps]` and floats
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
        real = _real_steps(array)
        steps = array.shape[1]
        left = bool((~real[:, 0] & real[:, -1]).sum() > (real[:, 0] & ~real[:, -1]).sum())
        for target, row, pattern in zip(result, rows, patterns, strict=True):
            content = array[row][real[row]]
            if not len(content):
                content = np.ones((1, *array.shape[2:]), array.dtype)
            length = {
                "shortest": 1,
                "quarter": max(1, steps // 4),
                "half": max(1, steps // 2),
                "other side": max(1, steps // 2),
                "empty": 0,
            }.get(pattern, steps)
            start = steps - length if left != (pattern == "other side") else 0
            target[start : start + length] = content[np.arange(length) % len(content)]
            if pattern == "gap":
                target[steps // 3 : max(2 * steps // 3, steps // 3 + 1)] = 0
        made[name] = result
    return made


def _is_sequence(array: np.ndarray) -> bool:
    return array.ndim == (2 if np.issubdtype(array.dtype, np.integer) else 3)


def _real_steps(array: np.ndarray) -> np.ndarray:
    """Returns bool `[samples, timesteps]`: which steps of a sequence are no padding."""
    return array != 0 if array.ndim == 2 else array.any(axis=2)


def _lengths(x: Arrays) -> tuple[int, ...]:
    lengths: set[int] = set()
    for array in x.values():
        if _is_sequence(array):
            lengths.update(_real_steps(array).sum(axis=1).tolist())
    return tuple(sorted(lengths))


# ------------------------------------------------------------------------------------ comparing


def verify_tflite(path: PathLike, model: Any, samples: Any, tolerance: Tolerance) -> Parity:
    """Compares a .tflite file with the Keras model that it was made of.

    Args:
        path: The file.
        model: The built functional or sequential model.
        samples: Encoded real inputs, in any form that `as_samples` takes.
        tolerance: The differences to accept.

    Returns:
        The differences found.

    Raises:
        NamesError, ShapesError, DtypesError, ValuesError: In this order of checks; all are
            `VerificationError`s.
        ExportError: The samples do not fit the model.
        RunError: The file is missing or damaged.
    """
    return compare_tflite(path, reference_of(model, samples), tolerance)


def compare_tflite(path: PathLike, reference: Reference, tolerance: Tolerance) -> Parity:
    """Compares a .tflite file with what the Keras model answered; needs no TensorFlow.

    See `verify_tflite`.
    """
    file = TFLiteModel(path)
    _compare_specs(file.path.name, reference.inputs, file.inputs, "input")
    _compare_specs(file.path.name, reference.outputs, file.outputs, "output")

    invokes: list[dict[str, list[np.ndarray]]] = [
        {name: [] for name in file.outputs} for _ in range(INVOKES)
    ]
    for used, batch in file.batches(reference.x):
        file.set_inputs(batch)
        for invoke in invokes:
            for name, values in file.invoke().items():
                invoke[name].append(values[:used])
    return compare_values(
        file.path.name,
        reference,
        tolerance,
        [{name: np.concatenate(parts) for name, parts in invoke.items()} for invoke in invokes],
        _file_logits(file.path, reference),
    )


def compare_values(
    name: str,
    reference: Reference,
    tolerance: Tolerance,
    invokes: list[Arrays],
    logits: Arrays | None = None,
    repeat_tolerance: float = REPEAT_TOLERANCE,
) -> Parity:
    """Compares the answers of repeated invokes with the Keras model's.

    Args:
        name: What answered, for messages.
        reference: What the Keras model answered.
        tolerance: The differences to accept.
        invokes: For each invoke, output name -> answers to all samples.
        logits: Output name -> logits, for those that the file shows.
        repeat_tolerance: The difference between invokes to accept.

    Raises:
        ValuesError: The answers differ by more than the tolerance, change from invoke to invoke,
            or are not finite.
    """
    differences: list[np.ndarray] = []
    repeat = 0.0
    broken: list[str] = []
    logit: float | None = None
    for spec in reference.outputs:
        expected = reference.answers[spec.name]
        for values in (invoke[spec.name] for invoke in invokes):
            if not np.isfinite(values).all():
                raise ValuesError(f"{name} answers NaN or infinity as '{spec.name}'.")
            differences.append(np.abs(values.astype(np.float64) - expected).ravel())
            repeat = max(repeat, _largest(values, invokes[0][spec.name]))
        worst = max(float(part.max(initial=0)) for part in differences[-len(invokes) :])
        if spec.activation is not None:
            allowed = tolerance.output
        else:
            allowed = tolerance.logit * max(1.0, float(np.abs(expected).max(initial=0)))
        if worst > allowed:
            broken.append(f"'{spec.name}' by {worst:.2g} (allowed {allowed:.2g})")
        # Without a sigmoid or softmax, the outputs are the logits.
        own = logits.get(spec.name) if spec.activation is not None and logits else None
        if own is not None:
            wanted = reference.logits[spec.name]
            found = _largest(own, wanted)
            allowed = tolerance.logit * max(1.0, float(np.abs(wanted).max(initial=0)))
            if not found <= allowed:
                broken.append(f"the logits of '{spec.name}' by {found:.2g} (allowed {allowed:.2g})")
            logit = max(logit or 0.0, found)
        elif spec.activation is None:
            logit = max(logit or 0.0, worst)
    everything = np.concatenate(differences)
    parity = Parity(
        inputs=tuple(spec.name for spec in reference.inputs),
        outputs=tuple(spec.name for spec in reference.outputs),
        samples=len(next(iter(reference.x.values()))),
        invokes=len(invokes),
        lengths=_lengths(reference.x),
        max_abs_output=float(everything.max(initial=0)),
        mean_abs_output=float(everything.mean()) if everything.size else 0.0,
        max_abs_logit=logit,
        max_abs_repeat=repeat,
        changed_answers=_changed(reference, invokes[0]),
        tolerance=tolerance,
        passed=not broken and repeat <= repeat_tolerance,
    )
    if repeat > repeat_tolerance:
        raise ValuesError(
            f"{name} keeps state between calls: the same sample is answered differently by up to "
            f"{repeat:.2g} from one invoke to the next. Choose another lowering.",
            parity,
        )
    if broken:
        raise ValuesError(
            f"{name} does not answer what the Keras model answers: it differs in "
            f"{' and '.join(broken)}, on {parity.samples} samples. Choose another quantization "
            "or lowering, or give more representative data.",
            parity,
        )
    return parity


def compare_names(name: str, kind: str, expected: list[str], found: list[str]) -> None:
    """Compares the names of a file's inputs or outputs with the model's.

    Raises:
        NamesError: They differ.
    """
    if set(expected) != set(found):
        wrong = sorted(set(found) - set(expected))
        raise NamesError(
            f"{name} has the {kind}s {listed(found)}; the Keras model has {listed(expected)}."
            f"{nearest(wrong[0], expected) if wrong else ''} Export it again."
        )


def _compare_specs(
    name: str, expected: tuple[Spec, ...], found: Mapping[str, TensorInfo], kind: str
) -> None:
    compare_names(name, kind, [spec.name for spec in expected], list(found))
    for spec in expected:
        shape = found[spec.name].shape
        # The batch size, and sizes that the model leaves open, are the file's to choose.
        if len(shape) != len(spec.shape) or any(
            size not in (None, actual)
            for size, actual in zip(spec.shape[1:], shape[1:], strict=True)
        ):
            raise ShapesError(
                f"{name} has the {kind} '{spec.name}' of shape {list(shape)}; the Keras model's "
                f"is {list(spec.shape)}. Export it again."
            )
    for spec in expected:
        info = found[spec.name]
        if info.dtype != spec.dtype and not info.scale:
            raise DtypesError(
                f"{name} has the {kind} '{spec.name}' of dtype {info.dtype}; the Keras model's is "
                f"{spec.dtype}. Export it again."
            )


def _file_logits(path: Path, reference: Reference) -> Arrays:
    """Reads the tensors that go into the file's last LOGISTIC or SOFTMAX, for every sample."""
    wanted = [spec.name for spec in reference.outputs if spec.activation is not None]
    if not wanted:
        return {}
    # Kernels that fuse ops hide the tensors between them, so this is a second interpreter.
    file = TFLiteModel(path, keep_tensors=True)
    sources = {name: gate.logit_source(path, file.outputs[name].index) for name in wanted}
    details = {d["index"]: d for d in file.interpreter.get_tensor_details()}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted if sources[name]}
    if not parts:
        return {}
    for used, batch in file.batches(reference.x):
        file.set_inputs(batch)
        file.interpreter.invoke()
        for name, values in parts.items():
            source = sources[name]
            assert source is not None
            index, layout = source
            logits = _tensor_info(name, details[index]).dequantize(
                file.interpreter.get_tensor(index)
            )
            for change in layout:
                logits = change(logits)
            values.append(np.reshape(logits, file.outputs[name].shape)[:used])
    return {name: np.concatenate(values) for name, values in parts.items()}


def _largest(values: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(values.astype(np.float64) - expected).max(initial=0))


# -------------------------------------------------------------------------------------- answers


def changed_rows(before: np.ndarray, after: np.ndarray, real: np.ndarray | None = None) -> int:
    """Counts the rows that get another label.

    Args:
        before: Probabilities `[samples, outputs]` or `[samples, timesteps, outputs]`.
        after: The same, from something else.
        real: bool `[samples, timesteps]`: the time steps to look at; None for all.
    """
    different = _decide(before) != _decide(after)
    if real is not None and different.shape == real.shape:
        different &= real
    return int(different.reshape(len(different), -1).any(axis=1).sum())


def _decide(outputs: np.ndarray) -> np.ndarray:
    """Returns the label of each probability vector; a single one is a probability of label 1."""
    if outputs.shape[-1] == 1:
        return (outputs[..., 0] > 0.5).astype(np.int64)
    return np.asarray(outputs.argmax(axis=-1))


def _changed(reference: Reference, answers: Arrays) -> int | None:
    counts = []
    for spec in reference.outputs:
        if spec.activation == "softmax" or (spec.activation == "sigmoid" and spec.shape[-1] == 1):
            given = slice(reference.given)
            counts.append(
                changed_rows(
                    reference.answers[spec.name][given],
                    answers[spec.name][given],
                    sequence_mask(*(values[given] for values in reference.x.values())),
                )
            )
    return max(counts) if counts else None


def sequence_mask(*inputs: np.ndarray) -> np.ndarray | None:
    """Returns bool `[samples, timesteps]`: which steps are real; None without one sequence."""
    sequences = [array for array in inputs if _is_sequence(array)]
    return _real_steps(sequences[0]) if len(sequences) == 1 else None


def output_activation(output: Any) -> str | None:
    """Returns `"sigmoid"`, `"softmax"` or None: what a symbolic output of a model ends in."""
    head = _head(output)
    return head.activation if head is not None else None


def score(outputs: np.ndarray, x: np.ndarray, y: np.ndarray, task: str) -> float:
    """Returns the accuracy of outputs, or their mean absolute error for regression.

    Args:
        outputs: What a model or file answered, `[samples, ...]`.
        x: The encoded inputs; time steps of zeros do not count in sequence labelling.
        y: The encoded labels, or the targets.
        task: `"binary"`, `"multiclass"`, `"sequence_labelling"` or `"regression"`.
    """
    if task == "regression":
        return float(np.abs(outputs.astype(np.float64) - np.reshape(y, outputs.shape)).mean())
    right = _decide(outputs) == np.reshape(y, outputs.shape[:-1])
    if task == "sequence_labelling":
        right = right[_real_steps(x)]
    return float(right.mean())


def evaluate_tflite(path: PathLike, x: np.ndarray, y: np.ndarray, task: str) -> float:
    """Returns the accuracy of a .tflite file, or its mean absolute error for regression.

    Args:
        path: A file with one input and one output.
        x: Encoded inputs `[samples, ...]`.
        y: Encoded labels `[samples]`, `[samples, timesteps]`, or targets `[samples, outputs]`.
        task: `"binary"`, `"multiclass"`, `"sequence_labelling"` or `"regression"`.

    Raises:
        RunError: The file is missing or damaged, or does not take such inputs.
    """
    return score(TFLiteModel(path).predict(x), x, y, task)
